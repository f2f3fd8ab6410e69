"""Where more of something begins to cost more than in proportion, or to gain nothing: the knee of a scale.

Plain rules on measured points instead of a fitted curve: a scale has five or six points, each known to a few percent,
and a fit of two straight lines to them (four parameters) finds a bend in any noise.
"""

import math
from collections.abc import Sequence

CLEARLY = 0.2
"""A unit must cost so much more than a cheap one: about twice what points differ by from run to run."""
GAIN = 0.1
"""Less gain than this from a doubling is none."""


def knee(x: Sequence[float], cost: Sequence[float]) -> float | None:
    """The last ``x`` up to which cost grows at most in proportion; None where it does so to the end.

    That is the point after which a unit (``cost / x``) costs at least a fifth more than a cheap one, there and at every
    point beyond.  Cheap is the second cheapest unit, so that one lucky point does not make all others dear.  Fixed
    costs, which make units cheaper with more of them, are no knee, and neither is a single point that was disturbed.
    ``x`` must rise.
    """
    units = [each / at for at, each in zip(x, cost, strict=True)]
    cheap = sorted(units)[1 if len(units) > 2 else 0]
    dear = len(units)
    while dear > 0 and units[dear - 1] > (1 + CLEARLY) * cheap:
        dear -= 1
    return x[dear - 1] if 0 < dear < len(units) else None


def saturation(x: Sequence[float], rate: Sequence[float]) -> float | None:
    """The first ``x`` from which on no doubling raises the rate by a tenth; None where the last one still does.

    In terms of queues: the number at which the busiest resource is fully used, beyond which its rate is all there is
    (asymptotic bounds; Lazowska et al., Quantitative System Performance, 1984, chapter 5).  ``x`` must rise.
    """
    last = len(x)
    while last > 1 and _gain(x[last - 2 : last], rate[last - 2 : last]) < GAIN:
        last -= 1
    return x[last - 1] if last < len(x) else None


def _gain(x: Sequence[float], rate: Sequence[float]) -> float:
    """By a doubling of ``x``, as a share."""
    return float((rate[1] / rate[0]) ** (1 / math.log2(x[1] / x[0])) - 1)


def exponent(x: Sequence[float], cost: Sequence[float]) -> float:
    """The power of ``x`` that cost grows with (least squares on logarithms): 0 is flat, 1 in proportion."""
    logs = [(math.log(at), math.log(each)) for at, each in zip(x, cost, strict=True)]
    middle = [sum(values) / len(logs) for values in zip(*logs, strict=True)]
    across = sum((a - middle[0]) ** 2 for a, _ in logs)
    return sum((a - middle[0]) * (b - middle[1]) for a, b in logs) / across if across else 0.0
