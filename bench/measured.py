"""The README's section "Measured": its tables and sentences, filled with the figures of `bench/results/`.

Each function gives the Markdown of one block between markers; an empty text where nothing was measured.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from operator import ge, le
from typing import Any

from allaprima.bench.catalogue import Case, Conditions, Result, Trials
from allaprima.bench.engine import NET
from allaprima.bench.shown import (
    BESIDE,
    LAYERS,
    TIMES,
    Size,
    besides_nets,
    by,
    counted,
    figure,
    listed,
    machine,
    percent,
    reference,
    sizes,
    usual,
)

NOTHING = "Nothing is measured yet: `allaprima bench --json bench/results/bench-NAME.json`."
FPS_AIMS = {(1280, 720): 20.0, (640, 360): 70.0}
BESIDES_NETS_AIM, FIRST_FRAME_AIM_S, MEMORY_AIM_MB = 0.35, 2.0, 1200.0
AIMS_CORES = 2
"""The aims are those of a machine with so many cores and no GPU."""
OTHERS_SIZES = ((1280, 720), (1920, 1080))
"""What is shown of the catalogue's other machines."""
BUSY_CORES = 0.1
"""Cores taken by others from which on it is said."""
MOST_REFUSED = 4
"""Cases that do not count which are named one by one."""
NONE = "-"

STEADIED = {
    "default": "**default**",
    "averaging": "averaging with the frame before",
    "holding": "holding pixels whose input changes little",
    "warping": "warping by full-size flow and mixing, 0.8",
}

Json = Mapping[str, Any]
Met = Callable[[float, float], bool]


def plain(text: str) -> str:
    """Words out of a result as Markdown that shows just these, on one line."""
    return re.sub(r"([\\`*\[\]<>|])", r"\\\1", " ".join(text.split()))


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Markdown; the first column is words, the others are figures."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


# ---- our own speed ----


def headline(results: Sequence[Result]) -> str:
    result = reference(results)
    if result is None or not result.cases:
        return NOTHING
    trials = min(len(case.fps.trials) for case in result.cases)
    told = (
        f"Printed by `allaprima bench` on {plain(machine(result.machine))}, {result.machine.time[:10]}; medians of "
        f"{trials} trials, {_manner(result)}, real motion. All of it, with spreads and what does not count: "
        "`bench/results/index.html`."
    )
    more = [*_work(result), *_live(result), _meanwhile(result.conditions), _refused(result)]
    parts = [told, _speeds(result), _aims(result), " ".join(filter(None, more)), _others(results, result)]
    return "\n\n".join(filter(None, parts))


def _manner(result: Result) -> str:
    steadiness = result.settings.get("steadiness")
    return ", ".join(
        [plain(result.cases[0].style), *([] if steadiness is None else [f"steadiness {plain(str(steadiness))}"])]
    )


def _speeds(result: Result) -> str:
    nets, engine, file, live = (counted(result, layer) for layer in LAYERS)
    columns: dict[str, Callable[[Size], str]] = {
        "nets alone, fps": lambda size: _fps(nets.get(size)),
        "engine, fps": lambda size: _fps(engine.get(size)),
        "file → file, fps": lambda size: _fps(file.get(size)),
        "file → file, Mpx/s": lambda size: figure(file[size].mpx_s) if size in file else NONE,
        "live, ms of delay: p50 / p95 / p99": lambda size: _delay(live.get(size)),
        "peak memory, MB": lambda size: _memory(file.get(size) or engine.get(size)),
    }
    for name in ("flicker", "sharpness"):
        beside = {size: value for size, case in engine.items() if (value := getattr(case, name)) is not None}
        if beside:
            columns[name] = partial(_beside, beside)
    rows = [[by(size), *(cell(size) for cell in columns.values())] for size in sizes(usual(result))]
    return table(["", *columns], rows)


def _beside(known: Mapping[Size, float], size: Size) -> str:
    return f"{known[size]:.2f}" if size in known else NONE


def _fps(case: Case | None) -> str:
    return NONE if case is None else figure(case.fps.median)


def _delay(case: Case | None) -> str:
    if case is None or case.latency_ms is None:
        return NONE
    found = case.latency_ms
    return f"{found.p50:.0f} / {found.p95:.0f} / {found.p99:.0f}"


def _memory(case: Case | None) -> str:
    if case is None or case.rss_mb is None:
        return NONE
    return f"{case.rss_mb:.0f}" + (f" + {case.vram_mb:.0f} on the card" if case.vram_mb else "")


def _aims(result: Result) -> str:
    """What was aimed at: missed, met, or without a figure that counts; of a machine that the aims are for."""
    if result.machine.cores != AIMS_CORES or result.machine.gpus:
        return ""
    engine, file = counted(result, "engine"), counted(result, "file")
    told: dict[str, list[str]] = {"Missed": [], "Met": [], "Without a figure that counts": []}

    def add(words: str, unit: str, measured: Mapping[Size, float | None], met: Met, limit: float) -> None:
        known = [value for value in measured.values() if value is not None]
        shown = [percent(value) if unit == "%" else f"{figure(value)}{unit}" for value in known]
        if not known:
            told["Without a figure that counts"].append(words)
        else:
            kind = "Met" if all(met(value, limit) for value in known) else "Missed"
            told[kind].append(f"{words} ({listed(shown)})")

    for size, aim in FPS_AIMS.items():
        fps = {size: file[size].fps.median if size in file else None}
        add(f"{aim:.0f} frames a second from file to file at {by(size)}", "", fps, ge, aim)
    shares = {size: besides_nets(engine[size]) for size in FPS_AIMS if size in engine}
    add(f"at most {percent(BESIDES_NETS_AIM)} of the engine's time besides the nets", "%", shares, le, BESIDES_NETS_AIM)
    at = [size for size in FPS_AIMS if size in file]
    words = f"the first painted frame {FIRST_FRAME_AIM_S:.0f} s after the command starts"
    for name, when in (("first_frame_s", ""), ("first_start_s", ", with an empty cache too")):
        first = {size: each.median if (each := getattr(file[size], name)) else None for size in at}
        add(words + when, " s", first, le, FIRST_FRAME_AIM_S)
    memory = {size: file[size].rss_mb for size in at}
    add(f"at most {MEMORY_AIM_MB:.0f} MB", "", memory, le, MEMORY_AIM_MB)
    sentences = [f"{kind}: {'; '.join(aims)}." for kind, aims in told.items() if aims]
    return f"The aims for {AIMS_CORES} cores, at {listed([*map(by, FPS_AIMS)])}. {' '.join(sentences)}"


def _work(result: Result) -> Iterable[str]:
    """Work does not grow when others run too, only its time: so it says what a quiet machine could reach."""
    file = counted(result, "file")
    known = [each.median for size in FPS_AIMS if size in file and (each := file[size].core_ms) is not None]
    if known and not result.machine.gpus:
        cores = result.machine.cores
        most = listed([figure(1000 * cores / each) for each in known])
        told = listed([f"{each:.0f}" for each in known])
        yield f"A frame's work, {told} core-ms, ends at {most} frames a second on {cores} cores that do nothing else."
    if counted(result, "engine"):
        yield "`--steadiness 0` searches no motion, holds nothing, and is the faster for it."


def _live(result: Result) -> Iterable[str]:
    """At what price a live picture keeps up."""
    found = []
    for case in counted(result, "live").values():
        if case.painted_share is not None and case.painted_share < 1:
            effort = f" ({plain(case.effort)})" if case.effort else ""
            found.append(f"{percent(case.painted_share)} at {by(case.size)}{effort}")
    if found:
        yield f"Live, where the machine cannot keep up, not every frame is painted by the net: {'; '.join(found)}."


def _meanwhile(conditions: Conditions) -> str:
    taken = {"other programs took": conditions.other_load_cores, "the host kept": conditions.stolen_cores}
    told = [f"{who} {cores:.1f} cores" for who, cores in taken.items() if cores is not None and cores >= BUSY_CORES]
    throttled = ["the machine throttled"] if conditions.throttled else []
    return f"Meanwhile {listed([*told, *throttled])}." if told or throttled else ""


def _refused(result: Result) -> str:
    cases = [case for case in usual(result) if case.invalid]
    if not cases:
        return ""
    if len(cases) > MOST_REFUSED:
        return f"{len(cases)} of {len(usual(result))} cases do not count and are left out; the page says why."
    told = [f"{LAYERS[case.layer]} at {by(case.size)} ({plain(case.invalid[0])})" for case in cases]
    return f"Left out, since it does not count: {'; '.join(told)}."


def _others(results: Sequence[Result], first: Result) -> str:
    """The catalogue's other machines, a row each."""
    rows = []
    for result in results:
        engine, live = counted(result, "engine"), counted(result, "live")
        if result is not first:
            at = [(_fps(engine.get(size)), _delay(live.get(size))) for size in OTHERS_SIZES]
            rows.append([plain(machine(result.machine)), *(cell for pair in at for cell in pair)])
    heads = [f"{what}, {by(size)}" for size in OTHERS_SIZES for what in ("engine, fps", "live, ms")]
    return table(["other machines", *heads], rows) if rows else ""


# ---- beside others ----


def rivals(results: Sequence[Result]) -> str:
    """How many times slower what a user would pick instead is; what is not alike in notes below the table."""
    result = reference(results)
    measured = [rival for rival in result.rivals if rival.times is not None] if result else []
    if result is None or not measured:
        return ""
    columns = sorted(
        {(rival.size, rival.instead_of) for rival in measured}, key=lambda key: (key[0], list(BESIDE).index(key[1]))
    )
    notes = list(dict.fromkeys(rival.note for rival in measured if rival.note))
    rows = []
    for name in dict.fromkeys(rival.name for rival in measured):
        times = {(rival.size, rival.instead_of): rival.times for rival in measured if rival.name == name}
        marks = {f"<sup>{notes.index(rival.note) + 1}</sup>" for rival in measured if rival.name == name and rival.note}
        rows.append([plain(name) + "".join(sorted(marks)), *(_times(times.get(column)) for column in columns)])
    told = (
        "Beside what one would take instead, on the same frames in the same run, in turns: its time over ours, "
        "least to most of the trials in brackets; below 1 it is the faster one."
    )
    heads = ["", *(f"instead of {BESIDE[of]}, {by(size)}" for size, of in columns)]
    below = [*_ours(result, [size for size, _ in columns])]
    below += [f"<sup>{index}</sup> {plain(note)}." for index, note in enumerate(notes, 1)]
    absent = dict.fromkeys(f"{plain(rival.name)} ({plain(rival.absent)})" for rival in result.rivals if rival.absent)
    below += [f"Not measured: {'; '.join(absent)}."] if absent else []
    return "\n\n".join(filter(None, [told, table(heads, rows), " ".join(below)]))


def _ours(result: Result, wanted: Sequence[Size]) -> Iterable[str]:
    """What our nets take at the sizes of the rivals."""
    gflop = {case.size: bound.gflop for case in result.cases for bound in case.bounds if bound.stage == NET}
    takes = [f"{figure(gflop[size])} GFLOP a frame at {by(size)}" for size in dict.fromkeys(wanted) if size in gflop]
    if takes:
        yield f"Our nets take {listed(takes)}."


def _times(times: Trials | None) -> str:
    return NONE if times is None else f"{figure(times.median)} {TIMES} ({figure(times.min)} to {figure(times.max)})"


# ---- steadiness and paint: the JSON of bench/stability.py and bench/quality.py ----


def steadiness(found: Json) -> str:
    clips = [each for each in found["footage"] if each["in_means"]]
    scenes = sum(each["name"].startswith("test:") for each in clips)
    frames = max(each["frames"] for each in clips)
    setting, means = found["settings"], found["means"]
    told = (
        f"Steadiness, by `python -m allaprima.bench.stability` at {setting['size'].replace('x', TIMES)} on {scenes} "
        f"built-in scenes and {len(clips) - scenes} clips of {frames} frames, {setting['style']}, against frames "
        "painted one by one (flicker is the root of E_warp, Lai et al. 2018):"
    )
    figures = {
        "flicker": ("flicker", ".2f"),
        "sharpness at half size": ("sharpness", ".2f"),
        "worst clip": ("least_sharpness", ".2f"),
        "style loss": ("style_loss", ".2f"),
        "frames to recover from a cut": ("recovery", ".0f"),
        "lag on a pan, frames": ("lag", ".2f"),
    }
    shown = [(each, means[column]) for column, each in STEADIED.items() if column in means]
    rows = [[name, *(_cell(mean, *each) for each in figures.values())] for name, mean in shown]
    ratios = {each["name"]: _ratio(each["style_loss"]) for each in clips if "style_loss" in each}
    parts = [told, table(["", *figures], rows), " ".join([*_drift(found), _bars(found["bars"]), *_losses(ratios)])]
    return "\n\n".join([*parts[:2], f"{parts[2]} What was tried: `bench/results/stability.md`."])


def _cell(mean: Json, name: str, form: str) -> str:
    return format(mean[name], form) if name in mean else NONE


def _ratio(by_column: Json) -> float:
    return float(by_column["default"] / by_column["per frame"])


def _drift(found: Json) -> Iterable[str]:
    if "drift" in found:
        last = found["drift"]["moments"][-1]["second"]
        most = max(abs(value) for value in found["drift"]["change"].values())
        yield f"After {last} seconds of swinging motion every figure is within {100 * most:.1f} % of what it was first."


def _bars(bars: Sequence[Json]) -> str:
    """How many aims were missed, and which."""
    missed = [bar for bar in bars if not bar["met"]]
    if not missed:
        return f"All {len(bars)} aims are met."
    told = [f"{bar['what']}, {bar['measured']:.2f} ({bar['bar']})" for bar in missed]
    return f"Missed, of {len(bars)} aims: {'; '.join(told)}.".replace("<=", "≤").replace(">=", "≥")


def _losses(ratios: Mapping[str, float]) -> Iterable[str]:
    """Where the paint loses most of its style to being held, and where least."""
    if ratios:
        most, least = max(ratios, key=lambda name: ratios[name]), min(ratios, key=lambda name: ratios[name])
        yield f"Style loss is {ratios[most]:.1f} times that of frames painted one by one on `{most}`, the worst,"
        yield f"and {ratios[least]:.1f} times on `{least}`, the best."


def paint(found: Json) -> str:
    medians = [each["style"]["median"] for each in found["photos"].values()]
    given = found["settings"]
    parts = [
        f"The paint, by `python -m allaprima.bench.quality` on {given['photos']} photographs that no style was trained "
        f"on, in {len(medians)} styles: style loss {min(medians):.2f} to {max(medians):.2f} in the median "
        "(0 is the artwork's own texture)."
    ]
    if found["rivals"]:
        parts.append(_against(found["rivals"]))
    nearer = sum(each["always_nearer"] for each in found["mixing"])
    mixes = "every mix" if nearer == len(found["mixing"]) else f"{nearer} of {len(found['mixing'])} mixes"
    parts.append(
        f"The painting is nearest to its own artwork in {100 * found['separation']['share']:.0f} %, the auto-encoder "
        f"keeps {found['identity_psnr_db']['median']:.1f} dB at 720p, and {mixes} of two styles comes steadily nearer "
        f"to the second. {_bars(found['bars'])}"
    )
    return " ".join(parts)


def _against(rivals: Mapping[str, Json]) -> str:
    losses = [
        f"{each['ours_over_rival']['style']['median']:.2f} times the style loss in {style} ({each['rival']}), with "
        f"{each['ours_over_rival']['content']['median']:.2f} times the loss of content"
        for style, each in rivals.items()
    ]
    return f"Beside single-style networks of other people, on the same pictures: {'; '.join(losses)}."
