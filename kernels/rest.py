"""Set a flow to rest where rest explains the picture as well."""

import numpy as np

from allaprima.kernels.cuda import Array, Module, Stream, blocks, check, output

PIXELS = (32, 8)
BLOCK, THREADS = (32, 16), 256
MODULE = Module("rest", ("differences", "rest"))


def rest(
    flow: Array,
    previous: Array,
    current: Array,
    *,
    scratch: Array | None = None,
    out: tuple[Array, Array] | None = None,
    stream: Stream = None,
) -> tuple[Array, Array]:
    """The backward and the forward half of ``flow`` ``(2, h, w, 2)`` float32 between two uint8 pictures ``(h, w)``,
    the backward one set to zero where rest explains the picture as well (`reference.flow.at_rest`).

    The results, the two of ``out`` and ``scratch`` are ``(h, w, 2)`` float32, none of them part of ``flow``.
    """
    check("previous", previous, (None, None), np.uint8)
    height, width = previous.shape
    check("current", current, (height, width), np.uint8)
    check("flow", flow, (2, height, width, 2), np.float32)
    left = output(scratch, (height, width, 2), np.float32, stream)
    backward, forward = (output(half, (height, width, 2), np.float32, stream) for half in out or (None, None))
    size = (np.int32(width), np.int32(height))
    pixels = (flow, previous, current, *size, left)
    MODULE.launch("differences", blocks((width, height), PIXELS), PIXELS, pixels, stream)
    MODULE.launch(
        "rest", (*blocks((width, height), BLOCK), 2), (THREADS, 1), (flow, left, *size, backward, forward), stream
    )
    return backward, forward
