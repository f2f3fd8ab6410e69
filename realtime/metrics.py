"""What a running engine tells of itself: where the time goes, and how much the picture flickers."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Watch = Callable[[str, float, float, int], None]
"""Told of a stage as it ends, in the thread that did it: name, start by `time.perf_counter`, seconds, frame's index."""
NO_FRAME = -1


class Stages:
    """Wall-clock time of named stages.  Any thread may add, any may read."""

    def __init__(self) -> None:
        self.watch: Watch | None = None
        """Who is told of every stage: a trace."""
        self._lock = threading.Lock()
        self._total: dict[str, float] = {}
        self._count: dict[str, int] = {}

    @contextmanager
    def __call__(self, name: str, frame: int = NO_FRAME) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.add(name, time.perf_counter() - start, frame)

    def add(self, name: str, seconds: float, frame: int = NO_FRAME) -> None:
        """A stage has just ended, after ``seconds``; ``frame`` is the index of the frame it worked on."""
        with self._lock:
            self._total[name] = self._total.get(name, 0.0) + seconds
            self._count[name] = self._count.get(name, 0) + 1
        watch = self.watch
        if watch is not None:
            watch(name, time.perf_counter() - seconds, seconds, frame)

    def milliseconds(self) -> dict[str, float]:
        """Mean milliseconds a frame of each stage, in the order the stages first ran."""
        with self._lock:
            return {name: 1000 * total / self._count[name] for name, total in self._total.items()}

    def totals(self) -> dict[str, float]:
        """Seconds spent in each stage so far."""
        with self._lock:
            return dict(self._total)


class Transfers:
    """Bytes of pictures that went between host and device memory.  Any thread may add, any may read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.to_device = 0
        self.to_host = 0

    def add(self, *, to_device: int = 0, to_host: int = 0) -> None:
        with self._lock:
            self.to_device += to_device
            self.to_host += to_host

    def figures(self) -> dict[str, int]:
        """Both so far, as JSON has them."""
        with self._lock:
            return {"to_device_bytes": self.to_device, "to_host_bytes": self.to_host}


REMEMBERED = 256
"""Delays that `Delays` looks at."""


class Delays:
    """How late the last frames were, in seconds.  Any thread may add, any may read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._recent: deque[float] = deque(maxlen=REMEMBERED)

    def add(self, seconds: float) -> None:
        with self._lock:
            self._recent.append(seconds)

    def quantile(self, share: float) -> float | None:
        """The delay that ``share`` (0..1) of the last frames do not exceed; None before any."""
        with self._lock:
            ordered = sorted(self._recent)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else None


RECENT = 30
"""Frames over which the flicker of now is taken."""


class Flicker:
    """How much the painted picture changes along its motion, as a root mean square in 0..1.

    An estimate on small luma where the flow can be trusted: it tells calm from restless as the root of
    `bench/stability.py`'s E_warp does, not the same number.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._sum = 0.0
        self._count = 0

    def add(self, mean_square: float) -> None:
        with self._lock:
            self._recent.append(mean_square)
            self._sum += mean_square
            self._count += 1

    @property
    def now(self) -> float | None:
        """Of the last second or so; None as long as nothing could be compared."""
        with self._lock:
            return float((sum(self._recent) / len(self._recent)) ** 0.5) if self._recent else None

    @property
    def overall(self) -> float | None:
        """Of all frames so far."""
        with self._lock:
            return float((self._sum / self._count) ** 0.5) if self._count else None
