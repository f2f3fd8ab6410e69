"""How fast: file to file, the engine's stages, the first frame, memory, and against PyTorch.

    python -m allaprima.bench.speed --size 1280x720 --size 640x360 --json speed.json

What is timed is the command a user types, on a real H.264 file with real motion, at default settings; an
output that was not painted has no speed.
"""

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from allaprima.bench import clips, command, endurance, engine, table
from allaprima.bench.painted import check_file
from allaprima.bench.results import Bar, OtherLoad, Spread, describe_machine, versions, write_json
from allaprima.realtime import machine
from allaprima.realtime.backends.cpu import best_precision
from allaprima.realtime.config import parse_size
from allaprima.realtime.errors import ConfigError
from allaprima.realtime.stylizer import Stylizer

SCHEMA = "allaprima-bench-speed/1"
SIZES = ("1280x720", "640x360")
RATE = 30
"""Frames per second of the clip."""
FPS_BARS = {(1280, 720): 20.0, (640, 360): 70.0}
BESIDES_NETS_BAR = 0.35
AGAINST_PYTORCH_BAR = 30.0
FIRST_FRAME_SECONDS_BAR = 2.0
MEMORY_MB_BAR = 1200.0
LEAST_TRIALS = 3

Note = Callable[[str], None]


@dataclass(slots=True)
class SizeResult:
    """Everything measured at one size; a `Spread` over trials each."""

    size: clips.Size
    frames: int
    figures: dict[str, Spread] = field(default_factory=dict)
    """In the order in which they are shown."""
    stages: dict[str, Spread] = field(default_factory=dict)
    """Milliseconds a frame of each stage of the engine alone."""
    other_load: float | None = None
    """Cores that other programs took meanwhile, on average."""
    bars: list[Bar] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return {
            "size": list(self.size),
            "frames": self.frames,
            "figures": {name: spread.as_json() for name, spread in self.figures.items()},
            "engine_ms": {name: spread.as_json() for name, spread in self.stages.items()},
            "other_load_cores": None if self.other_load is None else round(self.other_load, 2),
            "bars": [bar.as_json() for bar in self.bars],
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure."""

    seconds: float = 4.0
    trials: int = LEAST_TRIALS
    rival_frames: int = 0
    """Frames that PyTorch paints in each trial; 0 leaves it out."""


def measure_size(size: clips.Size, plan: Plan, folder: Path, note: Note) -> SizeResult:
    """All trials at one size.  Ours and the rival take turns, so that a slow minute hits both."""
    frames = max(2, round(plan.seconds * RATE))
    note(f"{clips.text(size)}: rendering {frames} frames")
    clip = clips.render(folder, size, frames)
    result = SizeResult(size, frames)
    with OtherLoad() as other:
        start_cpu = _starts(result, clip, folder, plan.trials, note)
        _files(result, clip, folder, plan, start_cpu, note)
        _engine(result, clip, plan.trials, note)
    result.other_load = other.cores
    result.bars = bars(result)
    return result


def _starts(result: SizeResult, clip: Path, folder: Path, trials: int, note: Note) -> float:
    """From the start of the command until a file with the first painted frame is finished.

    Gives the CPU seconds of a usual start.
    """
    cold, warm = [], []
    for trial in range(trials):
        note(f"{clips.text(result.size)}: first frame, {trial + 1} of {trials}")
        cache = folder / f"cache-{clips.text(result.size)}-{trial}"
        cache.mkdir()
        for runs in (cold, warm):  # the second finds what the first left in the cache
            output = folder / "first.mp4"
            runs.append(command.paint(str(clip), str(output), "--frames", "1", cache=cache))
    result.figures["first frame, first start ever (s)"] = Spread.of(run.seconds for run in cold)
    result.figures["first frame (s)"] = Spread.of(run.seconds for run in warm)
    return statistics.median(run.cpu_seconds for run in warm)


def _files(result: SizeResult, clip: Path, folder: Path, plan: Plan, start_cpu: float, note: Note) -> None:
    ours, rival = [], []
    short = clips.render(folder, result.size, plan.rival_frames) if plan.rival_frames else clip
    for trial in range(plan.trials):
        note(f"{clips.text(result.size)}: file to file, {trial + 1} of {plan.trials}")
        output = folder / "painted.mp4"
        ours.append(command.paint(str(clip), str(output)))
        check_file(clip, output)
        if plan.rival_frames:
            note(f"{clips.text(result.size)}: PyTorch, {trial + 1} of {plan.trials}")
            rival.append(paint_with_pytorch(short, folder / "rival.mp4"))
    figures = result.figures
    figures["file to file (fps)"] = Spread.of(run.steady_fps for run in ours)
    figures["file to file with the start (fps)"] = Spread.of(run.answer["fps"] for run in ours)
    cores = Spread.of(1000 * (run.cpu_seconds - start_cpu) / (result.frames - 1) for run in ours)
    figures["file to file (core-ms a frame)"] = cores
    # Work does not grow when others run too, only its time: so this is the most a quiet machine could reach.
    figures["ceiling, all cores ours and busy (fps)"] = Spread.of(
        1000 * machine.cores() / max(each, 0.001) for each in cores.values
    )
    for stage in ("decode", "encode"):
        figures[f"{stage} (ms)"] = Spread.of(run.answer["stage_ms"][stage] for run in ours)
    peaks = [run.peak for run in ours if run.peak is not None]
    if peaks:
        figures["peak memory (MB)"] = Spread.of(peak / 1e6 for peak in peaks)
    if rival:
        figures["PyTorch, file to file (fps)"] = Spread.of(rival)
        pairs = zip(ours, rival, strict=True)
        figures["times as fast as PyTorch"] = Spread.of(run.steady_fps / fps for run, fps in pairs)


def _engine(result: SizeResult, clip: Path, trials: int, note: Note) -> None:
    frames = clips.frames_of(clip)
    stylizer = Stylizer()
    passes = []
    for trial in range(trials):
        note(f"{clips.text(result.size)}: engine alone, {trial + 1} of {trials}")
        passes.append(engine.measure(frames, stylizer))
    result.figures["engine alone (ms)"] = Spread.of(each.whole for each in passes)
    result.figures["engine alone (core-ms a frame)"] = Spread.of(each.cores for each in passes)
    result.figures["engine alone, quickest frame (ms)"] = Spread.of(each.quickest for each in passes)
    result.figures["besides the nets (share)"] = Spread.of(each.besides_nets for each in passes)
    for stage in passes[0].stages:
        result.stages[stage] = Spread.of(each.stages[stage] for each in passes)


def paint_with_pytorch(clip: Path, output: Path) -> float:
    """Frames per second of the rival on ``clip``, after its first frame."""
    words = [sys.executable, "-m", "allaprima.bench.rival", str(clip), str(output)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        why = done.stderr.strip().splitlines() or ["it says nothing"]
        raise ConfigError(f"PyTorch cannot paint: {why[-1]}", 'Install it: pip install "allaprima[train]"')
    check_file(clip, output)
    return float(json.loads(done.stdout)["steady_fps"])


def bars(result: SizeResult) -> list[Bar]:
    """What was promised, beside the medians."""
    found = []

    def add(figure: str, limit: float | None, at_least: bool, unit: str = "") -> None:
        if limit is not None and figure in result.figures:
            found.append(Bar(figure, result.figures[figure].median, limit, at_least, unit))

    add("file to file (fps)", FPS_BARS.get(result.size), True)
    add("besides the nets (share)", BESIDES_NETS_BAR, False)
    add("times as fast as PyTorch", AGAINST_PYTORCH_BAR, True)
    add("first frame (s)", FIRST_FRAME_SECONDS_BAR, False, " s")
    add("first frame, first start ever (s)", FIRST_FRAME_SECONDS_BAR, False, " s")
    add("peak memory (MB)", MEMORY_MB_BAR, False, " MB")
    return found


def show(results: Sequence[SizeResult]) -> None:
    for result in results:
        title = f"{clips.text(result.size)}, {result.frames} frames of test:landscape"
        table.figures(title, result.figures, result.bars)
        table.figures("engine alone, ms a frame", result.stages, ())
        table.warn_of_load(result.other_load)


def settings(plan: Plan) -> dict[str, Any]:
    stylizer = Stylizer()
    manifest = stylizer.bundle.manifest
    return {
        "style": str(stylizer.style),
        "strength": stylizer.strength,
        "steadiness": stylizer.steadiness,
        "bundle": f"{manifest.name} {manifest.version}",
        "precision": best_precision(),
        "seconds": plan.seconds,
        "trials": plan.trials,
        "rival_frames": plan.rival_frames,
    }


def main(
    size: Annotated[list[str] | None, typer.Option(help="WIDTHxHEIGHT; repeatable.")] = None,
    seconds: Annotated[float, typer.Option(help="Length of the clip.")] = 4.0,
    trials: Annotated[int, typer.Option(min=LEAST_TRIALS, help="How often to measure.")] = LEAST_TRIALS,
    against_pytorch: Annotated[bool, typer.Option("--against-pytorch", help="Compare with PyTorch.")] = False,
    rival_frames: Annotated[int, typer.Option(min=2, help="Frames for PyTorch.")] = 4,
    memory: Annotated[bool, typer.Option("--memory", help="Also a long run, for memory.")] = False,
    memory_frames: Annotated[int, typer.Option(min=100, help="Length of the long run.")] = 5000,
    speed: Annotated[bool, typer.Option("--speed/--no-speed", help="Measure speed.")] = True,
    as_json: Annotated[str | None, typer.Option("--json", metavar="FILE", help="- is stdout.")] = None,
) -> None:
    """Measure and print; numbers are only shown for outputs that were really painted."""
    sizes = [parse_size(text) for text in size or SIZES]
    plan = Plan(seconds, trials, rival_frames if against_pytorch else 0)
    report = {
        "schema": SCHEMA,
        "machine": describe_machine(),
        "versions": versions(),
        "settings": settings(plan),
    }
    results: list[SizeResult] = []
    with clips.workplace() as name:
        folder = Path(name)
        if speed:
            results = [measure_size(each, plan, folder, table.note) for each in sizes]
        report["sizes"] = [result.as_json() for result in results]
        if memory:
            long_runs = endurance.measure(sizes[0], memory_frames, folder, table.note)
            report["memory"] = [run.as_json() for run in long_runs]
    if as_json != "-":
        table.heading(report)
        show(results)
        if memory:
            endurance.show(long_runs)
    write_json(report, as_json)


if __name__ == "__main__":
    table.run(main)
