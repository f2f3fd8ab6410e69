"""Several streams in one process: a config with ``[[stream]]`` tables, each painted by a job of its own.

Streams share the model and nothing else: each has its source, engine, sinks and errors, and a failing one does not
stop the others.  Their engines run freely, which is fair as it is: taking turns at the net, in order of arrival, cost a
tenth of the frames (two streams on two cores).
"""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from allaprima.realtime import capacity, logs, report, stats, trace
from allaprima.realtime.config import KEYS, STREAMS, Config, read, validated
from allaprima.realtime.errors import AllaprimaError, ConfigError
from allaprima.realtime.job import Failed, Job
from allaprima.realtime.pipeline import Progress
from allaprima.realtime.report import BAR_SECONDS, LINE_SECONDS, OnFrame, Outcome
from allaprima.realtime.steering import Stop

OF_ALL = ("json", "quiet", "stats", "log", "log-level", "trace", "trace-seconds")
"""Keys that are about the process: not for one stream."""
STOPPED = 130
POLL = 0.1
"""Seconds after which the main thread looks up."""
logger = logging.getLogger("allaprima.show")


@dataclass(frozen=True, slots=True)
class Part:
    """One ``[[stream]]``."""

    name: str
    source: str
    output: str
    config: Config
    most_fps: float | None = None
    """It takes no more of the machine than so many frames a second."""


@dataclass(slots=True)
class Running:
    """A part while it runs; written by its own thread only."""

    part: Part
    job: Job
    stop: Stop = field(default_factory=Stop)
    progress: Progress | None = None
    outcome: Outcome | None = None
    error: AllaprimaError | None = None
    thread: threading.Thread | None = None
    note: OnFrame = lambda progress: None
    rates: stats.Rates = field(default_factory=stats.Rates)
    pace: report.Pace = field(default_factory=report.Pace)


@dataclass(frozen=True, slots=True)
class Result:
    """How a part ended."""

    part: Part
    outcome: Outcome | None
    error: AllaprimaError | None

    @property
    def exit_code(self) -> int:
        if self.error is not None:
            return self.error.exit_code
        return STOPPED if self.outcome is None or self.outcome.interrupted else 0


# ---- the config ----


def parts(file: Path, flags: Mapping[str, Any]) -> tuple[Config, list[Part]]:
    """The settings of the whole process, and the streams: global keys < a stream's keys < ``flags``.

    Raises `ConfigError` with the number of the table that is wrong.
    """
    settings = read(file)
    tables = settings.pop(STREAMS, None)
    given = {KEYS[name]: value for name, value in flags.items() if value is not None and value != []}
    if not (isinstance(tables, list) and tables and all(isinstance(table, dict) for table in tables)):
        raise ConfigError(
            f"{file} has no [[stream]] table, and there is no IN and OUT",
            "See: allaprima run --help; or write [[stream]] tables with in = ... and out = ...",
        )
    found: list[Part] = []
    for number, table in enumerate(tables, 1):
        where = f"{file}: stream {number}"
        if stray := next((key for key in table if key in OF_ALL), None):
            raise ConfigError(f"{where}: {stray} is for all streams", f"Write {stray} above the first [[stream]].")
        own = dict(table)
        name, ends = str(own.pop("name", number)), [own.pop(key, None) for key in ("in", "out")]
        most = own.pop("most-fps", None)
        if not (most is None or (isinstance(most, int | float) and most > 0)):
            raise ConfigError(f"{where}: most-fps must be above 0, not {most!r}", "Frames a second: most-fps = 15.")
        if not all(isinstance(end, str) and end for end in ends):
            raise ConfigError(f"{where}: in and out are needed", 'For example: in = "camera:0" and out = "window:".')
        found.append(Part(name, ends[0], ends[1], validated(settings | own | given, where), most))
    _check_names(file, found)
    return validated(settings | given, str(file)), found


def _check_names(file: Path, found: Sequence[Part]) -> None:
    names: dict[str, int] = {}
    outputs: dict[Path, int] = {}
    for number, part in enumerate(found, 1):
        if (first := names.setdefault(part.name, number)) != number:
            raise ConfigError(f"{file}: streams {first} and {number} have the same name", "Give each its own.")
        place = report.output_path(part.output)
        if not part.output.startswith("null:") and (first := outputs.setdefault(place, number)) != number:
            raise ConfigError(f"{file}: streams {first} and {number} have the same out", "Give each its own.")


# ---- the run ----


def run(config: Config, wanted: Sequence[Part], stop: Stop, force: bool = False) -> list[Result]:
    """Paint all of them until the last has ended; the results in the order of ``wanted``.

    Raises `ConfigError` before anything starts for settings that cannot be, and, without ``force``, for more live
    streams than the machine can paint even at the least effort.
    """
    trace.check(config.trace, config.trace_seconds)
    failed, running = _open(wanted)
    with ExitStack() as open_jobs:
        for one in running:
            open_jobs.callback(one.job.close)
        if not force:
            _admit(running)
        open_jobs.pop_all()
    with _traced(config, running), _told(config, running), _display(config, running) as draw:
        try:
            _paint(running, stop, draw)
        except KeyboardInterrupt:
            for one in running:
                one.job.clear()
            raise
    done = {one.part.name: Result(one.part, one.outcome, one.error) for one in running}
    done |= {part.name: Result(part, None, error) for part, error in failed}
    return [done[part.name] for part in wanted]


def _open(wanted: Sequence[Part]) -> tuple[list[tuple[Part, AllaprimaError]], list[Running]]:
    """What a user wrote wrong ends it all; an input or output that cannot be opened ends its stream only."""
    failed: list[tuple[Part, AllaprimaError]] = []
    running: list[Running] = []
    with ExitStack() as open_jobs:
        for part in wanted:
            stop = Stop()
            try:
                job = Job(part.source, part.output, part.config, stop)
            except ConfigError as error:
                raise type(error)(f"stream {part.name}: {error}", error.hint) from error
            except AllaprimaError as error:
                failed.append((part, error))
                _report(part, error)
                continue
            open_jobs.callback(job.close)
            running.append(Running(part, job, stop))
        open_jobs.pop_all()
    return failed, running


def _admit(running: Sequence[Running]) -> None:
    live = [one for one in running if one.job.info.live]
    if len(live) < 2:
        return
    cost = capacity.probe(live[0].part.config.bundle, live[0].part.config.backend)
    if cost is None:
        return  # it could not be measured
    loads = [cost.load(one.job.info.size, float(one.job.info.rate or capacity.USUAL_RATE)) for one in live]
    if reason := capacity.refusal(loads[:-1], loads[-1]):
        raise ConfigError(reason, "Paint fewer streams, smaller ones (size), or start all the same with --force.")


def _paint(running: Sequence[Running], stop: Stop, show: Callable[[], None]) -> None:
    for one in running:
        one.thread = threading.Thread(target=_main, args=(one,), name="engine", daemon=True)
        one.thread.start()
    told = False
    while any(one.thread is not None and one.thread.is_alive() for one in running):
        if stop.event.wait(POLL) and not told:
            told = True
            for one in running:
                one.stop.signalled = True
                one.stop.event.set()
        if told:
            time.sleep(POLL)  # the event no longer makes it wait
        show()


def _main(one: Running) -> None:
    due = time.monotonic()

    def on_frame(progress: Progress) -> None:
        nonlocal due
        one.progress = progress
        one.note(progress)
        if one.part.most_fps is not None:
            due = max(due + 1 / one.part.most_fps, time.monotonic())
            one.stop.event.wait(due - time.monotonic())

    extra = {"stream": one.part.name}
    logger.info("stream %s: painting %s", one.part.name, one.job.info.name, extra=extra)
    try:
        one.outcome = one.job.paint(on_frame)
    except AllaprimaError as error:
        one.error = error
        one.outcome = error.outcome if isinstance(error, Failed) else None
    except KeyboardInterrupt:
        pass  # stopped before its first frame
    except Exception as error:  # a thread's main: the other streams go on
        hint = "That is a fault of ours: --log-level debug shows where."
        one.error = AllaprimaError(f"{type(error).__name__}: {error}", hint)
        logger.debug("stream %s", one.part.name, exc_info=True, extra=extra)
    if one.error is not None:
        _report(one.part, one.error)
    else:
        logger.info("stream %s: done", one.part.name, extra=extra)


def _report(part: Part, error: AllaprimaError) -> None:
    message = f"stream {part.name}: {error}"
    logger.error("%s", message, extra={"stream": part.name, "error": str(error), "figures": {"hint": error.hint}})


# ---- what is told ----


@contextmanager
def _traced(config: Config, running: Sequence[Running]) -> Iterator[None]:
    """One trace of all streams, each a group of rows."""
    if config.trace is None:
        yield
        return
    found = trace.Trace(config.trace_seconds)
    for one in running:
        process = found.process(one.part.name)
        found.follow(process, one.job.stylizer.stages)
        one.note = partial(found.sample, process)
    try:
        yield
    finally:
        found.write(config.trace)


@contextmanager
def _told(config: Config, running: Sequence[Running]) -> Iterator[None]:
    if not config.stats:
        yield
        return

    def look() -> list[tuple[str, Mapping[str, Any]]]:
        going = [one for one in running if one.outcome is None and one.error is None]
        return [(one.part.name, stats.figures(one.progress, one.rates)) for one in going]

    with stats.every_second(look):
        yield


@contextmanager
def _display(config: Config, running: Sequence[Running]) -> Iterator[Callable[[], None]]:
    """Gives what draws: a line for each stream, at once on a terminal, else every few seconds."""
    console = Console(stderr=True)
    if config.quiet or config.stats or logs.as_objects():
        yield lambda: None
    elif console.is_terminal:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            draw = partial(live.update, refresh=True)
            yield _paced(BAR_SECONDS, lambda: draw(Text("\n".join(_lines(running)), no_wrap=True)))
    else:
        yield _paced(LINE_SECONDS, lambda: print(*_lines(running), sep="\n", file=sys.stderr, flush=True))


def _paced(seconds: float, draw: Callable[[], None]) -> Callable[[], None]:
    due = [time.monotonic() + min(seconds, 1.0)]

    def show() -> None:
        if time.monotonic() >= due[0]:
            due[0] = time.monotonic() + seconds
            draw()

    return show


def _lines(running: Sequence[Running]) -> list[str]:
    width = max(len(one.part.name) for one in running)
    return [f"{one.part.name:{width}}  {_line(one)}" for one in running]


def _line(one: Running) -> str:
    if one.error is not None:
        return "failed"
    if one.outcome is not None:
        return f"done, {one.outcome.progress.painted} frames"
    return "no frame yet" if one.progress is None else report.line(one.progress, *one.pace.look(one.progress))


def summary(results: Sequence[Result]) -> str:
    """The end of all streams, one after the other."""
    blocks: list[str] = []
    for result in results:
        told = [] if result.outcome is None else [report.summary(result.outcome)]
        told += [] if result.error is None else [f"failed: {result.error}"]
        blocks.append(f"[{result.part.name}] " + "\n".join(told or ["stopped before its first frame"]))
    return "\n".join(blocks)


def as_json(results: Sequence[Result]) -> dict[str, Any]:
    """The same for machines."""
    streams = []
    for result in results:
        told: dict[str, Any] = {"name": result.part.name, "exit_code": result.exit_code}
        if result.outcome is not None:
            told |= report.as_json(result.outcome)
        if result.error is not None:
            told |= {"ok": False, "error": str(result.error), "hint": result.error.hint}
        streams.append(told)
    return {"ok": not any(result.exit_code for result in results), "streams": streams}
