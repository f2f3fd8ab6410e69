"""How near each stage comes to what the machine can do at most (Williams, Waterman and Patterson, CACM 2009)."""

from collections.abc import Mapping
from typing import Literal

from allaprima.bench.catalogue import Bound, Ceilings
from allaprima.bench.engine import NET
from allaprima.bench.work import Size, Work, net_work, stage_work
from allaprima.realtime.bundle import Bundle

By = Literal["matrix rate", "copy bandwidth", "neither"]

NEAR = 0.25
"""Share of a ceiling from which on it is what bounds a stage; below it is latency, threads, or code."""


def bounds(
    stages_ms: Mapping[str, float], size: Size, bundle: Bundle, precision: str, ceilings: Ceilings
) -> tuple[Bound, ...]:
    """One for each stage, in the same order; ``stages_ms`` is wall time a frame.

    A stage that took no time has no shares, and one of a precision without a ceiling none of the matrix rate.
    """
    found = []
    for stage, ms in stages_ms.items():
        nets = stage == NET
        work = net_work(bundle, size, precision, cache_of(ceilings)) if nets else stage_work(stage, size)
        found.append(bound(stage, ms, work, precision, ceilings))
    return tuple(found)


def cache_of(ceilings: Ceilings) -> int:
    """Bytes that fit into the last cache before memory; 0 where nobody knows."""
    return int(1e6 * (ceilings.cache_mb or 0))


def bound(stage: str, ms: float, work: Work, precision: str, ceilings: Ceilings) -> Bound:
    """What ``work`` in ``ms`` milliseconds is of the ceilings: of their best trials, others only lower them."""
    rate = ceilings.gflop_s.get(precision)
    matrix = share(work.gflop, ms, rate.max if rate else 0.0)
    copy = share(work.megabytes / 1000, ms, ceilings.copy_gb_s.max)
    by: By = "neither" if max(matrix, copy) < NEAR else "matrix rate" if matrix >= copy else "copy bandwidth"
    return Bound(
        stage=stage,
        ms=round(ms, 4),
        gflop=round(work.gflop, 4),
        megabytes=round(work.megabytes, 4),
        of_matrix_rate=round(matrix, 4),
        of_copy_bandwidth=round(copy, 4),
        bound_by=by,
    )


def share(amount: float, ms: float, rate: float) -> float:
    """Of ``rate`` a second that ``amount`` in ``ms`` is; 0 without either."""
    return amount / (ms / 1000) / rate if ms > 0 and rate > 0 else 0.0
