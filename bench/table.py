"""What a person reads: tables on standard output, progress on standard error."""

import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from allaprima.bench.results import BUSY_CORES, Bar, Spread
from allaprima.realtime.errors import AllaprimaError

LEAST_COLUMNS = 110
"""A table is never squeezed: a narrow terminal may break its lines, a file keeps them."""
OUT = Console(highlight=False, width=max(LEAST_COLUMNS, shutil.get_terminal_size().columns))


@contextmanager
def aside(wanted: bool = True) -> Iterator[None]:
    """Where standard output is for JSON alone, what a person reads goes to standard error."""
    OUT.stderr = wanted
    try:
        yield
    finally:
        OUT.stderr = False


def note(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def heading(report: Mapping[str, Any]) -> None:
    """The machine and the settings, before the figures."""
    found, told = report["machine"], report["settings"]
    OUT.print(f"{found['cpu']}, {found['cores']} cores, {', '.join(found['features'])}; {found['system']}")
    OUT.print(", ".join(f"{name} {version}" for name, version in report["versions"].items()))
    OUT.print(", ".join(f"{name} {value}" for name, value in told.items()))


def figures(title: str, spreads: Mapping[str, Spread], bars: Iterable[Bar]) -> None:
    """Median and spread of each figure, and the bar beside it."""
    beside = {bar.what: bar for bar in bars}
    rows = []
    for name, spread in spreads.items():
        numbers = (number(value) for value in (spread.median, spread.least, spread.most))
        rows.append((name, *numbers, str(beside.get(name, ""))))
    plain(title, ("", "median", "min", "max", "bar"), rows)


def plain(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    shown = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for index, column in enumerate(columns):
        shown.add_column(column, justify="left" if index == 0 or column == "bar" else "right", no_wrap=True)
    for row in rows:
        shown.add_row(*row)
    OUT.print()
    OUT.print(shown)


def number(value: float) -> str:
    """Three figures that matter."""
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}" if abs(value) < 1 else f"{value:.2f}"


def warn_of_load(cores: float | None) -> None:
    if cores is not None and cores >= BUSY_CORES:
        OUT.print(f"Other programs took {cores:.1f} cores meanwhile: this machine alone would be faster.")


def run(main: Callable[..., None]) -> None:
    """A command of its own; a known error is two lines and its exit code."""
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)
    app.command()(main)
    try:
        app()
    except AllaprimaError as error:
        note(f"error: {error}")
        if error.hint:
            note(f"hint: {error.hint}")
        sys.exit(error.exit_code)
