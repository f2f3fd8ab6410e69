"""Where one viewer finds the newest painted frame of a stream."""

import contextlib
from collections.abc import Callable

from allaprima.realtime.frame import Frame
from allaprima.realtime.mailbox import Closed, Mailbox, OnFull


class View:
    """Where one viewer finds the newest painted frame.  ``wake`` is called in the engine's thread."""

    def __init__(self, wake: Callable[[], None]) -> None:
        self._newest: Mailbox[Frame] = Mailbox(1, OnFull.DROP_OLDEST)
        self._wake = wake
        self.closed = False
        """True when the stream has ended."""
        self.viewers = 1
        """For how many the frames are; whoever hands them on may say so."""

    def get(self) -> Frame | None:
        """The newest frame that was not taken yet, or None."""
        try:
            return self._newest.get(timeout=0)
        except (TimeoutError, Closed):
            return None

    def put(self, frame: Frame) -> None:
        """For the stream: replace what was not taken, and say so."""
        with contextlib.suppress(Closed):
            self._newest.put(frame)
        self._call()

    def close(self) -> None:
        """For the stream: nothing more comes."""
        self.closed = True
        self._newest.abandon()
        self._call()

    def _call(self) -> None:
        with contextlib.suppress(RuntimeError):  # an event loop that was closed meanwhile
            self._wake()
