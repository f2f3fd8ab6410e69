"""How far the history of each pixel can be trusted: 0 (occluded, new, outside) to 1."""

import cv2
import numpy as np
from numpy.typing import NDArray

Flow = NDArray[np.float32]
Map = NDArray[np.float32]

PHOTOMETRIC = 60.0
"""Weight of the squared difference of the two pictures (0..1); 0.1 of full scale leaves 0.55."""


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
    scale: float = 1.0,
    grid: Flow | None = None,
) -> Map:
    """Confidence map ``(h, w)`` float32 in 0..1 for the backward flow.

    Forward-backward and motion-boundary tests of Sundaram et al. (ECCV 2010) with soft edges: full trust
    up to half of their threshold, none from it on; times ``exp(-60 dI^2)``; 0 where the history lies
    outside.  ``previous`` and ``current`` are the uint8 gray pictures ``(h, w)`` that the flow was
    measured on; ``scale`` is how many pixels of the full picture one of theirs spans (the papers'
    constants are in full pixels: 0.5 becomes 0.5 / scale^2, the boundary's 0.01 becomes 0.01 scale^2).
    """
    height, width = current.shape
    where = backward + (identity_grid((width, height)) if grid is None else grid)
    there = cv2.remap(forward, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    length2 = _length2(backward)
    round_trip = _length2(there + backward)
    trust = _soft(round_trip, 0.01 * (_length2(there) + length2) + 0.5 / scale**2)
    trust *= _soft(_gradient2(backward), 0.01 * scale**2 * length2 + 0.002 + 0.05)
    warped = cv2.remap(previous, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    change = cv2.absdiff(warped, current).astype(np.float32)
    trust *= cv2.exp(change * change * np.float32(-PHOTOMETRIC / 255**2))
    x, y = cv2.split(where)
    trust[(x < 0) | (y < 0) | (x > width - 1) | (y > height - 1)] = 0
    return np.asarray(trust, np.float32)


def stillness(backward: Flow, scale: float = 1.0, half_at: float = 1.0) -> Map:
    """``1 / (1 + |w|^2 / half_at^2)`` for motion ``w`` in pixels of the full picture: 1 at rest.

    Painted texture is tied to the pixel grid, so averaging along a motion wipes it out; where things move,
    history steps back: that of pictures from one pixel on, that of features later.
    """
    return np.asarray(1 / (1 + (scale / half_at) ** 2 * _length2(backward)), np.float32)


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
