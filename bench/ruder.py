"""What optimisation can do for steadiness: seconds to minutes a frame, a reference for a net in real time.

    python -m allaprima.bench.ruder CLIP --data FOLDER --style NAME [--bundle FOLDER] [--json FILE] [--strip FILE]

Ruder, Dosovitskiy and Brox, "Artistic Style Transfer for Videos", GCPR 2016, sections 4.1 and 4.2: every frame is
optimised as `exporters/gatys.py` does it, but from the frame before, warped along the flow, and a loss holds it
there where the flow can be trusted.  The long-term loss (4.3) and the passes backward (4.4) are left out.

It minimises the very thing that E_warp measures, with the same flow and mask: its figure is a floor, no fair race.
"""

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import numpy as np
import typer
from numpy.typing import NDArray

from allaprima.bench import table
from allaprima.bench.coherence import Mask, Picture, e_warp, mean_sharpness, warp, warp_difference
from allaprima.bench.footage import Bytes, Footage, as_bytes, estimated, medium_flow, pairs, pictures
from allaprima.bench.painted import check
from allaprima.bench.quality import CONFIG, open_critic
from allaprima.bench.results import OtherLoad, describe_machine, versions, write_json
from allaprima.bench.steadiness import ratio
from allaprima.demos import contact_sheet
from allaprima.demos.contact_sheet import Tile
from allaprima.realtime import open_source
from allaprima.realtime.config import parse_size
from allaprima.realtime.errors import ConfigError
from allaprima.realtime.frame import Frame
from allaprima.realtime.stylizer import Stylizer

if TYPE_CHECKING:  # torch may not be installed
    from torch import Tensor

    from allaprima.bench.critic import Critic

SCHEMA = "allaprima-bench-ruder/1"
WEIGHT = 100.0
"""Of the temporal loss, beside the content and style weights of a training config.

On two clips (4 frames of 240x136, 30 steps) the root of E_warp was, of that of frames optimised one by one, 0.5 and
0.7 with 30, 0.3 and 0.5 with 100, which is about what the input itself has, and 0.15 and 0.3 with 300: then paint
sticks where the input changes.  The paper's 200 stands beside losses in other units.
"""
PER_FRAME, DEFAULT, GATYS, RUDER = "engine, per frame", "engine, default", "Gatys, frame by frame", "Ruder"
ALONE = {PER_FRAME: PER_FRAME, DEFAULT: PER_FRAME, GATYS: GATYS, RUDER: GATYS}
"""What each way is compared with: the same painter, frame by frame."""
STRIP_MOMENTS, STRIP_GAIN = 4, 4.0
"""Columns of a strip, and how much its differences are magnified."""

T = TypeVar("T")
Painted = tuple[list[Picture], float]
"""Pictures, and seconds a frame."""


# ---- the method ----


@dataclass(frozen=True, slots=True)
class Past:
    """The painted frame before, where its things are now, and where that can be trusted."""

    warped: Picture
    """Float32 RGB ``(H, W, 3)`` in 0..1."""
    trusted: Mask
    """``(H, W)``; neither occluded, nor on a motion boundary, nor from outside."""


def paint(footage: Footage, style: str, critic: "Critic", iterations: int, weight: float = WEIGHT) -> list[Picture]:
    """The frames as float32 RGB ``(H, W, 3)`` in 0..1, each optimised with ``iterations`` steps of L-BFGS.

    The first one, and any whose history is not to be trusted, is what `Critic.optimise` makes of it.
    """
    connected, made = set(pairs(footage)), list[Picture]()
    for t, photo in enumerate(pictures(footage.frames).bytes):
        if t in connected:
            flow, hidden = footage.motion[t]
            past = Past(warp(made[-1], flow), ~hidden)
            made.append(optimise(photo, past, style, critic, iterations, weight))
        else:
            made.append(as_floats(critic.optimise(photo, style, iterations)))
    return made


def optimise(
    photo: Bytes, past: Past, style: str, critic: "Critic", iterations: int, weight: float = WEIGHT
) -> Picture:
    """One frame that has a past.  It starts from all of the warped frame (section 4.1): what that shows wrongly,
    where something was uncovered, nothing holds."""
    import torch

    from allaprima.exporters.gatys import HISTORY

    objective = _objective(critic, style, photo, past, weight)
    best, least = _tensor(past.warped), float("inf")
    picture = best.clone().requires_grad_()
    optimizer = torch.optim.LBFGS(  # as in gatys.paint, so that only start and loss differ
        [picture],
        max_iter=iterations,
        history_size=HISTORY,
        line_search_fn="strong_wolfe",
        tolerance_grad=0,
        tolerance_change=0,
    )

    def closure() -> "Tensor":
        nonlocal best, least
        optimizer.zero_grad()
        inside = picture.clamp(0, 1)
        loss = objective(inside)
        if loss.item() < least:
            best, least = inside.detach().clone(), loss.item()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return np.ascontiguousarray(best[0].permute(1, 2, 0).numpy())


def _objective(critic: "Critic", style: str, photo: Bytes, past: Past, weight: float) -> "Callable[[Tensor], Tensor]":
    """The weighted sum of content, style and temporal loss of a picture ``(1, 3, H, W)`` in 0..1.

    Temporal loss (section 4.2): the mean over all samples of ``c (x - warped)^2`` with c = 1 where the past is
    trusted, else 0.
    """
    from allaprima.exporters import losses

    network, artwork = critic.network, critic.artworks[style]
    layer, wanted = network.content_layer, critic.look(photo)
    warped, trusted = _tensor(past.warped), _tensor(past.trusted[..., None].astype(np.float32))

    def objective(picture: "Tensor") -> "Tensor":
        features = network(picture)
        content = losses.content_loss(features[layer], wanted)
        texture = losses.style_loss(features, artwork).mean()
        temporal = (trusted * (picture - warped).square()).mean()
        return critic.content_weight * content + critic.style_weight * texture + weight * temporal

    return objective


def _tensor(picture: NDArray[np.float32]) -> "Tensor":
    import torch

    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None]


# ---- what it is compared with ----


@dataclass(frozen=True, slots=True)
class Way:
    """What one way of painting made of the frames, and what was measured of it."""

    pictures: list[Picture] = field(repr=False)
    seconds: float
    """A frame; flow for the loss, known before, and compiling the engine's net are left out."""
    root_e_warp: float
    sharpness: float
    """Variance of the Laplacian at half size, mean over the frames."""
    style: float
    """`losses.style_loss`, mean over the frames."""
    content: float

    def as_json(self, alone: "Way") -> dict[str, float]:
        """``alone`` is the same painter, frame by frame."""
        figures = {
            "root_e_warp": self.root_e_warp,
            "root_e_warp_ratio": ratio(self.root_e_warp, alone.root_e_warp),
            "sharpness_half": self.sharpness,
            "sharpness_half_ratio": ratio(self.sharpness, alone.sharpness),
            "style_loss": self.style,
            "content_loss": self.content,
            "seconds_a_frame": self.seconds,
        }
        return {name: float(f"{value:.4g}") for name, value in figures.items()}


def measure_all(
    footage: Footage, style: str, critic: "Critic", iterations: int, bundle: Path | None = None
) -> dict[str, Way]:
    """All four ways on the same frames."""
    frames, photos = footage.frames, pictures(footage.frames).bytes
    ways: dict[str, Callable[[], Painted]] = {
        PER_FRAME: lambda: engine(frames, style, 0.0, bundle),
        DEFAULT: lambda: engine(frames, style, None, bundle),
        GATYS: lambda: timed(lambda: [as_floats(critic.optimise(photo, style, iterations)) for photo in photos]),
        RUDER: lambda: timed(lambda: paint(footage, style, critic, iterations)),
    }
    found = {}
    for name, make in ways.items():
        table.note(name)
        found[name] = measure(make(), footage, photos, style, critic)
    return found


def measure(painted: Painted, footage: Footage, photos: Sequence[Bytes], style: str, critic: "Critic") -> Way:
    made, seconds = painted
    together = zip(map(as_bytes, made), photos, strict=True)
    scores = [critic.score(picture, critic.look(photo), style) for picture, photo in together]
    return Way(
        pictures=made,
        seconds=seconds,
        root_e_warp=root_e_warp(made, footage),
        sharpness=mean_sharpness(made, half=True),
        style=float(np.mean([score.style for score in scores])),
        content=float(np.mean([score.content for score in scores])),
    )


def engine(frames: Sequence[Frame], style: str, steadiness: float | None, bundle: Path | None) -> Painted:
    stylizer = Stylizer(style, steadiness=steadiness, bundle=bundle)
    stylizer(frames[0])  # compiles the net
    stylizer.forget()
    made, seconds = timed(lambda: [stylizer(frame).landed() for frame in frames])
    check((frame.planes[0] for frame in frames), (frame.planes[0] for frame in made))
    return list(pictures(made)), seconds


def timed(make: Callable[[], list[T]]) -> tuple[list[T], float]:
    """What it makes, and the seconds that one of them took."""
    began = time.perf_counter()
    made = make()
    return made, (time.perf_counter() - began) / len(made)


def root_e_warp(made: Sequence[Picture], footage: Footage) -> float:
    errors = [e_warp(made[t], made[t - 1], *footage.motion[t]) for t in pairs(footage)]
    measured = [error for error in errors if error is not None]
    if not measured:
        raise ConfigError(f"{footage.name}: no two frames can be compared", "Is there a cut right at the start?")
    return float(np.sqrt(np.mean(measured)))


def clip_footage(clip: str, size: tuple[int, int], frames: int) -> Footage:
    """The clip's first frames at ``size``, with flow estimated at that size; else as `footage.clip_footage`."""
    with open_source(clip, size=size, frames=frames) as source:
        found = list(source)
    grays = [np.ascontiguousarray(frame.planes[0]) for frame in found]
    unrelated = (np.zeros((*grays[0].shape, 2), np.float32), np.ones(grays[0].shape, bool))
    dis = medium_flow()
    motion = [unrelated, *(estimated(dis, before, now) for before, now in itertools.pairwise(grays))]
    return Footage(Path(clip).stem, found, motion)


def as_floats(rgb: Bytes) -> Picture:
    return np.asarray(rgb / np.float32(255), np.float32)


# ---- what is shown ----


def show(ways: Mapping[str, Way]) -> None:
    rows = []
    for name, way in ways.items():
        told = way.as_json(ways[ALONE[name]])
        rows.append(
            (
                name,
                f"{told['root_e_warp']:.4f}",
                f"{told['root_e_warp_ratio']:.2f}",
                f"{told['sharpness_half']:.4f}",
                f"{told['sharpness_half_ratio']:.2f}",
                f"{told['style_loss']:.3f}",
                f"{told['content_loss']:.3f}",
                table.number(told["seconds_a_frame"]),
            )
        )
    columns = ("", "root E_warp", "ratio", "sharp at half", "ratio", "style", "content", "s a frame")
    table.plain("ratios are against the same painter, frame by frame", columns, rows)


def sheet(ways: Mapping[str, Way], footage: Footage) -> Bytes:
    """At a few moments: each way's picture, and under it how it differs from the one before, warped."""
    chosen = list(pairs(footage))
    moments = sorted({chosen[round(k * (len(chosen) - 1) / (STRIP_MOMENTS - 1))] for k in range(STRIP_MOMENTS)})
    rows = []
    for name, way in ways.items():
        made = way.pictures
        rows.append([Tile(as_bytes(made[t]), f"{name}, frame {t}") for t in moments])
        changes = [warp_difference(made[t], made[t - 1], *footage.motion[t]) for t in moments]
        rows.append([Tile(as_bytes(0.5 + STRIP_GAIN * change)) for change in changes])
    title = f"{footage.name}: picture, and its change along the motion x {STRIP_GAIN:g} (gray is none)"
    return contact_sheet.sheet(title, rows, width=1600)


def main(
    clip: Annotated[str, typer.Argument(metavar="CLIP", help="A file, or test:landscape.")],
    data: Annotated[Path, typer.Option(metavar="FOLDER", help="Has styles/ and loss/.")],
    style: Annotated[str, typer.Option(metavar="NAME", help="A style of the bundle with a known artwork.")],
    frames: Annotated[int, typer.Option(min=2, help="From the beginning of the clip.")] = 6,
    size: Annotated[str, typer.Option(metavar="WxH", help="What the frames are scaled to.")] = "320x180",
    iterations: Annotated[int, typer.Option(min=1, help="Steps of L-BFGS a frame.")] = 60,
    bundle: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Not set: the shipped one.")] = None,
    config: Annotated[Path, typer.Option(help="Names the artwork of each style.", show_default=False)] = CONFIG,
    as_json: Annotated[str | None, typer.Option("--json", metavar="FILE", help="- is stdout.")] = None,
    strip: Annotated[Path | None, typer.Option(metavar="FILE", help="Pictures and differences, PNG.")] = None,
) -> None:
    """Compare the engine with optimised frames (Gatys) and optimised video (Ruder) on one short clip."""
    critic, _, artworks = open_critic(config, data)
    if style not in artworks:
        raise ConfigError(f"the config names no artwork for {style!r}", f"It knows {', '.join(artworks)}.")
    footage = clip_footage(clip, parse_size(size), frames)
    with OtherLoad() as other:
        ways = measure_all(footage, style, critic, iterations, bundle)
    report = {
        "schema": SCHEMA,
        "machine": describe_machine(),
        "versions": versions(),
        "settings": {
            "clip": footage.name,
            "frames": len(footage.frames),
            "pairs": len(list(pairs(footage))),
            "size": size,
            "style": style,
            "iterations": iterations,
            "temporal_weight": WEIGHT,
        },
        "other_load_cores": None if other.cores is None else round(other.cores, 2),
        "ways": {name: way.as_json(ways[ALONE[name]]) for name, way in ways.items()},
    }
    if as_json != "-":
        table.heading(report)
        show(ways)
        table.warn_of_load(other.cores)
    write_json(report, as_json)
    if strip is not None:
        contact_sheet.write(strip, sheet(ways, footage))


if __name__ == "__main__":
    table.run(main)
