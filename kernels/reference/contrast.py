"""Keep the contrast of strokes that are carried along for long at that of fresh ones."""

import cv2
import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float32]

AROUND = 4.0
"""Deviation, pixels of the small picture, of the Gaussian over which detail is summed up."""
NOISE = 4.0
"""Detail, in squared bytes, that is no stroke but rounding."""
STEP = 0.1
"""Most that contrast is changed by in one frame."""


def halved(luma: Map) -> Map:
    """Luma at half its size, rounded down, float32: the means of 2 x 2 pixels."""
    height, width = luma.shape
    size = max(width // 2, 1), max(height // 2, 1)
    return np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.float32)


def gain(new: Map, history: Map, weight: float, small: tuple[int, int]) -> Map:
    """By how much to raise the history's contrast, 0.9 to 1.1: ``(h, w)`` float32 for a small picture ``(w, h)``.

    ``new`` and ``history`` are `halved` luma, in bytes, ``weight`` the history's share in their blend.
    Detail is the mean square of the Laplacian at this size: what flickers from pixel to pixel is no stroke.
    A warp blurs or sharpens a little, and the blend of two textures that differ has less contrast than either.
    Within seconds that grows to fog or to stripes, each a frame's error to the hundredth power, so it is
    measured and made good frame by frame.  For detail a and b, and c of the difference, a blend keeps
    ``1 - w (1 - w) c / a`` of the detail where a = b; half of that is its contrast, to first order.
    """
    fresh, old = (np.asarray(cv2.Laplacian(half, cv2.CV_32F), np.float32) for half in (new, history))
    a, b, c = (_summed(edges, small) for edges in (fresh, old, fresh - old))
    a += np.float32(NOISE)
    b += np.float32(NOISE)
    ratio = cv2.sqrt(a / b) * (1 + np.float32((1 - weight) / 2) * c / a)
    return np.asarray(np.clip(ratio, 1 - STEP, 1 + STEP), np.float32)


def raised(history: Map, gain: Map, level: Map) -> Map:
    """``level + (gain - 1) history`` for `halved` luma of the history, which it is as large as: what to add to it.

    ``gain`` and ``level`` are ``(h, w)`` of the small picture, float32; the level has to take away again what the
    gain adds to the mean.  Only detail that is left at half the size is raised.  Stripes finer than that, along the
    motion, no warp wears off: raised in every frame, they grow to a hatch that makes up for all other detail lost.
    """
    size = history.shape[::-1]
    more, result = (cv2.resize(each, size, interpolation=cv2.INTER_LINEAR) for each in (gain - 1, level))
    more *= history
    return np.asarray(cv2.add(more, result), np.float32)


def _summed(edges: Map, small: tuple[int, int]) -> Map:
    energy = cv2.resize(cv2.multiply(edges, edges), small, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(energy, None, AROUND), np.float32)
