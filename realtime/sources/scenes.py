"""Painted test scenes: moving pictures whose optical flow and occlusion are known exactly.

A scene is a stack of layers, like the painted flats of a stage.  Each layer is painted once, larger
than the picture; a frame only moves the layers by fractions of a pixel and lays them over one another,
back to front.  The flow of a pixel is the motion of the front-most layer there, so it needs no
estimation.

In this file lengths are in *picture heights* and speeds in heights per second unless a name says
``_px``, so that a scene looks the same at every size.  Colors are sRGB; paint is float32 in 0..1 with
premultiplied alpha until it is dry, and uint8 after.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Paint = NDArray[np.float32]
Plane = NDArray[np.floating[Any]]
Flow = NDArray[np.float32]
Mask = NDArray[np.bool_]
Matrix = NDArray[np.float64]
Size = tuple[int, int]
Stops = Sequence[tuple[float, str]]

TAU = 2 * np.pi
SHOT_FRAMES = 60
CUTS_LISTED_HOURS = 1  # `Scene.cuts` must be finite; the cutting itself goes on for ever
STILL_SECONDS = 2.0  # the instant of the landscape that `still-noise` looks at
NOISE_STEPS = 64  # fixed-point steps per 8-bit level while sensor noise is added
LIGHT_SECONDS = 48.0  # one slow swell of the light


class Scene(Protocol):
    """Endless video with known motion; every frame can be asked for in any order."""

    name: str
    size: Size
    """(width, height) in pixels."""
    rate: Fraction
    """Frames per second."""
    cuts: frozenset[int]
    """Frames that show a new shot (those of the first hour; frame 0 is not listed)."""

    def frame(self, index: int) -> Picture:
        """``(H, W, 3)`` uint8 RGB; the same bytes whenever it is asked for."""

    def motion(self, index: int) -> tuple[Flow, Mask]:
        """Flow ``(H, W, 2)`` float32 and occlusion ``(H, W)`` bool from frame ``index`` to the one before.

        What is at ``p`` was at ``p + flow`` (dx, dy in pixels); where the mask is set it could not be
        seen then.  At frame 0 and at a cut nothing corresponds: zeros, all set.
        """


# --- motion ------------------------------------------------------------------------------------------


class Path(Protocol):
    def matrix(self, seconds: float) -> Matrix:
        """3x3, from texture pixels to picture pixels."""


@dataclass(frozen=True)
class Drift:
    """Steady sideways motion with an optional rise and fall.  All in pixels and seconds."""

    speed_px: float
    top_px: float
    bob_px: float = 0.0
    bob_seconds: float = 1.0

    def matrix(self, seconds: float) -> Matrix:
        bob = self.bob_px * np.sin(TAU * seconds / self.bob_seconds)
        return _translation(self.speed_px * seconds, self.top_px + bob)


@dataclass(frozen=True)
class Crossing:
    """Something that crosses the picture, waits outside and comes again.

    ``anchor_px`` is the texture point that travels along the track, and the center of its roll and of
    its beat (a vertical stretch: wings).
    """

    track_px: tuple[float, float]
    """Where the track starts (x) and how long it is; it must begin and end outside the picture."""
    start_px: float
    """How far along the track the anchor is at time 0."""
    speed_px: float
    level_px: float
    anchor_px: tuple[float, float]
    bob_px: float = 0.0
    bob_seconds: float = 1.0
    roll_degrees: float = 0.0
    beat: float = 0.0
    beat_seconds: float = 1.0

    def matrix(self, seconds: float) -> Matrix:
        first, length = self.track_px
        x = first + (self.start_px + self.speed_px * seconds) % length
        phase = TAU * seconds / self.bob_seconds
        y = self.level_px + self.bob_px * np.sin(phase)
        roll = np.radians(self.roll_degrees) * np.cos(phase)
        stretch = 1 - self.beat * (0.5 + 0.5 * np.sin(TAU * seconds / self.beat_seconds))
        turn = np.array([[np.cos(roll), -np.sin(roll), 0], [np.sin(roll), np.cos(roll), 0], [0, 0, 1]])
        matrix: Matrix = (
            _translation(x, y) @ turn @ np.diag([1, stretch, 1]) @ _translation(*(-a for a in self.anchor_px))
        )
        return matrix


@dataclass(frozen=True)
class Ripple:
    """Sideways sway of each row of a reflection; none at the water line, ``reach_px`` one height below.

    It moves whole rows, so its inverse, and with it the flow, is exact.
    """

    waterline_px: float
    unit_px: float
    reach_px: float

    def sway(self, rows: Plane, seconds: float) -> Plane:
        """Pixels by which picture rows ``rows`` read to the right in the texture."""
        depth = np.maximum(rows - self.waterline_px, 0) / self.unit_px
        near = np.sqrt(depth)  # ripples crowd together towards the horizon
        wave = np.sin(TAU * (34 * near - seconds / 2.3)) + 0.7 * np.sin(TAU * (21 * near + seconds / 3.1))
        return np.asarray(self.reach_px * near * wave, np.float32)


def _translation(x: float, y: float) -> Matrix:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], np.float64)


# --- layers ------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Layer:
    """A dry texture, ``(h, w, 4)`` uint8 RGBA with premultiplied alpha, and its motion."""

    texture: Picture
    path: Path
    period_px: int = 0
    """Columns after which the texture repeats; 0 for one that does not."""
    margin_px: int = 0
    """Spare repeated columns at either end, for the ripple."""
    ripple: Ripple | None = None

    def show(self, seconds: float, size: Size) -> tuple[slice, slice, Picture] | None:
        """Rows, columns and RGBA of the part of the picture that this layer may cover."""
        matrix = self.path.matrix(seconds)
        if self.period_px:
            matrix[0, 2] = matrix[0, 2] % self.period_px - self.period_px - self.margin_px
        left, top, right, bottom = self._bounds(matrix, size)
        if left >= right or top >= bottom:
            return None
        local = _translation(-left, -top) @ matrix
        extent = (right - left, bottom - top)
        if self.ripple is None:
            patch = cv2.warpAffine(self.texture, local[:2], extent, flags=cv2.INTER_LINEAR)
        else:
            patch = self._rippled(local, extent, self.ripple.sway(_range(top, bottom), seconds))
        return slice(top, bottom), slice(left, right), _bytes(patch)

    def flow(self, x: Plane, y: Plane, seconds: float, before: float) -> Flow:
        """``(n, 2)`` pixels from the points ``(x, y)`` at ``seconds`` to where they were ``before``."""
        back = self.path.matrix(before) @ np.linalg.inv(self.path.matrix(seconds)) - np.eye(3)
        flow = np.stack([back[k, 0] * x + back[k, 1] * y + back[k, 2] for k in (0, 1)], -1)
        if self.ripple is not None:
            flow[:, 0] += self.ripple.sway(y, seconds) - self.ripple.sway(y, before)
        return flow.astype(np.float32)

    def _bounds(self, matrix: Matrix, size: Size) -> tuple[int, int, int, int]:
        """Left, top, right, bottom of the texture in the picture, rounded outwards and clipped."""
        height, width = self.texture.shape[:2]
        corners = np.array([[0, width, 0, width], [0, 0, height, height], [1, 1, 1, 1]], np.float64)
        x, y, _ = matrix @ corners
        left, top = max(int(np.floor(x.min())) - 1, 0), max(int(np.floor(y.min())) - 1, 0)
        return left, top, min(int(x.max()) + 2, size[0]), min(int(y.max()) + 2, size[1])

    def _rippled(self, local: Matrix, extent: Size, sway: Plane) -> Picture:
        columns = _range(0, extent[0]) - np.float32(local[0, 2])
        rows = np.repeat((_range(0, extent[1]) - np.float32(local[1, 2]))[:, None], extent[0], 1)
        patch = cv2.remap(
            self.texture, columns + sway[:, None], rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
        )
        return _bytes(patch)


def _range(start: int, stop: int) -> NDArray[np.float32]:
    return np.arange(start, stop, dtype=np.float32)


def _bytes(picture: Any) -> Picture:
    """OpenCV's return types say only "some array"; ours say uint8."""
    return np.asarray(picture, np.uint8)


def _cover(under: Picture, over: Picture) -> None:
    """Lay premultiplied ``over`` on ``under``, both ``(h, w, 4)``, in place."""
    absent = cv2.bitwise_not(cv2.extractChannel(over, 3))
    cv2.multiply(under, cv2.merge([absent] * 4), under, scale=1 / 255)
    cv2.add(under, over, under)


def _unrelated(size: Size) -> tuple[Flow, Mask]:
    """The motion where nothing corresponds."""
    width, height = size
    return np.zeros((height, width, 2), np.float32), np.ones((height, width), np.bool_)


# --- scenes ------------------------------------------------------------------------------------------


class Stage:
    """A scene of layers, back to front, in a light that slowly swells towards ``glow`` and back."""

    cuts: frozenset[int] = frozenset()

    def __init__(self, name: str, size: Size, rate: Fraction, layers: Sequence[Layer], glow: Picture) -> None:
        self.name, self.size, self.rate = name, size, rate
        self._layers = tuple(layers)
        self._glow = glow

    def frame(self, index: int) -> Picture:
        seconds = float(index / self.rate)
        width, height = self.size
        canvas = np.zeros((height, width, 4), np.uint8)
        for layer in self._layers:
            if (shown := layer.show(seconds, self.size)) is not None:
                rows, columns, patch = shown
                _cover(canvas[rows, columns], patch)
        share = 0.06 - 0.06 * np.cos(TAU * seconds / LIGHT_SECONDS)
        lit = cv2.addWeighted(canvas, 1 - share, self._glow, share, 0)
        return _bytes(cv2.cvtColor(lit, cv2.COLOR_RGBA2RGB))

    def motion(self, index: int) -> tuple[Flow, Mask]:
        if index == 0:
            return _unrelated(self.size)
        now, before = float(index / self.rate), float((index - 1) / self.rate)
        front, front_before = self._front(now), self._front(before)
        flow = np.zeros((*front.shape, 2), np.float32)
        for number, layer in enumerate(self._layers):
            y, x = np.nonzero(front == number)
            flow[y, x] = layer.flow(x.astype(np.float64), y.astype(np.float64), now, before)
        return flow, _hidden(flow, front, front_before)

    def _front(self, seconds: float) -> NDArray[np.int16]:
        """``(H, W)``: number of the front-most layer that covers at least half of the pixel."""
        width, height = self.size
        front = np.zeros((height, width), np.int16)
        for number, layer in enumerate(self._layers):
            if (shown := layer.show(seconds, self.size)) is not None:
                rows, columns, patch = shown
                front[rows, columns][patch[..., 3] >= 128] = number
        return front


def _hidden(flow: Flow, front: NDArray[np.int16], front_before: NDArray[np.int16]) -> Mask:
    """Where the source point lies outside the picture or belonged to another layer."""
    height, width = front.shape
    y, x = np.indices(front.shape)
    column, row = np.rint(x + flow[..., 0]).astype(int), np.rint(y + flow[..., 1]).astype(int)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    source = front_before[row.clip(0, height - 1), column.clip(0, width - 1)]
    return np.asarray(~inside | (source != front), np.bool_)


class Cutting:
    """Two scenes in turn, `SHOT_FRAMES` frames each, joined by hard cuts."""

    def __init__(self, name: str, first: Scene, second: Scene) -> None:
        self.name, self.size, self.rate = name, first.size, first.rate
        self._shots = (first, second)
        listed = int(CUTS_LISTED_HOURS * 3600 * self.rate)
        self.cuts = frozenset(range(SHOT_FRAMES, listed, SHOT_FRAMES))

    def frame(self, index: int) -> Picture:
        return self._shot(index).frame(index)

    def motion(self, index: int) -> tuple[Flow, Mask]:
        if index % SHOT_FRAMES == 0:
            return _unrelated(self.size)
        return self._shot(index).motion(index)

    def _shot(self, index: int) -> Scene:
        return self._shots[index // SHOT_FRAMES % 2]


class Still:
    """One picture from a still camera, with fresh sensor noise in each frame.

    The noise is independent from pixel to pixel, with a variance that rises linearly with the signal
    (photon noise over a floor of read noise): sigma 2 of 255 in black, 4 in white.
    """

    cuts: frozenset[int] = frozenset()

    def __init__(self, name: str, picture: Picture, rate: Fraction) -> None:
        height, width = picture.shape[:2]
        self.name, self.size, self.rate = name, (width, height), rate
        self._picture = picture.astype(np.int16) * NOISE_STEPS
        sigma = np.sqrt(4 + 12 * picture.astype(np.float32) / 255)
        self._sigma = np.rint(sigma * NOISE_STEPS).astype(np.int16)
        rng = np.random.default_rng(7)
        grain = rng.standard_normal((2 * height, 2 * width, 3), np.float32)
        self._grain = np.rint(grain * (1024 / np.sqrt(2))).astype(np.int16)

    def frame(self, index: int) -> Picture:
        # Drawing normal numbers takes 25 ms a frame at 720p; the sum of two random cuts of one sheet of
        # grain is as good, because the same pair of cuts hardly ever comes again.
        rng = np.random.default_rng([11, index])
        grain = cv2.add(self._cut(rng), self._cut(rng))
        noise = cv2.multiply(grain, self._sigma, scale=1 / 1024)
        share = 1 / NOISE_STEPS
        return _bytes(cv2.addWeighted(self._picture, share, noise, share, 0, dtype=cv2.CV_8U))

    def motion(self, index: int) -> tuple[Flow, Mask]:
        flow, unseen = _unrelated(self.size)
        return flow, unseen if index == 0 else np.zeros_like(unseen)

    def _cut(self, rng: np.random.Generator) -> NDArray[np.int16]:
        width, height = self.size
        x, y = rng.integers(width), rng.integers(height)
        cut: NDArray[np.int16] = self._grain[y : y + height, x : x + width]
        return cut


# --- brushes -----------------------------------------------------------------------------------------


def _color(code: str) -> Paint:
    """``#rrggbb`` as three values in 0..1."""
    return np.array([int(code[k : k + 2], 16) / 255 for k in (1, 3, 5)], np.float32)


def _ramp(at: Plane, stops: Stops) -> Paint:
    """Colors ``(..., 3)`` along a gradient of (position, color) stops."""
    positions = [position for position, _ in stops]
    colors = np.array([_color(code) for _, code in stops])
    return np.stack([np.interp(at, positions, colors[:, k]) for k in range(3)], -1).astype(np.float32)


def _blend(under: Paint, over: Paint, share: Plane) -> Paint:
    return np.asarray(under + (over - under) * share[..., None], np.float32)


def _edge(low: float, high: float, value: Plane) -> Plane:
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


def _noise(
    rng: np.random.Generator, shape: tuple[int, int], cells: tuple[float, float], octaves: int
) -> Plane:
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
        return _noise(rng, self.shape, cells, octaves)

    def ridge(self, rng: np.random.Generator, cell: float, octaves: int = 4) -> Plane:
        """``(1, w)`` noise along the sheet."""
        return _noise(rng, (4, self.shape[1]), (4, self.width / cell), octaves)[1:2]

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
        return Layer(np.ascontiguousarray(_dry(self.paint)[:, columns]), path, self.shape[1], margin, ripple)


def _dry(paint: Paint) -> Picture:
    """To uint8, a little soft.

    A sharp texture would flicker: moved by half a pixel, linear interpolation blurs it, moved by a
    whole one it does not.  Lenses are about this soft too.
    """
    soft = cv2.GaussianBlur(paint, (0, 0), 0.55, borderType=cv2.BORDER_REPLICATE)
    return _bytes(np.rint(np.clip(soft, 0, 1) * 255))


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
        at = corner[axis] + _range(0, mask.shape[1 - axis])
        color = _ramp((at - low[axis]) / max(high[axis] - low[axis], 1e-6), stops)
        alpha = (mask.astype(np.float32) / 255)[..., None]
        part *= 1 - alpha
        part[..., :3] += (color[None] if across else color[:, None]) * alpha
        part[..., 3:] += alpha

    def done(self) -> Paint:
        size = (self.width_px, self.height_px)
        return np.asarray(cv2.resize(self.paint, size, interpolation=cv2.INTER_AREA), np.float32)


def _curve(*points: tuple[float, float]) -> list[tuple[float, float]]:
    """A smooth outline through a Bezier curve's control points."""
    t = np.linspace(0, 1, 17)[:, None]
    knots = [np.array(p, np.float64) + 0 * t for p in points]
    while len(knots) > 1:
        knots = [a + (b - a) * t for a, b in itertools.pairwise(knots)]
    return [(float(x), float(y)) for x, y in knots[0]]


# --- paintings: what both shots use ------------------------------------------------------------------


def _shift(speed: float) -> float:
    """Heights per second of a motion given as pixels per frame at 720p and 30 frames per second."""
    return speed * 30 / 720


def _sky(sheet: Sheet, rng: np.random.Generator, stops: Stops, streak: str, strength: float) -> None:
    """A gradient in broad bent strokes, with wind-blown streaks of ``streak`` over it."""
    bend = sheet.noise(rng, (0.25, 0.6), 3)
    stroke = sheet.noise(rng, (0.03, 0.35), 3)
    height = float(sheet.y[-1, 0])
    color = _ramp(sheet.y / height + 0.035 * bend + 0.012 * stroke, stops)
    swirl = np.sin(TAU * (sheet.y / 0.11 + 0.55 * bend) + 0.8 * stroke)
    wisp = _edge(0.35, 1.0, swirl) * _edge(-0.2, 1.2, sheet.noise(rng, (0.16, 0.5), 3)) * strength
    color = _blend(color, _color(streak), wisp * _edge(0.02, 0.12, sheet.y))
    sheet.lay(np.clip(color * (1 + 0.02 * stroke[..., None]), 0, 1), np.ones((1, 1), np.float32))


def _disc(sheet: Sheet, at: tuple[float, float], radius: float, core: str, halo: str) -> None:
    """Sun or moon: a disc in a glow with faint rings."""
    distance = np.hypot(sheet.wrapped(at[0]), sheet.y - at[1])
    beyond = np.maximum(distance - radius, 0) / radius
    rings = 0.82 + 0.18 * np.cos(TAU * beyond / 1.1)
    sheet.lay(_color(halo), np.asarray(0.85 * rings * np.exp(-beyond / 1.6), np.float32))
    sheet.lay(_color(core), _edge(sheet.pixel, -sheet.pixel, distance - radius))


def _puff(radius_px: float, stops: Stops, sun: tuple[float, float]) -> Paint:
    """A ball lit from ``sun`` (x, y), colored from shade (0) to light (1)."""
    span = _range(-int(radius_px) - 1, int(radius_px) + 2) / radius_px
    x, y = span[None], span[:, None]
    shade = 0.5 + 0.5 * (x * sun[0] + y * sun[1])
    alpha = _edge(1 / radius_px, -1 / radius_px, np.hypot(x, y) - 1)[..., None]
    return np.concatenate([_ramp(shade, stops) * alpha, alpha], -1)


def _cumulus(
    sheet: Sheet, rng: np.random.Generator, at: tuple[float, float], span: float, stops: Stops
) -> None:
    """A heaped cloud with a flat base at ``at``, ``span`` wide; back puffs first."""
    heap = [(float(rng.uniform(-1, 1)), float(rng.random() ** 1.4)) for _ in range(46)]
    for across, up in sorted(heap, key=lambda puff: -puff[1]):
        room = 1 - across**2
        radius = span * (0.035 + 0.11 * room * float(rng.uniform(0.6, 1)))
        if radius * sheet.unit_px < 0.8:
            continue
        x = at[0] + 0.5 * span * across
        y = at[1] - span * (0.30 * up * room) + 0.25 * radius
        lift = 0.22 * (up - 0.45)
        puff = _puff(radius * sheet.unit_px, [(p - lift, c) for p, c in stops], (0.45, -0.75))
        sheet.stamp(puff, x, y + radius)


@dataclass(frozen=True)
class Rock:
    """Colors of a mountain from summit (0) to foot (1); ``snow`` is how far down the snow reaches."""

    light: Stops
    shade: Stops
    snow: float = 0.0


def _peak(rng: np.random.Generator, height: float, width: float, unit_px: int, rock: Rock) -> Paint:
    """A mountain with ribs that run down from its summit, lit from the right."""
    shape = max(round(height * unit_px), 2), max(round(width * unit_px), 2)
    x = (np.arange(shape[1], dtype=np.float32) + 0.5)[None] / shape[1] * 2 - 1
    y = (np.arange(shape[0], dtype=np.float32) + 0.5)[:, None] / shape[0]
    steep = 1 - np.abs(x)
    jag = _noise(rng, (4, shape[1]), (4, 9), 4)[1:2]
    profile = 0.62 * steep**1.9 + 0.38 * steep + 0.022 * jag * np.sqrt(steep * (1 - steep))
    profile = np.minimum(profile, 0.955 + 0.012 * jag)
    angle = x / (y + 0.10)
    ribs = _along(_noise(rng, (128, 512), (4, 30), 4), angle, 0.45 * y)
    lit = _edge(-0.28, 0.28, angle - 0.05 + 0.34 * ribs)
    color = _blend(_ramp(y + 0.03 * ribs, rock.shade), _ramp(y + 0.03 * ribs, rock.light), lit)
    if rock.snow:
        tongues = _along(_noise(rng, (128, 512), (4, 40), 3), angle, 0.3 * y)
        snow = _blend(_blend(color, _color("#9db4dc"), np.ones_like(lit)), _color("#fff8ea"), lit)
        color = _blend(color, snow, _edge(0.02, -0.02, y - rock.snow * (1 + 0.3 * tongues)))
    alpha = _edge(-1.0, 1.0, (y - 1 + profile) * shape[0])[..., None]
    return np.concatenate([color * alpha, alpha], -1)


def _along(noise: Plane, angle: Plane, depth: Plane) -> Plane:
    """Noise stretched along the fall line: its columns are angles -1.5..1.5, its rows depths 0..1."""
    height, width = noise.shape
    columns = np.clip((angle + 1.5) / 3 * width, 0, width - 1).astype(np.float32)
    rows = np.broadcast_to(np.clip(depth * height, 0, height - 1), columns.shape).astype(np.float32)
    return np.asarray(cv2.remap(noise, columns, rows, cv2.INTER_LINEAR), np.float32)


def _mirror(source: Sheet, waterline: float, depth: float, squeeze: float) -> Sheet:
    """What stands above ``waterline``, upside down below it, ``squeeze`` times as high."""
    water = Sheet(waterline, waterline + depth, source.width, source.unit_px)
    rows = (2 * waterline - water.y[:, 0]) * (1 / squeeze) + waterline * (1 - 1 / squeeze)
    lines = np.rint(rows * source.unit_px - 0.5).astype(int) - source.top_px
    inside = (lines >= 0) & (lines < source.shape[0])
    water.paint = source.paint[np.clip(lines, 0, source.shape[0] - 1)] * inside[:, None, None]
    return water


def _glints(water: Sheet, rng: np.random.Generator, waterline: float, color: str, amount: float) -> None:
    """Short level strokes of reflected light, longer and rarer towards the viewer."""
    near = _noise(rng, water.shape, (26, water.width / 0.10), 2)
    far = _noise(rng, water.shape, (44, water.width / 0.05), 1)
    depth = np.clip((water.y - waterline) / 0.14, 0, 1)
    strokes = _edge(1.25 - amount, 1.5 - amount, far + (near - far) * depth)
    water.lay(_color(color), 0.9 * strokes)


def _glitter(water: Sheet, rng: np.random.Generator, x: float, waterline: float, color: str) -> None:
    """The broken path of light below a sun or moon at ``x``."""
    depth = water.y - waterline
    dashes = _noise(rng, water.shape, (30, water.width / 0.07), 2)
    lane = 1.6 - 2.4 * np.abs(water.wrapped(x)) / (0.055 + 0.75 * depth)
    water.lay(_color(color), 0.95 * _edge(0.0, 0.35, np.asarray(dashes + lane, np.float32)))


@dataclass(frozen=True)
class Swell:
    """One strip of waves: ``top`` and ``bottom`` in the picture, crest height and distance, colors."""

    top: float
    bottom: float
    crest: float
    distance: float
    body: Stops
    line: str
    foam: str


def _wave(rng: np.random.Generator, swell: Swell, period: float, unit_px: int) -> Sheet:
    """Sharp crests over round troughs, banded along their outline, with a line of foam."""
    sheet = Sheet(swell.top - 1.2 * swell.crest, swell.bottom, period, unit_px)
    crests = max(round(sheet.width / swell.distance), 1)
    bend = sheet.ridge(rng, 2.5 * swell.distance, 3)
    phase = np.pi * crests * sheet.x / sheet.period + 0.7 * bend
    sharp = 1 - np.abs(np.sin(phase))
    small = 1 - np.abs(np.sin(3 * phase + 1.7 * bend))
    rise = np.asarray(0.85 * sharp**1.4 + 0.15 * small, np.float32)
    depth = sheet.y - (swell.top + swell.crest * (0.5 - rise))
    stroke = sheet.noise(rng, (0.022, 0.16), 3)
    band = np.sin(TAU * (depth / (0.62 * swell.crest + 0.012) + 0.18 * stroke))
    height = swell.bottom - swell.top
    color = _ramp(depth / height + 0.05 * stroke, swell.body)
    color = _blend(color, _color(swell.line), 0.42 * _edge(0.15, 0.75, np.asarray(band, np.float32)))
    thick = 0.05 * swell.crest + 0.20 * swell.crest * rise * (1 + 0.5 * sheet.ridge(rng, 0.05, 3))
    color = _blend(color, _color(swell.foam), _edge(0.0, -2 * sheet.pixel, depth - thick))
    spray = sheet.noise(rng, (0.007, 0.034), 2) + 2.2 * rise * np.exp(-depth / (0.5 * swell.crest))
    flecks = _edge(2.0, 2.2, np.asarray(spray, np.float32))
    color = _blend(color, _color(swell.foam), flecks)
    sheet.lay(color, _edge(-sheet.pixel, sheet.pixel, depth))
    return sheet


def _track(size: Size, unit_px: int, extra: float) -> tuple[float, float]:
    """Start and length in pixels of a crossing for things up to 0.8 heights wide; ``extra`` is the wait."""
    return -0.4 * unit_px - 16, size[0] + (0.8 + extra) * unit_px + 32


def _sailboat(height: float, unit_px: int, sails: tuple[Stops, Stops], hull: Stops) -> Paint:
    """A boat with a main sail (colors from mast to leech), a jib behind it, and a pennant."""
    boat = Cutout(0.86, height, unit_px)
    boat.shape([*_curve((0.50, 0.05), (0.72, 0.36), (0.83, 0.74)), (0.505, 0.77)], sails[0], across=True)
    boat.shape([*_curve((0.465, 0.10), (0.26, 0.44), (0.10, 0.75)), (0.46, 0.77)], sails[1], across=True)
    for seam in (0.32, 0.50, 0.66):
        reach = 0.50 + 0.40 * (seam - 0.02)
        boat.shape(
            [(0.50, seam), (reach, seam + 0.012), (reach, seam + 0.019), (0.50, seam + 0.008)],
            [(0, "#a8743c"), (1, "#a8743c")],
        )
    boat.shape([(0.475, 0.02), (0.49, 0.02), (0.495, 0.84), (0.47, 0.84)], [(0, "#5a3a22"), (1, "#2e1c14")])
    boat.shape(
        [*_curve((0.04, 0.81), (0.10, 0.97), (0.24, 0.99)), (0.68, 0.99), (0.84, 0.79), (0.45, 0.83)], hull
    )
    boat.shape(
        [(0.05, 0.83), (0.45, 0.85), (0.82, 0.81), (0.80, 0.85), (0.45, 0.88), (0.07, 0.86)],
        [(0, "#ffe7b0"), (1, "#f0b860")],
    )
    boat.shape([(0.49, 0.02), (0.60, 0.045), (0.49, 0.075)], [(0, "#e8432e"), (1, "#b8281f")])
    return boat.done()


def _gull(span: float, unit_px: int, stops: Stops) -> Paint:
    """A gull from the front, wings spread; ``span`` from tip to tip."""
    bird = Cutout(2.6, span / 2.6, unit_px)
    left = [
        *_curve((0.05, 0.55), (0.55, -0.05), (1.28, 0.62)),
        *_curve((1.26, 0.80), (0.70, 0.18), (0.05, 0.55)),
    ]
    bird.shape(left, stops)
    bird.shape([(2.6 - x, y) for x, y in left], stops)
    bird.shape(_curve((1.14, 0.66), (1.30, 0.30), (1.46, 0.66), (1.30, 1.1), (1.14, 0.66)), stops)
    return bird.done()


def _birds(
    size: Size, rng: np.random.Generator, unit_px: int, count: int, heading: int, stops: Stops
) -> list[Layer]:
    """A loose flock high up, and one gull that shoots past at half a picture height per second."""
    layers = []
    for number in range(count):
        paint = _gull(float(rng.uniform(0.035, 0.055)), unit_px, stops)
        path = Crossing(
            track_px=_track(size, unit_px, 1.0),
            start_px=(0.95 + 0.075 * number) * unit_px,
            speed_px=heading * _shift(1.7) * unit_px,
            level_px=(0.13 + 0.03 * abs(number - 1.6) + float(rng.uniform(0, 0.015))) * unit_px,
            anchor_px=(paint.shape[1] / 2, paint.shape[0] / 2),
            bob_px=0.006 * unit_px,
            bob_seconds=float(rng.uniform(3, 4)),
            beat=0.6,
            beat_seconds=float(rng.uniform(1.2, 1.7)),
        )
        layers.append(Layer(_dry(_framed(paint)), path))
    return [*layers, _fast_gull(size, unit_px, heading, stops)]


def _fast_gull(size: Size, unit_px: int, heading: int, stops: Stops) -> Layer:
    paint = _framed(_gull(0.17, unit_px, stops))
    path = Crossing(
        track_px=_track(size, unit_px, 1.5),
        start_px=1.35 * unit_px,
        speed_px=-heading * _shift(11) * unit_px,
        level_px=0.42 * unit_px,
        anchor_px=(paint.shape[1] / 2, paint.shape[0] / 2),
        bob_px=0.05 * unit_px,
        bob_seconds=3.3,
        roll_degrees=9,
        beat=0.45,
        beat_seconds=1.1,
    )
    return Layer(_dry(paint), path)


def _framed(paint: Paint) -> Paint:
    """With an empty border, so that its edge stays soft when it moves by a fraction of a pixel."""
    return np.pad(paint, ((2, 2), (2, 2), (0, 0)))


def _boat(
    size: Size, unit_px: int, paint: Paint, at: tuple[float, float], speed: float, seconds: float
) -> Layer:
    """A boat on the swell: ``at`` is where its keel is at time 0, ``seconds`` its rocking."""
    paint = _framed(paint)
    track = _track(size, unit_px, 0.6)
    path = Crossing(
        track_px=track,
        start_px=at[0] * unit_px - track[0],
        speed_px=_shift(speed) * unit_px,
        level_px=at[1] * unit_px,
        anchor_px=(paint.shape[1] / 2, paint.shape[0] - 2.0),
        bob_px=0.006 * unit_px,
        bob_seconds=seconds,
        roll_degrees=2.2,
    )
    return Layer(_dry(paint), path)


def _drift(unit_px: int, speed: float, sheet: Sheet, bob: float = 0.0, bob_seconds: float = 1.0) -> Drift:
    """``speed`` in pixels per frame at 720p, ``bob`` in picture heights."""
    return Drift(_shift(speed) * unit_px, sheet.top_px, bob * unit_px, bob_seconds)


def _period(size: Size, pictures: float) -> float:
    """Heights before a layer repeats: ``pictures`` picture widths, enough for a tall picture too."""
    return max(pictures * size[0] / size[1], 2.2)


def _glow(size: Size, stops: Stops) -> Picture:
    """``(H, W, 4)``: the color of the light, by height."""
    at = np.linspace(0, 1, size[1], dtype=np.float32)
    column = np.rint(255 * _ramp(at, stops))[:, None]
    return _bytes(np.pad(np.repeat(column, size[0], 1), ((0, 0), (0, 0), (0, 1)), constant_values=255))


# --- paintings: the bay by day -----------------------------------------------------------------------

DAY_SKY: Stops = [
    (0.0, "#173f8f"),
    (0.28, "#2f74bd"),
    (0.55, "#6fb7d6"),
    (0.78, "#f2dfae"),
    (0.92, "#fac27e"),
    (1.0, "#f59e69"),
]
DAY_CLOUD: Stops = [(0.0, "#8d93c4"), (0.35, "#d9b9c4"), (0.62, "#fbe6c8"), (0.9, "#fffaf0")]
FUJI = Rock(
    light=[(0.0, "#c99a8e"), (0.45, "#a583a8"), (0.8, "#93a0cc"), (1.0, "#c3c6d6")],
    shade=[(0.0, "#4f5fa3"), (0.45, "#3f5fa8"), (0.8, "#5c86bf"), (1.0, "#a9bcd4")],
    snow=0.34,
)
FOOTHILL = Rock(
    light=[(0.0, "#7fa3b8"), (0.5, "#6fa99a"), (1.0, "#a9c6a0")],
    shade=[(0.0, "#3c6499"), (0.5, "#3d7a8e"), (1.0, "#6ea396")],
)
FIELDS = ["#5d8f3a", "#86a83f", "#d9b44a", "#c98f3a", "#3f7a45", "#e3cf6b", "#a2b84c", "#4f9160"]
TREE: Stops = [(0.0, "#123f3a"), (0.45, "#1f6a45"), (0.8, "#6fa045"), (1.0, "#c8cc5c")]
HORIZON = 0.56
SUN = (1.24, 0.26)
FAR_SPEED = -0.3


def _bay(size: Size, rate: Fraction, name: str) -> Stage:
    """A bay under a snow-capped mountain, with islands, swell, sails and a near shore."""
    unit = size[1]
    rng = np.random.default_rng(1889)
    far = _day_backdrop(size, rng)
    islands = _islands(size, rng)
    waves = [_wave(rng, swell, _period(size, 1.35), unit) for swell in DAY_SWELL]
    still_water = Ripple(HORIZON * unit, unit, 0.02 * unit)
    clouds = Sheet(0.02, HORIZON, _period(size, 1.6), unit)
    for x, y, span in ((0.2, 0.25, 0.34), (0.98, 0.42, 0.42), (1.75, 0.17, 0.3), (2.3, 0.37, 0.5)):
        _cumulus(clouds, rng, (x, y), span, DAY_CLOUD)
    range_far = _day_range(size, rng)
    layers = [
        far.dry(size, _drift(unit, FAR_SPEED, far)),
        clouds.dry(size, _drift(unit, -0.55, clouds)),
        range_far.dry(size, _drift(unit, FAR_SPEED, range_far)),
    ]
    lake = _lake(far, range_far, rng)
    layers.append(lake.dry(size, _drift(unit, FAR_SPEED, lake), still_water))
    layers.append(islands.dry(size, _drift(unit, -0.8, islands)))
    mirrored = _island_water(islands, rng)
    layers.append(mirrored.dry(size, _drift(unit, -0.8, mirrored), still_water))
    layers += _day_birds_and_boats(size, rng, waves)
    bank = _bank(size, rng)
    layers.append(bank.dry(size, _drift(unit, -7.0, bank)))
    layers.append(_cypresses(size, rng))
    return Stage(name, size, rate, layers, _glow(size, [(0, "#ffb070"), (0.5, "#ffe2a0"), (1, "#e08a50")]))


def _day_backdrop(size: Size, rng: np.random.Generator) -> Sheet:
    sheet = Sheet(0, HORIZON + 0.02, _period(size, 1.5), size[1])
    _sky(sheet, rng, DAY_SKY, "#fdf3d8", 0.55)
    _disc(sheet, SUN, 0.046, "#fffbe2", "#ffdf8c")
    return sheet


def _day_range(size: Size, rng: np.random.Generator) -> Sheet:
    sheet = Sheet(0.12, HORIZON + 0.02, _period(size, 1.5), size[1])
    unit = size[1]
    for x, height, width in ((2.0, 0.24, 1.1), (1.62, 0.16, 0.9), (2.45, 0.17, 1.0)):
        sheet.stamp(_peak(rng, height, width, unit, Rock(FUJI.light, FUJI.shade, 0.2)), x, HORIZON + 0.01)
    sheet.stamp(_peak(rng, 0.40, 1.35, unit, FUJI), 0.72, HORIZON + 0.01)
    for number in range(int(sheet.width / 0.17)):
        height, width = float(rng.uniform(0.05, 0.10)), float(rng.uniform(0.35, 0.6))
        x = 0.17 * number + float(rng.uniform(-0.06, 0.06))
        sheet.stamp(_peak(rng, height, width, unit, FOOTHILL), x, HORIZON + 0.012)
    return sheet


def _lake(backdrop: Sheet, peaks: Sheet, rng: np.random.Generator) -> Sheet:
    """The far water: sky and mountains upside down, broken by strokes, the sun's path on it."""
    water = _mirror(backdrop, HORIZON, 0.17, 0.42)
    above = _mirror(peaks, HORIZON, 0.17, 0.42)
    water.paint = above.paint + water.paint * (1 - above.paint[..., 3:])
    deep = _edge(0.0, 0.15, water.y - HORIZON)
    water.lay(_color("#1d5f96"), 0.30 + 0.45 * deep)
    _glints(water, rng, HORIZON, "#123f7a", 0.75)
    _glints(water, rng, HORIZON, "#bfe3dc", 0.35)
    _glitter(water, rng, SUN[0], HORIZON, "#fff0b8")
    return water


def _islands(size: Size, rng: np.random.Generator) -> Sheet:
    """Low islands and headlands: fields in furrows, woods, a village."""
    shore = HORIZON + 0.018
    sheet = Sheet(0.40, shore, _period(size, 1.7), size[1])
    rise = 0.05 * (sheet.ridge(rng, 0.5, 4) + 0.45) + 0.004 * sheet.ridge(rng, 0.05, 2)
    ridge = shore - np.minimum(rise, 0.14)
    depth = sheet.y - ridge
    color = _fields(sheet, rng, depth)
    color = _blend(color, _color("#f2dfa6"), _edge(0.006, 0.002, shore - sheet.y + 0 * depth))
    color = _blend(color, _color("#ffe9b0"), 0.35 * _edge(0.012, 0.0, depth))
    sheet.lay(color, _edge(-sheet.pixel, sheet.pixel, depth))
    _plant(sheet, rng, ridge[0], shore)
    return sheet


def _fields(sheet: Sheet, rng: np.random.Generator, depth: Plane) -> Paint:
    """Patchwork in perspective: rows of fields, each with its color and the lie of its furrows."""
    warp = sheet.noise(rng, (0.08, 0.22), 2)
    along = max(round(sheet.width / 0.13), 1)
    v = np.sqrt(np.maximum(depth, 0) / 0.012) + 0.28 * warp
    u = sheet.x / sheet.period * along + 0.35 * warp + 0.5 * np.floor(v)
    patch = (np.floor(u).astype(int) % along) * 5 + np.floor(v).astype(int) * 3
    colors = np.array([_color(code) for code in FIELDS])
    tilt = (patch % 3 - 1) * 0.9
    furrow = np.sin(TAU * (7 * (u % 1) + tilt * 6 * (v % 1)))
    edge = np.minimum(np.minimum(u % 1, 1 - u % 1) * 3, np.minimum(v % 1, 1 - v % 1))
    color = colors[patch % len(colors)] * (1 + 0.13 * furrow[..., None])
    return _blend(np.asarray(color, np.float32), _color("#2d5f3c"), 0.75 * _edge(0.13, 0.05, edge))


def _plant(sheet: Sheet, rng: np.random.Generator, ridge: Plane, shore: float) -> None:
    """Trees all over the land and a village on the highest of it, far ones first."""
    unit = sheet.unit_px
    village = float(np.argmin(ridge)) / ridge.size
    spots = [(float(rng.random()), float(rng.random())) for _ in range(int(110 * sheet.width))]
    for down, along in sorted(spots):
        land = shore - float(ridge[int(along * ridge.size)])
        if land < 0.012:
            continue
        size = 0.012 + 0.016 * down
        y = shore - land * (1 - down) * 0.95
        built = abs(along - village) < 0.16 / sheet.width
        figure = _house(rng, 1.5 * size, unit) if built and down > 0.3 else _tree(rng, size, unit)
        sheet.stamp(figure, along * sheet.period, y)


def _tree(rng: np.random.Generator, height: float, unit_px: int) -> Paint:
    """A small cypress or a round crown."""
    if rng.random() < 0.3:
        tree = Cutout(0.45, 1.7 * height, unit_px)
        flame = _curve((0.22, 1.0), (-0.12, 0.55), (0.225, 0.0)) + _curve(
            (0.225, 0.0), (0.57, 0.55), (0.22, 1.0)
        )
        tree.shape(flame, [(0, "#0f3a3a"), (0.6, "#1d5a3f"), (1, "#5f8f45")], across=True)
        return tree.done()
    return _puff(max(0.55 * height * unit_px, 0.8), TREE, (0.6, -0.6))


def _house(rng: np.random.Generator, height: float, unit_px: int) -> Paint:
    house = Cutout(1.3, height, unit_px)
    wall, roof = rng.choice(["#fff1d0", "#f6d9a8", "#e9c9a0"]), rng.choice(["#d9512f", "#c63f2b", "#e57a3a"])
    house.shape(
        [(0.1, 0.45), (1.2, 0.45), (1.2, 1.0), (0.1, 1.0)], [(0, "#b08a78"), (0.45, wall), (1, wall)], True
    )
    house.shape([(0.0, 0.5), (0.3, 0.08), (1.0, 0.08), (1.3, 0.5)], [(0, roof), (1, "#8f2f28")])
    house.shape([(0.7, 0.6), (0.9, 0.6), (0.9, 0.82), (0.7, 0.82)], [(0, "#3b4a74"), (1, "#3b4a74")])
    return house.done()


def _island_water(islands: Sheet, rng: np.random.Generator) -> Sheet:
    """The islands' reflection, dark and frayed by level strokes."""
    shore = HORIZON + 0.018
    water = _mirror(islands, shore, 0.10, 0.55)
    water.paint[..., :3] = 0.55 * water.paint[..., :3] + 0.45 * _color("#164a78") * water.paint[..., 3:]
    fray = _noise(rng, water.shape, (22, water.width / 0.09), 2)
    keep = _edge(0.0, 0.25, np.asarray(1.6 + fray - 26 * (water.y - shore), np.float32))
    water.paint *= keep[..., None]
    return water


DAY_SWELL = (
    Swell(0.665, 0.75, 0.020, 0.16, [(0, "#5fb3b8"), (0.4, "#2f86ad"), (1, "#1b5a94")], "#164a86", "#e9f3dc"),
    Swell(0.72, 0.83, 0.032, 0.25, [(0, "#4fa6b4"), (0.4, "#2273a6"), (1, "#144a85")], "#0f3b78", "#f1f3e0"),
    Swell(0.79, 0.92, 0.048, 0.38, [(0, "#3f97b0"), (0.35, "#1b6299"), (1, "#0f3f7c")], "#0c326c", "#f6f2e2"),
    Swell(0.872, 1.05, 0.066, 0.55, [(0, "#3a8fae"), (0.3, "#17558f"), (1, "#0b2f66")], "#0a2a5e", "#faf4e6"),
)
RED_SAILS: tuple[Stops, Stops] = ([(0, "#f2a03c"), (1, "#d9402c")], [(0, "#b5301f"), (1, "#f07a35")])
PALE_SAILS: tuple[Stops, Stops] = ([(0, "#fff6dc"), (1, "#f0cf94")], [(0, "#d8b48c"), (1, "#fff2d2")])
HULL: Stops = [(0, "#7a3b22"), (0.5, "#4a2318"), (1, "#241a2c")]


def _day_birds_and_boats(size: Size, rng: np.random.Generator, waves: Sequence[Sheet]) -> list[Layer]:
    """Swell strips from far to near with boats between them, and the birds above."""
    unit = size[1]
    strips = [
        wave.dry(size, _drift(unit, speed, wave, bob, seconds))
        for wave, speed, bob, seconds in zip(
            waves, (-1.3, -2.1, -3.2, -4.6), (0.003, 0.004, 0.006, 0.008), (3.7, 4.3, 5.1, 5.9), strict=True
        )
    ]
    far = _boat(size, unit, _sailboat(0.15, unit, PALE_SAILS, HULL), (0.42, 0.665), 0.7, 4.1)
    middle = _boat(size, unit, _sailboat(0.26, unit, RED_SAILS, HULL), (1.12, 0.745), -2.6, 4.7)
    near = _boat(size, unit, _sailboat(0.38, unit, PALE_SAILS, HULL), (-0.3, 0.845), 3.4, 5.3)
    birds = _birds(size, rng, unit, 4, 1, [(0, "#2a3358"), (1, "#3d3a55")])
    return [*birds[:-1], far, strips[0], middle, strips[1], near, strips[2], strips[3], birds[-1]]


def _bank(size: Size, rng: np.random.Generator) -> Sheet:
    """The near shore: tall grass with poppies, irises and ears of wheat."""
    sheet = Sheet(0.80, 1.0, _period(size, 1.9), size[1])
    ground = 0.965 + 0.012 * sheet.ridge(rng, 0.7, 2)
    shade = sheet.noise(rng, (0.03, 0.05), 3)
    sheet.lay(
        _ramp((sheet.y - ground) / 0.06 + 0.2 * shade, [(0, "#4f7a35"), (1, "#173a2c")]),
        _edge(-sheet.pixel, sheet.pixel, sheet.y - ground),
    )
    blades = [_blade(rng, sheet.unit_px) for _ in range(24)]
    flowers = [_flower(rng, sheet.unit_px) for _ in range(16)]
    lush = sheet.ridge(rng, 0.35, 2)[0]
    for number in range(int(170 * sheet.width)):
        x = float(rng.random()) * sheet.period
        kind = flowers if number % 4 == 3 and lush[int(x / sheet.period * lush.size)] > -0.6 else blades
        sheet.stamp(kind[int(rng.integers(len(kind)))], x, 1.0 + float(rng.uniform(-0.012, 0.035)))
    return sheet


def _blade(rng: np.random.Generator, unit_px: int) -> Paint:
    height = float(rng.uniform(0.06, 0.13))
    blade = Cutout(0.6, height, unit_px)
    tip, stops = (
        float(rng.uniform(0.02, 0.58)),
        [("#b9c552", "#2f6a38"), ("#e6c95a", "#6f7a30"), ("#6fae5a", "#1d4f38")],
    )
    top, foot = stops[int(rng.integers(3))]
    outline = _curve((0.26, 1.0), (0.27, 0.4), (tip, 0.02)) + _curve((tip, 0.02), (0.34, 0.42), (0.36, 1.0))
    blade.shape(outline, [(0, top), (1, foot)])
    return blade.done()


def _flower(rng: np.random.Generator, unit_px: int) -> Paint:
    """A poppy, iris or sunflower on its stem."""
    height = float(rng.uniform(0.08, 0.15))
    flower = Cutout(0.5, height, unit_px)
    petal, heart = [("#e8402a", "#4a1420"), ("#5b5fc7", "#f4d35e"), ("#f7b928", "#6a3a1a")][
        int(rng.integers(3))
    ]
    flower.shape([(0.24, 0.3), (0.27, 0.3), (0.29, 1.0), (0.25, 1.0)], [(0, "#6f9a45"), (1, "#2f5f38")])
    for turn in np.linspace(0, TAU, 7)[:-1] + float(rng.random()):
        x, y = 0.25 + 0.11 * np.cos(turn), 0.2 + 0.09 * np.sin(turn)
        flower.shape(_ellipse(x, y, 0.095, 0.085), [(0, petal), (1, petal)])
    flower.shape(_ellipse(0.25, 0.2, 0.06, 0.05), [(0, heart), (1, heart)])
    return flower.done()


def _ellipse(x: float, y: float, width: float, height: float) -> list[tuple[float, float]]:
    return [(x + width * float(np.cos(t)), y + height * float(np.sin(t))) for t in np.linspace(0, TAU, 16)]


CYPRESS: tuple[Stops, ...] = (
    [(0, "#061f28"), (1, "#0d3438")],
    [(0, "#0a2c2f"), (1, "#17503c")],
    [(0, "#0f3f38"), (1, "#32743f")],
    [(0, "#1b5a3c"), (1, "#a7a648")],
)


def _cypresses(size: Size, rng: np.random.Generator) -> Layer:
    """A pair of flame-shaped trees that passes close by."""
    unit = size[1]
    sheet = Sheet(0.0, 0.82, 0.36, unit)
    for x, height, width in ((0.125, 0.60, 0.135), (0.225, 0.80, 0.18)):
        sheet.stamp(_cypress(rng, height, width, unit), x, 0.82)
    track = -0.4 * unit - 16, max(3.2 * size[0], size[0] + 2.0 * unit) + 32.0
    path = Crossing(track, 0.62 * unit, _shift(-7.0) * unit, 1.02 * unit, (0.18 * unit, 0.82 * unit))
    return Layer(_dry(_framed(sheet.paint)), path)


def _cypress(rng: np.random.Generator, height: float, width: float, unit_px: int) -> Paint:
    """A dark flame built of small flames, lit from the right, upper ones behind lower ones."""
    tree = Cutout(width / height, height, unit_px)
    middle = 0.5 * width / height
    for y in np.sort(rng.uniform(0.13, 1.02, 170)):
        reach = middle * 0.80 * float(np.sin(np.pi * min(y, 1) ** 1.25 * 0.80)) ** 0.75
        side = float(rng.uniform(-1, 1))
        foot = middle + reach * side * 0.85, float(y)
        length = 0.10 + 0.06 * float(rng.random())
        tip = middle + reach * side * 1.05 + 0.012 * np.sin(12 * y), float(y) - length
        swell, lean = 0.030 + 0.012 * float(rng.random()), 0.045 * side
        left = _curve(foot, (foot[0] - swell + lean, foot[1] - 0.4 * length), tip)
        right = _curve(tip, (foot[0] + swell + lean, foot[1] - 0.3 * length), foot)
        light = int(np.clip(1.3 + 1.5 * side + rng.normal(), 0, 3))
        tree.shape(left + right, CYPRESS[light], across=True)
    return tree.done()


# --- paintings: the harbor at dusk -------------------------------------------------------------------

DUSK_SKY: Stops = [
    (0.0, "#101548"),
    (0.3, "#2a3384"),
    (0.55, "#6a4c9c"),
    (0.75, "#c9608a"),
    (0.9, "#f28a5e"),
    (1.0, "#ffc06a"),
]
DUSK_CLOUD: Stops = [(0.0, "#3d2f73"), (0.4, "#8a4a8c"), (0.7, "#ee7f74"), (1.0, "#ffd08a")]
DUSK_ROCK = Rock(
    light=[(0.0, "#a35c92"), (0.6, "#7a4a94"), (1.0, "#b0627f")],
    shade=[(0.0, "#3b2f78"), (0.6, "#372d74"), (1.0, "#6a4583")],
)
DUSK_SWELL = (
    Swell(0.73, 0.80, 0.022, 0.19, [(0, "#a868a8"), (0.4, "#54489c"), (1, "#2a2f7c")], "#2a2a74", "#ffd09a"),
    Swell(0.78, 0.89, 0.034, 0.29, [(0, "#8a5cae"), (0.4, "#3d3f94"), (1, "#20286c")], "#1e2466", "#ffc08e"),
    Swell(0.855, 1.05, 0.05, 0.42, [(0, "#5f5fb8"), (0.25, "#2c3788"), (1, "#121a4c")], "#141c56", "#f7b48c"),
)
DUSK_SAILS: tuple[Stops, Stops] = ([(0, "#e2574a"), (1, "#7c2450")], [(0, "#5a2050"), (1, "#c2484e")])
GREEN_SAILS: tuple[Stops, Stops] = ([(0, "#f7d08a"), (1, "#b0705e")], [(0, "#80526a"), (1, "#e8b078")])
FACADES = ["#34408c", "#4a3a86", "#27578c", "#6a3f7c", "#8a4a66", "#2b6a86", "#a3604f"]
ROOFS = ["#1c1d50", "#4f2350", "#6e2a48", "#222a62"]
LAMPLIGHT = ["#ffd65c", "#ffb43c", "#fff0a0", "#ff8f3f"]
QUAY = 0.60
MOON = (0.42, 0.17)


def _harbor(size: Size, rate: Fraction, name: str) -> Stage:
    """A harbor town under the first stars, seen by a camera that pans the other way."""
    unit = size[1]
    rng = np.random.default_rng(1853)
    sky, hills, town = _dusk_backdrop(size, rng), _dusk_hills(size, rng), _town(size, rng)
    clouds = Sheet(0.05, QUAY, _period(size, 1.6), unit)
    for x, y, span in ((1.15, 0.36, 0.40), (1.9, 0.25, 0.34), (2.6, 0.40, 0.36)):
        _cumulus(clouds, rng, (x, y), span, DUSK_CLOUD)
    water, mirrored = _dusk_water(sky, rng), _town_water(town, rng)
    ripple = Ripple(QUAY * unit, unit, 0.02 * unit)
    first, second, third = (_wave(rng, swell, _period(size, 1.35), unit) for swell in DUSK_SWELL)
    walk = _promenade(size, rng)
    layers = [
        sky.dry(size, _drift(unit, 0.3, sky)),
        clouds.dry(size, _drift(unit, 0.5, clouds)),
        hills.dry(size, _drift(unit, 0.6, hills)),
        *_birds(size, rng, unit, 3, -1, [(0, "#1a1740"), (1, "#2c2150")]),
        town.dry(size, _drift(unit, 1.0, town)),
        water.dry(size, _drift(unit, 0.3, water), ripple),
        mirrored.dry(size, _drift(unit, 1.0, mirrored), ripple),
        _boat(size, unit, _sailboat(0.23, unit, DUSK_SAILS, HULL), (0.95, 0.725), -1.2, 4.1),
        first.dry(size, _drift(unit, 1.8, first, 0.004, 4.3)),
        second.dry(size, _drift(unit, 2.6, second, 0.005, 4.9)),
        _boat(size, unit, _sailboat(0.36, unit, GREEN_SAILS, HULL), (0.2, 0.845), 3.6, 5.2),
        third.dry(size, _drift(unit, 3.6, third, 0.006, 5.4)),
        walk.dry(size, _drift(unit, 6.0, walk)),
    ]
    return Stage(name, size, rate, layers, _glow(size, [(0, "#4a3fb0"), (0.55, "#e0708a"), (1, "#3f3f9a")]))


def _dusk_backdrop(size: Size, rng: np.random.Generator) -> Sheet:
    sheet = Sheet(0, QUAY, _period(size, 1.5), size[1])
    _sky(sheet, rng, DUSK_SKY, "#f3a0a8", 0.5)
    for _ in range(int(16 * sheet.width)):
        radius = 0.0022 + 0.0045 * float(rng.random()) ** 3
        _star(sheet, (float(rng.random()) * sheet.period, 0.30 * float(rng.random())), radius)
    _disc(sheet, MOON, 0.052, "#fff4c8", "#c99ad0")
    return sheet


def _star(sheet: Sheet, at: tuple[float, float], radius: float) -> None:
    """A point of light in a soft round glow, five radii wide."""
    glow = max(5 * radius * sheet.unit_px, 1.0)
    span = _range(-int(glow) - 1, int(glow) + 2) / glow
    distance = np.hypot(span[None], span[:, None])
    alpha = np.maximum(0.55 * _edge(1, 0, distance), _edge(0.30, 0.16, distance))[..., None]
    core = _edge(0.4, 0.1, distance)
    color = _blend(np.broadcast_to(_color("#9fc0f0"), (*distance.shape, 3)), _color("#fffbe0"), core)
    sheet.stamp(np.concatenate([color * alpha, alpha], -1), *at)


def _dusk_hills(size: Size, rng: np.random.Generator) -> Sheet:
    sheet = Sheet(0.26, QUAY, _period(size, 1.6), size[1])
    for number in range(int(sheet.width / 0.3)):
        height, width = float(rng.uniform(0.12, 0.24)), float(rng.uniform(0.7, 1.1))
        x = 0.3 * number + float(rng.uniform(-0.1, 0.1))
        sheet.stamp(_peak(rng, height, width, sheet.unit_px, DUSK_ROCK), x, QUAY)
    return sheet


def _town(size: Size, rng: np.random.Generator) -> Sheet:
    """Two rows of houses with lit windows and a few towers, back row first."""
    sheet = Sheet(0.20, QUAY, _period(size, 1.7), size[1])
    for row, (lift, low, high) in enumerate(((0.035, 0.10, 0.18), (0.0, 0.07, 0.14))):
        x = 0.03 * row
        while x < sheet.width - 0.03:
            height = float(rng.uniform(low, high))
            aspect = float(rng.uniform(0.5, 0.85))
            sheet.stamp(_town_house(rng, aspect, height, sheet.unit_px), x + aspect * height / 2, QUAY - lift)
            x += aspect * height * 0.97
        for number in range(int(sheet.width / 0.8) if row == 0 else 0):
            tower = _tower(rng, float(rng.uniform(0.27, 0.36)), sheet.unit_px)
            sheet.stamp(tower, 0.8 * number + float(rng.uniform(0.2, 0.6)), QUAY)
    sheet.lay(_color("#1b1a4a"), _edge(QUAY - 0.012, QUAY - 0.010, sheet.y))
    return sheet


def _windows(
    house: Cutout, rng: np.random.Generator, box: tuple[float, float, float, float], across: int
) -> None:
    """A grid of windows in ``box`` (left, top, right, bottom); two of three are lit."""
    left, top, right, bottom = box
    step = (right - left) / across
    for row in np.arange(top, bottom - 0.8 * step, 1.25 * step):
        for column in range(across):
            x = left + (column + 0.22) * step
            lamp = str(rng.choice(LAMPLIGHT)) if rng.random() < 0.66 else "#141a4c"
            pane = [
                (x, row),
                (x + 0.56 * step, row),
                (x + 0.56 * step, row + 0.8 * step),
                (x, row + 0.8 * step),
            ]
            house.shape(pane, [(0, lamp), (1, lamp if lamp == "#141a4c" else "#ffae42")])


def _town_house(rng: np.random.Generator, aspect: float, height: float, unit_px: int) -> Paint:
    house = Cutout(aspect, height, unit_px)
    wall, roof = str(rng.choice(FACADES)), str(rng.choice(ROOFS))
    eaves = float(rng.uniform(0.2, 0.34))
    house.shape(
        [(0, eaves), (aspect, eaves), (aspect, 1), (0, 1)], [(0, "#1d1c4e"), (0.25, wall), (1, wall)], True
    )
    peak = [(0.5, 0.0)] if rng.random() < 0.6 else [(0.25, 0.04), (0.75, 0.04)]
    house.shape(
        [(0, eaves), *((x * aspect, y) for x, y in peak), (aspect, eaves)], [(0, "#d9708a"), (0.5, roof)]
    )
    _windows(house, rng, (0.08 * aspect, eaves + 0.07, 0.92 * aspect, 0.95), int(rng.integers(2, 4)))
    return house.done()


def _tower(rng: np.random.Generator, height: float, unit_px: int) -> Paint:
    """A church tower with a spire and a lit clock."""
    tower = Cutout(0.26, height, unit_px)
    tower.shape(
        [(0.04, 0.38), (0.22, 0.38), (0.22, 1), (0.04, 1)], [(0, "#241f58"), (1, "#84507e")], across=True
    )
    tower.shape([(0.02, 0.40), (0.13, 0.0), (0.24, 0.40)], [(0, "#e0788a"), (0.4, "#5a2a58"), (1, "#241c50")])
    tower.shape(_ellipse(0.13, 0.47, 0.05, 0.05), [(0, "#fff0a8"), (1, "#ffc44c")])
    _windows(tower, rng, (0.06, 0.57, 0.20, 0.9), 2)
    return tower.done()


def _dusk_water(sky: Sheet, rng: np.random.Generator) -> Sheet:
    water = _mirror(sky, QUAY, 0.18, 0.5)
    water.lay(_color("#2a2c7c"), 0.35 + 0.4 * _edge(0.0, 0.16, water.y - QUAY))
    _glints(water, rng, QUAY, "#191c5c", 0.7)
    _glints(water, rng, QUAY, "#e58a94", 0.4)
    _glitter(water, rng, MOON[0], QUAY, "#ffe9b8")
    return water


def _town_water(town: Sheet, rng: np.random.Generator) -> Sheet:
    """The town upside down, its lamps drawn out into long trails."""
    water = _mirror(town, QUAY, 0.18, 0.8)
    length = max(round(0.05 * town.unit_px), 1)
    trails = np.asarray(cv2.blur(water.paint, (1, length)), np.float32)
    lamps = np.clip(2.2 * trails[..., :3] - 0.35, 0, 1)
    water.paint[..., :3] = np.clip(0.55 * trails[..., :3] + 0.75 * lamps * _color("#ffb040"), 0, 1)
    water.paint[..., :3] *= water.paint[..., 3:]
    fray = _noise(rng, water.shape, (30, water.width / 0.07), 2)
    keep = _edge(0.0, 0.25, np.asarray(1.9 + fray - 17 * (water.y - QUAY), np.float32))
    water.paint *= keep[..., None]
    return water


def _promenade(size: Size, rng: np.random.Generator) -> Sheet:
    """The near quay: courses of stone, bollards and burning street lamps."""
    sheet = Sheet(0.42, 1.0, _period(size, 1.9), size[1])
    course = (sheet.y - 0.945) / 0.022
    joint = np.abs((sheet.x / 0.075 + 0.5 * np.floor(course)) % 1 - 0.5)
    gap = np.maximum(_edge(0.455, 0.49, joint), _edge(0.82, 0.97, course % 1))
    stone = sheet.noise(rng, (0.02, 0.06), 3)
    color = _ramp((sheet.y - 0.93) / 0.07 + 0.18 * stone, [(0, "#b5708c"), (0.3, "#6a4a86"), (1, "#2a2560")])
    color = _blend(color, _color("#1a1848"), 0.7 * gap)
    sheet.lay(color, _edge(0.930 - sheet.pixel, 0.930 + sheet.pixel, sheet.y))
    for number in range(int(sheet.width / 0.85)):
        sheet.stamp(_lamp(sheet.unit_px), 0.3 + 0.85 * number + float(rng.uniform(-0.1, 0.1)), 0.96)
        for bollard in (0.25, 0.45):
            sheet.stamp(_bollard(sheet.unit_px), 0.3 + bollard + 0.85 * number, 0.955)
    return sheet


def _lamp(unit_px: int) -> Paint:
    lamp = Cutout(0.2, 0.48, unit_px)
    post: Stops = [(0, "#14123c"), (0.6, "#3d2f66"), (1, "#c46a6a")]
    lamp.shape([(0.09, 0.15), (0.11, 0.15), (0.12, 1), (0.08, 1)], post, across=True)
    lamp.shape([(0.06, 0.93), (0.14, 0.93), (0.16, 1), (0.04, 1)], post, across=True)
    lamp.shape([(0.06, 0.05), (0.14, 0.05), (0.12, 0.155), (0.08, 0.155)], [(0, "#fff6c0"), (1, "#ffb638")])
    lamp.shape([(0.045, 0.055), (0.1, 0.0), (0.155, 0.055)], [(0, "#3d2f66"), (1, "#14123c")])
    return lamp.done()


def _bollard(unit_px: int) -> Paint:
    bollard = Cutout(0.8, 0.05, unit_px)
    iron: Stops = [(0, "#14123c"), (0.7, "#4a3a72"), (1, "#d97a70")]
    bollard.shape([(0.2, 0.2), (0.6, 0.2), (0.65, 1), (0.15, 1)], iron, across=True)
    bollard.shape(_ellipse(0.4, 0.18, 0.34, 0.17), iron, across=True)
    return bollard.done()


# --- opening -----------------------------------------------------------------------------------------


def _landscape(size: Size, rate: Fraction) -> Scene:
    return _bay(size, rate, "landscape")


def _cut(size: Size, rate: Fraction) -> Scene:
    return Cutting("cut", _bay(size, rate, "day"), _harbor(size, rate, "dusk"))


def _still_noise(size: Size, rate: Fraction) -> Scene:
    day = _bay(size, rate, "day")
    return Still("still-noise", day.frame(round(STILL_SECONDS * rate)), rate)


_SCENES: dict[str, Callable[[Size, Fraction], Scene]] = {
    "landscape": _landscape,
    "cut": _cut,
    "still-noise": _still_noise,
}
SCENES: tuple[str, ...] = tuple(_SCENES)


def open_scene(name: str, size: Size = (1280, 720), rate: Fraction = Fraction(30)) -> Scene:
    """Paint the scene ``name`` at ``size`` (width, height; at least 16 x 16).

    Raises `ValueError` for a name that is not in `SCENES`.
    """
    if name not in _SCENES:
        raise ValueError(f"no scene is called {name!r}; there are {', '.join(SCENES)}")
    return _SCENES[name](size, rate)
