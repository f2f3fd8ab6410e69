"""What a long run leaves to look at: samples of what the process holds, and times of frames with and without swaps."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from allaprima.bench.results import Bar
from allaprima.realtime import machine
from allaprima.realtime.errors import ConfigError
from allaprima.realtime.pipeline import Progress

SETTLING_SECONDS = 0.5
"""At the beginning of a timed window that are not counted: what came before fades out."""
WARM_UP_SECONDS = 180.0
"""Of a long run, and at most a fourth of any, in which memory may grow: buffers fill, nets are loaded."""
STEPS = ("upload", "finish")
"""The first and the last stage of a frame in the engine."""
MEMORY_BAR = 10.0
"""MB an hour."""
SWAP_BAR = 1.1
CROWDED = 0.25
"""Share of the cores.  The run takes half of them: with so much for other programs, what is dropped may be theirs."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What this process holds at a time."""

    seconds: float
    megabytes: float
    threads: int
    files: int
    flicker: float | None = None


def look(began: float, flicker: float | None = None) -> Sample:
    """Raises `ConfigError` where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        threads, files = len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))
    except OSError as error:
        raise ConfigError("a soak needs /proc, which only Linux has") from error
    megabytes = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    return Sample(time.monotonic() - began, megabytes, threads, files, flicker)


@dataclass(slots=True)
class Windows:
    """Times of frames in the engine at full effort, by the kind of window they fell into."""

    counts: Callable[[], bool]
    kind: str = "rough"
    since: float = 0.0
    times: dict[str, list[float]] = field(default_factory=lambda: {"steady": [], "swaps": []})
    dropped: dict[str, int] = field(default_factory=dict)
    calm: int = 0
    """Timed windows in which other programs took less than `CROWDED`."""
    crowded: int = 0
    """The other timed windows."""
    dropped_calm: int = 0
    """Frames dropped in calm windows."""
    swaps: int = 0
    _begun: dict[int, float] = field(default_factory=dict)

    def __call__(self, stage: str, start: float, seconds: float, frame: int) -> None:
        """To be told of every stage, in the thread that did it."""
        if stage == STEPS[0]:
            self._begun = {frame: start}
        elif stage == STEPS[1] and frame in self._begun:
            began = self._begun.pop(frame)
            if self.kind in self.times and began - self.since > SETTLING_SECONDS and self.counts():
                self.times[self.kind].append(start + seconds - began)

    def end(self, dropped: int, others: float | None) -> None:
        """A window is over, in which so many frames were dropped and other programs took so many cores."""
        self.dropped[self.kind] = self.dropped.get(self.kind, 0) + dropped
        if self.kind not in self.times:
            return
        if others is not None and others >= CROWDED * machine.cores():
            self.crowded += 1
        else:
            self.calm += 1
            self.dropped_calm += dropped

    @property
    def dropped_timed(self) -> int:
        """Frames dropped in timed windows, calm or not."""
        return sum(self.dropped.get(kind, 0) for kind in self.times)

    def p99(self, kind: str) -> float:
        return 1000 * float(np.quantile(self.times[kind], 0.99)) if self.times[kind] else float("nan")


@dataclass(frozen=True, slots=True)
class Soaked:
    """What came of a run."""

    seconds: float
    """As planned."""
    rate: float
    progress: Progress
    windows: Windows
    samples: list[Sample]
    connections: int
    guests: int
    other_load: float | None

    @property
    def settled(self) -> list[Sample]:
        """The samples after the warm-up."""
        begin = min(WARM_UP_SECONDS, self.seconds / 4)
        return [sample for sample in self.samples if sample.seconds >= begin]

    def per_hour(self, what: str) -> float:
        """`grown` by the time between the middles of those thirds; 0 for a single sample."""
        seconds = self.grown("seconds")
        return 3600 * self.grown(what) / seconds if seconds else 0.0

    def grown(self, what: str) -> float:
        """The median of the last third over that of the first: one more for a moment is no leak.

        In half an hour each third has seen every event and every size of the camera, three minutes apart.  What they
        need beside each other is a saw-tooth, and a line fitted to one has a slope though nothing grows.
        """
        values = [getattr(sample, what) for sample in self.settled]
        third = max(1, len(values) // 3)
        return float(median(values[-third:]) - median(values[:third])) if values else 0.0

    @property
    def ratio(self) -> float:
        return self.windows.p99("swaps") / self.windows.p99("steady")

    @property
    def bars(self) -> list[Bar]:
        windows = self.windows
        dropped = windows.dropped_calm if windows.calm else windows.dropped_timed
        return [
            Bar("memory, MB an hour", self.per_hour("megabytes"), MEMORY_BAR, False),
            Bar("threads more at the end", self.grown("threads"), 0, False),
            Bar("open files more at the end", self.grown("files"), 0, False),
            Bar("p99 with swaps / without", self.ratio, SWAP_BAR, False),
            Bar("frames dropped in calm timed windows", dropped, 0, False),
        ]

    def as_json(self) -> dict[str, Any]:
        progress, windows = self.progress, self.windows
        return {
            "seconds": round(progress.seconds, 1),
            "rate": round(self.rate, 2),
            "frames": progress.painted,
            "dropped": {"before": progress.dropped_in, "after": progress.dropped_out, "by_window": windows.dropped},
            "windows": {"calm": windows.calm, "crowded": windows.crowded, "dropped_calm": windows.dropped_calm},
            "swaps": windows.swaps,
            "frame_ms": {
                kind: {"frames": len(times), "p50": _ms(times, 0.5), "p99": _ms(times, 0.99)}
                for kind, times in windows.times.items()
            },
            "returns": {"source": progress.source_returns, "sink": progress.sink_returns},
            "connections": self.connections,
            "guests": self.guests,
            "passed": progress.passed,
            "failures": progress.failures,
            "steps_of_the_governor": progress.steps,
            "flicker": progress.flicker.overall,
            "per_hour": {what: round(self.per_hour(what), 2) for what in ("megabytes", "threads", "files")},
            "samples": [
                [round(each.seconds, 1), round(each.megabytes, 1), each.threads, each.files, each.flicker]
                for each in self.samples
            ],
            "bars": [bar.as_json() for bar in self.bars],
            "other_load_cores": self.other_load,
        }  # fmt: skip


def _ms(times: Sequence[float], share: float) -> float | None:
    return round(1000 * float(np.quantile(times, share)), 3) if times else None
