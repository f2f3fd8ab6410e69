"""Painted flats and how they move: paths, the ripple of water, and the layer that shows them."""

from collections.abc import Sequence
from dataclasses import dataclass
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


def shift(speed: float) -> float:
    """Heights per second of a motion given as pixels per frame at 720p and 30 frames per second."""
    return speed * 30 / 720


def _translation(x: float, y: float) -> Matrix:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], np.float64)


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
            patch = self._rippled(local, extent, self.ripple.sway(float_range(top, bottom), seconds))
        return slice(top, bottom), slice(left, right), as_bytes(patch)

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
        columns = float_range(0, extent[0]) - np.float32(local[0, 2])
        rows = np.repeat((float_range(0, extent[1]) - np.float32(local[1, 2]))[:, None], extent[0], 1)
        patch = cv2.remap(self.texture, columns + sway[:, None], rows, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)
        return as_bytes(patch)


def float_range(start: int, stop: int) -> NDArray[np.float32]:
    return np.arange(start, stop, dtype=np.float32)


def as_bytes(picture: Any) -> Picture:
    """OpenCV's return types say only "some array"; ours say uint8."""
    return np.asarray(picture, np.uint8)
