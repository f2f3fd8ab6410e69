"""That a live run is judged by what reached the sink, frame by frame; never how large a delay is."""

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from allaprima.bench import live, moving
from allaprima.bench.live import Shown
from allaprima.bench.painted import Gray, NotPainted
from allaprima.realtime.frame import Frame
from allaprima.realtime.stylizer import Stylizer

RATE = 10


@pytest.fixture
def frames(tiny: ModuleType) -> list[Frame]:
    return [tiny.frame(seed=seed, index=seed) for seed in range(3)]


def look(frames: list[Frame], index: int, painted: bool = True) -> Gray:
    order = [*frames, *frames[-2:0:-1]]
    given = moving.sample(order[index % len(order)].planes[0])
    return np.asarray(255 - given if painted else given, np.uint8)


def shown(frames: list[Frame], *indices: int, late: float = 0.02, step: str = "full") -> list[Shown]:
    return [Shown(index, late, 0.1 * index, step, look(frames, index)) for index in indices]


def test_a_frame_belongs_to_the_trial_in_which_it_was_given(frames: list[Frame]) -> None:
    seen = shown(frames, *range(10), *range(10, 20, 2), *range(20, 30))
    found = live.judge(seen, set(range(40)), frames, [10, 20], 10, RATE)
    assert found.fps == [5.0, 10.0]
    assert found.drops == 5
    assert found.core_ms == pytest.approx([200, 100])
    assert found.painted_share == 1.0
    assert found.frames == 10


def test_delays_are_those_of_all_trials(frames: list[Frame]) -> None:
    seen = [*shown(frames, *range(99)), *shown(frames, 99, late=0.5)]
    found = live.judge(seen, set(), frames, [0], 100, RATE)
    assert found.latency is not None
    assert (found.latency.p50, found.latency.p95) == (20, 20)
    assert 20 < found.latency.p99 < 500


def test_what_is_carried_is_not_painted_by_the_net(frames: list[Frame]) -> None:
    seen = [*shown(frames, 0, 1, step="full"), *shown(frames, 2, 3, 4, step="net every 2nd frame")]
    found = live.judge(seen, {0, 1, 2, 4, 77}, frames, [0], 5, RATE)
    assert found.painted_share == 0.8
    assert found.effort == "net every 2nd frame"


def test_a_frame_that_claims_to_be_painted_is_looked_at(frames: list[Frame]) -> None:
    nearly = [Shown(index, 0.01, 0.0, "full", look(frames, index, painted=False) + np.uint8(1)) for index in range(4)]
    with pytest.raises(NotPainted, match="is the input"):
        live.judge(nearly, {0, 1, 2, 3}, frames, [0], 4, RATE)


def test_what_goes_through_is_called_so_whatever_the_step(frames: list[Frame]) -> None:
    through = [Shown(index, 0.01, 0.0, "full", look(frames, index, painted=False)) for index in range(3)]
    painted = {0, 3, 4}  # the first came back from the net too late
    found = live.judge([*through, *shown(frames, 3, 4)], painted, frames, [0], 5, RATE)
    assert found.effort == "pass-through"
    assert found.painted_share == 0.4


def test_a_run_of_which_nothing_comes_is_told(frames: list[Frame]) -> None:
    found = live.judge([], set(), frames, [0, 5], 5, RATE)
    assert (found.fps, found.drops, found.latency, found.painted_share) == ([0.0, 0.0], 10, None, 0.0)
    assert found.effort == "nothing was shown"


def test_a_live_source_is_painted_at_its_rate(
    frames: list[Frame], tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "SETTLING", 0.1)
    monkeypatch.setattr(live, "SHORTEST", 0.1)
    stylizer = Stylizer("bright", bundle=tiny_bundle, backend="cpu")
    found = live.live(stylizer, frames, 0.4, 2, rate=50)
    assert found.frames == 10
    assert all(0 <= fps <= 50 for fps in found.fps)
    assert sum(found.fps) * 0.2 + found.drops == pytest.approx(20)
    assert found.latency is not None
    assert 0 < found.latency.p50 <= found.latency.p95 <= found.latency.p99
