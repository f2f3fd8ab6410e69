"""What is measured at a point of a scale: one stream, frame by frame, or a crowd of them, each with its threads."""

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache
from statistics import median
from types import TracebackType
from typing import Any, Literal, Self

from allaprima.bench import clips, moving
from allaprima.bench.catalogue import Point
from allaprima.bench.painted import NotPainted, check
from allaprima.realtime import machine
from allaprima.realtime.errors import AllaprimaError
from allaprima.realtime.frame import Frame, StreamInfo
from allaprima.realtime.pipeline import run
from allaprima.realtime.stylizer import Stylizer

Layer = Literal["nets", "engine"]

LEAST, MOST = 3, 200
"""Frames of a trial, however slow or quick the machine."""
WARM_UP = 3
DIFFERENT = 8
"""Frames of the moving scene, seen to and fro."""
SCENE = (640, 360)
"""As it is rendered, once; all sizes show the same, enlarged or reduced, so that they differ in nothing else."""
RATE = 30


@cache
def rendered() -> tuple[Frame, ...]:
    return tuple(clips.frames_of(f"test:landscape?size={clips.text(SCENE)}&rate={RATE}", DIFFERENT))


def scene(size: clips.Size) -> list[Frame]:
    """Frames of a moving landscape at ``size``."""
    return [moving.enlarged(frame, size) for frame in rendered()]


@dataclass(slots=True)
class Trial:
    """Milliseconds a frame, each the median."""

    engine: float
    nets: float
    cores: float
    """Of all cores together: the mean."""


@dataclass(slots=True)
class Subject:
    """A point of a scale that one stream is enough for."""

    x: float
    stylizer: Stylizer
    frames: Sequence[Frame]
    trials: list[Trial] = field(default_factory=list)
    spent: float = 0.0
    """Seconds, in all trials."""
    problem: str = ""

    def warm_up(self) -> None:
        for index in range(WARM_UP):
            self.stylizer(self.frames[swinging(index, len(self.frames))]).landed()

    def measure(self, seconds: float) -> None:
        """One trial; what was painted wrongly is a problem of this point."""
        self.stylizer.forget()
        wholes: list[float] = []
        nets: list[float] = []
        seen: list[tuple[Any, Any]] = []
        used, began = time.process_time(), time.perf_counter()
        while len(wholes) < LEAST or (time.perf_counter() - began < seconds and len(wholes) < MOST):
            frame = self.frames[swinging(len(wholes), len(self.frames))]
            before, start = self._in_nets(), time.perf_counter()
            painted = self.stylizer(frame).landed()
            wholes.append(1000 * (time.perf_counter() - start))
            nets.append(1000 * (self._in_nets() - before))
            seen.append((moving.sample(frame.planes[0]), moving.sample(painted.planes[0])))
        self.spent += time.perf_counter() - began
        cores = 1000 * (time.process_time() - used) / len(wholes)
        # The first frame has no motion and no history.
        self.trials.append(Trial(median(wholes[1:]), median(nets[1:]), cores))
        self.problem = self.problem or wrong(*zip(*seen, strict=True))

    def _in_nets(self) -> float:
        return self.stylizer.stages.totals().get("net", 0.0)

    def point(self, layer: Layer) -> Point:
        best = min(self.trials, key=lambda trial: trial.engine)
        ms = best.engine if layer == "engine" else best.nets
        shown = {"x": self.x, "ms": round(ms, 4), "fps": round(1000 / ms, 3)}
        if layer == "engine":
            shown["core_ms"] = round(best.cores, 3)
        return Point(**shown, invalid=(self.problem,) if self.problem else ())


def wrong(inputs: Sequence[Any], outputs: Sequence[Any]) -> str:
    """Why these outputs are no paintings of these inputs; empty where they are."""
    try:
        check(inputs, outputs)
    except NotPainted as problem:
        return str(problem)
    return ""


def swinging(index: int, count: int) -> int:
    """To and fro, so that motion never jumps."""
    at = index % (2 * count - 2)
    return min(at, 2 * count - 2 - at)


# ---- several streams ----


class Clip:
    """A source at full speed: frames from memory, until its time is over."""

    lost = 0

    def __init__(self, frames: Sequence[Frame], seconds: float) -> None:
        self.notes: list[str] = []
        first = frames[0]
        self.info = StreamInfo("clip", first.size, Fraction(1, RATE), Fraction(RATE), False, first.color)
        self._frames, self._seconds = frames, seconds
        self._stopped = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __iter__(self) -> Iterator[Frame]:
        began = time.perf_counter()
        for index in range(MOST):
            over = index > LEAST and time.perf_counter() - began > self._seconds
            if over or self._stopped.is_set():
                return
            yield replace(self._frames[swinging(index, len(self._frames))], pts=index, index=index)

    def stop(self) -> None:
        self._stopped.set()


class Viewer:
    """A sink that notes when a frame came, and keeps enough of it to see that it was painted."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.seen: list[Any] = []
        self.times: list[float] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def write(self, frame: Frame) -> None:
        self.times.append(time.perf_counter())
        self.seen.append(moving.sample(frame.planes[0]))

    @property
    def fps(self) -> float:
        """From its first frame to its last."""
        return (len(self.times) - 1) / (self.times[-1] - self.times[0])


@dataclass(slots=True)
class Crowd:
    """So many streams in this process, each with threads and an engine of its own, nets shared, as in a show."""

    stylizers: Sequence[Stylizer]
    frames: Sequence[Frame]
    fps: list[float] = field(default_factory=list)
    """Of all streams together, in each trial; they are rates of few frames and err either way."""
    cores: list[float] = field(default_factory=list)
    """Milliseconds of all cores, a frame."""
    rss_mb: float | None = None
    problem: str = ""

    def measure(self, seconds: float) -> None:
        viewers = [Viewer() for _ in self.stylizers]
        errors: list[AllaprimaError] = []

        def main(stylizer: Stylizer, viewer: Viewer) -> None:
            try:
                run(Clip(self.frames, seconds), stylizer, [viewer])
            except AllaprimaError as error:
                errors.append(error)

        used = time.process_time()
        threads = [
            threading.Thread(target=main, args=pair, name=f"stream {number}", daemon=True)
            for number, pair in enumerate(zip(self.stylizers, viewers, strict=True), 1)
        ]
        for stylizer in self.stylizers:
            stylizer.forget()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        used = time.process_time() - used
        if errors:
            raise errors[0]
        self.fps.append(sum(viewer.fps for viewer in viewers))
        self.cores.append(1000 * used / sum(len(viewer.seen) for viewer in viewers))
        if self.rss_mb is None and (held := machine.resident()) is not None:
            self.rss_mb = held / 1e6
        for viewer in viewers:
            given = (self.frames[swinging(index, len(self.frames))] for index in range(len(viewer.seen)))
            self.problem = self.problem or wrong([moving.sample(frame.planes[0]) for frame in given], viewer.seen)

    def point(self) -> Point:
        fps, held = median(self.fps), self.rss_mb
        return Point(
            x=len(self.stylizers),
            ms=round(1000 * len(self.stylizers) / fps, 4),
            fps=round(fps, 3),
            core_ms=round(median(self.cores), 3),
            rss_mb=None if held is None else round(held, 1),
            invalid=(self.problem,) if self.problem else (),
        )
