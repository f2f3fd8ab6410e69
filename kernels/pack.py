"""Codes to packed pictures, what the nets eat, and back, on the device."""

from functools import cache
from itertools import product

import numpy as np
from numpy.typing import DTypeLike

from allaprima.kernels.cuda import TYPES, Array, Module, Stream, blocks, check, floats, ints, output
from allaprima.kernels.reference.color import BT709, Coefficients
from allaprima.kernels.reference.pack import CELL, CHANNELS, legal, normal
from allaprima.kernels.surface import Planes, Surface, padded, planes_of

BLOCK = (32, 8)
CODES = ("uint8", "uint16")
DTYPES = ("float16", "float32")

MODULE = Module(
    "pack",
    tuple(
        f"{kernel}<{TYPES[code]}, {TYPES[dtype]}>" for kernel, code, dtype in product(("pack", "unpack"), CODES, DTYPES)
    ),
)


def pack(
    planes: Planes,
    coefficients: Coefficients = BT709,
    full_range: bool = False,
    *,
    margin: int = 16,
    stride: int = 8,
    dtype: DTypeLike = "float16",
    out: Array | None = None,
    stream: Stream = None,
) -> Array:
    """A picture in one of the formats of `kernels.surface` as a packed picture ``(24, H/4, W/4)``, in one launch.

    Each cell of 4x4 pixels has their luma in channels 0-15, row by row, and its 2x2 samples of Cb in 16-19 and of
    Cr in 20-23, in BT.709: black is -1, white is +1, chroma spans -1..1; float16 or float32.  ``coefficients``
    ``(Kr, Kb)`` and ``full_range`` are the stream's.

    Luma is padded by ``margin`` pixels, a multiple of 4, on each side that repeat its edge, and at the right and
    below until the sides are multiples of ``stride``, itself a multiple of 4; chroma by half as many of its own.
    Raises TypeError and ValueError for what does not fit.
    """
    surface = Surface.of("planes", planes)
    if margin < 0 or margin % CELL:
        raise ValueError(f"margin must be a multiple of 4, not {margin}")
    if stride < CELL or stride % CELL:
        raise ValueError(f"stride must be a multiple of 4, not {stride}")
    if np.dtype(dtype).name not in DTYPES:
        raise TypeError(f"dtype must be float16 or float32, not {np.dtype(dtype)}")
    width, height = surface.width, surface.height
    cells_x, cells_y = (padded(side, margin, stride) // CELL for side in (width, height))
    out = output(out, (CHANNELS, cells_y, cells_x), dtype, stream)
    MODULE.launch(
        f"pack<{surface.type}, {TYPES[out.dtype.name]}>",
        blocks((cells_x, 2 * cells_y), BLOCK),
        BLOCK,
        (
            *surface.args,
            *ints(width, height, margin),
            *_packing(coefficients, full_range, surface.bits),
            out,
            *ints(cells_x, cells_y),
        ),
        stream,
    )
    return out


def unpack(
    packed: Array,
    size: tuple[int, int],
    coefficients: Coefficients = BT709,
    full_range: bool = False,
    *,
    margin: int = 16,
    format: str = "nv12",
    out: Planes | None = None,
    stream: Stream = None,
) -> Planes:
    """A packed picture, float16 or float32, as one of ``size`` ``(width, height)`` in a format of `kernels.surface`.

    It begins ``margin`` pixels, a multiple of 4, from the left and the top; the rest is cut off.  Codes are rounded
    to the nearest, halves upwards, and clamped to the legal range; NaN becomes the least legal code.  Raises
    KeyError for an unknown format, TypeError and ValueError for what does not fit.
    """
    check("packed", packed, (CHANNELS, None, None), *DTYPES)
    if margin < 0 or margin % CELL:
        raise ValueError(f"margin must be a multiple of 4, not {margin}")
    _, cells_y, cells_x = packed.shape
    width, height = size
    if not (0 < width <= CELL * cells_x - margin and 0 < height <= CELL * cells_y - margin):
        raise ValueError(f"size {size} and margin {margin} do not fit into a packed picture {packed.shape}")
    out = planes_of(out, format, size, stream)
    surface = Surface.of("out", out)
    MODULE.launch(
        f"unpack<{surface.type}, {TYPES[packed.dtype.name]}>",
        blocks((cells_x, 2 * cells_y), BLOCK),
        BLOCK,
        (
            packed,
            *ints(cells_x, cells_y, margin),
            *_unpacking(coefficients, full_range, surface.bits),
            *surface.args,
            *ints(width, height),
        ),
        stream,
    )
    return out


@cache
def _packing(coefficients: Coefficients, full_range: bool, bits: int) -> tuple[np.float32, ...]:
    """``y_y, y_u, y_v, u_u, u_v, v_u, v_v, middle, zero`` of the kernel."""
    matrix, (middle, zero, _) = normal(coefficients, full_range, bits)
    return floats(*matrix[0], *matrix[1:, 1:].flat, middle, zero)


@cache
def _unpacking(coefficients: Coefficients, full_range: bool, bits: int) -> tuple[np.float32, ...]:
    """The same of the inverse, and ``least, white, top_chroma``."""
    matrix, (middle, zero, _) = normal(coefficients, full_range, bits)
    back = np.linalg.inv(matrix)
    return floats(*back[0], *back[1:, 1:].flat, middle, zero, *legal(full_range, bits))
