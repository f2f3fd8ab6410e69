"""Pyramid of two gray pictures: each level half the size of the one before, with its gradient."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Gray = NDArray[np.uint8]
Map = NDArray[np.float32]


class Level(NamedTuple):
    """The previous and the current picture at one size."""

    gray: Map
    """``(2, h, w)`` float32, 0..255."""
    gradient: Map
    """``(2, h, w, 2)`` float32: change in x and in y, gray levels a pixel."""


def pyramid(previous: Gray, current: Gray, count: int) -> list[Level]:
    """``count`` levels of two uint8 pictures ``(h, w)``, the largest first.

    A level has half the sides of the one before, rounded up, and a pixel of it is the mean of the 2 x 2 that it
    covers; past the border the edge repeats.  The gradient is Sobel's, in gray levels a pixel.
    """
    gray = np.stack([previous, current]).astype(np.float32)
    levels = [Level(gray, gradient(gray))]
    while len(levels) < count:
        gray = halved(gray)
        levels.append(Level(gray, gradient(gray)))
    return levels


def halved(gray: Map) -> Map:
    """Mean of 2 x 2 pixels; an odd last row or column counts twice."""
    _, height, width = gray.shape
    even = np.pad(gray, ((0, 0), (0, height % 2), (0, width % 2)), "edge")
    above, below = even[:, ::2], even[:, 1::2]
    return np.float32(0.25) * ((above[..., ::2] + above[..., 1::2]) + (below[..., ::2] + below[..., 1::2]))


def gradient(gray: Map) -> Map:
    """Sobel: central differences, smoothed by (1, 2, 1) across."""
    wide = np.pad(gray, ((0, 0), (1, 1), (1, 1)), "edge")
    across = wide[:, :, 2:] - wide[:, :, :-2]
    down = wide[:, 2:] - wide[:, :-2]
    x = across[:, :-2] + np.float32(2) * across[:, 1:-1] + across[:, 2:]
    y = down[:, :, :-2] + np.float32(2) * down[:, :, 1:-1] + down[:, :, 2:]
    return np.float32(0.125) * np.stack([x, y], axis=-1)
