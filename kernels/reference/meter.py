"""What a picture that is shown says of itself: how much it flickers."""

import cv2
import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float32]

LEAST_TRUST = 0.5
"""Confidence from which on a pixel can be compared with where it was."""
LEAST_SEEN = 0.1
"""Share of the picture that must be comparable, else nothing is said: a cut is no flicker."""


def flicker(previous: Map, current: Map, where: Map, confidence: Map) -> float | None:
    """Mean squared change along the motion, of full scale squared: `E_warp` (Lai et al., ECCV 2018) of small luma.

    ``previous`` and ``current`` are what was shown, luma ``(h, w)`` float32 in bytes; ``where`` ``(h, w, 2)``
    says at which position of the previous picture each pixel was.  None where too little can be compared.
    """
    seen = confidence >= LEAST_TRUST
    if seen.mean() < LEAST_SEEN:
        return None
    moved = cv2.remap(previous, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    change = cv2.subtract(current, moved)[seen]
    return float(np.dot(change, change) / change.size / 255**2)
