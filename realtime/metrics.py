"""Where the time goes: how long each stage takes, over all frames and lately."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager


class Stages:
    """Wall-clock time of named stages.  Any thread may add, any may read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._total: dict[str, float] = {}
        self._count: dict[str, int] = {}

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.add(name, time.perf_counter() - start)

    def add(self, name: str, seconds: float) -> None:
        with self._lock:
            self._total[name] = self._total.get(name, 0.0) + seconds
            self._count[name] = self._count.get(name, 0) + 1

    def milliseconds(self) -> dict[str, float]:
        """Mean milliseconds a frame of each stage, in the order the stages first ran."""
        with self._lock:
            return {name: 1000 * total / self._count[name] for name, total in self._total.items()}

    def totals(self) -> dict[str, float]:
        """Seconds spent in each stage so far."""
        with self._lock:
            return dict(self._total)
