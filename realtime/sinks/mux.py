"""One container with one encoded video stream and the side streams: what files and networks share."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import av
from av.codec.context import Flags
from av.container import OutputContainer
from av.video.stream import VideoStream

from allaprima.realtime.errors import SinkError
from allaprima.realtime.frame import Color, Frame, StreamInfo
from allaprima.realtime.sinks import codecs
from allaprima.realtime.sinks.codecs import Plan
from allaprima.realtime.sinks.picture import Converter, even, tag, to_av
from allaprima.realtime.sinks.side import STRICT, AnyPacket, SideStreams, own_tags

FILE_TAGS = ("encoder", "duration", "major_brand", "minor_version", "compatible_brands")


class Muxer:
    """Encodes frames and interleaves their side packets.

    Construction opens the encoder and writes nothing; `start` writes the header.
    """

    def __init__(
        self, target: Any, format_name: str, info: StreamInfo, plan: Plan, *, live: bool = False,
        held: str | None = None, options: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        """``held`` is the format at the end of the way when ``target`` is only a pipe towards it."""
        self.frames = 0
        self.notes: list[str] = []
        self._info = info
        self._size = _coded_size(info.size, plan, self.notes)
        self._last_pts: int | None = None
        self._convert = Converter()
        self._color = _coded_color(info.color, plan)
        self.notes += _pixel_shape(info.sample_aspect, plan, format_name)
        self._tail = _Tail(format_name in STRICT)
        self._step = max(1, round(1 / (info.rate * info.time_base))) if info.rate else 1
        self._container: OutputContainer = av.open(target, "w", format=format_name, container_options=options or {})
        self._container.metadata.update(own_tags(info.metadata, FILE_TAGS))
        self._video = self._add_video(plan, live)
        self._side = SideStreams(self._container, info.side_streams, held or format_name)
        self.notes += self._side.notes

    def _add_video(self, plan: Plan, live: bool) -> VideoStream:
        info, encoder = self._info, plan.encoder
        stream: Any = self._container.add_stream(encoder.name, rate=info.rate or 30)
        context = stream.codec_context
        context.width, context.height = self._size
        context.pix_fmt = encoder.pix_fmt
        context.time_base = stream.time_base = info.time_base
        context.sample_aspect_ratio = info.sample_aspect
        context.colorspace, context.color_range = self._color.matrix, self._color.range
        context.color_primaries, context.color_trc = self._color.primaries, self._color.transfer
        context.options = dict(plan.options)
        context.bit_rate = plan.bit_rate
        context.thread_count = codecs.threads()
        if encoder.name in ("libx264", "libx265") and not live:
            context.thread_type = "FRAME"  # their own threads; slices cost quality
        if encoder.codec == "hevc" and self._container.format.name in ("mp4", "mov"):
            context.codec_tag = "hvc1"  # Apple's players know only this one
        context.flags |= int(Flags.frame_duration)  # else packets forget how long a picture lasts
        if live:
            _for_joining(context, plan, info.rate)
        _open(context, encoder.name)
        return stream  # type: ignore[no-any-return]

    def start(self) -> None:
        """Write the header."""
        self._container.start_encoding()

    def write(self, frame: Frame) -> None:
        if self.frames == 0 and frame.pts < 0:
            self._side.shift = -frame.pts * frame.time_base  # no container can start before zero
        self._mux(self._side.convert(frame.side))
        self._mux(self._tail.pass_on(self._video.encode(self._picture(frame))))
        self.frames += 1

    def _picture(self, frame: Frame) -> av.VideoFrame:
        picture = to_av(frame, even(frame.size) if self._size == even(self._size) else frame.size)
        pix_fmt = str(self._video.codec_context.pix_fmt)
        if self._color != self._info.color or picture.format.name != pix_fmt:
            picture = self._convert(picture, self._info.color, self._color, pix_fmt)
        tag(picture, self._color)
        picture.pts, picture.time_base = self._pts(frame), self._info.time_base
        picture.duration = _ticks(frame.duration * frame.time_base, self._info.time_base) or self._step
        return picture

    def _pts(self, frame: Frame) -> int:
        """The frame's time in ticks of the stream, later than the last one's."""
        pts = frame.pts
        if frame.time_base != self._info.time_base or self._side.shift:
            pts = _ticks(pts * frame.time_base + self._side.shift, self._info.time_base)
        if self._last_pts is not None:
            pts = max(pts, self._last_pts + 1)
        self._last_pts = pts
        return pts

    def finish(self) -> None:
        """Flush the encoders, write the trailer, close."""
        self._mux(self._side.flush())
        self._mux(self._tail.pass_on(self._video.encode(None)))
        self._mux(self._tail.last())
        self.close()

    def close(self) -> None:
        self._container.close()

    def _mux(self, packets: Iterable[AnyPacket]) -> None:
        for packet in packets:
            self._container.mux_one(packet)


class _Tail:
    """Holds back one packet, so that the last one can last until the end of the picture before it.

    mp4 adds up how long packets last in the order of decoding; with B-frames the last of them is not the
    last one shown, and the end would be cut off.
    """

    def __init__(self, active: bool) -> None:
        self._active = active
        self._held: AnyPacket | None = None
        self._end = self._delay = 0

    def pass_on(self, packets: Iterable[AnyPacket]) -> Iterator[AnyPacket]:
        for packet in packets:
            if not self._active or packet.pts is None or packet.dts is None:
                yield packet
                continue
            if self._held is None:
                self._delay = packet.pts - packet.dts
            else:
                yield self._held
            self._held = packet
            self._end = max(self._end, packet.pts + (packet.duration or 0))

    def last(self) -> Iterator[AnyPacket]:
        if self._held is not None and self._held.dts is not None:
            self._held.duration = max(self._held.duration or 0, self._end - self._held.dts - self._delay)
            yield self._held


def _ticks(seconds: Fraction, time_base: Fraction) -> int:
    return round(seconds / time_base)


def _coded_color(color: Color, plan: Plan) -> Color:
    if plan.encoder.color is None:
        return color
    matrix, range_ = plan.encoder.color
    return replace(color, matrix=matrix or color.matrix, range=range_)


def _pixel_shape(aspect: Fraction, plan: Plan, format_name: str) -> list[str]:
    """PyAV cannot set the field matroska keeps it in; h264 and hevc say it in their own headers."""
    if aspect in (0, 1) or format_name not in ("matroska", "webm") or plan.encoder.codec in ("h264", "hevc"):
        return []
    shape = f"{aspect.numerator}:{aspect.denominator}"
    return [f"pixels will be shown square, not {shape}: {format_name} cannot say it"]


def _coded_size(size: tuple[int, int], plan: Plan, notes: list[str]) -> tuple[int, int]:
    encoder = plan.encoder
    coded = even(size) if encoder.even else size
    if min(coded) < encoder.smallest:
        raise SinkError(
            f"{encoder.name} needs at least {encoder.smallest}x{encoder.smallest} pixels, this is {size[0]}x{size[1]}",
            "Take another codec, or paint at a larger size.",
        )
    if coded != size:
        notes.append(f"padded to {coded[0]}x{coded[1]} because {encoder.codec} needs even sizes")
    return coded


def _for_joining(context: Any, plan: Plan, rate: Fraction | None) -> None:
    """A receiver may come in at any time: a key frame every two seconds, its headers with it."""
    context.gop_size = max(1, round(2 * (rate or 30)))
    context.flags &= ~int(Flags.global_header)
    if plan.bit_rate:
        # Half a second of buffer: no picture is so large that it holds up the next ones.
        context.options |= {"maxrate": str(plan.bit_rate), "bufsize": str(plan.bit_rate // 2)}


def _open(context: Any, name: str) -> None:
    os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 prints thirty lines unless told: errors only
    try:
        context.open()
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        hint = "This machine has no such encoder chip or driver; take h264." if "nvenc" in name else ""
        raise SinkError(f"the encoder {name} does not open: {reason}", hint) from error
