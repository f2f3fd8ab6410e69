"""Pictures for the tests of kernels that read and write video surfaces."""

from typing import Any

import numpy as np

from allaprima.kernels.reference.color import BT601, BT709, BT2020
from allaprima.kernels.surface import FORMATS

STANDARDS = {"bt601": BT601, "bt709": BT709, "bt2020": BT2020}
SIZES = [(1, 1), (2, 2), (1, 7), (6, 1), (33, 5), (70, 18), (67, 35)]
"""``(width, height)``: single pixels, lines, odd sides, more than a block."""
FILL = 0x77
"""What lies between the rows of `pitched`."""


def shapes(size: tuple[int, int], format: str) -> list[tuple[int, ...]]:
    width, height = size
    half = ((height + 1) // 2, (width + 1) // 2)
    return [(height, width), (*half, 2)] if FORMATS[format][1] == 2 else [(height, width), half, half]


def codes(size: tuple[int, int], format: str) -> tuple[Any, ...]:
    """Random ones, also beyond the legal range."""
    rng = np.random.default_rng(0)
    if format == "p010":
        return tuple((rng.integers(0, 1024, shape) * 64).astype(np.uint16) for shape in shapes(size, format))
    return tuple(rng.integers(0, 256, shape, np.uint8) for shape in shapes(size, format))


def pitched(cupy: Any, planes: tuple[Any, ...], columns: int = 3) -> tuple[Any, ...]:
    """The planes as views of wider memory, by an odd number so that rows are not aligned."""
    around = memories(cupy, planes, columns)
    return tuple(memory[:, : plane.shape[1]] for memory, plane in zip(around, planes, strict=True))


def memories(cupy: Any, planes: tuple[Any, ...], columns: int = 3) -> list[Any]:
    """What `pitched` views."""
    found = []
    for plane in planes:
        height, width, *pair = plane.shape
        memory = np.full((height, width + columns, *pair), FILL, plane.dtype)
        memory[:, :width] = plane
        found.append(cupy.asarray(memory))
    return found
