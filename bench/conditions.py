"""What the machine did besides while something was measured: other load, clocks, heat, power, memory."""

import os
import threading
import time
from pathlib import Path

from allaprima.bench.catalogue import Conditions
from allaprima.bench.sensors import Card, Processor
from allaprima.realtime import machine

EVERY = 0.2
"""Seconds between two looks at this process's memory."""
SENSORS_EVERY = 1.0
"""Seconds between two looks at sensors; asking the card takes a process of its own."""
SHORTEST = 0.05
"""Seconds of a window below which ticks of 10 ms tell nothing of load."""


class Watch:
    """Looks about in a thread of its own from ``with`` to its end; what cannot be read stays None, never an error.

    With the backend ``cuda`` clock, heat, power and throttling are those of the card, by ``nvidia-smi``, else those
    of the processor.  ``root`` stands for ``/``.
    """

    def __init__(self, backend: str = "cpu", *, every: float = EVERY, root: Path = Path("/")) -> None:
        self._every = every
        self._load = _Load(root)
        self._sensors: Card | Processor = Card() if backend == "cuda" else Processor(root)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._main, name="watch", daemon=True)
        self._rss = 0

    def __enter__(self) -> "Watch":
        self._load.begin()
        self._look()
        self._sensors.look()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._load.end()
        self._over.set()
        self._thread.join()  # it asks nobody for longer than `machine.ASK_SECONDS`
        self._look()
        self._sensors.look()

    def _main(self) -> None:
        due = time.monotonic() + SENSORS_EVERY
        while not self._over.wait(self._every):
            self._look()
            if time.monotonic() >= due:
                self._sensors.look()
                due = time.monotonic() + SENSORS_EVERY

    def _look(self) -> None:
        self._rss = max(self._rss, machine.resident() or 0)

    @property
    def rss_mb(self) -> float | None:
        """Most main memory that this process held at any look, in 10^6 bytes."""
        return round(self._rss / 1e6, 1) if self._rss else None

    @property
    def vram_mb(self) -> float | None:
        """By how much more memory was in use on the card at any look than at the first, in 10^6 bytes.

        None for a processor.  It is this process's where no other comes or goes and it opens the card after the first.
        """
        return round(self._sensors.memory / 1e6, 1) if self._sensors.memory else None

    def conditions(self) -> Conditions:
        """Of the window, once it is over."""
        found = self._sensors
        return Conditions(
            other_load_cores=self._load.others,
            stolen_cores=self._load.stolen,
            clock_mhz=found.clock.ends(),
            temperature_c=found.temperature.ends(),
            throttled=found.throttled,
            watts=found.watts,
            watts_of=None if found.watts is None else found.name,
        )


class _Load:
    """Cores that others took of those this process may use, by the kernel's ticks (proc_stat(5)).

    What this process took itself is not counted, nor what its children took that have ended.
    """

    def __init__(self, root: Path) -> None:
        self._stat = root / "proc/stat"
        self._began: tuple[float, ...] | None = None
        self.others: float | None = None
        self.stolen: float | None = None

    def begin(self) -> None:
        self._began = self._now()

    def end(self) -> None:
        ended = self._now()
        if self._began is None or ended is None:
            return
        wall, busy, stolen, own = (after - before for before, after in zip(self._began, ended, strict=True))
        if wall >= SHORTEST:
            self.others = round(max(0.0, (busy - own) / wall), 3)
            self.stolen = round(max(0.0, stolen / wall), 3)

    def _now(self) -> tuple[float, float, float, float] | None:
        """Seconds: on the wall, worked by those cores, withheld from them by the host, worked by this process."""
        try:
            lines = [line.split() for line in self._stat.read_text().splitlines()]
            ours = {f"cpu{number}" for number in os.sched_getaffinity(0)}
            spent = [[int(part) for part in parts[:8]] for name, *parts in filter(None, lines) if name in ours]
            ticks = os.sysconf("SC_CLK_TCK")
            user, nice, system, _idle, _wait, irq, soft, steal = map(sum, zip(*spent, strict=True))
        except (OSError, ValueError, AttributeError):  # no Linux
            return None
        return time.monotonic(), (user + nice + system + irq + soft) / ticks, steal / ticks, sum(os.times()[:4])
