"""How far the history of each pixel can be trusted: 0 (occluded, new, outside) to 1."""

import numpy as np

from allaprima.kernels.cuda import TYPES, Array, Module, Stream, blocks, check, ints, output

DTYPES = ("uint8", "float32")
BLOCK = (32, 8)

MODULE = Module("confidence", tuple(f"confidence<{TYPES[dtype]}>" for dtype in DTYPES))


def confidence(
    backward: Array,
    forward: Array,
    previous: Array,
    current: Array,
    *,
    out: Array | None = None,
    stream: Stream = None,
) -> Array:
    """Confidence map ``(h, w)`` float32 in 0..1 for the flow ``backward``.

    Both flows are ``(h, w, 2)`` float32 in pixels; ``previous`` and ``current`` are the gray pictures ``(h, w)``
    that they were measured on, in bytes, as uint8 or float32.  Forward-backward and motion-boundary tests of
    Sundaram et al. (ECCV 2010) with soft edges: full trust up to half of their threshold, none from it on; times
    ``exp(-60 dI^2)`` for the difference of the pictures (0..1); 0 where the history lies outside, or a flow is
    not a number.  Raises TypeError and ValueError for arrays that do not fit.
    """
    check("current", current, (None, None), *DTYPES)
    height, width = current.shape
    check("previous", previous, (height, width), current.dtype)
    check("backward", backward, (height, width, 2), np.float32)
    check("forward", forward, (height, width, 2), np.float32)
    out = output(out, (height, width), np.float32, stream)
    MODULE.launch(
        f"confidence<{TYPES[current.dtype.name]}>",
        blocks((width, height), BLOCK),
        BLOCK,
        (backward, forward, previous, current, *ints(width, height), out),
        stream,
    )
    return out
