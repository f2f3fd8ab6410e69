"""Holding the frame rate: what each step of the ladder costs and looks like, and a live run with and without it.

    python -m allaprima.bench.governor [--size 1280x720] [--rate 30] [--seconds 30] [--clips FOLDER]
                                       [--sheet FILE.png] [--no-live] [--json FILE]

Every step paints the same frames, taking turns frame by frame, so that a slow minute hits all of them.  With a folder
of clips, means over those follow.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, median
from types import TracebackType
from typing import Annotated, Any

import numpy as np
import typer

from allaprima.bench import footage as footages
from allaprima.bench import stability, table
from allaprima.bench.clock import Clock
from allaprima.bench.coherence import e_warp, mean_sharpness
from allaprima.bench.footage import Footage, Reel
from allaprima.bench.results import OtherLoad, describe_machine, versions, write_json
from allaprima.bench.steadiness import figures
from allaprima.demos import contact_sheet
from allaprima.demos.contact_sheet import Tile
from allaprima.realtime.backends import Effort, open_backend
from allaprima.realtime.config import parse_size
from allaprima.realtime.frame import Frame
from allaprima.realtime.governor import describe
from allaprima.realtime.ladder import Ladder
from allaprima.realtime.pipeline import Manner, Progress, run
from allaprima.realtime.stylizer import Stylizer

SCHEMA = "allaprima-bench-governor/1"
WARM_UP_FRAMES = 6
"""A multiple of all `Effort.every`; they are not timed."""
SETTLED_SECONDS = 5.0
"""After which a live run is judged: the governor has found its step."""
SHOWN_FRAMES = 3
"""Pictures of each step on the sheet, one after the other."""


# ---- what each step costs and looks like ----


@dataclass(slots=True)
class Rung:
    """One effort, on one piece of footage."""

    effort: Effort
    milliseconds: float
    """A frame, on average over those painted and carried: the median of it."""
    flicker: float
    """Root of E_warp over that of per-frame painting at full effort."""
    carried: float | None
    """The same over the pairs whose later frame was carried; None where all are painted."""
    sharpness: float
    """At half size, over per-frame painting at full effort."""

    def as_json(self) -> dict[str, Any]:
        found = figures({"milliseconds": self.milliseconds, "flicker": self.flicker, "sharpness": self.sharpness})
        shown: dict[str, Any] = {"step": describe(self.effort), **found}
        return shown if self.carried is None else shown | figures({"flicker_of_carried": self.carried})


def climb(footage: Footage, efforts: Sequence[Effort]) -> tuple[list[Rung], list[Reel]]:
    """The rungs on this footage, and what they showed."""
    stylizers = []
    for effort in efforts:
        stylizers.append(Stylizer())
        stylizers[-1].effort = effort
    spent: list[list[float]] = [[] for _ in efforts]
    made: list[list[Frame]] = [[] for _ in efforts]
    for frame in footage.frames:
        for stylizer, times, frames in zip(stylizers, spent, made, strict=True):
            began = time.perf_counter()
            frames.append(stylizer(frame).landed())
            times.append(1000 * (time.perf_counter() - began))
    alone = footages.pictures(stability.paint(footage.frames, None, 0.0))
    reels = [footages.pictures(frames) for frames in made]
    return [judge(*each, footage, alone) for each in zip(efforts, spent, reels, strict=True)], reels


def judge(effort: Effort, times: Sequence[float], reel: Reel, footage: Footage, alone: Reel) -> Rung:
    cycles = [fmean(times[i : i + effort.every]) for i in range(WARM_UP_FRAMES, len(times), effort.every)]
    all_, carried = [], []
    for t in footages.pairs(footage):
        errors = [e_warp(some[t], some[t - 1], *footage.motion[t]) for some in (reel, alone)]
        if errors[0] is not None:
            all_.append(errors)
            if t % effort.every:
                carried.append(errors)
    return Rung(
        effort,
        median(cycles or times),
        _ratio(all_) or 0.0,
        _ratio(carried),
        mean_sharpness(reel, True) / (mean_sharpness(alone, True) or 1.0),
    )


def _ratio(errors: Sequence[Sequence[float | None]]) -> float | None:
    above, below = (sum(each[i] or 0.0 for each in errors) for i in (0, 1))
    return (above / below) ** 0.5 if below else None


def means(rungs: Sequence[Sequence[Rung]]) -> list[Rung]:
    """Over pieces of footage, step by step; milliseconds too, though sizes may differ: only their ratio says much."""
    return [
        Rung(
            some[0].effort,
            fmean(each.milliseconds for each in some),
            fmean(each.flicker for each in some),
            None if any(each.carried is None for each in some) else fmean(each.carried or 0.0 for each in some),
            fmean(each.sharpness for each in some),
        )
        for some in zip(*rungs, strict=True)
    ]


def sheet(rungs: Sequence[Rung], reels: Sequence[Reel], title: str) -> Any:
    """A row of pictures for each rung, from the middle of the footage."""
    first = max(0, len(reels[0]) // 2 - SHOWN_FRAMES // 2)
    rows = [
        [Tile(reel.bytes[t], f"{describe(rung.effort)}, frame {t}") for t in range(first, first + SHOWN_FRAMES)]
        for rung, reel in zip(rungs, reels, strict=True)
    ]
    return contact_sheet.sheet(title, rows, width=2400)


# ---- a live run ----


@dataclass(slots=True)
class Watcher:
    """A sink that notes when frames came, and how old they were."""

    notes: list[str] = field(default_factory=list)
    seen: list[tuple[float, float]] = field(default_factory=list)
    """Time, and seconds since capture."""

    def __enter__(self) -> "Watcher":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def write(self, frame: Frame) -> None:
        now = time.monotonic()
        self.seen.append((now, now - frame.captured))


@dataclass(slots=True)
class Live:
    """What came of a live run, once it had settled."""

    fps: float
    p50_ms: float
    p95_ms: float
    dropped: int
    steps: int
    step: str
    flicker: float | None
    path: list[tuple[float, str]]
    """Seconds since the first frame, and the step taken."""
    other_load: float | None

    def as_json(self) -> dict[str, Any]:
        found: dict[str, Any] = figures({"fps": self.fps, "p50_ms": self.p50_ms, "p95_ms": self.p95_ms})
        found |= {"dropped": self.dropped, "steps": self.steps, "step": self.step, "flicker_now": self.flicker}
        return found | {"path": [[round(at, 2), step] for at, step in self.path], "other_load_cores": self.other_load}


def live(frames: Sequence[Frame], rate: int, seconds: float, ladder: Ladder | None) -> Live:
    """Paint a live source through the pipeline; nothing is encoded."""
    watcher, path = Watcher(), [(0.0, "full")]

    def follow(progress: Progress) -> None:
        if ladder is not None and path[-1][1] != ladder.what:
            path.append((progress.seconds - progress.first_frame, ladder.what))

    with OtherLoad() as other:
        progress = run(
            Clock(frames, rate, seconds), Stylizer(), [watcher], manner=Manner(ladder=ladder), on_frame=follow
        )
    first, last = watcher.seen[0][0], watcher.seen[-1][0]
    settled = [late for at, late in watcher.seen if at >= first + min(SETTLED_SECONDS, (last - first) / 2)]
    since = [at for at, _ in watcher.seen][-len(settled) :]
    p50, p95 = (1000 * float(np.quantile(settled, share)) for share in (0.5, 0.95))
    fps = (len(since) - 1) / (since[-1] - since[0]) if len(since) > 1 else 0.0
    steps, step = (0, "full") if ladder is None else (ladder.steps, ladder.what)
    dropped = progress.dropped_in + progress.dropped_out
    return Live(fps, p50, p95, dropped, steps, step, progress.flicker.now, path, other.cores)


# ---- the command ----


def show(rungs: dict[str, list[Rung]], runs: dict[str, Live]) -> None:
    for name, some in rungs.items():
        rows = []
        for rung in some:
            carried = "-" if rung.carried is None else f"{rung.carried:.2f}"
            numbers = (f"{rung.milliseconds:.1f}", f"{rung.milliseconds / some[0].milliseconds:.2f}")
            rows.append((describe(rung.effort), *numbers, f"{rung.flicker:.2f}", carried, f"{rung.sharpness:.2f}"))
        table.plain(name, ("step", "ms a frame", "of full", "flicker", "of carried", "sharpness"), rows)
    if not runs:
        return
    rows = [
        (
            name,
            f"{each.fps:.1f}",
            f"{each.p50_ms:.0f}",
            f"{each.p95_ms:.0f}",
            str(each.dropped),
            str(each.steps),
            each.step,
        )
        for name, each in runs.items()
    ]
    table.plain("live, once settled", ("", "fps", "p50 ms", "p95 ms", "dropped", "steps", "step"), rows)
    for name, each in runs.items():
        table.OUT.print(f"{name}: " + ", ".join(f"{at:.1f} s {step}" for at, step in each.path))
        table.warn_of_load(each.other_load)


def main(
    size: Annotated[str, typer.Option(metavar="WxH", help="Of the scene.")] = "1280x720",
    rate: Annotated[int, typer.Option(min=1, max=240, help="Frames a second of the live source.")] = 30,
    seconds: Annotated[float, typer.Option(min=1, help="Of each live run.")] = 30.0,
    frames: Annotated[int, typer.Option(min=12, help="Frames that each step paints.")] = 30,
    clips: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Also these clips, for the steps.")] = None,
    sheet_: Annotated[Path | None, typer.Option("--sheet", metavar="FILE", help="Pictures of each step, PNG.")] = None,
    live_: Annotated[bool, typer.Option("--live/--no-live", help="Also the live runs.")] = True,
    as_json: Annotated[str | None, typer.Option("--json", metavar="FILE", help="- is stdout.")] = None,
) -> None:
    """Measure the steps of the ladder, and a live run with and without the governor."""
    scene = footages.scene_footage("landscape", parse_size(size), frames)
    efforts = open_backend("auto", scene.frames[0].size, scene.frames[0].color).efforts
    some = [scene]
    if clips is not None:
        files = sorted(file for file in clips.glob("*") if file.suffix.lower() in footages.VIDEO_SUFFIXES)
        some += [footages.clip_footage(file, frames) for file in files]
    rungs: dict[str, list[Rung]] = {}
    for each in some:
        table.note(each.name)
        rungs[each.name], reels = climb(each, efforts)
        if sheet_ is not None and each is scene:
            contact_sheet.write(sheet_, sheet(rungs[each.name], reels, f"{each.name} {size}: the steps of the ladder"))
    if clips is not None and len(some) > 1:
        rungs["mean of the clips"] = means([rungs[each.name] for each in some[1:]])
    runs = {}
    for name, ladder in (("without", None), ("with", Ladder())) if live_ else ():
        table.note(f"live at {rate} frames a second, {name} the governor")
        runs[name] = live(scene.frames, rate, seconds, ladder)
    report = {
        "schema": SCHEMA,
        "machine": describe_machine(),
        "versions": versions(),
        "settings": {"size": size, "rate": rate, "seconds": seconds, "frames": frames},
        "rungs": {name: [rung.as_json() for rung in each] for name, each in rungs.items()},
        "live": {name: each.as_json() for name, each in runs.items()},
    }
    if as_json != "-":
        table.heading(report)
        show(rungs, runs)
    write_json(report, as_json)


if __name__ == "__main__":
    table.run(main)
