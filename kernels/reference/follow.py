"""Motion over several frames."""

import cv2
import numpy as np
from numpy.typing import NDArray

from allaprima.kernels.reference.confidence import Flow, Map, identity_grid
from allaprima.kernels.reference.warp import exact

Motion = tuple[Flow, Map]

EASED = 0.5
"""Share of what was carried in the first picture that is painted again, as it is shown."""
OTHER = np.float32(60.0)
"""Weight of the squared difference of the two, smoothed (0..1); 0.1 of full scale leaves 0.55 of the share."""


def follow(motion: Motion, before: Motion, lost: float) -> Motion:
    """The motion through one more frame, flow ``(h, w, 2)`` and confidence: flows add, confidences multiply.

    Where the mean confidence is below ``lost`` the flow is that before, and nothing is trusted.
    """
    flow, trust = motion
    if trust.mean() < lost:
        return before[0], np.zeros_like(trust)
    where = identity_grid(trust.shape[::-1]) + flow
    rest, rest_trust = exact(np.moveaxis(before[0], 2, 0), where), exact(before[1], where)
    return np.asarray(flow + np.moveaxis(rest, 0, 2), np.float32), np.asarray(trust * rest_trust, np.float32)


def believe(motion: Motion, factor: int) -> NDArray[np.float32]:
    """Share, gain, level and worn of y, u and v, ``(3, h, w, 4)``: history as it is, worn where it moved."""
    flow, trust = motion
    decided = np.zeros((3, *trust.shape, 4), np.float32)
    decided[..., :2] = 1
    decided[0, ..., 3] = trust * np.minimum(factor * np.hypot(flow[..., 0], flow[..., 1]), 1)
    return decided


def easing(trust: Map, *differences: Map) -> Map:
    """How much of what was carried is shown, once more, of the next picture that is painted: ``(h, w)`` in 0..0.5.

    What errors have come together while a picture was carried are made good in the next one that is painted.  Done at
    once that is a jump; over two frames it flickers half as much.  ``trust`` is that of the last frame's motion: a cut
    is not eased.  Nor is what was carried to a wrong place, or it would be seen through: ``differences`` (0..1 of full
    scale) are those of the two pictures' planes, smoothed, and ``exp(-60 sum d^2)`` knows it.
    """
    far = sum((np.square(difference) for difference in differences), np.float32(0))
    return np.asarray(np.float32(EASED) * trust * np.exp(-OTHER * far), np.float32)


def ease(held: Map, carried: Map, share: Map) -> Map:
    """``held + share (carried - held)``, float32 planes ``(h, w)``: what is shown, not what is carried on."""
    return np.asarray(cv2.blendLinear(carried, held, share, 1 - share), np.float32)
