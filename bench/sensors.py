"""What tells of a processor or a card how it fares: clock, heat, power, throttling.  What cannot be read is None."""

import os
import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from allaprima.realtime import machine

THROTTLES = 0x08 | 0x20 | 0x40 | 0x80
"""Clock event reasons of NVML that are a fault of cooling or supply: hardware slowdown, thermal slowdown by software
and by hardware, power brake.  A card at its power limit (0x04) does what it is built for."""
REASONS = ("clocks_event_reasons.active", "clocks_throttle_reasons.active")
"""The same bits under today's name and under that of drivers before 535."""
CARD = ("clocks.sm", "temperature.gpu", "power.draw", "memory.used")
CPU_ZONES = ("x86_pkg_temp", "cpu")
"""Beginnings of the types of thermal zones that are the processor's."""
CPU_CHIPS = ("coretemp", "k10temp", "zenpower", "cpu_thermal")
"""Names of hardware monitors that are the processor's."""


class Range:
    """The least and the most of what was seen."""

    def __init__(self) -> None:
        self._seen: tuple[float, float] | None = None

    def see(self, values: Iterable[float]) -> None:
        every = [*values, *(self._seen or ())]
        if every:
            self._seen = min(every), max(every)

    def ends(self) -> tuple[float, float] | None:
        return None if self._seen is None else (round(self._seen[0], 1), round(self._seen[1], 1))


class Processor:
    """Clocks, heat, throttling and RAPL's power of all packages."""

    name: Literal["package", "gpu"] = "package"
    memory = 0

    def __init__(self, root: Path) -> None:
        self.clock, self.temperature = Range(), Range()
        self.throttled: bool | None = None
        self._cpus = root / "sys/devices/system/cpu"
        self._cpuinfo = root / "proc/cpuinfo"
        self._heat = _processor_heat(root)
        self._energy = _Energy(root)
        self._counted: float | None = None

    def look(self) -> None:
        self.clock.see(value for value in self._clocks() if value > 0)
        self.temperature.see(value / 1000 for value in _numbers(self._heat))
        counts = _numbers(self._cpus.glob("cpu[0-9]*/thermal_throttle/*_throttle_count"))
        if counts:
            total = sum(counts)
            self.throttled = bool(self.throttled) or (self._counted is not None and total > self._counted)
            self._counted = total
        self._energy.look()

    @property
    def watts(self) -> float | None:
        return self._energy.watts

    def _clocks(self) -> list[float]:
        """Of every core, in MHz."""
        found = [value / 1000 for value in _numbers(self._cpus.glob("cpu[0-9]*/cpufreq/scaling_cur_freq"))]
        if found:
            return found
        with suppress(OSError, ValueError):
            lines = self._cpuinfo.read_text(errors="replace").splitlines()
            return [float(line.partition(":")[2]) for line in lines if line.startswith("cpu MHz")]
        return []


def _processor_heat(root: Path) -> list[Path]:
    """The files with the processor's temperature in thousandths of a degree."""
    zones = sorted((root / "sys/class/thermal").glob("thermal_zone*"))
    for start in CPU_ZONES:
        if found := [zone / "temp" for zone in zones if _text(zone / "type").lower().startswith(start)]:
            return found
    chips = sorted((root / "sys/class/hwmon").glob("hwmon*"))
    return [file for chip in chips if _text(chip / "name") in CPU_CHIPS for file in sorted(chip.glob("temp*_input"))]


class _Energy:
    """RAPL's counters of microjoules, one for each package, which begin anew at their range (powercap of Linux)."""

    def __init__(self, root: Path) -> None:
        packages = sorted((root / "sys/class/powercap").glob("intel-rapl:[0-9]*"))
        self._packages = [package for package in packages if package.name.count(":") == 1]
        self._last: list[float] | None = None
        self._joules = self._began = self._ended = 0.0

    def look(self) -> None:
        now = _numbers(package / "energy_uj" for package in self._packages)
        if not now or len(now) != len(self._packages):  # often only root may read it
            return
        self._ended = time.monotonic()
        if self._last is None:
            self._began = self._ended
        else:
            ranges = [_number(package / "max_energy_range_uj") or 0 for package in self._packages]
            for before, after, most in zip(self._last, now, ranges, strict=True):
                self._joules += (after - before + (most if after < before else 0)) / 1e6
        self._last = now

    @property
    def watts(self) -> float | None:
        return round(self._joules / (self._ended - self._began), 2) if self._joules > 0 else None


class Card:
    """The card that paints, as NVML tells it through the driver's own program."""

    name: Literal["package", "gpu"] = "gpu"

    def __init__(self) -> None:
        self.clock, self.temperature = Range(), Range()
        self.throttled: bool | None = None
        self.memory = 0
        self._memory: float | None = None
        self._watts: list[float] = []
        self._reasons = list(REASONS)

    def look(self) -> None:
        cells = self._ask()
        if len(cells) != len(CARD) + 1:
            return
        clock, heat, power, memory, reasons = (_parsed(cell) for cell in cells)
        self.clock.see(value for value in (clock,) if value)
        self.temperature.see(value for value in (heat,) if value is not None)
        self._watts += [power] if power is not None else []
        if memory is not None:
            self._memory = memory if self._memory is None else self._memory
            self.memory = max(self.memory, int((memory - self._memory) * 2**20))
        if reasons is not None:
            self.throttled = bool(self.throttled) or bool(int(reasons) & THROTTLES)

    def _ask(self) -> Sequence[str]:
        for name in self._reasons:
            words = ["nvidia-smi", "-i", _card(), f"--query-gpu={','.join((*CARD, name))}"]
            if lines := machine.answer([*words, "--format=csv,noheader,nounits"]):
                self._reasons = [name]
                return [cell.strip() for cell in lines[0].split(",")]
        return []

    @property
    def watts(self) -> float | None:
        power = sum(self._watts)
        return round(power / len(self._watts), 2) if power > 0 else None


def _card() -> str:
    """The card's place on the bus where CuPy paints with it, else the first that may be used."""
    cupy: Any = sys.modules.get("cupy")
    if cupy is not None:
        with suppress(RuntimeError, AttributeError):
            return str(cupy.cuda.runtime.deviceGetPCIBusId(cupy.cuda.runtime.getDevice()))
    return os.environ.get("CUDA_VISIBLE_DEVICES", "").partition(",")[0].strip() or "0"


def _parsed(cell: str) -> float | None:
    """A figure, or the hexadecimal bits of reasons; None for "[N/A]" and the like."""
    with suppress(ValueError):
        return float(int(cell, 16)) if cell.startswith("0x") else float(cell)
    return None


def _numbers(files: Iterable[Path]) -> list[float]:
    return [value for file in files if (value := _number(file)) is not None]


def _number(file: Path) -> float | None:
    try:
        return float(file.read_text())
    except (OSError, ValueError):
        return None


def _text(file: Path) -> str:
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError):
        return ""
