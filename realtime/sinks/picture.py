"""From the planes of a `Frame` to a picture of FFmpeg."""

from typing import Any

import av
import numpy as np

from allaprima.realtime.frame import Color, Frame, Plane


def even(size: tuple[int, int]) -> tuple[int, int]:
    """The size, rounded up to even numbers."""
    return size[0] + size[0] % 2, size[1] + size[1] % 2


def to_av(frame: Frame, size: tuple[int, int]) -> av.VideoFrame:
    """The frame's planes in ``size``, at most one column and one row larger than the frame.

    Nothing is copied where the planes can be lent: the picture then holds on to the arrays.
    """
    if size == frame.size == even(size) and all(_lendable(plane) for plane in frame.planes):
        picture = av.VideoFrame.from_dlpack(frame.planes, format="yuv420p")
    else:
        picture = _copy(frame, size)
    tag(picture, frame.color)
    return picture


def tag(picture: av.VideoFrame, color: Color) -> None:
    picture.colorspace = color.matrix
    picture.color_primaries = color.primaries
    picture.color_trc = color.transfer
    picture.color_range = color.range


def _lendable(plane: Any) -> bool:
    """DLPack takes no read-only arrays and FFmpeg no gaps inside a row."""
    return (
        isinstance(plane, np.ndarray)
        and plane.flags.writeable
        and plane.strides[1] == 1
        and plane.strides[0] >= plane.shape[1]
    )


def _copy(frame: Frame, size: tuple[int, int]) -> av.VideoFrame:
    """A fresh picture, its last column and row repeated where ``size`` is larger."""
    picture = av.VideoFrame(*size, "yuv420p")
    for plane, target in zip(frame.planes, picture.planes, strict=True):
        pixels = np.asarray(plane)
        rows = np.frombuffer(target, np.uint8).reshape(-1, target.line_size)[: target.height]
        rows[: pixels.shape[0], : pixels.shape[1]] = pixels
        rows[: pixels.shape[0], pixels.shape[1] : target.width] = pixels[:, -1:]
        rows[pixels.shape[0] :] = rows[pixels.shape[0] - 1]
    return picture


def contiguous(frame: Frame, size: tuple[int, int]) -> Plane:
    """The three planes one behind the other in one array (I420), for an even ``size``."""
    picture = to_av(frame, size)
    return picture.to_ndarray()  # type: ignore[return-value]
