"""``allaprima engines``, typed as users type it, on the fake TensorRT."""

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import rich.console

from allaprima.exporters import build_engine
from allaprima.realtime import builds
from allaprima.realtime.cli import main
from allaprima.realtime.engine_key import packed_size
from allaprima.realtime.engines import Engines, engines_folder

from .. import fake_tensorrt


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ALLAPRIMA_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


class Inside:
    """A `builds.Child` in this very process, which takes a tenth of the time."""

    def __init__(self, order: builds.Order) -> None:
        told = io.StringIO()
        with contextlib.redirect_stdout(told):
            build_engine.main([order.model_dump_json()])
        self._events = [json.loads(line) for line in told.getvalue().splitlines()]

    def __enter__(self) -> "Inside":
        return self

    def __exit__(self, *error: object) -> None: ...

    def events(self) -> Iterator[builds.Event]:
        for event in self._events:
            if event["event"] == "error":
                raise builds.BuildFailed(event["error"], event["hint"], event["exit_code"])
            yield event


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(builds, "Child", Inside)
    return fake_tensorrt.install(monkeypatch)


def typed(*words: object, code: int = 0) -> None:
    assert main(["engines", *map(str, words)]) == code


def sizes() -> list[Any]:
    return [entry.record.key.cells for entry in Engines().entries() if entry.record]


# ---- with a card ----


def test_engines_are_built_listed_verified_and_removed(
    card: Any, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    typed("build", "--size", "64x64", "--size", "94x64", "--bundle", tiny_bundle)
    told = capsys.readouterr().out
    assert "64x64: 0% joining the nets\n" in told
    assert "94x64: 100% " in told
    assert told.count(" dB from fp32 over ") == 2
    assert set(sizes()) == {packed_size((64, 64)), packed_size((94, 64))}
    typed("list")
    told = capsys.readouterr().out
    assert [told.count(text) for text in (" 64x64 ", " 96x64 ", "good", "A fake, TensorRT 10.16.1.11")] == [1, 1, 2, 2]
    typed("list", "--json")
    assert {row["state"] for row in json.loads(capsys.readouterr().out)} == {"good"}
    typed("verify")
    typed("prune")
    assert capsys.readouterr().out.endswith("nothing to remove\n")
    card.trt.__version__ = "11.4.0.106"
    typed("prune", "--dry-run")
    assert capsys.readouterr().out.count("would remove") == 2
    typed("prune", "--json")
    gone = json.loads(capsys.readouterr().out)["removed"]
    assert [row["why"] for row in gone] == ["stale: tensorrt 10.16.1.11 (here 11.4.0.106)"] * 2
    assert sizes() == []


def test_json_is_one_object_and_nothing_else(card: Any, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    typed("build", "--size", "64x64", "--dynamic", "--regions", 2, "--bundle", tiny_bundle, "--json")
    told = capsys.readouterr()
    (engine,) = json.loads(told.out)["engines"]
    assert (told.err, engine["key"]["cells"], engine["key"]["regions"]) == ("", None, 2)
    assert Path(engine["plan"]).is_file()


def test_an_engine_that_fell_back_says_so_when_built_and_listed(
    card: Any, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card.trt.faults.add("wrong half")
    typed("build", "--size", "64x64", "--bundle", tiny_bundle)
    told = capsys.readouterr().out
    assert "in precision 'half' the engine is " in told
    assert "in precision full instead of half" in told
    typed("list")
    assert "full (not half)" in capsys.readouterr().out


def test_a_build_that_fails_is_one_error(card: Any, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    card.trt.faults.add("oom")
    typed("build", "--size", "64x64", "--bundle", tiny_bundle, code=6)
    told = capsys.readouterr().err.splitlines()
    assert told[0].startswith("error: TensorRT cannot build the engine: Error Code 2: OutOfMemory")
    assert told[1].startswith("hint: If memory is short")
    typed("build", "--size", "64x64", "--bundle", tiny_bundle, "--json", code=6)
    failure = json.loads(capsys.readouterr().out)
    assert (failure["ok"], failure["exit_code"], failure["engines"]) == (False, 6, [])


def test_damage_is_found_and_tells_the_shell(card: Any, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    typed("build", "--size", "64x64", "--bundle", tiny_bundle, "--json")
    path = Path(json.loads(capsys.readouterr().out)["engines"][0]["plan"])
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    typed("verify", "--json", code=5)
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["state"], "hash differs" in row["why"]) == ("damaged", True)
    path.write_bytes(b"")
    typed("prune")
    assert sizes() == []


STOPPABLE = """
import signal, sys
from allaprima.realtime import builds
from allaprima.realtime.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests may have ignored it
builds.PROGRAM = "stand_in"
sys.exit(main(sys.argv[1:]))
"""
SLOW = """
import json, os, sys, time
from pathlib import Path
folder = Path(json.loads(sys.argv[1])["folder"])
folder.mkdir(parents=True)
(folder / f".name.plan.{os.getpid()}.part").write_bytes(b"half")
print(json.dumps({"event": "progress", "share": 0.4, "doing": str(os.getpid())}), flush=True)
time.sleep(60)
"""


def test_a_terminal_gets_a_bar(
    card: Any, tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    card.trt.faults.add("wrong half")
    shown = io.StringIO()
    console = partial(rich.console.Console, file=shown, force_terminal=True, width=120, stderr=False)
    monkeypatch.setattr(rich.console, "Console", lambda **how: console(highlight=False))
    typed("build", "--size", "64x64", "--bundle", tiny_bundle)
    assert "in precision 'half' the engine is " in shown.getvalue()
    assert "comparing with fp32" in shown.getvalue()
    told = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in told] == ["64x64"], "one line at the end"


def test_ctrl_c_ends_the_child_and_leaves_nothing(
    tiny_bundle: Path, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_tensorrt.for_children(monkeypatch, tmp_path / "modules")
    (tmp_path / "modules/stand_in.py").write_text(SLOW)
    command = [sys.executable, "-c", STOPPABLE, "engines", "build", "--size", "64x64", "--bundle", str(tiny_bundle)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline().split()[-1])
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (130, "")
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
    assert list((home / "engines").iterdir()) == []


# ---- without ----


@pytest.mark.parametrize("words", [["build"], ["build", "--dynamic"], ["verify"]])
def test_without_a_card_there_is_one_error_and_a_hint(
    words: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    typed(*words, code=7)
    told = capsys.readouterr()
    assert [line.partition(":")[0] for line in told.err.splitlines()] == ["error", "hint"]
    assert told.out == ""


def test_list_and_prune_work_without_a_card(
    tiny_bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    typed("list")
    assert capsys.readouterr().out == f"there are no engines in {engines_folder()}\n"
    with monkeypatch.context() as patch:
        patch.setattr(builds, "Child", Inside)
        fake_tensorrt.install(patch)
        typed("build", "--size", "64x64", "--bundle", tiny_bundle)
    monkeypatch.setitem(sys.modules, "cupy", None)
    capsys.readouterr()
    typed("list")
    assert "unknown" in capsys.readouterr().out
    typed("prune")
    assert len(sizes()) == 1
    os.utime(Engines().entries()[0].path, (time.time() - 9 * 86400,) * 2)
    typed("prune", "--older-than", 8)
    assert sizes() == []
    typed("prune", "--all", "--keep", 0)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--size", "720p"], "'720p' is not a size"),
        (["--size", "63x720"], "63x720 is too small"),
        (["--dynamic", "--size", "640x360", "--size", "64x64"], "one largest size"),
        (["--dynamic", "--with", "torch-tensorrt"], "one size each"),
        (["--with", "onyx"], "onyx"),
        (["--precision", "double"], "double"),
        (["--regions", "3"], "--regions"),
    ],
)
def test_flags_that_cannot_be_are_named_before_a_card_is_wanted(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    typed("build", *words, code=2)
    assert says in capsys.readouterr().err


def test_a_road_that_is_not_installed_names_its_extra(
    card: Any, tiny_bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("allaprima.realtime.cli_engines.find_spec", lambda name: None)
    typed("build", "--with", "torch-tensorrt", "--bundle", tiny_bundle, code=7)
    assert "allaprima[torchtrt]" in capsys.readouterr().err


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys; from allaprima.realtime.cli import main; code = main(['engines', 'build', '--help']);"
        "sys.exit(str({'numpy', 'cv2', 'onnx', 'openvino', 'torch'} & set(sys.modules) or code))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stderr == "0\n"


def test_no_command_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    typed(code=2)
    assert "prune" in "".join(capsys.readouterr())
