"""From the planes of a `Frame` to a picture of FFmpeg."""

from typing import Any

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from allaprima.realtime.frame import Color, Frame


def even(size: tuple[int, int]) -> tuple[int, int]:
    """The size, rounded up to even numbers."""
    return size[0] + size[0] % 2, size[1] + size[1] % 2


def to_av(frame: Frame, size: tuple[int, int]) -> av.VideoFrame:
    """The frame's planes in ``size``, at most one column and one row larger than the frame.

    Nothing is copied where the planes can be lent: the picture then holds on to the arrays.  A frame on a device is
    landed first.
    """
    frame = frame.landed()
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
        rows = np.frombuffer(memoryview(target), np.uint8).reshape(-1, target.line_size)[: target.height]
        rows[: pixels.shape[0], : pixels.shape[1]] = pixels
        rows[: pixels.shape[0], pixels.shape[1] : target.width] = pixels[:, -1:]
        rows[pixels.shape[0] :] = rows[pixels.shape[0] - 1]
    return picture


class Converter:
    """Changes the pixel format, the size and the color coding of pictures."""

    def __init__(self) -> None:
        self._scaler = VideoReformatter()  # PyAV's own would be a new one for each picture

    def __call__(
        self, picture: av.VideoFrame, source: Color, target: Color, format_name: str,
        size: tuple[int, int] | None = None,
    ) -> av.VideoFrame:  # fmt: skip
        """The picture in the target's matrix and range, without its time; primaries and transfer stay."""
        width, height = size or (picture.width, picture.height)
        return self._scaler.reformat(
            picture, width, height, format_name,
            src_colorspace=_swscale(source, picture.height), dst_colorspace=_swscale(target, picture.height),
            src_color_range=source.range or 1, dst_color_range=target.range or 1,
        )  # fmt: skip


def _swscale(color: Color, height: int) -> int:
    """swscale's number for the matrix; by height where there is none, as `Color.coefficients` does."""
    numbers = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
    return numbers.get(color.matrix, 1 if height >= 720 else 5)
