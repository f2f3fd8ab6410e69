"""Ours and theirs in turns, with toys for both; who cannot run says why."""

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

from allaprima.bench import rival_nets, rivals
from allaprima.bench.catalogue import Rival, Trials
from allaprima.bench.contender import NET, REFERENCE, CannotRun, Contender, Footage
from allaprima.bench.rivals import ENTRIES, NAMES, Entry
from allaprima.realtime.errors import ConfigError

SIZE = (64, 48)
TOYS = """
import time
from allaprima.bench.contender import CannotRun, Ready

def ours(footage):
    return Ready(lambda index: time.sleep(0.002), "ours")

def slow(footage):
    return Ready(lambda index: time.sleep(0.05), "a slow toy")

def broken(footage):
    raise CannotRun("it has no wheels")

def fading(footage):
    done = []
    def step(index):
        done.append(index)
        if len(done) > 2:
            raise ValueError("worn out")
        time.sleep(0.05)
    return Ready(step, "a toy that breaks")
"""


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("toys")
    (folder / "rival_toys.py").write_text(TOYS)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        patch.setenv("PYTHONPATH", str(folder))
        yield importlib.import_module("rival_toys")


@pytest.fixture
def stage(toys: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets toys in the place of the rivals."""

    def set_up(ours: str = "ours", **openers: str) -> None:
        entries = {
            name: Entry(f"the {name} toy", getattr(toys, opener), ("nets", "engine"), "a toy", ())
            for name, opener in openers.items()
        }
        monkeypatch.setattr(rivals, "ENTRIES", entries)
        monkeypatch.setattr(rivals, "NAMES", tuple(entries))
        monkeypatch.setattr(rivals, "OURS", dict.fromkeys(("nets", "engine"), getattr(toys, ours)))
        monkeypatch.setattr(rivals, "SECONDS", 0.05)

    return set_up


def test_each_is_beside_ours_in_pairs(stage: Any) -> None:
    stage(slow="slow", broken="broken")
    notes: list[str] = []
    found = rivals.measure(SIZE, 3, notes.append)
    assert [(each.name, each.instead_of) for each in found] == [
        (f"the {name} toy", layer) for name in ("slow", "broken") for layer in ("nets", "engine")
    ]
    for each in found[:2]:
        ms, ours_ms, times = (trials and trials.trials for trials in (each.ms, each.ours_ms, each.times))
        assert ms
        assert ours_ms
        assert len(ms) == 3
        assert times == pytest.approx([theirs / ours for theirs, ours in zip(ms, ours_ms, strict=True)], rel=0.01)
        assert min(times) > 1
        assert (each.size, each.absent, each.about, each.note) == (SIZE, None, "a slow toy; ours: ours", "a toy")
    assert [(each.absent, each.ms, each.times) for each in found[2:]] == [("it has no wheels", None, None)] * 2
    assert "64x48: the slow toy" in notes


def test_who_breaks_on_the_way_is_absent_and_ours_that_breaks_is_an_error(stage: Any) -> None:
    stage(fading="fading")
    assert {each.absent for each in rivals.measure(SIZE, 3, lambda note: None)} == {"ValueError: worn out"}
    stage(ours="fading", slow="slow")
    with pytest.raises(CannotRun, match="ours has stopped: ValueError: worn out"):
        rivals.measure(SIZE, 3, lambda note: None)


def test_where_ours_cannot_be_timed_theirs_says_so(stage: Any) -> None:
    stage(ours="broken", slow="slow")
    (nets, engine) = rivals.measure(SIZE, 1, lambda note: None)
    assert nets.absent == engine.absent == "nothing of ours to compare with: it has no wheels"


def test_turns_alternate_and_ours_stand_on_both_sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    class Fake:
        alive, about = True, "fake"

        def __init__(self, opener: str, footage: Footage) -> None:
            self.name = opener

        def __enter__(self) -> "Fake":
            return self

        def __exit__(self, *_: object) -> None: ...

        def trial(self, seconds: float) -> float:
            order.append(self.name)
            return 2.0

    monkeypatch.setattr(rivals, "Contender", Fake)
    ours: Any = {"nets": Fake("nets", Footage(tmp_path)), "engine": Fake("engine", Footage(tmp_path))}
    rivals._compare(ENTRIES["openvino"], Footage(tmp_path), ours, SIZE, 3)
    theirs = "allaprima.bench.rival_nets:openvino"
    assert order == ["nets", theirs, "engine", "engine", theirs, "nets", "nets", theirs, "engine"]


def test_without_the_network_only_those_that_need_it_are_absent(stage: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    stage(needs="slow", free="slow")
    entries = rivals.ENTRIES
    entries["needs"] = Entry("needs", entries["needs"].open, ("nets",), "", (REFERENCE, NET))

    def fails(opener: str, footage: Footage) -> Contender:
        if opener == rivals.path(rival_nets.export):
            raise CannotRun("needs PyTorch: pip install torch")
        return Contender(opener, footage)

    monkeypatch.setattr(rivals, "Contender", fails)
    found = rivals.measure(SIZE, 1, lambda note: None)
    assert [each.absent for each in found] == ["needs PyTorch: pip install torch", None, None]


def test_names_are_known_before_anything_is_measured() -> None:
    with pytest.raises(ConfigError, match="'brush'") as error:
        rivals.measure(SIZE, 1, lambda note: pytest.fail("too early"), ["pytorch", "brush"])
    assert all(name in error.value.hint for name in NAMES)
    assert rivals.chosen(()) == rivals.chosen(["all"]) == list(NAMES)
    assert rivals.chosen(["numpy", "pytorch", "numpy"]) == ["pytorch", "numpy"]


@pytest.mark.parametrize("opener", [*(entry.open for entry in ENTRIES.values()), *rivals.OURS.values()])
def test_a_process_finds_what_it_is_told_to_open(opener: Any) -> None:
    module, _, name = rivals.path(opener).partition(":")
    assert getattr(importlib.import_module(module), name) is opener


def test_the_table_shows_ratios_and_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    ms = Trials.of([30, 33, 36])
    shared: dict[str, Any] = {"instead_of": "nets", "size": SIZE}
    there = Rival(name="theirs", ms=ms, ours_ms=Trials.of([3]), times=Trials.of([10, 11, 12]), note="[f32]", **shared)
    rivals.show([there, Rival(name="other", absent="needs wheels", **shared)])
    shown = capsys.readouterr().out
    assert "64x48" in shown
    row = next(line.split() for line in shown.splitlines() if line.startswith("theirs "))
    assert row == ["theirs", "nets", "33.0", "3.00", "11.0", "10.0", "12.0"]
    assert "theirs: [f32]" in shown
    assert "other: needs wheels" in shown


def test_the_command_writes_json(stage: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stage(broken="broken")
    rivals.main(size=["64x48"], against=["broken"], trials=1, as_json=str(tmp_path / "rivals.json"))
    told = json.loads((tmp_path / "rivals.json").read_text())
    assert told["schema"] == rivals.SCHEMA
    assert [Rival.model_validate(each).absent for each in told["rivals"]] == ["it has no wheels"] * 2
    assert "it has no wheels" in capsys.readouterr().out
