"""A network output whose receiver goes away and comes back: connected anew with growing pauses, while others go on."""

import contextlib
import logging
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import av

from allaprima.realtime.errors import SinkError
from allaprima.realtime.frame import Frame
from allaprima.realtime.sinks.base import Sink, takes_device_frames, wants_cadence
from allaprima.realtime.sinks.pace import Pace

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 10.0
"""Seconds between two attempts to connect; each failed one doubles them."""
PROVEN = 12.0
"""Seconds of sending after which a receiver counts as one that was there: longer than a connection takes to fail.

One that fails sooner was never reached, so its error is the user's to see, not something to wait out.
"""

logger = logging.getLogger(__name__)


class Reconnecting:
    """Sends through one sink after another, each made by ``make``.

    Frames that come while the receiver is away are dropped and counted.  `SinkError` when it was never there, or
    has been away for longer than ``patience`` seconds.
    """

    def __init__(self, make: Callable[[], Sink], patience: float, pace: Pace | None = None) -> None:
        """``pace`` is that of the source: a file must not race through while nobody takes its frames."""
        self.unsent = 0
        """Frames that came while the receiver was away."""
        self.returns = 0
        """How often it was lost and came back."""
        self._make = make
        self._patience = patience
        self._pace = pace
        self._sink: Sink | None = make()
        self._device, self._steady = takes_device_frames(self._sink), wants_cadence(self._sink)
        self.notes = self._sink.notes
        self._began = 0.0
        self._proven = False
        self._lost: float | None = None
        self._error: SinkError | None = None
        self._retry = 0.0
        self._longer = FIRST_PAUSE

    @property
    def on_device(self) -> bool:
        return self._device

    @property
    def steady(self) -> bool:
        return self._steady

    def __enter__(self) -> Self:
        assert self._sink is not None
        self._sink.__enter__()
        self._began = time.monotonic()
        return self

    def write(self, frame: Frame) -> None:
        """Never waits for a receiver that is away."""
        sink = self._sink or self._connect()
        if sink is None:
            if self._pace is not None:
                self._pace.wait(frame)
            self.unsent += 1
            return
        try:
            sink.write(frame)
        except (SinkError, av.FFmpegError) as error:
            self._lose(error if isinstance(error, SinkError) else SinkError(f"cannot send: {error.strerror}"))
            self.unsent += 1
            return
        if time.monotonic() - self._began >= PROVEN:
            self._arrive()

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if self.returns:
            times = "once" if self.returns == 1 else f"{self.returns} times"
            self.notes.append(f"the receiver was lost and came back {times}; {self.unsent} frames were not sent")
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.__exit__(exc_type, exc, tb)
        elif exc_type is None and self._error is not None:
            raise self._error  # it was away to the end

    def _connect(self) -> Sink | None:
        now = time.monotonic()
        if now < self._retry:
            return None
        try:
            self._sink = self._make()
            self._sink.__enter__()
        except SinkError as error:
            self._lose(error)
            return None
        self._began = now
        return self._sink

    def _arrive(self) -> None:
        """It takes what is sent, and has for long enough to be believed."""
        self._proven, self._longer = True, FIRST_PAUSE
        if self._lost is not None:
            logger.warning("the receiver is back; %d frames were not sent", self.unsent)
            self._lost = self._error = None
            self.returns += 1

    def _lose(self, error: SinkError) -> None:
        """Raises ``error`` when there is nothing to wait for, or no longer."""
        sink, self._sink = self._sink, None
        if sink is not None:
            with contextlib.suppress(SinkError, av.FFmpegError):
                sink.__exit__(SinkError, error, None)
        now, self._error = time.monotonic(), error
        if self._lost is None:
            self._lost = now
        if not self._proven or now - self._lost >= self._patience:
            raise error
        self._retry = now + self._longer
        self._longer = min(2 * self._longer, LONGEST_PAUSE)
        logger.warning("%s; trying again", error)
