"""The demux and decode loop that every FFmpeg input shares."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from types import TracebackType
from typing import Any

import av
from av.error import FFmpegError, InvalidDataError

from allaprima.realtime.errors import SourceError, SourceLost
from allaprima.realtime.frame import Frame, StreamInfo
from allaprima.realtime.sources.picture import PictureReader, color_of
from allaprima.realtime.sources.request import Request, seconds
from allaprima.realtime.sources.seek import seek_before
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
        self.lost = 0
        self._given = given
        self._stopped = threading.Event()
        self._side: list[Any] = []
        self._pictures_read = 0
        self._packets_read = 0
        self._end_reached = False
        self._last_error = ""
        self._rate = fraction(given.video.average_rate) or fraction(given.video.guessed_rate)
        self._time_base = fraction(given.video.time_base) or Fraction(1, 90000)
        self._frames_wanted = request.frames
        self._timeline = Timeline(self._time_base, self._rate, given.from_zero or request.trims)
        self._window = self._window_for(request)
        self._packets = self._demux()
        if self._window.first is not None and not given.live:
            self._packets = seek_before(self._packets, given.container, given.video, self._window.first, self._demux)
        self._shots = self._keep()
        first = next(self._shots, None)
        if first is None:
            raise self._nothing(request)
        self._reader = PictureReader(first.frame, request.size)
        self.info = self._describe(first, request)
        self._frames = self._deliver(first)

    def __enter__(self) -> "MediaSource":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._frames.close()
        self._given.container.close()
        if self._given.on_close is not None:
            self._given.on_close()

    def __iter__(self) -> Iterator[Frame]:
        return self._frames

    def stop(self) -> None:
        """Ask the iteration to end soon: with the next packet, or when the read times out."""
        self._stopped.set()
        if self._given.on_stop is not None:
            self._given.on_stop()

    def _window_for(self, request: Request) -> Window:
        if not request.trims:
            return Window(self._time_base, None, None)
        begin = self._given.video.start_time or 0
        first = None if not request.start else begin + seconds(request.start) / self._time_base
        past = None if request.end is None else begin + seconds(request.end) / self._time_base
        return Window(self._time_base, first, past)

    # Packets

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
                self._last_error = reason(error)
                if self._given.live:
                    return
                failed += 1
        self.notes.append(f"reading stopped early: {self._last_error}")

    def _decoded(self) -> Iterator[av.VideoFrame]:
        """Pictures in order of presentation; packets of other streams gather in ``_side``."""
        for packet in self._packets:
            if packet.stream_index != self._given.video.index:
                self._gather(packet)
            else:
                self._packets_read += packet.size > 0
                yield from self._decode(packet)
            if self._stopped.is_set():
                return
        self._end_reached = True

    def _decode(self, packet: Any) -> list[av.VideoFrame]:
        try:
            frames: list[av.VideoFrame] = self._given.video.codec_context.decode(packet)
        except EOFError:
            return []
        except (FFmpegError, OSError, ValueError) as error:
            self.lost += 1
            self._last_error = reason(error)
            return []
        self._pictures_read += len(frames)
        return frames

    def _gather(self, packet: Any) -> None:
        if packet.size or packet.pts is not None or packet.dts is not None:
            self._side.append(packet)

    # Frames

    def _keep(self) -> Iterator[Shot]:
        kept = 0
        for frame in self._decoded():
            pts = self._timeline.place(frame.pts)
            if self._window.before(pts):
                continue
            if self._window.after(pts) or kept == self._frames_wanted:
                self._finish_side(pts)
                return
            if not kept:
                self._begin(pts)
            kept += 1
            yield Shot(frame, pts, time.monotonic())
            if self._given.live and kept == self._frames_wanted:
                return
        if self._given.live and not self._stopped.is_set():
            raise SourceLost(
                f"{self._given.name}: the stream ended" + (f" ({self._last_error})" if self._last_error else ""),
                "Check that the sender is still running.",
            )
        self._count_missing()

    def _begin(self, pts: int) -> None:
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
            if packet.stream_index != self._given.video.index:
                self._gather(packet)
                if stamp is not None and stamp >= past:
                    waiting.discard(packet.stream_index)
            if not waiting or (stamp is not None and stamp >= far) or self._stopped.is_set():
                return

    def _deliver(self, first: Shot) -> Iterator[Frame]:
        """Frames with their side packets.

        A file's frame waits for the next one, so that the last can carry all that is left; a live one
        goes at once.
        """
        held, index = first, 0
        if self._given.live:
            yield self._frame(held, index)
        for shot in self._shots:
            index += 1
            yield self._frame(shot if self._given.live else held, index - (not self._given.live))
            held = shot
        if not self._given.live:
            yield self._frame(held, index)
        self._conclude()

    def _frame(self, shot: Shot, index: int) -> Frame:
        return Frame(
            planes=self._reader.planes(shot.frame),
            size=self.info.size,
            pts=self._timeline.shown(shot.pts),
            time_base=self._time_base,
            index=index,
            color=color_of(shot.frame, self._given.video.codec_context),
            captured=shot.captured,
            duration=shot.frame.duration or 0,
            side=self._take_side(),
        )

    def _take_side(self) -> tuple[Any, ...]:
        taken = tuple(packet for packet in self._side if self._window.keeps(packet))
        self._side.clear()
        for packet in taken:
            self._timeline.move(packet)
        return taken

    # What there is to say

    def _describe(self, first: Shot, request: Request) -> StreamInfo:
        if first.frame.interlaced_frame:
            self.notes.append("the video is interlaced; its frames are painted as they are stored")
        return StreamInfo(
            name=self._given.name,
            size=self._reader.size,
            time_base=self._time_base,
            rate=self._rate,
            live=self._given.live,
            color=color_of(first.frame, self._given.video.codec_context),
            sample_aspect=self._sample_aspect(),
            frames=self._frame_count(request),
            side_streams=self._given.side,
            metadata=dict(self._given.container.metadata),
        )

    def _sample_aspect(self) -> Fraction:
        """Pixels as wide as makes the picture look the same at the size that is delivered."""
        aspect = fraction(self._given.video.sample_aspect_ratio) or Fraction(1)
        width, height = self._reader.turn.size(self._reader.stored)
        if self._reader.turn.transpose:
            aspect = 1 / aspect
        return aspect * Fraction(width, height) / Fraction(*self._reader.size)

    def _frame_count(self, request: Request) -> int | None:
        known = None if self._given.live or request.trims else (self._given.video.frames or None)
        wanted = request.frames
        return min(known, wanted) if known and wanted else known or (wanted if self._given.live else None)

    def _count_missing(self) -> None:
        """A file that was cut off: its index names more packets than came."""
        if self._window.first is not None or not self._end_reached:
            return
        if not self._given.container.format.name.startswith("mov"):
            return
        missing = len(self._given.video.index_entries) - self._packets_read
        if missing > 0:
            self.lost += missing
            self.notes.append(f"the file ends early: {missing} frames are missing at its end")

    def _nothing(self, request: Request) -> SourceError:
        name = self._given.name
        if self._pictures_read and request.start:
            return SourceError(f"{name}: there is nothing at {request.start} s", "Choose an earlier start.")
        codec = self._given.video.codec_context.name
        why = f" ({self._last_error})" if self._last_error else ""
        return SourceError(
            f"{name}: no picture of its {codec} video could be decoded{why}",
            "The file is damaged or not complete; try another copy.",
        )

    def _conclude(self) -> None:
        if self.lost:
            self.notes.append(f"{self.lost} frames could not be decoded")
        if self._reader.changed:
            self.notes.append("the picture size changed on the way; all frames were scaled to the first size")
        self.notes.extend(self._timeline.notes())


def reason(error: Exception) -> str:
    """Why it failed, in a few words and without the name of the input."""
    if isinstance(error, InvalidDataError):
        return "the data is damaged"
    words = getattr(error, "strerror", None) or str(error)
    return str(words).rstrip(".")
