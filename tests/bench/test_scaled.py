import json
import subprocess
from dataclasses import asdict
from typing import Any

import pytest

from allaprima.bench import scaled
from allaprima.bench.catalogue import Point, Scale
from allaprima.bench.children import ChildFailed
from allaprima.bench.scaled import Spec
from allaprima.realtime.backends import cpu

SPEC = Spec("streams", (64, 48), 0.1, (1, 2), "cpu", "f32")
SCALE = Scale(over="streams", layer="engine", points=(Point(x=1, ms=5, fps=200),), says="one is enough")


def test_the_child_asks_for_what_the_parent_wants(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Any] = []

    def measure(over: Any, size: Any, seconds: Any, note: Any, streams: Any, **more: Any) -> list[Scale]:
        asked.append((over, size, seconds, streams, more, cpu.best_precision()))
        return [SCALE]

    monkeypatch.setattr(cpu, "best_precision", cpu.best_precision)  # put back afterwards
    monkeypatch.setattr(scaled.scales, "measure", measure)
    scaled.main([json.dumps(asdict(SPEC))])
    assert asked == [(["streams"], (64, 48), 0.1, (1, 2), {"backend": "cpu", "bundle": None}, "f32")]
    assert scaled.FOUND.validate_json(capsys.readouterr().out) == [SCALE]


def test_a_scale_comes_from_a_child(monkeypatch: pytest.MonkeyPatch) -> None:
    words: list[str] = []

    def finished(asked: list[str], limit: float) -> str:
        words.extend(asked)
        return scaled.FOUND.dump_json([SCALE]).decode()

    monkeypatch.setattr(scaled, "finished", finished)
    assert scaled.measured(SPEC, 10, lambda note: None) == [SCALE]
    assert words[1:3] == ["-m", "allaprima.bench.scaled"]
    assert json.loads(words[3])["over"] == "streams"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ChildFailed("no net (exit code 3)"), "left out, no net (exit code 3)"),
        (subprocess.TimeoutExpired("python", 10), "not done after 10 s"),
        (None, "left out, 1 validation error"),
    ],
)
def test_a_scale_that_fails_is_left_out_and_says_so(
    error: Exception | None, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def finished(words: list[str], limit: float) -> str:
        if error is not None:
            raise error
        return "Segmentation fault"

    notes: list[str] = []
    monkeypatch.setattr(scaled, "finished", finished)
    assert scaled.measured(SPEC, 10, notes.append) == []
    assert told in notes[-1]
