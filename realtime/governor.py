"""Holds a live stream to its rate: from what frames cost it says how much work may go into the next ones.

Pure logic: times come in with the frames, nothing in here looks at a clock.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import fmean, median

from allaprima.realtime.backends import Effort
from allaprima.realtime.errors import ConfigError

USUAL_RATE = 30.0
"""Frames a second of a source that has not shown its rate yet."""
REMEMBERED = 30
"""Frames over which a source's rate and the load of now are taken."""
WINDOW = 8
"""Frames that show an overload; with `Effort.every` 3 it is 9."""
OVER, CALM = 1.05, 0.75
"""Mean load of a window from which on it is an overload, and the load that frames not seen yet are taken to have."""
SPIKE = 1.5
"""Most that one painted frame, with those carried after it, counts for: one or two slow frames are no overload."""
LOSING, BUSY, LOSING_SECONDS = 0.85, 0.7, 3
"""A second in which fewer than this share of the frames are done, while the engine works for more than that share of
it; and how many in a row are an overload.  Stalls that come again and again, which the windows do not see."""
FITS = 0.95
"""Load that a step down should lead to."""
HEADROOM = 0.85
"""Load that a step up may lead to."""
UNBEARABLE, HOPELESS = 1.5, 3.0
"""Loads at the least effort from which on nothing is painted, when they last for `REMEMBERED` frames, and at once.
Two thirds of the frames painted beat none, and a burst of other work is soon over."""
GAIN_DOWN, GAIN_UP = 1.4, 1.2
"""Times a step is taken to cost more than the one below it, as long as nobody knows: on the way down, where the next
step down is soon taken, and on the way up, where a wrong guess shows at once."""
LEAST_GAIN, MOST_GAIN = 1.05, 3.0
"""Limits of what is believed of it."""
FIRST_WAIT, LONGEST_WAIT = 1.0, 64.0
"""Seconds that a step up must have looked affordable; every one that fails doubles them."""
PROBATION = 20.0
"""Seconds in which a step up can fail."""
FORGETTING = 30.0
"""Times the wait: after so long without a step, half of what is known of the step above is forgotten."""
PAUSE, PAUSE_PERIODS = 0.5, 8
"""Seconds, and times the usual, from which on a gap between two frames is a pause, in which no time goes by.  Two in a
row are a slow source."""
LEAST_PERIOD = 1 / 240
NOTHING = (0.0, 0, 0.0)
"""Seconds that have passed, frames that were done, and seconds of work, at the beginning of a second."""
ORDINALS = {2: "2nd", 3: "3rd"}


@dataclass(frozen=True, slots=True)
class Step:
    """Where on the ladder a stream is now."""

    place: int
    """0 is full effort; the last one is pass-through."""
    effort: Effort | None
    """None: the input goes through unpainted."""
    reason: str

    @property
    def name(self) -> str:
        return describe(self.effort)


def describe(effort: Effort | None) -> str:
    """The effort in a few words: "net at 3/4 every 2nd frame"; of the flow where that is all, or carries much."""
    if effort is None:
        return "pass-through"
    size = f" at {Fraction(effort.scale).limit_denominator(16)}" if effort.scale < 1 else ""
    often = f" every {ORDINALS.get(effort.every, f'{effort.every}th')} frame" if effort.every > 1 else ""
    rough = "flow at half size" if effort.coarse and (often or not size) else ""
    return ", ".join(part for part in (f"net{size}{often}" if size or often else "", rough) if part) or "full"


class Governor:
    """Walks a ladder of efforts so that frames take no longer than they may.

    The *deadline* of a frame is the time between two frames: of the source, or of ``rate`` (frames a second) if that
    is longer; ``max_latency`` (seconds) shortens it.  The *load* is what frames take on average, over the deadline.

    Down: when a window of frames is overloaded, at once, as far as seems needed.  Up: a step at a time, when the step
    above has looked affordable for a while; what it costs is estimated from what steps down have saved.  A step up
    that fails doubles that while, so a load that comes and goes ends in rest, not in swinging.
    """

    def __init__(self, efforts: Sequence[Effort], rate: float | None = None, max_latency: float | None = None) -> None:
        for name, value in (("the rate", rate), ("the latency", max_latency)):
            if value is not None and not 0 < value < math.inf:
                raise ConfigError(f"{name} must be above 0, not {value:g}")
        self.steps = 0
        """How often the effort has changed."""
        self.efforts = tuple(efforts)
        self._ladder: tuple[Effort | None, ...] = (*efforts, None)
        self._rate, self._max_latency = rate, max_latency
        self.step = Step(0, self._ladder[0], "as it began")
        self._arrivals: deque[tuple[float, int]] = deque(maxlen=REMEMBERED)
        self._last: tuple[float, int] | None = None
        self._paused = False
        self._costs: deque[float] = deque(maxlen=REMEMBERED)
        self._gains: list[float | None] = [None] * len(efforts)
        self._before: tuple[int, float] | None = None
        self._second = NOTHING
        self._losing = 0
        self._wait = FIRST_WAIT
        self._steady = self._unchanged = 0.0
        self._risen = PROBATION

    @property
    def period(self) -> float:
        """Seconds between two frames that are to be shown."""
        frames = sum(count for _, count in self._arrivals)
        period = sum(gap for gap, _ in self._arrivals) / frames if frames else 0.0
        period = max(period, 1 / self._rate if self._rate else 0.0) or 1 / USUAL_RATE
        return max(period, LEAST_PERIOD)

    @property
    def deadline(self) -> float:
        """Seconds that a frame may take."""
        return self.period if self._max_latency is None else min(self.period, self._max_latency)

    def frame(self, seconds: float, at: float, index: int, settled: bool = True) -> Step | None:
        """A frame is done; gives the new step where the effort changes with the next one.

        ``seconds`` is what it took, without any waiting for it; ``at`` when the source had it, by any steady clock;
        ``index`` its place in the source, where dropped frames leave gaps.  ``settled`` is False as long as the last
        step has not come into force: such frames say nothing.
        """
        passed = self._arrived(at, index)
        if not settled:
            return None
        self._costs.append(seconds)
        self._count(passed, seconds)
        self._learn()
        self._grow_old(passed)
        return self._fallen() or self._climbed(passed)

    def _arrived(self, at: float, index: int) -> float:
        """Seconds since the frame before, pauses left out."""
        last, self._last = self._last, (at, index)
        if last is None:
            return 0.0
        gap, count = at - last[0], index - last[1]
        if count <= 0 or gap < 0:  # another source
            return 0.0
        self._paused = gap > max(PAUSE, PAUSE_PERIODS * self.period) * count and not self._paused
        if self._paused:
            return 0.0
        self._arrivals.append((gap, count))
        return gap

    def _count(self, passed: float, seconds: float) -> None:
        """Seconds in a row in which frames were lost because the engine was at work."""
        elapsed, done, busy = self._second
        elapsed, done, busy = self._second = (elapsed + passed, done + 1, busy + seconds)
        if elapsed >= 1:
            lost = done * self.period < LOSING * elapsed and busy > BUSY * elapsed
            self._losing = self._losing + 1 if lost else 0
            self._second = NOTHING

    def _loads(self, frames: int) -> list[float]:
        """Of the last frames, newest first; a painted one and those carried after it count as one."""
        every = self.step.effort.every if self.step.effort else 1
        costs, deadline = list(self._costs)[::-1][: every * -(-frames // every)], self.deadline
        return [fmean(costs[i : i + every]) / deadline for i in range(0, len(costs) - every + 1, every)]

    def _is_overloaded(self) -> bool:
        every = self.step.effort.every if self.step.effort else 1
        if self._losing >= LOSING_SECONDS:
            return True
        recent = [min(load, SPIKE) for load in self._loads(WINDOW)]
        recent += [CALM] * (-(-WINDOW // every) - len(recent))
        if fmean(recent) > OVER:
            return True
        return len(self._costs) >= REMEMBERED and fmean(min(load, SPIKE) for load in self._loads(REMEMBERED)) > 1

    # ---- down ----

    def _fallen(self) -> Step | None:
        lowest = len(self._ladder) - 1
        place = self.step.place
        if place == lowest or not self._is_overloaded():
            return None
        load = median(self._loads(WINDOW))
        if self._losing >= LOSING_SECONDS:
            load = max(load, fmean(self._loads(REMEMBERED)))
        if place == lowest - 1:
            if load <= HOPELESS and (len(self._costs) < REMEMBERED or fmean(self._loads(REMEMBERED)) <= UNBEARABLE):
                return None
            target = lowest
        else:
            target, left = place, load
            while left > FITS and target < lowest - 1:
                left /= self._gains[target] or GAIN_DOWN
                target += 1
            target = max(target, place + 1)
        if self._risen < PROBATION:
            self._wait = min(2 * self._wait, LONGEST_WAIT)
        self._risen = PROBATION
        return self._go(target, f"frames take {self._milliseconds(load)}")

    def _learn(self) -> None:
        """What the last step down has saved, once a window of frames has shown it."""
        if self._before is None or len(self._costs) < WINDOW:
            return
        place, cost = self._before
        self._before = None
        steps = self.step.place - place
        gain = (cost / max(median(self._loads(WINDOW)) * self.deadline, 1e-6)) ** (1 / steps)
        self._gains[place : place + steps] = [min(max(gain, LEAST_GAIN), MOST_GAIN)] * steps

    # ---- up ----

    def _climbed(self, passed: float) -> Step | None:
        place = self.step.place
        if place == 0 or len(self._costs) < WINDOW:
            return None
        load = fmean(self._loads(REMEMBERED))
        unpainted = self.step.effort is None  # what painting would cost now, only painting can tell
        self._steady += passed
        if load * (1.0 if unpainted else self._gains[place - 1] or GAIN_UP) > HEADROOM:
            self._steady = 0.0
        if self._steady < self._wait:
            return None
        self._risen = 0.0
        return self._go(place - 1, f"frames took {self._milliseconds(load)} for {self._steady:.0f} s")

    def _grow_old(self, passed: float) -> None:
        if self._risen < PROBATION:
            self._risen += passed
            if self._risen >= PROBATION:
                self._wait = FIRST_WAIT  # it has held
        self._unchanged += passed
        if self._unchanged >= FORGETTING * self._wait:
            self._unchanged = 0.0
            self._gains = [math.sqrt(gain * GAIN_UP) if gain and gain > GAIN_UP else gain for gain in self._gains]

    def _go(self, place: int, reason: str) -> Step:
        down = place > self.step.place
        cost = median(self._loads(WINDOW)) * self.deadline if down else 0.0
        self._before = (self.step.place, cost) if down and self._ladder[place] is not None else None
        self._costs.clear()
        self._steady = self._unchanged = 0.0
        self._second, self._losing = NOTHING, 0
        self.step = Step(place, self._ladder[place], reason)
        self.steps += 1
        return self.step

    def _milliseconds(self, load: float) -> str:
        return f"{1000 * load * self.deadline:.0f} of {1000 * self.deadline:.0f} ms"
