"""Frames from RGB arrays and back, for people with a loop of their own."""

from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from allaprima.realtime.errors import ConfigError
from allaprima.realtime.frame import Color, Frame
from allaprima.realtime.sinks.picture import Converter, to_av
from allaprima.realtime.sources.picture import view

SCREEN = Color(matrix=1, primaries=1, transfer=1, range=2)
VIDEO = Color(matrix=1, primaries=1, transfer=1, range=1)


class Rgb:
    """Converts between RGB ``(H, W, 3)`` uint8 and yuv420p frames (BT.709, limited range)."""

    def __init__(self) -> None:
        self._converter = Converter()

    def frame(self, rgb: NDArray[np.uint8]) -> Frame:
        """Raises `ConfigError` for an array of another shape or type."""
        if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or not rgb.size:
            raise ConfigError(f"a picture must be uint8 (H, W, 3), not {rgb.dtype} {rgb.shape}")
        height, width = rgb.shape[:2]
        picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24")
        yuv = self._converter(picture, SCREEN, VIDEO, "yuv420p")
        planes = tuple(view(plane) for plane in yuv.planes)
        return Frame(planes, (width, height), 0, Fraction(1, 30), color=VIDEO)

    def array(self, frame: Frame) -> NDArray[np.uint8]:
        rgb: Any = self._converter(to_av(frame, frame.size), frame.color, SCREEN, "rgb24").to_ndarray()
        array: NDArray[np.uint8] = rgb
        return array
