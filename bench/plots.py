"""The catalogue's plots for the README: one PNG each for a light and a dark page.

matplotlib comes with the extras ``dev`` and ``train``.  A plot whose data are absent is left out.  Each PNG carries
the mark of the result it shows, so that a plot of other data is found without drawing it again.
"""

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from allaprima.bench import drawings
from allaprima.bench.catalogue import Result, dump
from allaprima.bench.drawings import DPI, WIDTH_IN, Ink
from allaprima.realtime.errors import ConfigError

Draw = Callable[[Any, Result, Ink], None]
"""Draws on a figure of matplotlib."""

COLORS = 64
"""Of a PNG's palette: smooth enough for letters, a third of the bytes."""
MODES = {
    "light": Ink(
        "#ffffff", "#1d1b19", "#5f5a54", "#d8d3cb", ("#0072b2", "#d55e00", "#00805e", "#a8518a", "#8a6d00", "#6d6862")
    ),
    "dark": Ink(
        "#0d1117", "#efece7", "#a8a29a", "#34383f", ("#56b4e9", "#f28e3c", "#2fc79b", "#e59ac6", "#e6c229", "#a8a29a")
    ),
}


@dataclass(frozen=True, slots=True)
class Plot:
    caption: str
    has_data: Callable[[Result], bool]
    draw: Draw


def available(result: Result | None) -> dict[str, Plot]:
    """The plots that this result has data for, by name."""
    return {name: plot for name, plot in PLOTS.items() if result is not None and plot.has_data(result)}


def mark(result: Result) -> bytes:
    """What a PNG of this result carries."""
    return hashlib.sha256(dump(result).encode()).hexdigest().encode()


def file_name(name: str, mode: str) -> str:
    return f"{name}-{mode}.png"


def markdown(result: Result | None, folder: str) -> str:
    """The plots as GitHub shows them, by the reader's colors; all but the first behind a line to click."""
    shown = [
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{folder}/{file_name(name, "dark")}">'
        f'<img width="830" alt="{plot.caption}" src="{folder}/{file_name(name, "light")}"></picture>'
        for name, plot in available(result).items()
    ]
    rest = "\n\n".join(["<details><summary>More plots</summary>", *shown[1:], "</details>"])
    return "\n\n".join([*shown[:1], *([rest] if shown[1:] else [])])


def draw(result: Result) -> dict[str, bytes]:
    """PNGs by file name; raises `ConfigError` without matplotlib."""
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ConfigError(f"{error.name} is not installed", 'pip install "allaprima[dev]"') from error
    found = {}
    for name, plot in available(result).items():
        for mode, ink in MODES.items():
            with matplotlib.rc_context(_settings(ink)):
                drawing = Figure(figsize=(WIDTH_IN, 4.0), dpi=DPI, layout="constrained")
                plot.draw(drawing, result, ink)
                found[file_name(name, mode)] = _png(drawing, result)
    return found


def _settings(ink: Ink) -> Any:
    return {
        "font.family": "DejaVu Sans",
        "font.size": 9.5,
        "text.color": ink.text,
        "text.parse_math": False,
        "axes.labelcolor": ink.faint,
        "axes.edgecolor": ink.line,
        "axes.facecolor": ink.paper,
        "figure.facecolor": ink.paper,
        "savefig.facecolor": ink.paper,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 9.5,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.titlepad": 10,
        "xtick.color": ink.faint,
        "ytick.color": ink.faint,
        "xtick.minor.size": 0,
        "ytick.minor.size": 0,
        "grid.color": ink.line,
        "grid.linewidth": 0.7,
        "axes.axisbelow": True,
    }


def _png(drawing: Any, result: Result) -> bytes:
    from PIL import Image, PngImagePlugin

    drawn = io.BytesIO()
    drawing.savefig(drawn, format="png")
    text = PngImagePlugin.PngInfo()
    text.add_text("Source", mark(result).decode())
    small = io.BytesIO()
    few = Image.open(drawn).convert("RGB").quantize(COLORS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    few.save(small, format="png", optimize=True, pnginfo=text)
    return small.getvalue()


PLOTS = {
    "fps": Plot(
        "Frames a second by size, of the nets, the engine, and from file to file", drawings.has_speeds, drawings.speeds
    ),
    "stages": Plot(
        "Where a frame's time goes in the engine, by size",
        lambda result: bool(drawings.staged(result)),
        drawings.stages,
    ),
    "rivals": Plot("Times slower than ours, by rival", lambda result: bool(drawings.measured(result)), drawings.rivals),
    "ceilings": Plot(
        "Share of the machine's ceilings that each stage reaches",
        lambda result: bool(drawings.bounded(result)),
        drawings.ceilings,
    ),
    "scales": Plot(
        "The cost of more pixels, streams, styles and channels",
        lambda result: bool(drawings.scaled(result)),
        drawings.scales,
    ),
}
