"""The tables of the page: a column may be sorted by what stands in ``data-value``, empty ones are left out."""

from collections.abc import Iterable, Mapping, Sequence

from allaprima.bench.catalogue import Bound, Case, Result, Rival, Scale, Trials
from allaprima.bench.charts import Html, el, gauge, join
from allaprima.bench.shown import BESIDE, LAYERS, UNITS, Size, by, figure, percent

Cell = tuple[object, object]
"""What is shown, and what it is sorted by; None for nothing."""
Row = tuple[Mapping[str, object], Sequence[Cell]]
"""Attributes, and a cell for each column."""
WORDS, LONG, WHY = "words", "words long", "words long why"
"""Classes of columns that are not figures."""
NOTHING: Cell = ("", None)


def of(result: Result, layer: str | None = None, size: Size | None = None) -> dict[str, object]:
    """Attributes that the filter goes by."""
    found: dict[str, object] = {"data_device": result.name}
    if layer in LAYERS:
        found |= {"data_layer": layer, "data_layer_name": LAYERS[layer]}
    if size is not None:
        found["data_size"] = by(size)
    return found


def table(heads: Mapping[str, str], rows: Iterable[Row], label: str) -> Html:
    """``heads`` are titles, and the class of their columns; the first column that is left names its row."""
    rows = list(rows)
    kept = [k for k in range(len(heads)) if any(cells[k][1] is not None for _, cells in rows)]
    titles = list(heads.items())
    head = [el("th", titles[k][0], scope="col", class_=titles[k][1] or None) for k in kept]
    body = [
        el("tr", *(_cell(cells[k], titles[k][1], k == kept[0]) for k in kept), **attributes)
        for attributes, cells in rows
    ]
    found = el("table", el("thead", el("tr", *head)), el("tbody", *body), class_="sortable")
    return el("div", found, class_="scroll", role="region", aria_label=label, tabindex="0")


def _cell(cell: Cell, kind: str, first: bool) -> Html:
    shown, value = cell
    attributes = {"scope": "row"} if first else {}
    return el("th" if first else "td", shown, data_value=value, class_=kind or None, **attributes)


def _number(value: float | None) -> Cell:
    return NOTHING if value is None else (figure(value), value)


def _median(trials: Trials | None) -> Cell:
    return NOTHING if trials is None else _number(trials.median)


def _spread(trials: Trials | None) -> Cell:
    return NOTHING if trials is None else (f"{figure(trials.min)} to {figure(trials.max)}", round(trials.spread, 4))


def _word(text: str) -> Cell:
    return text, text or None


def _size(size: Size) -> Cell:
    return by(size), size[0] * size[1]


def _share(share: float | None) -> Cell:
    return NOTHING if share is None else (percent(share), share)


def _refused(invalid: Sequence[str]) -> dict[str, object]:
    return {"class_": "invalid"} if invalid else {}


# ---- the tables ----


def cases(results: Sequence[Result]) -> Html:
    heads = {
        "device": WORDS,
        "layer": WORDS,
        "frame": "",
        "streams": "",
        "fps": "",
        "spread": "",
        "does not count": WHY,
    }
    heads |= dict.fromkeys(["Mpx/s", "ms", "core-ms", "delay p50", "p95", "p99", "source fps", "painted", "drops"], "")
    heads |= {
        "effort": WORDS,
        "first frame, s": "",
        "first start, s": "",
        "memory, MB": "",
        "card, MB": "",
        "flicker": "",
    }
    heads |= {
        "sharpness": "",
        "watts": "",
        "other load, cores": "",
        "backend": WORDS,
        "precision": WORDS,
        "style": WORDS,
    }
    several = len(results) > 1, any(case.streams > 1 for result in results for case in result.cases)
    rows = [
        (of(result, case.layer, case.size) | _refused(case.invalid), _case(result, case, *several))
        for result in results
        for case in result.cases
    ]
    return table(heads, rows, "All cases") if rows else Html()


def _case(result: Result, case: Case, devices: bool, streams: bool) -> list[Cell]:
    delay = case.latency_ms
    return [
        _word(result.name if devices else ""),
        _word(LAYERS[case.layer]),
        _size(case.size),
        (case.streams, case.streams) if streams else NOTHING,
        _median(case.fps),
        _spread(case.fps),
        _word("; ".join(case.invalid)),
        _number(case.mpx_s),
        _median(case.ms),
        _median(case.core_ms),
        *(_number(value) for value in ((delay.p50, delay.p95, delay.p99) if delay else (None,) * 3)),
        _number(case.source_fps),
        _share(case.painted_share),
        NOTHING if case.drops is None else (case.drops, case.drops),
        _word(case.effort or ""),
        _median(case.first_frame_s),
        _median(case.first_start_s),
        _number(case.rss_mb),
        _number(case.vram_mb),
        _number(case.flicker),
        _number(case.sharpness),
        _number(case.conditions.watts),
        _number(case.conditions.other_load_cores),
        _word(case.backend),
        _word(case.precision),
        _word(case.style),
    ]


def ceilings(results: Sequence[Result]) -> Html:
    heads = {"device": WORDS, "layer": WORDS, "frame": "", "stage": WORDS, "ms": "", "Gflop": "", "MB": ""}
    heads |= {"of the matrix rate": WORDS, "of the copy bandwidth": WORDS, "bound by": WORDS}
    rows = [
        (of(result, case.layer, case.size) | _refused(case.invalid), _bound(result, case, bound, len(results) > 1))
        for result in results
        for case in result.cases
        for bound in case.bounds
    ]
    return table(heads, rows, "Stages against ceilings") if rows else Html()


def _bound(result: Result, case: Case, bound: Bound, devices: bool) -> list[Cell]:
    return [
        _word(result.name if devices else ""),
        _word(LAYERS[case.layer]),
        _size(case.size),
        _word(bound.stage),
        _number(bound.ms),
        _number(bound.gflop),
        _number(bound.megabytes),
        (join([gauge(bound.of_matrix_rate, "c0"), percent(bound.of_matrix_rate)]), bound.of_matrix_rate),
        (join([gauge(bound.of_copy_bandwidth, "c1"), percent(bound.of_copy_bandwidth)]), bound.of_copy_bandwidth),
        _word(bound.bound_by),
    ]


def points(scale: Scale, label: str) -> Html:
    heads = {UNITS[scale.over]: "", "ms": "", "fps": "", "core-ms": "", "MB": "", "does not count": WHY}
    rows = []
    for point in scale.points:
        x: Cell = (f"{point.x:.3g}", point.x)
        figures = [_number(value) for value in (point.ms, point.fps, point.core_ms, point.rss_mb)]
        rows.append((_refused(point.invalid), [x, *figures, _word("; ".join(point.invalid))]))
    return table(heads, rows, label) if rows else Html()


def rivals(found: Sequence[tuple[Result, Rival]], devices: bool) -> Html:
    heads = {"rival": WORDS, "device": WORDS, "instead of": WORDS, "frame": "", "times": "", "spread": "", "ms": ""}
    heads |= {"ours, ms": "", "not alike": LONG, "run by": LONG, "not measured": LONG}
    rows = [(of(result, rival.instead_of, rival.size), _rival(result, rival, devices)) for result, rival in found]
    return table(heads, rows, "Beside others")


def _rival(result: Result, rival: Rival, devices: bool) -> list[Cell]:
    return [
        _word(rival.name),
        _word(result.name if devices else ""),
        _word(BESIDE[rival.instead_of]),
        _size(rival.size),
        _median(rival.times),
        _spread(rival.times),
        _median(rival.ms),
        _median(rival.ours_ms),
        _word(rival.note),
        _word(rival.about),
        _word(rival.absent or ""),
    ]
