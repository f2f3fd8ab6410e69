"""Mix the new picture with its warped history, pixel by pixel."""

import cv2
import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]
Map = NDArray[np.float32]

ROWS = 32
"""Rows worked on at a time: their floats stay in the cache, which makes it five times as fast."""
CRISP = 0.3
"""Strength of the unsharp mask on what is shown of a held plane."""


def blend(new: Bytes, history: Bytes, weight: Map) -> Bytes:
    """``new + weight (history - new)``: planes ``(h, w)`` uint8, weight ``(h, w)`` in 0..1 (COVST, eq. 4)."""
    return np.asarray(cv2.blendLinear(history, new, weight, 1 - weight), np.uint8)


def hold(new: Map, history: Map, share: Map, level: Map, limits: tuple[float, float] = (0.0, 255.0)) -> Map:
    """``new + share (history + level - new)`` within ``limits``, float32 ``(h, w)``, in bytes.

    All are ``(h, w)`` float32: ``share`` in 0..1, the others in bytes.  Bytes would round away, at a share of 0.97,
    most of what is new.
    """
    held = np.empty_like(history)
    for start in range(0, len(new), ROWS):
        rows = slice(start, start + ROWS)
        fresh, result = new[rows], held[rows]
        np.add(history[rows], level[rows], out=result)
        result -= fresh
        result *= share[rows]
        result += fresh
        np.clip(result, *limits, out=result)
    return held


def crisp(held: Map, worn: Map, limits: tuple[float, float] = (0.0, 255.0)) -> Bytes:
    """What is shown of a held plane, uint8 ``(h, w)``: ``held + 0.3 worn (held - smoothed)`` within ``limits``.

    An unsharp mask with the 3 x 3 binomial; ``worn`` ``(h, w)`` in 0..1 says where.  The finest detail is worn off
    by warp after warp.  It is made good in what is shown, not in what is carried on: there it would grow.
    """
    shown = np.empty(held.shape, np.uint8)
    for start in range(0, len(held), ROWS):
        rows = slice(start, start + ROWS)
        if not worn[rows].any():
            cv2.convertScaleAbs(np.clip(held[rows], *limits), shown[rows])
            continue
        above = min(start, 1)
        soft = cv2.GaussianBlur(held[start - above : start + ROWS + 1], (3, 3), 0)
        result = soft[above : above + len(held[rows])]
        np.subtract(held[rows], result, out=result)
        result *= worn[rows]
        result *= np.float32(CRISP)
        result += held[rows]
        np.clip(result, *limits, out=result)
        cv2.convertScaleAbs(result, shown[rows])
    return shown
