"""A file to a file by the command that a user types, decoding and encoding included."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import av

from allaprima.bench import clips, command, moving
from allaprima.bench.engine import frames_in
from allaprima.bench.painted import Gray, check

SHORT = 3
"""Frames of the first run, which shows the pace, and of one that shows what a start costs."""
ENDS = ("decode", "encode")
"""Stages that a run tells truly: the mean of the others has the loading of the nets in it."""
TELLING = 8
"""Frames beyond those from which on the processor's time a frame can be told from that of the start."""
LEAST_SECONDS = 0.6
"""Of a trial, by the pace of so few frames: that is told too low, and the trial is shorter than it seems."""
QUICK = 1000.0
"""Frames a second of a run that was over before the clock could tell."""
SCALE = 1e6


@dataclass(frozen=True, slots=True)
class Files:
    """What the trials gave; each list has one value a trial."""

    frames: int
    """That are timed in each trial: all but the first."""
    fps: list[float]
    stages: dict[str, list[float]]
    """Milliseconds a frame; stages overlap."""
    core_ms: list[float]
    first_frame: list[float]
    """Seconds from the start of the command."""
    first_start: float
    """The same with an empty cache."""
    peak_mb: float | None


def files(clip: Path, folder: Path, flags: Sequence[str], precision: str, seconds: float, trials: int) -> Files:
    """Paint ``clip`` by ``allaprima run`` with ``flags``; raises `NotPainted` or `CommandFailed`."""
    output, empty = folder / "painted.mp4", folder / "empty-cache"
    empty.mkdir()

    def paint(frames: int, cache: Path | None = None) -> command.Watched:
        words = (*flags, "--frames", str(frames))
        done = command.paint(str(clip), str(output), *words, cache=cache, precision=precision)
        check(islice(_looks(clip), frames), _looks(output))
        return done

    cold = paint(SHORT, empty)
    count = frames_in(max(seconds, LEAST_SECONDS * trials), trials, 1 / (cold.steady_fps or QUICK))
    if count >= _length(clip):
        clip = clips.repeat(clip, count + 1, folder)
    more = count + 1 - SHORT
    start = paint(SHORT).cpu_seconds if more >= TELLING else None
    runs = [paint(count + 1) for _ in range(trials)]
    peaks = [run.peak for run in runs if run.peak is not None]
    return Files(
        frames=count,
        fps=[run.steady_fps for run in runs],
        stages={name: [run.answer["stage_ms"][name] for run in runs] for name in ENDS},
        core_ms=[] if start is None else [1000 * max(run.cpu_seconds - start, 0.0) / more for run in runs],
        first_frame=[first_frame(run) for run in runs],
        first_start=first_frame(cold),
        peak_mb=max(peaks) / SCALE if peaks else None,
    )


def first_frame(run: command.Watched) -> float:
    """Seconds from the start of the command to its first frame: the whole run without the frames after it."""
    return run.seconds - (float(run.answer["seconds"]) - float(run.answer["first_frame_seconds"]))


def _looks(file: Path) -> Iterator[Gray]:
    return (moving.sample(luma) for luma in clips.luma(file))


def _length(clip: Path) -> int:
    """Frames, as the file says."""
    with av.open(str(clip)) as container:
        return int(container.streams.video[0].frames)
