"""Engines are judged by their records and cleared away, never in anybody's way."""

import hashlib
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from allaprima.realtime import engine_upkeep
from allaprima.realtime.bundle import Bundle
from allaprima.realtime.engine_key import Key, Machine, Record, key_of
from allaprima.realtime.engine_upkeep import judge, prune
from allaprima.realtime.engines import Engines
from allaprima.realtime.errors import SinkError

from .. import fake_tensorrt

HERE = Machine(gpu="A fake", capability="9.0", tensorrt="10.16.1.11", driver="580.65")
OTHER = Machine(gpu="Another", capability="8.9", tensorrt="10.16.1.11", driver="580.65")
PLAN = b"a plan" * 100


class Shelf:
    """A cache with engines of which only the records are real."""

    def __init__(self, folder: Path, bundle: Path) -> None:
        self.engines, self.bundle = Engines(folder), bundle

    def add(self, cells: Any = (12, 16), used: float | None = None, **changed: Any) -> Path:
        key: Key = key_of(HERE, Bundle(self.bundle), cells).model_copy(update=changed)
        known = {"road": "onnx", "precision": "half", "psnr": 60.0, "compared": 2, "inputs": {}, "output": "o"}
        known |= {
            "sha256": hashlib.sha256(PLAN).hexdigest(),
            "bytes": len(PLAN),
            "bundle": str(self.bundle),
            "key": key,
        }
        path = self.engines.publish(PLAN, Record.model_validate(known))
        if used is not None:
            os.utime(path, (time.time() - used * 86400,) * 2)
        return path

    def prune(self, here: Any = (HERE,), **how: Any) -> dict[str, str]:
        return {file.path.name: file.why for file in prune(self.engines, here, **how)}


@pytest.fixture
def shelf(tmp_path: Path, own_bundle: Path) -> Shelf:
    return Shelf(tmp_path / "engines", own_bundle)


def states(shelf: Shelf, here: Any = (HERE,)) -> list[tuple[str, str]]:
    return [(verdict.state, verdict.why) for verdict in engine_upkeep.judged(shelf.engines, here)]


def test_an_engine_for_one_of_the_cards_here_is_good(shelf: Shelf) -> None:
    shelf.add()
    assert states(shelf) == states(shelf, (OTHER, HERE)) == [("good", "")]
    assert states(shelf, None) == [("unknown", "")]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"gpu": "Third"}, ("foreign", "built on Third 9.0 (here A fake 9.0)")),
        ({"capability": "8.6"}, ("foreign", "built on A fake 8.6 (here A fake 9.0)")),
        ({"driver": "570.1"}, ("stale", "driver 570.1 (here 580.65)")),
        ({"tensorrt": "11.4.0.106"}, ("stale", "tensorrt 11.4.0.106 (here 10.16.1.11)")),
        ({"graph": "0"}, ("stale", "built by another version of this program")),
    ],
)
def test_what_differs_is_named(shelf: Shelf, changed: dict[str, Any], expected: tuple[str, str]) -> None:
    shelf.add(**changed)
    assert states(shelf) == [expected]


def test_a_bundle_that_has_changed_makes_its_engines_stale(shelf: Shelf) -> None:
    shelf.add(model="0" * 64)
    assert states(shelf, None) == [("stale", f"the bundle {shelf.bundle} has changed")]
    (shelf.bundle / "manifest.json").unlink()
    assert states(shelf, None) == [("unknown", "")]


def test_damage_is_told_without_a_card(shelf: Shelf) -> None:
    shelf.add().write_bytes(b"")
    verdict = judge(shelf.engines.entries()[0], None)
    assert verdict.as_json()["state"] == "damaged"
    assert verdict.as_json()["why"] == "it has 0 bytes, its record says 600"


def test_verifying_tries_what_seems_good(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_tensorrt.install(monkeypatch)
    shelf.add()  # not a plan at all
    hashed = shelf.add((16, 12), driver="570.1")
    hashed.write_bytes(PLAN[:-1] + b"!")
    shelf.add((20, 12), driver="570.1")
    found = {verdict.entry.path.name.split("-")[1]: verdict for verdict in engine_upkeep.verify(shelf.engines, [HERE])}
    assert {size: verdict.state for size, verdict in found.items()} == {
        "16x12": "damaged", "12x16": "damaged", "12x20": "stale",
    }  # fmt: skip
    assert "magic tag" in found["16x12"].why
    assert "hash differs" in found["12x16"].why


def test_what_is_of_no_use_goes_and_what_is_good_stays(shelf: Shelf) -> None:
    good, stale = shelf.add(), shelf.add((16, 12), driver="570.1")
    foreign, damaged = shelf.add((20, 20), gpu="Third"), shelf.add((24, 24))
    damaged.write_bytes(b"")
    assert shelf.prune(dry=True).keys() == {stale.name, foreign.name, damaged.name}
    assert len(list(shelf.engines.folder.iterdir())) == 8
    assert shelf.prune().keys() == {stale.name, foreign.name, damaged.name}
    assert sorted(shelf.engines.folder.iterdir()) == [good.with_suffix(".json"), good]
    assert shelf.prune() == {}


def test_without_a_card_nothing_is_taken_for_foreign(shelf: Shelf) -> None:
    shelf.add(gpu="Third")
    shelf.add((16, 12), driver="570.1")
    assert shelf.prune(None) == {}


def test_engines_go_by_age_and_by_room(shelf: Shelf) -> None:
    paths = [shelf.add((12 + 4 * days, 16), used=days) for days in range(5)]
    assert shelf.prune(older=3.5) == {paths[4].name: "not used for 4 days"}
    assert shelf.prune(keep=2 * len(PLAN)) == dict.fromkeys([paths[3].name, paths[2].name], "to make room")
    assert shelf.prune(keep=2 * len(PLAN)) == {}
    assert {entry.path for entry in shelf.engines.entries()} == set(paths[:2])


def test_all_means_all(shelf: Shelf) -> None:
    path = shelf.add()
    (shelf.engines.folder / "timing-1.cache").write_bytes(b"timings")
    (shelf.engines.folder / f".{path.stem}.plan.77.part").write_bytes(b"half")
    assert len(shelf.prune(everything=True)) == 3
    assert list(shelf.engines.folder.iterdir()) == []


def test_leavings_of_killed_builds_go(shelf: Shelf) -> None:
    path = shelf.add()
    for name in (f".{path.name}.77.part", f".{path.stem}.json.77.part", ".timing-10.16.cache.77.part", "name.lock"):
        (shelf.engines.folder / name).write_bytes(b"7")
    assert list(shelf.prune().values()) == ["left by a build that was killed"] * 3
    assert len(list(shelf.engines.folder.iterdir())) == 2


def test_one_that_is_being_built_stays(shelf: Shelf) -> None:
    path = shelf.add()
    with shelf.engines.building(path.stem):
        assert shelf.prune(everything=True) == {}
    assert shelf.prune(everything=True) != {}


def test_a_file_that_cannot_be_removed_is_an_error(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Engines, plan: Path) -> None:
        raise PermissionError(13, "Permission denied")

    shelf.add()
    monkeypatch.setattr(Engines, "remove", refuse)
    with pytest.raises(SinkError, match="Permission denied"):
        shelf.prune(everything=True)


def test_the_cards_are_those_that_are_there(monkeypatch: pytest.MonkeyPatch) -> None:
    card: SimpleNamespace = fake_tensorrt.install(monkeypatch)
    assert [found.gpu for found in engine_upkeep.machines() or []] == ["A fake"]
    card.cupy.devices = 0
    assert engine_upkeep.machines() is None
