"""``null:``: throws frames away and counts them."""

from types import TracebackType
from typing import Self

from allaprima.realtime.frame import Frame


class NullSink:
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.frames = 0

    def __enter__(self) -> Self:
        return self

    def write(self, frame: Frame) -> None:
        self.frames += 1

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        pass
