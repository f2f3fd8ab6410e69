"""Audio and subtitles: copied packet by packet, or re-encoded where the container cannot hold them."""

import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.stream import Stream

from allaprima.realtime.sinks.codecs import holds

AUDIO = {
    "webm": "libopus", "whip": "libopus", "mp4": "aac", "mov": "aac", "matroska": "aac",
    "flv": "aac", "mpegts": "aac", "rtsp": "aac",
}  # fmt: skip
"""What audio becomes in a container that cannot hold it as it is."""
AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
COPIED = {
    "mp4": ("aac", "mp3", "mp2", "ac3", "eac3", "opus", "alac", "flac", "dts", "mov_text"),
    "mov": ("aac", "mp3", "mp2", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s24le", "pcm_f32le", "mov_text"),
    "webm": ("opus", "vorbis", "webvtt"),
    "flv": ("aac", "mp3"),
    "mpegts": ("aac", "mp3", "mp2", "ac3", "eac3", "opus"),
    "rtsp": ("aac", "opus"),
    "whip": ("opus",),
}
"""What is copied into a container.  The muxers' own lists are longer, but some of it fails only when the
file is closed (PCM in mp4) or plays nowhere; matroska's list is right."""
STRICT = ("mp4", "mov")
"""Containers in which no two packets of a stream may share a time."""
FOREIGN_TAGS = ("encoder", "duration", "handler_name", "vendor_id", "bps", "number_of_", "_statistics")


def own_tags(metadata: dict[str, str], drop: tuple[str, ...] = FOREIGN_TAGS) -> dict[str, str]:
    """The tags that are about the content, without those about the old file."""
    return {key: value for key, value in metadata.items() if not key.lower().startswith(drop)}


class _Lane(Protocol):
    """One stream on its way from the source's packets to the container's."""

    def convert(self, packet: av.Packet) -> Iterable[av.Packet]: ...

    def flush(self) -> Iterable[av.Packet]: ...


class SideStreams:
    """All audio and subtitle streams of one output.

    Streams are added on construction; ``notes`` says what is not a plain copy.
    """

    def __init__(self, container: OutputContainer, streams: Sequence[Stream], held: str) -> None:
        """``held`` names the format that has the last word on what can be held."""
        self.notes: list[str] = []
        self._lanes: dict[int, _Lane] = {}
        for stream in streams:
            lane = self._lane(container, stream, held)
            if lane is not None:
                self._lanes[stream.index] = lane

    def _lane(self, container: OutputContainer, stream: Stream, held: str) -> _Lane | None:
        context = stream.codec_context
        codec = context.codec.canonical_name if context else "an unknown codec"
        if context and codec in (COPIED[held] if held in COPIED else holds(held)):
            return _Copy(container, stream, strict=held in STRICT)
        if isinstance(stream, AudioStream) and held in AUDIO:
            self.notes.append(f"audio re-encoded to {_short(AUDIO[held])} because {held} cannot hold {codec}")
            return _Transcode(container, stream, AUDIO[held])
        self.notes.append(f"1 {stream.type} stream left out: {held} cannot hold {codec}")
        return None

    def convert(self, packets: Iterable[av.Packet]) -> Iterator[av.Packet]:
        """Packets of the source to packets of the container."""
        for packet in packets:
            lane = self._lanes.get(packet.stream_index)
            if lane is not None and packet.size:
                yield from lane.convert(packet)

    def flush(self) -> Iterator[av.Packet]:
        for lane in self._lanes.values():
            yield from lane.flush()


def _short(encoder: str) -> str:
    return encoder.removeprefix("lib")


class _Copy:
    """The same bytes in a new container."""

    def __init__(self, container: OutputContainer, stream: Stream, strict: bool) -> None:
        self._stream = container.add_stream_from_template(stream, opaque=True)
        self._stream.metadata.update(own_tags(dict(stream.metadata)))
        self._stream.disposition = stream.disposition
        self._step = int(strict)
        self._next: int | None = None
        self._duration = 0

    def convert(self, packet: av.Packet) -> Iterator[av.Packet]:
        dts = packet.dts if packet.dts is not None else packet.pts
        dts = self._next if dts is None else dts
        if dts is None:
            return  # no time at all, and nothing before it to count from
        if self._next is not None:
            dts = max(dts, self._next)
        copy = duplicate(packet)
        copy.dts = dts
        copy.pts = max(dts, packet.pts) if packet.pts is not None else dts
        copy.stream = self._stream
        if self._next is not None:
            self._duration = dts + self._step - self._next
        # A last packet that lasts no time is not played.
        copy.duration = packet.duration or self._duration
        self._next = dts + self._step
        yield copy

    def flush(self) -> tuple[av.Packet, ...]:
        return ()


def duplicate(packet: av.Packet) -> av.Packet:
    """A packet over the same bytes: muxing changes a packet's times, and other sinks share it."""
    copy = av.Packet(packet)
    copy.pts, copy.dts, copy.duration = packet.pts, packet.dts, packet.duration
    copy.time_base = packet.time_base
    copy.is_keyframe = packet.is_keyframe
    for data in packet.iter_sidedata():
        copy.set_sidedata(data)
    return copy


class _Transcode:
    """Decodes and encodes again, with the times of the source."""

    def __init__(self, container: OutputContainer, stream: AudioStream, encoder: str) -> None:
        self._decoder = own_decoder(stream)
        source = stream.codec_context
        rate = 48000 if encoder == "libopus" or source.sample_rate not in AAC_RATES else source.sample_rate
        added: Any = container.add_stream(encoder, rate=rate)
        self._stream: AudioStream = added
        channels = min(source.channels, 2)
        self._stream.codec_context.layout = "mono" if channels == 1 else "stereo"
        self._stream.bit_rate = 64_000 * channels
        self._stream.metadata.update(own_tags(dict(stream.metadata)))
        self._stream.disposition = stream.disposition
        self._stream.codec_context.open()

    def convert(self, packet: av.Packet) -> Iterator[av.Packet]:
        try:
            frames = self._decoder.decode(packet)
        except av.error.InvalidDataError:
            return  # a damaged packet: the sound has a hole, the picture goes on
        for frame in frames:
            yield from self._stream.encode(frame)

    def flush(self) -> Iterator[av.Packet]:
        for frame in self._decoder.decode(None):
            yield from self._stream.encode(frame)
        yield from self._stream.encode(None)


def own_decoder(stream: AudioStream) -> AudioCodecContext:
    """A decoder of our own for the source's stream: its own one may serve another sink.

    A template in a container that is never written is PyAV's only way to copy all codec parameters.
    """
    nowhere = av.open(io.BytesIO(), "w", format="null")
    decoder = nowhere.add_stream_from_template(stream, opaque=True).codec_context
    if stream.time_base:
        # Without it the decoder drops priming samples and keeps their time.
        decoder.options = {"pkt_timebase": f"{stream.time_base.numerator}/{stream.time_base.denominator}"}
    return decoder
