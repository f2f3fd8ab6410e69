"""The catalogue as one page that asks for nothing outside itself; ``bench/results/index.html``.

Whole without its script, which only sorts and filters.  Its policy allows no other script, style or request.
"""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from string import Template

from allaprima.bench import site_tables as tables
from allaprima.bench.catalogue import Case, Conditions, Result, Rival, Scale, Trials
from allaprima.bench.charts import Axis, Html, curve, dot, el, join, stack
from allaprima.bench.shown import BESIDE, LAYERS, NET, TIMES, UNITS, by, figure, machine, percent, sentence, sizes
from allaprima.bench.site_tables import of

HERE = Path(__file__).parent
KINDS = dict(zip(LAYERS, ("c0", "c1", "c2", "c3"), strict=True))
STAGES = {NET: "c0", "motion": "c1", "blend": "c2", "encode": "c3", "decode": "c4"}
REST = "c5"
BESIDE_KINDS = dict(zip(BESIDE, ("c0", "c1", "c2"), strict=True))
NOTHING = "No result yet."


def page(results: Sequence[Result]) -> str:
    """The whole file, of all results; the same results give the same text."""
    style, script = (_template(name) for name in ("site.css", "site.js"))
    parts = {
        "speeds": ("Frames a second", _speeds(results)),
        "cases": ("All cases", tables.cases(results)),
        "stages": ("Where a frame's time goes", _stages(results)),
        "ceilings": ("Against the machine's ceilings", _ceilings(results)),
        "scales": ("The cost of more", _scales(results)),
        "rivals": ("Beside others", _rivals(results)),
        "devices": ("Devices", _devices(results)),
    }
    shown = {name: part for name, part in parts.items() if part[1]}
    sections = [_section(name, *part) for name, part in shown.items()]
    links = [el("a", title, href=f"#{name}") for name, (title, _) in shown.items()]
    return Template(_template("site.html")).substitute(
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
        told=_told(results),
        parts=join(links),
        main="\n".join(sections),
    )


def _template(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """As a content security policy names an inline text."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _told(results: Sequence[Result]) -> Html:
    if not results:
        return join([NOTHING])
    names = "; ".join(f"{machine(result.machine)} ({result.name})" for result in results)
    cases = [case for result in results for case in result.cases]
    refused = sum(bool(case.invalid) for case in cases)
    verdict = "all of them count" if not refused else "1 does not count" if refused == 1 else f"{refused} do not count"
    return join([f"Alla Prima on {names}. {len(cases)} cases; {verdict}."])


def _section(name: str, title: str, content: Html) -> Html:
    none = el("p", "Nothing here for what is chosen above.", class_="none", hidden="hidden")
    return el("section", el("h2", title, id=f"{name}-title"), content, none, id=name, aria_labelledby=f"{name}-title")


# ---- the parts ----


def _label(words: str, *more: str) -> Html:
    return el("span", words, *(el("small", each) for each in more if each))


def _speeds(results: Sequence[Result]) -> Html:
    """What counts, of one stream; by size, so that devices stand beside each other."""
    rows = [(result, case) for result in results for case in result.cases if not case.invalid and case.streams == 1]
    if not rows:
        return Html()
    axis = Axis(value for _, case in rows for value in (case.fps.min, case.fps.max))
    groups = []
    for size in sizes(case for _, case in rows):
        here = sorted((row for row in rows if row[1].size == size), key=lambda row: list(LAYERS).index(row[1].layer))
        bars = [_speed(axis, result, case, result.name if len(results) > 1 else "") for result, case in here]
        groups.append(el("div", el("h3", by(size)), *bars, class_="group", data_size=by(size)))
    caption = (
        "Median of trials; the broad line goes from the least to the most. Logarithmic. A live source gives no more "
        "than its rate, and not every frame it shows is painted by the net: the table says how many."
    )
    return el("figure", el("figcaption", caption), *groups, axis.row())


def _speed(axis: Axis, result: Result, case: Case, name: str) -> Html:
    alike = [each for each in result.cases if (each.layer, each.size, each.streams) == (case.layer, case.size, 1)]
    manner = f"{case.backend}, {case.precision}, {case.style}" if len(alike) > 1 else ""
    label, chart = _label(LAYERS[case.layer], name, manner), dot(axis, case.fps, KINDS[case.layer])
    value = el("span", figure(case.fps.median))
    return el("div", label, chart, value, class_="bar", **of(result, case.layer, case.size))


def _stages(results: Sequence[Result]) -> Html:
    found = [(result, case) for result in results for case in result.cases if case.stages_ms and not case.invalid]
    many = len(results) > 1
    bars = [_staged(result, case, result.name if many else "") for result, case in found if case.layer == "engine"]
    return el("figure", el("figcaption", "In the engine, by stage."), *bars) if bars else Html()


def _staged(result: Result, case: Case, name: str) -> Html:
    times = {stage: each.median for stage, each in case.stages_ms.items()}
    total = sum(times.values()) or 1.0
    kinds = {stage: STAGES.get(stage, REST) for stage in times}
    parts = []
    for stage, ms in times.items():
        swatch = el("svg", el("rect", width="100%", height="100%", class_=kinds[stage]), aria_hidden="true")
        parts.append(el("li", swatch, f"{stage} {figure(ms)} ms, {percent(ms / total)}"))
    chart = stack({stage: ms / total for stage, ms in times.items()}, kinds)
    cells = [_label(by(case.size), name), chart, el("span", f"{figure(total)} ms"), el("ul", *parts, class_="parts")]
    return el("div", *cells, class_="bar", **of(result, case.layer, case.size))


def _ceilings(results: Sequence[Result]) -> Html:
    found = tables.ceilings(results)
    told = (
        "What a stage's arithmetic and its least traffic with memory take, as shares of what this machine reaches at "
        "most, measured in the same run. Where neither comes near, latency, threads or code bound it."
    )
    return join([el("p", told), found]) if found else found


def _scales(results: Sequence[Result]) -> Html:
    many = len(results) > 1
    cards = [_scale(result, scale, result.name if many else "") for result in results for scale in result.scales]
    return el("div", *cards, class_="cards") if cards else Html()


def _scale(result: Result, scale: Scale, name: str) -> Html:
    what = "frames a second of all" if scale.over == "streams" else "ms a frame"
    title = ", ".join(filter(None, [f"{scale.over.capitalize()}: {what}", LAYERS[scale.layer], name]))
    counted = sum(not point.invalid for point in scale.points)
    chart = [curve(scale, UNITS[scale.over])] if counted > 1 else []
    figures = el("details", el("summary", "Figures"), tables.points(scale, title))
    parts = [el("h3", title), el("p", sentence(scale.says)), *chart, figures]
    return el("article", *parts, class_="card", **of(result, scale.layer))


def _rivals(results: Sequence[Result]) -> Html:
    found = [(result, rival) for result in results for rival in result.rivals]
    if not found:
        return Html()
    known = [(result, rival, rival.times) for result, rival in found if rival.times is not None]
    axis = Axis([1.0, *(value for _, _, times in known for value in (times.min, times.max))])
    many = len(results) > 1
    bars = [_rival(axis, result, rival, times, result.name if many else "") for result, rival, times in known]
    caption = (
        "Their time over ours, on the same frames in the same run, in turns. Above 1 ours is the faster. Logarithmic."
    )
    chart = [el("figure", el("figcaption", caption), *bars, axis.row("bar named"))] if bars else []
    return join([*chart, tables.rivals(found, many)])


def _rival(axis: Axis, result: Result, rival: Rival, times: Trials, name: str) -> Html:
    label = _label(rival.name, f"instead of {BESIDE[rival.instead_of]}, {by(rival.size)}", name)
    chart = dot(axis, times, BESIDE_KINDS[rival.instead_of], origin=1.0)
    value = el("span", f"{figure(times.median)} {TIMES}")
    return el("div", label, chart, value, class_="bar named", **of(result, rival.instead_of, rival.size))


# ---- devices ----


def _devices(results: Sequence[Result]) -> Html:
    return el("div", *map(_device, results), class_="cards") if results else Html()


def _device(result: Result) -> Html:
    found = result.machine
    ceilings = [f"copy {figure(result.ceilings.copy_gb_s.median)} GB/s"]
    ceilings += [f"{name} {figure(rate.median)} Gflop/s" for name, rate in result.ceilings.gflop_s.items()]
    told = {
        "processor": found.cpu,
        "instructions": ", ".join(found.features),
        "cores": found.cores,
        "memory": f"{found.memory_gb:g} GB" if found.memory_gb else "",
        "GPUs": ", ".join(found.gpus) or "none",
        "system": found.system,
        "measured": f"{found.time}, in {result.seconds:.0f} s",
        "ceilings": ", ".join(ceilings),
        "meanwhile": _meanwhile(result.conditions),
        "settings": ", ".join(f"{name} {value}" for name, value in result.settings.items()),
        "versions": ", ".join(f"{name} {value}" for name, value in result.versions.items()),
    }
    rows = [part for name, value in told.items() if value != "" for part in (el("dt", name), el("dd", value))]
    file = f"bench-{result.name}.json"
    rows += [el("dt", "all of it"), el("dd", el("a", file, href=file))]
    return el("article", el("h3", result.name), el("dl", *rows), class_="card", **of(result))


def _meanwhile(found: Conditions) -> str:
    told = {
        "other programs took {:.2f} cores": found.other_load_cores,
        "the host kept {:.2f} cores": found.stolen_cores,
        "{:.0f} W": found.watts,
    }
    words = [form.format(value) for form, value in told.items() if value is not None]
    if found.clock_mhz:
        words.append(f"{found.clock_mhz[0]:.0f} to {found.clock_mhz[1]:.0f} MHz")
    if found.temperature_c:
        words.append(f"{found.temperature_c[0]:.0f} to {found.temperature_c[1]:.0f} °C")
    return ", ".join([*words, *(["throttled"] if found.throttled else [])])
