"""Pyramid of two gray pictures: each level half the size of the one before, with its gradient."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from allaprima.kernels.cuda import Array, Module, Stream, blocks, check, output

BLOCK = (32, 8)
MODULE = Module("pyramid", ("level<unsigned char, 1>", "level<float, 2>"))


class Level(NamedTuple):
    """The previous and the current picture at one size."""

    gray: Array
    """``(2, h, w)`` float32, 0..255."""
    gradient: Array
    """``(2, h, w, 2)`` float32: change in x and in y, gray levels a pixel."""


def new_levels(size: tuple[int, int], count: int, stream: Stream = None) -> list[Level]:
    """Room for the pyramid of pictures of ``size`` ``(width, height)``."""
    width, height = size
    levels = []
    for _ in range(count):
        levels.append(
            Level(
                output(None, (2, height, width), np.float32, stream),
                output(None, (2, height, width, 2), np.float32, stream),
            )
        )
        width, height = -(-width // 2), -(-height // 2)
    return levels


def pyramid(
    previous: Array, current: Array, count: int, *, out: Sequence[Level] | None = None, stream: Stream = None
) -> Sequence[Level]:
    """``count`` levels of two uint8 pictures ``(h, w)``, the largest first; ``out`` as `new_levels` makes it.

    A level has half the sides of the one before, rounded up, and a pixel of it is the mean of the 2 x 2 that it
    covers; past the border the edge repeats.  The gradient is Sobel's, in gray levels a pixel.
    """
    check("previous", previous, (None, None), np.uint8)
    height, width = previous.shape
    check("current", current, (height, width), np.uint8)
    levels = new_levels((width, height), count, stream) if out is None else out
    if len(levels) != count:
        raise ValueError(f"out must have {count} levels, not {len(levels)}")
    kernel, pictures = "level<unsigned char, 1>", (previous, current)
    for gray, gradient in levels:
        pictures_height, pictures_width = pictures[0].shape
        check("out", gray, (2, height, width), np.float32)
        check("out", gradient, (2, height, width, 2), np.float32)
        MODULE.launch(
            kernel,
            (*blocks((width, height), BLOCK), 2),
            BLOCK,
            (*pictures, np.int32(pictures_width), np.int32(pictures_height), gray, gradient),
            stream,
        )
        kernel, pictures = "level<float, 2>", _halves(gray)
        width, height = -(-width // 2), -(-height // 2)
    return levels


def _halves(gray: Any) -> tuple[Array, Array]:
    return gray[0], gray[1]
