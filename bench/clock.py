"""A live source of frames that lie in memory: a camera that costs nothing."""

import threading
import time
from collections.abc import Iterator, Sequence
from fractions import Fraction
from types import TracebackType

from allaprima.bench.moving import swing
from allaprima.realtime.frame import Frame, StreamInfo


class Clock:
    """Gives ``frames`` to and fro, each at its time, for so many seconds."""

    lost = 0

    def __init__(self, frames: Sequence[Frame], rate: int, seconds: float) -> None:
        self.notes: list[str] = []
        self.info = StreamInfo("clock", frames[0].size, Fraction(1, rate), Fraction(rate), True, frames[0].color)
        self._frames = swing(frames)
        self._count = round(seconds * rate)
        self._stopped = threading.Event()

    def __enter__(self) -> "Clock":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        self._stopped.set()

    def __iter__(self) -> Iterator[Frame]:
        began, tick = time.monotonic(), self.info.time_base
        for index, frame in zip(range(self._count), self._frames, strict=False):
            self._stopped.wait(began + index * float(tick) - time.monotonic())
            if self._stopped.is_set():
                return
            now = time.monotonic()
            yield Frame(frame.planes, frame.size, index, tick, index, frame.color, captured=now, duration=1)
