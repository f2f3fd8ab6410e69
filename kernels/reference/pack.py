"""Codes to packed pictures, what the nets eat, and back.

A *packed picture* is ``(24, H/4, W/4)``: each cell of 4x4 pixels has their luma in channels 0-15, row by row, and
its 2x2 samples of Cb in 16-19 and of Cr in 20-23.  It is BT.709: black is -1 and white +1, chroma spans -1..1.
"""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from allaprima.kernels.reference.color import (
    BT709,
    Coefficients,
    Map,
    Matrix,
    Planes,
    levels,
    luma_and_differences,
    unit,
    unpacked,
)
from allaprima.kernels.surface import BITS, FORMATS, padded

CELL = 4
CHANNELS = 24
OWN = [0, 0, 1, 1, 0, 0, 1, 1, 2, 2, 3, 3, 2, 2, 3, 3]
"""The sample of chroma that each of a cell's pixels belongs to."""


def normal(coefficients: Coefficients, full_range: bool, bits: int = 8) -> tuple[Matrix, Matrix]:
    """A 3x3 matrix and three zeros: ``(y, u, v) = matrix @ (codes - zeros)``, from a stream's codes to BT.709.

    The first column is ``(1, 0, 0)`` but for its scale, since gray is gray by any coefficients.
    """
    black, luma, zero, chroma = levels(full_range, bits)
    to_bt709 = luma_and_differences(BT709) @ np.linalg.inv(luma_and_differences(coefficients))
    return to_bt709 * [2 / luma, 2 / chroma, 2 / chroma], np.array([black + luma / 2, zero, zero])


def legal(full_range: bool, bits: int = 8) -> tuple[float, float, float]:
    """The least code, the greatest of luma and the greatest of chroma."""
    black, luma, zero, chroma = levels(full_range, bits)
    return black, black + luma, float(np.floor(zero + chroma / 2))


def pack(
    planes: Planes,
    coefficients: Coefficients = BT709,
    full_range: bool = False,
    *,
    margin: int = 16,
    stride: int = 8,
    dtype: DTypeLike = "float16",
) -> Map:
    """A picture in one of the formats of `kernels.surface` as a packed picture.

    Luma is padded by ``margin`` pixels on each side that repeat its edge, and at the right and below until the
    sides are multiples of ``stride``; chroma by half as many of its own.
    """
    y, *chroma = unpacked(planes)
    matrix, zeros = normal(coefficients, full_range, BITS[y.dtype.name])
    height, width = (padded(side, margin, stride) for side in y.shape)
    luma = _cells(_padded(y, (height, width), margin), CELL)
    u, v = (_cells(_padded(plane, (height // 2, width // 2), margin // 2), CELL // 2) for plane in chroma)
    luma, u, v = (part / unit(y.dtype) - zero for part, zero in zip((luma, u, v), zeros, strict=True))
    y_u_v = (
        matrix[0, 0] * luma + matrix[0, 1] * u[OWN] + matrix[0, 2] * v[OWN],
        matrix[1, 1] * u + matrix[1, 2] * v,
        matrix[2, 1] * u + matrix[2, 2] * v,
    )
    return np.asarray(np.concatenate(y_u_v), dtype)


def unpack(
    packed: Map,
    size: tuple[int, int],
    coefficients: Coefficients = BT709,
    full_range: bool = False,
    *,
    margin: int = 16,
    format: str = "nv12",
) -> Planes:
    """A packed picture as one of ``size`` ``(width, height)`` in one of the formats of `kernels.surface`.

    It begins ``margin`` pixels from the left and the top.  Codes are rounded to the nearest, halves upwards, and
    clamped to the legal range; NaN becomes the least legal code.
    """
    dtype, count = FORMATS[format]
    bits = BITS[dtype]
    matrix, zeros = normal(coefficients, full_range, bits)
    back = np.linalg.inv(matrix)
    least, white, top = legal(full_range, bits)
    luma, u, v = np.split(packed.astype(np.float64), [16, 20])
    codes = (
        zeros[0] + back[0, 0] * luma + back[0, 1] * u[OWN] + back[0, 2] * v[OWN],
        zeros[1] + back[1, 1] * u + back[1, 2] * v,
        zeros[2] + back[2, 1] * u + back[2, 2] * v,
    )
    width, height = size
    planes = []
    for part, block, most in zip(codes, (CELL, CELL // 2, CELL // 2), (white, top, top), strict=True):
        plane = _plane(np.floor(np.clip(np.nan_to_num(part, nan=least) + 0.5, least, most)), block)
        first, scale = margin * block // CELL, CELL // block
        rows, columns = (slice(first, first - (-side // scale)) for side in (height, width))
        planes.append((plane[rows, columns] * unit(np.dtype(dtype))).astype(dtype))
    return tuple(planes) if count == 3 else (planes[0], np.stack(planes[1:], -1))


def _padded(plane: NDArray[Any], shape: tuple[int, int], margin: int) -> NDArray[Any]:
    sides = [(margin, out - side - margin) for side, out in zip(plane.shape, shape, strict=True)]
    return np.pad(plane, sides, mode="edge")


def _cells(plane: NDArray[Any], block: int) -> NDArray[Any]:
    """``(H, W)`` to ``(block * block, H / block, W / block)``."""
    height, width = plane.shape
    cells = plane.reshape(height // block, block, width // block, block)
    return np.asarray(cells.transpose(1, 3, 0, 2).reshape(-1, height // block, width // block), np.float64)


def _plane(cells: NDArray[Any], block: int) -> NDArray[Any]:
    """The inverse of `_cells`."""
    _, height, width = cells.shape
    return cells.reshape(block, block, height, width).transpose(2, 0, 3, 1).reshape(height * block, width * block)
