"""How good the paint is: style and content beside other people's networks and the best that pixels can do.

    python -m allaprima.bench.quality --data FOLDER [--json FILE] [--sheet FILE]

FOLDER holds ``content/bsds_*`` (photos that no style was trained on), ``styles/``, ``loss/`` and, where there
are any, ``clips/`` and ``checkpoints/``.  The engine paints as users have it, each picture on its own.
"""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import cv2
import numpy as np
import typer

import allaprima.exporters
from allaprima.bench import pictures, table
from allaprima.bench.grades import Floor, Quality, show
from allaprima.bench.pictures import Given, Painter, Picture
from allaprima.bench.results import describe_machine, versions, write_json
from allaprima.demos import contact_sheet
from allaprima.demos.contact_sheet import Tile
from allaprima.realtime.errors import ConfigError, SinkError
from allaprima.realtime.sources.scenes import SHOT_FRAMES, open_scene
from allaprima.realtime.stylizer import Stylizer

if TYPE_CHECKING:  # torch may not be installed
    from allaprima.bench.critic import Critic, Score

SCHEMA = "allaprima-bench-quality/1"
CONFIG = Path(allaprima.exporters.__path__[0]) / "studio.toml"
PHOTOS = "bsds_"
"""What the names of the photos begin with that are kept for measuring."""
LOSS_NETWORK = Path("loss/vgg19_conv1_1-conv3_4.safetensors")
FLOOR_SIDE = 256
"""Short side of a photo whose pixels are optimised."""
IDENTITY_SIZE, IDENTITY_FRAMES = (1280, 720), 3
"""Size of the clips that the auto-encoder is measured on, and frames of each."""
SHEET_SIZE, SHEET_RATE = (640, 360), 30
SHEET_MOMENTS = (("landscape", 15), ("landscape", 120), ("cut", SHOT_FRAMES + 15))
"""Scenes of the project's own, and which of their frames a sheet shows."""
SHEET_PHOTOS = 3
JPEG_QUALITY = 90

Rival = tuple[str, Callable[[Picture], Picture]]
"""The name of somebody else's network for one of our styles, and what paints with it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How much to measure; 0 leaves a part out, but for the photos."""

    photos: int
    clip_frames: int
    gatys: int
    """Photos whose pixels are optimised, for every style."""
    iterations: int


# ---- measuring ----


def measure(
    painter: Painter, critic: "Critic", given: Iterable[Given], styles: Sequence[str], rivals: Mapping[str, Rival]
) -> "tuple[dict[str, list[Score]], dict[str, tuple[str, list[Score]]]]":
    """Our scores by style; and for the styles in ``rivals`` their name and scores on the same pictures."""
    ours: dict[str, list[Score]] = {style: [] for style in styles}
    theirs: dict[str, tuple[str, list[Score]]] = {style: (name, []) for style, (name, _) in rivals.items()}
    for each in given:
        photo = critic.look(each.rgb)
        for style in styles:
            ours[style].append(critic.score(painter(each, style), photo, style))
            if style in rivals:
                theirs[style][1].append(critic.score(rivals[style][1](each.rgb), photo, style))
    return ours, theirs


def measure_floor(painter: Painter, critic: "Critic", given: Given, style: str, iterations: int) -> Floor:
    photo = critic.look(given.rgb)
    ours = critic.score(painter(given, style), photo, style)
    best = critic.score(critic.optimise(given.rgb, style, iterations), photo, style)
    return Floor(ours, best, critic.objective(ours) / critic.objective(best))


def measure_all(
    painter: Painter, critic: "Critic", photos: Sequence[Given], styles: Sequence[str], data: Path, plan: Plan
) -> Quality:
    """``data`` may have clips and checkpoints."""
    found = Quality()
    table.note(f"{len(photos)} photos in {len(styles)} styles")
    rivals = open_rivals(data / "checkpoints", styles)
    found.photos, found.rivals = measure(painter, critic, photos, styles, rivals)
    clips = sorted((data / "clips").glob("*.mp4"))
    frames = [given for clip in clips for given in pictures.moments(clip, plan.clip_frames)]
    if frames:
        table.note(f"{len(frames)} frames of {len(clips)} clips in {len(styles)} styles")
        found.clips, _ = measure(painter, critic, frames, styles, {})
    table.note("auto-encoder, and mixes of two styles")
    large = [given for clip in clips for given in pictures.moments(clip, IDENTITY_FRAMES, IDENTITY_SIZE)]
    auto_encoder = Stylizer(bundle=painter.stylizer.bundle, steadiness=0.0)
    found.identity = [pictures.identity(auto_encoder, given) for given in large]
    found.mixings = [pictures.mixing(painter, photos[0], a, b) for a, b in itertools.combinations(styles, 2)]
    for given in pictures.evenly(photos, plan.gatys):
        for style in styles:
            table.note(f"optimising the pixels of a photo for {style}")
            floor = measure_floor(painter, critic, given.resized(FLOOR_SIDE), style, plan.iterations)
            found.floors.setdefault(style, []).append(floor)
    return found


def open_rivals(folder: Path, styles: Sequence[str]) -> dict[str, Rival]:
    """Other people's networks for our styles, as far as the folder has them."""
    from allaprima.bench import checkpoints

    def rival(name: str, path: Path) -> Rival:
        net = checkpoints.load(path)
        return name, lambda rgb: checkpoints.paint(net, rgb)

    found = {}
    for style in (style for style in styles if style in checkpoints.SHARED):
        name, place = checkpoints.SHARED[style]
        if (folder / place).exists():
            found[style] = rival(name, folder / place)
        else:
            table.note(f"{style}: no checkpoint of {name} to compare with")
    return found


# ---- the sheet ----


def sheet(painter: Painter, given: Sequence[Given], styles: Sequence[str]) -> Picture:
    """The pictures, and under them each style's painting of them."""
    rows = [[Tile(each.rgb, "input") for each in given]]
    rows += [[Tile(painter(each, style), style) for each in given] for style in styles]
    manifest = painter.stylizer.bundle.manifest
    return contact_sheet.sheet(f"{manifest.name} {manifest.version}", rows)


def scenes() -> list[Given]:
    found = []
    for name, index in SHEET_MOMENTS:
        scene = open_scene(name, SHEET_SIZE, Fraction(SHEET_RATE))
        found.append(Given.of_rgb(scene.frame(index)))
    return found


def write_sheet(path: Path, rgb: Picture) -> None:
    """A JPEG where the name says so, else a PNG."""
    if path.suffix.lower() not in (".jpg", ".jpeg"):
        contact_sheet.write(path, rgb)
    elif not cv2.imwrite(str(path), np.ascontiguousarray(rgb[..., ::-1]), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]):
        raise SinkError(f"cannot write {path}")


# ---- the command ----


def known_styles(painter: Painter, artworks: Iterable[str], wanted: str | None) -> list[str]:
    """The bundle's styles, or those of the list ``wanted``, whose artwork is known."""
    names = [name.strip() for name in wanted.split(",")] if wanted else painter.stylizer.bank.names()
    for name in names:
        painter.stylizer.bank.card(name)
    for name in set(names) - set(artworks):
        table.note(f"{name}: left out, the config names no artwork for it")
    found = [name for name in names if name in set(artworks)]
    if not found:
        raise ConfigError("there is no style to measure", "--config must name the artworks of the bundle's styles.")
    return found


def open_critic(config: Path, data: Path) -> "tuple[Critic, Path, list[str]]":
    """The judge, the folder of photos, and the names of the artworks it knows."""
    try:
        from allaprima.bench import critic
    except ModuleNotFoundError as error:
        raise ConfigError(f"{error.name} is not installed", 'pip install "allaprima[train]"') from error
    if not data.is_dir():
        raise ConfigError(f"there is no folder {data}", "It should hold content/, styles/ and loss/.")
    settings = critic.read_config(config, data)
    return critic.Critic(data / LOSS_NETWORK, settings), settings.photos, list(settings.styles)


def main(
    data: Annotated[Path, typer.Option(metavar="FOLDER", help="Has content/bsds_*, styles/, loss/ (clips/, ...).")],
    bundle: Annotated[Path | None, typer.Option(metavar="FOLDER", help="Not set: the shipped one.")] = None,
    config: Annotated[Path, typer.Option(help="Names the artwork of each style.", show_default=False)] = CONFIG,
    styles: Annotated[str | None, typer.Option(metavar="A,B", help="Not set: all of the bundle.")] = None,
    photos: Annotated[int, typer.Option(min=1, help="How many.")] = 24,
    clip_frames: Annotated[int, typer.Option(min=0, help="Of each clip.")] = 2,
    gatys: Annotated[int, typer.Option(min=0, help="Photos whose pixels are optimised.")] = 2,
    iterations: Annotated[int, typer.Option(min=1, help="Steps of that.")] = 100,
    as_json: Annotated[str | None, typer.Option("--json", metavar="FILE", help="- is stdout.")] = None,
    sheet_: Annotated[Path | None, typer.Option("--sheet", metavar="FILE", help="All styles, PNG or JPG.")] = None,
    sheet_photos: Annotated[bool, typer.Option("--sheet-photos", help="Show photos there; not to be shared.")] = False,
) -> None:
    """Measure how near to artwork and photo the styles of a bundle paint, and how well they keep apart."""
    plan = Plan(photos, clip_frames, gatys, iterations)
    painter = Painter(bundle)
    critic, folder, artworks = open_critic(config, data)
    chosen = known_styles(painter, artworks, styles)
    given = pictures.photos(folder, PHOTOS, plan.photos)
    found = measure_all(painter, critic, given, chosen, data, plan)
    manifest = painter.stylizer.bundle.manifest
    report = {
        "schema": SCHEMA,
        "machine": describe_machine(),
        "versions": versions(),
        "settings": {
            "bundle": f"{manifest.name} {manifest.version}",
            "steps": manifest.training.get("steps"),
            "photos": len(given),
            "clip_frames": plan.clip_frames,
            "artworks": len(artworks),
            "content_weight": critic.content_weight,
            "style_weight": critic.style_weight,
            "iterations": plan.iterations if plan.gatys else 0,
        },
        **found.as_json(),
    }
    if as_json != "-":
        table.heading(report)
        show(found)
    write_json(report, as_json)
    if sheet_ is not None:
        write_sheet(sheet_, sheet(painter, given[:SHEET_PHOTOS] if sheet_photos else scenes(), chosen))


if __name__ == "__main__":
    table.run(main)
