"""Encoders for WebRTC that may use the line: H.264 by NVENC or x264, VP8 where a peer knows nothing better.

They are aiortc's encoders underneath, so they cut packets as aiortc does and can stand in for its own; what is
ours is the codec inside: no B-frames, no look-ahead, up to 20 Mbit/s where aiortc stops at 3, and a bitrate that
changes within the running codec instead of by a new one (each of which starts with a large keyframe).
"""

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.vpx import Vp8Encoder
from aiortc.mediastreams import VIDEO_TIME_BASE, convert_timebase
from av.video.frame import PictureType

from allaprima.realtime.live.meters import Meter
from allaprima.realtime.sinks.codecs import live_bit_rate, threads

MOST_BITRATE, LEAST_BITRATE = 20_000_000, 150_000
"""Bits a second that a session may ask for."""
NOMINAL_RATE = 30
"""Frames a second that the codec is told; the real rate is made good in the bitrate it is given."""
KEYFRAME_EVERY = 20 * NOMINAL_RATE
"""Frames; peers ask for keyframes when they need one."""
BUFFER_SECONDS = 0.05
"""Rate buffer in seconds of the *highest* bitrate: at the usual ones a keyframe still fits, and a change of the
bitrate takes hold within half a second."""
STEP = 0.05
"""Changes of the bitrate smaller than this share are left alone."""
BIG_PICTURE = 1_000_000
"""Pixels from which x264 gets more than one thread."""


@dataclass(frozen=True, slots=True)
class Level:
    """What a decoder of a level of H.264 (table A-1) must cope with."""

    number: int
    """Ten times the level."""
    picture: int
    """Macroblocks in a picture."""
    second: int
    """Macroblocks a second."""
    bitrate: int
    """Bits a second, of the baseline and main profiles."""


LEVELS = (
    Level(30, 1_620, 40_500, 10_000_000),
    Level(31, 3_600, 108_000, 14_000_000),
    Level(32, 5_120, 216_000, 20_000_000),
    Level(40, 8_192, 245_760, 20_000_000),
    Level(42, 8_704, 522_240, 50_000_000),
    Level(50, 22_080, 589_824, 135_000_000),
    Level(51, 36_864, 983_040, 240_000_000),
    Level(52, 36_864, 2_073_600, 240_000_000),
)


def level_for(size: tuple[int, int], rate: float = NOMINAL_RATE) -> Level:
    """The lowest level that can hold pictures of this size at this rate; beyond all of them, the highest."""
    blocks = -(-size[0] // 16) * -(-size[1] // 16)
    fitting = (level for level in LEVELS if blocks <= level.picture and blocks * rate <= level.second)
    return next(fitting, LEVELS[-1])


def clamp(bitrate: float, size: tuple[int, int] | None = None) -> int:
    """The bitrate within what we send at all; with a size, within what does a picture of it any good."""
    least, most = LEAST_BITRATE, MOST_BITRATE
    if size is not None:
        usual = live_bit_rate(size, None)
        least, most = max(least, usual // 10), min(most, 2 * usual)
    return int(min(max(bitrate, least), most))


class _Steered:
    """A target bitrate that was asked for, and what the codec is to be given for it at the real frame rate."""

    def __init__(self) -> None:
        self.keyframe = False
        """Whether the last picture can be decoded without those before it."""
        self.rate: float | None = None
        """Frames a second, where they are known and do not come in real time."""
        self._wanted: int | None = None
        self._pace = Meter()

    @property
    def target_bitrate(self) -> int:
        """Bits a second; before anybody asked for a bitrate, what suits the picture."""
        return clamp(live_bit_rate((1280, 720), None)) if self._wanted is None else self._wanted

    @target_bitrate.setter
    def target_bitrate(self, bitrate: int) -> None:
        self._wanted = clamp(bitrate)

    def _aim(self, size: tuple[int, int]) -> int:
        wanted = live_bit_rate(size, None) if self._wanted is None else self._wanted
        interval = self._pace.interval() or 1 / NOMINAL_RATE
        rate = self.rate or min(max(1 / interval, 5.0), 120.0)
        return int(clamp(wanted, size) * NOMINAL_RATE / rate)


class LiveH264(_Steered, H264Encoder):
    """H.264, constrained baseline or main, encoded as it comes: one frame in, its packets out.

    ``profile`` is ``"baseline"`` or ``"main"``.  May be handed to one `RTCRtpSender` at a time, or shared through
    `broadcast.Broadcast`.  Not for use from two threads.
    """

    def __init__(self, profile: str = "baseline") -> None:
        H264Encoder.__init__(self)
        _Steered.__init__(self)
        self.name = ""
        """FFmpeg's name of the codec in use."""
        self.opened = 0
        """How often a codec was opened: once for each size of picture."""
        self._profile = profile
        self._given = 0

    def _encode_frame(self, frame: av.VideoFrame, force_keyframe: bool) -> Iterator[bytes]:
        size = (frame.width, frame.height)
        self._pace.add()
        if self.codec is not None and (self.codec.width, self.codec.height) != size:
            self.codec = None
        if self.codec is None:
            self._open(frame)
        codec: Any = self.codec
        target = min(self._aim(size), level_for(size).bitrate, MOST_BITRATE)
        if abs(target - self._given) > STEP * self._given:
            codec.bit_rate = self._given = target
        frame.pict_type = PictureType.I if force_keyframe else PictureType.NONE
        packets = codec.encode(frame)
        self.keyframe = any(packet.is_keyframe for packet in packets)
        yield from self._split_bitstream(b"".join(map(bytes, packets)))

    def _open(self, frame: av.VideoFrame) -> None:
        for name in ("h264_nvenc", "libx264"):
            with contextlib.suppress(av.FFmpegError, ValueError):  # no such card, no such codec in this build
                self.codec = _codec(name, frame, self._profile)
                self.name, self.opened, self._given = name, self.opened + 1, 0
                return
        raise RuntimeError("this build of FFmpeg has no H.264 encoder")


def _codec(name: str, frame: av.VideoFrame, profile: str) -> Any:
    """An open codec.

    x264 follows a new bitrate quickly only where it was opened with a rate buffer at its highest bitrate
    (``maxrate`` equal to the bitrate), and then goes anywhere below: so it is opened at the top, and told the
    target before its first frame.
    """
    size = (frame.width, frame.height)
    level = level_for(size)
    top = min(level.bitrate, MOST_BITRATE)
    codec: Any = av.CodecContext.create(name, "w")
    codec.width, codec.height, codec.pix_fmt = *size, "yuv420p"
    codec.framerate, codec.time_base = Fraction(NOMINAL_RATE), Fraction(1, 90_000)
    codec.bit_rate = top
    codec.gop_size, codec.max_b_frames = KEYFRAME_EVERY, 0
    codec.thread_count = min(threads(), 4) if size[0] * size[1] >= BIG_PICTURE else 1
    codec.colorspace, codec.color_range = frame.colorspace, frame.color_range
    codec.color_primaries, codec.color_trc = frame.color_primaries, frame.color_trc
    limits = {"maxrate": str(top), "bufsize": str(int(top * BUFFER_SECONDS)), "forced-idr": "1"}
    if name == "libx264":
        codec.profile = "Main" if profile == "main" else "Baseline"
        own = {"preset": "superfast", "tune": "zerolatency", "level": str(level.number)}
    else:
        own = {"preset": "p3", "tune": "ull", "rc": "cbr", "delay": "0", "zerolatency": "1", "profile": profile}
    codec.options = limits | own
    codec.open()
    return codec


class LiveVp8(_Steered, Vp8Encoder):
    """VP8 for peers without H.264.  FFmpeg cannot tell libvpx a new bitrate: for large changes it is opened anew."""

    REOPEN = 0.3
    """Share by which the bitrate must change for that."""
    REOPEN_EVERY = 3.0
    """Seconds between two of them at least."""

    def __init__(self) -> None:
        Vp8Encoder.__init__(self)
        _Steered.__init__(self)
        self.name = "libvpx"
        self.opened = 0
        self._when = float("-inf")

    def encode(self, frame: Any, force_keyframe: bool = False) -> tuple[list[bytes], int]:
        self._pace.add()
        target = self._aim((frame.width, frame.height))
        codec: Any = self.codec
        if codec is None or (codec.width, codec.height) != (frame.width, frame.height) or self._far(codec, target):
            self.codec = codec = _vp8(frame, target)
            self.opened, self._when = self.opened + 1, time.monotonic()
        frame.pict_type = PictureType.I if force_keyframe else PictureType.NONE
        packets = codec.encode(frame)
        self.keyframe = any(packet.is_keyframe for packet in packets)
        payloads = self._packetize(b"".join(map(bytes, packets)), self.picture_id)
        self.picture_id = (self.picture_id + 1) % (1 << 15)
        return payloads, convert_timebase(frame.pts, frame.time_base, VIDEO_TIME_BASE)

    def _far(self, codec: Any, target: int) -> bool:
        given = int(codec.bit_rate)
        return abs(target - given) > self.REOPEN * given and time.monotonic() - self._when > self.REOPEN_EVERY


def _vp8(frame: av.VideoFrame, bitrate: int) -> Any:
    codec: Any = av.CodecContext.create("libvpx", "w")
    codec.width, codec.height, codec.pix_fmt = frame.width, frame.height, "yuv420p"
    codec.framerate, codec.time_base = Fraction(NOMINAL_RATE), Fraction(1, 90_000)
    codec.bit_rate = bitrate
    codec.gop_size, codec.qmin, codec.qmax = KEYFRAME_EVERY, 4, 56
    codec.thread_count = min(threads(), 4)
    codec.options = {
        "deadline": "realtime", "cpu-used": "-8", "lag-in-frames": "0", "auto-alt-ref": "0",
        "minrate": str(bitrate), "maxrate": str(bitrate), "bufsize": str(bitrate // 2), "undershoot-pct": "100",
    }  # fmt: skip
    codec.open()
    return codec
