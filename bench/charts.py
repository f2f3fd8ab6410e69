"""Markup that cannot be broken by what it shows, and charts of it: SVG in percent, so that they fit any width.

No script draws them; a chart's letters keep their size on a phone, since nothing is scaled.
"""

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape

from allaprima.bench.catalogue import Scale, Trials
from allaprima.bench.shown import figure

PLOT_PX, TOP_PX, BOTTOM_PX = 168, 26, 132
"""Height of a line chart, and where its largest and its least value lie."""
LEFT, RIGHT = 5.0, 95.0
"""Where its first and its last value lie, in percent."""
LEAST_RANGE = 10.0
"""A logarithmic axis shows at least a decade."""


class Html(str):
    """Markup.  Whatever is not of this type is text."""

    __slots__ = ()


def el(name: str, *children: object, **attributes: object) -> Html:
    """An element; text in it and in its attributes is escaped, ``data_size_`` is written ``data-size``."""
    words = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Html(f"<{name}{words}>{join(children)}</{name}>")


def join(children: Iterable[object]) -> Html:
    return Html("".join(child if isinstance(child, Html) else escape(str(child)) for child in children))


def _at(percent: float) -> str:
    return f"{percent:.2f}%"


# ---- one value a row, on a logarithmic axis ----


class Axis:
    """From the decade below the least value to the one above the largest, in percent of the width."""

    def __init__(self, values: Iterable[float]) -> None:
        known = [value for value in values if value > 0] or [1.0]
        self.low = 10.0 ** math.floor(math.log10(min(known)))
        self.high = max(10.0 ** math.ceil(math.log10(max(known))), self.low * LEAST_RANGE)
        self.ticks = [self.low * 10**k for k in range(round(math.log10(self.high / self.low)) + 1)]

    def place(self, value: float) -> float:
        share = math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return 100 * min(share, 1.0)

    def grid(self) -> Html:
        return join(_line(self.place(tick), 0, self.place(tick), "100%", "grid") for tick in self.ticks)

    def row(self, kind: str = "bar") -> Html:
        """The digits under rows of that class."""
        digits = [
            el("text", f"{tick:g}", x=_at(self.place(tick)), y="12", text_anchor="middle", class_="faint")
            for tick in self.ticks
        ]
        return el("div", el("span"), el("svg", *digits, class_="row", aria_hidden="true"), el("span"), class_=kind)


def dot(axis: Axis, trials: Trials, kind: str, origin: float | None = None) -> Html:
    """The median, a stem from the axis (or from ``origin``), and the least and the largest trial."""
    start, middle = axis.place(axis.low if origin is None else origin), axis.place(trials.median)
    parts = [
        axis.grid(),
        _line(start, "50%", middle, "50%", f"stem {kind}"),
        _line(axis.place(trials.min), "50%", axis.place(trials.max), "50%", f"spread {kind}"),
        el("circle", cx=_at(middle), cy="50%", r="5", class_=kind),
    ]
    return el("svg", *parts, class_="row", aria_hidden="true")


def _line(x1: float, y1: object, x2: float, y2: object, kind: str) -> Html:
    return el("line", x1=_at(x1), y1=y1, x2=_at(x2), y2=y2, class_=kind)


# ---- parts of a whole, and a share of a ceiling ----


def stack(shares: Mapping[str, float], kinds: Mapping[str, str]) -> Html:
    """Parts beside each other, as wide as their shares of all."""
    left, parts = 0.0, []
    for name, share in shares.items():
        parts.append(el("rect", x=_at(100 * left), width=_at(100 * share), height="100%", class_=kinds[name]))
        left += share
    return el("svg", *parts, class_="row stack", aria_hidden="true")


def gauge(share: float, kind: str) -> Html:
    """A share of a whole; what is above 1 ends at the whole."""
    whole = el("rect", width="100%", height="100%", class_="whole")
    part = el("rect", width=_at(100 * min(share, 1.0)), height="100%", class_=kind)
    return el("svg", whole, part, class_="gauge", aria_hidden="true")


# ---- a line through points ----


def curve(scale: Scale, unit: str) -> Html:
    """A scale: milliseconds a frame over what there is more of (of streams: frames a second of all)."""
    points = [point for point in scale.points if not point.invalid]
    x = [point.x for point in points]
    y = [point.fps if scale.over == "streams" else point.ms for point in points]
    places = list(zip(_across(x, x), _down(y, logarithmic=scale.over == "pixels"), strict=True))
    parts: list[Html] = []
    if scale.knee is not None and x[0] <= scale.knee <= x[-1]:
        knee = _across([scale.knee], x)[0]
        parts.append(el("line", x1=_at(knee), y1=0, x2=_at(knee), y2=BOTTOM_PX + 8, class_="knee"))
        side, nudge = ("start", "6") if knee < 50 else ("end", "-6")
        parts.append(el("text", "knee", x=_at(knee), dx=nudge, y=BOTTOM_PX + 6, text_anchor=side, class_="knee"))
    for (x1, y1), (x2, y2) in itertools.pairwise(places):
        parts.append(el("line", x1=_at(x1), y1=f"{y1:.1f}", x2=_at(x2), y2=f"{y2:.1f}", class_="curve"))
    for (left, top), point_x, value in zip(places, x, y, strict=True):
        side = "start" if left < LEFT + 1 else "end" if left > RIGHT - 1 else "middle"
        parts.append(el("circle", cx=_at(left), cy=f"{top:.1f}", r="4", class_="point"))
        parts.append(el("text", figure(value), x=_at(left), y=f"{top - 10:.1f}", text_anchor=side))
        parts.append(el("text", f"{point_x:.3g}", x=_at(left), y=PLOT_PX - 4, text_anchor=side, class_="faint"))
    label = f"{scale.says} Over {unit}: " + ", ".join(f"{a:.3g}: {figure(b)}" for a, b in zip(x, y, strict=True))
    return el("svg", *parts, class_="plot", height=PLOT_PX, role="img", aria_label=label)


def _across(values: Sequence[float], of: Sequence[float]) -> list[float]:
    """Percent from the left, logarithmic from the first to the last."""
    whole = math.log(of[-1] / of[0]) or 1.0
    return [LEFT + (RIGHT - LEFT) * math.log(value / of[0]) / whole for value in values]


def _down(values: Sequence[float], logarithmic: bool) -> list[float]:
    """Pixels from the top: linear from 0, or logarithmic from the least."""
    if logarithmic:
        least, whole = min(values), math.log(max(values) / min(values)) or 1.0
        return [BOTTOM_PX - (BOTTOM_PX - TOP_PX) * math.log(value / least) / whole for value in values]
    return [BOTTOM_PX - (BOTTOM_PX - TOP_PX) * value / max(values) for value in values]
