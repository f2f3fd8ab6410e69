"""The world around a long run: a camera that can be unplugged, a receiver that can hang up, scenes to show."""

import itertools
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from types import TracebackType

from allaprima.realtime.errors import SourceLost
from allaprima.realtime.frame import Frame, StreamInfo
from allaprima.realtime.sources import open_source

SCENE_FRAMES = 48


class Camera:
    """A live source that shows given frames over and over, until it is unplugged."""

    lost = 0

    def __init__(self, frames: Sequence[Frame], rate: float) -> None:
        tick = Fraction(1, 90_000)
        self.notes: list[str] = []
        shown = Fraction(rate).limit_denominator(1000)
        self.info = StreamInfo("camera", frames[0].size, tick, shown, True, frames[0].color)
        self._frames, self._rate = frames, rate
        self._unplugged, self._stopped = threading.Event(), threading.Event()

    def __enter__(self) -> "Camera":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        self._stopped.set()

    def unplug(self) -> None:
        self._unplugged.set()

    def __iter__(self) -> Iterator[Frame]:
        began = time.monotonic()
        for index, frame in enumerate(itertools.cycle(self._frames)):
            self._stopped.wait(max(0.0, began + index / self._rate - time.monotonic()))
            if self._stopped.is_set():
                return
            if self._unplugged.is_set():
                raise SourceLost("the camera was unplugged")
            pts, tick = round(index / self._rate / self.info.time_base), self.info.time_base
            yield replace(frame, pts=pts, time_base=tick, index=index, captured=time.monotonic(), duration=0)


class Receiver:
    """Takes what comes over TCP, one connection at a time, and throws it away."""

    def __init__(self) -> None:
        self.connections = self.bytes = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._listening.settimeout(0.2)
        self._closed, self._drop = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._main, name="receiver", daemon=True)
        self._thread.start()

    @property
    def uri(self) -> str:
        return f"tcp://127.0.0.1:{self._listening.getsockname()[1]}"

    def drop(self) -> None:
        """Hang up; the next caller is taken again."""
        self._drop.set()

    def close(self) -> None:
        self._closed.set()
        self._thread.join()
        self._listening.close()

    def _main(self) -> None:
        while not self._closed.is_set():
            try:
                line, _ = self._listening.accept()
            except TimeoutError:
                continue
            self.connections += 1
            self._drop.clear()
            with line:
                line.settimeout(0.2)
                self._take(line)

    def _take(self, line: socket.socket) -> None:
        while not (self._closed.is_set() or self._drop.is_set()):
            try:
                piece = line.recv(1 << 16)
            except TimeoutError:
                continue
            except OSError:
                return
            if not piece:
                return
            self.bytes += len(piece)


def scenes(size: tuple[int, int]) -> list[list[Frame]]:
    """The same scene in the size of the run and in two others."""
    width, height = size
    sizes = (size, (width * 3 // 4 // 2 * 2, height * 3 // 4 // 2 * 2), (width // 2 // 2 * 2, height // 2 // 2 * 2))
    found = []
    for wide, high in sizes:
        with open_source(f"test:landscape?size={wide}x{high}&rate=30", frames=SCENE_FRAMES) as source:
            frames = [frame.landed() for frame in source]
        found.append([*frames, *frames[-2:0:-1]])  # forth and back, so that nothing jumps
    return found
