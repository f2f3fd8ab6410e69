"""From a source through the stylizer to sinks: one thread for each outside world, one for the engine.

The engine runs in the caller's thread.  Between threads lie mailboxes: a file waits, so that every frame
is painted; a live source drops the oldest, so that delay never builds up.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any, Protocol

from allaprima.realtime.errors import AllaprimaError
from allaprima.realtime.frame import Frame
from allaprima.realtime.ladder import Ladder
from allaprima.realtime.mailbox import Closed, Mailbox
from allaprima.realtime.metrics import Delays, Flicker, Stages
from allaprima.realtime.outlets import FILE_QUEUE, POLL, Beat, Meters, Outlets, keep_side, policy
from allaprima.realtime.pacing import Thinning
from allaprima.realtime.painting import Forgiving, Strict
from allaprima.realtime.sinks import Sink
from allaprima.realtime.sinks.pace import Pace
from allaprima.realtime.sources import Source
from allaprima.realtime.stylebank import Style
from allaprima.realtime.stylizer import Seen, Stylizer

LIVE_INBOX = 1
PATIENCE = 10.0
"""Seconds a thread may take to end once nothing more is expected of it."""
AWAY = "the source is away"
WARM_UP = 30
"""Frames that are painted once more before a file is gone on with, so that there is a history."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Cue:
    """Change to ``style`` at ``at`` seconds, fading over ``fade`` seconds."""

    at: float
    style: Style
    fade: float = 0.0


class Masks(Protocol):
    """Says before each frame what the region is; called with seconds since the first frame."""

    def __call__(self, stylizer: Stylizer, seconds: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Manner:
    """How a run goes about it, where that is not what its source suggests."""

    live: bool | None = None
    """Late frames are dropped; False paints each.  None: as the source is."""
    forgiving: bool | None = None
    """Frames whose painting fails go through unpainted; False ends the run.  None: where it is live."""
    fps: Fraction | None = None
    """No more frames a second are painted of a live source."""
    cadence: Fraction | None = None
    """Frames a second for sinks that want them steady, of a live source."""
    max_latency: float | None = None
    """Seconds after which a frame of a live source is too old to be painted."""
    slate: Frame | None = None
    """Shown instead of the last frame while the source is away."""
    done: int = 0
    """So many frames at the beginning lie finished in the output."""
    ladder: Ladder | None = None


AS_THE_SOURCE = Manner()


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
    delay: Delays = field(default_factory=Delays)
    """From capture until written, of a live source."""
    resumed: int = 0
    """Frames that an earlier run had painted."""
    passed: int = 0
    """Frames that went through unpainted because painting failed."""
    failures: int = 0
    """How often painting failed."""
    problem: str = ""
    """Why nothing is painted, or what is away; empty when all is well."""
    held: int = 0
    """Frames that were shown again because no newer one had come."""
    surplus: int = 0
    """Frames beyond the cadence, before or after painting."""
    skipped: int = 0
    """Ticks of a steady output that passed while it could not write."""
    skew: float | None = None
    """Seconds by which pictures come after their sound at a steady output."""
    unsent: int = 0
    """Frames that came while a receiver was away."""
    source_returns: int = 0
    sink_returns: int = 0
    """How often what was lost came back."""
    effort: int = 0
    """Step of the governor: 0 is full effort."""
    effort_name: str = ""
    steps: int = 0
    """How often the governor changed its step."""
    mailboxes: dict[str, Mailbox[Any]] = field(default_factory=dict)
    """Where frames wait between threads, by name."""

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
    manner: Manner = AS_THE_SOURCE,
) -> Progress:
    """Paint everything that comes from ``source`` into all ``sinks``; gives the finished `Progress`.

    Setting ``stop`` ends it early and cleanly: what was painted is kept and playable.  An error of the
    source or a sink is raised here, and one of the engine unless the run is a forgiving one; a failed sink
    throws its half-written output away.
    """
    progress = Progress(source.info.frames, stages=stylizer.stages, flicker=stylizer.flicker)
    return _Run(source, stylizer, sinks, manner, progress).go(cues, masks, stop or threading.Event(), on_frame)


class _Run:
    """One call of `run`."""

    def __init__(
        self, source: Source, stylizer: Stylizer, sinks: Sequence[Sink], manner: Manner, progress: Progress
    ) -> None:
        self.live = source.info.live if manner.live is None else manner.live
        self.forgiving = self.live if manner.forgiving is None else manner.forgiving
        self.progress = progress
        self._source, self._stylizer, self._manner, self._sinks = source, stylizer, manner, sinks
        size = LIVE_INBOX if self.live else FILE_QUEUE
        self._inbox: Mailbox[Any] = Mailbox(size, policy(self.live), keep_side)
        progress.mailboxes["inbox"] = self._inbox
        self._began = time.perf_counter()
        self._start: float | None = None
        self._last: tuple[Frame, float] | None = None
        self._away = False
        self._score: list[tuple[float, Style, int]] = []
        self._masks: Masks | None = None
        self._stale: Frame | None = None
        self._too_old = self._thinned = 0

    def go(
        self,
        cues: Sequence[Cue],
        masks: Masks | None,
        stop: threading.Event,
        on_frame: Callable[[Progress], None] | None,
    ) -> Progress:
        progress, source, rate = self.progress, self._source, self._manner.cadence
        meters = Meters(progress.stages, progress.delay)
        beat = Beat(rate, source.info.side_streams) if self.live and rate else None
        with source, Outlets(self._sinks, self.live, meters, beat) as outlets:
            for number, outlet in enumerate(outlets.all, 1):
                progress.mailboxes[f"outbox {number}"] = outlet.mailbox
            reader = threading.Thread(target=self._read, name="source", daemon=True)
            reader.start()
            try:
                with self._engine(outlets) as engine:
                    self._score, self._masks = _score(cues, float(source.info.rate or 30)), masks
                    for item in self._items(stop):
                        if item is None:
                            self._look_after(outlets)
                        else:
                            self._paint(item, engine)
                            self._account(outlets, engine)
                        if on_frame is not None and (item is not None or self._away):
                            on_frame(progress)
                self._account(outlets, engine)
            finally:
                source.stop()
                self._inbox.abandon()
                reader.join(PATIENCE)
        self._sum_up(outlets)
        progress.notes += [*source.notes, *(note for sink in self._sinks for note in sink.notes)]
        progress.seconds = time.perf_counter() - self._began
        return progress

    def _engine(self, outlets: Outlets) -> Forgiving | Strict:
        if self.forgiving:
            return Forgiving(self._stylizer, outlets, self._source.info.name)
        return Strict(self._stylizer, outlets, self.live)

    # ---- the source's thread ----

    def _read(self) -> None:
        try:
            frames, count = iter(self._source), 0
            pace = Pace(self._source.info) if self.live and not self._source.info.live else None
            thin = Thinning(self._manner.fps) if self.live and self._manner.fps else None
            waiting: Frame | None = None
            while True:
                began = time.perf_counter()
                frame = next(frames, None)
                if frame is None:
                    break
                self.progress.stages.add("decode", time.perf_counter() - began, frame.index)
                if pace is not None:
                    pace.wait(frame)
                    frame = replace(frame, captured=time.monotonic())
                if waiting is not None:
                    frame, waiting = keep_side(waiting, frame), None
                if thin is not None and not thin.keeps(frame):
                    waiting = frame
                    self._thinned += 1
                    continue
                self._inbox.put(self._seen(frame, count))
                count += 1
        except Closed:
            pass
        except BaseException as error:  # noqa: BLE001 (a thread's main: raised again in the engine)
            self._inbox.close(error)
        else:
            self._inbox.close()

    def _seen(self, frame: Frame, count: int) -> Frame | Seen:
        """A file's frames are looked at where they are decoded, while the engine paints the one before.

        A live frame may still be dropped, and flow is between frames the engine saw: it waits.
        """
        if count < self._manner.done - WARM_UP:
            return Seen(frame)
        return frame if self.live or self.forgiving else self._stylizer.look(frame)

    # ---- the engine's thread ----

    def _paint(self, item: Frame | Seen, engine: Forgiving | Strict) -> None:
        began = time.perf_counter()
        frame = item.frame if isinstance(item, Seen) else item
        self._last = (frame, time.monotonic())
        self._start = frame.time if self._start is None else self._start
        self._conduct(frame.time - self._start)
        painted = engine.put(item)
        if painted and self._manner.ladder is not None:
            self._manner.ladder.after(self._stylizer, frame, time.perf_counter() - began)
        there = self.progress.resumed < self._manner.done
        self.progress.resumed += there
        self.progress.painted += painted and not there

    def _items(self, stop: threading.Event) -> Iterator[Frame | Seen | None]:
        """What comes, and None for each moment in which nothing does."""
        while not stop.is_set():
            try:
                item = self._inbox.get(timeout=POLL)
            except TimeoutError:
                yield None
                continue
            except Closed:
                return
            self._away = False
            if self.live and self._stale is None and self._is_old(item):
                self._stale, self._too_old = item, self._too_old + 1
                continue
            if self._stale is not None:
                item, self._stale = keep_side(self._stale, item), None
            yield item
        self.progress.stopped = True

    def _is_old(self, frame: Frame) -> bool:
        """Never true for two frames in a row: old pictures are better than none."""
        limit = self._manner.max_latency
        return limit is not None and frame.captured > 0 and time.monotonic() - frame.captured > limit

    def _look_after(self, outlets: Outlets) -> None:
        """No frame has come: is the source away?"""
        self._sum_up(outlets)
        if not getattr(self._source, "away", False) or self._last is None or self._away:
            return
        self._away = True
        self.progress.problem = AWAY
        if self._manner.slate is not None:
            frame, came = self._last
            later = round((time.monotonic() - came) / frame.time_base)
            outlets.put(replace(self._manner.slate, pts=frame.pts + later, time_base=frame.time_base))

    def _conduct(self, seconds: float) -> None:
        try:
            while self._score and seconds >= self._score[0][0] - 1e-6:
                _, style, fade = self._score.pop(0)
                self._stylizer.set_style(style, fade)
        except AllaprimaError as error:
            self._forgive(error, f"at {seconds:.2f} s: {error}; the style stays as it is")
        try:
            if self._masks is not None:
                self._masks(self._stylizer, seconds)
        except AllaprimaError as error:
            self._masks = None
            self._forgive(error, f"at {seconds:.2f} s: {error}; the mask stays as it is")

    def _forgive(self, error: AllaprimaError, note: str) -> None:
        if not self.forgiving:
            raise error
        self.progress.notes.append(note)
        logger.warning(note)

    def _account(self, outlets: Outlets, engine: Forgiving | Strict) -> None:
        progress, source = self.progress, self._source
        progress.seconds = time.perf_counter() - self._began
        if progress.painted:
            progress.first_frame = progress.first_frame or progress.seconds
        progress.dropped_in, progress.lost = self._inbox.dropped + self._too_old, source.lost
        progress.passed, progress.failures, progress.problem = engine.passed, engine.failures, engine.problem
        progress.source_returns = getattr(source, "returns", 0)
        if (ladder := self._manner.ladder) is not None:
            progress.effort, progress.effort_name, progress.steps = ladder.step, ladder.what, ladder.steps
        self._sum_up(outlets)

    def _sum_up(self, outlets: Outlets) -> None:
        progress, tally = self.progress, outlets.tally()
        progress.dropped_out, progress.unsent, progress.sink_returns = tally.dropped, tally.unsent, tally.returns
        progress.held, progress.skipped, progress.skew = tally.held, tally.skipped, tally.skew
        progress.surplus = self._thinned + tally.surplus


def _score(cues: Iterable[Cue], rate: float) -> list[tuple[float, Style, int]]:
    """Cues in order of time, their fades in frames."""
    return [(cue.at, cue.style, round(cue.fade * rate)) for cue in sorted(cues, key=lambda cue: cue.at)]
