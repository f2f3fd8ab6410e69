"""Fetch each pixel's history along the backward flow."""

from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

INTERPOLATION = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}
Plane = TypeVar("Plane", NDArray[np.uint8], NDArray[np.float32])


def warp(plane: Plane, where: NDArray[np.float32], interpolation: str = "bilinear") -> Plane:
    """Sample ``plane`` ``(h, w)``, uint8 or float32, at the positions ``where`` ``(h, w, 2)``; the border repeats.

    ``bicubic`` is OpenCV's, a = -0.75: sharper than Catmull-Rom's -0.5, so that a picture which is warped again
    and again, and averaged, stays as sharp as it was.
    """
    sampled = cv2.remap(plane, where, None, INTERPOLATION[interpolation], borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(sampled, plane.dtype)
