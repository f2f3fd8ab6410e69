"""Fetch each pixel's history along the backward flow."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from allaprima.kernels.reference.confidence import identity_grid

INTERPOLATION = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}
SHARPNESS = {"bicubic": -0.75, "catmull-rom": -0.5}
"""Slope of Keys's cubic at a distance of one pixel."""
TILE = 16
"""Side, pixels of the flow, of the squares that move or rest as a whole."""
MOST = 0.5
"""Share of the flow that moves from which on all of it is sampled: many small parts cost more than they save."""
AROUND = 2
"""Pixels of the flow around a part that its enlargement may see: one, or two where the result is half as large."""
Box = tuple[slice, slice]
Part = tuple[Box, NDArray[np.float32]]
"""Rows and columns of a picture, and the positions ``(h, w, 2)`` that they are fetched from."""
Plane = TypeVar("Plane", NDArray[np.uint8], NDArray[np.float32])


def warp(
    plane: Plane, where: NDArray[np.float32], interpolation: str = "bilinear", *, out: Plane | None = None
) -> Plane:
    """Sample ``plane`` ``(h, w)``, uint8 or float32, at the positions ``where`` ``(h, w, 2)``; the border repeats.

    ``bicubic`` is OpenCV's, a = -0.75: sharper than Catmull-Rom's -0.5, so that a picture which is warped again
    and again, and averaged, stays as sharp as it was.
    """
    sampled = cv2.remap(plane, where, None, INTERPOLATION[interpolation], dst=out, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(sampled, plane.dtype)


def moving(flow: NDArray[np.float32]) -> list[Box]:
    """Boxes, rows and columns of the flow, outside of which nothing moves; the whole where most of it does."""
    x, y = cv2.split(flow)
    moves = cv2.dilate(((x != 0) | (y != 0)).view(np.uint8), np.ones((3, 3), np.uint8))  # a pixel sees its neighbors
    height, width = moves.shape
    if cv2.countNonZero(moves) > MOST * moves.size:
        return [(slice(0, height), slice(0, width))]
    begins = np.arange(0, width, TILE)
    boxes = []
    for top in range(0, height, TILE):
        rows = slice(top, min(top + TILE, height))
        tiles = np.maximum.reduceat(moves[rows].max(axis=0), begins)
        edges = np.flatnonzero(np.diff(tiles, prepend=0, append=0))
        boxes += [
            (rows, slice(int(begins[left]), min(int(right) * TILE, width))) for left, right in edges.reshape(-1, 2)
        ]
    return boxes


def parts(flow: NDArray[np.float32], scale: float) -> list[Part]:
    """What moves of a picture ``scale`` times as large as its backward flow ``(h, w, 2)``, and where each was.

    The flow is enlarged bilinearly; beyond its border it goes on as it is there.
    """
    boxes = moving(flow)
    padded = _padded(flow) if boxes else flow
    found = []
    for rows, columns in boxes:
        top, bottom, left, right = (int(scale * end) for side in (rows, columns) for end in (side.start, side.stop))
        found.append(((slice(top, bottom), slice(left, right)), _positions(padded, scale, rows, columns)))
    return found


def warp_parts(plane: Plane, moved: Sequence[Part], interpolation: str = "bilinear", *, out: Plane) -> Plane:
    """Fill ``out``: the ``moved`` `parts` of a plane are sampled as by `warp`, the rest is copied.

    A copy takes a tenth of the time, and two thirds of most clips rest.
    """
    if not any(where.shape[:2] == plane.shape for _, where in moved):
        np.copyto(out, plane)
    for tile, where in moved:
        warp(plane, where, interpolation, out=out[tile])
    return out


def warp_along(plane: Plane, flow: NDArray[np.float32], interpolation: str = "bilinear") -> Plane:
    """`warp` along the backward flow ``(h, w, 2)`` of a picture that is smaller by one factor on both sides."""
    return warp_parts(plane, parts(flow, plane.shape[1] / flow.shape[1]), interpolation, out=np.empty_like(plane))


@lru_cache(256)
def _grid(size: tuple[int, int]) -> NDArray[np.float32]:
    return identity_grid(size)


def _padded(flow: NDArray[np.float32]) -> NDArray[np.float32]:
    border = cv2.copyMakeBorder(flow, AROUND, AROUND, AROUND, AROUND, cv2.BORDER_REPLICATE)
    return np.asarray(border, np.float32)


def _positions(padded: NDArray[np.float32], scale: float, rows: slice, columns: slice) -> NDArray[np.float32]:
    """Where each pixel of a part of the large picture was: linear in the pixel, so it can be enlarged."""
    near = padded[rows.start : rows.stop + 2 * AROUND, columns.start : columns.stop + 2 * AROUND]
    height, width = near.shape[:2]
    corner = np.array([columns.start, rows.start], np.float32) + np.float32(0.5 - AROUND)
    centers = (_grid((width, height)) + near + corner) * np.float32(scale) - np.float32(0.5)
    where = cv2.resize(centers, (int(scale * width), int(scale * height)), interpolation=cv2.INTER_LINEAR)
    rim = int(scale * AROUND)
    return np.asarray(where[rim : where.shape[0] - rim, rim : where.shape[1] - rim], np.float32)


def exact(planes: NDArray[Any], where: NDArray[np.float32], interpolation: str = "bilinear") -> NDArray[np.float64]:
    """`warp` for ``(h, w)`` or ``(c, h, w)``, in float64: what the CUDA kernel is held against.

    Knows "catmull-rom", too (a = -0.5), and rounds nothing: OpenCV 4 has weights for each 1/32 of a pixel only.
    Positions that are not numbers count as left or above of the planes.
    """
    height, width = planes.shape[-2:]
    sampled = np.zeros((*planes.shape[:-2], *where.shape[:2]))
    axes = []
    for positions, size in zip(np.moveaxis(where, 2, 0), (width, height), strict=True):
        p = np.clip(np.where(np.isnan(positions), -1, positions.astype(np.float64)), -1, size)
        whole = np.floor(p).astype(int)
        taps = [np.clip(whole + offset, 0, size - 1) for offset in (-1, 0, 1, 2)]
        axes.append(list(zip(taps, _weights(p - whole, interpolation), strict=True)))
    for row, down in axes[1]:
        for column, across in axes[0]:
            sampled += down * across * planes[..., row, column].astype(np.float64)
    return sampled


def _weights(t: NDArray[np.float64], interpolation: str) -> list[NDArray[np.float64]]:
    """Of the samples from -1 to 2 about a position ``t`` behind sample 0 (Keys 1981, eq. 4 with a free)."""
    if interpolation == "bilinear":
        return [0 * t, 1 - t, t, 0 * t]
    a = SHARPNESS[interpolation]

    def near(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return (a + 2) * x**3 - (a + 3) * x**2 + 1

    def far(x: NDArray[np.float64]) -> NDArray[np.float64]:
        return a * (x**3 - 5 * x**2 + 8 * x - 4)

    return [far(1 + t), near(t), near(1 - t), far(2 - t)]


def positions(flow: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """Where each pixel of a picture ``(W, H)`` was, ``(H, W, 2)``, by a backward flow ``(h, w, 2)`` of a smaller one.

    The exact map, for any two sizes: what `warp_along` and the CUDA kernels, which make none, are held against.
    """
    small = flow.shape[1::-1]
    scale = np.array(size) / small
    at = (identity_grid(size) + 0.5) / scale - 0.5
    enlarged = np.stack([exact(flow[..., axis], at.astype(np.float32)) for axis in (0, 1)], -1)
    return np.asarray(identity_grid(size) + scale * enlarged, np.float32)
