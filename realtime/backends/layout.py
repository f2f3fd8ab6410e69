"""Where a picture lies in the engine, and the constants that every backend goes by: all of them paint alike."""

from dataclasses import dataclass

from allaprima.kernels.surface import padded
from allaprima.realtime.frame import Color

STRIDE = 8
"""The nets want luma sides that are multiples of this; smaller pictures are padded with their edge."""
MARGIN = 16
"""Extra edge pixels on each side, so that the zeros around a convolution stay outside the picture."""
CELL = 4
"""Luma pixels along each side of a cell, which the nets take as one position."""
FLOW_SHORT_SIDE = 90
FLOW_FACTOR = 4
"""Flow is measured on the picture halved at most twice, while its short side stays at least so long."""
EVEN = 3.0
"""Standard deviation of the bytes of a picture that has no substance: noise on a black frame."""
LOST = 0.1
"""Mean confidence up to which a flow leads nowhere: a cut.  What is carried then stays where it is."""

Limits = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Layout:
    """Sizes, all ``(width, height)``, for pictures of one ``size``."""

    size: tuple[int, int]

    @property
    def padded(self) -> tuple[int, int]:
        """Of luma with its margin; chroma has half of both sides."""
        width, height = (padded(side, MARGIN, STRIDE) for side in self.size)
        return width, height

    @property
    def factor(self) -> int:
        """How many pixels of luma make one of the small picture, along each side."""
        factor = 1
        while factor < FLOW_FACTOR and min(self.padded) // (2 * factor) >= FLOW_SHORT_SIDE:
            factor *= 2
        return factor

    @property
    def small(self) -> tuple[int, int]:
        """Of the picture that motion is measured on."""
        width, height = self.padded
        return width // self.factor, height // self.factor

    @property
    def cells(self) -> tuple[int, int]:
        """Of the packed picture, as ``(height, width)``: so the nets have it."""
        width, height = self.padded
        return height // CELL, width // CELL


def limits(color: Color) -> tuple[Limits, Limits]:
    """The least and the greatest byte of luma and of chroma."""
    return ((0.0, 255.0), (0.0, 255.0)) if color.full_range else ((16.0, 235.0), (16.0, 240.0))
