"""The training log, one JSON object a line, and its picture.

    {"step": 0, "content": 1.31, "style": 4.02}
    {"step": 1, "content": 1.25, "style": 3.87}
    {"step": 2, "identity": 2.2}

A step has the terms it was trained by, so not every step has every term.
"""

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from allaprima.realtime.errors import ConfigError, SinkError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SIZE, DOTS = (12, 8), 100
"""Inches and dots an inch: 1200 x 800 pixels."""
LEAST, SHARE = 10, 1 / 50
"""The smooth curve looks back over this share of the values, and over so many at least."""

Curve = tuple[NDArray[np.int64], NDArray[np.float64]]


class Log:
    """Appends to the log at ``path``; every line is on its way to the disk when `write` returns.

    ``step`` is the first step that will be written: lines of that step and later ones, of a run that was
    interrupted after its last checkpoint, are taken out, and so is a line that was cut off.  0 starts anew.

    Raises `ConfigError` for a file that is there and is not such a log; it is left alone.  Raises `SinkError`,
    as `write` does, where nothing can be written.
    """

    def __init__(self, path: Path, step: int = 0) -> None:
        self.path = path
        kept = [entry for entry in _entries(path) if entry["step"] < step] if path.exists() else []
        with _replaced(path) as part:
            part.write_text("".join(map(_line, kept)), encoding="utf-8")

    def write(self, step: int, terms: Mapping[str, float]) -> None:
        """Append one step; a term that is not a finite number is kept as ``null``."""
        finite = {name: value if math.isfinite(value) else None for name, value in terms.items()}
        with _writing(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(_line({"step": step} | finite))


def read(path: Path) -> dict[str, Curve]:
    """Steps and values of every term, terms in order of their first appearance; ``null`` becomes NaN.

    A last line that was cut off is passed over.  Raises `ConfigError` for what is not a log.
    """
    steps: dict[str, list[int]] = {}
    values: dict[str, list[float]] = {}
    for entry in _entries(path):
        for name, value in entry.items():
            if name != "step":
                steps.setdefault(name, []).append(entry["step"])
                values.setdefault(name, []).append(math.nan if value is None else value)
    return {name: (np.array(steps[name]), np.array(values[name], float)) for name in steps}


def plot(log: Path, png: Path) -> None:
    """Draw the log as a PNG of 1200 x 800, one panel for each term, replacing ``png`` in one step.

    Each value is a faint dot; the line is the mean of the values before it, weighted exponentially.  The
    scale is logarithmic.  Raises `ConfigError` for a log that cannot be read or is empty, `SinkError` for a
    PNG that cannot be written, and `ModuleNotFoundError` where matplotlib is not installed.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    curves = read(log)
    if not curves:
        raise ConfigError(f"{log} has no steps to draw yet")
    figure = Figure(SIZE, DOTS, layout="constrained")
    FigureCanvasAgg(figure)
    columns = math.ceil(math.sqrt(len(curves)))
    rows = math.ceil(len(curves) / columns)
    last = max(1, *(int(steps[-1]) for steps, _ in curves.values()))
    for index, (name, curve) in enumerate(curves.items()):
        panel = figure.add_subplot(rows, columns, index + 1)
        _draw(panel, name, curve, f"C{index % 10}")
        panel.set_xlim(-0.01 * last, 1.01 * last)
        if index + columns >= len(curves):
            panel.set_xlabel("step")
    with _replaced(png) as part:
        figure.savefig(part, format="png")


def smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Exponential mean of the values up to each, `SHARE` of them long; NaN is passed over."""
    fade = 1 - 1 / max(LEAST, len(values) * SHARE)
    mean = weight = 0.0
    found = np.full(len(values), math.nan)
    for index, value in enumerate(values):
        if math.isfinite(value):
            mean, weight = fade * mean + (1 - fade) * value, fade * weight + (1 - fade)
        if weight:
            found[index] = mean / weight
    return found


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SinkError(f"{path} cannot be written: {error.strerror}", "check the folder and the space left") from error


@contextmanager
def _replaced(path: Path) -> Iterator[Path]:
    """A name beside ``path`` to write to; at the end it takes the place of ``path``, after an error it is gone."""
    part = path.with_name(f".{path.name}.part")
    with _writing(path):
        try:
            yield part
            os.replace(part, path)
        finally:
            part.unlink(missing_ok=True)


def _draw(panel: "Axes", name: str, curve: Curve, color: str) -> None:
    steps, values = curve
    line = smooth(values)
    alpha, size = (0.25, 3.0) if len(values) > 500 else (0.5, 8.0)
    panel.plot(steps, values, ".", color=color, alpha=alpha, markersize=size, markeredgewidth=0)
    panel.plot(steps, line, color=color, linewidth=2)
    if (values > 0).any():  # a term that is 0 now and then has gaps there
        panel.set_yscale("log")
        _label_logarithms(panel)
    end = f": {line[-1]:.3g}" if math.isfinite(line[-1]) else ""
    panel.set_title(f"{name}{end}", fontsize=13)
    panel.grid(True, which="both", alpha=0.25)


def _label_logarithms(panel: "Axes") -> None:
    """Plain numbers, some within a decade too: a loss seldom crosses two of them."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.yaxis.set_minor_formatter(NullFormatter())


def _entries(path: Path) -> list[dict[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise ConfigError(f"training log {path} cannot be read: {why}") from error
    if lines and not lines[-1].endswith("\n"):
        lines.pop()
    return [_entry(path, number, line) for number, line in enumerate(lines, 1)]


def _entry(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except ValueError:
        entry = None
    good = isinstance(entry, dict) and isinstance(entry.get("step"), int)
    if not good or not all(value is None or isinstance(value, int | float) for value in entry.values()):
        raise ConfigError(f"{path} is not a training log: line {number}", "name another file, or move that one away")
    return dict(entry)


def _line(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry, allow_nan=False) + "\n"
