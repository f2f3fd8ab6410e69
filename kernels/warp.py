"""Fetch each pixel's history along the backward flow."""

from itertools import product

import numpy as np

from allaprima.kernels.cuda import TYPES, Array, Module, Stream, blocks, check, check_planes, floats, ints, output

INTERPOLATION = {"bilinear": "BILINEAR", "bicubic": "BICUBIC", "catmull-rom": "CATMULL_ROM"}
DTYPES = ("float16", "float32", "uint8")
BLOCK = (32, 8)

MODULE = Module(
    "warp",
    tuple(
        f"{kernel}<{TYPES[dtype]}, {how}>"
        for kernel, dtype, how in product(("warp", "warp_along"), DTYPES, INTERPOLATION.values())
    ),
)


def warp(
    planes: Array,
    where: Array,
    interpolation: str = "bilinear",
    *,
    out: Array | None = None,
    stream: Stream = None,
) -> Array:
    """Sample ``planes`` ``(h, w)`` or ``(c, h, w)`` at the positions ``where`` ``(H, W, 2)``; the border repeats.

    Planes are float16, float32 or uint8, ``where`` is float32, ``(x, y)`` in pixels of the planes; what is not a
    number counts as left or above of them.  The result is ``(H, W)`` or ``(c, H, W)`` of the planes' dtype and
    must not overlap them.

    ``interpolation`` is "bilinear", "bicubic" (Keys's cubic with a = -0.75, OpenCV's) or "catmull-rom"
    (a = -0.5, which is duller).  Raises KeyError for another, TypeError and ValueError for arrays that do not fit.
    """
    how = INTERPOLATION[interpolation]
    channels, height, width = check_planes("planes", planes, *DTYPES)
    check("where", where, (None, None, 2), np.float32)
    out_height, out_width, _ = where.shape
    out = output(out, (*planes.shape[:-2], out_height, out_width), planes.dtype, stream)
    MODULE.launch(
        f"warp<{TYPES[planes.dtype.name]}, {how}>",
        blocks((out_width, out_height), BLOCK),
        BLOCK,
        (planes, *ints(width, height, channels), where, out, *ints(out_width, out_height)),
        stream,
    )
    return out


def warp_along(
    planes: Array,
    flow: Array,
    interpolation: str = "bilinear",
    *,
    out: Array | None = None,
    stream: Stream = None,
) -> Array:
    """`warp` along a backward ``flow`` ``(h, w, 2)`` float32 that was measured on a smaller picture, in its pixels.

    The flow is enlarged bilinearly on the way, and no map of positions at full size is made.  The result has
    the planes' shape.
    """
    how = INTERPOLATION[interpolation]
    channels, height, width = check_planes("planes", planes, *DTYPES)
    check("flow", flow, (None, None, 2), np.float32)
    out = output(out, planes.shape, planes.dtype, stream)
    flow_height, flow_width, _ = flow.shape
    scale = floats(width / flow_width, height / flow_height)
    MODULE.launch(
        f"warp_along<{TYPES[planes.dtype.name]}, {how}>",
        blocks((width, height), BLOCK),
        BLOCK,
        (planes, *ints(width, height, channels), flow, *ints(flow_width, flow_height), *scale, out),
        stream,
    )
    return out
