"""Contenders that are toys: a process that works when told, and says so when it cannot."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from allaprima.bench import contender
from allaprima.bench.contender import CannotRun, Contender, Footage, Ready, serve, to_and_fro
from allaprima.bench.painted import NotPainted

SIZE = (64, 48)
TOYS = """
import os, sys
from allaprima.bench.contender import CannotRun, Ready

def chatty(footage):
    print("a runtime greets")
    os.write(1, b"and once more\\n")
    return Ready(lambda index: footage.frames[index], "a toy of " + str(len(footage.rgb)) + " frames")

def dying(footage):
    print("out of toys", file=sys.stderr, flush=True)
    os._exit(3)
"""


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory) -> Footage:
    return Footage.render(tmp_path_factory.mktemp("footage"), SIZE)


@pytest.fixture(autouse=True)
def _toys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "toys.py").write_text(TOYS)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


def test_footage_moves_and_is_the_same_in_bytes_and_in_planes(footage: Footage) -> None:
    assert footage.rgb.shape == (contender.FRAMES, 48, 64, 3)
    assert len(footage.frames) == contender.FRAMES
    for before, now in zip(footage.rgb, footage.rgb[1:], strict=False):
        assert np.abs(before.astype(int) - now).mean() > 0.5
    luma = footage.rgb[0] @ np.array([0.2126, 0.7152, 0.0722])
    assert np.corrcoef(luma.ravel(), np.ascontiguousarray(footage.frames[0].planes[0]).ravel())[0, 1] > 0.99


def test_indices_go_to_and_fro_without_a_jump_or_a_rest() -> None:
    def first(count: int, taken: int) -> list[int]:
        indices = to_and_fro(count)
        return [next(indices) for _ in range(taken)]

    assert first(4, 8) == [0, 1, 2, 3, 2, 1, 0, 1]
    assert first(2, 4) == [0, 1, 0, 1]
    assert first(1, 2) == [0, 0]


# ---- the process ----


def test_a_contender_works_when_told_and_what_it_prints_is_no_answer(footage: Footage) -> None:
    with Contender("toys:chatty", footage) as running:
        assert running.about == "a toy of 8 frames"
        assert [running.trial(seconds) >= 0 for seconds in (0, 0.05)] == [True, True]
        assert running.alive
    assert not running.alive


def test_a_process_that_ends_tells_its_last_words(footage: Footage) -> None:
    with pytest.raises(CannotRun, match="its process ended with 3: out of toys"), Contender("toys:dying", footage):
        pass


def test_one_that_does_not_answer_is_ended(footage: Footage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contender, "READY_SECONDS", 0.01)
    running = Contender("toys:chatty", footage)
    with pytest.raises(CannotRun, match=r"no answer within 0\.01 s"), running:
        pass
    assert not running.alive


# ---- what goes on in it ----


@pytest.fixture
def told(footage: Footage, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Answers to orders, of an opener that stands in this process."""

    def answers(opener: Any, orders: str = "") -> list[dict[str, Any]]:
        monkeypatch.setattr(contender, "opener_for_a_test", opener, raising=False)
        found: list[dict[str, Any]] = []
        serve("allaprima.bench.contender:opener_for_a_test", footage, iter(orders.split()), found.append)
        return json.loads(json.dumps(found))  # type: ignore[no-any-return]

    return answers


def test_only_what_counts_is_counted(told: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    now, apart, seen = [0.0], [0.0], []

    def step(index: int) -> None:
        seen.append(index)
        now[0] += 5
        apart[0] += 4

    monkeypatch.setattr(contender.time, "perf_counter", lambda: now[0])
    answers = told(lambda footage: Ready(step, "slow", lambda: apart[0]), "0 11")
    assert answers == [{"about": "slow"}, {"ms": 1000}, {"ms": 1000}]
    assert seen == [0, 1, 2, 3, 4], "one to warm up, one, three; each trial goes on where the one before ended"


def test_an_error_is_told_in_one_line_and_raised(footage: Footage, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(_: Footage) -> Iterator[Any]:
        raise ValueError("\n  first line\nsecond line")

    monkeypatch.setattr(contender, "opener_for_a_test", fails, raising=False)
    found: list[dict[str, Any]] = []
    with pytest.raises(ValueError, match="second line"):
        serve("allaprima.bench.contender:opener_for_a_test", footage, iter(()), found.append)
    assert found == [{"cannot": "ValueError: first line"}]


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ModuleNotFoundError("No module named 'torch'", name="torch"), "needs PyTorch: pip install torch"),
        (ModuleNotFoundError("No module named 'x'", name="x"), "ModuleNotFoundError: No module named 'x'"),
        (NotPainted("frame 3 is empty"), "frame 3 is empty"),
        (RuntimeError(), "RuntimeError"),
    ],
)
def test_a_reason_is_one_line_that_helps(error: Exception, line: str) -> None:
    assert contender.reason(error) == line
