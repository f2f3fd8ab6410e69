"""Mix the new picture with its warped history, pixel by pixel."""

import cv2
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Map = NDArray[np.float32]

REACH = 21
"""Side of the neighborhood, pixels, whose darkest and brightest value bound the history."""
ROWS = 32
"""Rows worked on at a time: their floats stay in the cache, which makes it five times as fast."""


def blend(new: Bytes, history: Bytes, weight: Map) -> Bytes:
    """``new + weight (history - new)``: planes ``(h, w)`` uint8, weight ``(h, w)`` in 0..1 (COVST, eq. 4)."""
    return np.asarray(cv2.blendLinear(history, new, weight, 1 - weight), np.uint8)


def hold(new: Bytes, history: Map, share: Map, lift: Map) -> Map:
    """``new + share (bounded history - new) + lift``, float32 ``(h, w)`` in 0..255.

    ``new`` is a plane ``(h, w)`` uint8; ``share`` in 0..1 and ``lift`` in bytes are ``(h, w)``.  The history is
    float32, since at a share of 0.98 bytes would round away all that is new.  It is bounded by the values that
    the new picture has around each pixel (Karis, High-Quality Temporal Supersampling, 2014): a warp sharp
    enough to be repeated a hundred times overshoots a little each time.
    """
    kernel = np.ones((REACH, REACH), np.uint8)
    darkest, brightest = cv2.erode(new, kernel), cv2.dilate(new, kernel)
    held = np.empty_like(history)
    for start in range(0, len(new), ROWS):
        rows = slice(start, start + ROWS)
        fresh = new[rows].astype(np.float32)
        bounded = np.minimum(history[rows], brightest[rows].astype(np.float32))
        bounded = np.maximum(bounded, darkest[rows].astype(np.float32), out=held[rows])
        bounded -= fresh
        bounded *= share[rows]
        bounded += lift[rows]
        bounded += fresh
    return held
