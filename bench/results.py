"""Figures that say where they come from: their spread, the bar beside them, the machine they were taken on."""

import json
import os
import statistics
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from allaprima.realtime import machine

PACKAGES = ("allaprima", "openvino", "opencv-python-headless", "av", "numpy", "torch")
BUSY_CORES = 0.1
"""Cores taken by other programs from which on a timing is a lower bound, and the table says so."""


@dataclass(frozen=True, slots=True)
class Spread:
    """What repeated trials gave; nothing is thrown away."""

    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        return cls(tuple(float(value) for value in values))

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def least(self) -> float:
        return min(self.values)

    @property
    def most(self) -> float:
        return max(self.values)

    def as_json(self) -> dict[str, Any]:
        shown = [round(value, 4) for value in self.values]
        return {"median": round(self.median, 4), "min": min(shown), "max": max(shown), "trials": shown}


@dataclass(frozen=True, slots=True)
class Bar:
    """A figure that was promised, and the one that was measured."""

    what: str
    measured: float
    limit: float
    at_least: bool
    unit: str = ""

    @property
    def met(self) -> bool:
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    def __str__(self) -> str:
        sign = "≥" if self.at_least else "≤"
        return f"{sign} {self.limit:g}{self.unit}: {'met' if self.met else 'MISSED'}"

    def as_json(self) -> dict[str, Any]:
        sign = ">=" if self.at_least else "<="
        found = {"what": self.what, "measured": round(self.measured, 4), "unit": self.unit.strip()}
        return found | {"bar": f"{sign} {self.limit:g}", "met": self.met}


@dataclass(slots=True)
class OtherLoad:
    """Cores that other programs took while this one and its children worked; Linux only, else None."""

    cores: float | None = None
    _began: tuple[float, float, float] | None = field(default=None, repr=False)

    def __enter__(self) -> "OtherLoad":
        self._began = _cpu_seconds()
        return self

    def __exit__(self, *_: object) -> None:
        ended = _cpu_seconds()
        if self._began is None or ended is None:
            return
        wall, busy, own = (after - before for before, after in zip(self._began, ended, strict=True))
        self.cores = max(0.0, (busy - own) / wall) if wall > 0 else None


def _cpu_seconds() -> tuple[float, float, float] | None:
    """Wall-clock seconds, CPU seconds of the whole machine, CPU seconds of this program and its children."""
    try:
        words = Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    except OSError:
        return None
    user, nice, system, _idle, _wait, irq, soft, steal = (float(word) for word in words[:8])
    ticks = os.sysconf("SC_CLK_TCK")
    return time.monotonic(), (user + nice + system + irq + soft + steal) / ticks, sum(os.times()[:4])


def describe_machine() -> dict[str, Any]:
    memory = machine.memory()
    return {
        "cpu": machine.processor(),
        "features": machine.cpu_features(),
        "cores": machine.cores(),
        "memory_gb": None if memory is None else round(memory / 2**30, 1),
        "gpus": machine.gpus(),
        "system": f"{sys.platform} {os.uname().release}" if hasattr(os, "uname") else sys.platform,
        "load_average": [round(load, 2) for load in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def versions() -> dict[str, str]:
    found = {"python": sys.version.split()[0]}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def write_json(report: dict[str, Any], target: str | None) -> None:
    """Into a file, or for ``-`` to standard output."""
    text = json.dumps(report, indent=2, ensure_ascii=False)
    if target == "-":
        print(text)
    elif target:
        Path(target).write_text(text + "\n", encoding="utf-8")


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Of the straight line that fits best (least squares); 0 when all ``x`` are the same."""
    if len(set(x)) < 2:
        return 0.0
    return statistics.linear_regression(x, y).slope
