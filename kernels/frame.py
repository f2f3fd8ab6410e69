"""A frame on its way into the engine and out of it, on the device.

The engine's own picture is planar and has bytes: luma ``(H, W)`` and both planes of chroma ``(2, H / 2, W / 2)``, of
even sides, with a margin around the stream's picture that repeats its edge.
"""

import numpy as np

from allaprima.kernels.cuda import TYPES, Array, Module, Stream, blocks, check, floats, ints, output
from allaprima.kernels.reference.meter import FIGURES
from allaprima.kernels.surface import Planes, Surface

BLOCK = (32, 8)
CODES = ("uint8", "uint16")
FACTORS = (1, 2, 4)
"""How many pixels of luma a small pixel may be wide and high."""

MODULE = Module(
    "frame", tuple(f"{kernel}<{TYPES[code]}>" for kernel in ("gray", "temper", "present") for code in CODES)
)

Picture = tuple[Array, Array]
"""Luma and chroma of the engine's own picture."""


def gray(
    planes: Planes, size: tuple[int, int], factor: int, margin: int, *, out: Array | None = None, stream: Stream = None
) -> Array:
    """Small luma ``(h, w)`` uint8, which motion is measured on, of a picture in a format of `kernels.surface`.

    ``size`` is the small picture's ``(width, height)``, ``factor`` (1, 2 or 4) how many pixels of luma one of its is
    wide and high; before they are averaged, luma gets ``margin`` pixels on the left and on top that repeat its edge,
    and as many as are needed on the right and below.  Codes of 10 bits become bytes.  Raises TypeError and ValueError
    for what does not fit.
    """
    surface = Surface.of("planes", planes)
    if factor not in FACTORS or margin < 0:
        raise ValueError(f"factor must be 1, 2 or 4 and margin at least 0, not {factor} and {margin}")
    out = output(out, size[::-1], np.uint8, stream)
    MODULE.launch(
        f"gray<{surface.type}>",
        blocks(size, BLOCK),
        BLOCK,
        (*surface.args[:2], *ints(surface.width, surface.height, margin, factor), out, *ints(*size)),
        stream,
    )
    return out


def temper(planes: Planes, figures: Array, even: float, margin: int, *, out: Picture, stream: Stream = None) -> Picture:
    """Give an even picture back, in place, what it was before it was painted.

    ``out`` is painted, ``planes`` in a format of `kernels.surface` what it was painted from, without the ``margin``.
    ``figures`` ``(1, 6)`` float32 is what `kernels.meter.Health` says of the small gray picture, read when the kernel
    runs.  Painted counts by ``(deviation - even) / even``, held in 0..1, in bytes: nothing of a black frame, all of a
    picture with some contrast.  Raises TypeError and ValueError for what does not fit.
    """
    surface = Surface.of("planes", planes)
    half_height, half_width = _checked("out", out)
    check("figures", figures, (1, len(FIGURES)), np.float32)
    MODULE.launch(
        f"temper<{surface.type}>",
        blocks((half_width, half_height), BLOCK),
        BLOCK,
        (
            *(*surface.args, *ints(surface.width, surface.height, margin)),
            *(figures, *floats(even), *out, *ints(half_width, half_height)),
        ),
        stream,
    )
    return out


def present(
    shown: Picture,
    planes: Planes,
    share: Array,
    margin: int,
    mask: Array | None = None,
    *,
    out: Planes,
    stream: Stream = None,
) -> Planes:
    """What is seen, without the ``margin``, in ``out``: nv12 or yuv420p of 8 bits as `kernels.surface` has them.

    ``planes`` is the stream's own picture, of the size of ``out``.  Where ``mask`` ``(H, W)`` float32 is 1 it takes
    the place of what is ``shown``; of both together ``share`` ``(1,)`` float32 is seen, and of the stream's picture
    the rest.  All are in 0..1; share is read when the kernel runs.  Raises TypeError and ValueError for what does not
    fit.
    """
    surface, target = Surface.of("planes", planes), Surface.of("out", out)
    size = (surface.width, surface.height)
    if (target.width, target.height, target.dtype) != (*size, "uint8"):
        raise ValueError(f"out must be uint8 of {size}, not {target.dtype} of {(target.width, target.height)}")
    half_height, half_width = _checked("shown", shown)
    if 2 * half_width < size[0] + margin or 2 * half_height < size[1] + margin:
        raise ValueError(f"shown is {2 * half_width}x{2 * half_height}: too small for {size} and a margin of {margin}")
    check("share", share, (1,), np.float32)
    if mask is not None:
        check("mask", mask, size[::-1], np.float32)
    MODULE.launch(
        f"present<{surface.type}>",
        blocks((-(-size[0] // 2), -(-size[1] // 2)), BLOCK),
        BLOCK,
        (
            *(*shown, *ints(half_width, half_height, margin), *surface.args, *ints(*size)),
            *(share if mask is None else mask, *ints(mask is not None), share, *target.args),
        ),
        stream,
    )
    return out


def _checked(name: str, picture: Picture) -> tuple[int, int]:
    """Height and width of the chroma of the engine's own picture."""
    luma, chroma = picture
    check(f"the chroma of {name}", chroma, (2, None, None), np.uint8)
    _, height, width = chroma.shape
    check(f"the luma of {name}", luma, (2 * height, 2 * width), np.uint8)
    return height, width
