"""That nets and engine are timed on frames that were really painted; never how large a time is."""

from pathlib import Path
from types import ModuleType

import pytest

from allaprima.bench import engine, moving
from allaprima.bench.painted import NotMoving, NotPainted
from allaprima.realtime.frame import Frame
from allaprima.realtime.stylizer import Stylizer

STAGES = ["upload", "motion", "net", "blend", "finish"]


@pytest.fixture
def frames(tiny: ModuleType) -> list[Frame]:
    return [tiny.frame(seed=seed, index=seed) for seed in range(6)]


@pytest.fixture
def stylizer(tiny_bundle: Path) -> Stylizer:
    return Stylizer("bright", bundle=tiny_bundle, backend="cpu")


def test_the_engine_is_timed_by_stage(stylizer: Stylizer, frames: list[Frame]) -> None:
    trials = engine.engine(stylizer, frames, 0.0, 3)
    assert len(trials) == 3
    for trial in trials:
        assert trial.frames >= engine.LEAST
        assert list(trial.stages) == STAGES
        assert 0 < sum(trial.stages.values()) <= trial.ms
        assert trial.core_ms > 0
        assert trial.fps * trial.ms == pytest.approx(1000)


def test_the_nets_are_timed_alone(stylizer: Stylizer, frames: list[Frame]) -> None:
    (trial,) = engine.nets(stylizer, frames, "cpu", 0.0, 1)
    assert list(trial.stages) == [engine.NET]
    assert 0 < trial.stages[engine.NET] <= trial.ms


def test_an_engine_that_does_not_paint_has_no_time(stylizer: Stylizer, frames: list[Frame]) -> None:
    stylizer.bypass = True
    with pytest.raises(NotPainted, match="is the input"):
        engine.engine(stylizer, frames, 0.0, 1)


def test_nets_that_do_not_paint_have_no_time(tiny_bundle: Path, frames: list[Frame]) -> None:
    with pytest.raises(NotPainted, match="is the input"):
        engine.nets(Stylizer("plain", bundle=tiny_bundle), frames, "cpu", 0.0, 1)


def test_a_still_input_has_no_time(stylizer: Stylizer, frames: list[Frame]) -> None:
    with pytest.raises(NotMoving):
        engine.nets(stylizer, frames[:1], "cpu", 0.0, 1)


def test_inputs_take_turns(stylizer: Stylizer, frames: list[Frame], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    look = Stylizer.look
    monkeypatch.setattr(Stylizer, "look", lambda self, frame: (seen.append(frame.index), look(self, frame))[1])
    engine.engine(stylizer, frames, 0.0, 1)
    assert seen[:12] == [0, 1, 2, 3, 4, 5, 4, 3, 2, 1, 0, 1]


@pytest.mark.parametrize(
    ("seconds", "trials", "pace", "frames"),
    [(3.0, 3, 0.1, 10), (3.0, 3, 1.0, 4), (0.0, 1, 0.1, 3 + 1), (3.0, 3, 0.0001, engine.MOST)],
)
def test_frames_are_counted_by_time(seconds: float, trials: int, pace: float, frames: int) -> None:
    assert engine.frames_in(seconds, trials, pace) == frames


def test_the_pace_is_told_by_the_later_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, costs = [0.0], [5.0, 0.2, 0.2]

    def paint(count: int) -> None:
        clock[0] += costs.pop(0)

    monkeypatch.setattr(engine.time, "perf_counter", lambda: clock[0])
    assert engine.warm_up(paint) == pytest.approx(0.2)


def test_what_is_kept_of_a_picture_is_small(tiny: ModuleType) -> None:
    assert moving.sample(tiny.texture((1280, 720))).size <= 1.1 * moving.SAMPLES
