"""A steady cadence, on simulated clocks: what is shown when, for sources of every temper."""

import itertools
import random
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from allaprima.realtime.errors import ConfigError
from allaprima.realtime.frame import Frame, StreamInfo
from allaprima.realtime.pacing import Cadence, Thinning, cadence, on_grid, time_base

TICK = Fraction(1, 90_000)
RATE = Fraction(30)
PIXEL = (np.zeros((2, 2), np.uint8), np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.uint8))


def frame(index: int, time: float, side: tuple[Any, ...] = ()) -> Frame:
    return Frame(PIXEL, (2, 2), round(time / TICK), TICK, index, side=side)


@dataclass(frozen=True)
class Shown:
    wall: float
    index: int
    time: float


def play(
    arrivals: Iterable[tuple[float, float]], rate: Fraction = RATE, until: float = 1e9, busy: float = 0.0
) -> tuple[Cadence, list[Shown]]:
    """Feeds frames ``(when it comes, its own time)``; writing one takes ``busy`` seconds."""
    beat, shown, now = Cadence(rate), [], 0.0
    coming = [(wall, frame(index, time)) for index, (wall, time) in enumerate(arrivals)]
    end = min(until, coming[-1][0] + 0.001)
    while True:
        wall = coming[0][0] if coming else float("inf")
        due = float("inf") if beat.due is None else max(beat.due, now)
        if min(wall, due) > end:
            return beat, shown
        if wall <= due:
            now = max(now, wall)
            beat.arrive(coming.pop(0)[1], now)
        elif (picture := beat.tick(due)) is not None:
            shown.append(Shown(due, picture.index, picture.time))
            now = due + busy


def steady(count: int, rate: float = 30, jitter: float = 0.0, fast: float = 1.0, seed: int = 0) -> Any:
    """``fast``: how much faster the source's clock runs than ours."""
    noise = random.Random(seed)
    return [(100 + n / rate + noise.uniform(-jitter, jitter), 7 + n / rate * fast) for n in range(count)]


def steps(shown: list[Shown], what: str) -> list[float]:
    return [getattr(b, what) - getattr(a, what) for a, b in itertools.pairwise(shown)]


@pytest.mark.parametrize("jitter", [0.0, 0.003, 0.008])
def test_jitter_is_gone_and_no_frame_is_lost_or_shown_twice(jitter: float) -> None:
    arrivals = sorted(steady(600, jitter=jitter))
    beat, shown = play(arrivals)
    assert steps(shown, "time") == pytest.approx([1 / 30] * (len(shown) - 1))
    assert steps(shown[60:], "wall") == pytest.approx([1 / 30] * (len(shown) - 61), abs=0.002)
    assert [s.index for s in shown] == list(range(len(shown)))
    assert (beat.repeated, beat.surplus, beat.skipped, beat.jumps) == (0, 0, 0, 0)
    assert abs(beat.skew) < 0.001


def test_every_tick_lies_on_the_grid_to_the_last_bit() -> None:
    beat = Cadence(Fraction(30000, 1001))
    beat.arrive(frame(0, 0.0), 50.0)
    pts = []
    for _ in range(100):
        shown = beat.tick(beat.due or 0.0)
        assert shown is not None
        assert shown.time_base == time_base(Fraction(30000, 1001))
        assert shown.duration * shown.time_base == Fraction(1001, 30000)
        pts.append(shown.pts * shown.time_base)
    assert pts == [n * Fraction(1001, 30000) for n in range(100)]


@pytest.mark.parametrize(
    ("rate", "held", "surplus"), [(15, 0.5, 0.0), (25, 1 / 6, 0.0), (60, 0.0, 0.5), (12.5, 7 / 12, 0)]
)
def test_another_rate_than_the_cadence_is_held_or_thinned(rate: float, held: float, surplus: float) -> None:
    beat, shown = play(steady(round(20 * rate), rate))
    assert len(shown) == pytest.approx(600, abs=3)
    assert beat.repeated / len(shown) == pytest.approx(held, abs=0.01)
    assert beat.surplus / (20 * rate) == pytest.approx(surplus, abs=0.01)
    assert steps(shown, "time") == pytest.approx([1 / 30] * (len(shown) - 1))
    assert abs(beat.skew) < 1 / 30


@pytest.mark.parametrize("fast", [1.01, 0.99, 1.0002])
def test_a_clock_that_runs_fast_or_slow_is_followed_and_delay_does_not_grow(fast: float) -> None:
    arrivals = steady(9000, fast=fast)
    beat, shown = play(arrivals)
    for picture in shown[-300:]:
        assert 0 <= picture.wall - arrivals[picture.index][0] < 0.06
    assert abs(beat.skew) < 0.035
    assert max(steps(shown, "wall")) < 0.036
    assert beat.jumps == 0


def test_in_a_stall_the_last_picture_is_held_and_after_it_there_is_no_burst() -> None:
    """Three seconds without a frame; then all that was sent meanwhile comes at once."""
    arrivals = [(max(wall, 103.0) if 101 < wall < 103 else wall, time) for wall, time in steady(300)]
    beat, shown = play(sorted(arrivals))
    assert steps(shown, "time") == pytest.approx([1 / 30] * (len(shown) - 1))
    assert min(steps(shown, "wall")) > 0.03
    assert beat.repeated == pytest.approx(59, abs=2)
    assert beat.surplus == pytest.approx(59, abs=2)
    assert all(0 <= s.wall - arrivals[s.index][0] < 0.06 for s in shown[-100:])
    assert abs(beat.skew) < 0.01


def test_a_sender_that_paused_goes_on_later_and_its_sound_with_it() -> None:
    """Its clock stood still for three seconds: times go on where they were."""
    arrivals = [(wall + 3 * (wall > 101), time) for wall, time in steady(400)]
    beat, shown = play(arrivals)
    assert beat.jumps == 1
    assert steps(shown, "time") == pytest.approx([1 / 30] * (len(shown) - 1))
    assert abs(beat.skew) < 0.035, "sound is moved along, so it fits again"
    assert shown[-1].wall - arrivals[shown[-1].index][0] < 0.06


def test_what_had_piled_up_before_the_first_frame_is_no_delay_for_ever() -> None:
    """The first frames come late and all at once; sound keeps its times, the grid skips ahead."""
    arrivals = [(max(wall, 101.3), time) for wall, time in steady(400)]
    beat, shown = play(arrivals)
    assert (beat.jumps, beat.skew) == (0, pytest.approx(0, abs=0.035))
    assert 0 <= shown[-1].wall - arrivals[shown[-1].index][0] < 0.06
    assert all(abs(s * 30 - round(s * 30)) < 1e-6 for s in steps(shown, "time"))
    assert max(steps(shown, "time")) == pytest.approx(1.3, abs=0.1)
    assert min(steps(shown, "wall")) > 0.015
    assert beat.skipped == 0


@pytest.mark.parametrize("jump", [3600.0, -3600.0, -5.0])
def test_a_source_whose_time_jumps_is_moved_back_onto_the_line(jump: float) -> None:
    arrivals = [(wall, time + jump * (wall > 102)) for wall, time in steady(400)]
    beat, shown = play(arrivals)
    assert beat.jumps == 1
    assert steps(shown, "time") == pytest.approx([1 / 30] * (len(shown) - 1))
    assert shown[-1].wall - arrivals[shown[-1].index][0] < 0.06
    assert abs(beat.skew) < 0.04


def test_sound_is_moved_with_the_jump_in_copies() -> None:
    moved: list[Any] = []
    container = av.open("/dev/null", "w", format="null")
    container.add_stream("libx264", rate=30)
    stream = container.add_stream("aac", rate=48000)
    packets = [av.Packet(b"sound") for _ in range(2)]
    for packet, stamp in zip(packets, (5000, 26000), strict=True):
        packet.stream, packet.time_base, packet.pts, packet.dts = stream, Fraction(1, 1000), stamp, stamp
    sides = {0: packets[0], 199: packets[1]}
    beat = Cadence(RATE, [stream])
    for n in range(200):
        wall = 100 + n / 30
        beat.arrive(frame(n, n / 30 + 20 * (n > 60), (sides[n],) if n in sides else ()), wall)
        shown = beat.tick(wall + 1 / 30)
        moved += shown.side if shown else ()
    assert beat.jumps == 1
    assert [p.pts for p in moved] == [5000, pytest.approx(6000, abs=20)]
    assert [p.stream_index for p in moved] == [1, 1]
    assert packets[1].pts == 26000


def test_sound_never_goes_back() -> None:
    beat, heard = Cadence(RATE), []
    for number, dts in enumerate((1000, 1020, 1010, 1040)):
        packet = av.Packet(b"sound")
        packet.time_base, packet.dts = Fraction(1, 1000), dts
        beat.arrive(frame(number, number / 30, (packet,)), 5 + number / 30)
        shown = beat.tick(5 + number / 30 + 0.02)
        heard += [p.dts for p in shown.side] if shown else []
    assert heard == [1000, 1020, 1040]


def test_a_writer_that_is_stuck_leaves_ticks_out_instead_of_racing_after_them() -> None:
    beat, shown = play(steady(300), busy=0.05)
    assert min(steps(shown, "wall")) > 0.049
    assert beat.skipped == pytest.approx(300 - len(shown), abs=3)
    assert all(abs(s * 30 - round(s * 30)) < 1e-6 for s in steps(shown, "time"))


def test_a_dropped_pictures_sound_goes_with_the_next_tick() -> None:
    beat = Cadence(RATE)
    for n in range(3):
        beat.arrive(frame(n, n / 100, (f"sound {n}",)), 10 + n / 100)
    shown = beat.tick(10.03)
    assert shown is not None
    assert (shown.index, shown.side, beat.surplus) == (2, ("sound 0", "sound 1", "sound 2"), 2)
    again = beat.tick(10.06)
    assert again is not None
    assert (again.index, again.side, beat.repeated) == (2, (), 1)


def test_nothing_is_due_before_the_first_frame_or_between_ticks() -> None:
    beat = Cadence(RATE)
    assert beat.due is None
    assert beat.tick(5.0) is None
    beat.arrive(frame(0, 0), 5.0)
    assert beat.tick(5.01) is None
    assert beat.waiting
    assert beat.tick(5.02) is not None
    assert not beat.waiting


# ---- rates ----


def info(rate: Fraction | None) -> StreamInfo:
    return StreamInfo("film", (2, 2), TICK, rate, True)


def test_the_cadence_is_what_was_asked_for_or_what_the_source_says() -> None:
    assert cadence(25, info(Fraction(30))) == 25
    assert cadence(29.97, info(None)) == Fraction(2997, 100)
    assert cadence(None, info(Fraction(30000, 1001))) == Fraction(30000, 1001)
    assert cadence(None, info(None)) == cadence(None, info(Fraction(90000))) == 30
    with pytest.raises(ConfigError, match="--fps"):
        cadence(1000, info(None))


def test_a_sink_is_told_a_time_base_in_which_the_grid_is_whole() -> None:
    for rate in (Fraction(30), Fraction(30000, 1001), Fraction(25), Fraction(2997, 100)):
        told = on_grid(info(Fraction(50)), rate)
        assert told.rate == rate
        assert (1 / rate / told.time_base).denominator == 1
        assert told.time_base <= Fraction(1, 10_000)


@pytest.mark.parametrize(("rate", "kept"), [(10, 20), (15, 30), (30, 60), (60, 60)])
def test_thinning_takes_even_steps(rate: int, kept: int) -> None:
    thin = Thinning(Fraction(rate))
    taken = [n for n in range(60) if thin.keeps(frame(n, round(n / 30, 3)))]
    assert len(taken) == kept
    assert len({b - a for a, b in itertools.pairwise(taken)}) == 1
