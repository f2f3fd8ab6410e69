"""`allaprima-train add-style`: a new style for a bundle, from one picture."""

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allaprima.realtime.errors import ConfigError, OutputExists, SinkError

if TYPE_CHECKING:
    from torch import Tensor

    from allaprima.exporters.addition import Addition
    from allaprima.realtime.bundle import Bundle, StyleCard

LOSS_NETWORK = "ALLAPRIMA_LOSS_NETWORK"
WEIGHTS = (".safetensors", ".pth", ".pt")
FIRST, EVERY = 12, 50
"""Steps after which the first preview comes, and then all the others."""
PREVIEW_SIDE = 360


def add_style(
    picture: Annotated[Path, typer.Argument(metavar="PICTURE", help="The artwork: any picture.")],
    name: Annotated[str, typer.Option("--name", help="What the style is called.")],
    loss_network: Annotated[
        Path | None,
        typer.Option(envvar=LOSS_NETWORK, help="VGG-16 or VGG-19, as torchvision saves it or as safetensors."),
    ] = None,
    photos: Annotated[
        Path | None, typer.Option(help="Folder of photographs to paint. Not set: the built-in scenes.")
    ] = None,
    bundle: Annotated[Path | None, typer.Option(help="Folder of the model bundle. Not set: the shipped one.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the style. Not set: where running programs find it.")
    ] = None,
    preview: Annotated[Path | None, typer.Option(help="Picture for the previews. Not set: a built-in scene.")] = None,
    start: Annotated[str | None, typer.Option(help="Style to start from. Not set: the nearest. none: random.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="Steps of training.")] = 800,
    minutes: Annotated[float, typer.Option(min=0.05, help="End after so many minutes at the latest.")] = 8.0,
    stroke: Annotated[int, typer.Option(min=64, max=2048, help="Short side of the artwork: size of strokes.")] = 480,
    content: Annotated[float, typer.Option(min=0, help="How much of the photo is kept.")] = 2.2,
    seed: Annotated[int, typer.Option(help="Same seed, same style.")] = 1,
    device: Annotated[str | None, typer.Option(help="cpu or cuda. Not set: cuda where there is one.")] = None,
    title: Annotated[str, typer.Option(help="Title of the artwork.")] = "",
    artist: Annotated[str, typer.Option(help="Its artist.")] = "",
    year: Annotated[str, typer.Option(help="Its year.")] = "",
    licence: Annotated[str, typer.Option(help="Under which terms the style may be used.")] = "",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a style of the same name.")] = False,
) -> None:
    """Learn a style from one picture, in minutes; running programs pick it up while it gets better.

    Previews come as it trains.  Stop it at any time (Ctrl-C): the best so far is kept.
    """
    from allaprima.realtime import shelf
    from allaprima.realtime.bundle import Bundle, StyleCard, shipped_bundle
    from allaprima.realtime.steering import Stop

    opened = Bundle(bundle or shipped_bundle())
    target = (out or opened.user_styles) / f"{name}.safetensors"
    shelf.check_name(name)
    if target.exists() and not overwrite:
        raise OutputExists(f"there is already a style called {name!r}", "Give --overwrite, or another --name.")
    if name in opened.style_files() and out is None and not overwrite:
        raise OutputExists(f"the bundle has a style called {name!r}", "Give --overwrite, or another --name.")
    weights = find_loss_network(loss_network)
    card = StyleCard(
        name=name, title=title or picture.stem, artist=artist, year=year, licence=licence, generator=opened.generator
    )
    began = time.monotonic()
    with Stop().on_signals() as stop:
        shown = _preview_picture(preview)  # before what takes long: it may not be one
        addition = _prepare(picture, opened, weights, photos, start, steps, stroke, content, seed, device)
        print(f"starting from {addition.start}; the style: {target}", flush=True)
        _learn(addition, shown, target, card, began, 60 * minutes, stop)
        if not addition.done:
            raise ConfigError("there was no time for a single step: nothing is kept", "give more --minutes")
    seconds = time.monotonic() - began
    print(f"{name}: loss {addition.best_score:.3f} after {addition.done} steps, {seconds:.0f} s")
    if out is not None:  # nobody looks for it there
        print(f"add it:  allaprima styles add {target}")
    print(f"use it:  allaprima run IN OUT --style {name}")


def find_loss_network(given: Path | None) -> Path:
    """The file to judge by: the one given, or the first in the folder ``loss`` of the user's data.

    Raises `ConfigError` where there is none.
    """
    from platformdirs import user_data_dir

    if given is not None:
        return given
    folder = Path(os.environ.get("ALLAPRIMA_HOME") or user_data_dir("allaprima")) / "loss"
    found = sorted(file for file in folder.glob("*") if file.suffix in WEIGHTS)
    if not found:
        raise ConfigError(
            "no loss network to judge the style by",
            f"put a VGG-16 or VGG-19 (torchvision's state dict) into {folder}, or name it with --loss-network",
        )
    return found[0]


def _prepare(
    picture: Path,
    bundle: "Bundle",
    weights: Path,
    photos: Path | None,
    start: str | None,
    steps: int,
    stroke: int,
    content: float,
    seed: int,
    device: str | None,
) -> "Addition":
    from allaprima.exporters.addition import CROP, Addition, Weights
    from allaprima.exporters.data import load_photos, read_artwork, scene_pictures
    from allaprima.exporters.export import load_bundle
    from allaprima.exporters.training import pick_device, tune_allocator
    from allaprima.exporters.vgg import LossNetwork

    artwork = read_artwork(picture, stroke)
    tune_allocator()
    where = pick_device(device)
    pictures = load_photos(photos, [], CROP + 64, limit=200) if photos else scene_pictures(CROP + 64)
    return Addition(
        load_bundle(bundle.path).to(where),
        artwork,
        pictures,
        LossNetwork(weights, device=where),
        steps=steps,
        start=start,
        weights=Weights(content=content),
        seed=seed,
    )


def _learn(
    addition: "Addition",
    picture: "Tensor",
    target: Path,
    card: "StyleCard",
    began: float,
    limit: float,
    stop: Any,
) -> None:
    """Train until the steps or the time are used up, or a signal comes; keep the best on disk all along."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("step"), MofNCompleteColumn(), BarColumn(), TimeRemainingColumn())
    # Preparing does not count: where the steps fit into the time, the clock has no say in what is learned.
    first = time.monotonic()
    left = max(limit - (first - began), 1e-3)
    with Progress(*columns, TextColumn("{task.description}")) as bar:
        task = bar.add_task("", total=addition.steps)
        while addition.done < addition.steps and not stop.event.is_set():
            gone = (time.monotonic() - first) / left
            if gone >= 1:
                break
            terms = addition.step(gone)
            bar.update(task, completed=addition.done, description=f"style {terms['style']:.2f}")
            if addition.done == FIRST or addition.done % EVERY == 0:
                addition.check()
                save(addition, picture, target, card)
                seconds = time.monotonic() - began
                bar.console.print(f"{seconds:4.0f} s  loss {addition.best_score:.3f}  preview {preview_of(target)}")
    if addition.done:
        addition.check()
        save(addition, picture, target, card)


def preview_of(style: Path) -> Path:
    return style.with_suffix(".jpg")


def save(addition: "Addition", picture: "Tensor", target: Path, card: "StyleCard") -> None:
    """Write the best filters and their preview, each in one step: a running program may read them now."""
    import cv2
    import numpy as np
    from safetensors import SafetensorError

    from allaprima.realtime.bundle import write_style

    painted = addition.preview(picture)
    filters = {k: v.cpu().numpy().astype(np.float16) for k, v in addition.best.items()}
    part = preview_of(target).with_name(f".{target.stem}.part.jpg")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(part), painted[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 88])
        os.replace(part, preview_of(target))
        write_style(target, card, filters)
    except (OSError, SafetensorError) as error:  # the second where the disk is full, for one
        why = getattr(error, "strerror", None) or str(error)
        raise SinkError(f"cannot write {target}: {why}", "name another folder with --out") from error
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def _preview_picture(path: Path | None) -> "Tensor":
    from allaprima.exporters.data import load_picture, scene_pictures

    return load_picture(path, PREVIEW_SIDE) if path else scene_pictures(PREVIEW_SIDE, 1)[0]
