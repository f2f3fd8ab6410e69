"""Audio and subtitles: copied packet by packet, or re-encoded where the container cannot hold them."""

import io
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from typing import Any, Protocol, TypeAlias

import av
from av.audio.codeccontext import AudioCodecContext
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.stream import Stream

from allaprima.realtime.sinks.codecs import holds

AnyPacket: TypeAlias = "av.Packet[Any]"

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
    """One stream on its way from the source's packets to the container's.  It may change the packets."""

    def convert(self, packet: AnyPacket) -> Iterable[AnyPacket]: ...

    def flush(self) -> Iterable[AnyPacket]: ...


class SideStreams:
    """All audio and subtitle streams of one output.

    Streams are added on construction; ``notes`` says what is not a plain copy.
    """

    def __init__(self, container: OutputContainer, streams: Sequence[Stream], held: str) -> None:
        """``held`` names the format that has the last word on what can be held."""
        self.notes: list[str] = []
        self.shift = Fraction(0)
        """Seconds to add to every packet's time."""
        self._lanes: dict[int, _Lane] = {}
        for stream in streams:
            lane = self._lane(container, stream, held)
            if lane is not None:
                self._lanes[stream.index] = lane

    def _lane(self, container: OutputContainer, stream: Stream, held: str) -> _Lane | None:
        context = stream.codec_context
        codec = context.codec.canonical_name if context else "an unknown codec"
        # Decoders have names of their own: pgssub for hdmv_pgs_subtitle.
        if context and (codec in COPIED[held] if held in COPIED else context.codec.name in holds(held)):
            return _Copy(container, stream, strict=held in STRICT)
        if isinstance(stream, AudioStream) and held in AUDIO:
            self.notes.append(f"audio re-encoded to {_short(AUDIO[held])} because {held} cannot hold {codec}")
            return _Transcode(container, stream, AUDIO[held])
        self.notes.append(f"1 {stream.type} stream left out: {held} cannot hold {codec}")
        return None

    def convert(self, packets: Iterable[AnyPacket]) -> Iterator[AnyPacket]:
        """Packets of the source to packets of the container."""
        for packet in packets:
            lane = self._lanes.get(packet.stream_index)
            if lane is not None and packet.size:
                yield from lane.convert(duplicate(packet, self.shift))

    def flush(self) -> Iterator[AnyPacket]:
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
        self._clock = _Clock(int(strict))

    def convert(self, packet: AnyPacket) -> Iterator[AnyPacket]:
        if self._clock.repair(packet):
            packet.stream = self._stream
            yield packet

    def flush(self) -> tuple[AnyPacket, ...]:
        return ()


class _Clock:
    """Times that are missing, go backwards or last nothing would stop a container."""

    def __init__(self, step: int) -> None:
        self._step = step
        self._next: int | None = None
        self._duration = 0

    def repair(self, packet: AnyPacket) -> bool:
        """Settle the packet's times.  False when it has none, nor one before it to count from."""
        dts = packet.dts if packet.dts is not None else packet.pts
        if dts is None:
            dts = self._next
        if dts is None:
            return False
        if self._next is not None:
            dts = max(dts, self._next)
            self._duration = dts + self._step - self._next
        packet.pts = dts if packet.pts is None else max(dts, packet.pts)
        packet.dts = dts
        packet.duration = packet.duration or self._duration  # a last packet that lasts nothing is not played
        self._next = dts + self._step
        return True


def duplicate(packet: AnyPacket, shift: Fraction = Fraction(0)) -> AnyPacket:
    """A packet over the same bytes: muxing changes a packet's times, and other sinks share it."""
    data: Any = packet  # any buffer will do, says PyAV's code; its stubs know only bytes
    copy: AnyPacket = av.Packet(data)
    ticks = 0
    if packet.time_base:
        copy.time_base = packet.time_base
        ticks = round(shift * packet.time_base.denominator / packet.time_base.numerator)
    copy.pts = None if packet.pts is None else packet.pts + ticks
    copy.dts = None if packet.dts is None else packet.dts + ticks
    copy.duration = packet.duration
    copy.is_keyframe = packet.is_keyframe
    for extra in packet.iter_sidedata():
        copy.set_sidedata(extra)
    return copy


class _Transcode:
    """Decodes and encodes again, with the times of the source."""

    def __init__(self, container: OutputContainer, stream: AudioStream, encoder: str) -> None:
        self._decoder = own_decoder(stream)
        self._in, self._out = _Clock(1), _Clock(1)
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

    def convert(self, packet: AnyPacket) -> Iterator[AnyPacket]:
        try:
            frames = self._decoder.decode(packet) if self._in.repair(packet) else []
        except av.error.InvalidDataError:
            return  # a damaged packet: the sound has a hole, the picture goes on
        for frame in frames:
            yield from self._encode(frame)

    def flush(self) -> Iterator[AnyPacket]:
        for frame in [*self._decoder.decode(None), None]:
            yield from self._encode(frame)

    def _encode(self, frame: av.AudioFrame | None) -> Iterator[AnyPacket]:
        return (packet for packet in self._stream.encode(frame) if self._out.repair(packet))


def own_decoder(stream: AudioStream) -> AudioCodecContext:
    """A decoder of our own for the source's stream: its own one may serve another sink.

    A template in a container that is never written is PyAV's only way to copy all codec parameters.
    """
    nowhere = av.open(io.BytesIO(), "w", format="null")
    decoder = nowhere.add_stream_from_template(stream, opaque=True).codec_context
    if stream.time_base:
        # Without it the decoder drops priming samples and keeps their time.
        decoder.options = {"pkt_timebase": f"{stream.time_base.numerator}/{stream.time_base.denominator}"}
    nowhere.close()
    return decoder
