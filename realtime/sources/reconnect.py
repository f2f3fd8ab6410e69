"""A live source that goes away and comes back: opened again with growing pauses, its times and sizes as before."""

import io
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from types import TracebackType
from typing import Any

import av

from allaprima.realtime.errors import SourceError, SourceLost
from allaprima.realtime.frame import Color, Frame
from allaprima.realtime.sinks.picture import Converter, even, to_av
from allaprima.realtime.sources import Source
from allaprima.realtime.sources.picture import view
from allaprima.realtime.sources.request import SIDE_MIN_PIXELS, Request
from allaprima.realtime.sources.timeline import fraction

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 5.0
"""Seconds between two attempts to open it again; each failed one doubles them."""
LIVED = 5.0
"""A source that gave frames for so many seconds begins with the first pause again."""

logger = logging.getLogger(__name__)

Opener = Callable[[Request], Source]


class Reconnecting:
    """Frames of a live source, whatever becomes of the line.

    What comes after a gap is as much later as the gap was long, has the size and color coding of the first frame,
    and its sound only if that is of the same kind.  ``open_again`` is called with what is still wanted of the
    request; ``patience`` is for how many seconds in a row (of one absence) it is tried.
    """

    def __init__(self, first: Source, open_again: Opener, patience: float, request: Request | None = None) -> None:
        self.away = False
        """Whether it is being waited for right now."""
        self.returns = 0
        """How often it was lost and came back."""
        self._source = first
        self._open_again = open_again
        self._patience = patience
        self._request = request or Request()
        self._kept, self._side = durable(first.info.side_streams)
        self.info = replace(first.info, side_streams=self._side)
        self._layout = _layout(self._side)
        self._same_sound = True
        self._lost = 0
        self._notes: list[str] = []
        self._stopped = threading.Event()
        self._count = 0
        self._shift = Fraction(0)
        self._begin: Fraction | None = None
        self._last: tuple[Fraction, float] | None = None
        self._pause = FIRST_PAUSE
        self._convert = Converter()

    @property
    def lost(self) -> int:
        return self._lost + (0 if self.away else self._source.lost)

    @property
    def notes(self) -> list[str]:
        """Those of each opening, once each."""
        found = list(dict.fromkeys([*self._notes, *self._source.notes]))
        times = "once" if self.returns == 1 else f"{self.returns} times"
        return [*found, f"the source was lost and came back {times}"] if self.returns else found

    def __enter__(self) -> "Reconnecting":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        if not self.away:
            self._source.__exit__(kind, error, trace)
        self._kept.close()

    def stop(self) -> None:
        """Ask the iteration to end soon: an attempt to open it is waited for."""
        self._stopped.set()
        self._source.stop()

    def __iter__(self) -> Iterator[Frame]:
        """Raises `SourceLost` when it has stayed away for longer than the patience."""
        while True:
            try:
                for frame in self._source:
                    yield self._placed(frame)
                return
            except SourceLost as error:
                loss = error.with_traceback(None)  # with it, it holds what was lost
            if self._stopped.is_set():
                return
            self._wait_for(loss)
            if self.away:
                return

    def _wait_for(self, loss: SourceLost) -> None:
        """Open it again; raises ``loss`` after the patience.  Still away afterwards: somebody asked to stop."""
        logger.warning("%s; waiting for it", loss)
        self._lost, self._notes = self.lost, [*self._notes, *self._source.notes]
        self.away = True
        self._source.__exit__(None, None, None)
        began = time.monotonic()
        if self._last is not None and began - self._last[1] > LIVED:
            self._pause = FIRST_PAUSE
        while time.monotonic() - began < self._patience:
            if self._stopped.wait(min(self._pause, self._patience)):
                return
            self._pause = min(2 * self._pause, LONGEST_PAUSE)
            try:
                source = self._open_again(self._left())
            except SourceError as error:
                logger.info("%s", error)
                continue
            self._take(source, began)
            return
        raise loss

    def _take(self, source: Source, began: float) -> None:
        self._source = source
        self._begin = None
        self._same_sound = _layout(source.info.side_streams) == self._layout
        if not self._same_sound:
            self._notes.append("the sound came back as another kind and is left out")
        self._pause = FIRST_PAUSE
        self.returns += 1
        self.away = False
        logger.warning("%s: back after %.1f s", self.info.name, time.monotonic() - began)
        if self._stopped.is_set():
            source.stop()

    def _left(self) -> Request:
        """What is still wanted, at the size of the first frame."""
        wanted, size = self._request, self.info.size
        request = Request(size if min(size) >= SIDE_MIN_PIXELS else None)
        if wanted.frames is not None:
            request = replace(request, frames=max(1, wanted.frames - self._count))
        if wanted.end is not None and self._last is not None:
            past = float(self._last[0]) + (wanted.start or 0)
            request = replace(request, end=max(wanted.end - past, 0.001))
        return request

    def _placed(self, frame: Frame) -> Frame:
        """The frame on the time line of the first source."""
        now, tick = time.monotonic(), self.info.time_base
        came = frame.pts * frame.time_base
        if self.returns and self._begin is None and self._last is not None:
            then, when = self._last
            self._begin = came
            self._shift = then + Fraction(max(now - when, float(tick))).limit_denominator(10**6) - came
        place = came + self._shift
        self._last = (place, now)
        self._count += 1
        if not self.returns:
            return frame
        side = frame.side if self._same_sound else ()
        for packet in side:
            _move(packet, self._shift)
        return replace(
            self._colored(frame),
            pts=round(place / tick),
            time_base=tick,
            duration=round(frame.duration * frame.time_base / tick),
            index=self._count - 1,
            side=side,
        )

    def _colored(self, frame: Frame) -> Frame:
        """In the color coding of the first frame."""
        if frame.landing is not None:
            return frame  # it lies on a device, which paints any coding
        return recolored(frame, self.info.color, self._convert)


def durable(streams: Sequence[Any]) -> tuple[Any, tuple[Any, ...]]:
    """Copies of side streams that outlive their source, and the container that holds them; indexes stay.

    A sink that is opened again copies its parameters from them when the first source has long been closed.
    """
    container = av.open(io.BytesIO(), "w", format="null")
    copies = []
    for stream in sorted(streams, key=lambda stream: stream.index):
        while len(container.streams) < stream.index:
            container.add_data_stream()
        copy: Any = container.add_stream_from_template(stream, opaque=True)
        copy.time_base = stream.time_base
        copy.metadata.update(dict(stream.metadata))
        copy.disposition = stream.disposition
        copies.append(copy)
    return container, tuple(copies)


def recolored(frame: Frame, color: Color, convert: Converter) -> Frame:
    """A frame in host memory, in another color coding."""
    if _coding(frame.color, frame) == _coding(color, frame):
        return replace(frame, color=color)
    picture = convert(to_av(frame, even(frame.size)), frame.color, color, "yuv420p")
    planes = [view(plane) for plane in picture.planes]
    shaped = tuple(new[: old.shape[0], : old.shape[1]] for new, old in zip(planes, frame.planes, strict=True))
    return replace(frame, planes=shaped, color=color)


def _layout(streams: Sequence[Any]) -> list[tuple[Any, ...]]:
    """What must be alike for packets of one source to go on where another's ended."""
    found = []
    for stream in streams:
        context = stream.codec_context
        sound = (context.sample_rate, context.channels) if stream.type == "audio" else ()
        found.append((stream.index, stream.type, context.codec.canonical_name, *sound))
    return sorted(found)


def _move(packet: Any, shift: Fraction) -> None:
    tick = fraction(packet.time_base)
    if tick is None:
        return
    ticks = round(shift / tick)
    if packet.pts is not None:
        packet.pts += ticks
    if packet.dts is not None:
        packet.dts += ticks


def _coding(color: Color, frame: Frame) -> tuple[tuple[float, float], bool]:
    return color.coefficients(frame.size[1]), color.full_range
