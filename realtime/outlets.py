"""The way out of the engine: each sink in a thread of its own, behind a mailbox, some of them at a steady cadence."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from threading import Thread
from types import TracebackType
from typing import Any

from allaprima.realtime.errors import BackendError, SourceError
from allaprima.realtime.frame import Frame
from allaprima.realtime.mailbox import Closed, Mailbox, OnFull
from allaprima.realtime.metrics import Delays, Stages
from allaprima.realtime.pacing import Cadence
from allaprima.realtime.sinks import Sink
from allaprima.realtime.sinks.base import Attentive, takes_device_frames, wants_cadence

FILE_QUEUE, LIVE_OUTBOX = 4, 2
POLL = 0.1
"""Seconds after which a waiting thread looks up: was it asked to stop, was a key pressed?"""
MOST_SIDE = 1000
"""Audio and subtitle packets that a frame carries at most: about 20 seconds of sound."""


@dataclass(slots=True)
class Tally:
    """What all outlets of a run did so far."""

    dropped: int = 0
    """Frames that a sink was too slow for, or that the device lost."""
    held: int = 0
    """Frames that were shown again because no newer one had come."""
    surplus: int = 0
    """Frames beyond the cadence of a steady output."""
    skipped: int = 0
    """Ticks of a steady output that passed while it could not write."""
    unsent: int = 0
    """Frames that came while a receiver was away."""
    returns: int = 0
    """How often a receiver was lost and came back."""
    skew: float | None = None
    """Seconds by which the picture of a steady output comes after its sound."""


@dataclass(slots=True)
class Meters:
    """Where the outlets report their times."""

    stages: Stages = field(default_factory=Stages)
    delay: Delays = field(default_factory=Delays)


@dataclass(frozen=True, slots=True)
class Beat:
    """The cadence of a run."""

    rate: Fraction
    streams: Sequence[Any] = ()
    """The side streams of the source."""


def policy(live: bool) -> OnFull:
    return OnFull.DROP_OLDEST if live else OnFull.BLOCK


def keep_side(dropped: Frame, following: Frame) -> Frame:
    """A dropped picture's sound goes with the next one, up to what a stuck sink may pile up."""
    return replace(following, side=(dropped.side + following.side)[-MOST_SIDE:]) if dropped.side else following


class Outlet:
    """A sink in a thread of its own, behind a mailbox; with a ``beat``, fed at a steady cadence."""

    def __init__(self, sink: Sink, live: bool, meters: Meters, beat: Beat | None = None) -> None:
        self.mailbox: Mailbox[Frame] = Mailbox(LIVE_OUTBOX if live else FILE_QUEUE, policy(live), keep_side)
        self.error: BaseException | None = None
        self.cadence = None if beat is None else Cadence(beat.rate, beat.streams)
        self.sink = sink
        self.lost = 0
        """Pictures that the device lost after they were painted."""
        self._live = live
        self._meters = meters
        self._thread = Thread(target=self._main, name="sink", daemon=True)
        self._thread.start()

    def put(self, frame: Frame) -> None:
        """Raises the error of a sink that has failed."""
        try:
            self.mailbox.put(frame)
        except Closed:
            if self.error is not None:
                raise self.error from None
            raise

    def join(self) -> BaseException | None:
        """Wait for the sink to end; gives its error."""
        self._thread.join()
        return self.error

    def _main(self) -> None:
        try:
            with self.sink:
                if self.cadence is None:
                    self._follow()
                else:
                    self._beat(self.cadence)
        except BaseException as error:  # noqa: BLE001 (a thread's main: raised again in the engine)
            self.error = error
        finally:
            self.mailbox.abandon()

    def _follow(self) -> None:
        """Each frame when it comes."""
        while True:
            try:
                frame = self._landed(self.mailbox.get(timeout=POLL))
            except TimeoutError:
                if isinstance(self.sink, Attentive):
                    self.sink.poll()
                continue
            except Closed:
                return
            if frame is not None:
                self._write(frame)

    def _beat(self, cadence: Cadence) -> None:
        """A frame at each tick, whether one has come or not."""
        while True:
            due = cadence.due
            wait = POLL if due is None else min(POLL, max(0.0, due - time.monotonic()))
            try:
                frame = self._landed(self.mailbox.get(timeout=wait))
                if frame is not None:
                    cadence.arrive(frame, time.monotonic())
                continue
            except TimeoutError:
                pass
            except Closed:
                break
            fresh = cadence.waiting
            if (shown := cadence.tick(time.monotonic())) is not None:
                self._write(shown if fresh else replace(shown, captured=0.0))
        if cadence.waiting and cadence.due is not None:
            last = cadence.tick(max(cadence.due, time.monotonic()))
            if last is not None:
                self._write(last)

    def _landed(self, frame: Frame) -> Frame | None:
        """The frame where the sink wants it; None when a live one was lost on the way, as the engine will find out."""
        if takes_device_frames(self.sink):
            return frame
        try:
            return frame.landed()
        except BackendError:
            if not self._live:
                raise
            self.lost += 1
            return None

    def _write(self, frame: Frame) -> None:
        began = time.perf_counter()
        self.sink.write(frame)
        self._meters.stages.add("encode", time.perf_counter() - began, frame.index)
        if self._live and frame.captured:
            self._meters.delay.add(time.monotonic() - frame.captured)


class Outlets:
    """Starts the sinks' threads; at the end finishes every output, or throws all away after an error.

    A source that fails after frames came is no reason to lose them: outputs are finished first.
    """

    def __init__(self, sinks: Sequence[Sink], live: bool, meters: Meters, beat: Beat | None = None) -> None:
        """``beat`` is the cadence of those that want one."""
        self.all = [Outlet(sink, live, meters, beat if wants_cadence(sink) else None) for sink in sinks]
        self.frames = 0

    def put(self, frame: Frame) -> None:
        self.frames += 1
        for outlet in self.all:
            outlet.put(frame)

    def tally(self) -> Tally:
        found = Tally()
        for outlet in self.all:
            found.dropped += outlet.mailbox.dropped + outlet.lost
            found.unsent += getattr(outlet.sink, "unsent", 0)
            found.returns += getattr(outlet.sink, "returns", 0)
            if (cadence := outlet.cadence) is not None:
                found.held += cadence.repeated
                found.surplus += cadence.surplus
                found.skipped += cadence.skipped
                found.skew = max(found.skew or 0.0, cadence.skew, key=abs)
        return found

    def __enter__(self) -> "Outlets":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        keep = isinstance(error, SourceError) and self.frames > 0
        self._end(None if keep else error)

    def _end(self, error: BaseException | None) -> None:
        """No more frames.  With an error every sink throws its output away; else one that fails is raised."""
        for outlet in self.all:
            outlet.mailbox.close(error)
        failed = [failure for outlet in self.all if (failure := outlet.join()) is not None]
        if failed and error is None:
            raise failed[0]
