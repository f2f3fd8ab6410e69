"""From a source through the stylizer to sinks: one thread for each outside world, one for the engine.

The engine runs in the caller's thread.  Between threads lie mailboxes: a file waits, so that every frame
is painted; a live source drops the oldest, so that delay never builds up.
"""

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import Any, Protocol

from allaprima.realtime.errors import SourceError
from allaprima.realtime.frame import Frame
from allaprima.realtime.mailbox import Closed, Mailbox, OnFull
from allaprima.realtime.metrics import Flicker, Stages
from allaprima.realtime.sinks import Sink
from allaprima.realtime.sinks.base import Attentive
from allaprima.realtime.sources import Source
from allaprima.realtime.stylebank import Style
from allaprima.realtime.stylizer import Rendered, Seen, Stylizer

FILE_QUEUE, FINISH_QUEUE, LIVE_INBOX, LIVE_OUTBOX = 4, 2, 1, 2
POLL = 0.1
"""Seconds after which a waiting thread looks up: was it asked to stop, was a key pressed?"""
MOST_SIDE = 1000
"""Audio and subtitle packets that a frame carries at most: about 20 seconds of sound."""
PATIENCE = 10.0
"""Seconds a thread may take to end once nothing more is expected of it."""


@dataclass(frozen=True, slots=True)
class Cue:
    """Change to ``style`` at ``at`` seconds, fading over ``fade`` seconds."""

    at: float
    style: Style
    fade: float = 0.0


class Masks(Protocol):
    """Says before each frame what the region is; called with seconds since the first frame."""

    def __call__(self, stylizer: Stylizer, seconds: float) -> None: ...


@dataclass(slots=True)
class Progress:
    """How far a run is; the object is the run's own and changes under the reader's eyes."""

    total: int | None
    painted: int = 0
    seconds: float = 0.0
    dropped_in: int = 0
    dropped_out: int = 0
    lost: int = 0
    first_frame: float = 0.0
    """Seconds from the start of the run to the first painted frame."""
    stopped: bool = False
    """True when somebody asked the run to stop before its end."""
    stages: Stages = field(default_factory=Stages)
    flicker: Flicker = field(default_factory=Flicker)
    notes: list[str] = field(default_factory=list)

    @property
    def fps(self) -> float:
        return self.painted / self.seconds if self.seconds else 0.0


def run(
    source: Source,
    stylizer: Stylizer,
    sinks: Sequence[Sink],
    *,
    cues: Sequence[Cue] = (),
    masks: Masks | None = None,
    stop: threading.Event | None = None,
    on_frame: Callable[[Progress], None] | None = None,
) -> Progress:
    """Paint everything that comes from ``source`` into all ``sinks``; gives the finished `Progress`.

    Setting ``stop`` ends it early and cleanly: what was painted is kept and playable.  An error of the
    source, the engine or a sink is raised here; a failed sink throws its half-written output away.
    """
    live = source.info.live
    inbox: Mailbox[Any] = Mailbox(LIVE_INBOX if live else FILE_QUEUE, _policy(live), _keep_side)
    progress = Progress(source.info.frames, stages=stylizer.stages, flicker=stylizer.flicker)
    stop = stop or threading.Event()
    began = time.perf_counter()
    with source, _Outlets(sinks, live, progress) as outlets:
        # A file's frames are looked at where they are decoded, while the engine paints the one before.
        # A live frame may still be dropped, and flow is between frames the engine saw: it waits.
        look = None if live else stylizer.look
        reader = threading.Thread(target=_read, args=(source, inbox, progress, look), name="source", daemon=True)
        reader.start()
        try:
            with _Finisher(stylizer, outlets, live) as finisher:
                start: float | None = None
                score = _score(cues, float(source.info.rate or 30))
                for item in _frames(inbox, stop, progress):
                    seen = item if isinstance(item, Seen) else stylizer.look(item)
                    start = seen.frame.time if start is None else start
                    _conduct(score, stylizer, seen.frame.time - start)
                    if masks is not None:
                        masks(stylizer, seen.frame.time - start)
                    finisher.put(stylizer.render(seen))
                    _account(progress, inbox, outlets, source, began)
                    if on_frame is not None:
                        on_frame(progress)
        finally:
            source.stop()
            inbox.abandon()
            reader.join(PATIENCE)
    progress.notes += [*source.notes, *(note for sink in sinks for note in sink.notes)]
    progress.seconds = time.perf_counter() - began
    return progress


class _Finisher:
    """The last step of painting: for a file in a thread of its own, for a live picture at once."""

    def __init__(self, stylizer: Stylizer, outlets: "list[_Outlet]", live: bool) -> None:
        self._stylizer = stylizer
        self._outlets = outlets
        self._mailbox: Mailbox[Rendered] = Mailbox(FINISH_QUEUE)
        self._error: BaseException | None = None
        self._thread = None if live else threading.Thread(target=self._main, name="finisher", daemon=True)

    def __enter__(self) -> "_Finisher":
        if self._thread is not None:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is None:
            return
        if error is None or isinstance(error, SourceError):
            self._mailbox.close()  # what was painted is kept
        else:
            self._mailbox.abandon()
        self._thread.join(None if error is None else PATIENCE)
        if self._error is not None and error is None:
            raise self._error

    def put(self, rendered: Rendered) -> None:
        if self._thread is None:
            self._finish(rendered)
            return
        try:
            self._mailbox.put(rendered)
        except Closed:
            raise (self._error or Closed()) from None

    def _finish(self, rendered: Rendered) -> None:
        painted = self._stylizer.finish(rendered)
        for outlet in self._outlets:
            outlet.put(painted)

    def _main(self) -> None:
        try:
            while True:
                try:
                    rendered = self._mailbox.get()
                except Closed:
                    break
                self._finish(rendered)
        except BaseException as error:  # noqa: BLE001 (a thread's main: raised again in the engine)
            self._error = error
        finally:
            self._mailbox.abandon()


def _policy(live: bool) -> OnFull:
    return OnFull.DROP_OLDEST if live else OnFull.BLOCK


def _keep_side(dropped: Frame, following: Frame) -> Frame:
    """A dropped picture's sound goes with the next one, up to what a stuck sink may pile up."""
    return replace(following, side=(dropped.side + following.side)[-MOST_SIDE:]) if dropped.side else following


def _read(source: Source, inbox: Mailbox[Any], progress: Progress, look: Callable[[Frame], Seen] | None) -> None:
    try:
        frames = iter(source)
        while True:
            began = time.perf_counter()
            frame = next(frames, None)
            if frame is None:
                break
            progress.stages.add("decode", time.perf_counter() - began)
            inbox.put(frame if look is None else look(frame))
    except Closed:
        pass
    except BaseException as error:  # noqa: BLE001 (a thread's main: raised again in the engine)
        inbox.close(error)
    else:
        inbox.close()


def _frames(inbox: Mailbox[Any], stop: threading.Event, progress: Progress) -> Iterator[Frame | Seen]:
    while not stop.is_set():
        try:
            yield inbox.get(timeout=POLL)
        except TimeoutError:
            continue
        except Closed:
            return
    progress.stopped = True


def _score(cues: Iterable[Cue], rate: float) -> list[tuple[float, Style, int]]:
    """Cues in order of time, their fades in frames."""
    return [(cue.at, cue.style, round(cue.fade * rate)) for cue in sorted(cues, key=lambda cue: cue.at)]


def _conduct(score: list[tuple[float, Style, int]], stylizer: Stylizer, seconds: float) -> None:
    while score and seconds >= score[0][0] - 1e-6:
        _, style, fade = score.pop(0)
        stylizer.set_style(style, fade)


def _account(progress: Progress, inbox: Mailbox[Any], outlets: "list[_Outlet]", source: Source, began: float) -> None:
    progress.painted += 1
    progress.seconds = time.perf_counter() - began
    progress.first_frame = progress.first_frame or progress.seconds
    progress.dropped_in, progress.lost = inbox.dropped, source.lost
    progress.dropped_out = sum(outlet.mailbox.dropped for outlet in outlets)


class _Outlet:
    """A sink in a thread of its own, behind a mailbox."""

    def __init__(self, sink: Sink, live: bool, progress: Progress) -> None:
        self.mailbox: Mailbox[Frame] = Mailbox(LIVE_OUTBOX if live else FILE_QUEUE, _policy(live), _keep_side)
        self.error: BaseException | None = None
        self._sink = sink
        self._progress = progress
        self._thread = threading.Thread(target=self._main, name="sink", daemon=True)
        self._thread.start()

    def put(self, frame: Frame) -> None:
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
            with self._sink:
                while True:
                    try:
                        frame = self.mailbox.get(timeout=POLL)
                    except TimeoutError:
                        if isinstance(self._sink, Attentive):
                            self._sink.poll()
                        continue
                    except Closed:
                        break
                    began = time.perf_counter()
                    self._sink.write(frame)
                    self._progress.stages.add("encode", time.perf_counter() - began)
        except BaseException as error:  # noqa: BLE001 (a thread's main: raised again in the engine)
            self.error = error
        finally:
            self.mailbox.abandon()


class _Outlets:
    """Starts the sinks' threads; at the end finishes every output, or throws all away after an error.

    A source that fails after frames were painted is no reason to lose them: outputs are finished first.
    """

    def __init__(self, sinks: Sequence[Sink], live: bool, progress: Progress) -> None:
        self._outlets = [_Outlet(sink, live, progress) for sink in sinks]
        self._progress = progress

    def __enter__(self) -> list[_Outlet]:
        return self._outlets

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        keep = isinstance(error, SourceError) and self._progress.painted > 0
        _end(self._outlets, None if keep else error)


def _end(outlets: Sequence[_Outlet], error: BaseException | None) -> None:
    """No more frames.  With an error every sink throws its output away; else one that fails is raised."""
    for outlet in outlets:
        outlet.mailbox.close(error)
    failed = [failure for outlet in outlets if (failure := outlet.join()) is not None]
    if failed and error is None:
        raise failed[0]
