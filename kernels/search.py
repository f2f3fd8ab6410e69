"""Inverse search of patches and their densification (Kroeger et al., ECCV 2016), with no order among patches."""

import numpy as np

from allaprima.kernels.cuda import Array, Module, Stream, blocks, check, output
from allaprima.kernels.pyramid import Level
from allaprima.kernels.reference.search import PATCH, STRIDE

THREADS = 128
PIXELS = (32, 4)
MODULE = Module("search", ("search_widely", "search", "propagate", "densify"))


def grid(size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of patches in a level of ``size`` ``(width, height)``."""
    width, height = size
    rows, columns = (-(-max(side - PATCH, 0) // STRIDE) + 1 for side in (height, width))
    return rows, columns


def search_widely(level: Level, *, out: Array | None = None, stream: Stream = None) -> Array:
    """Motion of each patch, ``(2, rows, columns, 2)`` float32 in pixels of this level, with nothing known before.

    Direction 0 leads from the current picture back to the previous one, direction 1 forward.  A patch begins with
    the best of 5 x 5 motions around rest, and descends from there.
    """
    return _launched("search_widely", level, (), out, stream)


def search(
    level: Level,
    coarse: Array,
    last: Array | None = None,
    scale: int = 1,
    *,
    out: Array | None = None,
    stream: Stream = None,
) -> Array:
    """Motion of each patch, as `search_widely` gives it, with the flow of the level half as large to begin with.

    A patch begins with the best of what this ``coarse`` flow ``(2, h', w', 2)`` says in its middle and a patch to
    each side, and of what a ``last`` flow says in its middle, if one is given; ``scale`` pixels of that make one of
    this level.
    """
    if last is not None and scale < 1:
        raise ValueError(f"scale must be at least 1, not {scale}")
    known = coarse if last is None else last
    begin: list[object] = []
    for name, flow in (("coarse", coarse), ("last", known)):
        check(name, flow, (2, None, None, 2), np.float32)
        begin += [flow, np.int32(flow.shape[2]), np.int32(flow.shape[1])]
    return _launched("search", level, (*begin, np.int32(0 if last is None else scale)), out, stream)


def propagate(level: Level, motion: Array, *, out: Array | None = None, stream: Stream = None) -> Array:
    """`search`, but each patch begins with the best of its own ``motion`` and those of its four neighbors."""
    _, height, width = _checked(level)
    check("motion", motion, (2, *grid((width, height)), 2), np.float32)
    return _launched("propagate", level, (motion,), out, stream)


def densify(level: Level, motion: Array, *, out: Array | None = None, stream: Stream = None) -> Array:
    """Flow ``(2, h, w, 2)``: at each pixel the mean of the patches that cover it, each weighted by
    ``1 / max(1, |difference of the two gray levels that it matches|)``."""
    _, height, width = _checked(level)
    check("motion", motion, (2, *grid((width, height)), 2), np.float32)
    out = output(out, (2, height, width, 2), np.float32, stream)
    MODULE.launch(
        "densify",
        (*blocks((width, height), PIXELS), 2),
        PIXELS,
        (level.gray, np.int32(width), np.int32(height), motion, out),
        stream,
    )
    return out


def _checked(level: Level) -> tuple[int, int, int]:
    check("level.gray", level.gray, (2, None, None), np.float32)
    check("level.gradient", level.gradient, (*level.gray.shape, 2), np.float32)
    both, height, width = level.gray.shape
    return both, height, width


def _launched(kernel: str, level: Level, begin: tuple[object, ...], out: Array | None, stream: Stream) -> Array:
    _, height, width = _checked(level)
    rows, columns = grid((width, height))
    out = output(out, (2, rows, columns, 2), np.float32, stream)
    args = (level.gray, level.gradient, np.int32(width), np.int32(height), *begin, out)
    MODULE.launch(kernel, (-(-rows * columns * PATCH // THREADS), 1, 2), (THREADS, 1), args, stream)
    return out
