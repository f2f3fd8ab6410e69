"""What a picture that is shown says of itself: how much it flickers, whether it is black, frozen or broken."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float32]

LEAST_TRUST = 0.5
"""Confidence from which on a pixel can be compared with where it was."""
LEAST_SEEN = 0.1
"""Share of the picture that must be comparable, else nothing is said: a cut is no flicker."""
FIGURES = ("least", "most", "mean", "variance", "bad", "change")
"""What `health` tells of each plane."""
EVEN = 3 / 255
"""Deviation, of full scale, up to which a plane is even: noise on a black frame."""
BLACK = 20 / 255
"""Mean, of full scale, up to which an even plane is black: that of limited range, 16, and a little noise."""


def flicker(previous: Map, current: Map, where: Map, confidence: Map) -> float | None:
    """Mean squared change along the motion, of full scale squared: `E_warp` (Lai et al., ECCV 2018) of small luma.

    ``previous`` and ``current`` are what was shown, luma ``(h, w)`` float32 in bytes; ``where`` ``(h, w, 2)``
    says at which position of the previous picture each pixel was.  None where too little can be compared.
    """
    seen = confidence >= LEAST_TRUST
    if seen.mean() < LEAST_SEEN:
        return None
    moved = cv2.remap(previous, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    mask = seen.view(np.uint8)
    return float(cv2.norm(current, moved, cv2.NORM_L2SQR, mask) / cv2.countNonZero(mask) / 255**2)


def health(picture: NDArray[Any], previous: NDArray[Any] | None = None) -> Map:
    """`FIGURES` of each plane of ``(C, H, W)``, uint8, float16 or float32: ``(C, 6)`` float32.

    Least, most, mean and variance of what is finite, in the picture's own units (NaN if nothing is); how many
    values are not finite; and the mean change since the ``previous`` picture, what is not finite counting as none
    (NaN without one).
    """
    rows = []
    for index, plane in enumerate(picture.astype(np.float64)):
        good = plane[np.isfinite(plane)]
        values = (good.min(), good.max(), good.mean(), good.var()) if good.size else (np.nan,) * 4
        change = np.nan
        if previous is not None:
            with np.errstate(invalid="ignore"):
                steps = np.abs(plane - previous[index])
            change = np.where(np.isfinite(steps), steps, 0).mean()
        rows.append((*values, plane.size - good.size, change))
    return np.array(rows, np.float32)


def faults(figures: Map, full_scale: float = 255.0) -> tuple[str, ...]:
    """What is wrong with a picture by its `health`: "broken", "even", "black", "frozen", or nothing.

    Broken: a value is not finite.  Even: no plane has any contrast; black: nor any light, so give it RGB or luma,
    chroma is not dark.  Frozen: not one value has changed, which a camera's noise always does.
    ``full_scale`` is white: 255 for bytes, 1 for floats in 0..1.
    """
    _, _, mean, variance, bad, change = figures.T
    even = bool((variance <= (EVEN * full_scale) ** 2).all())
    found = {
        "broken": bool((bad > 0).any()),
        "even": even,
        "black": even and bool((mean <= BLACK * full_scale).all()),
        "frozen": bool((change == 0).all()),
    }
    return tuple(name for name, present in found.items() if present)
