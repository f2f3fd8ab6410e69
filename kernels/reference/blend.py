"""Mix the new picture with its warped history, pixel by pixel."""

import cv2
import numpy as np
from numpy.typing import NDArray


def blend(new: NDArray[np.uint8], history: NDArray[np.uint8], weight: NDArray[np.float32]) -> NDArray[np.uint8]:
    """``new + weight (history - new)``: planes ``(h, w)`` uint8, weight ``(h, w)`` in 0..1 (COVST, eq. 4)."""
    return np.asarray(cv2.blendLinear(history, new, weight, 1 - weight), np.uint8)
