"""Carry the history along the motion and mix the new picture with it, pixel by pixel."""

import numpy as np

from allaprima.kernels.cuda import TYPES, Array, Module, Stream, blocks, check, check_planes, floats, ints, output

DTYPES = ("uint8", "float16", "float32")
BLOCK = (32, 8)
RUN = 1024
"""Pixels that a block of `blend` takes in a row."""
DECISIONS = 4
"""Numbers for a plane and pixel of the small picture: `allaprima.kernels.contrast.DECIDED`."""

MODULE = Module(
    "blend",
    ("raised", *(f"{kernel}<{TYPES[dtype]}>" for kernel in ("blend", "fetch", "hold", "crisp") for dtype in DTYPES)),
)


def blend(new: Array, history: Array, weight: Array, *, out: Array | None = None, stream: Stream = None) -> Array:
    """``new + weight (history - new)`` (COVST, eq. 4).

    Planes ``(h, w)`` or ``(c, h, w)`` uint8, float16 or float32, both of one dtype, which is the result's;
    ``weight`` is ``(h, w)`` float32 in 0..1.  Raises TypeError and ValueError for arrays that do not fit.
    The result must not overlap what it is made of.
    """
    channels, height, width = check_planes("new", new, *DTYPES)
    check("history", history, new.shape, new.dtype)
    check("weight", weight, (height, width), np.float32)
    out = output(out, new.shape, new.dtype, stream)
    grid = blocks((height * width, channels), (RUN, 1))
    args = (new, history, weight, *ints(height * width), out)
    MODULE.launch(f"blend<{TYPES[new.dtype.name]}>", grid, (256,), args, stream)
    return out


def fetch(history: Array, flow: Array, *, out: Array | None = None, stream: Stream = None) -> Array:
    """``history`` ``(H, W)`` or ``(c, H, W)`` along the backward ``flow`` ``(h, w, 2)``, bicubically, as float32.

    It is uint8, float16 or float32; the flow is float32, in pixels of a smaller picture, and enlarged bilinearly on
    the way.  The result must not overlap the history.  Raises TypeError and ValueError for arrays that do not fit.
    """
    channels, height, width = check_planes("history", history, *DTYPES)
    check("flow", flow, (None, None, 2), np.float32)
    small_height, small_width, _ = flow.shape
    out = output(out, history.shape, np.float32, stream)
    MODULE.launch(
        f"fetch<{TYPES[history.dtype.name]}>",
        blocks((width, height), BLOCK),
        BLOCK,
        (
            *(history, *ints(width, height, channels)),
            *(flow, *ints(small_width, small_height), *floats(width / small_width, height / small_height)),
            out,
        ),
        stream,
    )
    return out


def raised(history: Array, decided: Array, *, out: Array | None = None, stream: Stream = None) -> Array:
    """The level of luma at half its size, ``(H / 2, W / 2)`` float32: ``level - (gain - 1) detail / 4``.

    ``history`` is luma ``(H, W)`` float32 in bytes, of even sides, fetched along the motion already; its detail is the
    Laplacian at half the size, which the gain was measured by: waves that are raised though they were not measured
    grow, finer ones to a hatch and coarser ones to blobs.  ``decided`` is ``(h, w, 4)`` as `hold` takes it.  Raises
    TypeError and ValueError for arrays that do not fit.
    """
    check("history", history, (None, None), np.float32)
    check("decided", decided, (None, None, DECISIONS), np.float32)
    (height, width), (small_height, small_width) = history.shape, decided.shape[:2]
    if height % 2 or width % 2:
        raise ValueError(f"history must have even sides, not {history.shape}")
    height, width = height // 2, width // 2
    out = output(out, (height, width), np.float32, stream)
    MODULE.launch(
        "raised",
        blocks((width, height), BLOCK),
        BLOCK,
        (
            *(history, *ints(width, height)),
            *(decided, *ints(small_width, small_height), *floats(small_width / width, small_height / height)),
            out,
        ),
        stream,
    )
    return out


def hold(
    new: Array,
    history: Array,
    decided: Array,
    limits: tuple[float, float] = (0.0, 255.0),
    *,
    level: Array | None = None,
    out: tuple[Array, Array] | None = None,
    stream: Stream = None,
) -> tuple[Array, Array]:
    """``new + share (history + level - new)`` within ``limits``: as float32, and in the dtype of ``new``.

    The first is what the next frame has as its history: bytes would round away most of what is new.

    ``new`` is ``(H, W)`` or ``(c, H, W)`` uint8, float16 or float32, ``history`` float32 and fetched along the motion
    already, both in bytes (0..255).  ``decided`` is ``(h, w, 4)`` or ``(c, h, w, 4)`` float32, from
    `allaprima.kernels.contrast.decide`: share and level (and others) in a smaller picture, enlarged bilinearly.
    A ``level`` of its own, as `raised` gives it, stands for that of all planes.  ``out`` is for both results; the
    first may be the history.  Raises TypeError and ValueError for arrays that do not fit.
    """
    channels, height, width = check_planes("new", new, *DTYPES)
    check("history", history, new.shape, np.float32)
    check("decided", decided, (*new.shape[:-2], None, None, DECISIONS), np.float32)
    held, shown = (None, None) if out is None else out
    held, shown = output(held, new.shape, np.float32, stream), output(shown, new.shape, new.dtype, stream)
    if level is not None:
        check("level", level, (height // 2, width // 2), np.float32)
    small_height, small_width = decided.shape[-3:-1]
    MODULE.launch(
        f"hold<{TYPES[new.dtype.name]}>",
        blocks((width, height, channels), (*BLOCK, 1)),
        BLOCK,
        (
            *(new, history, *ints(width, height)),
            *(decided, *ints(small_width, small_height), *floats(small_width / width, small_height / height)),
            *(decided if level is None else level, *ints(level is not None), *floats(*limits), held, shown),
        ),
        stream,
    )
    return held, shown


def crisp(
    held: Array,
    decided: Array,
    limits: tuple[float, float] = (0.0, 255.0),
    *,
    out: Array | None = None,
    stream: Stream = None,
) -> Array:
    """What is shown of a held plane: ``held + 0.3 worn (held - smoothed)`` within ``limits``.

    ``held`` is ``(H, W)`` float32 in bytes (0..255); smoothed is by the 3 x 3 binomial.  ``decided`` is
    ``(h, w, 4)`` float32, where worn is the last, in 0..1.  The result is uint8, or as ``out`` is, float16 or
    float32, and must not overlap ``held``.  The finest detail is worn off by warp after warp.  It is made good in
    what is shown, not in what is carried on: there it would grow.  Raises TypeError and ValueError for arrays that
    do not fit.
    """
    check("held", held, (None, None), np.float32)
    check("decided", decided, (None, None, DECISIONS), np.float32)
    if out is None:
        out = output(None, held.shape, np.uint8, stream)
    check("out", out, held.shape, *DTYPES)
    (height, width), (small_height, small_width) = held.shape, decided.shape[:2]
    MODULE.launch(
        f"crisp<{TYPES[out.dtype.name]}>",
        blocks((width, height), BLOCK),
        BLOCK,
        (
            *(held, *ints(width, height)),
            *(decided, *ints(small_width, small_height), *floats(small_width / width, small_height / height)),
            *(*floats(*limits), out),
        ),
        stream,
    )
    return out
