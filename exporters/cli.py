"""`allaprima-train`: train a bundle, look at it, export it."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from allaprima.exporters.cli_add import add_style
from allaprima.realtime.errors import AllaprimaError, ConfigError

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
Checkpoint = Annotated[Path, typer.Argument(help="A checkpoint that `train` wrote.")]
Config = Annotated[Path, typer.Argument(help="Training config (TOML); see exporters/studio.toml.")]


app.command()(add_style)


@app.callback()
def _root() -> None:
    """Train StyleBanks for Alla Prima."""


@app.command()
def train(
    config: Config,
    out: Annotated[Path, typer.Option(help="Folder for the checkpoint and the contact sheets.")] = Path("runs/studio"),
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint in the folder.")] = False,
    start: Annotated[Path | None, typer.Option(help="Bundle to start from instead of random weights.")] = None,
    every: Annotated[int, typer.Option(min=1, help="Steps between checkpoints, sheets and curves.")] = 200,
    device: Annotated[str | None, typer.Option(help="cpu or cuda. Not set: cuda where there is one.")] = None,
) -> None:
    """Train encoder, decoder and a bank of styles from photos and artworks."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from allaprima.exporters import training
    from allaprima.exporters.curves import Log, plot
    from allaprima.exporters.recipe import TrainConfig

    training.tune_allocator()
    trainer = training.Trainer(TrainConfig.read(config), device)
    if resume and start is not None:
        raise ConfigError("--resume goes on with a checkpoint, --start begins from a bundle", "give one of them")
    out.mkdir(parents=True, exist_ok=True)
    keep = out / "last.pt"
    if resume:
        trainer.load(keep)
    elif keep.exists():
        raise ConfigError(f"{keep} exists", "add --resume to go on with it, or choose another --out")
    elif start is not None:
        trainer.start_from(start)
    log = Log(out / "log.jsonl", trainer.done)

    def draw() -> None:
        save_sheet(trainer.generator, trainer.photos[:3], out / f"sheet_{trainer.done:06d}.png")
        plot(log.path, out / "curves.png")

    smooth: dict[str, float] = {}
    columns = (
        TextColumn("step"),
        MofNCompleteColumn(),
        BarColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.description}"),
    )
    with Progress(*columns) as bar:
        task = bar.add_task("", total=trainer.total, completed=trainer.done)

        def report(step: int, terms: dict[str, float]) -> None:
            for name, value in terms.items():
                smooth[name] = 0.95 * smooth.get(name, value) + 0.05 * value
            log.write(step, terms)
            text = " ".join(f"{k} {v:.3f}" for k, v in smooth.items())
            bar.update(task, completed=step + 1, description=text)
            if (step + 1) % every == 0 or step + 1 == trainer.total:
                draw()

        training.train(trainer, report, keep, every)
    print(keep)


@app.command()
def sheet(
    checkpoint: Checkpoint,
    photos: Annotated[list[Path], typer.Argument(help="Pictures to paint.")],
    out: Annotated[Path, typer.Option(help="The PNG to write.")] = Path("sheet.png"),
) -> None:
    """Paint pictures in every style and lay the results out as one PNG."""
    from allaprima.exporters.data import load_picture

    save_sheet(load_generator(checkpoint), [load_picture(p, 384) for p in photos], out)
    print(out)


@app.command()
def export(
    checkpoint: Checkpoint,
    folder: Annotated[Path, typer.Argument(help="The bundle's folder; one that is there is replaced.")],
    config: Annotated[Path, typer.Option(help="The training config: names the styles' artists.")],
    version: Annotated[str, typer.Option(help="Version of the bundle.")] = "1",
    preview: Annotated[
        Path | None, typer.Option(help="Picture for the styles' previews. Not set: a built-in scene.")
    ] = None,
) -> None:
    """Write a trained checkpoint as a bundle that the engine can paint with."""
    from allaprima.exporters.data import load_picture, scene_pictures
    from allaprima.exporters.export import export_bundle, save_previews
    from allaprima.exporters.recipe import TrainConfig
    from allaprima.exporters.training import load_checkpoint
    from allaprima.realtime.bundle import StyleCard

    settings = TrainConfig.read(config)
    generator = load_generator(checkpoint)
    cards = {
        n: StyleCard(name=n, **(settings.cards[n].model_dump() if n in settings.cards else {})) for n in generator.bank
    }
    record = {
        "steps": int(load_checkpoint(checkpoint)["done"]),
        "photo_prefixes": " ".join(settings.photo_prefixes),
    }
    export_bundle(
        generator,
        cards,
        folder,
        name=folder.name,
        version=version,
        default_style=next(iter(generator.bank)),
        training=record,
    )
    save_previews(generator, load_picture(preview, 270) if preview else scene_pictures(270, 1)[0], folder / "styles")
    _verify(folder, [], generator)
    print(folder)


@app.command()
def verify(
    bundle: Annotated[Path, typer.Argument(help="Folder of a bundle that `export` wrote.")],
    pictures: Annotated[list[Path] | None, typer.Argument(help="Pictures to paint. Not set: a built-in scene.")] = None,
) -> None:
    """Compare what torch, the exported nets and the engine paint; fails where they differ more than they may."""
    _verify(bundle, pictures or [])


def _verify(bundle: Path, pictures: list[Path], network: Any = None) -> None:
    from allaprima.exporters.data import load_picture, scene_pictures
    from allaprima.exporters.verify import check, table
    from allaprima.exporters.verify import verify as compare

    shown = [load_picture(path, 360) for path in pictures] or scene_pictures(360, 1)
    rows = compare(bundle, shown, network=network)
    print(table(rows))
    check(rows)


def load_generator(checkpoint: Path) -> Any:
    """The generator in a checkpoint; its styles are read from the names of its tensors."""
    from allaprima.exporters.networks import Generator, PaperStyleBank
    from allaprima.exporters.training import load_checkpoint

    state = load_checkpoint(checkpoint)["generator"]
    names = list(dict.fromkeys(key.split(".")[1] for key in state if key.startswith("bank.")))
    if "encoder.c1.bias" in state:
        generator = PaperStyleBank(names, len(state["encoder.c1.bias"]))
    else:
        deep = len(state.get("encoder.norm.weight", ()))
        generator = Generator(names, deep, len(state.get("encoder.head.bias", ())) - deep)
    try:
        generator.load_state_dict(state)
    except RuntimeError as error:
        raise ConfigError(f"{checkpoint} holds another network") from error
    return generator.eval()


def save_sheet(generator: Any, pictures: list[Any], path: Path) -> None:
    """One column for each picture; rows: the picture, the auto-encoder, then every style."""
    import cv2
    import numpy as np

    from allaprima.exporters.export import paint_pictures

    size = (min(p.shape[1] for p in pictures) // 8 * 8, min(p.shape[2] for p in pictures) // 8 * 8)
    cut = [p[:, : size[0], : size[1]] for p in pictures]
    rows = [np.hstack([p.permute(1, 2, 0).numpy() for p in cut])]
    rows += [np.hstack(paint_pictures(generator, cut, style)) for style in (None, *generator.bank)]
    cv2.imwrite(str(path), np.vstack(rows)[..., ::-1])


def main() -> None:
    """Run the command line; a user's mistake is one line and an exit code, never a traceback."""
    try:
        app()
    except AllaprimaError as error:
        print(f"error: {error}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        sys.exit(error.exit_code)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in ("torch", "onnx", "PIL", "matplotlib"):
            raise
        print(f"error: {package} is not installed\nhint: pip install 'allaprima[train]'", file=sys.stderr)
        sys.exit(AllaprimaError.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
