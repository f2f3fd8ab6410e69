"""``--stats``: a line a second on how a stream fares, whether frames come or not."""

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from allaprima.realtime import logs
from allaprima.realtime.pipeline import Progress
from allaprima.realtime.report import OnFrame, latency, stage_line

if TYPE_CHECKING:
    from allaprima.realtime.live.control import Stats

SECONDS = 1.0
logger = logging.getLogger("allaprima.stats")


class Rates:
    """Frames a second and milliseconds of each stage between two looks, by the clock: 0 where nothing moves."""

    def __init__(self) -> None:
        self._time, self._painted = time.monotonic(), 0
        self._totals: dict[str, float] = {}

    def look(self, progress: Progress) -> tuple[float, dict[str, float]]:
        now, painted, totals = time.monotonic(), progress.painted, progress.stages.totals()
        frames = painted - self._painted
        fps = frames / max(now - self._time, 1e-6)
        stages = {name: 1000 * (spent - self._totals.get(name, 0.0)) / max(frames, 1) for name, spent in totals.items()}
        self._time, self._painted, self._totals = now, painted, totals
        return fps, stages if frames else {}


def figures(progress: Progress | None, rates: Rates) -> dict[str, Any]:
    """What a line tells of a run; before the first frame that there was none."""
    if progress is None:
        return {"frames": 0, "fps": 0.0}
    fps, stages = rates.look(progress)
    told: dict[str, Any] = {
        "frames": progress.painted,
        "fps": round(fps, 2),
        "stage_ms": {name: round(spent, 2) for name, spent in stages.items()},
        "dropped": progress.dropped_in + progress.dropped_out,
        "held": progress.held,
        "effort": progress.effort,
        "effort_name": progress.effort_name,
    }
    if (late := latency(progress)) is not None:
        told["latency_ms"] = late
    if progress.problem:
        told["error"] = progress.problem
    if (flicker := progress.flicker.now) is not None:
        told["flicker"] = round(flicker, 5)
    return told


def of_live(stats: "Stats") -> dict[str, Any]:
    """The same of a live stream."""
    told: dict[str, Any] = {
        "frames": stats.frames_painted,
        "fps": round(stats.fps_painted, 2),
        "fps_in": round(stats.fps_in, 2),
        "stage_ms": {name: round(spent, 2) for name, spent in stats.stages_ms.items()},
        "dropped": stats.dropped,
        "held": stats.held,
        "effort": stats.effort,
        "effort_name": stats.effort_name,
    }
    if stats.latency_ms is not None:
        told["latency_ms"] = {"p50": round(stats.latency_ms.p50, 1), "p95": round(stats.latency_ms.p95, 1)}
    if stats.flicker is not None:
        told["flicker"] = round(stats.flicker, 5)
    return told | ({"error": stats.problem} if stats.problem else {})


def line(told: Mapping[str, Any]) -> str:
    """The figures as a person reads them."""
    parts = [f"{told['fps']:.1f} fps", f"frame {told['frames']}"]
    if stages := told.get("stage_ms"):
        parts.append(stage_line(stages))
    parts += [f"{name} {told[name]}" for name in ("dropped", "held") if name in told]
    if late := told.get("latency_ms"):
        parts.append(f"latency {late['p50']:.0f}/{late['p95']:.0f} ms")
    if "flicker" in told:
        parts.append(f"flicker {told['flicker']:.4f}")
    if told.get("effort"):
        parts.append(f"effort step {told['effort']}" + (f": {told['effort_name']}" if told.get("effort_name") else ""))
    if "error" in told:
        parts.append(f"problem: {told['error']}")
    return "  ".join(parts)


def tell(told: Mapping[str, Any], name: str = "") -> None:
    """Write the line, or a log record where standard error carries JSON."""
    if logs.as_objects():
        logger.info("stats", extra={"stream": name or None, "figures": dict(told)})
    else:
        print(f"{name}: {line(told)}" if name else f"stats  {line(told)}", file=sys.stderr, flush=True)


@contextmanager
def every_second(look: Callable[[], Sequence[tuple[str, Mapping[str, Any]]]]) -> Iterator[None]:
    """While inside, `tell` what ``look`` finds, by names of streams, once a second, from a thread of its own."""
    ended = threading.Event()

    def main() -> None:
        while not ended.wait(SECONDS):
            for name, told in look():
                tell(told, name)

    thread = threading.Thread(target=main, name="stats", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(SECONDS)


@contextmanager
def of_run(wanted: bool) -> Iterator[OnFrame]:
    """Gives what is to be called after each frame; tells once a second if ``wanted``."""
    last: list[Progress] = []
    rates = Rates()

    def on_frame(progress: Progress) -> None:
        if not last:
            last.append(progress)  # it is one object, which changes

    if not wanted:
        yield lambda progress: None
        return
    with every_second(lambda: [("", figures(last[0] if last else None, rates))]):
        yield on_frame
