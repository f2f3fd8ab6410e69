"""Counting what goes by: rates and delays of the last seconds, from any thread."""

import threading
import time
from collections import deque

WINDOW = 3.0
"""Seconds that "now" means in a rate or a delay."""
REMEMBERED = 1024
"""Events kept at most: enough for the window at 300 a second."""


class Meter:
    """Events with an amount each; tells how many, how much and which amounts there were lately."""

    def __init__(self) -> None:
        self.count = 0
        self._lock = threading.Lock()
        self._events: deque[tuple[float, float]] = deque(maxlen=REMEMBERED)
        self._began = time.monotonic()

    def add(self, amount: float = 1.0) -> None:
        with self._lock:
            self.count += 1
            self._events.append((time.monotonic(), amount))

    def rate(self) -> float:
        """Events a second; of a meter younger than the window, over its age."""
        return len(self._recent()) / self._span()

    def per_second(self) -> float:
        """Sum of the amounts a second."""
        return sum(amount for _, amount in self._recent()) / self._span()

    def interval(self) -> float | None:
        """Mean seconds between events lately; None with fewer than three."""
        recent = self._recent()
        return (recent[-1][0] - recent[0][0]) / (len(recent) - 1) if len(recent) > 2 else None

    def quantile(self, share: float) -> float | None:
        """The amount that ``share`` (0..1) of the amounts lately do not exceed; None without any."""
        amounts = sorted(amount for _, amount in self._recent())
        return amounts[min(int(share * len(amounts)), len(amounts) - 1)] if amounts else None

    def _span(self) -> float:
        return min(WINDOW, max(time.monotonic() - self._began, 1e-3))

    def _recent(self) -> list[tuple[float, float]]:
        since = time.monotonic() - WINDOW
        with self._lock:
            return [event for event in self._events if event[0] >= since]
