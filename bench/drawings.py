"""What the plots show, each drawn on a figure of matplotlib; `plots.py` makes files of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from allaprima.bench.catalogue import Bound, Case, Result, Rival, Scale
from allaprima.bench.shown import BESIDE, LAYERS, NET, TIMES, UNITS, Size, by, counted, figure, listed, machine, percent

Axes = Any

WIDTH_IN, DPI = 8.3, 160
LINES = ("nets", "engine", "file")
"""Layers whose frames a second are drawn: a live source gives no more than its own."""
STEADY_FPS = 30
ROOM = 0.45
"""Right of the longest bar, for what is written there: of that bar's length."""
LABELED_SHARE, NAMED_SHARE = 0.06, 0.12
"""Of a frame: from where on a stage's bar has room for its figure, and for its name too."""


@dataclass(frozen=True, slots=True)
class Ink:
    """Colors that differ for every kind of eye (Okabe and Ito 2008), the lighter of them on a dark page."""

    paper: str
    text: str
    faint: str
    line: str
    series: tuple[str, ...]


STAGES = {NET: 0, "motion": 1, "blend": 2, "encode": 3, "decode": 4}
"""Each stage's color, the same everywhere; all others share the last."""


def _title(drawing: Any, words: str, more: str = "") -> None:
    """Over the whole drawing, from its left edge on."""
    drawing.suptitle(words, x=0.006, ha="left", fontsize=10.5, fontweight="bold")
    if more:
        drawing.axes[0].set_title(more, fontweight="normal", color=drawing.axes[0].xaxis.label.get_color(), x=0)


# ---- frames a second ----


def has_speeds(result: Result) -> bool:
    """A line needs two sizes."""
    return any(len(counted(result, layer)) > 1 for layer in LINES)


def speeds(drawing: Any, result: Result, ink: Ink) -> None:
    axes = drawing.subplots()
    found = {layer: cases for layer in LINES if (cases := counted(result, layer))}
    shown = sorted({size for cases in found.values() for size in cases}, key=_pixels)
    ends = []
    for (layer, cases), color in zip(found.items(), ink.series, strict=False):
        x, fps = [_pixels(size) for size in cases], [case.fps for case in cases.values()]
        spread = [[each.median - each.min for each in fps], [each.max - each.median for each in fps]]
        axes.errorbar(x, [each.median for each in fps], spread, color=color, marker="o", ms=5, lw=2, capsize=3)
        ends.append((x[-1], fps[-1].median, f"{LAYERS[layer]}  {figure(fps[-1].median)}", color))
    _title(drawing, f"Frames a second: {machine(result.machine)}")
    axes.set(xscale="log", yscale="log")
    axes.set_xticks([_pixels(size) for size in shown], [by(size) for size in shown])
    axes.minorticks_off()
    _plain_decades(axes.yaxis)
    axes.grid(axis="y")
    if axes.get_ylim()[0] < STEADY_FPS < axes.get_ylim()[1]:
        axes.axhline(STEADY_FPS, color=ink.faint, lw=1, ls=(0, (4, 3)))
        axes.annotate(f"{STEADY_FPS} a second", (1, STEADY_FPS), xycoords=("axes fraction", "data"), xytext=(0, 3),
                      textcoords="offset points", ha="right", color=ink.faint, fontsize=8.5)  # fmt: skip
    _label_ends(axes, ends)


def _pixels(size: Size) -> float:
    return size[0] * size[1] / 1e6


def _plain_decades(axis: Any) -> None:
    """1, 2, 5, 10, ... in digits, not powers."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _label_ends(axes: Axes, ends: Sequence[tuple[float, float, str, str]]) -> None:
    """Each line's name at its end, in its color, none over another: a line's height apart, from below."""
    axes.figure.canvas.draw()
    height, low = 13 * DPI / 72, -math.inf
    for x, y, words, color in sorted(ends, key=lambda end: end[1]):
        place = axes.transData.transform((x, y))[1]
        low = max(place, low + height)
        axes.annotate(words, (x, y), xytext=(9, (low - place) * 72 / DPI), textcoords="offset points", color=color,
                      va="center", fontweight="bold", annotation_clip=False)  # fmt: skip


# ---- stages ----


def staged(result: Result) -> dict[Size, Case]:
    """Engine cases that count and know their stages."""
    return {size: case for size, case in counted(result, "engine").items() if case.stages_ms}


def stages(drawing: Any, result: Result, ink: Ink) -> None:
    cases = staged(result)
    drawing.set_size_inches(WIDTH_IN, 1.5 + 0.55 * len(cases))
    axes = drawing.subplots()
    names = list(dict.fromkeys(stage for case in cases.values() for stage in case.stages_ms))
    for row, case in enumerate(cases.values()):
        total, left = sum(each.median for each in case.stages_ms.values()), 0.0
        for stage in sorted(case.stages_ms, key=names.index):
            share = case.stages_ms[stage].median / total
            axes.barh(row, share, left=left, height=0.66, color=_stage_color(stage, ink), edgecolor=ink.paper, lw=1.2)
            if share >= LABELED_SHARE:
                words = f"{stage} {percent(share)}" if share >= NAMED_SHARE else percent(share)
                axes.text(left + share / 2, row, words, ha="center", va="center", color=ink.paper, fontweight="bold")
            left += share
        axes.text(1.01, row, f"{figure(total)} ms", va="center")
    small = [name for name in names if all(_share(case, name) < NAMED_SHARE for case in cases.values())]
    _title(drawing, "Where a frame's time goes in the engine", f"narrow: {', '.join(small)}" if small else "")
    axes.set_xlim(0, 1)
    axes.set_yticks(range(len(cases)), [by(size) for size in cases], color=ink.text)
    axes.set_xticks([])
    axes.invert_yaxis()
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)


def _share(case: Case, stage: str) -> float:
    total = sum(each.median for each in case.stages_ms.values())
    return case.stages_ms[stage].median / total if stage in case.stages_ms and total else 0.0


def _stage_color(stage: str, ink: Ink) -> str:
    return ink.series[STAGES.get(stage, len(ink.series) - 1)]


# ---- ceilings ----


def bounded(result: Result) -> Case | None:
    """The case whose stages are shown against the ceilings: at 1280x720, else the largest."""
    cases = [case for case in counted(result, "engine").values() if _reaching(case)]
    return next((case for case in cases if case.size == (1280, 720)), cases[-1] if cases else None)


def _reaching(case: Case) -> list[Bound]:
    """Stages of which it is known what they need."""
    return [bound for bound in case.bounds if bound.of_matrix_rate or bound.of_copy_bandwidth]


def ceilings(drawing: Any, result: Result, ink: Ink) -> None:
    case = bounded(result)
    assert case is not None
    bounds = _reaching(case)
    drawing.set_size_inches(WIDTH_IN, 1.3 + 0.62 * len(bounds))
    axes = drawing.subplots()
    kinds = [
        ("of_matrix_rate", "matrix rate", ink.series[0], -0.17),
        ("of_copy_bandwidth", "copy bandwidth", ink.series[1], 0.17),
    ]
    for row, bound in enumerate(bounds):
        for attribute, words, color, offset in kinds:
            share = getattr(bound, attribute)
            if not share:
                continue
            axes.barh(row + offset, share, height=0.3, color=color)
            axes.annotate(f"{percent(share)} of the {words}", (share, row + offset), xytext=(5, 0), va="center",
                          textcoords="offset points", color=color, fontsize=8.5,
                          bbox={"facecolor": ink.paper, "edgecolor": "none", "pad": 0.8})  # fmt: skip
    axes.axvline(1, color=ink.faint, lw=1.2)
    most = max([1.0, *(getattr(bound, kind[0]) for bound in bounds for kind in kinds)])
    found = result.ceilings
    most_of = [f"copies {figure(found.copy_gb_s.median)} GB/s"]
    if case.precision in found.gflop_s:
        most_of.append(f"multiplies at {figure(found.gflop_s[case.precision].median)} Gflop/s in {case.precision}")
    title = f"How near each stage comes to what this machine can do, at {by(case.size)}"
    _title(drawing, title, f"it {listed(most_of)}")
    axes.set(xlim=(0, 1.28 * most), ylim=(-0.5, len(bounds) - 0.5))
    axes.set_yticks(range(len(bounds)), [f"{bound.stage}\n{figure(bound.ms)} ms" for bound in bounds], color=ink.text)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "25 %", "50 %", "75 %", "ceiling"])
    axes.invert_yaxis()
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    axes.tick_params(length=0)


# ---- scales ----


def scaled(result: Result) -> list[Scale]:
    """Scales with at least two points that count."""
    return [scale for scale in result.scales if sum(not point.invalid for point in scale.points) > 1]


def scales(drawing: Any, result: Result, ink: Ink) -> None:
    scales = scaled(result)
    columns = min(2, len(scales))
    rows = -(-len(scales) // columns)
    drawing.set_size_inches(WIDTH_IN, 0.4 + 2.6 * rows)
    cells = drawing.subplots(rows, columns, squeeze=False).flat
    for scale, axes in zip(scales, cells, strict=False):  # in this order: no cell is taken for nothing
        points = [point for point in scale.points if not point.invalid]
        x = [point.x for point in points]
        total = scale.over == "streams"
        y = [point.fps if total else point.ms for point in points]
        axes.plot(x, y, color=ink.series[0], marker="o", ms=4.5, lw=2)
        _scale_axes(axes, scale, x, y)
        if scale.knee is not None:
            axes.axvline(scale.knee, color=ink.series[1], lw=1.4, ls=(0, (4, 3)))
            right = scale.knee <= (x[0] * x[-1]) ** 0.5
            axes.annotate(f"knee: {scale.knee:g}", (scale.knee, 0.04), xycoords=("data", "axes fraction"),
                          xytext=(5 if right else -5, 0), textcoords="offset points", color=ink.series[1],
                          ha="left" if right else "right", fontweight="bold")  # fmt: skip
        what = "frames a second of all" if total else "ms a frame"
        axes.set(title=f"{scale.over.capitalize()}: {what}, {LAYERS[scale.layer]}", xlabel=UNITS[scale.over])
        axes.grid(axis="y")
    for axes in list(cells):
        axes.set_visible(False)


def _scale_axes(axes: Axes, scale: Scale, x: Sequence[float], y: Sequence[float]) -> None:
    axes.set_xscale("log")
    axes.minorticks_off()
    axes.set_xticks(x, [f"{each:.2g}" for each in x])
    if scale.over == "pixels":
        axes.set_yscale("log")
        _plain_decades(axes.yaxis)
        axes.minorticks_off()
    else:
        axes.set_ylim(0, 1.15 * max(y))


# ---- rivals ----


def measured(result: Result) -> list[Rival]:
    return [rival for rival in result.rivals if rival.times is not None and rival.times.median > 0]


def rivals(drawing: Any, result: Result, ink: Ink) -> None:
    """A group of bars for each rival: one for each of ours that it would take the place of."""
    groups: dict[str, list[Rival]] = {}
    sizes = {rival.size for rival in measured(result)}
    for rival in measured(result):
        groups.setdefault(rival.name if len(sizes) == 1 else f"{rival.name}\n{by(rival.size)}", []).append(rival)
    found = [rival for group in groups.values() for rival in group]
    drawing.set_size_inches(WIDTH_IN, 1.0 + 0.27 * len(found) + 0.17 * len(groups))
    axes = drawing.subplots()
    times = [each for rival in found if rival.times is not None for each in rival.times.trials]
    least, most = (pick(times) for pick in (min, max))
    low = 0.8 * min(1.0, least)
    axes.set(xscale="log", xlim=(low, max(2.0, most) * (max(2.0, most) / low) ** ROOM))
    row, middles = 0.0, []
    for group in groups.values():
        middles.append(row + (len(group) - 1) / 2)
        for rival in group:
            _rival(axes, rival, row, ink)
            row += 1
        row += 0.6
    where = f" at {by(*sizes)}" if len(sizes) == 1 else ""
    _title(drawing, f"Their time over ours{where}", "same frames, same run; left of the line they are the faster")
    axes.axvline(1, color=ink.text, lw=1.2)
    axes.set_yticks(middles, list(groups), color=ink.text)
    axes.minorticks_off()
    _plain_decades(axes.xaxis)
    axes.set_ylim(row - 0.9, -0.7)
    axes.grid(axis="x")
    axes.spines["left"].set_visible(False)
    axes.tick_params(length=0)


def _rival(axes: Axes, rival: Rival, row: float, ink: Ink) -> None:
    times, color = rival.times, ink.series[list(BESIDE).index(rival.instead_of)]
    assert times is not None
    axes.barh(row, times.median - 1, left=1, height=0.78, color=color)
    axes.plot([times.min, times.max], [row, row], color=ink.text, lw=1.2)
    words, place = f"{figure(times.median)} {TIMES} {BESIDE[rival.instead_of]}", (max(times.max, 1.0), row)
    axes.annotate(words, place, xytext=(6, 0), textcoords="offset points", va="center", fontweight="bold",
                  fontsize=8.5, color=color)  # fmt: skip
