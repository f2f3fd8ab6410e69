"""Instance norm: statistics of each channel, averaged over time if wanted, and features normalised by them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

EPSILON = 1e-5
"""Added to the variance, as in the nets."""
Pairs = NDArray[np.float32]


def statistics(features: NDArray[Any], running: Pairs | None = None, rate: float = 1.0) -> Pairs:
    """Mean and variance (biased) of each channel of ``(C, H, W)``: ``(C, 2)`` float32.

    With ``running``, what a call before gave: ``running + rate (new - running)``.  A channel of ``running`` that is
    not finite counts as not known yet, and one whose features are not finite stays what it was.
    """
    exact = features.astype(np.float64)
    with np.errstate(invalid="ignore"):
        found = np.stack([exact.mean((1, 2)), exact.var((1, 2))], 1).astype(np.float32)
    if running is None:
        return found
    known, right = (np.isfinite(pairs).all(1, keepdims=True) for pairs in (running, found))
    averaged = running + np.float32(rate) * (found - running)
    return np.where(known, np.where(right, averaged, running), found)


def apply(
    features: NDArray[Any], statistics: Pairs, weight: Pairs, bias: Pairs, *, epsilon: float = EPSILON
) -> NDArray[Any]:
    """``(x - mean) / sqrt(variance + epsilon) * weight + bias`` (Ulyanov et al. 2016) for each channel.

    ``statistics`` is ``(C, 2)``, ``weight`` and ``bias`` are ``(C,)``, all float32; the result has the features' dtype.
    """
    mean, variance = statistics.T
    scale = weight / np.sqrt(variance + np.float32(epsilon))
    even = features.astype(np.float32) - mean[:, None, None]
    return np.asarray(even * scale[:, None, None] + bias[:, None, None], features.dtype)
