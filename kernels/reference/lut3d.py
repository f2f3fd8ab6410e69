"""Colors through a cube of colors, a 3D look-up table."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def lut3d(rgb: NDArray[Any], cube: NDArray[np.float32], strength: float = 1.0) -> NDArray[Any]:
    """Planar RGB ``(3, H, W)`` through ``cube`` ``(N, N, N, 3)``, where ``cube[r, g, b]`` is what a color becomes.

    Interpolation is tetrahedral: from the cell's darkest corner the way to a color goes along the axes, the longest
    distance first, and each step adds its share of the difference of two corners.  ``rgb`` is floats in 0..1, which
    are clamped (NaN is 0), or uint8; the result has its dtype.  ``strength`` 0..1 mixes with the color as it was.
    """
    full = 255 if rgb.dtype == np.uint8 else 1
    color = np.clip(np.nan_to_num(rgb.astype(np.float64) / full), 0, 1)
    at = color * (len(cube) - 1)
    corner = np.minimum(at.astype(int), len(cube) - 2)
    distance = at - corner
    found = cube[tuple(corner)].astype(np.float64)
    for axis in np.argsort(-distance, axis=0):
        before = cube[tuple(corner)].astype(np.float64)
        corner = corner + (np.arange(3)[:, None, None] == axis)
        step = np.take_along_axis(distance, axis[None], 0)[0]
        found += step[..., None] * (cube[tuple(corner)] - before)
    mixed = (color + strength * (np.moveaxis(found, -1, 0) - color)) * full
    return np.asarray(np.clip(np.rint(mixed), 0, 255) if full == 255 else mixed, rgb.dtype)
