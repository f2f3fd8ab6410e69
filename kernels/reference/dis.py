"""Dense inverse search (Kroeger et al., ECCV 2016) with no order among patches: what the CUDA kernels compute."""

import math

import numpy as np
from numpy.typing import NDArray

from allaprima.kernels.reference.flow import SMALLEST_SIDE
from allaprima.kernels.reference.pyramid import Level, pyramid
from allaprima.kernels.reference.refine import refine
from allaprima.kernels.reference.rest import rest
from allaprima.kernels.reference.search import PATCH, densify, propagate, search, search_widely

Flow = NDArray[np.float32]
Gray = NDArray[np.uint8]

ROUNDS = 5
"""Of `refine` on each level."""


def level_count(size: tuple[int, int]) -> int:
    """Levels down to one that is about four patches long, and a patch wide."""
    long, short = max(size), min(size)
    return max(0, min(round(math.log2(long / (4 * PATCH))), int(math.log2(short / PATCH)))) + 1


class Dis:
    """`allaprima.kernels.flow.Dis` in NumPy: the oracle for it, not for use on video."""

    def __init__(self, size: tuple[int, int], warm: bool = False) -> None:
        width, height = size
        self._levels = level_count(size)
        self._shape = (2, height, width, 2)
        self._too_small = min(size) < SMALLEST_SIDE
        self._last = np.zeros(self._shape, np.float32) if warm else None

    def __call__(self, previous: Gray, current: Gray) -> tuple[Flow, Flow]:
        if self._too_small:
            return np.zeros(self._shape[1:], np.float32), np.zeros(self._shape[1:], np.float32)
        levels = pyramid(previous, current, self._levels)
        flow = _improved(levels[-1], search_widely(levels[-1]))
        for index in reversed(range(len(levels) - 1)):
            flow = _improved(levels[index], search(levels[index], flow, self._last, 2**index))
        if self._last is not None:
            self._last = flow
        return rest(flow, previous, current)


def _improved(level: Level, motion: Flow) -> Flow:
    flow = densify(level, propagate(level, motion))
    for _ in range(ROUNDS):
        flow = refine(level, flow)
    return flow
