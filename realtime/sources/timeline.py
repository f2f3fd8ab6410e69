"""When frames are shown: gaps filled, repeats nudged, a part cut out and moved to zero."""

from fractions import Fraction
from typing import Any

RESTART_SECONDS = 1
"""A timestamp this far before the last one means that the clock was set anew."""


def fraction(value: Any) -> Fraction | None:
    """PyAV's rationals as `Fraction`; unset ones (None in PyAV 18, 0/1 from 19 on) as None."""
    if not value:
        return None
    return Fraction(value.numerator, value.denominator)


class Timeline:
    """Timestamps as the file has them, but strictly rising.

    ``from_zero``: the first frame that is kept starts at 0, and all else moves with it.
    """

    def __init__(self, time_base: Fraction, rate: Fraction | None, from_zero: bool) -> None:
        self.time_base = time_base
        self.nudged = 0
        self.restarts = 0
        self._step = max(1, round(1 / ((rate or 25) * time_base)))
        self._from_zero = from_zero
        self._last: int | None = None
        self._jump = 0
        self._origin: int | None = None

    def place(self, pts: int | None) -> int:
        """The frame's time on a line that never repeats and never runs back."""
        if pts is None:
            placed = 0 if self._last is None else self._last + self._step
        else:
            placed = self._rising(pts + self._jump)
        self._last = placed
        return placed

    def _rising(self, pts: int) -> int:
        if self._last is None or pts > self._last:
            return pts
        if (self._last - pts) * self.time_base > RESTART_SECONDS:
            self.restarts += 1
            self._jump += self._last + self._step - pts
            return self._last + self._step
        self.nudged += 1
        return self._last + 1

    def keep_from(self, pts: int) -> None:
        """This placed time is the first that is kept."""
        if self._from_zero and self._origin is None:
            self._origin = pts

    def shown(self, pts: int) -> int:
        return pts - (self._origin or 0)

    def move(self, packet: Any) -> None:
        """Move a packet of another stream as the frames are moved."""
        ticks = self._jump - (self._origin or 0)
        tick = fraction(packet.time_base)
        if not ticks or tick is None:
            return
        delta = round(ticks * self.time_base / tick)
        if packet.pts is not None:
            packet.pts += delta
        if packet.dts is not None:
            packet.dts += delta

    def notes(self) -> list[str]:
        found = []
        if self.nudged:
            found.append(f"{self.nudged} timestamps repeated or ran back; they were nudged forward")
        if self.restarts:
            found.append(f"the clock of the input was set back {self.restarts} times; the gaps were closed")
        return found


class Window:
    """Which frames and packets are kept, on the time line of the file."""

    def __init__(self, time_base: Fraction) -> None:
        self._time_base = time_base
        self.first: Fraction | int | None = None
        self.past: Fraction | int | None = None

    def before(self, pts: int) -> bool:
        return self.first is not None and pts < self.first

    def after(self, pts: int) -> bool:
        return self.past is not None and pts >= self.past

    def side_time(self, packet: Any) -> Fraction | None:
        """A packet's time, in ticks of the video stream."""
        stamp = packet.pts if packet.pts is not None else packet.dts
        tick = fraction(packet.time_base)
        return None if stamp is None or tick is None else stamp * tick / self._time_base

    def keeps(self, packet: Any) -> bool:
        time = self.side_time(packet)
        if time is None:
            return self.first is None and self.past is None
        return (self.first is None or time >= self.first) and (self.past is None or time < self.past)
