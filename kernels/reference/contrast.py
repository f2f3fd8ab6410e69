"""Keep the contrast of strokes that are carried along for long at that of fresh ones."""

import cv2
import numpy as np
from numpy.typing import NDArray

Map = NDArray[np.float32]

AROUND = 4.0
"""Deviation, pixels of the small picture, of the Gaussian over which detail is summed up."""
NOISE = 4.0
"""Detail, in squared bytes, that is no stroke but rounding."""
STEP = 0.05
"""Most that contrast is changed by in one frame."""


def detail(luma: Map, small: tuple[int, int]) -> Map:
    """How much detail there is around each pixel of a small picture ``(w, h)``: ``(h, w)`` float32.

    The mean square of the Laplacian at half the size of ``luma`` ``(H, W)``, float32 in bytes.  At half
    size, because what flickers from pixel to pixel is no stroke.
    """
    height, width = luma.shape
    half = cv2.resize(luma, (max(width // 2, 1), max(height // 2, 1)), interpolation=cv2.INTER_AREA)
    edges = cv2.Laplacian(half, cv2.CV_32F)
    energy = cv2.resize(cv2.multiply(edges, edges), small, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.GaussianBlur(energy, None, AROUND), np.float32)


def gain(new: Map, history: Map) -> Map:
    """By how much to raise the history's contrast, 0.95 to 1.05, given the `detail` of both.

    A warp blurs or sharpens a little.  Within seconds that grows to fog or to stripes, each a frame's error to
    the hundredth power, so it is measured and made good frame by frame.
    """
    ratio = cv2.sqrt((new + np.float32(NOISE)) / (history + np.float32(NOISE)))
    return np.asarray(np.clip(ratio, 1 - STEP, 1 + STEP), np.float32)
