"""A steady cadence out of frames that come when they come: which one is shown at which tick of the clock.

Ticks are equal steps on the source's own time line, so sound, which carries the source's times, stays with the
picture.  When a tick is due by our clock follows from when frames arrived: slowly, by a loop that frames which
are late or early move by little, so that a source's clock that runs fast or slow is followed and jitter is not.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from allaprima.realtime.errors import ConfigError
from allaprima.realtime.frame import Frame, StreamInfo
from allaprima.realtime.sinks.side import duplicate

USUAL_RATE = Fraction(30)
SLOWEST, FASTEST = 1, 240
FOLLOW = 0.03
"""Share of a frame's error by which the clock is set right, of half a tick at most: 1.5 % of speed either way."""
LATE_SECONDS, LATE_LASTS = 0.5, 2.0
EARLY_SECONDS, EARLY_LASTS = 0.1, 0.25
"""Frames that are so far off for so long are no jitter.  Early ones tell sooner: no frame comes before its time."""
JUMP_SECONDS = 10.0
"""So far off the source's time has been set anew."""
SMOOTH = 0.05
"""Share of the newest in the mean that is told."""
FINEST = 10_000
"""Ticks a second of the time base, at least: containers round to it."""


def cadence(wanted: float | None, info: StreamInfo) -> Fraction:
    """Frames a second to send: what was asked for, or what the source says, or 30."""
    if wanted is not None and not SLOWEST <= wanted <= FASTEST:
        raise ConfigError(f"--fps must be between {SLOWEST} and {FASTEST}, not {wanted:g}")
    rate = USUAL_RATE if info.rate is None else info.rate
    if wanted is not None:
        rate = Fraction(str(wanted))
    return rate if SLOWEST <= rate <= FASTEST else USUAL_RATE


def on_grid(info: StreamInfo, rate: Fraction) -> StreamInfo:
    """What a sink is told of a stream that comes at a steady ``rate``."""
    return replace(info, rate=rate, time_base=time_base(rate))


def time_base(rate: Fraction) -> Fraction:
    """A unit of time in which every tick of ``rate`` is a whole number."""
    return Fraction(1, rate.numerator * -(-FINEST // rate.numerator))


class Thinning:
    """Lets no more than ``rate`` frames a second of the source's time through, evenly."""

    def __init__(self, rate: Fraction) -> None:
        self._rate = rate
        self._last: int | None = None

    def keeps(self, frame: Frame) -> bool:
        # Times are rounded to the ticks of a container: without the small lead a frame would miss its own slot.
        slot = math.floor(frame.pts * frame.time_base * self._rate + Fraction(1, 10))
        kept = slot != self._last
        self._last = slot
        return kept


class Cadence:
    """Takes frames when they come and gives one at each tick: the newest, or the last once more.

    Knows no clock: every call is told what time it is, in seconds of any clock that does not jump.
    """

    def __init__(self, rate: Fraction, streams: Sequence[Any] = ()) -> None:
        """``streams`` are the side streams, for packets whose time has to be moved."""
        self.repeated = 0
        """Ticks at which the last frame was shown again."""
        self.surplus = 0
        """Frames that a newer one replaced before a tick came."""
        self.skipped = 0
        """Ticks that passed while nobody could write."""
        self.jumps = 0
        """How often the source's time jumped; its sound was moved along."""
        self.skew = 0.0
        """Seconds by which pictures are shown after their sound, the mean of late."""
        self._rate = rate
        self._streams = {stream.index: stream for stream in streams}
        self._step = 1 / rate
        self._tick = time_base(rate)
        self._origin: Fraction | None = None
        self._number = 0
        self._offset = 0.0
        self._shift = Fraction(0)
        self._fresh: Frame | None = None
        self._last: Frame | None = None
        self._side: tuple[Any, ...] = ()
        self._heard: dict[int, Fraction] = {}
        self._off: float | None = None

    @property
    def waiting(self) -> bool:
        """Whether a frame has come that was not shown yet."""
        return self._fresh is not None

    @property
    def due(self) -> float | None:
        """When the next tick is; None before the first frame."""
        if self._origin is None:
            return None
        return float(self._origin + self._number * self._step) + self._offset

    def arrive(self, frame: Frame, now: float) -> None:
        """A new frame has come."""
        time = frame.pts * frame.time_base
        if self._origin is None:
            # Half a tick of room: a frame may be so much early or late and still has a tick of its own.
            self._origin, self._offset = time, now - float(time) + float(self._step) / 2
        self._follow(time, now)
        if self._fresh is not None:
            self.surplus += 1
        self._fresh = frame
        side = frame.side if not self._shift else _moved(frame.side, self._shift, self._streams)
        self._side += tuple(packet for packet in side if self._goes_on(packet))

    def _goes_on(self, packet: Any) -> bool:
        """Whether a packet comes after the last one of its stream; no container takes others."""
        stamp = getattr(packet, "dts", None)
        if stamp is None or not packet.time_base:
            return True
        time, last = stamp * packet.time_base, self._heard.get(packet.stream_index)
        if last is not None and time <= last:
            return False
        self._heard[packet.stream_index] = time
        return True

    def _follow(self, time: Fraction, now: float) -> None:
        room = float(self._step) / 2
        error = now - float(time + self._shift) + room - self._offset
        if -EARLY_SECONDS <= error <= LATE_SECONDS:
            self._off = None
            self._offset += FOLLOW * min(max(error, -room), room)
            return
        self._off = now if self._off is None else self._off
        lasts = now - self._off
        if abs(error) > JUMP_SECONDS or (error > 0 and lasts >= LATE_LASTS):
            self.jumps += 1
            self._off = None
            self._shift += Fraction(error).limit_denominator(1000)  # sound and pictures go on where they were
        elif error < 0 and lasts >= EARLY_LASTS:
            self._off = None
            self._offset += error  # what had piled up before the first frame is gone: the grid skips ahead
            self._number += math.floor(-error * self._rate)

    def tick(self, now: float) -> Frame | None:
        """The frame of the tick that is due, its time on the grid; None while none is due."""
        due = self.due
        if due is None or self._origin is None or now < due:
            return None
        late = math.floor((now - due) * float(self._rate))
        self.skipped += late
        self._number += late
        shown = self._fresh or self._last
        assert shown is not None  # there was a first frame
        self.repeated += self._fresh is None
        if self._fresh is not None:
            skew = self._origin + self._number * self._step - shown.pts * shown.time_base - self._shift
            self.skew += (float(skew) - self.skew) * (SMOOTH if self._last else 1.0)
        side, self._side = self._side, ()
        self._last, self._fresh = shown, None
        pts = round(self._origin / self._tick) + self._number * round(self._step / self._tick)
        self._number += 1
        return replace(
            shown, pts=pts, time_base=self._tick, duration=round(self._step / self._tick), side=side,
        )  # fmt: skip


def _moved(packets: tuple[Any, ...], shift: Fraction, streams: Mapping[int, Any]) -> tuple[Any, ...]:
    """Copies of packets, later by ``shift`` seconds; other sinks have the packets themselves."""
    found = []
    for packet in packets:
        if (stream := streams.get(packet.stream_index)) is not None:
            copy = duplicate(packet, shift)
            copy.stream = stream
            found.append(copy)
    return tuple(found)
