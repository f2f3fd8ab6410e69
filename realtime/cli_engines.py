"""``allaprima engines``: TensorRT engines, built before they are needed."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allaprima.realtime.cli_styles import WIDE
from allaprima.realtime.config import parse_size
from allaprima.realtime.errors import AllaprimaError, BackendUnavailable, ConfigError

if TYPE_CHECKING:
    from allaprima.realtime.builds import Order
    from allaprima.realtime.engine_upkeep import Verdict

DAMAGED = 5
"""Exit code of `verify` when an engine is damaged, as of ``styles verify``."""
USUAL = ("1280x720", "1920x1080")
"""Sizes that are built when none is given."""
GIB = 1 << 30
STEP = 0.1
"""Share of a build between two lines where there is no terminal."""


class RoadName(StrEnum):
    """How to build."""

    onnx = "onnx"
    torch = "torch-tensorrt"


class Precision(StrEnum):
    """What is computed in fp32: norms, all but convolutions, everything."""

    half = "half"
    norms = "norms-full"
    full = "full"


JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON.")]

engines = typer.Typer(
    help="Build, list, verify and prune TensorRT engines, which make painting on an NVIDIA card faster.",
    no_args_is_help=True,
)


@engines.command()
def build(
    size: Annotated[
        list[str] | None,
        typer.Option("--size", metavar="WxH", help=f"Size of the picture. Repeatable. Not set: {', '.join(USUAL)}."),
    ] = None,
    bundle: Annotated[Path | None, typer.Option("--bundle", help="Folder of the model bundle.")] = None,
    dynamic: Annotated[
        bool,
        typer.Option("--dynamic", help="One engine for all sizes up to --size (not set: 1920x1920); slower."),
    ] = False,
    regions: Annotated[
        int, typer.Option("--regions", min=1, max=2, help="2: with a mask and a second style (run --mask).")
    ] = 1,
    road: Annotated[RoadName, typer.Option("--with", help="How to build.")] = RoadName.onnx,
    precision: Annotated[
        Precision,
        typer.Option("--precision", help="fp32 for norms; for all but convolutions; for everything."),
    ] = Precision.half,
    memory: Annotated[float, typer.Option("--memory", min=0.1, metavar="GIB", help="Of the card, while building.")] = 4,
    again: Annotated[bool, typer.Option("--again", help="Build even what is there.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Build engines for these sizes; what is there already stays.

    allaprima engines build --size 1280x720
    """
    done: list[dict[str, Any]] = []
    try:
        orders = _orders(size or [], bundle, dynamic, regions, road, precision, int(memory * GIB), again)
        for name, order in orders.items():
            done.append(_build(name, order, quiet=as_json))
    except AllaprimaError as error:
        if as_json:
            failure = {"error": str(error), "hint": error.hint, "exit_code": error.exit_code}
            print(json.dumps({"ok": False, "engines": done, **failure}, ensure_ascii=False))
        raise
    if as_json:
        print(json.dumps({"ok": True, "engines": done}, ensure_ascii=False))


def _orders(
    sizes: list[str], bundle: Path | None, dynamic: bool, regions: int, road: RoadName, precision: Precision,
    memory: int, again: bool,
) -> "dict[str, Order]":  # fmt: skip
    """What to build, by the size as it was given, with everything checked that can be before it begins."""
    wanted = [parse_size(size) for size in sizes]
    if dynamic and len(wanted) > 1:
        raise ConfigError("an engine for any size has one largest size", "Give one --size with --dynamic, or none.")
    if dynamic and road is RoadName.torch:
        raise ConfigError("torch-tensorrt builds engines for one size each", "Leave out --dynamic or --with.")
    from allaprima.realtime import builds, shelf
    from allaprima.realtime.backends.nets import trt
    from allaprima.realtime.engine_key import packed_size
    from allaprima.realtime.engines import engines_folder

    too_small = [size for size in wanted if min(size) < min(builds.LEAST)]
    if too_small:
        raise ConfigError("{}x{} is too small for an engine".format(*too_small[0]), "The least is 64x64.")
    opened = shelf.open_bundle(bundle)
    trt.machine()
    if road is RoadName.torch and find_spec("torch_tensorrt") is None:
        raise BackendUnavailable("torch-tensorrt is not installed", "pip install 'allaprima[torchtrt]'")
    common: dict[str, Any] = {"bundle": opened.path, "regions": regions, "precision": precision.value}
    common |= {"road": road.value, "memory": memory, "folder": engines_folder(), "again": again}
    if dynamic:
        return {"any size": builds.Order(cells=None, most=packed_size(wanted[0]) if wanted else None, **common)}
    given = {packed_size(size): "{}x{}".format(*size) for size in wanted or map(parse_size, USUAL)}
    return {name: builds.Order(cells=cells, **common) for cells, name in given.items()}


def _build(name: str, order: "Order", quiet: bool) -> dict[str, Any]:
    from allaprima.realtime.builds import Child

    end: dict[str, Any] = {}
    with Child(order) as child, _shown(name, quiet) as show:
        for event in child.events():
            show(event)
            end = event
    if not quiet:
        record = end["record"]
        told = f"{record['psnr']:.1f} dB from fp32 over {record['compared']} paintings"
        if record["precision"] != order.precision:
            told += f", in precision {record['precision']} instead of {order.precision}"
        print(f"{name}: {end['plan']} ({record['bytes'] / 1e6:.1f} MB, {record['seconds']:.0f} s, {told})")
    return {"plan": end["plan"], **end["record"]}


@contextmanager
def _shown(name: str, quiet: bool) -> Iterator[Any]:
    """How a build goes: a bar on a terminal, lines elsewhere."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, highlight=False)
    if quiet:
        yield lambda event: None
        return
    if not console.is_terminal:
        told = -STEP

        def line(event: dict[str, Any]) -> None:
            nonlocal told
            if event["event"] == "note":
                print(f"{name}: {event['text']}", flush=True)
            elif event["event"] == "progress" and not told <= event["share"] < told + STEP:
                told = event["share"]
                print(f"{name}: {told:.0%} {event['doing']}", flush=True)

        yield line
        return
    columns = TextColumn("{task.fields[size]}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn()
    with Progress(*columns, TextColumn("{task.description}", markup=False), console=console, transient=True) as bar:
        task = bar.add_task("", total=1.0, size=name)

        def draw(event: dict[str, Any]) -> None:
            if event["event"] == "note":
                console.print(f"{name}: {event['text']}", markup=False)
            elif event["event"] == "progress":
                bar.update(task, completed=event["share"], description=event["doing"])

        yield draw


@engines.command("list")
def list_engines(as_json: JsonFlag = False) -> None:
    """List the engines; works without a card, which then are not judged."""
    from allaprima.realtime import engine_upkeep
    from allaprima.realtime.engines import Engines

    _show(engine_upkeep.judged(Engines(), engine_upkeep.machines()), as_json)


@engines.command()
def verify(as_json: JsonFlag = False) -> None:
    """Check every engine: its hash, whether it is for this machine, whether TensorRT takes it."""
    from allaprima.realtime import engine_upkeep
    from allaprima.realtime.backends.nets import trt
    from allaprima.realtime.engines import Engines

    verdicts = list(engine_upkeep.verify(Engines(), trt.machines()))
    _show(verdicts, as_json)
    if any(verdict.state == "damaged" for verdict in verdicts):
        raise typer.Exit(DAMAGED)


@engines.command()
def prune(
    everything: Annotated[bool, typer.Option("--all", help="Remove all of them.")] = False,
    older: Annotated[
        float | None, typer.Option("--older-than", min=0, metavar="DAYS", help="Also those not used for so long.")
    ] = None,
    keep: Annotated[
        float | None, typer.Option("--keep", min=0, metavar="GB", help="Also the longest unused beyond so much.")
    ] = None,
    dry: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    as_json: JsonFlag = False,
) -> None:
    """Remove engines that are damaged, or were built for another card, driver, TensorRT, bundle or version."""
    from allaprima.realtime import engine_upkeep
    from allaprima.realtime.engines import Engines

    room = None if keep is None else int(keep * 1e9)
    gone = engine_upkeep.prune(Engines(), engine_upkeep.machines(), everything, older, room, dry)
    if as_json:
        rows = [{"path": str(file.path), "bytes": file.bytes, "why": file.why} for file in gone]
        print(json.dumps({"dry_run": dry, "removed": rows}, ensure_ascii=False))
        return
    for file in gone:
        print(f"{'would remove' if dry else 'removed'} {file.path} ({file.why})")
    total = sum(file.bytes for file in gone) / 1e6
    print(f"{len(gone)} files, {total:.1f} MB" if gone else "nothing to remove")


def _show(verdicts: "list[Verdict]", as_json: bool) -> None:
    if as_json:
        print(json.dumps([verdict.as_json() for verdict in verdicts], ensure_ascii=False))
        return
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from allaprima.realtime.engines import engines_folder

    if not verdicts:
        print(f"there are no engines in {engines_folder()}")
        return
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in ("size", "state", "precision", "dB", "MB", "built for", "name"):
        table.add_column(column, justify="right" if column in ("dB", "MB") else "left", overflow="fold")
    for verdict in verdicts:
        color = {"good": "green", "unknown": "", "stale": "yellow"}.get(verdict.state, "red")
        state = escape(f"{verdict.state}: {verdict.why}" if verdict.why else verdict.state)
        row = _size(verdict), f"[{color}]{state}[/{color}]" if color else state, *_details(verdict)
        table.add_row(*row, verdict.entry.path.stem)
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDE)
    console.print(table)


def _size(verdict: "Verdict") -> str:
    from allaprima.realtime.engine_key import picture_size

    record = verdict.entry.record
    if record is None:
        return "?"
    if record.key.cells is not None:
        size = "{}x{}".format(*picture_size(record.key.cells))
    else:
        size = "up to {}x{}".format(*picture_size(record.range[2])) if record.range else "any"
    return size if record.key.regions == 1 else f"{size} with a region"


def _details(verdict: "Verdict") -> list[str]:
    record = verdict.entry.record
    size = f"{verdict.entry.bytes / 1e6:.1f}"
    if record is None:
        return ["", "", size, ""]
    key = record.key
    precision = key.precision if key.precision == record.precision else f"{record.precision} (not {key.precision})"
    return [precision, f"{record.psnr:.1f}", size, f"{key.gpu}, TensorRT {key.tensorrt}, driver {key.driver}"]
