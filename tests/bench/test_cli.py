"""`allaprima bench`, by its flags."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from allaprima.bench import catalogue, cli, headline, table
from allaprima.realtime.cli import main

from .test_compare import case, result

FLAGS = ["--size", "256x144", "--layer", "nets", "--style", "bright", "--seconds", "0.1", "--backend", "cpu"]


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[headline.Plan]:
    """What would have been measured."""
    found: list[headline.Plan] = []

    def run(plan: headline.Plan, note: Any) -> catalogue.Result:
        found.append(plan)
        note("measuring")
        return result(case([20, 20, 20]), case([5, 5, 5], "file"))

    monkeypatch.setattr(headline, "run", run)
    return found


def test_without_flags_it_is_the_headline(plans: list[headline.Plan], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench"]) == 0
    (plan,) = plans
    assert plan == headline.Plan(budget=headline.BUDGET)
    captured = capsys.readouterr()
    assert "engine" in captured.out
    assert captured.err == "measuring\n"


def test_flags_become_a_plan(plans: list[headline.Plan], tiny_bundle: Path) -> None:
    words = "--size 640x360 --size 64x48 --layer live --layer nets --style dark --backend cpu --precision f32"
    words += " --streams 1,2 --seconds 5 --trials 4 --scales pixels --scales styles --against numpy --name my-pc"
    assert main(["bench", *words.split(), "--bundle", str(tiny_bundle)]) == 0
    assert plans == [
        headline.Plan(
            sizes=[(640, 360), (64, 48)],
            layers=["nets", "live"],
            style="dark",
            backend="cpu",
            precision="f32",
            bundle=tiny_bundle,
            seconds=5.0,
            trials=4,
            streams=(1, 2),
            scales=("pixels", "styles"),
            against=("numpy",),
            name="my-pc",
            budget=None,
        )
    ]
    main(["bench", "--scales", "all", "--against", "all"])
    assert plans[1].scales == ("pixels", "streams", "styles", "channels")
    assert plans[1].against == ("all",)
    assert plans[1].budget == headline.BUDGET


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--size 64", "'64' is not a size"),
        ("--size 8x8", "sides go from 16 to 16384"),
        ("--size 65x48", "even sides"),
        ("--layer soul", "no layer called 'soul'"),
        ("--scales beauty", "no scale called 'beauty'"),
        ("--streams 1,zero", "no numbers of streams"),
        ("--streams 0", "no numbers of streams"),
        ("--against photoshop", "no rival called 'photoshop'"),
        ("--name My_PC", "'My_PC' cannot name a device"),
        ("--json no/such/folder/a.json", "there is no folder"),
        ("--json .", "is a folder"),
        ("--compare none.json", "cannot read none.json"),
    ],
)
def test_what_cannot_be_is_an_error_of_two_lines(
    words: str, told: str, plans: list[headline.Plan], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *words.split()]) == 2
    captured = capsys.readouterr()
    assert told in captured.err
    assert len(captured.err.splitlines()) <= 2
    assert plans == []


def test_json_stands_alone_on_standard_output(
    plans: list[headline.Plan], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tmp_path / "before.json"
    before.write_text(catalogue.dump(result(case([10, 10, 10]))))
    assert main(["bench", "--json", "-", "--compare", str(before)]) == 0
    captured = capsys.readouterr()
    assert catalogue.parse(captured.out, "it").name == "a"
    assert "faster" in captured.err
    assert table.OUT.stderr is False


def test_json_goes_to_a_file_and_the_table_is_shown(
    plans: list[headline.Plan], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "bench-a.json"
    assert main(["bench", "--json", str(target)]) == 0
    assert catalogue.read_all(tmp_path)[0].cases[0].layer == "engine"
    assert "engine" in capsys.readouterr().out
    assert [file.name for file in tmp_path.iterdir()] == ["bench-a.json"]


def test_a_file_that_cannot_be_written_is_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "a.json"
    target.write_text("old")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(cli.ConfigError, match="No space left"):
        cli.write(target, "new")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_the_command_measures(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One layer of the tiny bundle, with nothing replaced but how long the ceilings take."""
    monkeypatch.setattr(headline, "CEILING_SECONDS", 0.05)
    assert main(["bench", *FLAGS, "--bundle", str(tiny_bundle), "--json", "-"]) == 0
    found = catalogue.parse(capsys.readouterr().out, "it")
    (measured,) = found.cases
    assert (measured.layer, measured.size, measured.style) == ("nets", (256, 144), "bright")
    assert measured.fps.median > 0
    assert measured.bounds[0].stage == "net"
    assert found.ceilings.copy_gb_s.median > 0


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_an_interrupted_run_leaves_nothing(tiny_bundle: Path, tmp_path: Path) -> None:
    run = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); \
from allaprima.bench import headline; from allaprima.realtime.cli import main; \
headline.CEILING_SECONDS = 0.05; sys.exit(main())"
    target = ["--bundle", str(tiny_bundle), "--json", str(tmp_path / "a.json")]
    words = [sys.executable, "-c", run, "bench", *FLAGS, *target]
    child = subprocess.Popen(
        words, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": str(tmp_path)}
    )
    assert child.stderr is not None
    for line in child.stderr:
        if line.strip().endswith("nets: measuring"):
            break
    time.sleep(0.3)
    child.send_signal(signal.SIGINT)
    out, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert (out, err) == ("", "")
    assert list(tmp_path.iterdir()) == []


def test_the_schema_of_what_is_written_is_known() -> None:
    assert json.loads(catalogue.dump(result()))["schema"] == catalogue.SCHEMA
