"""Luma and chroma to RGB and back.

The equations are those of ITU-T H.273 (non-constant luminance): ``Kr`` and ``Kb`` give luma and color differences
from RGB (equations 38-40), and codes of n bits are

* limited range: ``Y = 2^(n-8) (219 E'y + 16)``, ``C = 2^(n-8) (224 E'c + 128)``;
* full range: ``Y = (2^n - 1) E'y``, ``C = (2^n - 1) E'c + 2^(n-1)``.

Chroma has half the size, rounded up.  Where its sample ``(i, j)`` lies is its siting: at the pixel
``(2i + sx, 2j + sy)``.
"""

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from allaprima.kernels.surface import BITS, FORMATS, padded

Matrix = NDArray[np.float64]
Map = NDArray[np.floating[Any]]
Planes = tuple[NDArray[Any], ...]
Coefficients = tuple[float, float]
"""``(Kr, Kb)``."""

BT601: Coefficients = (0.299, 0.114)
BT709: Coefficients = (0.2126, 0.0722)
BT2020: Coefficients = (0.2627, 0.0593)

SITINGS = {"left": (0.0, 0.5), "center": (0.5, 0.5), "topleft": (0.0, 0.0)}
"""``(sx, sy)``: MPEG-2's and the usual one of H.264 and HEVC; MPEG-1's and JPEG's; that of UHD Blu-ray (BT.2020)."""


def levels(full_range: bool, bits: int = 8) -> tuple[float, float, float, float]:
    """``(black, luma, zero, chroma)``: ``Y = black + luma E'y``, ``C = zero + chroma E'c`` for E'c in -0.5..0.5."""
    if full_range:
        return 0.0, 2.0**bits - 1, 2.0 ** (bits - 1), 2.0**bits - 1
    scale = 2.0 ** (bits - 8)
    return 16 * scale, 219 * scale, 128 * scale, 224 * scale


def luma_and_differences(coefficients: Coefficients) -> Matrix:
    """The 3x3 matrix from RGB to ``(E'y, E'pb, E'pr)``."""
    kr, kb = coefficients
    y = np.array([kr, 1 - kr - kb, kb])
    return np.stack([y, (np.array([0, 0, 1]) - y) / (2 * (1 - kb)), (np.array([1, 0, 0]) - y) / (2 * (1 - kr))])


def encoding(coefficients: Coefficients, full_range: bool, bits: int = 8) -> tuple[Matrix, Matrix]:
    """A 3x3 matrix and three offsets: ``codes = matrix @ rgb + offsets``."""
    black, luma, zero, chroma = levels(full_range, bits)
    scale = np.array([[luma], [chroma], [chroma]])
    return scale * luma_and_differences(coefficients), np.array([black, zero, zero])


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
) -> Map:
    """A picture in one of the formats of `kernels.surface` as planar RGB ``(3, H, W)`` in 0..1.

    ``size`` ``(width, height)`` resizes it; each pixel is the mean of as many bilinear samples along each side as
    the picture is whole times larger, so halving takes the mean of four.  Around it come ``margin`` pixels
    that repeat its edge, and more of them at the right and below until the sides are multiples of ``stride``.
    Colors outside RGB are clamped.
    """
    luma, u, v = unpacked(planes)
    height, width = luma.shape
    out_width, out_height = size or (width, height)
    sx, sy = SITINGS[siting]
    x = _positions(width, out_width, margin, stride)
    y = _positions(height, out_height, margin, stride)
    across, down = _taps(x, width), _taps(y, height)
    chroma_across, chroma_down = _taps((x - sx) / 2, u.shape[1]), _taps((y - sy) / 2, u.shape[0])
    matrix, offsets = encoding(coefficients, full_range, BITS[luma.dtype.name])
    parts = (down @ luma @ across.T, *(chroma_down @ plane @ chroma_across.T for plane in (u, v)))
    codes = np.stack(parts) / unit(luma.dtype) - offsets[:, None, None]
    rgb = np.einsum("ij,jyx->iyx", np.linalg.inv(matrix), codes)
    return np.asarray(np.clip(rgb, 0, 1), dtype)


def from_rgb(
    rgb: Map,
    coefficients: Coefficients = BT709,
    full_range: bool = False,
    *,
    siting: str = "left",
    format: str = "nv12",
) -> Planes:
    """Planar RGB ``(3, H, W)`` in 0..1, clamped (NaN is 0), as a picture in one of the formats of `kernels.surface`.

    Chroma is the mean of 2x2 pixels, or of (1, 2, 1) along an axis on which its samples lie at pixels; the edge is
    repeated.  Codes are rounded to the nearest, and the clamped colors keep them in the legal range.
    """
    dtype, count = FORMATS[format]
    matrix, offsets = encoding(coefficients, full_range, BITS[dtype])
    rgb = np.clip(np.nan_to_num(rgb.astype(np.float64)), 0, 1)
    y, u, v = np.einsum("ij,jyx->iyx", matrix, rgb) + offsets[:, None, None]
    (sx, sy), (height, width) = SITINGS[siting], y.shape
    across, down = _halving(width, sx), _halving(height, sy)
    largest = 2.0 ** BITS[dtype] - 1  # chroma of full range may be half a code above
    y, u, v = (
        (np.minimum(np.rint(plane), largest) * unit(np.dtype(dtype))).astype(dtype)
        for plane in (y, *(down @ plane @ across.T for plane in (u, v)))
    )
    return (y, np.stack([u, v], -1)) if count == 2 else (y, u, v)


def unpacked(planes: Planes) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Luma and two planes of chroma, as views."""
    y, u, v = planes if len(planes) == 3 else (planes[0], planes[1][..., 0], planes[1][..., 1])
    return y, u, v


def unit(dtype: np.dtype[Any]) -> float:
    """What is stored for a code of 1."""
    return 64.0 if dtype.itemsize == 2 else 1.0


def _positions(side: int, out: int, margin: int, stride: int) -> Matrix:
    """Where each pixel's samples lie along an axis, ``(pixels, samples)``."""
    pixels = np.clip(np.arange(padded(out, margin, stride)) - margin, 0, out - 1)
    samples = max(side // out, 1)
    parts = (np.arange(samples) + 0.5) / samples
    return np.asarray((pixels[:, None] + parts) * (side / out) - 0.5)


def _taps(positions: Matrix, side: int) -> Matrix:
    """The matrix ``(pixels, side)`` that samples a line bilinearly and takes the mean; its ends are repeated."""
    whole = np.floor(positions).astype(int)
    t = positions - whole
    taps = np.zeros((len(positions), side))
    rows = np.broadcast_to(np.arange(len(positions))[:, None], positions.shape)
    for at, weight in ((whole, 1 - t), (whole + 1, t)):
        np.add.at(taps, (rows, np.clip(at, 0, side - 1)), weight / positions.shape[1])
    return taps


def _halving(side: int, site: float) -> Matrix:
    """The matrix ``(ceil(side / 2), side)`` that takes chroma to half the size."""
    taps = np.zeros((-(-side // 2), side))
    for step, weight in ((-1, 0.25 - site / 2), (0, 0.5), (1, 0.25 + site / 2)):
        rows = np.arange(len(taps))
        np.add.at(taps, (rows, np.clip(2 * rows + step, 0, side - 1)), weight)
    return taps
