"""A trace of every frame: which thread worked on it, when and how long, as Perfetto and chrome://tracing show it.

The file is the JSON array form of the Trace Event Format ("Trace Event Format", Google, 2016): metadata ("M") names
processes and threads, complete events ("X") are stages, flows ("s", "t", "f") join the stages of one frame across
threads, counters ("C") show what waits and what was dropped.  Times are microseconds.
"""

import contextlib
import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from allaprima.realtime.errors import ConfigError, SinkError
from allaprima.realtime.metrics import NO_FRAME, Stages, Watch
from allaprima.realtime.pipeline import Progress

SECONDS = 30.0
"""How far back a trace goes."""
LONGEST = 600.0
EVENTS_PER_SECOND = 2000
"""Events kept for each second at the most: 15 a frame at 130 frames a second.  An event takes about 200 bytes."""
ORDER = ("source", "engine", "finisher", "sink")
"""Rows from above to below; others follow."""
CATEGORY = "frame"


@dataclass(frozen=True, slots=True)
class Event:
    """One stage of one frame."""

    process: int
    thread: threading.Thread
    stage: str
    start: float
    """By `time.perf_counter`."""
    seconds: float
    frame: int
    """Index of the frame, or -1."""


@dataclass(frozen=True, slots=True)
class _Count:
    process: int
    name: str
    time: float
    values: dict[str, float]


class Trace:
    """Remembers what happened in the last ``seconds``.  Any thread may add, any may read."""

    def __init__(self, seconds: float = SECONDS) -> None:
        _check_length(seconds)
        self.seconds = seconds
        most = int(EVENTS_PER_SECOND * max(seconds, 1.0))
        self._events: deque[Event] = deque(maxlen=most)
        self._counts: deque[_Count] = deque(maxlen=most)
        self._last: dict[tuple[int, str], dict[str, float]] = {}
        self._processes: list[str] = []

    def process(self, name: str) -> int:
        """A new group of rows: one stream."""
        self._processes.append(name)
        return len(self._processes) - 1

    def watch(self, process: int) -> Watch:
        """What `Stages.watch` is to be for a stream."""
        add = self._events.append

        def note(stage: str, start: float, seconds: float, frame: int) -> None:
            add(Event(process, threading.current_thread(), stage, start, seconds, frame))

        return note

    def follow(self, process: int, stages: Stages) -> None:
        """Note every stage from now on; ``stages.watch = None`` ends it."""
        stages.watch = self.watch(process)

    def count(self, process: int, name: str, values: Mapping[str, float]) -> None:
        """Note numbers that change: a curve each.  Those that have not changed are not noted again."""
        now = dict(values)
        if self._last.get((process, name)) != now:
            self._last[process, name] = now
            self._counts.append(_Count(process, name, time.perf_counter(), now))

    def sample(self, process: int, progress: Progress) -> None:
        """Note what waits between the threads of a run, and what it has lost."""
        waiting = {name: float(len(mailbox)) for name, mailbox in progress.mailboxes.items()}
        self.count(process, "waiting", waiting)
        self.count(process, "dropped", {"before": progress.dropped_in, "after": progress.dropped_out})
        self.count(process, "effort", {"step": progress.effort})

    def events(self) -> list[Event]:
        """What was noted in the last ``seconds``, in the order of its beginning."""
        found = sorted(self._events.copy(), key=lambda event: event.start)
        since = max((event.start + event.seconds for event in found), default=0.0) - self.seconds
        return [event for event in found if event.start >= since]

    def document(self) -> list[dict[str, Any]]:
        """The events of the file."""
        events = self.events()
        began = events[0].start if events else 0.0
        rows = _rows(events)
        counts = [entry for entry in self._counts.copy() if entry.time >= began]
        return [
            *self._names(rows),
            *_stages(events, rows, began),
            *_flows(events, rows, began),
            *_counters(counts, began),
        ]

    def _names(self, rows: Mapping[threading.Thread, int]) -> Iterable[dict[str, Any]]:
        for process, name in enumerate(self._processes):
            yield _meta("process_name", process, 0, {"name": f"allaprima {name}"})
            yield _meta("process_sort_index", process, 0, {"sort_index": process})
        processes = {event.thread: event.process for event in self._events.copy()}
        for thread, row in rows.items():
            yield _meta("thread_name", processes[thread], row, {"name": role(thread)})
            yield _meta("thread_sort_index", processes[thread], row, {"sort_index": row})

    def write(self, file: Path) -> None:
        """Write the file, all of it or nothing.  Raises `SinkError`."""
        part = file.with_name(f".{file.name}.part")
        try:
            try:
                part.write_text(text(self.document()), encoding="utf-8")
                os.replace(part, file)
            finally:
                part.unlink(missing_ok=True)
        except OSError as error:
            raise SinkError(f"cannot write the trace {file}: {error.strerror or error}") from error


@contextmanager
def of_run(file: Path | None, seconds: float, name: str, stages: Stages) -> Iterator[Callable[[Progress], None]]:
    """Gives what is to be called after each frame; at the end, whatever it is, the trace is in ``file``.

    Without a file nothing is noted.  Raises `SinkError` when writing fails.
    """
    if file is None:
        yield lambda progress: None
        return
    trace = Trace(seconds)
    process = trace.process(name)
    trace.follow(process, stages)
    try:
        yield lambda progress: trace.sample(process, progress)
    except BaseException:
        with contextlib.suppress(SinkError):  # the error is the news
            trace.write(file)
        raise
    finally:
        stages.watch = None
    trace.write(file)


def check(file: Path | None, seconds: float) -> None:
    """Raises `ConfigError` where no trace could be written, or something else would be lost."""
    _check_length(seconds)
    if file is None:
        return
    if file.suffix != ".json":
        raise ConfigError(f"a trace is JSON, and {file} is not called so", f"For example: --trace {file.stem}.json")
    if not file.parent.is_dir():
        raise ConfigError(f"there is no folder {file.parent} for the trace", f"Make it first: mkdir -p {file.parent}")


def _check_length(seconds: float) -> None:
    if not 0 < seconds <= LONGEST:
        raise ConfigError(f"a trace of {seconds:g} s cannot be", f"Give more than 0 and at most {LONGEST:g} seconds.")


def text(document: list[dict[str, Any]]) -> str:
    """The JSON of a document, an event a line."""
    lines = ",\n".join(json.dumps(event, separators=(",", ":")) for event in document)
    return f"[\n{lines}\n]\n" if lines else "[]\n"


def role(thread: threading.Thread) -> str:
    """What a thread does: the engine is the thread that called `run`, or that of a live stream."""
    is_engine = thread is threading.main_thread() or thread.name.startswith(("stream ", "painter"))
    return "engine" if is_engine else thread.name


def _rows(events: list[Event]) -> dict[threading.Thread, int]:
    """Thread to row, from 1, in the order of a frame's way."""
    threads = dict.fromkeys(event.thread for event in events)
    place = {name: number for number, name in enumerate(ORDER)}
    ordered = sorted(threads, key=lambda thread: place.get(role(thread), len(ORDER)))
    return {thread: number for number, thread in enumerate(ordered, 1)}


def _meta(name: str, process: int, row: int, args: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "ph": "M", "ts": 0, "pid": process + 1, "tid": row, "args": args}


def _micro(seconds: float) -> float:
    return round(1e6 * seconds, 1)


def _stages(events: list[Event], rows: Mapping[threading.Thread, int], began: float) -> Iterable[dict[str, Any]]:
    for event in events:
        told: dict[str, Any] = {"name": event.stage, "cat": CATEGORY, "ph": "X", "ts": _micro(event.start - began)}
        told |= {"dur": _micro(event.seconds), "pid": event.process + 1, "tid": rows[event.thread]}
        if event.frame != NO_FRAME:
            told["args"] = {"frame": event.frame}
        yield told


def _flows(events: list[Event], rows: Mapping[threading.Thread, int], began: float) -> Iterable[dict[str, Any]]:
    """An arrow wherever a frame goes from one thread to the next."""
    ways: dict[tuple[int, int], list[Event]] = {}
    for event in events:
        if event.frame != NO_FRAME:
            ways.setdefault((event.process, event.frame), []).append(event)
    for (process, frame), way in ways.items():
        for before, after in pairwise(way):
            if before.thread is after.thread:
                continue
            arrow = {
                "name": "frame",
                "cat": CATEGORY,
                "id": f"{process}.{frame}.{rows[after.thread]}",
                "pid": process + 1,
            }
            middle = before.start + before.seconds / 2
            yield arrow | {"ph": "s", "ts": _micro(middle - began), "tid": rows[before.thread]}
            yield arrow | {"ph": "f", "bp": "e", "ts": _micro(after.start - began), "tid": rows[after.thread]}


def _counters(counts: Iterable[_Count], began: float) -> Iterable[dict[str, Any]]:
    for entry in counts:
        yield {
            "name": entry.name, "ph": "C", "ts": _micro(entry.time - began), "pid": entry.process + 1, "tid": 0,
            "args": entry.values,
        }  # fmt: skip
