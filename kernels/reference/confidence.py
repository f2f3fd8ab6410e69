"""How far the history of each pixel can be trusted: 0 (occluded, new, outside) to 1."""

import cv2
import numpy as np
from numpy.typing import NDArray

Flow = NDArray[np.float32]
Map = NDArray[np.float32]

PHOTOMETRIC = 60.0
"""Weight of the squared difference of the two pictures (0..1); 0.1 of full scale leaves 0.55."""
UNLIKE = np.float32(600.0)
"""Weight of the squared difference of history and new picture (0..1); 0.034 of full scale leaves a half."""


def identity_grid(size: tuple[int, int]) -> Flow:
    """``(h, w, 2)`` float32: each pixel's own ``(x, y)``."""
    width, height = size
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return np.dstack([x, y])


def confidence(
    backward: Flow,
    forward: Flow,
    previous: NDArray[np.uint8],
    current: NDArray[np.uint8],
    *,
    grid: Flow | None = None,
) -> Map:
    """Confidence map ``(h, w)`` float32 in 0..1 for the backward flow.

    Forward-backward and motion-boundary tests of Sundaram et al. (ECCV 2010) with soft edges: full trust
    up to half of their threshold, none from it on; times ``exp(-60 dI^2)``; 0 where the history lies
    outside.  ``previous`` and ``current`` are the uint8 gray pictures ``(h, w)`` that the flow was
    measured on, and the papers' constants are in their pixels: no flow is finer than what it was measured
    on, so constants in pixels of a larger picture would doubt nearly everything.
    """
    height, width = current.shape
    where = backward + (identity_grid((width, height)) if grid is None else grid)
    there = cv2.remap(forward, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    length2 = _length2(backward)
    round_trip = _length2(there + backward)
    trust = _soft(round_trip, 0.01 * (_length2(there) + length2) + 0.5)
    trust *= _soft(_gradient2(backward), 0.01 * length2 + 0.002 + 0.05)
    warped = cv2.remap(previous, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    change = cv2.absdiff(warped, current).astype(np.float32)
    trust *= cv2.exp(change * change * np.float32(-PHOTOMETRIC / 255**2))
    x, y = cv2.split(where)
    trust[(x < 0) | (y < 0) | (x > width - 1) | (y > height - 1)] = 0
    return np.asarray(trust, np.float32)


def decided(trust: Map, *differences: Map) -> Map:
    """``trust`` where the history also looks like the new picture, and more decided than it was.

    ``differences`` (0..1 of full scale) are those of the two pictures' planes, smoothed so that strokes do not
    count: ``exp(-600 sum d^2)`` catches what no flow does, a light that is switched on or a slow fade.
    Half trust is worst of all, the mean of two textures that differ is a blur: from 0.25 down it becomes 0,
    from 0.75 up 1.
    """
    far = sum((np.square(difference) for difference in differences), np.float32(0))
    return np.asarray(np.clip(2 * trust * np.exp(-UNLIKE * far) - 0.5, 0, 1), np.float32)


def _length2(flow: Flow) -> Map:
    x, y = cv2.split(flow)
    return np.asarray(x * x + y * y, np.float32)


def _gradient2(flow: Flow) -> Map:
    dx = cv2.Sobel(flow, cv2.CV_32F, 1, 0, ksize=1, scale=0.5)
    dy = cv2.Sobel(flow, cv2.CV_32F, 0, 1, ksize=1, scale=0.5)
    return _length2(dx) + _length2(dy)


def _soft(value: Map, threshold: Map) -> Map:
    """1 up to half the threshold, falling to 0 at the threshold."""
    return np.asarray(np.clip(2 - 2 * value / threshold, 0, 1), np.float32)
