"""Motion over several frames, for pictures that no net has painted and that are carried along instead."""

import numpy as np

from allaprima.kernels.blend import DECISIONS
from allaprima.kernels.cuda import Array, Module, Stream, blocks, check, floats, ints, output

PIXELS = (32, 8)
BLOCK = (256,)
MODULE = Module("follow", ("follow", "believe"))

Motion = tuple[Array, Array]
"""Backward flow and its confidence."""


def follow(
    motion: Motion,
    before: Motion,
    mean_trust: Array,
    lost: float,
    *,
    out: Motion | None = None,
    stream: Stream = None,
) -> Motion:
    """The motion through one more frame: ``motion`` is that of the last frame, ``before`` the one up to there.

    Each is a backward flow ``(h, w, 2)`` in pixels and its confidence ``(h, w)`` in 0..1, both float32.  Flows are
    added, confidences multiplied, where each pixel comes from; the border repeats.  Where ``mean_trust`` ``(1,)``
    float32, the mean confidence of ``motion``, is below ``lost`` when the kernel runs, the flow is that before and the
    confidence 0.  ``out`` must not overlap the others.  Raises TypeError and ValueError for arrays that do not fit.
    """
    flow, trust = motion
    check("flow", flow, (None, None, 2), np.float32)
    height, width, _ = flow.shape
    check("confidence", trust, (height, width), np.float32)
    check("flow before", before[0], flow.shape, np.float32)
    check("confidence before", before[1], trust.shape, np.float32)
    check("mean_trust", mean_trust, (1,), np.float32)
    whole, whole_trust = (None, None) if out is None else out
    whole = output(whole, flow.shape, np.float32, stream)
    whole_trust = output(whole_trust, trust.shape, np.float32, stream)
    args = (*motion, *before, mean_trust, *floats(lost), *ints(width, height), whole, whole_trust)
    MODULE.launch("follow", blocks((width, height), PIXELS), PIXELS, args, stream)
    return whole, whole_trust


def believe(motion: Motion, factor: int, *, out: Array | None = None, stream: Stream = None) -> Array:
    """What `hold` and `crisp` of `kernels.blend` go by for a carried picture: ``(3, h, w, 4)`` float32.

    Share and gain are 1 and level 0: history as it is.  Worn, of luma, is the confidence of what moves; by less than a
    pixel of luma, of which ``factor`` make one of the map, as much less.  Raises TypeError and ValueError for arrays
    that do not fit.
    """
    flow, trust = motion
    check("flow", flow, (None, None, 2), np.float32)
    height, width, _ = flow.shape
    check("confidence", trust, (height, width), np.float32)
    out = output(out, (3, height, width, DECISIONS), np.float32, stream)
    args = (flow, trust, *ints(height * width, factor), out)
    MODULE.launch("believe", blocks((height * width,), BLOCK), BLOCK, args, stream)
    return out
