"""Decoded pictures of any kind as upright yuv420p planes."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import av
import cv2
import numpy as np
from av.sidedata.sidedata import SideDataContainer, Type
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from allaprima.realtime.frame import Color, Plane

AS_THEY_ARE = {"yuv420p", "yuvj420p", "yuva420p"}
"""Formats whose first three planes are what a `Frame` holds."""

ON_CARD = {"yuv420p", "yuvj420p", "yuv420p10le"}
"""Formats that a hardware decoder gives as something that can be painted."""

UNSPECIFIED = 2
BT709 = 1
LIMITED, FULL = 1, 2
NO_COLOR = 128


@dataclass(frozen=True, slots=True)
class Turn:
    """How a stored picture becomes upright: transpose first, then flip."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @classmethod
    def of(cls, frame: av.VideoFrame) -> "Turn":
        """From the display matrix ``a b u; c d v; x y w``: x' = ax + cy, y' = bx + dy.

        Angles between the quarters go to the nearest one.
        """
        container: Any = SideDataContainer  # its stub knows no argument
        beside = container(frame)  # `frame.side_data` is kept by the frame that it keeps, until the collector comes
        if Type.DISPLAYMATRIX not in beside:
            return cls()
        a, b, _, c, d = np.frombuffer(beside[Type.DISPLAYMATRIX], np.int32)[:5].tolist()
        if abs(b) > abs(a):
            return cls(True, c < 0, b < 0)
        return cls(False, a < 0, d < 0)

    def size(self, size: tuple[int, int]) -> tuple[int, int]:
        return (size[1], size[0]) if self.transpose else size

    def __bool__(self) -> bool:
        return self.transpose or self.flip_x or self.flip_y

    def apply(self, plane: Plane) -> Plane:
        turned: Any = cv2.transpose(plane) if self.transpose else plane
        if self.flip_x and self.flip_y:
            turned = cv2.flip(turned, -1)
        elif self.flip_x or self.flip_y:
            turned = cv2.flip(turned, 1 if self.flip_x else 0)
        upright: Plane = turned
        return upright


def is_rgb(frame: av.VideoFrame) -> bool:
    return frame.format.is_rgb or frame.format.has_palette or frame.format.is_bayer


def is_gray(frame: av.VideoFrame) -> bool:
    """Gray goes around the scaler's way to yuv420p, which tints it."""
    return not is_rgb(frame) and len(frame.format.components) < 3


def color_of(frame: av.VideoFrame, context: av.VideoCodecContext | None = None) -> Color:
    """The tags of a frame as it will be delivered; what it does not say, the codec may."""
    tags = [frame.colorspace, frame.color_primaries, frame.color_trc]
    span = int(frame.color_range)
    if context is not None:
        spare = (context.colorspace, context.color_primaries, context.color_trc)
        tags = [s if t == UNSPECIFIED else t for t, s in zip(tags, spare, strict=True)]
        span = span or int(context.color_range)
    if is_rgb(frame):
        primaries, transfer = (BT709 if t == UNSPECIFIED else int(t) for t in tags[1:])
        return Color(BT709, primaries, transfer, LIMITED)
    if frame.format.name.startswith("yuvj") or (context is not None and str(context.pix_fmt).startswith("yuvj")):
        span = FULL
    matrix = int(tags[0]) or UNSPECIFIED  # 0 says RGB, which these planes are not
    return Color(matrix, int(tags[1]), int(tags[2]), span)


def obstacle(frame: av.VideoFrame, size: tuple[int, int] | None = None) -> str:
    """Why pictures like this one, wanted in ``size``, cannot be used as a hardware decoder gives them, or nothing."""
    stored = (frame.width, frame.height)
    if Turn.of(frame):
        return "its pictures are turned"
    if size not in (None, stored):
        return "its pictures are scaled"
    if stored[0] % 2 or stored[1] % 2:
        return "its pictures have odd sides"
    return "" if frame.format.name in ON_CARD else f"its pixels are {frame.format.name}"


class PictureReader:
    """Reads the pictures of one stream.  Not for use from two threads: it owns a scaler.

    ``size`` is the upright size of what comes out; without it the first picture decides.
    """

    def __init__(self, first: av.VideoFrame, size: tuple[int, int] | None = None) -> None:
        self.turn = Turn.of(first)
        self.stored = (first.width, first.height)
        self.size = size or self.turn.size(self.stored)
        self.changed = False
        """Whether a later picture came in another size."""
        self._target = self.turn.size(self.size)
        self._scaler = VideoReformatter()

    def aspect(self, stored: Fraction) -> Fraction:
        """The shape of a pixel with which the picture looks as it did at its stored size."""
        upright = 1 / stored if self.turn.transpose else stored
        return upright * Fraction(*self.turn.size(self.stored)) / Fraction(*self.size)

    def planes(self, frame: av.VideoFrame) -> tuple[Plane, ...]:
        """Views of the decoder's memory where it has the right format already: read, never write."""
        self.changed = self.changed or (frame.width, frame.height) != self.stored
        gray = is_gray(frame)
        if frame.format.name not in AS_THEY_ARE or (frame.width, frame.height) != self._target:
            frame = self._convert(frame, "gray" if gray else "yuv420p")
        views = [view(plane) for plane in frame.planes[:3]]
        if gray:
            height, width = views[0].shape
            views += [np.full((-(-height // 2), -(-width // 2)), NO_COLOR, np.uint8)] * 2
        return tuple(self.turn.apply(v) for v in views) if self.turn else tuple(views)

    def _convert(self, frame: av.VideoFrame, format: str) -> av.VideoFrame:
        # Equal matrix and range on both sides mean "leave the numbers alone"; which ones does not matter.
        rgb = is_rgb(frame)
        full = not rgb and color_of(frame).full_range
        span = ColorRange.JPEG if full else ColorRange.MPEG
        width, height = self._target
        return self._scaler.reformat(
            frame,
            width,
            height,
            format,
            src_colorspace=None if rgb else Colorspace.ITU709,
            dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.JPEG if rgb else span,
            dst_color_range=span,
            interpolation=Interpolation.BICUBIC,
        )


def view(plane: Any) -> Plane:
    """A plane of a PyAV frame as an array that keeps the frame alive."""
    stride = plane.line_size
    rows = np.frombuffer(plane, np.uint8).reshape(plane.height, abs(stride))[:, : plane.width]
    return rows if stride > 0 else rows[::-1]
