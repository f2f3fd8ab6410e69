"""What steers a run from outside: signals, and the keys of a window."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

from allaprima.realtime import logs
from allaprima.realtime.errors import AllaprimaError
from allaprima.realtime.pipeline import Progress
from allaprima.realtime.stylizer import Stylizer

KEY_FADE_SECONDS = 0.4
STOPPING = "stopping: finishing the output (once more: stop at once)"


class Stop:
    """Asks a run to end: the first signal lets it finish its files, the second ends it at once."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.signalled = False

    @contextlib.contextmanager
    def on_signals(self) -> Iterator["Stop"]:
        """While inside, Ctrl-C and SIGTERM ask to stop; the second one raises KeyboardInterrupt."""
        before = {number: signal.signal(number, self._handle) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield self
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.signalled:
            raise KeyboardInterrupt
        self.signalled = True
        self.event.set()
        with contextlib.suppress(OSError):
            os.write(2, logs.notice(STOPPING))  # print() may not be entered twice


class Steering:
    """The keys of a window; a `sinks.Controls`.  Called from the sink's thread."""

    def __init__(self, stylizer: Stylizer, stop: threading.Event, rate: float) -> None:
        self.progress: Progress | None = None
        self._stylizer = stylizer
        self._stop = stop
        self._fade_frames = round(KEY_FADE_SECONDS * rate)
        self._trouble = ""

    def select(self, number: int) -> None:
        """Cross-fade to a style by its place in the list; one that cannot be read changes nothing."""
        names = self._stylizer.bank.names()
        if number > len(names):
            self._trouble = f"there are {len(names)} styles"
            return
        self._trouble = ""
        self._stylizer.bypass = False
        try:
            self._stylizer.set_style(names[number - 1], self._fade_frames)
        except AllaprimaError as error:
            self._trouble = str(error)

    def toggle_bypass(self) -> None:
        self._stylizer.bypass = not self._stylizer.bypass

    def change_strength(self, delta: float) -> None:
        self._stylizer.strength = min(max(round(self._stylizer.strength + delta, 3), 0.0), 1.0)

    def quit(self) -> None:
        self._stop.set()

    def status(self) -> str:
        fps = f"  {self.progress.fps:.0f} fps" if self.progress else ""
        style = "bypass" if self._stylizer.bypass else f"{self._stylizer.style}  {self._stylizer.strength:.0%}"
        return f"{style}{fps}" + (f"  ({self._trouble})" if self._trouble else "")
