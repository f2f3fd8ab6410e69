"""The demux and decode loop that every FFmpeg input shares."""

import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from types import TracebackType
from typing import Any

import av
from av.error import FFmpegError

from allaprima.realtime.backends.hardware import Surface
from allaprima.realtime.errors import SourceError, SourceLost
from allaprima.realtime.frame import Frame, StreamInfo
from allaprima.realtime.sources.decoder import Decoder
from allaprima.realtime.sources.picture import PictureReader, color_of
from allaprima.realtime.sources.request import Request, seconds
from allaprima.realtime.sources.seek import from_first_key, seek_before
from allaprima.realtime.sources.tally import Tally, reason
from allaprima.realtime.sources.timeline import Timeline, Window, fraction

GIVE_UP_AFTER_FAILED_READS = 1000
SIDE_WAIT_SECONDS = 2
"""How far behind the last kept frame packets of other streams are looked for."""


@dataclass(frozen=True, slots=True)
class Input:
    """An open container and what of it is wanted."""

    name: str
    container: Any
    video: Any
    side: tuple[Any, ...] = ()
    live: bool = False
    from_zero: bool = False
    """Timestamps start at 0, as a camera's do not by themselves."""
    notes: list[str] = field(default_factory=list)
    on_stop: Callable[[], None] | None = None
    on_close: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Shot:
    """A decoded picture that is kept."""

    frame: av.VideoFrame
    pts: int
    captured: float


class MediaSource:
    """Frames of an FFmpeg input.

    The first picture is decoded on construction, so what cannot be read fails there.  Packets in
    `Frame.side` outlive the source, but ``packet.stream`` does not: use ``packet.stream_index``.
    """

    def __init__(self, given: Input, request: Request) -> None:
        self.notes = given.notes
        self._given = given
        self._request = request
        self._tally = Tally()
        self._decoder = Decoder(given.video, self._tally.failed, self.notes, request.size, request.hardware)
        self._stopped = threading.Event()
        self._side: list[Any] = []
        self._rate = fraction(given.video.average_rate) or fraction(given.video.guessed_rate)
        self._time_base = fraction(given.video.time_base) or Fraction(1, 90000)
        self._timeline = Timeline(self._time_base, self._rate, given.from_zero or request.trims)
        self._window = Window(self._time_base)
        self._begin_known = given.video.start_time is not None and not given.live
        self._packets: Iterator[Any] = self._start()
        self._shots = self._keep()
        first = next(self._shots, None)
        if first is None:
            raise self._nothing()
        self._reader = PictureReader(first.frame, request.size)
        self.info = self._describe(first)
        self._frames = self._deliver(first)

    def __enter__(self) -> "MediaSource":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._frames.close()
        self._shots, self._packets = iter(()), iter(())  # half read they hold all of this, the decoder too
        self._given.container.close()
        if self._given.on_close is not None:
            self._given.on_close()

    def __iter__(self) -> Iterator[Frame]:
        return self._frames

    @property
    def lost(self) -> int:
        return self._tally.lost

    def stop(self) -> None:
        """Ask the iteration to end soon: with the next packet, or when the read times out."""
        self._stopped.set()
        if self._given.on_stop is not None:
            self._given.on_stop()

    # Packets

    def _start(self) -> Iterator[Any]:
        if self._given.live:
            return from_first_key(self._demux(), self._given.video)
        if self._begin_known:
            self._cut_at(self._given.video.start_time)
        if self._window.first is None:
            return self._demux()
        return seek_before(self._given.container, self._given.video, self._window.first, self._demux)

    def _cut_at(self, begin: int) -> None:
        """Set the window that was asked for, once it is known when the stream begins."""
        start, end = self._request.start, self._request.end
        if start:
            self._window.first = begin + seconds(start) / self._time_base
        if end is not None:
            self._window.past = begin + seconds(end) / self._time_base

    def _demux(self) -> Iterator[Any]:
        """Packets of the video and the side streams; the last video packet is empty and flushes."""
        streams = (self._given.video, *self._given.side)
        failed = 0
        while failed < GIVE_UP_AFTER_FAILED_READS:
            try:
                for packet in self._given.container.demux(*streams):
                    failed = 0
                    yield packet
                return
            except (FFmpegError, OSError) as error:
                self._tally.why = reason(error)
                if self._given.live:
                    return
                failed += 1
        self.notes.append(f"reading stopped early: {self._tally.why}")

    def _decoded(self) -> Iterator[av.VideoFrame]:
        """Pictures in order of presentation; packets of other streams gather in ``_side``."""
        for packet in self._packets:
            # An empty packet that flushes does not know its stream_index, only its stream.
            is_video = packet.stream.index == self._given.video.index
            self._tally.packet(packet, is_video)
            if is_video:
                pictures = self._decoder.decode(packet)
                self._tally.pictures += len(pictures)
                yield from pictures
            else:
                self._gather(packet)
            if self._stopped.is_set():
                return
        if self._window.first is None and not self._given.live:
            self._tally.close_books(self._given.container, self._given.video, self._rate)

    def _gather(self, packet: Any) -> None:
        if packet.size or packet.pts is not None or packet.dts is not None:
            self._side.append(packet)

    # Frames

    def _keep(self) -> Iterator[Shot]:
        """The pictures that were asked for, and behind them the last packets of the other streams."""
        kept = 0
        for frame in self._decoded():
            pts = self._timeline.place(frame.pts)
            self._learn_begin(pts)
            if self._window.before(pts):
                continue
            if self._window.after(pts) or kept == self._request.frames:
                self._finish_side(pts)
                return
            if not kept:
                self._keep_from(pts)
            kept += 1
            yield Shot(frame, pts, time.monotonic())
            if self._given.live and kept == self._request.frames:
                return
        if kept and self._given.live and not self._stopped.is_set():
            why = f" ({self._tally.why})" if self._tally.why else ""
            raise SourceLost(f"{self._given.name}: the stream ended{why}", "Is the sender still running?")

    def _learn_begin(self, pts: int) -> None:
        if not self._begin_known:
            self._begin_known = True
            self._cut_at(pts)

    def _keep_from(self, pts: int) -> None:
        self._timeline.keep_from(pts)
        if self._window.first is not None:
            self._window.first = pts

    def _finish_side(self, pts: int) -> None:
        """The pictures are done: gather what the other streams still have of the same time."""
        past = self._window.past = pts if self._window.past is None else self._window.past
        waiting = {stream.index for stream in self._given.side}
        far = past + SIDE_WAIT_SECONDS / self._time_base
        for packet in self._packets if waiting and not self._given.live else ():
            stamp = self._window.side_time(packet)
            if packet.stream.index != self._given.video.index:
                self._gather(packet)
                if stamp is not None and stamp >= past:
                    waiting.discard(packet.stream.index)
            if not waiting or (stamp is not None and stamp >= far) or self._stopped.is_set():
                return

    def _deliver(self, first: Shot) -> Generator[Frame, None, None]:
        """Frames with their side packets.

        A file's frame waits for the next one, so that the last can carry all that is left; a live one
        goes at once.
        """
        index, held = 0, first
        if self._given.live:
            yield self._frame(first, 0)
        for shot in self._shots:
            if self._given.live:
                yield self._frame(shot, index + 1)
            else:
                yield self._frame(held, index)
            index, held = index + 1, shot
        if not self._given.live:
            yield self._frame(held, index)
        self._conclude()

    def _frame(self, shot: Shot, index: int) -> Frame:
        surface = self._surface(shot.frame)
        return Frame(
            planes=surface.planes,
            format=surface.format,
            landing=surface.landing,
            size=self.info.size,
            pts=self._timeline.shown(shot.pts),
            time_base=self._time_base,
            index=index,
            color=color_of(shot.frame, self._given.video.codec_context),
            captured=shot.captured,
            duration=shot.frame.duration or 0,
            side=self._take_side(),
        )

    def _surface(self, picture: av.VideoFrame) -> Surface:
        hardware = self._request.hardware
        if hardware is not None and hardware.holds(picture):
            return hardware.take(picture)
        return Surface(self._reader.planes(picture))

    def _take_side(self) -> tuple[Any, ...]:
        taken = tuple(packet for packet in self._side if self._window.keeps(packet))
        self._side.clear()
        for packet in taken:
            self._timeline.move(packet)
        return taken

    # What there is to say

    def _describe(self, first: Shot) -> StreamInfo:
        if first.frame.interlaced_frame:
            self.notes.append("the video is interlaced; its frames are painted as they are stored")
        return StreamInfo(
            name=self._given.name,
            size=self._reader.size,
            time_base=self._time_base,
            rate=self._rate,
            live=self._given.live,
            color=color_of(first.frame, self._given.video.codec_context),
            sample_aspect=self._reader.aspect(fraction(self._given.video.sample_aspect_ratio) or Fraction(1)),
            frames=self._frame_count(),
            side_streams=self._given.side,
            metadata=dict(self._given.container.metadata),
        )

    def _frame_count(self) -> int | None:
        wanted = self._request.frames
        if self._given.live:
            return wanted
        known = None if self._request.trims else self._given.video.frames or None
        return min(known, wanted) if known and wanted else known

    def _nothing(self) -> SourceError:
        name, start, why = self._given.name, self._request.start, self._tally.why
        if self._tally.pictures and start:
            return SourceError(f"{name}: there is nothing at {start} s", "Choose an earlier start.")
        codec = self._given.video.codec_context.name
        return SourceError(
            f"{name}: no picture of its {codec} video could be decoded" + (f" ({why})" if why else ""),
            "The file is damaged or not complete; try another copy.",
        )

    def _conclude(self) -> None:
        self.notes.extend(self._tally.notes())
        if self._reader.changed:
            self.notes.append("the picture size changed on the way; all frames have the first size")
        self.notes.extend(self._timeline.notes())
