"""The headline for a person: a row for each size and layer, then what does not count, and how busy the machine was."""

from collections.abc import Iterable, Iterator, Sequence

from rich.table import Table

from allaprima.bench import clips, compare, rivals, scales
from allaprima.bench.catalogue import Bound, Case, Conditions, Result, Trials
from allaprima.bench.results import BUSY_CORES
from allaprima.bench.table import OUT, number

COLUMNS = ("size", "layer", "fps", "ms", "Mpx/s", "p50", "p95", "p99", "drops", "MB", "W", "ceiling")
NONE = "-"
LEGEND = (
    "fps and ms: median of the trials ± half of what lies between the least and the most; p50 to p99: milliseconds "
    "from the camera to the sink; MB: peak (+ on the card); ceiling: the slowest stage's share of what is possible here"
)
TOP = 3
"""Stages that are named of each engine."""
ENDS = ("decode", "encode")
"""Stages that are named of a file."""


def show(result: Result) -> None:
    """All of a result but what `compared` tells."""
    told, found = result.settings, result.machine
    OUT.print(f"{found.cpu}, {found.cores} cores, {', '.join((*found.features, *found.gpus))}; {found.system}")
    OUT.print(", ".join(f"{name} {version}" for name, version in result.versions.items()))
    OUT.print(", ".join(f"{name} {value}" for name, value in told.items()))
    OUT.print(_ceilings(result))
    if result.cases:
        OUT.print()
        OUT.print(headline(result.cases))
        OUT.print(LEGEND, style="dim")
        for line in notes(result.cases):
            OUT.print(line)
    for scale in result.scales:
        scales.show(scale)
    if result.rivals:
        rivals.show(result.rivals)
    OUT.print()
    for line in (*busy(result.conditions, result.machine.cores), f"{result.seconds:.0f} s in all"):
        OUT.print(line)


def headline(cases: Sequence[Case]) -> Table:
    """One row a case; one that does not count says so below its figures."""
    shown = Table(box=None, pad_edge=False, collapse_padding=True)
    for column in COLUMNS:
        shown.add_column(column, justify="left" if column in ("size", "layer", "ceiling") else "right", no_wrap=True)
    before = None
    for case in cases:
        size = "" if case.size == before else clips.text(case.size)
        before = case.size
        shown.add_row(size, *row(case), style="dim" if case.invalid else "")
    return shown


def row(case: Case) -> tuple[str, ...]:
    """All columns but the size."""
    if not case.fps.median:
        return (case.layer, *[NONE] * (len(COLUMNS) - 2))
    late = case.latency_ms
    watts = case.conditions.watts
    return (
        case.layer + (" *" if case.invalid else ""),
        _spread(case.fps),
        NONE if case.ms is None else _spread(case.ms),
        number(case.mpx_s),
        *([NONE] * 3 if late is None else [f"{value:.0f}" for value in (late.p50, late.p95, late.p99)]),
        NONE if case.drops is None else str(case.drops),
        NONE if case.rss_mb is None else f"{case.rss_mb:.0f}" + (f"+{case.vram_mb:.0f}" if case.vram_mb else ""),
        NONE if watts is None else f"{watts:.0f}",
        NONE if case.layer == "file" else _ceiling(case.bounds),  # its nets are not timed
    )


def notes(cases: Sequence[Case]) -> Iterator[str]:
    """What has no column, and why a case does not count."""
    for case in cases:
        told = list(_told(case))
        if told:
            yield f"{clips.text(case.size)} {case.layer}: {', '.join(told)}"
    refused: dict[str, list[str]] = {}
    for case in cases:
        for reason in case.invalid:
            refused.setdefault(reason, []).append(f"{clips.text(case.size)} {case.layer}")
    for reason, names in refused.items():
        yield f"* INVALID: {', '.join(names)}: {reason}"


def _told(case: Case) -> Iterator[str]:
    if case.layer == "engine":
        slowest = sorted(case.stages_ms.items(), key=lambda each: -each[1].median)
        yield from (f"{stage} {number(spent.median)} ms" for stage, spent in slowest[:TOP])
    if case.layer == "file":
        yield from (f"{end} {number(case.stages_ms[end].median)} ms" for end in ENDS if end in case.stages_ms)
    if case.core_ms is not None:
        yield f"{number(case.core_ms.median)} core-ms a frame"
    if case.first_frame_s is not None:
        yield f"first frame after {case.first_frame_s.median:.1f} s"
    if case.first_start_s is not None:
        yield f"{case.first_start_s.median:.1f} s at the first start ever"
    if case.flicker is not None and case.sharpness is not None:
        yield f"flicker {case.flicker:.2f} and sharpness {case.sharpness:.2f} of painting frame by frame"
    if case.effort is not None and case.painted_share is not None:
        yield f"{case.painted_share:.0%} painted by the net, most at {case.effort!r}"


def busy(conditions: Conditions, cores: int) -> Iterator[str]:
    """How quiet the machine was."""
    other, stolen = conditions.other_load_cores, conditions.stolen_cores
    if other is None:
        yield "How busy other programs kept the machine cannot be told here."
    elif other >= BUSY_CORES:
        yield f"Other programs took {other:.1f} of {cores} cores meanwhile: this machine alone would be faster."
    else:
        yield f"The machine was quiet: other programs took {other:.2f} of {cores} cores."
    if stolen is not None and stolen >= BUSY_CORES:
        yield f"The host of this virtual machine gave {stolen:.1f} cores to others."
    if conditions.throttled:
        yield "The machine slowed itself down, by heat or for want of power."


def compared(now: Result, before: Result, origin: str) -> None:
    """The comparison, and what makes it less than it seems."""
    shown = Table(title=f"now beside {origin}", title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in ("", "times as fast", "at 99 %", "verdict"):
        shown.add_column(column, justify="right" if column in ("times as fast", "at 99 %") else "left")
    found = compare.compare(now, before)
    known = [each for each in found if each.why != compare.ABSENT]
    for each in compare.rows(known):
        shown.add_row(*each)
    OUT.print()
    OUT.print(shown)
    if len(known) < len(found):
        OUT.print(f"{len(found) - len(known)} of {len(found)} cases are not in {origin}.")
    for line in compare.warnings(now, before):
        OUT.print(f"Beware: {line}")


def _ceilings(result: Result) -> str:
    rates = [f"{name} {rate.median:.0f} Gflop/s" for name, rate in result.ceilings.gflop_s.items()]
    return ", ".join([f"ceilings: copying {result.ceilings.copy_gb_s.median:.1f} GB/s", *rates])


def _spread(trials: Trials) -> str:
    """The median, and half of what lies between the least and the most."""
    return f"{number(trials.median)} ±{number((trials.max - trials.min) / 2)}"


def _ceiling(bounds: Iterable[Bound]) -> str:
    """Of the slowest stage: its share of the nearer ceiling, and which that is."""
    slowest = max(bounds, key=lambda bound: bound.ms, default=None)
    if slowest is None:
        return NONE
    share = max(slowest.of_matrix_rate, slowest.of_copy_bandwidth)
    which = "matrix" if slowest.of_matrix_rate >= slowest.of_copy_bandwidth else "copy"
    return f"{slowest.stage} {share:.0%} {which}"
