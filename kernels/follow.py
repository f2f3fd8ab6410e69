"""Motion over several frames, for pictures that no net has painted and that are carried along instead."""

import numpy as np

from allaprima.kernels.blend import DECISIONS
from allaprima.kernels.cuda import Array, Module, Stream, blocks, check, check_planes, floats, ints, output

PIXELS = (32, 8)
BLOCK = (256,)
MODULE = Module("follow", ("follow", "easing", "ease", "believe"))

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


def easing(
    trust: Array,
    differences: Array,
    mean_trust: Array,
    lost: float,
    weight: Array,
    *,
    out: Array | None = None,
    stream: Stream = None,
) -> Array:
    """How much of what was carried is shown, once more, of the next picture that is painted: ``(h, w)`` in 0..0.5.

    ``trust`` ``(h, w)`` is the confidence of the last frame's motion, ``differences`` ``(3, h, w)`` are those of the
    planes of both pictures, smoothed, in bytes: ``0.5 trust exp(-60 sum d^2)`` for d in 0..1.  It is 0 everywhere if,
    when the kernel runs, ``mean_trust``, the mean confidence of the whole way, is below ``lost``, or the history's
    ``weight`` is 0; both are ``(1,)``.  All are float32.  Raises TypeError and ValueError for arrays that do not fit.
    """
    check("trust", trust, (None, None), np.float32)
    height, width = trust.shape
    check("differences", differences, (3, height, width), np.float32)
    check("mean_trust", mean_trust, (1,), np.float32)
    check("weight", weight, (1,), np.float32)
    out = output(out, trust.shape, np.float32, stream)
    args = (trust, differences, *ints(height * width), mean_trust, *floats(lost), weight, out)
    MODULE.launch("easing", blocks((height * width,), BLOCK), BLOCK, args, stream)
    return out


def ease(held: Array, carried: Array, share: Array, *, stream: Stream = None) -> Array:
    """``held + share (carried - held)`` in place of ``carried``: planes ``(H, W)`` or ``(c, H, W)`` float32.

    ``share`` ``(h, w)`` float32 is of a smaller picture, enlarged bilinearly.  Raises TypeError and ValueError for
    arrays that do not fit.
    """
    channels, height, width = check_planes("held", held, "float32")
    check("carried", carried, held.shape, np.float32)
    check("share", share, (None, None), np.float32)
    small_height, small_width = share.shape
    MODULE.launch(
        "ease",
        blocks((width, height, channels), (*PIXELS, 1)),
        PIXELS,
        (
            *(held, *ints(width, height)),
            *(share, *ints(small_width, small_height), *floats(small_width / width, small_height / height)),
            carried,
        ),
        stream,
    )
    return carried


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
