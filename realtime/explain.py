"""``allaprima explain``: where the time of a run goes, what bounds it, and what would help, by measurement."""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allaprima.realtime.config import KEYS, Config
from allaprima.realtime.errors import AllaprimaError, ConfigError
from allaprima.realtime.job import Job
from allaprima.realtime.machine import busy_seconds, cores, gpus
from allaprima.realtime.pipeline import Progress
from allaprima.realtime.report import output_path
from allaprima.realtime.sinks import codecs
from allaprima.realtime.steering import Stop
from allaprima.realtime.trace import Event, Trace, role

WARM_FRAMES = 5
"""Frames painted before the clock runs: models load, threads fill their mailboxes."""
FEWEST = 8
"""Frames that must be measured."""
LOOK_SECONDS = 0.5
TRIAL_SECONDS = 3.0
"""How long each change is tried."""
BUSY = 0.85
"""A thread that works so much of the time never waits for another: it is what the others wait for."""
GAIN = 1.05
"""What a change must bring, times the frames a second, to be worth a mention."""
FEW = 0.02
"""Dropped frames for each painted one that do not make a live source too quick: a hiccup."""
WAITING = "decode"
"""Of a live source this stage is mostly waiting for the next picture."""


@dataclass(frozen=True, slots=True)
class Stage:
    name: str
    thread: str
    ms: float
    """A frame."""


@dataclass(frozen=True, slots=True)
class Thread:
    name: str
    ms: float
    busy: float
    """Share of the time, 0..1."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One run, without its beginning."""

    source: str
    size: tuple[int, int]
    live: bool
    rate: float | None
    """Frames a second that the source says it gives."""
    frames: int
    seconds: float
    dropped: int
    cores_busy: float
    """Processors that this program kept busy."""
    others_busy: float
    """Processors that other programs kept busy meanwhile, as far as the system says."""
    stages: tuple[Stage, ...]
    threads: tuple[Thread, ...]
    effort: int = 0
    """Step of the governor at the end; above 0 it saved work to hold the frame rate."""
    effort_name: str = ""

    @property
    def fps(self) -> float:
        return self.frames / self.seconds

    def ms(self, stage: str) -> float:
        return next((found.ms for found in self.stages if found.name == stage), 0.0)


@dataclass(frozen=True, slots=True)
class Bound:
    """What keeps it from being faster."""

    kind: str
    """``thread``, ``processors`` or ``source``."""
    thread: str = ""
    stage: str = ""
    without: float | None = None
    """Frames a second at the most if the stage took no time."""
    after: str = ""
    """The thread that would bound it then."""


@dataclass(frozen=True, slots=True)
class Trial:
    """A change that was tried."""

    flags: str
    fps: float
    ms: float | None
    """Milliseconds a frame of the stage that bounds the run, with the change; None where there is none."""
    size: tuple[int, int]
    effort: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """All that is told."""

    measured: Measured
    bound: Bound
    decode_alone: float | None
    """Milliseconds a frame that decoding takes while nothing else runs; None where it was not asked."""
    trials: tuple[Trial, ...]

    @property
    def best(self) -> Trial | None:
        """The mildest change that helps and paints as fast as the source gives; else the one that helps most.

        A live source gives no more frames than it gives: there, more effort for each is a help too.
        """
        now = self.measured
        good = [
            trial
            for trial in self.trials
            if trial.fps >= GAIN * now.fps or (trial.effort < now.effort and trial.fps >= now.fps / GAIN)
        ]
        enough = [trial for trial in good if trial.fps >= (self.measured.rate or 0)]
        if enough:
            return enough[0]
        return max(good, key=lambda trial: trial.fps, default=None)


def explain(source: str, output: str, config: Config, seconds: float, stop: Stop) -> Verdict:
    """Measure for ``seconds``, then try for a few seconds each what might help.

    The file ``output`` is neither written nor replaced.  Raises what a run raises, and `ConfigError` when there are too
    few frames to tell.
    """
    measured = measure(source, output, config, seconds, stop)
    bound = bound_of(measured)
    decode = None
    if bound.stage == WAITING and not measured.live:
        decode = _decode_alone(source, config, min(seconds, TRIAL_SECONDS))
    trials: list[Trial] = []
    for change in changes(config, measured, bound, output):
        if stop.event.is_set():
            break
        changed = config.model_copy(update=change)
        try:
            found = measure(source, output, changed, min(seconds, TRIAL_SECONDS), stop)
        except AllaprimaError:
            continue  # this machine, or this output, cannot do it
        spent = found.ms(bound.stage) if bound.stage else None
        trials.append(Trial(_flags(change), found.fps, spent, found.size, found.effort))
    return Verdict(measured, bound, decode, tuple(trials))


# ---- measuring ----


class _Window:
    """The frames between the warm-up and the end; ends the run when it is long enough."""

    def __init__(self, seconds: float, own: Stop, stop: Stop) -> None:
        self._seconds, self._own, self._stop = seconds, own, stop
        self.first = self.last = self._lost_before = self._lost = 0
        self.began = self.ended = self._used_before = self._used = 0.0
        self._all_before: float | None = None
        self.others_busy = 0.0
        """Processors that other programs kept busy; looked at twice a second."""
        self._look = 0.0

    def __call__(self, progress: Progress) -> None:
        now, used, lost = time.perf_counter(), time.process_time(), progress.dropped_in + progress.dropped_out
        if progress.painted <= WARM_FRAMES:
            self.began, self._used_before, self.first, self._lost_before = now, used, progress.painted, lost
            self._all_before, self._look = busy_seconds(), now + LOOK_SECONDS
        self.ended, self._used, self.last, self._lost = now, used, progress.painted, lost
        if now >= self._look:
            self._look = now + LOOK_SECONDS
            busy = busy_seconds()
            if busy is not None and self._all_before is not None:
                self.others_busy = max((busy - self._all_before) / (now - self.began) - self.cores_busy, 0.0)
        if now - self.began >= self._seconds or self._stop.event.is_set():
            self._own.event.set()

    @property
    def dropped(self) -> int:
        return self._lost - self._lost_before

    @property
    def cores_busy(self) -> float:
        return (self._used - self._used_before) / max(self.ended - self.began, 1e-9)


def measure(source: str, output: str, config: Config, seconds: float, stop: Stop) -> Measured:
    """One run of ``seconds``; what it writes is thrown away."""
    trace, own = Trace(seconds + 60), Stop()
    window = _Window(seconds, own, stop)
    with _elsewhere(output) as place:
        job = Job(source, place, config.model_copy(update={"overwrite": True}), own)
        trace.follow(trace.process(""), job.stylizer.stages)
        outcome = job.paint(window)
    frames = window.last - window.first
    if frames < FEWEST:
        raise ConfigError(
            f"only {frames} frames were painted after the first {WARM_FRAMES}: too few to tell",
            "Take a longer part of the input, or more --seconds.",
        )
    info, progress = job.info, outcome.progress
    spent = _clipped(trace.events(), window.began, window.ended)
    length = window.ended - window.began
    order = list(progress.stages.totals())
    stages = tuple(
        Stage(name, thread, 1000 * total / frames)
        for (thread, name), total in sorted(spent.items(), key=lambda item: order.index(item[0][1]))
    )
    threads: dict[str, float] = {}
    for (thread, name), total in sorted(spent.items(), key=lambda item: order.index(item[0][1])):
        waits = info.live and name == WAITING
        threads[thread] = threads.get(thread, 0.0) + (0.0 if waits else total)
    return Measured(
        info.name, info.size, info.live, None if info.rate is None else float(info.rate), frames, length,
        window.dropped, window.cores_busy, window.others_busy, stages,
        tuple(Thread(name, 1000 * total / frames, total / length) for name, total in threads.items()),
        progress.effort, progress.effort_name,
    )  # fmt: skip


def _clipped(events: list[Event], began: float, ended: float) -> dict[tuple[str, str], float]:
    """Seconds of each thread and stage between two times."""
    spent: dict[tuple[str, str], float] = {}
    for event in events:
        inside = min(event.start + event.seconds, ended) - max(event.start, began)
        if inside > 0:
            key = role(event.thread), event.stage
            spent[key] = spent.get(key, 0.0) + inside
    return spent


@contextmanager
def _elsewhere(output: str) -> Iterator[str]:
    """Where to write instead of into a file: beside it, because it may be another disk."""
    path = output_path(output)
    if ":" in output.partition("/")[0].removeprefix("file:") or not path.parent.is_dir():
        yield output  # a window, an address, or what the sink will complain of
        return
    try:
        folder = tempfile.TemporaryDirectory(prefix=".allaprima-explain-", dir=path.parent)
    except OSError as error:
        raise ConfigError(f"cannot write into {path.parent}: {error.strerror}", "Explain with null: as OUT.") from error
    with folder as name:
        yield str(Path(name) / f"measured{path.suffix}")


def _decode_alone(source: str, config: Config, seconds: float) -> float | None:
    """Milliseconds a frame while nothing else runs."""
    from allaprima.realtime.sources import open_source

    with open_source(source, size=config.size, start=config.start, end=config.end) as opened:
        began, frames = time.perf_counter(), 0
        for _ in opened:
            frames += 1
            if time.perf_counter() - began > seconds:
                break
        spent = time.perf_counter() - began
    return 1000 * spent / frames if frames else None


# ---- judging ----


def bound_of(measured: Measured) -> Bound:
    """A thread that is always busy, else the processors when they are, else the source.

    A live source that is painted in time only because the governor saves effort bounds nothing.
    """
    busiest = max(measured.threads, key=lambda thread: thread.busy)
    inside = [s for s in measured.stages if s.thread == busiest.name and not (measured.live and s.name == WAITING)]
    slowest = max(inside, key=lambda stage: stage.ms)
    rest = {thread.name: thread.ms for thread in measured.threads}
    rest[busiest.name] -= slowest.ms
    after = max(rest, key=lambda name: rest[name])
    without = 1000 / rest[after] if rest[after] > 0 else None
    if busiest.busy < BUSY:
        if measured.live and not measured.effort and measured.dropped <= FEW * measured.frames:
            return Bound("source")
        if measured.cores_busy >= BUSY * cores():
            slowest = max((s for s in measured.stages if not (measured.live and s.name == WAITING)), key=lambda s: s.ms)
            return Bound("processors", slowest.thread, slowest.name)
    return Bound("thread", busiest.name, slowest.name, without, after)


def changes(config: Config, measured: Measured, bound: Bound, output: str) -> list[dict[str, Any]]:
    """Settings that might help, the mildest first."""
    if bound.kind == "source":
        return []
    tried: list[dict[str, Any]] = []
    everything = bound.kind == "processors"
    if (bound.stage == "encode" or everything) and measured.ms("encode"):
        tried += _encoders(config, output)
    if bound.stage in ("motion", "blend") or everything:
        tried += [{"steadiness": 0.0}] if config.steadiness != 0 else []
    if bound.stage not in ("encode", WAITING):
        tried += [{"size": size} for size in _smaller(measured.size)]
    return tried


def _encoders(config: Config, output: str) -> list[dict[str, Any]]:
    """The fastest preset and one between; another codec where the one in use is slow by nature."""
    extension = output_path(output).suffix.lower().removeprefix(".")
    encoder = codecs.encoder_named(config.codec or {"webm": "libvpx-vp9"}.get(extension, "libx264"))
    presets = list(encoder.presets)
    if presets and presets[0].isdigit():
        presets.reverse()  # of those that are numbers, a higher one is quicker
    now = config.preset or encoder.default_preset
    quicker = presets[: presets.index(now)] if now in presets else []
    tried: list[dict[str, Any]] = [{"preset": name} for name in dict.fromkeys([*quicker[-1:], *quicker[:1]])]
    if encoder.codec not in ("h264", "vp9", "vp8"):
        tried.append({"codec": "h264", "preset": None, "crf": None})
    if f"{encoder.codec}_nvenc" in codecs.ENCODERS and "nvenc" not in encoder.name and gpus():
        tried.append({"codec": f"{encoder.codec}_nvenc", "preset": None, "crf": None})
    return tried


def _smaller(size: tuple[int, int]) -> list[tuple[int, int]]:
    """Three quarters and half of the sides, in even pixels."""
    found = [(round(size[0] * share / 2) * 2, round(size[1] * share / 2) * 2) for share in (0.75, 0.5)]
    return [new for new in found if min(new) >= 64 and new != size]


def _flags(change: dict[str, Any]) -> str:
    words = []
    for name, value in change.items():
        if value is not None:
            shown = f"{value[0]}x{value[1]}" if name == "size" else f"{value:g}" if isinstance(value, float) else value
            words.append(f"--{KEYS[name]} {shown}")
    return " ".join(words)
