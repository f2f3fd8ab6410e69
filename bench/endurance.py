"""Thousands of frames of a file: is memory flat?

python -m allaprima.bench.endurance [--size 1280x720] [--frames 5000] [--json FILE]
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from allaprima.bench import clips, command, table
from allaprima.bench.painted import check_file
from allaprima.bench.results import Bar, describe_machine, slope, versions, write_json
from allaprima.realtime.config import parse_size

SCHEMA = "allaprima-bench-endurance/1"

CLIP_FRAMES = 120
"""Length of the clip that is repeated."""
SETTLING = 0.2
"""Share of the run that is not looked at: buffers fill, pools grow."""
FLAT_MB = 10.0
"""Growth per 1,000 frames that still counts as flat: the noise of an allocator, not a leak of frames."""
MEMORY_MB_BAR = 1200.0


@dataclass(frozen=True, slots=True)
class LongRun:
    output: str
    """``null:`` or ``file``."""
    frames: int
    fps: float
    peak_mb: float
    growth_mb: float
    """Per 1,000 frames, from the straight line through the samples."""
    samples: tuple[tuple[float, float], ...]
    """Seconds and MB, a hundred of them."""

    @property
    def bars(self) -> list[Bar]:
        return [
            Bar("peak memory (MB)", self.peak_mb, MEMORY_MB_BAR, False, " MB"),
            Bar("growth (MB per 1,000 frames)", self.growth_mb, FLAT_MB, False, " MB"),
        ]

    def as_json(self) -> dict[str, Any]:
        return {
            "output": self.output,
            "frames": self.frames,
            "fps": round(self.fps, 2),
            "peak_mb": round(self.peak_mb, 1),
            "growth_mb_per_1000_frames": round(self.growth_mb, 2),
            "samples": [[round(seconds, 1), round(mb, 1)] for seconds, mb in self.samples],
            "bars": [bar.as_json() for bar in self.bars],
        }


def measure(size: clips.Size, frames: int, folder: Path, note: Callable[[str], None]) -> list[LongRun]:
    """The same long file into nothing and into a file."""
    clip = clips.repeat(clips.render(folder, size, min(CLIP_FRAMES, frames)), frames, folder)
    runs = []
    for kind, output in (("null:", "null:"), ("file", str(folder / "long-painted.mp4"))):
        note(f"{clips.text(size)}: {frames} frames into {kind}")
        watched = command.paint(str(clip), output)
        run = summarize(kind, watched)
        note(f"  peak {run.peak_mb:.0f} MB, {run.growth_mb:+.1f} MB per 1,000 frames")  # it took long: say it now
        if kind == "file":
            note(f"{clips.text(size)}: looking at the output")
            check_file(clip, Path(output))
        runs.append(run)
    return runs


def summarize(kind: str, watched: command.Watched) -> LongRun:
    """What the samples of a run say."""
    frames = int(watched.answer["frames"])
    samples = [(seconds, held / 1e6) for seconds, held in watched.memory]
    settled = [sample for sample in samples if sample[0] >= SETTLING * watched.seconds]
    per_second = slope([seconds for seconds, _ in settled], [mb for _, mb in settled])
    return LongRun(
        output=kind,
        frames=frames,
        fps=watched.steady_fps,
        peak_mb=(watched.peak or 0) / 1e6,
        growth_mb=per_second * watched.seconds / frames * 1000,
        samples=tuple(samples[:: max(1, len(samples) // 100)]),
    )


def show(runs: Sequence[LongRun]) -> None:
    rows = []
    for run in runs:
        rows.append((f"into {run.output}, {run.frames} frames", f"{run.fps:.1f} fps", ""))
        rows += [(f"  {bar.what}", f"{bar.measured:.1f}", str(bar)) for bar in run.bars]
    table.plain("memory of a long run", ("", "measured", "bar"), rows)


def main(
    size: Annotated[str, typer.Option(metavar="WxH", help="Of the clip.")] = "1280x720",
    frames: Annotated[int, typer.Option(min=100, help="Length of the run.")] = 5000,
    as_json: Annotated[str | None, typer.Option("--json", metavar="FILE", help="- is stdout.")] = None,
) -> None:
    """Watch the memory of two long runs, into nothing and into a file."""
    with clips.workplace() as folder:
        runs = measure(parse_size(size), frames, Path(folder), table.note)
    report = {
        "schema": SCHEMA,
        "machine": describe_machine(),
        "versions": versions(),
        "settings": {"size": size, "frames": frames},
        "memory": [run.as_json() for run in runs],
    }
    with table.aside(as_json == "-"):
        table.heading(report)
        show(runs)
    write_json(report, as_json)


if __name__ == "__main__":
    table.run(main)
