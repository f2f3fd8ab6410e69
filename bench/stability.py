"""How steady: warping error, and beside it all that a cure for flicker may cost.

    python -m allaprima.bench.stability [--clips FOLDER] [--flow FOLDER] [--data FOLDER] [--drift]
                                        [--json FILE] [--strips FOLDER] [--page FOLDER]

The columns: the input itself, every frame painted on its own (steadiness 0), the default, and what others do.
A blur would win the warping error, so sharpness against per-frame painting stands beside it, and style loss,
ghosting, lag, drift and recovery from a cut.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from allaprima.bench import drift, page, quality, table
from allaprima.bench.coherence import (
    blobs,
    disoccluded,
    distance,
    e_warp,
    fine_stripes,
    frames_to_recover,
    ghosting,
    lag,
    mean_sharpness,
    shimmer,
    warp_difference,
)
from allaprima.bench.footage import Bytes, Footage, Reel, as_bytes, footages, pairs, pictures, true_pairs
from allaprima.bench.painted import check
from allaprima.bench.pictures import evenly
from allaprima.bench.results import describe_machine, versions, write_json
from allaprima.bench.steadiness import ALONE, DEFAULT, INPUT, NEVER, ByColumn, Found, Steadiness, ratio, show
from allaprima.bench.temporal_filters import FILTERS
from allaprima.demos import contact_sheet
from allaprima.demos.contact_sheet import Tile
from allaprima.realtime.config import parse_size
from allaprima.realtime.errors import ConfigError
from allaprima.realtime.frame import Frame
from allaprima.realtime.stylizer import Stylizer

if TYPE_CHECKING:  # torch may not be installed
    from allaprima.bench.critic import Critic

SCHEMA = "allaprima-bench-stability/2"
SETTLE_FRAMES = 10
"""Frames after which shimmer is measured: history has filled."""
RECOVERED = 2 / 255
"""Root mean square up to which a picture counts as free of the shot before."""
LATE_FRAMES = 6
"""Frames of the second half of each footage in which stripes and blobs are looked for: they take time to grow."""
STYLE_FRAMES = 3
"""Frames of each piece of footage whose style loss is measured."""
STRIP_MOMENTS, STRIP_GAIN = 4, 4.0
"""Columns of a strip, and how much its differences are magnified."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What paints, and what is measured of it."""

    style: str | None = None
    """None: the first of the bundle."""
    bundle: Path | None = None
    """None: the shipped one."""
    rivals: bool = True
    critic: "Critic | None" = None
    artwork: str = ""
    """The critic's name of the style."""


# ---- what is shown ----


def paint(
    frames: Sequence[Frame], style: str | None, steadiness: float | None, bundle: Path | None = None
) -> list[Frame]:
    """The frames of one stream, painted in order; checked, so that no figure is of something else."""
    stylizer = Stylizer(style, steadiness=steadiness, bundle=bundle)
    made = [stylizer(frame).landed() for frame in frames]
    check((frame.planes[0] for frame in frames), (frame.planes[0] for frame in made))
    return made


def shown_by_column(footage: Footage, plan: Plan) -> dict[str, Reel]:
    """The pictures of each column, float32 RGB ``(H, W, 3)`` in 0..1 (`Reel.bytes`: uint8), in order."""
    given = pictures(footage.frames)
    alone = pictures(paint(footage.frames, plan.style, 0.0, plan.bundle))
    return {INPUT: given, ALONE: alone, **_steadied(footage.frames, given, alone, plan)}


def _steadied(frames: Sequence[Frame], given: Reel, alone: Reel, plan: Plan) -> dict[str, Reel]:
    """The columns with a history, which begins with the first of these frames."""
    found = {DEFAULT: pictures(paint(frames, plan.style, None, plan.bundle))}
    if plan.rivals:
        found |= {name: Reel(map(as_bytes, each(given, alone))) for name, each in FILTERS.items()}
    return found


# ---- measuring ----


def mean_e_warp(shown: Reel, footage: Footage) -> float:
    errors = [e_warp(shown[t], shown[t - 1], *footage.motion[t]) for t in pairs(footage)]
    measured = [error for error in errors if error is not None]
    if not measured:
        raise ConfigError(f"{footage.name}: no two frames can be compared", "Is it longer than one frame?")
    return float(np.mean(measured))


def measure(footage: Footage, plan: Plan, shown: dict[str, Reel] | None = None) -> Steadiness:
    """Compare the columns; ``shown`` is what `shown_by_column` gave, if that was wanted for more."""
    shown = shown or shown_by_column(footage, plan)
    steadied = {name: reel for name, reel in shown.items() if name not in (INPUT, ALONE)}
    result = Steadiness(
        name=footage.name,
        frames=len(footage.frames),
        pairs=sum(1 for _ in pairs(footage)),
        e_warp={name: mean_e_warp(reel, footage) for name, reel in shown.items()},
        sharpness=_sharpness(shown[ALONE], steadied),
        distance={name: _distance(reel, shown[ALONE]) for name, reel in steadied.items()},
        stale={},
        stripes=_late(fine_stripes, shown[ALONE], steadied),
        blobs=_late(blobs, shown[ALONE], steadied),
        counted=not footage.pan,
        strip=strip(shown, footage),
    )
    _measure_ghosts(result, footage, shown[ALONE], steadied)
    if footage.still:
        result.shimmer = {name: shimmer(reel[SETTLE_FRAMES:]) for name, reel in shown.items()}
    if footage.cut is not None:
        since = slice(footage.cut, None)
        fresh = _steadied(footage.frames[since], shown[INPUT][since], shown[ALONE][since], plan)
        found = {name: frames_to_recover(steadied[name][since], fresh[name], RECOVERED) for name in steadied}
        result.recovery = {name: NEVER if frames is None else frames for name, frames in found.items()}
    if footage.pan:
        late = {name: lag(reel, shown[ALONE]) for name, reel in steadied.items()}
        result.lag = {name: value for name, value in late.items() if value is not None}
    if plan.critic is not None:
        result.style_loss = style_losses(shown, plan.critic, plan.artwork)
    return result


def _sharpness(alone: Reel, steadied: dict[str, Reel]) -> dict[str, ByColumn]:
    found = {}
    for size, half in (("full", False), ("half", True)):
        reference = mean_sharpness(alone, half)
        found[size] = {name: ratio(mean_sharpness(reel, half), reference) for name, reel in steadied.items()}
    return found


def _late(figure: Callable[..., float], alone: Reel, steadied: dict[str, Reel]) -> ByColumn:
    """Of what takes time to grow."""
    late = evenly(range(len(alone) // 2, len(alone)), LATE_FRAMES)
    reference = [alone[t] for t in late]
    return {name: figure([reel[t] for t in late], reference) for name, reel in steadied.items()}


def _distance(reel: Reel, alone: Reel) -> float:
    return float(np.mean([distance(*pair) for pair in zip(reel, alone, strict=True)]))


def _measure_ghosts(result: Steadiness, footage: Footage, alone: Reel, steadied: dict[str, Reel]) -> None:
    """Where frames can be compared: at a cut everything is new, and how soon it is gone is `recovery`."""
    chosen = list(pairs(footage))
    masks = [disoccluded(footage.motion[t][1]) for t in chosen]
    reference = Reel(alone.bytes[t] for t in chosen)
    inside = {}
    for name, reel in steadied.items():
        inside[name], result.stale[name] = ghosting(Reel(reel.bytes[t] for t in chosen), reference, masks)
    known = {name: value for name, value in inside.items() if value is not None}
    result.ghosting = known or None


def style_losses(shown: dict[str, Reel], critic: "Critic", artwork: str) -> ByColumn:
    """Mean style loss of each painted column at a few frames, from the last one on: there history is oldest."""
    moments = evenly(range(len(shown[INPUT]))[::-1], STYLE_FRAMES)
    photos = {t: critic.look(shown[INPUT].bytes[t]) for t in moments}
    return {
        name: float(np.mean([critic.score(reel.bytes[t], photos[t], artwork).style for t in moments]))
        for name, reel in shown.items()
        if name != INPUT
    }


# ---- strips ----


def strip(shown: dict[str, Reel], footage: Footage) -> Bytes:
    """At a few moments: each column's picture, and under it how it differs from the one before, warped."""
    chosen = list(pairs(footage))
    moments = [chosen[round(k * (len(chosen) - 1) / (STRIP_MOMENTS - 1))] for k in range(STRIP_MOMENTS)]
    rows = []
    for name, some in shown.items():
        rows.append([Tile(some.bytes[t], f"{name}, frame {t}") for t in moments])
        rows.append([Tile(_difference(some, footage, t), _error(some, footage, t)) for t in moments])
    title = f"{footage.name}: picture, and its change along the motion x {STRIP_GAIN:g} (gray is none)"
    return contact_sheet.sheet(title, rows, width=1600)


def _difference(some: Reel, footage: Footage, t: int) -> Bytes:
    return as_bytes(0.5 + STRIP_GAIN * warp_difference(some[t], some[t - 1], *footage.motion[t]))


def _error(some: Reel, footage: Footage, t: int) -> str:
    error = e_warp(some[t], some[t - 1], *footage.motion[t])
    return "" if error is None else f"root E_warp {error**0.5:.4f}"


# ---- the command ----


@dataclass(slots=True)
class Album:
    """Strips and videos, written as soon as they are there; names by footage, relative to the page's folder."""

    strips: Path | None
    page: Path | None
    strip_names: dict[str, str]
    video_names: dict[str, str]

    def add(self, footage: Footage, shown: dict[str, Reel], result: Steadiness) -> None:
        name = footage.name.replace(":", "-")
        for folder in (self.strips, self.page):
            if folder is not None and result.strip is not None:
                folder.mkdir(parents=True, exist_ok=True)
                contact_sheet.write(folder / f"{name}.png", result.strip)
        if self.page is not None:
            self.strip_names[footage.name], self.video_names[footage.name] = f"{name}.png", f"{name}.mp4"
            columns = {column: reel.bytes for column, reel in shown.items()}
            page.side_by_side(self.page / f"{name}.mp4", columns, footage.rate)
        result.strip = None  # a whole run of them would fill memory

    def finish(self, report: dict[str, Any]) -> None:
        if self.page is not None:
            table.note(f"wrote {page.write(self.page, report, self.video_names, self.strip_names)}")


def open_plan(style: str | None, bundle: Path | None, rivals: bool, data: Path | None) -> Plan:
    """With a critic where there are data and one style whose artwork they know."""
    if data is None:
        return Plan(style, bundle, rivals)
    critic, _, artworks = quality.open_critic(quality.CONFIG, data)
    names = [name for name, _ in Stylizer(style, bundle=bundle).style.weights]
    if len(names) != 1 or names[0] not in artworks:
        table.note(f"style loss is left out: the config names no artwork for {', '.join(names)}")
        return Plan(style, bundle, rivals)
    return Plan(style, bundle, rivals, critic, names[0])


def whole_seconds(text: str) -> list[int]:
    """Of a list such as 1,10,60."""
    found = [int(part) if part.strip().isdecimal() else 0 for part in text.split(",")]
    if min(found) < 1:
        raise ConfigError(f"--drift-seconds must be whole seconds such as 1,10,60, not {text}")
    return found


def measure_all(plan: Plan, some: Iterable[Footage], flow: Path | None, album: Album) -> Found:
    found = Found()
    for footage in some:
        table.note(footage.name)
        shown = shown_by_column(footage, plan)
        result = measure(footage, plan, shown)
        album.add(footage, shown, result)
        found.footage.append(result)
    if flow is not None:
        for pair in true_pairs(flow):
            table.note(f"{pair.name}, true flow")
            columns = shown_by_column(pair, plan)
            found.true_pairs[pair.name] = {name: mean_e_warp(reel, pair) for name, reel in columns.items()}
        if not found.true_pairs:
            table.note(f"no flow (*.flo) below {flow}")
    return found


def main(
    size: Annotated[str, typer.Option(metavar="WxH", help="Size of the test scenes.")] = "640x360",
    frames: Annotated[int, typer.Option(min=12, help="Frames of each scene and clip.")] = 60,
    style: Annotated[str | None, typer.Option(help="Not set: the first of the bundle.")] = None,
    bundle: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Not set: the shipped one.")] = None,
    clips_: Annotated[Path | None, typer.Option("--clips", metavar="FOLDER", help="Also these clips.")] = None,
    flow: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Also pairs with true flow, *.flo.")] = None,
    data: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Has styles/, loss/: style loss.")] = None,
    rivals: Annotated[bool, typer.Option(help="Also what others do against flicker.")] = True,
    drift_: Annotated[bool, typer.Option("--drift/--no-drift", help="Takes minutes.")] = False,
    drift_seconds: Annotated[str, typer.Option(metavar="A,B", help="When to look for drift.")] = "1,10,60",
    strips: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Write difference strips here.")] = None,
    page_: Annotated[Path | None, typer.Option("--page", metavar="FOLDER", help="Write a page with videos.")] = None,
    as_json: Annotated[str | None, typer.Option("--json", metavar="FILE", help="- is stdout.")] = None,
) -> None:
    """Measure steadiness on the test scenes with their exact motion, and on clips with estimated motion."""
    seconds = whole_seconds(drift_seconds)
    plan, album = open_plan(style, bundle, rivals, data), Album(strips, page_, {}, {})
    found = measure_all(plan, footages(parse_size(size), frames, clips_), flow, album)
    if drift_:
        table.note(f"drift over {max(seconds)} s")
        found.drift = list(drift.measure(seconds, style, bundle))
    stylizer = Stylizer(style, bundle=bundle)
    report = {
        "schema": SCHEMA,
        "machine": describe_machine(),
        "versions": versions(),
        "settings": {"style": str(stylizer.style), "steadiness": stylizer.steadiness, "size": size},
        **found.as_json(),
    }
    if as_json != "-":
        table.heading(report)
        show(found)
    write_json(report, as_json)
    album.finish(report)


if __name__ == "__main__":
    table.run(main)
