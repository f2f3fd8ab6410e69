"""Live outputs show frames at their time: a file would race through a window or a stream."""

import time

from allaprima.realtime.frame import Frame, StreamInfo

LATE_SECONDS = 0.5
"""Beyond this the clock starts anew: it does not race to catch up."""
AHEAD_SECONDS = 2.0
"""A larger jump in time is a gap in the recording, not a pause to sit through."""


class Pace:
    """A live source sets the pace by itself; anything else is slowed to its own clock."""

    def __init__(self, info: StreamInfo) -> None:
        self._live = info.live
        self._zero: float | None = None

    def wait(self, frame: Frame) -> None:
        """Return when the frame is due."""
        if self._live:
            return
        now = time.monotonic()
        ahead = 0.0 if self._zero is None else self._zero + frame.time - now
        if self._zero is None or not -LATE_SECONDS < ahead < AHEAD_SECONDS:
            self._zero = now - frame.time
        elif ahead > 0:
            time.sleep(ahead)
