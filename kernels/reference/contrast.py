"""Keep the contrast of strokes that are carried along for long at that of fresh ones."""

import cv2
import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float32]

SMOOTH = 1.5
"""Deviation, pixels of the small picture, of the Gaussian through which history and new picture are compared.

No box: at some frequencies it answers with the sign turned round, and a correction would feed what it corrects.
Detail is summed up over it, too: over a wider one, what an edge loses is made good on the wall beside it, and ripples
grow there.
"""
NOISE = 4.0
"""Detail, in squared bytes, that is no stroke but rounding."""
STEP = 0.2
"""Most that contrast is changed by in one frame."""


def detail(luma: Map) -> Map:
    """The Laplacian of ``luma`` at half its size, rounded down: float32, in bytes like it.

    What flickers from pixel to pixel is no stroke, and is left out by the means of 2 x 2 pixels.
    """
    height, width = luma.shape
    size = max(width // 2, 1), max(height // 2, 1)
    return np.asarray(cv2.Laplacian(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), cv2.CV_32F), np.float32)


def gain(new: Map, history: Map, weight: float, small: tuple[int, int]) -> Map:
    """By how much to raise the history's contrast, 0.8 to 1.2: ``(h, w)`` float32 for a small picture ``(w, h)``.

    ``new`` and ``history`` are `detail`, ``weight`` the history's share in their blend.
    A warp blurs or sharpens a little, and the blend of two textures that differ has less contrast than either.
    Within seconds that grows to fog or to stripes, each a frame's error to the hundredth power, so it is
    measured and made good frame by frame.  For detail a and b, mean squares, and c of the difference, a blend keeps
    ``1 - w (1 - w) c / a`` of the detail where a = b; half of that is its contrast, to first order.
    """
    a, b, c = (_summed(edges, small) for edges in (new, history, new - history))
    a += np.float32(NOISE)
    b += np.float32(NOISE)
    ratio = cv2.sqrt(a / b) * (1 + np.float32((1 - weight) / 2) * c / a)
    return np.asarray(np.clip(ratio, 1 - STEP, 1 + STEP), np.float32)


def raised(history: Map, gain: Map, level: Map) -> Map:
    """``level - (gain - 1) history / 4`` for `detail` of the history, which it is as large as: what to add to it.

    ``gain`` and ``level`` are ``(h, w)`` of the small picture, float32.  A quarter of the Laplacian is what a pixel is
    off the mean of its neighbors.  What is raised is what was measured: waves that are raised though they were not
    measured grow, for no warp wears them off, finer ones to a hatch and coarser ones to blobs.
    """
    size, less = history.shape[::-1], (1 - gain) / np.float32(4)
    more, result = (cv2.resize(each, size, interpolation=cv2.INTER_LINEAR) for each in (less, level))
    more *= history
    return np.asarray(cv2.add(more, result), np.float32)


def _summed(edges: Map, small: tuple[int, int]) -> Map:
    energy = cv2.resize(cv2.multiply(edges, edges), small, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(energy, None, SMOOTH), np.float32)
