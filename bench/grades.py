"""What the measuring of quality found: by style, against others, against the floor; as JSON and as tables."""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from allaprima.bench import table
from allaprima.bench.pictures import Mixing
from allaprima.bench.results import Bar, Spread

if TYPE_CHECKING:  # torch may not be installed
    from allaprima.bench.critic import Score

LOSSES = ("style", "gram", "content")
IDENTITY, IDENTITY_BAR = "auto-encoder at 720p (dB)", 28.0
SEPARATION, SEPARATION_BAR = "own artwork is the nearest (share)", 0.95
JUMP, JUMP_BAR = "largest step of a mix, over the mean one", 3.0


@dataclass(frozen=True, slots=True)
class Floor:
    """Our painting of one photo, and its pixels optimised for the same style."""

    ours: "Score"
    best: "Score"
    objective: float
    """The sum that training minimises, ours over the optimised one's: how far from the floor."""

    def over(self, loss: str) -> float:
        return float(getattr(self.ours, loss) / getattr(self.best, loss))


@dataclass(slots=True)
class Quality:
    """Everything that was measured; scores are by style, in the order of the pictures."""

    photos: "dict[str, list[Score]]" = field(default_factory=dict)
    clips: "dict[str, list[Score]]" = field(default_factory=dict)
    rivals: "dict[str, tuple[str, list[Score]]]" = field(default_factory=dict)
    """By our style: the rival's name, and what it scored on the same photos."""
    floors: dict[str, list[Floor]] = field(default_factory=dict)
    mixings: list[Mixing] = field(default_factory=list)
    identity: list[float] = field(default_factory=list)
    """PSNR of each frame, dB."""

    def separation(self) -> tuple[float, Counter[str]]:
        """The share of painted pictures nearest to their own artwork; the others, as "STYLE as OTHER"."""
        parts = itertools.chain(self.photos.items(), self.clips.items())
        pairs = [(style, score.nearest) for style, scores in parts for score in scores]
        mistaken = Counter(f"{style} as {other}" for style, other in pairs if other != style)
        return 1 - mistaken.total() / len(pairs), mistaken

    def against(self, style: str, loss: str) -> Spread:
        """Ours over the rival's, photo by photo."""
        pairs = zip(self.photos[style], self.rivals[style][1], strict=True)
        return Spread.of(getattr(ours, loss) / getattr(theirs, loss) for ours, theirs in pairs)

    def figures(self) -> dict[str, Spread]:
        found = {SEPARATION: Spread.of([self.separation()[0]])}
        if self.identity:
            found[IDENTITY] = Spread.of(self.identity)
        if self.mixings:
            found[JUMP] = Spread.of(each.jump for each in self.mixings)
        return found

    def bars(self) -> list[Bar]:
        """What was promised, beside the medians; of the mixes beside the worst: one jump is one too many."""
        figures = self.figures()
        found = [Bar(SEPARATION, figures[SEPARATION].median, SEPARATION_BAR, True)]
        if IDENTITY in figures:
            found.append(Bar(IDENTITY, figures[IDENTITY].median, IDENTITY_BAR, True, " dB"))
        if JUMP in figures:
            found.append(Bar(JUMP, figures[JUMP].most, JUMP_BAR, False))
        return found

    def as_json(self) -> dict[str, Any]:
        share, mistaken = self.separation()
        return {
            "photos": {style: _losses(scores) for style, scores in self.photos.items()},
            "clips": {style: _losses(scores) for style, scores in self.clips.items()},
            "rivals": {
                style: {"rival": name, "scores": _losses(scores)}
                | {"ours_over_rival": {loss: self.against(style, loss).as_json() for loss in LOSSES}}
                for style, (name, scores) in self.rivals.items()
            },
            "ours_over_optimised": {
                style: {name: spread.as_json() for name, spread in _above(floors).items()}
                for style, floors in self.floors.items()
            },
            "separation": {"share": round(share, 4), "mistaken": dict(mistaken.most_common())},
            "mixing": [
                {"from": each.a, "to": each.b, "steps": [round(step, 3) for step in each.steps]}
                | {"jump": round(each.jump, 3), "always_nearer": each.nearer}
                for each in self.mixings
            ],
            "identity_psnr_db": Spread.of(self.identity).as_json() if self.identity else None,
            "bars": [bar.as_json() for bar in self.bars()],
        }


def _spread(scores: "Sequence[Score]", loss: str) -> Spread:
    return Spread.of(getattr(score, loss) for score in scores)


def _above(floors: Sequence[Floor]) -> dict[str, Spread]:
    objective = {"objective": Spread.of(floor.objective for floor in floors)}
    return objective | {loss: Spread.of(floor.over(loss) for floor in floors) for loss in LOSSES}


def _losses(scores: "Sequence[Score]") -> dict[str, Any]:
    return {loss: _spread(scores, loss).as_json() for loss in LOSSES}


def show(found: Quality) -> None:
    rows = []
    for style, scores in found.photos.items():
        own = sum(score.nearest == style for score in scores)
        on_clips = found.clips.get(style, [])
        clips = [table.number(_spread(on_clips, loss).median) if on_clips else "" for loss in LOSSES]
        photos = [table.number(_spread(scores, loss).median) for loss in LOSSES]
        rows.append((style, *photos, f"{own}/{len(scores)}", *clips))
    columns = ("", *LOSSES, "own nearest", *(f"{loss}, clips" for loss in LOSSES))
    table.plain("photos and clips, medians: 0 is the artwork's own texture, the photo's own content", columns, rows)
    _show_rivals(found)
    _show_floors(found)
    table.figures("all styles", found.figures(), found.bars())
    mistaken = found.separation()[1].most_common()
    table.OUT.print("mistaken: " + (", ".join(f"{pair} ({count} x)" for pair, count in mistaken) or "none"))
    if found.mixings:
        worst = max(found.mixings, key=lambda each: each.jump)
        nearer = sum(each.nearer for each in found.mixings)
        table.OUT.print(f"mixes that only come nearer: {nearer} of {len(found.mixings)}")
        table.OUT.print(f"the least even mix: {worst.a} to {worst.b}")


def _show_rivals(found: Quality) -> None:
    rows = []
    for style, (name, scores) in found.rivals.items():
        for loss in LOSSES:
            ratio = found.against(style, loss)
            figures = (_spread(found.photos[style], loss).median, _spread(scores, loss).median)
            shown = [table.number(value) for value in (*figures, ratio.median, ratio.least, ratio.most)]
            rows.append((f"{style}, {loss}", name, *shown))
    if rows:
        columns = ("", "rival", "ours", "rival's", "ratio", "min", "max")
        table.plain("against other networks on the same photos; under 1 ours is nearer", columns, rows)


def _show_floors(found: Quality) -> None:
    rows = [
        (style, *(table.number(spread.median) for spread in _above(floors).values()))
        for style, floors in found.floors.items()
    ]
    if rows:
        table.plain("over optimised pixels (Gatys)", ("", "sum", *LOSSES), rows)
        table.OUT.print("ours over theirs; the sum is what training minimises, and 1 is about its floor")
