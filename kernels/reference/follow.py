"""Motion over several frames."""

import numpy as np
from numpy.typing import NDArray

from allaprima.kernels.reference.confidence import Flow, Map, identity_grid
from allaprima.kernels.reference.warp import exact

Motion = tuple[Flow, Map]


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
