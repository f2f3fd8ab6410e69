"""A style of its own for a part of the picture: the white of a picture or of a video."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from allaprima.realtime.errors import SourceError
from allaprima.realtime.frame import Frame
from allaprima.realtime.sources import open_source
from allaprima.realtime.stylebank import Style
from allaprima.realtime.stylizer import Region, Stylizer

BLACK, WHITE = 16, 235
"""Luma of limited range."""
HALF_TICK = 5e-4
"""Seconds; times of the mask and of the picture are rounded differently."""


class MaskTrack:
    """Sets the stylizer's region before each frame; a `pipeline.Masks`.

    A mask video goes along with the picture by time, both from their first frame, and holds its last
    frame.  ``style`` None leaves the input where the mask is white.
    """

    def __init__(self, file: Path, style: Style | None, size: tuple[int, int]) -> None:
        if not file.is_file():
            raise SourceError(f"cannot open the mask {file}: no such file", "Give a picture or a video.")
        self._style = style
        with ExitStack() as opened:
            source = opened.enter_context(open_source(str(file), size=size))
            self._frames: Iterator[Frame] = iter(source)
            self._next: Frame | None = next(self._frames)
            self._opened = opened.pop_all()
        self._start = self._next.time

    def __enter__(self) -> "MaskTrack":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()

    def __call__(self, stylizer: Stylizer, seconds: float) -> None:
        due: Frame | None = None
        while self._next is not None and self._next.time - self._start <= seconds + HALF_TICK:
            due = self._next
            self._next = next(self._frames, None)
        if due is not None:
            stylizer.set_region(Region(coverage(due), self._style))


def coverage(frame: Frame) -> NDArray[np.float32]:
    """How white each pixel is, 0 to 1."""
    luma = np.asarray(frame.planes[0], np.float32)
    black, white = (0, 255) if frame.color.full_range else (BLACK, WHITE)
    scaled: NDArray[np.float32] = np.clip((luma - black) / np.float32(white - black), 0, 1)
    return scaled
