"""A source, an engine and sinks made for tests of the pipeline."""

import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from allaprima.realtime.frame import Frame, StreamInfo
from allaprima.realtime.metrics import Flicker, Stages
from allaprima.realtime.pipeline import Progress, run
from allaprima.realtime.stylizer import Rendered, Seen

SOON = 5.0
ENDLESS = 10**6
"""Frames of a film that only something else can end; they come a thousand a second."""
TICK = Fraction(1, 25)
PIXEL = (np.zeros((2, 2), np.uint8), np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.uint8))


class Film:
    """A source of ``count`` frames; each carries its index as a packet of sound."""

    def __init__(
        self,
        count: int,
        *,
        live: bool = False,
        error: BaseException | None = None,
        before: Callable[[int], None] = lambda index: None,
    ) -> None:
        self.info = StreamInfo("film", (2, 2), TICK, Fraction(25), live, frames=count)
        self.lost = 0
        self.notes = ["a note of the source"]
        self.ended = threading.Event()
        self.given = 0
        self.closed = False
        self._error, self._before = error, before
        self._stopped = False

    def __enter__(self) -> "Film":
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    def __iter__(self) -> Iterator[Frame]:
        try:
            for index in range(self.info.frames or 0):
                if self._stopped:
                    return
                self._before(index)
                self.given += 1
                if self.info.frames == ENDLESS:
                    threading.Event().wait(0.001)
                yield self.frame(index)
            if self._error is not None:
                raise self._error
        finally:
            self.ended.set()

    def frame(self, index: int) -> Frame:
        packet: Any = f"sound {index}"
        return Frame(PIXEL, (2, 2), 100 + index, TICK, index, side=(packet,))

    def stop(self) -> None:
        self._stopped = True


class Engine:
    """Stands in for the stylizer: says what it was asked to do."""

    def __init__(self, at: Callable[[int], None] = lambda index: None) -> None:
        self.stages, self.flicker = Stages(), Flicker()
        self.log: list[Any] = []
        self.style = "plain"
        self.renewed = 0
        self._at = at

    def look(self, frame: Frame) -> Seen:
        return Seen(frame)

    def render(self, seen: Seen) -> Rendered:
        self._at(seen.frame.index)
        self.log.append(seen.frame.index)
        return Rendered(seen)

    def finish(self, rendered: Rendered) -> Frame:
        return rendered.seen.frame

    def set_style(self, style: str, fade: int) -> None:
        self.log.append((style, fade))

    def renew(self) -> None:
        self.renewed += 1


class Tape:
    """A sink that remembers; ``at(index)`` runs before a frame is written."""

    def __init__(self, at: Callable[[int], Any] = lambda index: None, close: BaseException | None = None) -> None:
        self.notes = ["a note of the sink"]
        self.frames: list[Frame] = []
        self.end = "never opened"
        self._at, self._close = at, close

    def __enter__(self) -> "Tape":
        self.end = "open"
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.end = "finished" if kind is None else "thrown away"
        if self._close is not None:
            raise self._close

    def write(self, frame: Frame) -> None:
        self._at(frame.index)
        self.frames.append(frame)

    @property
    def indices(self) -> list[int]:
        return [frame.index for frame in self.frames]


def fail(error: BaseException, when: int) -> Callable[[int], None]:
    def at(index: int) -> None:
        if index >= when:
            raise error

    return at


def wait(event: threading.Event) -> None:
    assert event.wait(SOON)


def go(source: Any, engine: Any, *sinks: Any, **more: Any) -> Progress:
    """Run in a thread, so that a hang fails the test instead of hanging it too."""
    found: list[Any] = []

    def main() -> None:
        try:
            found.append(run(source, engine, sinks, **more))
        except BaseException as error:  # noqa: BLE001 (raised again)
            found.append(error)

    thread = threading.Thread(target=main, daemon=True)
    thread.start()
    thread.join(SOON)
    assert not thread.is_alive(), "the pipeline hangs"
    if isinstance(found[0], BaseException):
        raise found[0]
    result: Progress = found[0]
    return result
