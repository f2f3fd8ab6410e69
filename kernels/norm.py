"""Instance norm: statistics of each channel, averaged over time if wanted, and features normalised by them."""

import numpy as np

from allaprima.kernels.cuda import TYPES, Array, Module, Stream, blocks, check, floats, ints, output

DTYPES = ("float16", "float32")
EPSILON = 1e-5
"""Added to the variance, as in the nets."""
BLOCK = (256, 1)
PART = 4096
"""Values of a block, as the kernels have it."""

MODULE = Module(
    "norm",
    (
        "finish_statistics",
        *(f"{kernel}<{TYPES[dtype]}>" for kernel in ("part_statistics", "apply") for dtype in DTYPES),
    ),
)


class Statistics:
    """Mean and variance of each channel of features ``(C, H, W)``, float16 or float32, of one shape.

    ``__call__(features)`` gives ``(C, 2)`` float32: mean and variance (the biased one, as instance norm has it).
    They are right to float32 however large the mean is beside the deviation, and the same bits every time.

    With ``running``, what a call before gave, the result is ``running + rate (new - running)``: statistics that
    are averaged over time do not let an object that enters shift the whole picture.  ``out`` may be ``running``
    itself.  A channel of ``running`` that is not finite, NaN say, counts as not known yet, and one whose features
    are not finite stays what it was; so one bad frame does not stay, and a fill with NaN starts anew.

    Scratch memory belongs to the object: calls on several streams need one each.
    Raises TypeError and ValueError for arrays that do not fit.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        channels, height, width = self._shape = shape
        self._size = height * width
        self._grid = (*blocks((self._size,), (PART,)), channels)
        self._parts = output(None, (channels, self._grid[0], 3), np.float32, None)

    def __call__(
        self,
        features: Array,
        running: Array | None = None,
        rate: float = 1.0,
        *,
        out: Array | None = None,
        stream: Stream = None,
    ) -> Array:
        check("features", features, self._shape, *DTYPES)
        pairs = (self._shape[0], 2)
        if running is not None:
            check("running", running, pairs, np.float32)
        out = output(out, pairs, np.float32, stream)
        kernel = f"part_statistics<{TYPES[features.dtype.name]}>"
        MODULE.launch(kernel, self._grid, BLOCK, (features, *ints(self._size), self._parts), stream)
        before, averages = (out, 0) if running is None else (running, 1)
        args = (self._parts, *ints(self._grid[0], self._size), before, *ints(averages), *floats(rate), out)
        MODULE.launch("finish_statistics", (self._shape[0],), BLOCK, args, stream)
        return out


def apply(
    features: Array,
    statistics: Array,
    weight: Array,
    bias: Array,
    *,
    epsilon: float = EPSILON,
    out: Array | None = None,
    stream: Stream = None,
) -> Array:
    """``(x - mean) / sqrt(variance + epsilon) * weight + bias`` (Ulyanov et al. 2016) for each channel.

    ``features`` is ``(C, H, W)`` float16 or float32, ``statistics`` what `Statistics` gives, ``weight`` and ``bias``
    ``(C,)`` float32.  The result has the features' shape and dtype; ``out`` may be the features themselves.
    Raises TypeError and ValueError for arrays that do not fit.
    """
    check("features", features, (None, None, None), *DTYPES)
    channels, height, width = features.shape
    check("statistics", statistics, (channels, 2), np.float32)
    check("weight", weight, (channels,), np.float32)
    check("bias", bias, (channels,), np.float32)
    out = output(out, features.shape, features.dtype, stream)
    grid = (*blocks((height * width,), (PART,)), channels)
    args = (features, *ints(height * width), statistics, weight, bias, *floats(epsilon), out)
    MODULE.launch(f"apply<{TYPES[features.dtype.name]}>", grid, BLOCK, args, stream)
    return out
