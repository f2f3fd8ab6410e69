"""Fetch each pixel's history along the backward flow."""

from collections.abc import Sequence
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
Box = tuple[slice, slice]
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
    """Boxes, rows and columns of the flow, outside of which nothing moves."""
    moves = cv2.dilate(np.any(flow, axis=2).view(np.uint8), np.ones((3, 3), np.uint8))  # a pixel sees its neighbors
    height, width = moves.shape
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


def warp_along(
    plane: Plane,
    flow: NDArray[np.float32],
    interpolation: str = "bilinear",
    *,
    boxes: Sequence[Box] | None = None,
    out: Plane | None = None,
) -> Plane:
    """`warp` along the backward flow ``(h, w, 2)`` of a picture that is smaller by one factor on both sides.

    Positions are linear in the pixel, so enlarging those of the small picture is exact but for half a small pixel
    at the edge.  Outside of the ``boxes`` (`moving`) the plane is copied, in a tenth of the time: two thirds of
    most clips rest.
    """
    moved = np.empty_like(plane) if out is None else out
    np.copyto(moved, plane)
    scale = plane.shape[1] / flow.shape[1]
    for box in moving(flow) if boxes is None else boxes:
        # An enlargement sees one pixel around; here two, since chroma may have half the small picture's size.
        wide = tuple(slice(max(side.start - 2, 0), side.stop + 2) for side in box)
        near = flow[wide]
        height, width = near.shape[:2]
        corner = np.array([wide[1].start + 0.5, wide[0].start + 0.5], np.float32)
        centers = (identity_grid((width, height)) + near + corner) * np.float32(scale) - np.float32(0.5)
        where = cv2.resize(centers, (int(scale * width), int(scale * height)), interpolation=cv2.INTER_LINEAR)
        inner = _scaled(scale, box, wide[0].start, wide[1].start)
        warp(plane, where[inner], interpolation, out=moved[_scaled(scale, box, 0, 0)])
    return moved


def _scaled(scale: float, box: Box, top: int, left: int) -> Box:
    """The box, counted from ``top`` and ``left``, in pixels of a picture ``scale`` times as large."""
    rows, columns = (
        slice(int(scale * (side.start - first)), int(scale * (side.stop - first)))
        for side, first in zip(box, (top, left), strict=True)
    )
    return rows, columns


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

    The map of positions in the small picture is scaled and enlarged bilinearly, so within half a small pixel of
    the edge the position stays behind.
    """
    small = flow.shape[1::-1]
    scale = np.array(size, np.float32) / np.array(small, np.float32)
    centers = (identity_grid((small[0], small[1])) + flow + np.float32(0.5)) * scale
    enlarged = cv2.resize(centers - np.float32(0.5), size, interpolation=cv2.INTER_LINEAR)
    return np.asarray(enlarged, np.float32)
