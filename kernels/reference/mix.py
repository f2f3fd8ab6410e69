"""Mix the filters of several styles."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def mix(banks: NDArray[Any], weights: NDArray[np.float32]) -> NDArray[Any]:
    """``sum over n of weights[n] banks[n]``: all filters of several styles to those of one (StyleBank, section 3.4).

    ``banks`` is ``(N, K)`` float16 or float32, ``weights`` ``(N,)`` float32.  Summed in float32; a row of weight 0
    does not count, whatever it holds.  The result is ``(K,)`` of the banks' dtype.
    """
    total = np.zeros(banks.shape[1], np.float32)
    for bank, weight in zip(banks, weights, strict=True):
        if weight:
            total += weight * bank.astype(np.float32)
    return total.astype(banks.dtype)
