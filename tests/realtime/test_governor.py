"""The governor, with an engine that is a table of costs and a load that is a function of time."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from allaprima.realtime.backends import FULL, Effort
from allaprima.realtime.errors import ConfigError
from allaprima.realtime.governor import LONGEST_WAIT, PROBATION, Governor, Step, describe

EFFORTS = (
    FULL,
    Effort(coarse=True),
    Effort(coarse=True, scale=0.75),
    Effort(coarse=True, scale=0.5),
    Effort(coarse=True, scale=0.5, every=2),
    Effort(coarse=True, scale=0.5, every=3),
)
LOWEST, PASS = len(EFFORTS) - 1, len(EFFORTS)
PAINTED = {FULL: 94, EFFORTS[1]: 83, EFFORTS[2]: 68, EFFORTS[3]: 51, EFFORTS[4]: 51, EFFORTS[5]: 51}
"""Milliseconds, as measured at 1280x720 on two cores."""
CARRIED, PASSED = 19, 0.5

Load = Callable[[float], float]


@dataclass
class Show:
    """What came of a run."""

    governor: Governor
    steps: list[tuple[float, Step]] = field(default_factory=list)
    """With the times of the frames after which they were taken."""
    frames: list[tuple[float, int, float]] = field(default_factory=list)
    """Time, index and seconds of each frame that was painted or passed."""
    dropped: int = 0

    @property
    def places(self) -> list[int]:
        return [step.place for _, step in self.steps]

    def turns(self, since: float = 0.0) -> int:
        """How often it went up after going down, or down after going up."""
        directions = [b.place > a.place for (_, a), (at, b) in pairwise(self.steps) if at >= since]
        return sum(a != b for a, b in pairwise(directions))


def cost(effort: Effort | None, number: int) -> float:
    if effort is None:
        return PASSED / 1000
    return (CARRIED if number % effort.every else PAINTED[effort]) / 1000


def play(
    load: Load, seconds: float, rate: Load = lambda at: 30.0, noise: float = 0.0, lag: int = 2, **wishes: float
) -> Show:
    """A source that gives frames by the clock; an engine that takes the newest one whenever it is free.

    ``load`` says how many times longer everything takes at a time; steps come into force ``lag`` frames later.
    """
    show, dice = Show(Governor(EFFORTS, **wishes)), random.Random(7)
    at, index, free, number, waiting = 0.0, 0, 0.0, 0, 0
    effort: Effort | None = FULL
    while at < seconds:
        while at + 1 / rate(at) <= free:  # a newer one is there already
            at, index, show.dropped = at + 1 / rate(at), index + 1, show.dropped + 1
        start = max(at, free)
        spent = cost(effort, number) * load(start) * math.exp(dice.gauss(0, noise))
        free, number = start + spent, number + 1
        show.frames.append((at, index, spent))
        step = show.governor.frame(spent, at, index, settled=not waiting)
        waiting = lag if step else max(waiting - 1, 0)
        if not waiting:
            effort = show.governor.step.effort
        if step:
            show.steps.append((at, step))
            number = 0
        at, index = at + 1 / rate(at), index + 1
    return show


# ---- rest ----


@pytest.mark.parametrize("share", [0.05, 0.3, 0.34])
def test_a_machine_that_is_fast_enough_is_left_alone(share: float) -> None:
    show = play(lambda at: share, 60)
    assert show.steps == []
    assert show.dropped == 0


@pytest.mark.parametrize("noise", [0.1, 0.2])
def test_noise_is_no_overload(noise: float) -> None:
    show = play(lambda at: 0.28, 120, noise=noise)  # 0.79 of what a frame may take
    assert show.steps == []


@pytest.mark.parametrize("worse", [3, 30, 300])
def test_one_slow_frame_is_no_overload_nor_are_two(worse: float) -> None:
    for slow in ({90}, {90, 93}):
        count = iter(range(10**6))
        show = play(lambda at, slow=slow, count=count: 0.28 * (worse if next(count) in slow else 1), 30)
        assert show.steps == []


def test_one_slow_frame_is_no_overload_where_frames_are_carried_either() -> None:
    show = play(lambda at: 10 if 40 < at < 40.03 else 0.8, 80)
    assert show.steps[-1][0] < 5
    assert show.governor.step.place == 4


def test_a_pause_of_the_source_is_neither_slow_nor_steady() -> None:
    """Ten seconds without a frame count as little when stepping up is thought of."""
    show = play(lambda at: 1.0, 30, rate=lambda at: 0.1 if 5 < at < 5.1 else 30.0)
    assert show.places == play(lambda at: 1.0, 30).places == [4, 5]
    governor = Governor(EFFORTS)
    for index in range(20):
        governor.frame(0.1, index / 30, index)
    down = governor.step.place
    assert down > 0
    for index in range(20, 40):
        assert governor.frame(0.001, index / 30 + 100 * (index // 5), index) is None, "20 frames, and 400 seconds"
    assert governor.step.place == down


def test_a_slow_source_has_time() -> None:
    assert play(lambda at: 5.0, 60, rate=lambda at: 1.0).steps == []


# ---- down ----


@pytest.mark.parametrize("load", [1.15, 1.5, 3.0, 10.0])
@pytest.mark.parametrize("before", [0.1, 0.3])
def test_an_overload_is_answered_within_ten_frames(load: float, before: float) -> None:
    show = play(lambda at: load * 33.3 / 94 if at >= 5 else before, 12)
    at, first = show.steps[0]
    assert first.place > 0
    assert sum(5 <= time <= at for time, _, _ in show.frames) <= 10
    assert "ms" in first.reason


@pytest.mark.parametrize("load", [0.4, 0.6, 0.8, 1.0])
def test_it_goes_as_far_down_as_is_needed_and_then_holds_the_rate(load: float) -> None:
    show = play(lambda at: load, 60)
    late = [spent for at, _, spent in show.frames if at > 10]
    assert sum(late) / len(late) <= 1 / 30
    assert show.dropped <= 30, "in the first seconds"
    costs = [(PAINTED[effort] + (effort.every - 1) * CARRIED) / effort.every * load for effort in EFFORTS]
    best = next(place for place, milliseconds in enumerate(costs) if milliseconds < 33.3)
    assert best <= show.governor.step.place <= best + 1
    assert show.turns(since=10) == 0


def test_it_paints_as_long_as_that_gives_two_thirds_of_the_frames() -> None:
    hard, harder = play(lambda at: 1.4, 60), play(lambda at: 2.0, 60)
    assert hard.governor.step.place == LOWEST
    assert PASS not in hard.places
    assert PASS in harder.places


def test_a_short_burst_at_the_least_effort_does_not_end_painting() -> None:
    burst = play(lambda at: 2.5 if 20 < at < 20.8 else 1.05, 40)
    assert LOWEST in burst.places
    assert PASS not in burst.places
    assert PASS in play(lambda at: 6.0 if 20 < at < 20.8 else 1.05, 40).places


def test_a_machine_too_slow_for_anything_rests_at_pass_through_and_tries_less_and_less_often() -> None:
    show = play(lambda at: 10.0, 600)
    tries = [at for at, step in show.steps if step.place == LOWEST]
    gaps = [b - a for a, b in pairwise(tries[1:])]
    assert all(b > 1.3 * a for a, b in pairwise(gaps) if b < LONGEST_WAIT)
    assert len(tries) <= 3 + math.log2(LONGEST_WAIT) + 600 / LONGEST_WAIT
    worse = play(lambda at: 500.0, 600)
    assert worse.places == [LOWEST, PASS], "even to pass frames through takes too long: nothing is tried"


# ---- up ----


def test_it_comes_back_step_by_step_each_after_a_steady_second() -> None:
    show = play(lambda at: 1.0 if at < 10 else 0.2, 30)
    ups = [(at, step) for at, step in show.steps if at >= 10]
    assert [step.place for _, step in ups] == [4, 3, 2, 1, 0]
    assert all(b - a >= 1.0 for a, b in pairwise([10.0, *(at for at, _ in ups)]))
    assert ups[-1][0] < 20
    assert "for 1 s" in ups[0][1].reason


def test_it_does_not_try_what_it_knows_to_be_too_much() -> None:
    show = play(lambda at: 0.6, 300)
    assert show.turns() <= 2
    assert show.turns(since=30) == 0


def test_a_step_up_that_fails_doubles_the_wait_and_one_that_holds_forgets_it() -> None:
    """A load that comes whenever it has climbed to full effort, and goes whenever it has stepped down."""
    governor = Governor(EFFORTS[:2])
    index = 0

    def waits(seconds: int) -> list[float]:
        """How long it stayed down each time."""
        nonlocal index
        found, since = [], index
        for _ in range(30 * seconds):
            index += 1
            if governor.frame(0.005 if governor.step.place else 0.04, index / 30, index):
                if governor.step.place == 0:
                    found.append((index - since) / 30)
                since = index
        return found

    assert waits(70) == [pytest.approx(2**power, abs=0.4) for power in range(6)]
    while governor.step.place:
        index += 1
        governor.frame(0.005, index / 30, index)
    for _ in range(30 * 30):  # the load is gone, and full effort holds
        index += 1
        governor.frame(0.005, index / 30, index)
    assert waits(5)[0] == pytest.approx(1, abs=0.4)


# ---- loads that come and go ----


@pytest.mark.parametrize("period", [0.1, 0.3, 0.5, 1, 2, 3, 4, 6, 8, 12, 16, 20])
@pytest.mark.parametrize(("low", "high"), [(0.3, 1.0), (0.2, 3.0), (0.3, 0.45), (0.5, 0.9)])
def test_a_square_wave_ends_in_rest(period: float, low: float, high: float) -> None:
    show = play(lambda at: high if at % period < period / 2 else low, 300)
    assert show.turns() <= 2 * (math.log2(LONGEST_WAIT) + 4)
    assert show.turns(since=150) <= 6
    assert show.dropped <= 0.35 * 9000


@pytest.mark.parametrize("period", [60, 100])
def test_a_load_that_stays_away_for_long_is_followed(period: float) -> None:
    show = play(lambda at: 1.0 if at % period < period / 2 else 0.2, 4 * period)
    assert show.turns() <= 8
    ends = [at for at, step in show.steps if step.place == 0]
    assert len(ends) == 4, "all is back once in each period"


@pytest.mark.parametrize("seconds", [10, 60])
def test_a_ramp_is_walked_down_once_and_up_once(seconds: float) -> None:
    show = play(lambda at: 0.2 + 0.8 * (1 - abs(at - seconds) / seconds), 2 * seconds + 20)
    assert show.turns() <= 3
    assert show.governor.step.place == 0
    assert show.dropped <= 30


@pytest.mark.parametrize("noise", [0.1, 0.3])
@pytest.mark.parametrize("load", [0.33, 0.45, 0.7, 1.0])
def test_noise_near_the_edge_does_not_make_it_swing(load: float, noise: float) -> None:
    show = play(lambda at: load, 300, noise=noise)
    assert show.turns() <= 8
    assert show.turns(since=150) <= 3


# ---- deadlines ----


def test_the_deadline_is_that_of_the_source_whatever_is_dropped() -> None:
    for rate in (15.0, 24.0, 50.0):
        show = play(lambda at: 1.0, 8, rate=lambda at, rate=rate: rate)
        assert show.governor.deadline == pytest.approx(1 / rate, rel=0.02)


def test_a_source_that_changes_its_rate_changes_the_deadline() -> None:
    show = play(lambda at: 0.5, 60, rate=lambda at: 15.0 if at < 20 or at > 40 else 60.0)
    during = [step.place for at, step in show.steps if 20 <= at < 40]
    assert [step for at, step in show.steps if at < 20] == []
    assert during
    assert max(during) >= 4
    assert show.governor.step.place == 0


def test_a_rate_of_its_own_counts_where_it_is_lower_and_a_latency_always() -> None:
    slow = Governor(EFFORTS, rate=15)
    fast = Governor(EFFORTS, rate=120)
    short = Governor(EFFORTS, max_latency=0.02)
    for governor in (slow, fast, short):
        for index in range(40):
            governor.frame(0.001, index / 30, index)
    assert slow.deadline == pytest.approx(1 / 15)
    assert fast.deadline == pytest.approx(1 / 30)
    assert short.deadline == pytest.approx(0.02)
    assert Governor(EFFORTS).deadline == pytest.approx(1 / 30), "before anything is known"


@pytest.mark.parametrize("wrong", [0, -1, math.inf, math.nan])
def test_what_cannot_be_held_is_refused(wrong: float) -> None:
    with pytest.raises(ConfigError, match="above 0"):
        Governor(EFFORTS, rate=wrong)
    with pytest.raises(ConfigError, match="above 0"):
        Governor(EFFORTS, max_latency=wrong)


# ---- words and counts ----


def test_steps_are_counted_and_named() -> None:
    show = play(lambda at: 1.0 if at < 10 else 0.2, 30)
    assert show.governor.steps == len(show.steps)
    names = ["full", "flow at half size", "net at 3/4", "net at 1/2"]
    names += [f"net at 1/2 every {often} frame, flow at half size" for often in ("2nd", "3rd")]
    assert [describe(effort) for effort in (*EFFORTS, None)] == [*names, "pass-through"]
    more = (Effort(every=4), Effort(scale=0.75, every=2))
    assert [describe(effort) for effort in more] == ["net every 4th frame", "net at 3/4 every 2nd frame"]
    assert show.steps[0][1].name == names[show.places[0]]


def test_frames_before_a_step_is_in_force_say_nothing() -> None:
    """The net of the lower step may still be loading; what they take is what the old one takes."""
    show = play(lambda at: 1.0, 10, lag=60)
    assert show.places == [4, 5]
    assert show.steps[1][0] - show.steps[0][0] > 60 / 30


def test_a_backend_that_knows_only_full_effort_still_has_pass_through() -> None:
    governor = Governor((FULL,))
    for index in range(12):
        governor.frame(0.2, index / 30, index)
    assert governor.step == Step(1, None, governor.step.reason)
    assert PROBATION > 1
