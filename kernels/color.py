"""Luma and chroma to RGB and back, on the device."""

from functools import cache
from itertools import product

import numpy as np
from numpy.typing import DTypeLike

from allaprima.kernels.cuda import LARGEST_PLANE, TYPES, Array, Module, Stream, blocks, check, floats, ints, output
from allaprima.kernels.reference.color import BT709, SITINGS, Coefficients, encoding
from allaprima.kernels.surface import Planes, Strided, Surface, padded, planes_of

BLOCK = (32, 8)
CODES = ("uint8", "uint16")
DTYPES = ("float16", "float32")

MODULE = Module(
    "color",
    tuple(
        f"{kernel}<{TYPES[code]}, {TYPES[dtype]}>"
        for kernel, code, dtype in product(("to_rgb", "to_rgb_resized", "from_rgb"), CODES, DTYPES)
    ),
)


def to_rgb(
    planes: Planes,
    coefficients: Coefficients = BT709,
    full_range: bool = False,
    *,
    siting: str = "left",
    size: tuple[int, int] | None = None,
    margin: int = 0,
    stride: int = 1,
    dtype: DTypeLike = "float16",
    out: Array | None = None,
    stream: Stream = None,
) -> Array:
    """A picture in one of the formats of `kernels.surface` as planar RGB ``(3, H, W)`` in 0..1, float16 or float32.

    ``coefficients`` ``(Kr, Kb)`` and ``full_range`` are the stream's.  ``siting`` says where samples of chroma lie:
    "left", "center" or "topleft"; between them chroma is bilinear.  ``size`` ``(width, height)`` resizes the
    picture: each pixel is the mean of as many bilinear samples along each side as the picture is whole times
    larger, so halving takes the mean of four.  Around it come ``margin`` (even) pixels that repeat its edge, and
    more of them at the right and below until the sides are multiples of ``stride``.  To crop it first, see
    `kernels.surface.crop`.  Colors outside RGB are clamped.

    Equations: ITU-T H.273, 38-40.  Raises KeyError for an unknown siting, TypeError and ValueError for what does
    not fit.
    """
    surface = Surface.of("planes", planes)
    width, height = shown = size or (surface.width, surface.height)
    if margin < 0 or margin % 2:
        raise ValueError(f"margin must be even and at least 0, not {margin}")
    if min(width, height, stride) < 1:
        raise ValueError(f"size {size} and stride {stride} must be at least 1")
    if np.dtype(dtype).name not in DTYPES:
        raise TypeError(f"dtype must be float16 or float32, not {np.dtype(dtype)}")
    out_width, out_height = (padded(side, margin, stride) for side in shown)
    out = output(out, (3, out_height, out_width), dtype, stream)
    types = f"<{surface.type}, {TYPES[out.dtype.name]}>"
    source = (*surface.args, *ints(surface.width, surface.height), *floats(*SITINGS[siting]))
    decoding = _decoding(coefficients, full_range, surface.bits)
    target = (out, *ints(out_width, out_height))
    if shown == (surface.width, surface.height):
        grid = blocks((-(-out_width // 2), -(-out_height // 2)), BLOCK)
        MODULE.launch(f"to_rgb{types}", grid, BLOCK, (*source, *decoding, *ints(margin), *target), stream)
    else:
        samples = (max(surface.width // width, 1), max(surface.height // height, 1))
        sizes = ints(margin, *shown, *samples)
        grid = blocks((out_width, out_height), BLOCK)
        MODULE.launch(f"to_rgb_resized{types}", grid, BLOCK, (*source, *decoding, *sizes, *target), stream)
    return out


def from_rgb(
    rgb: Strided,
    coefficients: Coefficients = BT709,
    full_range: bool = False,
    *,
    siting: str = "left",
    format: str = "nv12",
    out: Planes | None = None,
    stream: Stream = None,
) -> Planes:
    """Planar RGB ``(3, H, W)`` in 0..1, float16 or float32, as a picture in a format of `kernels.surface`.

    Colors are clamped and NaN counts as 0.  Chroma is the mean of 2x2 pixels where its samples lie between pixels
    and of (1, 2, 1) along an axis on which they lie at pixels ("left": across); the edge is repeated.  Codes are
    rounded to the nearest; they are in the legal range since the colors are.  ``rgb`` may be a view that cuts off a
    margin, as ``padded[:, 16:-16, 16:-16]``.

    Raises KeyError for an unknown format or siting, TypeError and ValueError for arrays that do not fit.
    """
    if len(getattr(rgb, "shape", ())) != 3 or 0 in rgb.shape or rgb.shape[0] != 3:
        raise ValueError(f"rgb must have the shape (3, any, any), not {getattr(rgb, 'shape', None)}")
    _, height, width = rgb.shape
    check("a row of rgb", rgb[0, 0], (width,), *DTYPES)
    if any(not 0 <= step <= LARGEST_PLANE or step % rgb.dtype.itemsize for step in rgb.strides):
        raise ValueError(f"rgb must have planes and rows in order, not {rgb.strides} bytes apart")
    out = planes_of(out, format, (width, height), stream)
    surface = Surface.of("out", out)
    pitches = [step // rgb.dtype.itemsize for step in rgb.strides[:2]]
    MODULE.launch(
        f"from_rgb<{surface.type}, {TYPES[rgb.dtype.name]}>",
        blocks((-(-width // 2), -(-height // 2)), BLOCK),
        BLOCK,
        (
            rgb,
            *ints(*pitches, width, height),
            *floats(*SITINGS[siting]),
            *_encoding(coefficients, full_range, surface.bits),
            *surface.args,
        ),
        stream,
    )
    return out


@cache
def _encoding(coefficients: Coefficients, full_range: bool, bits: int) -> tuple[np.float32, ...]:
    """The rows of the matrix, ``black`` and ``zero``."""
    matrix, (black, zero, _) = encoding(coefficients, full_range, bits)
    return floats(*matrix.flat, black, zero)


@cache
def _decoding(coefficients: Coefficients, full_range: bool, bits: int) -> tuple[np.float32, ...]:
    """The members of ``Decoding`` in color.cu."""
    matrix, (black, zero, _) = encoding(coefficients, full_range, bits)
    (luma, _, r_v), (_, g_u, g_v), (_, b_u, _) = np.linalg.inv(matrix)
    return floats(luma, r_v, g_u, g_v, b_u, black, zero)
