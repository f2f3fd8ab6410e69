"""``allaprima styles``: what there is to paint with."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from allaprima.realtime.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

    from allaprima.realtime.shelf import Shelved

DAMAGED = 5
"""Exit code of `verify` when anything is bad; the one of a `BundleError`."""
WIDE = 200
"""Columns where there is no terminal: paths stay in one piece."""

BundleFlag = Annotated[Path | None, typer.Option("--bundle", help="Folder of the model bundle.")]
JsonFlag = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of a style.")]

styles = typer.Typer(help="List, show, add, remove and verify styles.", invoke_without_command=True)


@styles.callback()
def default(context: typer.Context, bundle: BundleFlag = None, as_json: JsonFlag = False) -> None:
    """List, show, add, remove and verify styles.  Alone: list."""
    if context.invoked_subcommand is None:
        list_styles(bundle, as_json)
    elif bundle or as_json:
        raise ConfigError("flags go behind the command", f"Write: allaprima styles {context.invoked_subcommand} ...")


@styles.command("list")
def list_styles(bundle: BundleFlag = None, as_json: JsonFlag = False) -> None:
    """List the styles."""
    from allaprima.realtime import shelf

    found = shelf.shelved(shelf.open_bundle(bundle))
    if as_json:
        print(json.dumps([style.as_json() for style in found], ensure_ascii=False))
        return
    table = _table("name", "title", "artist", "licence", "kB", "from", "preview")
    for style in found:
        table.add_row(*_row(style))
    _print(table)


def _row(style: "Shelved") -> list[str]:
    from rich.markup import escape

    origin = "shipped" if style.shipped else "added"
    size = f"{style.bytes / 1000:.0f}"
    if style.card is None:
        return [style.name, f"[red]damaged: {escape(style.problem)}[/red]", "", "", size, origin, ""]
    card = style.card
    return [
        style.name,
        escape(f"{card.title}{f' ({card.year})' if card.year else ''}"),
        escape(card.artist),
        escape(card.licence),
        size,
        origin,
        escape(str(style.preview or "")),
    ]


@styles.command()
def show(name: Name, bundle: BundleFlag = None, as_json: JsonFlag = False) -> None:
    """Show all about a style."""
    from allaprima.realtime import shelf

    found = shelf.find(shelf.open_bundle(bundle), name).as_json()
    if as_json:
        print(json.dumps(found, ensure_ascii=False))
        return
    for key, value in found.items():
        if value not in (None, ""):
            print(f"{key:12} {value}")


@styles.command()
def add(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A .safetensors file trained for this bundle.")],
    name: Annotated[str | None, typer.Option("--name", help="Call it so. Not set: like the file.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a style of the same name.")] = False,
    bundle: BundleFlag = None,
) -> None:
    """Add a style of your own; a running program picks it up."""
    from allaprima.realtime import shelf

    style = shelf.add(shelf.open_bundle(bundle), file, name, overwrite)
    print(f"added {style.name}: {style.path}")


@styles.command()
def remove(name: Name, bundle: BundleFlag = None) -> None:
    """Remove a style that was added."""
    from allaprima.realtime import shelf

    style = shelf.remove(shelf.open_bundle(bundle), name)
    print(f"removed {style.name}: {style.path}")


@styles.command()
def verify(bundle: BundleFlag = None, as_json: JsonFlag = False) -> None:
    """Check every net and style: hash, shapes, numbers."""
    from allaprima.realtime import shelf

    verdicts = shelf.verify(shelf.open_bundle(bundle))
    bad = [verdict for verdict in verdicts if verdict.problem]
    if as_json:
        rows = [{"what": v.what, "path": str(v.path), "problem": v.problem or None} for v in verdicts]
        print(json.dumps({"ok": not bad, "files": rows}, ensure_ascii=False))
    else:
        table = _table("what", "verdict", "path")
        for verdict in verdicts:
            table.add_row(
                verdict.what,
                f"[red]{verdict.problem}[/red]" if verdict.problem else "good",
                str(verdict.path),
            )
        _print(table)
    if bad:
        raise typer.Exit(DAMAGED)


def _table(*columns: str) -> "Table":
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="right" if column == "kB" else "left", overflow="fold")
    return table


def _print(table: "Table") -> None:
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDE)
    console.print(table)
