"""Devices that paint.  One interface, `Backend`; one file for each device.

Arrays are opaque outside their backend: a `Picture` or a `Motion` is only ever handed back to it.
"""

import logging
import sys
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from allaprima.realtime.bundle import Bundle, Filters
from allaprima.realtime.errors import BackendUnavailable, ConfigError
from allaprima.realtime.frame import Color, Frame
from allaprima.realtime.metrics import Transfers

Picture = Any
Motion = Any


@dataclass(frozen=True, slots=True)
class Effort:
    """How much work goes into a frame; by default as much as there is to do."""

    coarse: bool = False
    """The flow is measured on a picture of half the usual size."""
    scale: float = 1.0
    """Sides of what the net paints, as a share of the picture's."""
    every: int = 1
    """The net paints every so manieth frame; those between are carried along the motion."""


FULL = Effort()


class Net(Protocol):
    """Encoder, bank and decoder, ready to run at one size; every picture is painted on its own."""

    def paint(
        self, picture: Picture, filters: Filters, strength: float, region: tuple[Any, Filters] | None = None
    ) -> Picture:
        """Paint one picture.

        ``strength`` in 0..1 mixes the styled features with the plain ones.  ``region`` is a mask (float32
        ``(H, W)`` in 0..1) and the filters of the style that goes where it is 1.
        """


class Backend(Protocol):
    """A device, set up for pictures of one size and color."""

    name: str
    efforts: tuple[Effort, ...]
    """What it can do for less, from `FULL` to the cheapest: each costs clearly less than the one before."""

    def upload(self, frame: Frame) -> Picture:
        """A decoded frame becomes a picture on the device."""

    def motion(self, previous: Picture | None, current: Picture, coarse: bool = False) -> Motion:
        """Flow and confidence between two pictures the engine saw; confidence is 0 without a previous.

        ``coarse`` allows for a flow that is measured on a smaller picture; the result has the usual size.
        """

    def warp_blend(self, previous: Picture | None, current: Picture, motion: Motion, weight: float) -> Picture:
        """``current``, held as ``previous`` was along the motion wherever it can be trusted.

        ``weight`` in 0..1 is the share of the history where trust is full: 0 leaves ``current`` as it is.
        If ``previous`` was carried, what is shown goes half of the way to what is painted; the next goes all of it.
        """

    def carry(self, previous: Picture, current: Picture, motion: Motion) -> Picture:
        """``previous``, painted, moved along the motion: what is shown of ``current``, which no net has painted."""

    def flicker(self, previous: Picture, current: Picture, motion: Motion) -> float | None:
        """Mean squared change of two painted pictures along the motion, in 0..1; None where none can be told."""

    def mix(self, a: Picture, b: Picture, t: Any) -> Picture:
        """``a + t (b - a)``; ``t`` is a number or a mask ``(H, W)`` float32, in 0..1."""

    def sample(self, picture: Picture) -> NDArray[np.uint8] | None:
        """Some 10,000 pixels of the luma, spread evenly, in host memory: they tell a sound picture from a broken one.

        None where there is none to be had yet.  It may be that of an earlier picture, by as many frames for one that
        was uploaded as for one that was painted.
        """

    def load_net(self, bundle: Bundle, region: bool = False, scale: float = 1.0) -> Net:
        """Make the bundle's nets ready, with ``region`` for two styles and a mask.

        With a ``scale`` below 1 the net paints a smaller picture, which is enlarged again.
        """

    def download(self, picture: Picture, like: Frame, host: bool = True) -> Frame:
        """A picture becomes a frame again, with the times and side packets of ``like``.

        With ``host`` it is on its way to host memory: `Frame.landed` waits for it.  Without, it stays where it is.
        """

    def close(self) -> None: ...


BACKENDS = ("auto", "cuda", "cpu")

_log = logging.getLogger(__name__)


def open_backend(name: str, size: tuple[int, int], color: Color, transfers: Transfers | None = None) -> Backend:
    """The backend called ``name`` for pictures of ``size`` ``(width, height)``.

    ``auto`` takes an NVIDIA card that can paint, else the CPU, and logs why; an explicit choice never falls back.
    ``transfers`` is where it counts what goes to and from the host; without, it has a counter of its own.
    Raises `ConfigError` for an unknown name and `BackendUnavailable` when the device cannot be used.
    """
    if name not in BACKENDS:
        raise ConfigError(f"unknown backend {name!r}", f"choose one of {', '.join(BACKENDS)}")
    if name != "cpu":
        try:
            return _cuda(size, color, transfers)
        except BackendUnavailable as error:
            if name == "cuda":
                raise
            level = logging.INFO if "cupy" in sys.modules else logging.DEBUG  # who has no CuPy expects no card
            _log.log(level, "the CPU paints: %s", error)
    try:
        from allaprima.realtime.backends.cpu import CpuBackend
    except ImportError as error:
        raise BackendUnavailable(f"the cpu backend cannot start: {error}", "pip install openvino") from error
    return CpuBackend(size, color)


def _cuda(size: tuple[int, int], color: Color, transfers: Transfers | None) -> Backend:
    from allaprima.realtime.backends.cuda import CudaBackend

    return CudaBackend(size, color, transfers=transfers)
