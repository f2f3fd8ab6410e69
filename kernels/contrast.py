"""Compare the new picture with its history, and decide what of it is held.

All that is compared and decided are maps of the small picture ``(h, w)`` that the flow was measured on, in three
steps: `compare`, `smooth`, `decide`.
"""

import numpy as np

from allaprima.kernels.cuda import TYPES, Array, Module, Stream, blocks, check, ints, output

COMPARED = ("y", "u", "v", "fresh detail", "old detail", "changed detail")
"""New minus history in each plane, and detail (squared) of new, history and their difference."""
DECIDED = ("share", "gain", "level", "worn")
"""What `hold` and `crisp` of `allaprima.kernels.blend` go by, for each plane."""
DTYPES = ("uint8", "float16", "float32")
FACTORS = (1, 2, 4)
"""How many pixels of luma a small pixel may be wide and high."""
CELLS = (30, 14)
"""Pixels of chroma that a block compares."""
TILE = 32
BLOCK = (256,)

MODULE = Module("contrast", (*(f"compare<{TYPES[dtype]}>" for dtype in DTYPES), "smooth", "decide"))

Planes = tuple[Array, Array]
"""A picture: luma ``(H, W)`` and both chroma planes ``(2, H / 2, W / 2)``, in bytes (0..255)."""


def compare(new: Planes, history: Planes, factor: int, *, out: Array | None = None, stream: Stream = None) -> Array:
    """The maps `COMPARED` ``(6, h, w)`` float32, as means over each small pixel: ``factor`` x ``factor`` of luma.

    ``new`` is uint8, float16 or float32, ``history`` float32: fetched along the motion already.  Detail is the
    Laplacian of luma at half its size: what flickers from pixel to pixel is no stroke.
    Raises TypeError and ValueError for arrays that do not fit.
    """
    luma, chroma = new
    check("new luma", luma, (None, None), *DTYPES)
    height, width = luma.shape
    if factor not in FACTORS or height % max(factor, 2) or width % max(factor, 2):
        raise ValueError(f"new luma must be even, and 1, 2 or 4 times as large as a map, not {luma.shape} / {factor}")
    check("new chroma", chroma, (2, height // 2, width // 2), luma.dtype)
    check("history luma", history[0], luma.shape, np.float32)
    check("history chroma", history[1], chroma.shape, np.float32)
    out = output(out, (len(COMPARED), height // factor, width // factor), np.float32, stream)
    MODULE.launch(
        f"compare<{TYPES[luma.dtype.name]}>",
        blocks((width // 2, height // 2), CELLS),
        (64, 4),
        (*new, *history, *ints(width // 2, height // 2, factor), out),
        stream,
    )
    return out


def smooth(maps: Array, *, out: Array | None = None, stream: Stream = None) -> Array:
    """The maps `COMPARED` through a Gaussian of deviation 1.5 small pixels.

    The border is mirrored.  The result must not overlap ``maps``.
    """
    check("maps", maps, (len(COMPARED), None, None), np.float32)
    count, height, width = maps.shape
    out = output(out, maps.shape, np.float32, stream)
    grid = blocks((width, height, count), (TILE, TILE, 1))
    MODULE.launch("smooth", grid, (32, 8), (maps, *ints(width, height), out), stream)
    return out


def decide(
    maps: Array,
    flow: Array,
    trust: Array,
    weight: Array,
    factor: int,
    *,
    out: Array | None = None,
    stream: Stream = None,
) -> Array:
    """`DECIDED` for y, u and v ``(3, h, w, 4)`` float32, from the smoothed maps `COMPARED` ``(6, h, w)`` and the flow.

    ``flow`` is ``(h, w, 2)`` float32 in small pixels, ``factor`` how many pixels of luma one is wide, ``trust``
    ``(h, w)`` float32 the flow's confidence in 0..1.  ``weight`` ``(1,)`` float32 is the most that history counts
    (0..1); it is read when the kernel runs, so that a captured graph goes by what it holds then.

    - share: ``weight (2 trust exp(-600 d) - 0.5)``, held in 0..1 before it is weighted; d is the sum of the squared
      differences of the planes (0..1).  Half trust is worst, the mean of two textures is a blur.
    - gain, of luma: ``sqrt(a / b) (1 + (1 - weight) c / 2 a)``, held in 0.8..1.2, for the detail a of new, b of
      history and c of their difference.  Any warp changes the contrast, and blending two textures loses some.
    - level: a fifth of the plane's difference.
    - worn, of luma: the share of what moves; by less than a pixel of luma, as much less.

    Raises TypeError and ValueError for arrays that do not fit.
    """
    check("maps", maps, (len(COMPARED), None, None), np.float32)
    height, width = maps.shape[1:]
    check("flow", flow, (height, width, 2), np.float32)
    check("trust", trust, (height, width), np.float32)
    check("weight", weight, (1,), np.float32)
    out = output(out, (3, height, width, len(DECIDED)), np.float32, stream)
    args = (maps, flow, trust, weight, *ints(height * width, factor), out)
    MODULE.launch("decide", blocks((height * width,), BLOCK), BLOCK, args, stream)
    return out
