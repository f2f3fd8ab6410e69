"""Devices that paint.  One interface, `Backend`; one file for each device.

Arrays are opaque outside their backend: a `Picture` or a `Motion` is only ever handed back to it.
"""

from typing import Any, Protocol

from allaprima.realtime.bundle import Bundle, Filters
from allaprima.realtime.errors import BackendUnavailable, ConfigError
from allaprima.realtime.frame import Color, Frame

Picture = Any
Motion = Any


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

    def upload(self, frame: Frame) -> Picture:
        """A decoded frame becomes a picture on the device."""

    def motion(self, previous: Picture | None, current: Picture) -> Motion:
        """Flow and confidence between two pictures the engine saw; confidence is 0 without a previous."""

    def warp_blend(self, previous: Picture | None, current: Picture, motion: Motion, weight: float) -> Picture:
        """``current``, held as ``previous`` was along the motion wherever it can be trusted.

        ``weight`` in 0..1 is the share of the history where trust is full: 0 leaves ``current`` as it is.
        """

    def flicker(self, previous: Picture, current: Picture, motion: Motion) -> float | None:
        """Mean squared change of two painted pictures along the motion, in 0..1; None where none can be told."""

    def mix(self, a: Picture, b: Picture, t: Any) -> Picture:
        """``a + t (b - a)``; ``t`` is a number or a mask ``(H, W)`` float32, in 0..1."""

    def load_net(self, bundle: Bundle, region: bool = False) -> Net:
        """Make the bundle's nets ready, with ``region`` for two styles and a mask."""

    def download(self, picture: Picture, like: Frame) -> Frame:
        """A picture becomes a frame again, with the times and side packets of ``like``."""

    def close(self) -> None: ...


BACKENDS = ("auto", "cpu")


def open_backend(name: str, size: tuple[int, int], color: Color) -> Backend:
    """The backend called ``name`` for pictures of ``size`` ``(width, height)``.

    ``auto`` takes the best that this machine has; an explicit choice never falls back.
    Raises `ConfigError` for an unknown name and `BackendUnavailable` when the device cannot be used.
    """
    if name not in BACKENDS:
        raise ConfigError(f"unknown backend {name!r}", f"choose one of {', '.join(BACKENDS)}")
    try:
        from allaprima.realtime.backends.cpu import CpuBackend
    except ImportError as error:
        raise BackendUnavailable(f"the cpu backend cannot start: {error}", "pip install openvino") from error
    return CpuBackend(size, color)
