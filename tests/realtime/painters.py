"""What tests of the stylizer share: the tiny bundle's arithmetic, and how frames are compared."""

from collections.abc import Callable
from typing import Any

import numpy as np

from allaprima.realtime.frame import Frame
from allaprima.realtime.stylizer import (
    Stylizer,
)

PLAIN, BRIGHT, DARK = 100, 127, 73
"""What the tiny bundle's styles make of a luma of 100 at full strength."""
SIZE = (96, 64)

Make = Callable[..., Stylizer]


def luma(frame: Frame) -> int:
    """The luma of a frame that is flat."""
    (value,) = np.unique(frame.planes[0])
    return int(value)


def mean_difference(a: Frame, b: Frame) -> float:
    return float(np.abs(a.planes[0].astype(int) - b.planes[0]).mean())


def half_mask(width: int = 96, height: int = 64) -> Any:
    mask = np.zeros((height, width), np.float32)
    mask[:, width // 2 :] = 1
    return mask
