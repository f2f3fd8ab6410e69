"""What a picture that is shown says of itself: how much it flickers, whether it is black, frozen or broken.

Nothing here waits for the device: the figures are left there, to be fetched when the frame is.
"""

import numpy as np

from allaprima.kernels.cuda import TYPES, Array, Module, Stream, blocks, check, floats, ints, output
from allaprima.kernels.reference.meter import FIGURES, LEAST_SEEN, LEAST_TRUST

DTYPES = ("float16", "float32", "uint8")
BLOCK = (256,)
FLICKER_PART, HEALTH_PART = 1024, 4096
"""Values of a block, as the kernels have it."""

MODULE = Module(
    "meter",
    (
        "finish_flicker",
        "finish_health",
        *(f"{kernel}<{TYPES[dtype]}>" for kernel in ("part_flicker", "part_health") for dtype in DTYPES),
    ),
)


class Flicker:
    """Mean squared change along the motion, of full scale squared, of pictures of one size.

    ``__call__(previous, current, flow, confidence)`` takes what was shown, luma ``(h, w)`` in bytes (0..255) as
    uint8, float16 or float32; the backward flow ``(h, w, 2)`` float32 in their pixels; and the confidence ``(h, w)``
    float32.  It gives ``(3,)`` float32: the sum of the squared changes, how many pixels could be compared (their
    confidence is at least 0.5), and the figure, which is NaN where fewer than a tenth could.  That is the
    reference's `flicker`, whose positions are each pixel's own plus the flow.

    Scratch memory belongs to the object: calls on several streams need one each.
    Raises TypeError and ValueError for arrays that do not fit.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        self._grid = blocks((size[0] * size[1],), (FLICKER_PART,))
        self._parts = output(None, (*self._grid, 2), np.float32, None)

    def __call__(
        self,
        previous: Array,
        current: Array,
        flow: Array,
        confidence: Array,
        *,
        out: Array | None = None,
        stream: Stream = None,
    ) -> Array:
        width, height = self._size
        check("previous", previous, (height, width), *DTYPES)
        check("current", current, (height, width), previous.dtype)
        check("flow", flow, (height, width, 2), np.float32)
        check("confidence", confidence, (height, width), np.float32)
        out = output(out, (3,), np.float32, stream)
        args = (previous, current, flow, confidence, *ints(width, height), *floats(LEAST_TRUST), self._parts)
        MODULE.launch(f"part_flicker<{TYPES[previous.dtype.name]}>", self._grid, BLOCK, args, stream)
        args = (self._parts, *ints(self._grid[0], width * height), *floats(LEAST_SEEN, 255), out)
        MODULE.launch("finish_flicker", (1,), BLOCK, args, stream)
        return out


class Health:
    """Figures of each plane of pictures ``(C, H, W)``, uint8, float16 or float32, of one shape.

    ``__call__(picture)`` gives ``(C, 6)`` float32, named by `FIGURES`: least, most, mean and variance of what is
    finite, in the picture's own units (NaN if nothing is); how many values are not finite; and the mean change
    since the ``previous`` picture, what is not finite counting as none (NaN without one).  The reference's `faults`
    says what they mean.

    Scratch memory belongs to the object: calls on several streams need one each.
    Raises TypeError and ValueError for arrays that do not fit.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        channels, height, width = self._shape = shape
        self._size = height * width
        self._grid = (*blocks((self._size,), (HEALTH_PART,)), channels)
        self._parts = output(None, (channels, self._grid[0], 7), np.float32, None)

    def __call__(
        self, picture: Array, previous: Array | None = None, *, out: Array | None = None, stream: Stream = None
    ) -> Array:
        check("picture", picture, self._shape, *DTYPES)
        before, compares = (picture, 0) if previous is None else (previous, 1)
        check("previous", before, self._shape, picture.dtype)
        out = output(out, (self._shape[0], len(FIGURES)), np.float32, stream)
        args = (picture, before, *ints(compares, self._size), self._parts)
        MODULE.launch(f"part_health<{TYPES[picture.dtype.name]}>", self._grid, BLOCK, args, stream)
        args = (self._parts, *ints(self._grid[0], self._size, compares), out)
        MODULE.launch("finish_health", (self._shape[0],), BLOCK, args, stream)
        return out
