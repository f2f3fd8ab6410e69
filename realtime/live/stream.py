"""One live stream: takes the newest frame, paints it in a thread of its own, hands it to all who watch.

Every place where frames could pile up holds one: what is late is replaced, so delay does not grow.
"""

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from allaprima.realtime.bundle import Bundle
from allaprima.realtime.cues import Entry
from allaprima.realtime.errors import AllaprimaError, ConfigError
from allaprima.realtime.failsafe import FailSafe
from allaprima.realtime.frame import Frame
from allaprima.realtime.ladder import Ladder
from allaprima.realtime.live.control import Change, Latency, State, Stats, read_cue
from allaprima.realtime.live.meters import Meter
from allaprima.realtime.live.view import View
from allaprima.realtime.mailbox import Closed, Mailbox, OnFull
from allaprima.realtime.metrics import Stages
from allaprima.realtime.pacing import Thinning
from allaprima.realtime.stylebank import Mix, Style
from allaprima.realtime.stylizer import Stylizer

POLL = 0.25
"""Seconds after which the waiting engine looks up."""
PATIENCE = 5.0
"""Seconds that the engine has to end; a frame takes a fraction of one."""
USUAL_RATE = 30.0
"""Frames a second that are assumed for a cross-fade before any were painted."""
MOST_CUES = 16


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A cue and the time at which it is due, by `time.monotonic()`."""

    due: float
    entry: Entry
    text: str


class Stream:
    """Paints one stream.  Any thread may call any method.

    Knows nothing of networks: frames come in by `put` and go out through a `View`.  Raises what `Stylizer`
    raises when the style or the bundle cannot be used.  An error while painting never ends the stream: from that
    very frame on the input goes through unpainted, `stats` tells why, and painting is tried again after a pause.

    Where the machine is too slow for the rate of what comes, less effort goes into a frame (`Ladder`), unless
    ``governed`` is False.  Of what comes no more than ``fps`` frames a second are taken, evenly; one that is older than
    ``max_latency`` seconds is dropped before it is painted.
    """

    def __init__(
        self,
        name: str,
        *,
        style: Style | None = None,
        bundle: Path | Bundle | None = None,
        strength: float | None = None,
        steadiness: float | None = None,
        transition: float = 1.0,
        fps: float | None = None,
        max_latency: float | None = None,
        governed: bool = True,
    ) -> None:
        self.name = name
        self._ladder = Ladder(fps, max_latency, name)
        self._thinning = None if fps is None else Thinning(Fraction(str(fps)))
        self._governed, self._max_latency = governed, max_latency
        self._stylizer = Stylizer(style, bundle=bundle, strength=strength, steadiness=steadiness)
        self.stages: Stages = self._stylizer.stages
        """Where the time goes; whoever carries frames of this stream may add stages of its own."""
        self._safe = FailSafe(self._stylizer, f"stream {name}")
        self._lock = threading.RLock()
        self._transition = Change.of({"transition": float(transition)}).transition or 0.0
        self._cues: tuple[_Waiting, ...] = ()
        self._revision = 0
        self._views: tuple[View, ...] = ()
        self._listeners: tuple[Callable[[State], None], ...] = ()
        self._inbox: Mailbox[Frame] = Mailbox(1, OnFull.DROP_OLDEST)
        self._in, self._painted, self._sent, self._delay = Meter(), Meter(), Meter(), Meter()
        self._last_sent = float("-inf")
        self._size: tuple[int, int] | None = None
        self._began = time.monotonic()
        self._stale = 0
        self._closed = False
        self._thread = threading.Thread(target=self._main, name=f"stream {name}", daemon=True)
        self._thread.start()

    # ---- frames ----

    def put(self, frame: Frame) -> None:
        """Paint this frame next; one that was still waiting is dropped.  Never blocks; silent after `close`."""
        if self._thinning is not None and not self._thinning.keeps(frame):
            return
        self._in.add()
        with contextlib.suppress(Closed):
            self._inbox.put(frame)

    def subscribe(self, wake: Callable[[], None]) -> View:
        """A place where each painted frame appears from now on; ``wake`` must return at once."""
        view = View(wake)
        with self._lock:
            if self._closed:
                view.close()
            else:
                self._views += (view,)
        return view

    def unsubscribe(self, view: View) -> None:
        """One that is not there is no error."""
        with self._lock:
            self._views = tuple(other for other in self._views if other is not view)

    def sent(self, captured: float, size_bytes: int) -> None:
        """Whoever sends a painted frame says so; of a frame sent to several the first one counts."""
        with self._lock:
            if captured <= self._last_sent:
                return
            self._last_sent = captured
        self._sent.add(8 * size_bytes / 1000)
        self._delay.add(time.monotonic() - captured)

    @property
    def delay(self) -> float:
        """Seconds from capture until sent, the median of late; 0 before anything was sent."""
        return self._delay.quantile(0.5) or 0.0

    # ---- control ----

    def apply(self, change: Change) -> State:
        """Change settings from the next frame on.

        Raises `AllaprimaError` (an unknown style, too many cues) and then changes nothing.
        """
        with self._lock:
            if self._closed:
                raise ConfigError("the stream has ended")
            if not change.model_dump(exclude_none=True):
                return self.state
            stylizer, mix = self._stylizer, _wanted(change)
            cues = self._with_cue(change.cue)
            transition = self._transition if change.transition is None else change.transition
            if mix is not None:
                stylizer.set_style(mix, round(transition * self._rate()))
            # Nothing can be refused from here on.
            self._cues, self._transition = cues, transition
            if change.strength is not None:
                stylizer.strength = change.strength
            if change.steadiness is not None:
                stylizer.steadiness = change.steadiness
            if change.bypass is not None:
                stylizer.bypass = change.bypass
            state = self._changed()
        self._tell(state)
        return state

    @property
    def state(self) -> State:
        with self._lock:
            stylizer = self._stylizer
            return State(
                style=str(stylizer.style),
                mix=dict(stylizer.style.weights),
                strength=stylizer.strength,
                steadiness=stylizer.steadiness,
                transition=self._transition,
                cue=self._cues[0].text if self._cues else None,
                bypass=stylizer.bypass,
                revision=self._revision,
            )

    def watch(self, changed: Callable[[State], None]) -> Callable[[], None]:
        """Call ``changed`` after every change, in the thread that made it; gives the function that ends this.

        Two changes at once may arrive in either order: the higher revision counts.
        """
        with self._lock:
            self._listeners += (changed,)

        def stop() -> None:
            with self._lock:
                self._listeners = tuple(other for other in self._listeners if other is not changed)

        return stop

    def stats(self) -> Stats:
        p50, p95 = self._delay.quantile(0.5), self._delay.quantile(0.95)
        late = None if p50 is None or p95 is None else Latency(p50=1000 * p50, p95=1000 * p95)
        return Stats(
            fps_in=self._in.rate(),
            fps_painted=self._painted.rate(),
            fps_sent=self._sent.rate(),
            frames_in=self._in.count,
            frames_painted=self._painted.count,
            frames_sent=self._sent.count,
            dropped=self._inbox.dropped + self._stale,
            latency_ms=late,
            flicker=self._stylizer.flicker.now,
            bitrate_kbps=self._sent.per_second(),
            stages_ms=self.stages.milliseconds(),
            viewers=sum(view.viewers for view in self._views),
            size=self._size,
            seconds=time.monotonic() - self._began,
            problem=self._safe.problem,
            effort=self._ladder.step,
            effort_name=self._ladder.what,
            effort_reason=self._ladder.why if self._ladder.steps else "",
            steps=self._ladder.steps,
        )

    def close(self) -> None:
        """End the thread and tell the viewers; takes `PATIENCE` seconds at most."""
        with self._lock:
            self._closed = True
            views, self._views, self._listeners = self._views, (), ()
        self._inbox.abandon()
        self._thread.join(PATIENCE)
        self._safe.close()
        self._stylizer.renew()  # whoever still knows the stream (aiortc's connections are circles) keeps no nets
        for view in views:
            view.close()

    # ---- the engine's thread ----

    def _main(self) -> None:
        while True:
            try:
                frame = self._inbox.get(timeout=POLL)
            except TimeoutError:
                continue
            except Closed:
                return
            began = time.monotonic()
            if self._max_latency is not None and began - frame.captured > self._max_latency:
                self._stale += 1
                continue
            if self._cues and began >= self._cues[0].due:
                self._play_cues(began)
            shown = self._safe(frame)
            self._size = shown.size
            for view in self._views:
                view.put(shown)
            if not self._safe.problem:
                self._painted.add()
                if self._governed:
                    self._ladder.after(self._stylizer, frame, time.monotonic() - began)

    # ---- cues ----

    def _with_cue(self, text: str | None) -> tuple[_Waiting, ...]:
        """The cues that wait, with one more; an empty text drops them all."""
        if text is None:
            return self._cues
        if not text.strip():
            return ()
        if len(self._cues) >= MOST_CUES:
            raise ConfigError(f"{MOST_CUES} cues wait already", "An empty cue drops them.")
        entry = read_cue(text)
        self._stylizer.bank.resolve(entry.style)
        cues = [*self._cues, _Waiting(time.monotonic() + entry.at, entry, text)]
        return tuple(sorted(cues, key=lambda cue: cue.due))

    def _play_cues(self, now: float) -> None:
        with self._lock:
            due = [cue for cue in self._cues if cue.due <= now]
            self._cues = self._cues[len(due) :]
            for cue in due:
                rate = self._rate()
                with contextlib.suppress(AllaprimaError):  # its file has gone since: it stays as it is
                    self._stylizer.set_style(cue.entry.style, round(cue.entry.fade.seconds(rate) * rate))
            state = self._changed()
        self._tell(state)

    # ----

    def _changed(self) -> State:
        self._revision += 1
        return self.state

    def _tell(self, state: State) -> None:
        for listener in self._listeners:
            with contextlib.suppress(RuntimeError):  # an event loop that was closed meanwhile
                listener(state)

    def _rate(self) -> float:
        interval = self._painted.interval()
        return 1 / interval if interval else USUAL_RATE


def _wanted(change: Change) -> Mix | None:
    if change.mix is not None:
        return Mix.of(change.mix)
    return None if change.style is None else Mix.parse(change.style)
