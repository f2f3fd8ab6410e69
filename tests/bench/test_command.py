import json
import os
import sys
from pathlib import Path

import pytest

from allaprima.bench import clips, command
from allaprima.realtime.backends import cpu


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clips.render(tmp_path_factory.mktemp("clips"), (64, 48), 8)


def test_the_command_is_watched_from_outside(clip: Path, tmp_path: Path, tiny_bundle: Path) -> None:
    flags = ("--bundle", str(tiny_bundle), "--style", "bright")
    run = command.paint(str(clip), str(tmp_path / "out.mp4"), *flags, precision="f32")
    assert run.answer["frames"] == 8
    assert run.seconds > run.answer["first_frame_seconds"] > 0
    assert run.cpu_seconds > 0
    assert run.peak is None or run.peak > 10_000_000
    assert {"decode", "net", "encode"} <= set(run.answer["stage_ms"])


def test_a_command_that_fails_has_no_figures(tmp_path: Path) -> None:
    with pytest.raises(command.CommandFailed, match="no such file"):
        command.paint(str(tmp_path / "nothing.mp4"), "null:")


def test_another_precision_than_the_usual_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "best_precision", lambda: "bf16")
    assert command._program("f32") == [sys.executable, "-m", "allaprima.bench.precision", "f32"]
    assert "allaprima.bench.precision" not in command._program("bf16")
    assert "allaprima.bench.precision" not in command._program(command.CARD)


def test_an_empty_cache_changes_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert command._environment(None) == dict(os.environ)
    monkeypatch.setattr(command.sys, "platform", "linux")
    changed = {name for name, value in command._environment(tmp_path).items() if os.environ.get(name) != value}
    assert changed == {"XDG_CACHE_HOME"}
    assert json.dumps(command._environment(tmp_path))
