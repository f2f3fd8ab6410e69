"""Keeps one live stream at its rate: tells the governor what frames took, and the stylizer what may go into them."""

import logging
import time

from allaprima.realtime.backends import FULL
from allaprima.realtime.frame import Frame
from allaprima.realtime.governor import Governor
from allaprima.realtime.stylizer import Stylizer

QUIET = 1.0
"""Seconds between two lines in the log, at least."""

logger = logging.getLogger(__name__)


class Ladder:
    """One of a stream's own.  Its figures may be read from any thread.

    ``fps`` is the rate to hold, if it is below the source's; ``max_latency`` is the most seconds a frame may take.
    ``name`` is the stream's, for the log.  Raises `ConfigError` for what cannot be.
    """

    def __init__(self, fps: float | None = None, max_latency: float | None = None, name: str = "") -> None:
        self._wishes = (fps, max_latency)
        self._governor = Governor((FULL,), *self._wishes)  # until the first frame has shown what the device can do
        self._start = f"stream {name}: " if name else ""
        self._told = 0
        self._told_at = float("-inf")

    @property
    def step(self) -> int:
        """How far down it is; 0 is full effort."""
        return self._governor.step.place

    @property
    def what(self) -> str:
        """The effort in words."""
        return self._governor.step.name

    @property
    def why(self) -> str:
        return self._governor.step.reason

    @property
    def steps(self) -> int:
        """Steps taken so far."""
        return self._governor.steps

    def after(self, stylizer: Stylizer, frame: Frame, seconds: float) -> None:
        """``frame`` came out of the stylizer, ``seconds`` after it was taken on: as much or less goes into the next."""
        if stylizer.bypass:
            return
        efforts = stylizer.efforts
        if efforts not in (self._governor.efforts, (FULL,)):
            self._governor = Governor(efforts, *self._wishes)
        governor = self._governor
        governor.frame(seconds, frame.captured, frame.index, stylizer.settled)
        if stylizer.effort != governor.step.effort:
            stylizer.effort = governor.step.effort
        now = time.monotonic()
        if governor.steps != self._told and now - self._told_at >= QUIET:
            self._told, self._told_at = governor.steps, now
            logger.info("%sstep %d: %s (%s)", self._start, self.step, self.what, self.why)
