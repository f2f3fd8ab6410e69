"""One container with one encoded video stream and the side streams: what files and networks share."""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import av
from av.codec.context import Flags
from av.container import OutputContainer
from av.video.stream import VideoStream

from allaprima.realtime.backends.hardware import Hardware
from allaprima.realtime.errors import SinkError
from allaprima.realtime.frame import Color, Frame, StreamInfo
from allaprima.realtime.sinks import codecs
from allaprima.realtime.sinks.codecs import Plan
from allaprima.realtime.sinks.picture import Converter, even, tag, to_av
from allaprima.realtime.sinks.priority import usual_priority
from allaprima.realtime.sinks.side import STRICT, AnyPacket, SideStreams, own_tags

FILE_TAGS = ("encoder", "duration", "major_brand", "minor_version", "compatible_brands")


class Muxer:
    """Encodes frames and interleaves their side packets.

    Construction opens the encoder and writes nothing; `start` writes the header.  With ``hardware`` an encoder of the
    graphics card takes frames where they are.  Such a one opens with its first picture, and the header comes after it.
    """

    def __init__(
        self, target: Any, format_name: str, info: StreamInfo, *plans: Plan, live: bool = False,
        held: str | None = None, options: dict[str, str] | None = None, hardware: Hardware | None = None,
    ) -> None:  # fmt: skip
        """``plans`` are tried in turn until an encoder opens; all but the last may fail with a note.

        ``held`` is the format at the end of the way when ``target`` is only a pipe towards it.
        """
        self.frames = 0
        self.notes: list[str] = []
        self._target = target
        self._format_name = format_name
        self._held = held or format_name
        self._options = options or {}
        self._info = info
        self._live = live
        self._hardware = hardware
        self._convert = Converter()
        self._tail = Tail(format_name in STRICT)
        self._step = max(1, round(1 / (info.rate * info.time_base))) if info.rate else 1
        self._begin(plans)

    @property
    def on_device(self) -> bool:
        """Whether frames are taken where they are."""
        return self._surfaces is not None

    def _begin(self, plans: Sequence[Plan]) -> None:
        """Open the container, with the first encoder that opens."""
        for number, plan in enumerate(plans, 1):
            try:
                self._open(plan)
            except SinkError as error:
                if number == len(plans):
                    raise
                self.notes.append(f"encoded with {plans[number].encoder.name}: {error}")
            else:
                self._spare = plans[number:]
                return

    def _open(self, plan: Plan) -> None:
        info, notes = self._info, list[str]()
        self._size = _coded_size(info.size, plan, notes)
        self._color = _coded_color(info.color, plan)
        self._last_pts: int | None = None
        hardware = self._hardware if plan.encoder.card and info.size == even(info.size) else None
        self._surfaces = None if hardware is None else hardware.surfaces()
        notes += _pixel_shape(info.sample_aspect, plan, self._format_name)
        self._container: OutputContainer = av.open(
            self._target, "w", format=self._format_name, container_options=self._options
        )
        self._container.metadata.update(own_tags(info.metadata, FILE_TAGS))
        self._video = self._add_video(plan)
        self._side = SideStreams(self._container, info.side_streams, self._held)
        self.notes += [*notes, *self._side.notes]

    def _add_video(self, plan: Plan) -> VideoStream:
        stream: Any = self._container.add_stream(plan.encoder.name, rate=self._info.rate or 30)
        stream.time_base = self._info.time_base
        self._set_up(stream.codec_context, plan)
        if self._surfaces is None:
            _open_encoder(stream.codec_context, plan.encoder.name)
            return stream  # type: ignore[no-any-return]
        trial: Any = av.CodecContext.create(plan.encoder.name, "w")  # it is better to know now than after a frame
        self._set_up(trial, plan)
        trial.pix_fmt = "nv12"
        _open_encoder(trial, plan.encoder.name)
        stream.codec_context.pix_fmt = self._surfaces.pix_fmt
        return stream  # type: ignore[no-any-return]

    def _set_up(self, context: Any, plan: Plan) -> None:
        info, encoder = self._info, plan.encoder
        context.width, context.height = self._size
        context.pix_fmt = encoder.pix_fmt
        context.time_base = info.time_base
        context.sample_aspect_ratio = info.sample_aspect
        context.colorspace, context.color_range = self._color.matrix, self._color.range
        context.color_primaries, context.color_trc = self._color.primaries, self._color.transfer
        context.options = dict(plan.options)
        context.bit_rate = plan.bit_rate
        context.thread_count = codecs.threads()
        if encoder.name in ("libx264", "libx265") and not self._live:
            context.thread_type = "FRAME"  # their own threads; slices cost quality
        if encoder.codec == "hevc" and self._container.format.name in ("mp4", "mov"):
            context.codec_tag = "hvc1"  # Apple's players know only this one
        context.flags |= int(Flags.frame_duration)  # else packets forget how long a picture lasts
        if self._live:
            _for_joining(context, plan, info.rate)

    def start(self) -> None:
        """Write the header."""
        if self._surfaces is None:
            self._container.start_encoding()

    def write(self, frame: Frame) -> None:
        if self.frames == 0 and frame.pts < 0 and not self._side.shift:
            self._side.shift = -frame.pts * frame.time_base  # no container can start before zero
        packets = self._encode(frame)
        self._mux(self._side.convert(frame.side))
        self._mux(self._tail.pass_on(packets))
        self.frames += 1

    def write_side(self, frame: Frame) -> None:
        """Only what rides on the frame: its picture is there already."""
        self._mux(self._side.convert(frame.side))

    def move(self, seconds: Fraction) -> None:
        """Everything comes so much later than its time says."""
        self._side.shift = seconds

    def _encode(self, frame: Frame) -> list[AnyPacket]:
        if self._surfaces is None:
            return self._video.encode(self._picture(frame))
        try:
            packets = self._video.encode(self._picture(frame))
        except (av.FFmpegError, OSError) as error:
            if self.frames:
                raise
            return self._instead(frame, error)
        for packet in packets:
            self._surfaces.release(packet.pts)
        return packets

    def _instead(self, frame: Frame, error: Exception) -> list[AnyPacket]:
        """The encoder refuses the very first picture: nothing was written yet, and another may take its place."""
        failed = _not_open(str(self._video.codec_context.name), error)
        if not self._spare:
            raise failed from error
        shift = self._side.shift
        self.close()
        self.notes[:] = [f"encoded with {self._spare[0].encoder.name}: {failed}"]
        self._begin(self._spare)
        self._side.shift = shift
        self.start()
        return self._encode(frame)

    def _picture(self, frame: Frame) -> av.VideoFrame:
        pts = self._pts(frame)
        if self._surfaces is not None:
            picture = self._surfaces.picture(frame, pts)
        else:
            picture = to_av(frame, even(frame.size) if self._size == even(self._size) else frame.size)
            pix_fmt = str(self._video.codec_context.pix_fmt)
            if self._color != self._info.color or picture.format.name != pix_fmt:
                picture = self._convert(picture, self._info.color, self._color, pix_fmt)
        tag(picture, self._color)
        picture.pts, picture.time_base = pts, self._info.time_base
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


class Tail:
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


def _open_encoder(context: Any, name: str) -> None:
    os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 prints thirty lines unless told: errors only
    try:
        with usual_priority():
            context.open()
    except (av.FFmpegError, OSError, ValueError) as error:
        raise _not_open(name, error) from error


def _not_open(name: str, error: Exception) -> SinkError:
    reason = getattr(error, "strerror", None) or error
    hint = "This machine has no such encoder chip or driver; take h264." if "nvenc" in name else ""
    return SinkError(f"the encoder {name} does not open: {reason}", hint)
