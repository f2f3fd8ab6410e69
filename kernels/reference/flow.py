"""Dense inverse search (Kroeger et al., ECCV 2016): optical flow in both directions."""

import cv2
import numpy as np
from numpy.typing import NDArray

Flow = NDArray[np.float32]

SMALLEST_SIDE = 32
"""Below this the pyramid of 8-pixel patches has no level left; such pictures get zero flow."""


class Dis:
    """Flow between successive gray pictures of one size.

    ``__call__(previous, current)`` takes two uint8 pictures ``(h, w)`` and returns the backward and the
    forward flow, each ``(h, w, 2)`` float32 in pixels.  The arrays are the caller's.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        width, height = size
        self._dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._shape = (height, width, 2)
        self._too_small = min(size) < SMALLEST_SIDE

    def __call__(self, previous: NDArray[np.uint8], current: NDArray[np.uint8]) -> tuple[Flow, Flow]:
        # Zeroed: OpenCV 4 starts from what the array holds, and a cut would poison what follows.
        backward, forward = np.zeros(self._shape, np.float32), np.zeros(self._shape, np.float32)
        if not self._too_small:
            self._dis.calc(current, previous, backward)
            self._dis.calc(previous, current, forward)
        return backward, forward
