"""What the measuring of steadiness found: by footage, its means beside the bars, drift; as JSON and as tables."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import Any

from allaprima.bench import drift, table
from allaprima.bench.drift import Moment
from allaprima.bench.footage import Bytes
from allaprima.bench.results import Bar

INPUT, ALONE, DEFAULT = "input", "per frame", "default"
FLICKER, FLICKER_BAR = "flicker over per frame, mean", 0.5
SHARP, SHARP_BAR = "sharpness at half size, mean", 0.95
LEAST_SHARP, LEAST_SHARP_BAR = "sharpness at half size, least", 0.85
STYLE, STYLE_BAR = "style loss over per frame, mean", 1.05
STRIPES, STRIPES_BAR = "fine stripes on even places, most", 1.1
BLOBS, BLOBS_BAR = "blobs, most", 1.25
DRIFT, DRIFT_BAR = "drift, largest (%)", 2.0
RECOVERY, RECOVERY_BAR = "recovered from a cut after (frames)", 1
NEVER = -1
"""Recovery that did not come."""

ByColumn = dict[str, float]


@dataclass(slots=True)
class Steadiness:
    """What was measured on one piece of footage, by column (`INPUT`, `ALONE`, `DEFAULT`, a rival's name)."""

    name: str
    frames: int
    pairs: int
    e_warp: ByColumn
    sharpness: dict[str, ByColumn]
    """Against per-frame painting: "full" and "half" size, each by column."""
    distance: ByColumn
    """Root mean square to per-frame painting."""
    stale: ByColumn
    """The same, low-passed: `coherence.ghosting` over all pixels."""
    stripes: ByColumn
    """Against per-frame painting, on even places: `coherence.fine_stripes`."""
    blobs: ByColumn
    """Against per-frame painting: `coherence.blobs`."""
    ghosting: ByColumn | None = None
    """Inside disoccluded pixels; None where nothing comes out from behind something."""
    shimmer: ByColumn | None = None
    recovery: dict[str, int] | None = None
    """Frames after the cut until no trace of the shot before is left, or `NEVER`."""
    lag: ByColumn | None = None
    """Frames."""
    style_loss: ByColumn | None = None
    counted: bool = True
    """Part of the means."""
    strip: Bytes | None = field(default=None, repr=False)

    def flicker(self, column: str) -> float:
        """Root of E_warp over that of per-frame painting."""
        return ratio(self.e_warp[column], self.e_warp[ALONE]) ** 0.5

    def style_ratio(self, column: str) -> float | None:
        return None if self.style_loss is None else ratio(self.style_loss[column], self.style_loss[ALONE])

    def as_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "name": self.name,
            "frames": self.frames,
            "pairs": self.pairs,
            "in_means": self.counted,
            "e_warp": figures(self.e_warp),
            "root_e_warp": roots(self.e_warp),
            "sharpness_ratio": {size: figures(values) for size, values in self.sharpness.items()},
            "distance_to_per_frame": figures(self.distance),
            "stale": figures(self.stale),
            "fine_stripes": figures(self.stripes),
            "blobs": figures(self.blobs),
        }
        for name in ("ghosting", "shimmer", "lag", "style_loss"):
            if (values := getattr(self, name)) is not None:
                found[name] = figures(values)
        if self.recovery is not None:
            found["frames_until_recovered_from_cut"] = self.recovery
        return found


def ratio(a: float, b: float) -> float:
    """``a / b``; 1 where both are 0."""
    return a / b if b else 1.0 if a == b else float("inf")


def figures(values: Mapping[str, float]) -> ByColumn:
    """To six digits that count."""
    return {name: float(f"{value:.6g}") for name, value in values.items()}


def roots(values: Mapping[str, float]) -> ByColumn:
    return figures({name: value**0.5 for name, value in values.items()})


@dataclass(slots=True)
class Found:
    """Everything that was measured."""

    footage: list[Steadiness] = field(default_factory=list)
    true_pairs: dict[str, ByColumn] = field(default_factory=dict)
    """E_warp by column, of pairs of pictures with true flow."""
    drift: list[Moment] = field(default_factory=list)

    @property
    def columns(self) -> list[str]:
        return list(self.footage[0].e_warp)

    @property
    def steadied(self) -> list[str]:
        """The columns that are compared with per-frame painting."""
        return [name for name in self.columns if name not in (INPUT, ALONE)]

    def means(self, column: str) -> ByColumn:
        """Over all footage that has a figure; of recovery, stripes and blobs the worst.  The pan has only lag."""
        counted = [each for each in self.footage if each.counted]
        halves = [each.sharpness["half"][column] for each in counted]
        found: dict[str, Iterable[float | None]] = {
            "flicker": [each.flicker(column) for each in counted],
            "sharpness": halves,
            "least_sharpness": [min(halves, default=None)],
            "style_loss": [each.style_ratio(column) for each in counted],
            "ghosting": [each.ghosting and each.ghosting[column] for each in counted],
            "stale": [each.stale[column] for each in counted],
            "stripes": [max((each.stripes[column] for each in counted), default=None)],
            "blobs": [max((each.blobs[column] for each in counted), default=None)],
            "shimmer": [each.shimmer and ratio(each.shimmer[column], each.shimmer[ALONE]) for each in counted],
            "recovery": [max(self._recoveries(column), default=None)],
            "lag": [each.lag and each.lag[column] for each in self.footage],
        }
        known = {name: [value for value in values if value is not None] for name, values in found.items()}
        return {name: fmean(values) for name, values in known.items() if values}

    def _recoveries(self, column: str) -> list[int]:
        """One that never came took at least all frames."""
        found = [(each.recovery[column], each.frames) for each in self.footage if each.recovery is not None]
        return [frames if value == NEVER else value for value, frames in found]

    def bars(self) -> list[Bar]:
        """What was promised of the default, as far as it was measured."""
        means = self.means(DEFAULT)
        if self.drift:
            means["drift"] = 100 * max(abs(value) for value in drift.change(self.drift).values())
        promised = (
            ("flicker", FLICKER, FLICKER_BAR, False, ""),
            ("sharpness", SHARP, SHARP_BAR, True, ""),
            ("least_sharpness", LEAST_SHARP, LEAST_SHARP_BAR, True, ""),
            ("style_loss", STYLE, STYLE_BAR, False, ""),
            ("stripes", STRIPES, STRIPES_BAR, False, ""),
            ("blobs", BLOBS, BLOBS_BAR, False, ""),
            ("drift", DRIFT, DRIFT_BAR, False, " %"),
            ("recovery", RECOVERY, RECOVERY_BAR, False, " frames"),
        )
        return [
            Bar(what, means[name], limit, at_least, unit)
            for name, what, limit, at_least, unit in promised
            if name in means
        ]

    def as_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "footage": [each.as_json() for each in self.footage],
            "means": {column: figures(self.means(column)) for column in self.steadied},
            "bars": [bar.as_json() for bar in self.bars()],
        }
        if self.true_pairs:
            found["true_flow"] = {
                "history": "one frame deep",
                "root_e_warp": {name: roots(values) for name, values in self.true_pairs.items()},
                "mean_root_e_warp": figures(self.true_means()),
            }
        if self.drift:
            found["drift"] = {
                "moments": [moment.as_json() for moment in self.drift],
                "change": figures(drift.change(self.drift)),
            }
        return found

    def true_means(self) -> ByColumn:
        """Mean root of E_warp over the pairs with true flow."""
        return {name: fmean(pair[name] ** 0.5 for pair in self.true_pairs.values()) for name in self.columns}


# ---- tables ----


def show(found: Found) -> None:
    _by_footage(found)
    _by_column(found)
    _lines(found)
    if found.drift:
        rows = [
            (
                str(each.second),
                *(f"{each.sharpness:.3f}", f"{each.brightness:+.4f}", f"{each.distance:.4f}"),
                *(f"{each.stripes:.3f}", f"{each.blobs:.3f}"),
            )
            for each in found.drift
        ]
        names = ("second", "at half", "brighter", "low-passed", "stripes", "blobs")
        table.plain("drift, one second repeated", names, rows)
    rows = [(bar.what, table.number(bar.measured), str(bar)) for bar in found.bars()]
    table.plain(f"{DEFAULT}: what was promised", ("", "measured", "bar"), rows)


def _by_footage(found: Found) -> None:
    others = [name for name in found.steadied if name != DEFAULT]

    def part(title: str, columns: Sequence[str], cells: Callable[[Steadiness], Iterable[str]]) -> None:
        table.plain(title, ("", *columns), [(each.name, *cells(each)) for each in found.footage])

    part(
        "root of E_warp; ratio is default over per frame",
        (*found.columns[:3], "ratio", *others, "pairs"),
        lambda each: (
            *(f"{each.e_warp[name] ** 0.5:.4f}" for name in found.columns[:3]),
            f"{each.flicker(DEFAULT):.2f}",
            *(f"{each.e_warp[name] ** 0.5:.4f}" for name in others),
            f"{each.pairs}/{each.frames - 1}",
        ),
    )
    part(
        "sharpness at half size, over per frame's",
        (*found.steadied, f"{DEFAULT} at full", f"{DEFAULT}, distance"),
        lambda each: (
            *(f"{each.sharpness['half'][name]:.2f}" for name in found.steadied),
            f"{each.sharpness['full'][DEFAULT]:.2f}",
            f"{each.distance[DEFAULT]:.4f}",
        ),
    )
    part(
        "ghosting: low-passed distance where disoccluded",
        (*found.steadied, f"{DEFAULT}, everywhere"),
        lambda each: (
            *("-" if each.ghosting is None else f"{each.ghosting[name]:.4f}" for name in found.steadied),
            f"{each.stale[DEFAULT]:.4f}",
        ),
    )


def _by_column(found: Found) -> None:
    names = {"flicker": "flicker", "sharpness": "at half", "least_sharpness": "least", "style_loss": "style loss"}
    names |= {name: name for name in ("ghosting", "stale", "stripes", "blobs", "shimmer", "recovery", "lag")}
    rows = []
    for column in found.steadied:
        means = found.means(column)
        rows.append((column, *(table.number(means[name]) if name in means else "-" for name in names)))
    table.plain("means; flicker to style loss and shimmer over per frame's", ("", *names.values()), rows)
    table.OUT.print("stripes, blobs and recovery (frames): the worst; lag in frames, on the pan, which no mean counts")


def _lines(found: Found) -> None:
    for each in found.footage:
        if each.shimmer is not None:
            told = ", ".join(f"{name} {value:.4f}" for name, value in each.shimmer.items())
            table.OUT.print(f"shimmer on {each.name}: {told}")
        if each.recovery is not None:
            told = ", ".join(f"{name} {'never' if n == NEVER else n}" for name, n in each.recovery.items())
            table.OUT.print(f"frames until recovered from the cut of {each.name}: {told}")
    if found.true_pairs:
        told = ", ".join(f"{name} {value:.4f}" for name, value in found.true_means().items())
        pairs = f"{len(found.true_pairs)} pairs with true flow (history one frame deep)"
        table.OUT.print(f"root of E_warp, mean of {pairs}: {told}")
