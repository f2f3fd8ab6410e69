"""What is left of painted pictures at a receiver: through an encoder, its RTP packets, and a decoder.

For `webrtc.py` and the tests; no network, no clock, so that the same pictures always give the same figures.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from aiortc.codecs.base import Encoder
from aiortc.codecs.h264 import H264Encoder, h264_depayload
from aiortc.codecs.vpx import Vp8Encoder, vp8_depayload

from allaprima.bench import clips
from allaprima.bench.clips import Size
from allaprima.realtime import open_source
from allaprima.realtime.live.encoder import LiveH264
from allaprima.realtime.stylizer import Stylizer

CLOCK = 90_000
FRAMES, SKIP = 40, 10
"""Pictures that are encoded, and those at the start that are not compared: rates have settled."""


@dataclass(frozen=True, slots=True)
class Sent:
    """Figures of one encoder on one clip."""

    pictures: int
    psnr: float
    """Decibels, of all samples of yuv420p, from the mean error of all pictures that arrived."""
    worst: float
    """Decibels of the worst picture."""
    kbps: float
    """Kilobits a second of payloads, without headers."""
    milliseconds: float
    """Median time to encode a picture."""


def send(pictures: Iterable[av.VideoFrame], encoder: Encoder, rate: int = 30, skip: int = 0) -> Sent:
    """Encode yuv420p pictures as ``encoder`` would for a peer, decode what a peer would get, compare.

    The encoder is aiortc's or one of ours, its ``target_bitrate`` already set; of the first ``skip`` pictures only
    the bits count.
    """
    if hasattr(encoder, "rate"):
        encoder.rate = rate  # ours measure it otherwise
    vp8 = isinstance(encoder, Vp8Encoder)
    depayload = vp8_depayload if vp8 else h264_depayload
    decoder: Any = av.CodecContext.create("libvpx" if vp8 else "h264", "r")
    errors: list[float] = []
    seconds: list[float] = []
    bits, count = 0, 0
    for count, picture in enumerate(pictures, 1):
        picture.pts, picture.time_base = count * CLOCK // rate, Fraction(1, CLOCK)
        before = samples(picture)
        began = time.perf_counter()
        payloads, _ = encoder.encode(picture)
        seconds.append(time.perf_counter() - began)
        bits += 8 * sum(map(len, payloads))
        for arrived in decoder.decode(av.Packet(b"".join(map(depayload, payloads)))):
            errors.append(float(np.mean((samples(arrived).astype(np.float32) - before) ** 2)))
    used = errors[skip:] or errors
    error, worst = float(np.mean(used)), max(used)
    kbps, milliseconds = bits * rate / count / 1000, 1000 * float(np.median(seconds))
    return Sent(len(errors), decibels(error), decibels(worst), kbps, milliseconds)


def samples(picture: av.VideoFrame) -> Any:
    """All samples of a yuv420p picture as one array."""
    planes = (np.frombuffer(p, np.uint8).reshape(p.height, p.line_size)[:, : p.width] for p in picture.planes)
    return np.concatenate([plane.ravel() for plane in planes])


def decibels(mean_square: float) -> float:
    """PSNR of 8-bit samples."""
    return float(10 * np.log10(255**2 / max(mean_square, 1e-9)))


def qualities(
    style: str | None = None, bundle: Path | None = None, size: Size = (1280, 720), frames: int = FRAMES
) -> dict[str, Sent]:
    """Painted pictures through our encoder and aiortc's own."""
    paint = Stylizer(style, bundle=bundle)
    with open_source(f"test:landscape?size={clips.text(size)}&frames={frames}") as source:
        painted = [_video(paint(frame).landed().planes, size) for frame in source]
    found = {}
    for name, encoder, bitrate in (
        ("aiortc's as it starts", H264Encoder(), None),
        ("aiortc's at its most, 3 Mbit/s", H264Encoder(), 3_000_000),
        ("ours at 3 Mbit/s", LiveH264(), 3_000_000),
        ("ours as it starts", LiveH264(), None),
        ("ours at its most, 20 Mbit/s asked", LiveH264(), 20_000_000),
    ):
        if bitrate is not None:
            encoder.target_bitrate = bitrate
        found[name] = send(painted, encoder, skip=min(SKIP, frames // 2))
    return found


def _video(planes: Sequence[Any], size: Size) -> av.VideoFrame:
    picture = av.VideoFrame(*size, "yuv420p")
    for target, plane in zip(picture.planes, planes, strict=True):
        rows = np.zeros((target.height, target.line_size), np.uint8)
        rows[:, : target.width] = plane[: target.height, : target.width]
        target.update(rows.tobytes())
    return picture
