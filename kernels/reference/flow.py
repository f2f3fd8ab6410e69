"""Dense inverse search (Kroeger et al., ECCV 2016): optical flow in both directions."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from allaprima.kernels.reference.confidence import identity_grid

Flow = NDArray[np.float32]
Gray = NDArray[np.uint8]

SMALLEST_SIDE = 32
"""Below this the pyramid of 8-pixel patches has no level left; such pictures get zero flow."""
REST_WINDOW = 31
"""Side of the neighborhood, pixels, that must gain from a motion for it to be believed."""
REST_RATIO, REST_GAIN = 1.3, 0.05
"""A motion must leave less than rest leaves, by this ratio and this variance of bytes; at twice the gain it
counts fully.  Noise fits any flow a little better than none."""
REST_BLUR = 3
"""Side of the box, pixels, that noise is averaged over before that is judged."""


@dataclass(frozen=True, slots=True)
class Search:
    """How hard `Dis` searches, in OpenCV's terms.

    Its presets stop at a quarter of the picture's size, and everything that is held steady along the flow
    then slides: painted video flickers 0.97 times as much as without history, against 0.48 times when the
    search goes on to the full size (four clips, history kept wholly).  A wide stride and few steps win back
    most of the time.
    """

    stride: int
    descents: int = 4
    refinements: int = 0
    """Rounds of variational refinement."""


BACKWARD = Search(stride=5, refinements=1)
"""What history is fetched along."""
FORWARD = Search(stride=6)
"""What the backward flow is checked with."""


class Dis:
    """Flow between successive gray pictures of one size.

    ``__call__(previous, current)`` takes two uint8 pictures ``(h, w)`` and returns the backward and the
    forward flow, each ``(h, w, 2)`` float32 in pixels.  The arrays are the caller's.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        width, height = size
        self._backward, self._forward = _solver(BACKWARD), _solver(FORWARD)
        self._shape = (height, width, 2)
        self._grid = identity_grid(size)
        self._too_small = min(size) < SMALLEST_SIDE

    def __call__(self, previous: Gray, current: Gray) -> tuple[Flow, Flow]:
        # Zeroed: OpenCV 4 starts from what the array holds, and a cut would poison what follows.
        backward, forward = np.zeros(self._shape, np.float32), np.zeros(self._shape, np.float32)
        if self._too_small:
            return backward, forward
        self._backward.calc(current, previous, backward)
        self._forward.calc(previous, current, forward)
        return at_rest(backward, previous, current, self._grid), forward


def _solver(search: Search) -> "cv2.DISOpticalFlow":
    solver = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    solver.setFinestScale(0)
    solver.setPatchStride(search.stride)
    solver.setGradientDescentIterations(search.descents)
    solver.setVariationalRefinementIterations(search.refinements)
    return solver


def at_rest(backward: Flow, previous: Gray, current: Gray, grid: Flow) -> Flow:
    """The flow, set to exactly zero where rest explains the picture as well.

    Between two noisy pictures of a still wall any flow is found, and history fetched along it wobbles.
    """
    before, now = (cv2.blur(picture, (REST_BLUR, REST_BLUR)) for picture in (previous, current))
    moved = cv2.remap(before, grid + backward, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    gain = _unrest(before, now) - np.float32(REST_RATIO) * _unrest(moved, now)
    share = np.clip(gain / REST_GAIN - 1, 0, 1)
    return np.asarray(backward * share[..., None], np.float32)


def _unrest(a: "cv2.typing.MatLike", b: "cv2.typing.MatLike") -> NDArray[np.float32]:
    """Variance of the difference around each pixel; not its mean square, or a fade would look like noise."""
    window = (REST_WINDOW, REST_WINDOW)
    difference = cv2.subtract(a, b, dtype=cv2.CV_32F)
    mean = cv2.boxFilter(difference, cv2.CV_32F, window)
    return np.asarray(cv2.sqrBoxFilter(difference, cv2.CV_32F, window) - mean * mean, np.float32)
