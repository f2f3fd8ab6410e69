"""A stream of pictures painted on a card, and how fast: what the parts of `bench.gpu_check` have in common."""

import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

import numpy as np

Size = tuple[int, int]

AHEAD = 2
"""Frames that are launched before the first of them is waited for."""
LEAST_PSNR = 35.0
"""dB from fp32 that whatever paints must reach."""
CLIP = "GPU_CHECK_CLIP"
"""The variable of the environment that names a film of the user's."""


class Cannot(Exception):
    """This part cannot run here, and why; ``figures`` are what it found all the same."""

    def __init__(self, why: str, figures: dict[str, Any] | None = None) -> None:
        super().__init__(why)
        self.figures = figures or {}


@dataclass
class Found:
    """What a part found.  A bar is what it is, the figure, the limit and whether the figure must be at least that."""

    figures: dict[str, Any] = field(default_factory=dict)
    bars: list[tuple[str, float, float, bool]] = field(default_factory=list)


def needs(*modules: str) -> None:
    """Raises `Cannot` that names the modules which are not installed."""
    absent = [module for module in modules if find_spec(module) is None]
    if absent:
        raise Cannot(f"{', '.join(absent)} {'is' if len(absent) == 1 else 'are'} not installed")


def text(size: Size) -> str:
    return f"{size[0]}x{size[1]}"


def psnr(found: Any, expected: Any, peak: float) -> float:
    """Decibels; 99 where nothing differs."""
    error = float(np.mean((np.asarray(found, np.float64) - expected) ** 2))
    return 10 * float(np.log10(peak**2 / error)) if error else 99.0


def real_frames(size: Size, count: int = 8) -> tuple[str, list[Any]]:
    """What a camera might see, and what it is: the user's film, else the built-in landscape, else `frames`."""
    if film := os.environ.get(CLIP):
        return film, filmed(film, size, count)
    if find_spec("av") is None:
        return "made-up blobs, since there is no film and no PyAV", frames(size, count)
    from allaprima.bench.subjects import scene

    return "the built-in landscape", scene(size)[:count]


def filmed(film: str, size: Size, count: int) -> list[Any]:
    """The first frames of a film as OpenCV reads it (BT.601), yuv420p in host memory."""
    import cv2

    from allaprima.realtime.frame import Color, Frame

    reader, found = cv2.VideoCapture(film), []
    (width, height), half = size, (-(-size[1] // 2), -(-size[0] // 2))
    for index in range(count):
        there, picture = reader.read()
        if not there:
            break
        even = cv2.resize(picture, (2 * half[1], 2 * half[0]), interpolation=cv2.INTER_AREA)
        codes = cv2.cvtColor(even, cv2.COLOR_BGR2YUV_I420).ravel()
        luma, *chroma = np.split(codes, [even.shape[0] * even.shape[1], codes.size - half[0] * half[1]])
        planes = (luma.reshape(even.shape[:2])[:height, :width], *(plane.reshape(half) for plane in chroma))
        found.append(Frame(planes, size, index, Fraction(1, 30), index, Color(6, 1, 6, 1)))
    reader.release()
    if not found:
        raise Cannot(f"OpenCV cannot read {film}")
    return found


def frames(size: Size, count: int = 8) -> list[Any]:
    """A picture that moves, with a camera's noise: yuv420p in host memory."""
    import cv2

    from allaprima.realtime.frame import Color, Frame

    rng, (width, height) = np.random.default_rng(0), size
    large = cv2.GaussianBlur(rng.standard_normal((height + 64, width + 64)).astype(np.float32), None, 8)
    large = cv2.normalize(large, None, 40, 215, cv2.NORM_MINMAX)
    half, found = (-(-height // 2), -(-width // 2)), []
    for index in range(count):
        luma = large[3 * index : 3 * index + height, 5 * index : 5 * index + width]
        planes = [luma, *(cv2.resize(255 - luma, half[::-1]) * scale + 60 for scale in (0.5, 0.4))]
        noisy = (np.clip(plane + rng.normal(0, 2, plane.shape), 16, 235).astype(np.uint8) for plane in planes)
        found.append(Frame(tuple(noisy), size, index, Fraction(1, 30), index, Color(1, 1, 1, 1)))
    return found


class Painter:
    """What the stylizer does with a backend, and nothing else."""

    def __init__(self, size: Size, graphs: bool = True, host: bool = True, swaps: bool = False) -> None:
        from allaprima.realtime.backends.cuda import CudaBackend
        from allaprima.realtime.frame import Color

        bundle, self._styles = styles()
        self.backend = CudaBackend(size, Color(1, 1, 1, 1), graphs=graphs)
        self.net = self.backend.load_net(bundle)
        self._host, self._swaps = host, swaps
        self._seen: Any = None
        self._before: Any = None
        self._count = 0

    def __call__(self, frame: Any) -> Any:
        picture = self.backend.upload(frame)
        motion, self._seen = self.backend.motion(self._seen, picture), picture
        style = self._styles[self._count % 2 if self._swaps else 0]
        painted = self.net.paint(picture, style, 1.0)
        self._before = self.backend.warp_blend(self._before, painted, motion, 0.9)
        self._count += 1
        return self.backend.download(self._before, frame, self._host)


def styles() -> tuple[Any, list[Any]]:
    """The shipped bundle, and the filters of two of its styles."""
    from allaprima.realtime.bundle import Bundle, shipped_bundle
    from allaprima.realtime.stylebank import StyleBank

    bundle = Bundle(shipped_bundle())
    bank = StyleBank(bundle)
    return bundle, [bank.views(bank.resolve(name)) for name in bank.names()[:2]]


def paced(painter: Painter, pictures: Sequence[Any], count: int) -> list[float]:
    """Seconds from each painted frame to the next, `AHEAD` of them under way; the last is waited for."""
    waiting: list[Any] = []
    stamps: list[float] = []
    for index in range(count):
        waiting.append(painter(pictures[_swinging(index, len(pictures))]))
        if len(waiting) > AHEAD:
            waiting.pop(0).landed()
            stamps.append(time.perf_counter())
    for frame in waiting:
        frame.landed()
        stamps.append(time.perf_counter())
    return [after - before for before, after in pairwise(stamps)]


def _swinging(index: int, count: int) -> int:
    """To and fro, so that motion never jumps."""
    at = index % (2 * count - 2)
    return min(at, 2 * count - 2 - at)


def summed(seconds: Sequence[float]) -> dict[str, float]:
    """Frames a second, and milliseconds: the median and the slowest hundredth."""
    ordered = sorted(seconds)
    p50, p99 = statistics.median(ordered), ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    return {"fps": len(ordered) / sum(ordered), "p50_ms": 1e3 * p50, "p99_ms": 1e3 * p99}
