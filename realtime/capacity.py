"""How much live painting this machine can carry, by measurement.

The unit is the whole machine: a load of 1 means that it does nothing else.  What a stream costs is measured by painting
a small scene alone, at full and at the least effort; it grows with pixels and frames a second.  Decoding and encoding
are not counted, so that the estimate is low: a stream is refused only where it surely does not fit.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from allaprima.realtime.backends import Effort
from allaprima.realtime.bundle import Bundle
from allaprima.realtime.frame import Frame
from allaprima.realtime.machine import cores
from allaprima.realtime.sources import open_source
from allaprima.realtime.stylizer import Stylizer

SIZE = (640, 360)
"""Pixels of the scene that is painted, and of a stream that has shown nothing yet."""
USUAL_RATE = 30.0
"""Frames a second of a stream that has shown nothing yet."""
WARM, TIMED = 3, 12
"""Frames painted before the clock runs, and while it does: a multiple of every share that the nets may paint."""
MOST_SECONDS = 3.0
"""The clock stops after so long; a slow machine has told enough by then."""
SETTLING = 30.0
"""Seconds after which a net that is not there yet is waited for no longer."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of the whole machine that a megapixel takes."""

    full: float
    least: float

    def load(self, size: tuple[int, int], rate: float) -> float:
        """Share of the machine that a stream takes at the least effort."""
        return self.least * size[0] * size[1] / 1e6 * rate


class Capacity:
    """What is known of the machine, and who still fits.  Any thread may call."""

    def __init__(self, cost: Cost | None = None) -> None:
        self.cost = cost
        self.refused = 0
        self._lock = threading.Lock()

    def loads(self, streams: Sequence[tuple[tuple[int, int] | None, float]]) -> list[float]:
        """The load of each stream, given as size (None: no frame yet) and frames a second; nothing without a cost."""
        if self.cost is None:
            return []
        return [
            self.cost.load(SIZE, USUAL_RATE) if size is None else self.cost.load(size, rate) for size, rate in streams
        ]

    def following(self, loads: Sequence[float]) -> float:
        """The load of one stream more: the mean of those there are."""
        if loads:
            return sum(loads) / len(loads)
        return 0.0 if self.cost is None else self.cost.load(SIZE, USUAL_RATE)

    def refusal(self, loads: Sequence[float]) -> str:
        """Why one stream more does not fit; empty where it does, and always for the first."""
        reason = refusal(loads, self.following(loads))
        if reason:
            with self._lock:
                self.refused += 1
        return reason


def refusal(running: Sequence[float], new: float) -> str:
    """Why a stream of the load ``new`` does not fit beside those that run; empty where it does, or is the first."""
    total = sum(running) + new
    if not running or total <= 1:
        return ""
    return (
        f"this machine cannot paint {len(running) + 1} such streams: even at the least effort they would take "
        f"{total:.0%} of it"
    )


class _Void(Exception):
    """The figures would mean nothing: something else needs the machine."""


def probe(
    bundle: Path | Bundle | None = None, backend: str = "auto", alone: Callable[[], bool] = lambda: True
) -> Cost | None:
    """Measure, in a few seconds; None as soon as ``alone`` says no, for then the figures would mean nothing.

    Raises what `Stylizer` raises.
    """
    stylizer = Stylizer(bundle=bundle, backend=backend)
    with open_source("test:landscape", size=SIZE, frames=WARM + TIMED) as source:
        frames = list(source)
    try:
        stylizer(frames[0])
        efforts = stylizer.efforts
        full, least = (_seconds(stylizer, effort, frames, alone) for effort in (efforts[0], efforts[-1]))
    except _Void:
        return None
    area = SIZE[0] * SIZE[1] / 1e6
    return Cost(full / area, min(least, full) / area)


def _seconds(stylizer: Stylizer, effort: Effort, frames: Sequence[Frame], alone: Callable[[], bool]) -> float:
    """Seconds of the machine that a frame takes.

    Where the CPU paints, that is what the process used of all cores; a device paints for one stream at a time.
    """
    stylizer.effort = effort
    began, painted = time.perf_counter(), 0
    while painted < WARM or not stylizer.settled:
        if not alone() or time.perf_counter() - began > SETTLING:
            raise _Void
        stylizer(frames[painted % len(frames)])
        painted += 1
    began, used, painted = time.perf_counter(), time.process_time(), 0
    for frame in frames[WARM:]:
        stylizer(frame).landed()
        painted += 1
        if not alone():
            raise _Void
        if time.perf_counter() - began > MOST_SECONDS and painted % effort.every == 0:
            break
    wall, shared = time.perf_counter() - began, (time.process_time() - used) / cores()
    return (shared if stylizer.device == "cpu" else wall) / painted
