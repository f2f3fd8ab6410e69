"""Animated WebP for FFmpeg before 9, which reads only still ones: OpenCV takes it apart."""

import io
from fractions import Fraction
from typing import Any

import av
import cv2

MILLISECOND = Fraction(1, 1000)
HEADER_BYTES = 21
ANIMATED = 0x02


def is_foreign(path: str) -> bool:
    """Whether it is an animation that FFmpeg here cannot read and OpenCV can."""
    if not path.lower().endswith(".webp") or not hasattr(cv2, "imreadanimation"):
        return False
    with open(path, "rb") as file:
        head = file.read(HEADER_BYTES)
    animated = head[8:16] == b"WEBPVP8X" and len(head) == HEADER_BYTES and bool(head[20] & ANIMATED)
    return animated and "webp_anim" not in av.formats_available


def open_animation(path: str) -> Any:
    """The animation as a container of raw pictures, in memory.  Raises `ValueError` if it is damaged."""
    readable, animation = cv2.imreadanimation(path)
    if not readable or not animation.frames:
        raise ValueError("the animation is damaged")
    memory = io.BytesIO()
    with av.open(memory, "w", format="nut") as out:
        stream: Any = out.add_stream("rawvideo", rate=round(1000 / max(1, animation.durations[0])))
        stream.height, stream.width = animation.frames[0].shape[:2]
        stream.pix_fmt, stream.time_base, stream.codec_context.time_base = "bgr24", MILLISECOND, MILLISECOND
        shown = 0
        for picture, duration in zip(animation.frames, animation.durations, strict=True):
            frame = av.VideoFrame.from_ndarray(picture[..., :3], format="bgr24")
            frame.pts, frame.time_base, shown = shown, MILLISECOND, shown + int(duration)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    memory.seek(0)
    return av.open(memory)
