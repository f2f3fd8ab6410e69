"""Set a flow to rest where rest explains the picture as well."""

import numpy as np
from numpy.typing import NDArray

from allaprima.kernels.reference.confidence import identity_grid
from allaprima.kernels.reference.flow import at_rest

Flow = NDArray[np.float32]
Gray = NDArray[np.uint8]


def rest(flow: Flow, previous: Gray, current: Gray) -> tuple[Flow, Flow]:
    """The halves of ``flow`` ``(2, h, w, 2)`` between two uint8 pictures ``(h, w)``: the backward one as `at_rest`
    leaves it, and the forward one."""
    height, width = current.shape
    return at_rest(flow[0], previous, current, identity_grid((width, height))), flow[1]
