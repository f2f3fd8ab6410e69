"""The values that travel through the pipeline: `Color`, `Frame`, `StreamInfo`."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import av

Plane = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Color:
    """Color tags of a stream: code points of ITU-T H.273, as FFmpeg numbers them; 2 is "unspecified"."""

    matrix: int = 2
    primaries: int = 2
    transfer: int = 2
    range: int = 0
    """0 unspecified, 1 limited (16..235), 2 full (0..255)."""

    def coefficients(self, height: int) -> tuple[float, float]:
        """``(Kr, Kb)`` of the YCbCr matrix (H.273 table 4).

        Untagged pictures follow the common rule: BT.709 from 720 lines on, BT.601 below.
        """
        table = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 5: (0.299, 0.114), 6: (0.299, 0.114)}
        table |= {7: (0.212, 0.087), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}
        return table.get(self.matrix, table[1] if height >= 720 else table[6])

    @property
    def full_range(self) -> bool:
        return self.range == 2


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a stream.

    In host memory the format is ``yuv420p``: three uint8 planes, luma ``(H, W)`` and two of chroma
    ``(ceil(H/2), ceil(W/2))``, not necessarily contiguous.  On a device it may also be ``nv12`` or ``p010``,
    as in `allaprima.kernels.surface`.
    """

    planes: tuple[Any, ...]
    size: tuple[int, int]
    """Width and height of the luma plane, in pixels."""
    pts: int
    """Presentation time in units of `time_base`."""
    time_base: Fraction
    index: int = 0
    """Position in the source, from 0; dropped frames leave gaps."""
    color: Color = Color()
    format: str = "yuv420p"
    captured: float = 0.0
    """`time.monotonic()` when the source had the frame: latency is measured from here."""
    duration: int = 0
    """How long it is shown, in `time_base` units; 0 when the source does not say."""
    side: "tuple[av.Packet[Any], ...]" = field(default=(), repr=False)
    """Audio and subtitle packets that belong with this picture, in stream order; sinks copy them."""
    landing: Callable[[], tuple[Plane, ...]] | None = field(default=None, repr=False, compare=False)
    """Waits for the planes and gives them as yuv420p in host memory; None when they are there already."""

    def landed(self) -> "Frame":
        """The frame with its planes in host memory.  Raises `BackendError` when the device failed meanwhile."""
        if self.landing is None:
            return self
        return replace(self, planes=self.landing(), format="yuv420p", landing=None)

    @property
    def time(self) -> float:
        """Presentation time in seconds."""
        return float(self.pts * self.time_base)


@dataclass(frozen=True, slots=True)
class StreamInfo:
    """What a source knows about its stream before the first frame."""

    name: str
    size: tuple[int, int]
    """Width and height of the frames it yields (rotation already applied)."""
    time_base: Fraction
    rate: Fraction | None = None
    """Average frames per second, if known."""
    live: bool = False
    """True when frames cannot wait: a camera, a network feed."""
    color: Color = Color()
    sample_aspect: Fraction = Fraction(1)
    """Width of a pixel over its height."""
    frames: int | None = None
    """How many frames will come, if known."""
    side_streams: "tuple[av.stream.Stream, ...]" = ()
    """Audio and subtitle streams whose packets ride on the frames."""
    metadata: dict[str, str] = field(default_factory=dict)
