"""Variational refinement of a flow: gray levels and gradients stay as they are, and the flow is smooth."""

import numpy as np

from allaprima.kernels.cuda import Array, Module, Stream, blocks, check, output
from allaprima.kernels.pyramid import Level
from allaprima.kernels.reference.refine import SWEEPS

REGION = (64, 32)
"""What a block works on, pixels."""
MARGIN = 2 * SWEEPS + 1
BLOCK = (64, 16)
MODULE = Module("refine", ("refine",))


def rounds_at_once(size: tuple[int, int]) -> bool:
    """Whether a level of ``size`` ``(width, height)`` is so small that `refine` takes any number of rounds."""
    return size[0] <= REGION[0] and size[1] <= REGION[1]


def refine(level: Level, flow: Array, rounds: int = 1, *, out: Array | None = None, stream: Stream = None) -> Array:
    """The flow ``(2, h, w, 2)``, float32 in pixels of the level, improved; direction 0 leads back, 1 forward.

    ``out`` must not be ``flow``.  More than one of the ``rounds`` needs a level of which `rounds_at_once` is true.
    """
    check("level.gray", level.gray, (2, None, None), np.float32)
    check("level.gradient", level.gradient, (*level.gray.shape, 2), np.float32)
    _, height, width = level.gray.shape
    check("flow", flow, (2, height, width, 2), np.float32)
    size = (width, height)
    whole = rounds_at_once(size)
    if rounds < 1 or (rounds > 1 and not whole):
        raise ValueError(f"rounds must be 1 for a level of {width}x{height}, not {rounds}")
    core = REGION if whole else (REGION[0] - 2 * MARGIN, REGION[1] - 2 * MARGIN)
    out = output(out, flow.shape, np.float32, stream)
    args = (level.gray, level.gradient, np.int32(width), np.int32(height), flow, np.int32(rounds), out)
    MODULE.launch("refine", (*blocks(size, core), 2), BLOCK, args, stream)
    return out
