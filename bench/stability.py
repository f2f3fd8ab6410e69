"""How steady: warping error, sharpness beside it, shimmer, and recovery from a cut.

    python -m allaprima.bench.stability [--clips FOLDER] [--json FILE] [--strips FOLDER]

Three columns: the input itself, every frame painted on its own (steadiness 0), and the default.  A blur would
win the warping error, so sharpness against per-frame painting stands beside it.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer

from allaprima.bench import clips, table
from allaprima.bench.coherence import (
    Flow,
    Mask,
    Picture,
    distance,
    e_warp,
    forward_backward_hidden,
    frames_to_recover,
    grown,
    sharpness_ratio,
    shimmer,
    warp_difference,
)
from allaprima.bench.painted import check
from allaprima.bench.results import describe_machine, versions, write_json
from allaprima.demos import contact_sheet
from allaprima.demos.contact_sheet import Tile
from allaprima.realtime.config import parse_size
from allaprima.realtime.errors import ConfigError
from allaprima.realtime.frame import Frame
from allaprima.realtime.rgb import Rgb
from allaprima.realtime.sources.scenes import SCENES, open_scene
from allaprima.realtime.stylizer import Stylizer

SCHEMA = "allaprima-bench-stability/1"
RATE = Fraction(30)
COLUMNS = ("input", "per frame", "default")
SETTLE_FRAMES = 10
"""Frames after which shimmer is measured: history has filled."""
RECOVERED = 2 / 255
"""Root mean square up to which a picture counts as free of the shot before."""
LEAST_SEEN = 0.2
"""Share of a pair that must be comparable; pairs with less are cuts, and are counted, not measured."""
VIDEO_SUFFIXES = (".mp4", ".mkv", ".mov", ".webm", ".avi")
STRIP_MOMENTS, STRIP_GAIN = 4, 4.0
"""Columns of a strip, and how much its differences are magnified."""


@dataclass(frozen=True, slots=True)
class Footage:
    """Frames and the motion between them: ``motion[t]`` leads from frame ``t`` to ``t - 1``."""

    name: str
    frames: Sequence[Frame]
    motion: Sequence[tuple[Flow, Mask]]
    cut: int | None = None
    """The first frame of another shot."""
    still: bool = False


@dataclass(slots=True)
class Steadiness:
    """What was measured on one piece of footage, by column."""

    name: str
    frames: int
    pairs: int
    e_warp: dict[str, float]
    sharpness: dict[str, float]
    """Against per-frame painting, at full and half size."""
    distance: float
    """Root mean square between the default and per-frame painting."""
    shimmer: dict[str, float] | None = None
    recovery: int | None = None
    """Frames after the cut until no trace of the shot before is left; -1: none came."""
    strip: contact_sheet.Picture | None = field(default=None, repr=False)

    def as_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "name": self.name,
            "frames": self.frames,
            "pairs": self.pairs,
            "e_warp": {name: float(f"{value:.6g}") for name, value in self.e_warp.items()},
            "root_e_warp": {name: float(f"{value**0.5:.6g}") for name, value in self.e_warp.items()},
            "sharpness_ratio": {name: round(value, 4) for name, value in self.sharpness.items()},
            "distance_to_per_frame": round(self.distance, 5),
        }
        if self.shimmer is not None:
            found["shimmer"] = {name: round(value, 5) for name, value in self.shimmer.items()}
        if self.recovery is not None:
            found["frames_until_recovered_from_cut"] = self.recovery
        return found


def scene_footage(name: str, size: clips.Size, frames: int) -> Footage:
    """A test scene with its exact motion; around its first cut where it has one."""
    scene, rgb = open_scene(name, size, RATE), Rgb()
    cut = min(scene.cuts, default=None)
    first = 0 if cut is None else max(0, cut - frames // 2)
    range_ = range(first, first + frames)
    motion = [scene.motion(index) for index in range_]
    return Footage(
        name=f"test:{name}",
        frames=[rgb.frame(scene.frame(index)) for index in range_],
        motion=[(flow, grown(hidden)) for flow, hidden in motion],
        cut=None if cut is None else cut - first,
        still=name == "still-noise",
    )


def clip_footage(path: Path, frames: int) -> Footage:
    """A file with the flow that OpenCV's DIS (medium) finds, checked forward and backward."""
    found = clips.frames_of(path, frames)
    height, width = found[0].planes[0].shape
    motion = [(np.zeros((height, width, 2), np.float32), np.ones((height, width), bool))]
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    for before, now in itertools.pairwise(found):
        earlier, later = (np.ascontiguousarray(frame.planes[0]) for frame in (before, now))
        backward, forward = dis.calc(later, earlier, None), dis.calc(earlier, later, None)
        motion.append((backward, forward_backward_hidden(backward, forward)))
    return Footage(path.stem, found, motion)


def pictures(frames: Iterable[Frame]) -> list[Picture]:
    rgb = Rgb()
    return [rgb.array(frame).astype(np.float32) / 255 for frame in frames]


def paint(frames: Sequence[Frame], style: str | None, steadiness: float | None) -> list[Frame]:
    """The frames of one stream, painted in order; checked, so that no figure is of something else."""
    stylizer = Stylizer(style, steadiness=steadiness)
    made = [stylizer(frame) for frame in frames]
    check((frame.planes[0] for frame in frames), (frame.planes[0] for frame in made))
    return made


def pairs(footage: Footage) -> Iterator[int]:
    """Frames that can be compared with the one before."""
    for index in range(1, len(footage.frames)):
        if 1 - footage.motion[index][1].mean() >= LEAST_SEEN:
            yield index


def mean_e_warp(shown: Sequence[Picture], footage: Footage) -> float:
    errors = [e_warp(shown[t], shown[t - 1], *footage.motion[t]) for t in pairs(footage)]
    measured = [error for error in errors if error is not None]
    if not measured:
        raise ConfigError(f"{footage.name}: no two frames can be compared", "Is it longer than one frame?")
    return float(np.mean(measured))


def measure(footage: Footage, style: str | None = None) -> Steadiness:
    """Paint twice, on its own and with history, and compare."""
    shown = {
        "input": pictures(footage.frames),
        "per frame": pictures(paint(footage.frames, style, 0.0)),
        "default": pictures(paint(footage.frames, style, None)),
    }
    alone, steady = shown["per frame"], shown["default"]
    result = Steadiness(
        name=footage.name,
        frames=len(footage.frames),
        pairs=sum(1 for _ in pairs(footage)),
        e_warp={name: mean_e_warp(some, footage) for name, some in shown.items()},
        sharpness={
            "full": sharpness_ratio(steady, alone),
            "half": sharpness_ratio(steady, alone, half=True),
        },
        distance=float(np.mean([distance(*pair) for pair in zip(steady, alone, strict=True)])),
        strip=strip(shown, footage),
    )
    if footage.still:
        result.shimmer = {name: shimmer(some[SETTLE_FRAMES:]) for name, some in shown.items()}
    if footage.cut is not None:
        fresh = pictures(paint(footage.frames[footage.cut :], style, None))
        recovered = frames_to_recover(steady[footage.cut :], fresh, RECOVERED)
        result.recovery = -1 if recovered is None else recovered
    return result


def strip(shown: dict[str, list[Picture]], footage: Footage) -> contact_sheet.Picture:
    """At a few moments: each column's picture, and under it how it differs from the one before, warped."""
    chosen = list(pairs(footage))
    moments = [chosen[round(k * (len(chosen) - 1) / (STRIP_MOMENTS - 1))] for k in range(STRIP_MOMENTS)]
    rows = []
    for name, some in shown.items():
        rows.append([Tile(_bytes(some[t]), f"{name}, frame {t}") for t in moments])
        rows.append([Tile(_difference(some, footage, t), _error(some, footage, t)) for t in moments])
    title = f"{footage.name}: picture, and its change along the motion x {STRIP_GAIN:g} (gray is none)"
    return contact_sheet.sheet(title, rows, width=1600)


def _difference(some: Sequence[Picture], footage: Footage, t: int) -> contact_sheet.Picture:
    return _bytes(0.5 + STRIP_GAIN * warp_difference(some[t], some[t - 1], *footage.motion[t]))


def _error(some: Sequence[Picture], footage: Footage, t: int) -> str:
    error = e_warp(some[t], some[t - 1], *footage.motion[t])
    return "" if error is None else f"root E_warp {error**0.5:.4f}"


def _bytes(picture: Picture) -> contact_sheet.Picture:
    return np.asarray(np.clip(picture * 255 + 0.5, 0, 255), np.uint8)


def show(results: Sequence[Steadiness]) -> None:
    rows = [
        (
            each.name,
            *(f"{each.e_warp[name] ** 0.5:.4f}" for name in COLUMNS),
            f"{(each.e_warp['default'] / each.e_warp['per frame']) ** 0.5:.2f}",
            f"{each.sharpness['full']:.2f}",
            f"{each.sharpness['half']:.2f}",
            f"{each.distance:.4f}",
            f"{each.pairs}/{each.frames - 1}",
        )
        for each in results
    ]
    columns = ("root of E_warp", *COLUMNS, "ratio", "sharp", "at half", "from per frame", "pairs")
    table.plain("steadiness: smaller is steadier; sharp is against per frame", columns, rows)
    for each in results:
        if each.shimmer is not None:
            told = ", ".join(f"{name} {value:.4f}" for name, value in each.shimmer.items())
            table.OUT.print(f"shimmer on {each.name}: {told}")
        if each.recovery is not None:
            told = "never" if each.recovery < 0 else f"{each.recovery} frames"
            table.OUT.print(f"recovered from the cut of {each.name} after: {told}")


def footages(size: clips.Size, frames: int, folder: Path | None) -> Iterator[Footage]:
    """The test scenes, then the clips of a folder, one at a time: each fills memory with its frames."""
    for name in SCENES:
        yield scene_footage(name, size, frames)
    if folder is not None:
        found = sorted(path for path in folder.glob("*") if path.suffix.lower() in VIDEO_SUFFIXES)
        if not found:
            raise ConfigError(f"there is no clip in {folder}", f"Looked for {', '.join(VIDEO_SUFFIXES)}.")
        for path in found:
            yield clip_footage(path, frames)


def main(
    size: Annotated[str, typer.Option(metavar="WxH", help="Size of the test scenes.")] = "640x360",
    frames: Annotated[int, typer.Option(min=12, help="Frames of each scene and clip.")] = 60,
    style: Annotated[str | None, typer.Option(help="Not set: the first of the bundle.")] = None,
    clips_: Annotated[Path | None, typer.Option("--clips", metavar="FOLDER", help="Also these clips.")] = None,
    strips: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Write difference strips here.")] = None,
    as_json: Annotated[str | None, typer.Option("--json", metavar="FILE", help="- is stdout.")] = None,
) -> None:
    """Measure steadiness on the test scenes with their exact motion, and on clips with estimated motion."""
    results = []
    for footage in footages(parse_size(size), frames, clips_):
        table.note(footage.name)
        result = measure(footage, style)
        if strips is not None and result.strip is not None:
            strips.mkdir(parents=True, exist_ok=True)
            contact_sheet.write(strips / f"{result.name.replace(':', '-')}.png", result.strip)
        result.strip = None
        results.append(result)
    stylizer = Stylizer(style)
    report = {
        "schema": SCHEMA,
        "machine": describe_machine(),
        "versions": versions(),
        "settings": {"style": str(stylizer.style), "steadiness": stylizer.steadiness, "size": size},
        "footage": [result.as_json() for result in results],
    }
    if as_json != "-":
        table.heading(report)
        show(results)
    write_json(report, as_json)


if __name__ == "__main__":
    table.run(main)
