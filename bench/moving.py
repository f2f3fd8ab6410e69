"""Inputs that really move: clips of any size, frames played to and fro, and what is kept of a picture to look at.

A scene drawn at 3840x2160 would take longer than everything that is measured on it, so what is larger than 1280x720 is
drawn at that size and enlarged: its motion is as real, its grain is coarser.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from allaprima.bench import clips
from allaprima.realtime import open_sink, open_source
from allaprima.realtime.frame import Frame

SCENE = "landscape"
DRAWN = (1280, 720)
LEAST_FRAMES, MOST_FRAMES = 12, 90
CLIP_PIXELS = 30_000_000
"""In all frames of a clip, about."""
SAMPLES = 65_536
"""Pixels, about, that are kept of a picture to look at."""


def length(size: clips.Size) -> int:
    """Frames of a clip: more of small ones, which are painted more quickly."""
    return min(max(CLIP_PIXELS // _pixels(size), LEAST_FRAMES), MOST_FRAMES)


def clip(folder: Path, size: clips.Size) -> Path:
    """An H.264 file of `length` frames at 30 a second, rendered once for each folder."""
    if _pixels(size) <= _pixels(DRAWN):
        return clips.render(folder, size, length(size), SCENE)
    path = folder / f"{SCENE}-{clips.text(size)}.mp4"
    if not path.exists():
        small = clips.render(folder, DRAWN, length(DRAWN), SCENE)
        source = open_source(str(small), frames=length(size))
        with source, open_sink(str(path), replace(source.info, size=size)) as sink:
            for frame in source:
                sink.write(enlarged(frame, size))
    return path


def enlarged(frame: Frame, size: clips.Size) -> Frame:
    """The frame at another size."""
    half = (-(-size[0] // 2), -(-size[1] // 2))
    planes = tuple(
        np.asarray(cv2.resize(np.ascontiguousarray(plane), each, interpolation=cv2.INTER_CUBIC), np.uint8)
        for plane, each in zip(frame.planes, (size, half, half), strict=True)
    )
    return replace(frame, planes=planes, size=size)


def swing(frames: Sequence[Frame]) -> Iterator[Frame]:
    """To and fro for ever, so that motion never jumps."""
    return itertools.cycle([*frames, *frames[-2:0:-1]])


def sample(luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Every so manieth pixel of a plane ``(h, w)``; a copy."""
    step = max(1, round((luma.size / SAMPLES) ** 0.5))
    return luma[::step, ::step].copy()


def _pixels(size: clips.Size) -> int:
    return size[0] * size[1]
