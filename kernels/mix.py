"""Mix the filters of several styles."""

import numpy as np

from allaprima.kernels.cuda import TYPES, Array, Module, Stream, blocks, check, ints, output

RESULTS = {"float16": ("float16",), "float32": ("float32", "float16")}
"""What banks of each dtype can be mixed into, the usual first."""
BLOCK = (256,)

MODULE = Module("mix", tuple(f"mix<{TYPES[bank]}, {TYPES[to]}>" for bank, results in RESULTS.items() for to in results))


def mix(banks: Array, weights: Array, *, out: Array | None = None, stream: Stream = None) -> Array:
    """``sum over n of weights[n] banks[n]``: all filters of several styles to those of one (StyleBank, section 3.4).

    ``banks`` is ``(N, K)`` float16 or float32: one style a row, all its filters on end.  ``weights`` is ``(N,)``
    float32 and sums to 1, which the caller sees to; it is read when the kernel runs, so that a captured graph
    mixes anew with what it holds then.  A row of weight 0 is not read.  The sum is float32; the result is
    ``(K,)`` of the banks' dtype, or of float32 banks float16 where ``out`` is, and must not overlap them.
    Raises TypeError and ValueError for arrays that do not fit.
    """
    check("banks", banks, (None, None), *RESULTS)
    styles, filters = banks.shape
    check("weights", weights, (styles,), np.float32)
    results = RESULTS[banks.dtype.name]
    if out is None:
        out = output(None, (filters,), results[0], stream)
    check("out", out, (filters,), *results)
    MODULE.launch(
        f"mix<{TYPES[banks.dtype.name]}, {TYPES[out.dtype.name]}>",
        blocks((filters,), BLOCK),
        BLOCK,
        (banks, weights, *ints(styles, filters), out),
        stream,
    )
    return out
