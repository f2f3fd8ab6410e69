"""Figures of the pictures that have come from the device: nobody waits for them."""

import threading
from typing import Any, Protocol

import numpy as np

from allaprima.kernels.reference.meter import FIGURES, faults
from allaprima.realtime.backends.cuda_step import CHANGED, GIVEN, PAINTED, SHOWN

MOVED = 2.0
"""Levels by which the given picture changes on the mean when something clearly moves."""
FROZEN_FRAMES = 3
"""Pictures in a row that stay the same to the bit meanwhile, until that is said."""


class Flight(Protocol):
    """A frame under way: ``figures`` and ``samples`` are there when the event ``landed`` is done."""

    figures: Any
    samples: Any
    landed: Any
    measured: bool
    """Whether its flicker counts."""
    painted: bool
    """Or carried: then its sample is old."""


class Meters:
    """Flicker and health of the last picture that has come.  Any thread may ask."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Flight] = []
        self._samples: Any = None
        self._flicker: float | None = None
        self._health: str | None = None
        self._frozen = 0

    def expect(self, flight: Flight) -> None:
        """A frame was launched."""
        with self._lock:
            self._waiting.append(flight)

    def take(self) -> None:
        """Look at what has come, in order."""
        with self._lock:
            while self._waiting and self._waiting[0].landed.done:
                self._look(self._waiting.pop(0))

    def flicker(self) -> float | None:
        """The last figure, if it has not been told yet and there is one."""
        self.take()
        with self._lock:
            found, self._flicker = self._flicker, None
        return found

    def health(self) -> str | None:
        """What is wrong with the last picture, or None."""
        self.take()
        return self._health

    def samples(self) -> Any:
        """``(2, h, w)`` uint8 of the last painted picture: what was given, and what the net made of it; or None."""
        self.take()
        return self._samples

    def _look(self, flight: Flight) -> None:
        figures = flight.figures
        change = float(figures[CHANGED][2])
        if flight.painted:
            self._samples = flight.samples.copy()
        if flight.measured and np.isfinite(change):
            self._flicker = change
        given, shown, painted = (figures[where].reshape(-1, len(FIGURES)) for where in (GIVEN, SHOWN, PAINTED))
        stays = shown[0, FIGURES.index("change")] == 0 and given[0, FIGURES.index("change")] > MOVED
        self._frozen = self._frozen + 1 if stays else 0
        if painted[:, FIGURES.index("bad")].any():
            self._health = "the net gives what is not a number"
        elif "black" in faults(shown) and "even" not in faults(given):
            self._health = "the painted picture is black"
        else:
            self._health = "the painted picture is frozen" if self._frozen >= FROZEN_FRAMES else None
