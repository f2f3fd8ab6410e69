"""Wet paint: colors, gradients, noise, and the sheets and cutouts they are laid on."""

import itertools
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from allaprima.realtime.sources.scenes.layers import (
    TAU,
    Layer,
    Paint,
    Path,
    Picture,
    Plane,
    Ripple,
    Size,
    Stops,
    as_bytes,
    float_range,
)


def rgb(code: str) -> Paint:
    """``#rrggbb`` as three values in 0..1."""
    return np.array([int(code[k : k + 2], 16) / 255 for k in (1, 3, 5)], np.float32)


def ramp(at: Plane, stops: Stops) -> Paint:
    """Colors ``(..., 3)`` along a gradient of (position, color) stops."""
    positions = [position for position, _ in stops]
    colors = np.array([rgb(code) for _, code in stops])
    return np.stack([np.interp(at, positions, colors[:, k]) for k in range(3)], -1).astype(np.float32)


def blend(under: Paint, over: Paint, share: Plane) -> Paint:
    return np.asarray(under + (over - under) * share[..., None], np.float32)


def edge(low: float, high: float, value: Plane) -> Plane:
    """0 below ``low``, 1 above ``high``, smooth between."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def _spline(knots: Plane, points: int, wraps: bool) -> Plane:
    """Cubic B-spline down the first axis: ``(n, m)`` to ``(points, m)``.

    Four taps instead of a matrix product, which differs in its last bit from one BLAS to the next.
    """
    at = (np.arange(points, dtype=np.float32) + 0.5) * (len(knots) / points) - 0.5
    first = np.floor(at).astype(int)
    t = (at - first).astype(np.float32)[:, None]
    weights = ((1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, 1 + 3 * t + 3 * t**2 - 3 * t**3, t**3)
    total = np.zeros((points, knots.shape[1]), np.float32)
    for tap, weight in enumerate(weights):
        line = first + tap - 1
        total += weight * knots[line % len(knots) if wraps else line.clip(0, len(knots) - 1)]
    return total / 6


def noise(rng: np.random.Generator, shape: tuple[int, int], cells: tuple[float, float], octaves: int) -> Plane:
    """Smooth noise ``shape``, unit variance, seamless from right to left.

    ``cells`` is the number of features down and across of the coarsest octave; each next one doubles
    it at half the strength.  The random numbers drawn do not depend on ``shape``.
    """
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        down, across = (max(int(c * 2**octave), 4) for c in cells)
        knots = rng.standard_normal((down, across), np.float32)
        wide = np.ascontiguousarray(_spline(np.ascontiguousarray(knots.T), shape[1], True).T)
        total += 0.5**octave * _spline(wide, shape[0], False)
    return total / max(float(total.std()), 1e-6)


class Sheet:
    """Wet paint, ``(h, w, 4)``, that closes on itself from right to left."""

    def __init__(self, top: float, bottom: float, period: float, unit_px: int) -> None:
        """``top`` and ``bottom`` in the picture and ``period`` across, in picture heights."""
        self.unit_px = unit_px
        self.height, self.width = bottom - top, period  # not rounded to pixels: what is painted depends on it
        self.top_px = round(top * unit_px)
        self.shape = (max(round(bottom * unit_px) - self.top_px, 2), max(round(period * unit_px), 2))
        self.paint: Paint = np.zeros((*self.shape, 4), np.float32)
        self.x: Plane = ((np.arange(self.shape[1], dtype=np.float32) + 0.5) / unit_px)[None]
        self.y: Plane = ((np.arange(self.shape[0], dtype=np.float32) + 0.5 + self.top_px) / unit_px)[:, None]

    @property
    def period(self) -> float:
        """`width` in whole pixels: the distance at which the sheet really repeats."""
        return self.shape[1] / self.unit_px

    @property
    def pixel(self) -> float:
        return 1 / self.unit_px

    def noise(self, rng: np.random.Generator, cell: tuple[float, float], octaves: int = 4) -> Plane:
        """Noise over the sheet; ``cell`` is the height and width of a feature in picture heights."""
        cells = self.height / cell[0], self.width / cell[1]
        return noise(rng, self.shape, cells, octaves)

    def ridge(self, rng: np.random.Generator, cell: float, octaves: int = 4) -> Plane:
        """``(1, w)`` noise along the sheet."""
        return noise(rng, (4, self.shape[1]), (4, self.width / cell), octaves)[1:2]

    def wrapped(self, x: float) -> Plane:
        """Signed distance of each column from ``x``, the short way round."""
        distance = self.x - x
        return np.asarray(distance - self.period * np.rint(distance / self.period), np.float32)

    def lay(self, color: Paint, alpha: Plane) -> None:
        """Paint the whole sheet: ``color`` broadcasts to ``(h, w, 3)``, ``alpha`` to ``(h, w)``."""
        alpha = np.broadcast_to(alpha, self.shape)[..., None]
        self.paint[..., :3] += (color - self.paint[..., :3]) * alpha
        self.paint[..., 3:] += (1 - self.paint[..., 3:]) * alpha

    def stamp(self, patch: Paint, x: float, y: float) -> None:
        """Lay a premultiplied patch with its bottom center at ``(x, y)``, around the seam if need be."""
        height, width = patch.shape[:2]
        top = round(y * self.unit_px) - height - self.top_px
        first, last = max(top, 0), min(top + height, self.shape[0])
        if first >= last:
            return
        left = round(x * self.unit_px - width / 2) % self.shape[1]
        columns: slice | NDArray[np.int_] = slice(left, left + width)  # a slice is three times as fast
        if left + width > self.shape[1]:
            columns = np.arange(left, left + width) % self.shape[1]
        rows, patch = slice(first, last), patch[first - top : last - top]
        self.paint[rows, columns] = patch + self.paint[rows, columns] * (1 - patch[..., 3:])

    def dry(self, size: Size, path: Path, ripple: Ripple | None = None) -> Layer:
        """A layer that covers the picture's width wherever it stands."""
        margin = 2 + (0 if ripple is None else int(np.ceil(ripple.reach_px)))
        columns = np.arange(-margin, self.shape[1] + size[0] + margin) % self.shape[1]
        return Layer(np.ascontiguousarray(dry(self.paint)[:, columns]), path, self.shape[1], margin, ripple)


def dry(paint: Paint) -> Picture:
    """To uint8, a little soft.

    A sharp texture would flicker: moved by half a pixel, linear interpolation blurs it, moved by a
    whole one it does not.  Lenses are about this soft too.
    """
    soft = cv2.GaussianBlur(paint, (0, 0), 0.55, borderType=cv2.BORDER_REPLICATE)
    return as_bytes(np.rint(np.clip(soft, 0, 1) * 255))


class Cutout:
    """A small figure cut from paper; points are in units of its height, y down, drawn 2x enlarged."""

    def __init__(self, aspect: float, height: float, unit_px: int) -> None:
        self.height_px = max(round(height * unit_px), 3)
        self.width_px = max(round(aspect * self.height_px), 3)
        self.paint: Paint = np.zeros((2 * self.height_px, 2 * self.width_px, 4), np.float32)

    def shape(self, points: Sequence[tuple[float, float]], stops: Stops, across: bool = False) -> None:
        """Fill a polygon with a gradient over its own extent, downwards or across."""
        outline = np.array(points, np.float64) * 2 * self.height_px
        low, high = outline.min(0), outline.max(0)
        corner = np.maximum(np.floor(low).astype(int) - 1, 0)
        end = np.maximum(np.ceil(high).astype(int) + 2, 0)
        part = self.paint[corner[1] : end[1], corner[0] : end[0]]
        if not part.size:
            return
        mask = np.zeros(part.shape[:2], np.uint8)
        cv2.fillPoly(mask, [np.rint((outline - corner) * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
        axis = 0 if across else 1
        at = corner[axis] + float_range(0, mask.shape[1 - axis])
        color = ramp((at - low[axis]) / max(high[axis] - low[axis], 1e-6), stops)
        alpha = (mask.astype(np.float32) / 255)[..., None]
        part *= 1 - alpha
        part[..., :3] += (color[None] if across else color[:, None]) * alpha
        part[..., 3:] += alpha

    def done(self) -> Paint:
        size = (self.width_px, self.height_px)
        return np.asarray(cv2.resize(self.paint, size, interpolation=cv2.INTER_AREA), np.float32)


def curve(*points: tuple[float, float]) -> list[tuple[float, float]]:
    """A smooth outline through a Bezier curve's control points."""
    t = np.linspace(0, 1, 17)[:, None]
    knots = [np.array(p, np.float64) + 0 * t for p in points]
    while len(knots) > 1:
        knots = [a + (b - a) * t for a, b in itertools.pairwise(knots)]
    return [(float(x), float(y)) for x, y in knots[0]]


def ellipse(x: float, y: float, width: float, height: float) -> list[tuple[float, float]]:
    return [(x + width * float(np.cos(t)), y + height * float(np.sin(t))) for t in np.linspace(0, TAU, 16)]
