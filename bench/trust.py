"""Does a figure count?  Every reason why not, in plain sentences with the figures.

A community's catalogue of speeds has an entry of 4008 frames a second, which was read off a display over too short a
time and merged.  Here a figure has to be possible on the machine that claims it, by ceilings measured in the same run;
it has to agree with itself; and it has to come from enough frames, on a machine that was left alone.
"""

import math
from collections.abc import Iterator

from allaprima.bench.catalogue import Case, Ceilings, Trials
from allaprima.bench.engine import NET
from allaprima.bench.roofline import cache_of
from allaprima.bench.work import Work, net_work
from allaprima.realtime import machine
from allaprima.realtime.backends import FULL, Effort
from allaprima.realtime.bundle import Bundle, shipped_bundle
from allaprima.realtime.errors import AllaprimaError
from allaprima.realtime.governor import describe

BOOST = 1.1
"""Times the best trial of a ceiling that is still believed: clocks rise and fall."""
SLACK = 1.25
"""Times what a case's own figures allow: medians of parts need not add up to the median of the whole."""
ROUNDING = 1.02
"""Times what follows from other figures by arithmetic alone."""
LEAST_TRIALS = 3
LEAST_FRAMES = 4
LEAST_SECONDS = 0.25
"""Of a trial: shorter ones measure the clock, a boost, or a queue that fills."""
WIDEST = 0.5
"""From the least trial to the most, as a share of the median.  On two virtual machines whose hosts are busy frame rates
spread by 0.02 to 0.2; what spreads by more than half says nothing of a machine."""
MOST_OTHERS = 0.5
"""Share of all cores that others may take; below it the conditions tell."""
WHOLE = (describe(FULL), describe(Effort(coarse=True)))
"""Steps of the governor at which the nets do all their work."""
LEAST_PAINTED = 0.25
"""Of a live case's frames: on the lowest step of the governor that paints, it is a third."""


def judge(case: Case, ceilings: Ceilings, cores: int | None = None, bundle: Bundle | None = None) -> tuple[str, ...]:
    """Why ``case`` does not count; empty where nothing speaks against it.

    ``cores`` are those of the machine that it was measured on, without that this one's.  What a frame needs is taken
    from the case's bounds; where it has none, from the nets of ``bundle``, without that the shipped ones.
    """
    cores = cores or machine.cores()
    return (
        *_few(case),
        *_unsteady(case),
        *_disagrees(case),
        *_live(case),
        *_disturbed(case, ceilings, cores),
        *_impossible(case, ceilings, cores, bundle),
    )


def _few(case: Case) -> Iterator[str]:
    trials = len(case.fps.trials)
    if trials < LEAST_TRIALS:
        yield f"measured {trials} times, {LEAST_TRIALS} are the least"
    if case.frames < LEAST_FRAMES:
        yield f"{case.frames} frames in each trial, {LEAST_FRAMES} are the least"
    lasted = case.frames * case.streams / case.fps.max if case.fps.max else LEAST_SECONDS
    if lasted < LEAST_SECONDS:
        yield f"a trial lasted {lasted:.3g} s, {LEAST_SECONDS:g} s are the least"


def _unsteady(case: Case) -> Iterator[str]:
    if case.fps.spread > WIDEST:
        yield (
            f"the trials lie too far apart: {case.fps.min:.4g} to {case.fps.max:.4g} fps, "
            f"{case.fps.spread:.0%} of the median where {WIDEST:.0%} is the most"
        )


def _disagrees(case: Case) -> Iterator[str]:
    """What a case says in one place against what it says in another."""
    fps, pixels = case.fps.median, case.size[0] * case.size[1] / 1e6
    for trials, name in ((case.fps, "fps"), (case.ms, "ms")):
        if trials is not None and not _agrees(trials):
            yield f"the median, least and most {name} are not those of the trials"
    if not fps:
        yield "no frame came out"
    made = fps * pixels
    if not made / ROUNDING - 0.01 <= case.mpx_s <= made * ROUNDING + 0.01:
        size = f"{case.size[0]}x{case.size[1]}"
        yield f"{case.mpx_s:.4g} Mpx/s are not {fps:.4g} fps of {size}, which make {made:.4g}"
    if case.ms is not None and case.streams == 1 and fps * case.ms.median > 1000 * SLACK:
        yield f"{fps:.4g} fps, but a frame takes {case.ms.median:.4g} ms, which allows {1000 / case.ms.median:.4g}"
    spent = [trials.median for trials in case.stages_ms.values()]
    if case.layer in ("nets", "engine"):
        taken, what = sum(spent), "the stages of a frame take"
    else:  # stages overlap in threads, but each is in one
        taken, what = max(spent, default=0.0), "the slowest stage takes"
    if fps * taken > 1000 * SLACK * case.streams:
        yield f"{fps:.4g} fps, but {what} {taken:.4g} ms, which allows {1000 * case.streams / taken:.4g}"


def _agrees(trials: Trials) -> bool:
    found = Trials.of(trials.trials)
    return all(
        math.isclose(said, true, rel_tol=1e-3)
        for said, true in zip(
            (trials.median, trials.min, trials.max), (found.median, found.min, found.max), strict=True
        )
    )


def _live(case: Case) -> Iterator[str]:
    if case.layer != "live":
        if case.drops:
            yield f"{case.drops} frames were dropped where none may be"
        return
    if case.source_fps and case.fps.median > ROUNDING * case.source_fps * case.streams:
        yield f"{case.fps.median:.4g} fps of a source that gives {case.source_fps * case.streams:.4g}"
    if case.painted_share is None:
        yield "nobody counted how many of the frames were painted"
    elif case.painted_share < LEAST_PAINTED:
        yield f"only {case.painted_share:.0%} of the frames were painted, {LEAST_PAINTED:.0%} are the least"
    late = case.latency_ms
    if late and not late.p50 <= late.p95 <= late.p99:
        yield f"latencies of {late.p50:.4g}, {late.p95:.4g} and {late.p99:.4g} ms are no p50, p95 and p99"


def _disturbed(case: Case, ceilings: Ceilings, cores: int) -> Iterator[str]:
    found = case.conditions
    for taken, who in ((found.other_load_cores, "other programs took"), (found.stolen_cores, "the host withheld")):
        if taken is not None and taken > MOST_OTHERS * cores:
            yield f"{who} {taken:.2g} of {cores} cores meanwhile"
    if found.throttled:
        yield "the machine slowed itself down meanwhile, by heat or for want of power"
    busy = ceilings.other_load_cores
    if busy is not None and busy > MOST_OTHERS * cores:
        yield f"other programs took {busy:.2g} of {cores} cores while the ceilings were measured"


# ---- against the ceilings ----


def _impossible(case: Case, ceilings: Ceilings, cores: int, bundle: Bundle | None) -> Iterator[str]:
    most = ceilings.gflop_s.get(case.precision)
    if most is None:
        yield f"no ceiling was measured for {case.precision}, so nobody can say whether this is possible"
        return
    try:
        work = _net(case, ceilings, bundle)
    except AllaprimaError as error:
        yield f"nobody can say what a frame needs: {error}"
        return
    allowed = _allowed(most, ceilings, cores)
    fps = case.fps.median * _netted(case)
    if work.gflop * fps > allowed:
        yield f"needs {work.gflop * fps:,.0f} GFLOP/s in {case.precision}, this machine does {most.max:,.0f} at most"
    moved, copied = _moved(case, work), _copying(ceilings)
    if moved * fps / 1000 > _allowed(copied, ceilings, cores):
        yield f"moves {moved * fps / 1000:,.1f} GB/s, this machine copies {copied.max:,.1f} at most"
    least = 1000 * work.gflop / allowed if allowed else 0.0
    if case.latency_ms and _netted(case) > 0.5 and case.latency_ms.p50 < least:  # half of the frames took longer
        yield f"a latency of {case.latency_ms.p50:.4g} ms, but the nets of one frame alone take {least:.4g} at least"


def _net(case: Case, ceilings: Ceilings, bundle: Bundle | None) -> Work:
    for bound in case.bounds:
        if bound.stage == NET:
            return Work(bound.gflop, bound.megabytes)
    return net_work(bundle or Bundle(shipped_bundle()), case.size, case.precision, cache_of(ceilings))


def _moved(case: Case, net: Work) -> float:
    """Megabytes a frame, of all stages that say."""
    others = sum(bound.megabytes for bound in case.bounds if bound.stage != NET)
    return net.megabytes + others


def _netted(case: Case) -> float:
    """Share of the frames that the nets have surely painted in full."""
    if case.layer != "live":
        return 1.0
    return case.painted_share or 0.0 if _whole(case) else 0.0


def _whole(case: Case) -> bool:
    """Further down the governor's ladder a smaller picture is painted, and what that takes is not known here."""
    return case.effort in (None, *WHOLE)


def _copying(ceilings: Ceilings) -> Trials:
    """What is small may never leave the caches."""
    near = ceilings.cache_gb_s
    return near if near is not None and near.max > ceilings.copy_gb_s.max else ceilings.copy_gb_s


def _allowed(ceiling: Trials, ceilings: Ceilings, cores: int) -> float:
    """More than this cannot be, even if others lowered the ceiling while it was measured."""
    free = max(1 - (ceilings.other_load_cores or 0.0) / cores, 1 - MOST_OTHERS)
    return BOOST * ceiling.max / free
