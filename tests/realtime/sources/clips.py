"""Media for these tests, generated: tiny, and telling by the brightness of a frame which one it is."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from allaprima.realtime.sinks.priority import usual_priority

SIZE = (64, 48)
PATCH = (120, 90, 160)
"""Y, U and V of a color that no range or matrix conversion leaves alone."""


PACKED = {"yuyv422": (0, 1, 0, 2), "uyvy422": (1, 0, 2, 0)}
"""Order of the components where a plane holds more than FFmpeg's list of them shows."""


def luma(index: int) -> int:
    return 30 + 7 * (index % 28)


def flat(pix_fmt: str, size: tuple[int, int], values: tuple[int, ...]) -> av.VideoFrame:
    """A frame of one color, given as 8-bit components in the order of the format's planes."""
    frame = av.VideoFrame(*size, pix_fmt)
    for number, plane in enumerate(frame.planes):
        parts = [n for n, part in enumerate(frame.format.components) if part.plane == number]
        bits = frame.format.components[parts[0]].bits
        shift = max(bits, 8) - 8 + (6 if pix_fmt.startswith("p01") else 0)
        once = np.array([255 if n == 3 else values[n] for n in PACKED.get(pix_fmt, parts)]) << shift
        kind = np.dtype("u1" if bits <= 8 else "<u2")
        row = np.resize(once, plane.line_size // kind.itemsize)
        plane.update(np.tile(row.astype(kind), plane.height).tobytes())
    return frame


def write_clip(
    path: Path,
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    size: tuple[int, int] = SIZE,
    frames: int = 12,
    rate: Fraction | int = 25,
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    options: dict[str, str] | None = None,
    mux: dict[str, str] | None = None,
    values: tuple[int, ...] | None = None,
    tags: dict[str, int] | None = None,
    audio: bool = False,
    prepare: Callable[[Any], None] = lambda stream: None,
    make: Callable[[int], av.VideoFrame] | None = None,
) -> Path:
    """Frame ``i`` is all ``luma(i)``, or all ``values``, or what ``make(i)`` gives."""
    with usual_priority(), av.open(str(path), "w", options=mux or {}) as out:
        stream: Any = out.add_stream(codec, rate=rate, options=options or {})
        stream.width, stream.height, stream.pix_fmt = *size, pix_fmt
        if time_base is not None:
            stream.time_base = stream.codec_context.time_base = time_base
        for key, value in (tags or {}).items():
            setattr(stream.codec_context, key, value)
        sound = Tone(out) if audio else None
        prepare(stream)
        tick = time_base or 1 / Fraction(rate)
        for index, stamp in enumerate(pts or range(frames)):
            frame = make(index) if make else flat(pix_fmt, size, values or (luma(index), 128, 128))
            for key, value in (tags or {}).items():
                setattr(frame, key, value)
            frame.pts, frame.time_base = stamp, tick
            out.mux(stream.encode(frame))
            if sound is not None:
                sound.play_until(float((stamp + 1) * tick))
        out.mux(stream.encode(None))
        if sound is not None:
            out.mux(sound.stream.encode(None))
    return path


class Tone:
    """An audio track that keeps up with the pictures."""

    RATE = 8000

    def __init__(self, out: Any) -> None:
        self.out = out
        self.stream = out.add_stream("aac", rate=self.RATE)
        self.stream.layout = "mono"
        self.clock = 0

    def play_until(self, seconds: float) -> None:
        while self.clock < seconds * self.RATE:
            wave = np.sin(np.arange(self.clock, self.clock + 1024) / 9) * 8000
            frame = av.AudioFrame.from_ndarray(wave.astype(np.int16)[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts, frame.time_base = self.RATE, self.clock, Fraction(1, self.RATE)
            self.out.mux(self.stream.encode(frame))
            self.clock += 1024
