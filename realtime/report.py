"""What a run tells: a bar or lines while it goes, a summary or a JSON object at its end."""

import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from allaprima.realtime.metrics import Transfers
from allaprima.realtime.pipeline import Progress

BAR_SECONDS, LINE_SECONDS = 0.2, 5.0
"""How often to tell: on a terminal, and anywhere else."""
WINDOW = 10
"""Looks over which the current speed is taken."""

OnFrame = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run that is over, with or without an error."""

    progress: Progress
    source: str
    output: str
    bytes: int | None
    """Size of the output, if it is a file."""
    size: tuple[int, int]
    style: str
    strength: float
    steadiness: float
    video_seconds: float
    """Length of what was painted."""
    interrupted: bool = False
    """Ended by a signal."""
    transfers: Transfers | None = None
    """Bytes of pictures between host and device; None where the pictures never leave the host."""

    @property
    def speed(self) -> float:
        """Times real time."""
        return self.video_seconds / self.progress.seconds if self.progress.seconds else 0.0


class Pace:
    """Frames per second and milliseconds of each stage, over the last few looks."""

    def __init__(self) -> None:
        self._looks: deque[tuple[float, int, dict[str, float]]] = deque(maxlen=WINDOW)

    def look(self, progress: Progress) -> tuple[float, dict[str, float]]:
        self._looks.append((progress.seconds, progress.painted, progress.stages.totals()))
        (then, had, before), (now, has, totals) = self._looks[0], self._looks[-1]
        if has == had:
            return progress.fps, {}
        stages = {name: 1000 * (spent - before.get(name, 0)) / (has - had) for name, spent in totals.items()}
        return (has - had) / (now - then), stages


@contextmanager
def display(quiet: bool = False) -> Iterator[OnFrame]:
    """Gives what is to be called after each frame: a bar on a terminal, else a line every few seconds."""
    console = Console(stderr=True)
    if quiet:
        yield lambda progress: None
    elif console.is_terminal:
        with Live(console=console, auto_refresh=False, transient=True) as live:
            yield _every(BAR_SECONDS, lambda progress, *pace: live.update(_bar(progress, *pace), refresh=True))
    else:
        yield _every(LINE_SECONDS, lambda progress, *pace: print(line(progress, *pace), file=sys.stderr, flush=True))


def all_of(*listeners: OnFrame) -> OnFrame:
    """One listener that tells all of them."""

    def on_frame(progress: Progress) -> None:
        for listener in listeners:
            listener(progress)

    return on_frame


def _every(seconds: float, show: Callable[[Progress, float, dict[str, float]], None]) -> OnFrame:
    pace, due = Pace(), [time.monotonic() + min(seconds, 1.0)]

    def on_frame(progress: Progress) -> None:
        if time.monotonic() >= due[0]:
            due[0] = time.monotonic() + seconds
            show(progress, *pace.look(progress))

    return on_frame


def line(progress: Progress, fps: float, stages: dict[str, float]) -> str:
    """How far it is, in one line."""
    total = "" if progress.total is None else f"/{progress.total}"
    done = progress.painted + progress.resumed
    parts = [f"frame {done}{total}", f"{fps:.1f} fps"]
    if progress.total and fps:
        parts.append(f"eta {clock(max(progress.total - done, 0) / fps)}")
    if progress.dropped_in + progress.dropped_out:
        parts.append(f"{progress.dropped_in + progress.dropped_out} dropped")
    if progress.effort:
        parts.append(f"step {progress.effort}: {progress.effort_name}")
    if (flicker := progress.flicker.now) is not None:
        parts.append(f"flicker {flicker:.4f}")
    return "  ".join([*parts, *([stage_line(stages)] if stages else [])])


def _bar(progress: Progress, fps: float, stages: dict[str, float]) -> Group:
    row = Table.grid(padding=(0, 2), expand=True)
    row.add_column(ratio=1)
    row.add_column(no_wrap=True)
    bar = ProgressBar(total=progress.total, completed=progress.painted + progress.resumed, pulse=progress.total is None)
    row.add_row(bar, Text(line(progress, fps, {})))
    return Group(row, Text(stage_line(stages), style="dim", no_wrap=True))


def stage_line(stages: dict[str, float]) -> str:
    return " ".join(f"{name} {spent:.1f}" for name, spent in stages.items()) + " ms" if stages else ""


def clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def output_path(uri: str) -> Path:
    """The file that an output names, if it names one."""
    return Path(os.path.realpath(uri.removeprefix("file:").removeprefix("//")))


def file_size(uri: str) -> int | None:
    path = output_path(uri)
    return path.stat().st_size if path.is_file() else None


def summary(outcome: Outcome) -> str:
    """The end of a run on one screen."""
    progress, memory = outcome.progress, peak_memory()
    width, height = outcome.size
    size = "" if outcome.bytes is None else f"  {file_weight(outcome.bytes)}"
    dropped = progress.dropped_in + progress.dropped_out
    rows = [
        ("output", f"{outcome.output}{size}  {width}x{height}"),
        ("style", f"{outcome.style}  strength {outcome.strength:g}  steadiness {outcome.steadiness:g}"),
        ("frames", f"{progress.painted} painted, {progress.lost} lost, {dropped} dropped"),
        ("time", f"{outcome.video_seconds:.2f} s of video in {progress.seconds:.2f} s"),
        ("speed", f"{progress.fps:.1f} fps, {outcome.speed:.2f} x real time"),
        ("start", f"first frame after {progress.first_frame:.2f} s"),
        ("stages", f"{stage_line(progress.stages.milliseconds())} a frame"),
        *([] if progress.flicker.overall is None else [("flicker", f"{progress.flicker.overall:.4f} (0 is none)")]),
        *([] if outcome.transfers is None else [("transfers", per_frame(outcome.transfers, progress.painted))]),
        *incidents(progress),
        ("memory", "unknown" if memory is None else f"{memory / 1e6:.0f} MB at the most"),
        *(("note", note) for note in progress.notes),
    ]
    end = "stopped" if progress.stopped else "done"
    return "\n".join([end, *(f"  {name:7} {value}" for name, value in rows)])


def incidents(progress: Progress) -> Iterator[tuple[str, str]]:
    """What a live run had to do to go on; nothing where all went well."""
    if progress.resumed:
        yield "resumed", f"{progress.resumed} frames were there from an earlier run"
    if (late := latency(progress)) is not None:
        yield "latency", f"{late['p50']:.0f} ms, of 95 % of the frames at most {late['p95']:.0f} ms"
    if progress.held or progress.surplus or progress.skipped:
        skew = "" if progress.skew is None else f", pictures {1000 * progress.skew:+.0f} ms behind their sound"
        yield "pacing", f"{progress.held} frames held, {progress.surplus} too many, {progress.skipped} ticks late{skew}"
    if progress.steps:
        yield "effort", f"changed {progress.steps} times, at the end {progress.effort_name or progress.effort}"
    if progress.failures:
        now = progress.problem or "mended"
        yield "unpainted", f"{progress.passed} frames after {progress.failures} failures: {now}"
    if progress.source_returns or progress.sink_returns or progress.unsent:
        back = f"input {progress.source_returns} times, output {progress.sink_returns} times"
        yield "back", f"{back}; {progress.unsent} frames unsent"


def latency(progress: Progress) -> dict[str, float] | None:
    """Milliseconds from capture until written, of the last frames of a live source."""
    middle, late = progress.delay.quantile(0.5), progress.delay.quantile(0.95)
    return None if middle is None or late is None else {"p50": round(1000 * middle, 1), "p95": round(1000 * late, 1)}


def per_frame(transfers: Transfers, frames: int) -> str:
    """How much went to the device and came from it."""
    up, down = (count / max(frames, 1) for count in (transfers.to_device, transfers.to_host))
    return f"{_weight(up)} up, {_weight(down)} down a frame"


def _weight(count: float) -> str:
    return f"{count:.0f} B" if count < 1e3 else file_weight(count)


def file_weight(count: float) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


def as_json(outcome: Outcome) -> dict[str, Any]:
    """The same for machines."""
    progress = outcome.progress
    return {
        "ok": True,
        "version": version("allaprima"),
        "input": outcome.source,
        "output": outcome.output,
        "bytes": outcome.bytes,
        "size": list(outcome.size),
        "style": outcome.style,
        "strength": outcome.strength,
        "steadiness": outcome.steadiness,
        "stopped": progress.stopped,
        "frames": progress.painted,
        "lost": progress.lost,
        "dropped": {"before": progress.dropped_in, "after": progress.dropped_out},
        "video_seconds": round(outcome.video_seconds, 6),
        "seconds": round(progress.seconds, 3),
        "fps": round(progress.fps, 2),
        "times_real_time": round(outcome.speed, 3),
        "first_frame_seconds": round(progress.first_frame, 3),
        "stage_ms": {name: round(spent, 3) for name, spent in progress.stages.milliseconds().items()},
        "latency_ms": latency(progress),
        "effort": {"step": progress.effort, "name": progress.effort_name, "changes": progress.steps},
        "pacing": {"held": progress.held, "surplus": progress.surplus, "skipped": progress.skipped},
        "audio_offset_ms": None if progress.skew is None else round(1000 * progress.skew, 1),
        "unpainted": {"frames": progress.passed, "failures": progress.failures, "problem": progress.problem},
        "returns": {"input": progress.source_returns, "output": progress.sink_returns, "unsent": progress.unsent},
        "resumed": progress.resumed,
        "flicker": None if (flicker := progress.flicker.overall) is None else round(flicker, 5),
        "transfers": None if outcome.transfers is None else outcome.transfers.figures(),
        "peak_memory_bytes": peak_memory(),
        "notes": list(progress.notes),
    }


def peak_memory() -> int | None:
    """The most memory this process ever held, in bytes; None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024
