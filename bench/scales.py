"""What more of one thing costs: pixels, streams, styles, channels of the nets; and where the knee is.

    python -m allaprima.bench.scales --over pixels [--size 640x360] [--seconds 2] [--json FILE]

The points of a scale take turns over the trials, so that a slow minute hits all of them.  The quickest trial of each
counts, since what else the machine does only ever adds; of several streams, whose rate may err either way, the median.
Everything painted is looked at (`bench.painted`).
"""

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import typer

from allaprima.bench import clips, table
from allaprima.bench.catalogue import Point, Scale
from allaprima.bench.knee import CLEARLY, exponent, knee, saturation
from allaprima.bench.subjects import MOST, Crowd, Layer, Subject, scene
from allaprima.realtime.bundle import Bundle, StyleCard, shipped_bundle
from allaprima.realtime.config import parse_size
from allaprima.realtime.errors import ConfigError
from allaprima.realtime.stylizer import Stylizer

SIZES = ((320, 180), (640, 360), (1280, 720), (1920, 1080), (2560, 1440), (3840, 2160))
STREAMS = (1, 2, 4, 8)
STYLES = (1, 2, 4, 8, 14, 56)
"""That lie in the bank, all of them loaded and in the mix."""
CHANNELS = (24, 32, 48, 64, 96)
"""Of the deep features; the shipped nets have 48."""
TRIALS, ROUNDS = 5, 3
"""Of one stream, and of several."""
ENOUGH = 3
"""Trials after which a point whose time is over has no more: pictures that take seconds each."""
FADE = 10 * MOST
"""Frames of a cross-fade that does not end while anything is measured."""

Over = Literal["pixels", "streams", "styles", "channels"]
Note = Callable[[str], None]


# ---- the scales ----


@dataclass(frozen=True, slots=True)
class Plan:
    """How much is measured, and with what."""

    size: clips.Size
    seconds: float
    """Of a point, over all trials; a slow machine takes longer, for `LEAST` frames a trial."""
    streams: Sequence[int]
    backend: str
    bundle: Bundle
    note: Note


def pixels(plan: Plan) -> list[Scale]:
    """From 320x180 to 3840x2160; what ``plan.size`` is does not matter."""
    subjects = [
        Subject(size[0] * size[1] / 1e6, Stylizer(bundle=plan.bundle, backend=plan.backend), scene(size))
        for size in SIZES
    ]
    names = dict(zip((subject.x for subject in subjects), map(clips.text, SIZES), strict=True))
    take_turns(plan, "pixels", subjects)
    return [
        told("pixels", layer, points, lambda points, at: _pixels_say(points, at, names))
        for layer, points in layers(subjects)
    ]


def _pixels_say(points: Sequence[Point], at: float | None, names: Mapping[float, str]) -> str:
    first, last = points[0], points[-1]
    least = min(point.ms / point.x for point in points)
    most, dear = (point.ms / point.x / least for point in (last, first))
    end = names[last.x if at is None else at]
    found = [f"cost grows at most in proportion to pixels up to {end} ({least:.3g} ms a megapixel at best)"]
    if at is not None:
        found.append(f"at {names[last.x]} a pixel costs {most:.1f} times as much")
    if dear > 1 + CLEARLY:
        found.append(f"at {names[first.x]} {dear:.1f} times as much, for what does not depend on size")
    return "; ".join(found)


def styles(plan: Plan) -> list[Scale]:
    """A bank of so many styles, all of them loaded and in the mix, under a cross-fade to another mix of them."""
    with clips.workplace() as folder:
        subjects: list[Subject] = []
        resolving: dict[float, float] = {}
        for count in STYLES:
            bundle = bank_of(plan.bundle, count, Path(folder) / f"bank-{count}")
            stylizer = Stylizer(_mix(bundle, False), bundle=bundle, backend=plan.backend)
            subjects.append(Subject(count, stylizer, scene(plan.size)))

        def fade(subject: Subject) -> None:
            stylizer = subject.stylizer
            began = time.perf_counter()
            stylizer.set_style(_mix(stylizer.bundle, len(subject.trials) % 2 == 0), FADE)
            resolving[subject.x] = 1000 * (time.perf_counter() - began)

        take_turns(plan, "styles", subjects, fade)
    points = [subject.point("engine") for subject in subjects]
    change = f"changing to a mix of {STYLES[-1]} takes {resolving[STYLES[-1]]:.1f} ms once, beside the stream"
    return [told("styles", "engine", points, lambda points, at: f"{_flat(points, at)}; {change}")]


def _flat(points: Sequence[Point], at: float | None) -> str:
    first, last = points[0], points[-1]
    times = f"{last.ms / first.ms:.2f} times what it costs with {first.x:g}"
    where = "" if at is None else f", and clearly more from {at:g} on"
    return f"a frame with {last.x:g} styles in the bank and in the mix costs {times}{where}"


def _mix(bundle: Bundle, rising: bool) -> str:
    """All styles of the bundle itself, alike or the later the more of it."""
    names = sorted(file.stem for file in (bundle.path / "styles").glob("*.safetensors"))
    return ",".join(f"{name}:{1 + rising * index}" for index, name in enumerate(names))


def bank_of(bundle: Bundle, count: int, folder: Path) -> Bundle:
    """The bundle with so many styles: those that it has, under as many names as it takes."""
    shutil.copytree(bundle.path, folder, ignore=shutil.ignore_patterns("styles"))
    (folder / "styles").mkdir()
    files = sorted((bundle.path / "styles").glob("*.safetensors"))
    for index in range(count):
        shutil.copyfile(files[index % len(files)], folder / "styles" / f"style-{index:03}.safetensors")
    return Bundle(folder)


def channels(plan: Plan) -> list[Scale]:
    """Nets as the shipped ones, of other widths, untrained: what they paint is of no use, and as much work."""
    try:
        from allaprima.exporters.export import export_bundle
        from allaprima.exporters.networks import Generator
    except ImportError as error:
        plan.note(f"channels: left out, nets of other widths are built with {error.name}, which is not installed")
        return []
    with clips.workplace() as folder:
        subjects = []
        for deep in CHANNELS:
            plan.note(f"channels: building nets of {deep}")
            path = Path(folder) / f"channels-{deep}"
            card = {"one": StyleCard(name="one", steadiness=0.0)}
            export_bundle(
                Generator(["one"], deep), card, path, name=path.name, version="0", default_style="one", training={}
            )
            subjects.append(Subject(deep, Stylizer(bundle=path, backend=plan.backend), scene(plan.size)))
        take_turns(plan, "channels", subjects)
    return [told("channels", layer, points, _channels_say) for layer, points in layers(subjects)[:1]]


def _channels_say(points: Sequence[Point], at: float | None) -> str:
    first, last = points[0], points[-1]
    power = exponent([point.x for point in points], [point.ms for point in points])
    where = "" if at is None else f", by more than in proportion from {at:g} on"
    each = f"{first.ms:.3g} ms with {first.x:g}, {last.ms:.3g} ms with {last.x:g}"
    return f"cost grows with the channels to the power of {power:.1f}{where}: {each}"


def streams(plan: Plan) -> list[Scale]:
    """Streams of one size in one process; their number rises in the first trial, so that memory does."""
    frames = scene(plan.size)
    opened: list[Stylizer] = []
    crowds: list[Crowd] = []
    for trial in range(ROUNDS):
        for number, count in enumerate(plan.streams):
            plan.note(f"streams: {count}, trial {trial + 1} of {ROUNDS}")
            if not trial:
                while len(opened) < count:
                    opened.append(Stylizer(bundle=plan.bundle, backend=plan.backend))
                    Subject(0, opened[-1], frames).warm_up()
                crowds.append(Crowd(opened[:count], frames))
            crowds[number].measure(plan.seconds / ROUNDS)
    points = [crowd.point() for crowd in crowds]
    return [told("streams", "engine", points, _streams_say)]


def _streams_say(points: Sequence[Point], at: float | None) -> str:
    first, last = points[0], points[-1]
    gain = f"{last.x:g} streams paint {last.fps:.3g} frames a second together, {first.x:g} {first.fps:.3g}"
    where = "more streams still gain" if at is None else f"from {at:g} on, more streams gain nothing"
    if first.rss_mb is None or last.rss_mb is None or first.x == last.x:
        return f"{gain}: {where}"
    return f"{gain}: {where}; each takes {(last.rss_mb - first.rss_mb) / (last.x - first.x):.0f} MB"


# ---- all of them ----


def take_turns(
    plan: Plan, name: str, subjects: Sequence[Subject], before: Callable[[Subject], None] | None = None
) -> None:
    """All trials of all points; ``before`` each of which a point may need something done."""
    for subject in subjects:
        plan.note(f"{name}: {subject.x:g}, warming up")
        subject.warm_up()
    for trial in range(TRIALS):
        plan.note(f"{name}: trial {trial + 1} of {TRIALS}")
        for subject in subjects:
            if trial >= ENOUGH and subject.spent > plan.seconds:
                continue
            if before is not None:
                before(subject)
            subject.measure(plan.seconds / TRIALS)


def layers(subjects: Sequence[Subject]) -> list[tuple[Layer, list[Point]]]:
    """What can be told apart: where a device paints a frame in one go, nobody times its nets."""
    known: list[Layer] = ["nets", "engine"] if subjects[0].stylizer.device == "cpu" else ["engine"]
    return [(layer, [subject.point(layer) for subject in subjects]) for layer in known]


def told(
    over: Over, layer: Layer, points: Sequence[Point], say: Callable[[Sequence[Point], float | None], str]
) -> Scale:
    """The scale with its knee, which is looked for among the points that count."""
    good = [point for point in points if not point.invalid]
    if len(good) < 2:
        return Scale(over=over, layer=layer, points=tuple(points), says="too few points count to say anything")
    x = [point.x for point in good]
    at = saturation(x, [p.fps for p in good]) if over == "streams" else knee(x, [p.ms for p in good])
    return Scale(over=over, layer=layer, points=tuple(points), knee=at, says=say(good, at))


SCALES: dict[str, Callable[[Plan], list[Scale]]] = {
    "pixels": pixels,
    "streams": streams,
    "styles": styles,
    "channels": channels,
}


def measure(
    over: Sequence[str], size: clips.Size, seconds: float, note: Note, streams: Sequence[int] = STREAMS, *,
    backend: str = "auto", bundle: Path | Bundle | None = None,
) -> list[Scale]:  # fmt: skip
    """The scales called ``over``; a scale that cannot be measured here is left out, and ``note`` told why.

    ``seconds`` are those of a point.  The memory of streams is that of this process: measure them in a fresh one.
    Raises `ConfigError` for a name or a number of streams that cannot be, before anything is measured.
    """
    if unknown := [name for name in over if name not in SCALES]:
        raise ConfigError(f"there is no scale over {unknown[0]!r}", f"There are: {', '.join(SCALES)}.")
    if not streams or min(streams) < 1:
        raise ConfigError("numbers of streams must be above 0", "For example: 1,2,4,8")
    bundle = bundle if isinstance(bundle, Bundle) else Bundle(bundle or shipped_bundle())
    plan = Plan(size, seconds, sorted(set(streams)), backend, bundle, note)
    return [scale for name in over for scale in SCALES[name](plan)]


def main(
    over: Annotated[list[str] | None, typer.Option(help=f"One of {', '.join(SCALES)}; repeatable.")] = None,
    size: Annotated[str, typer.Option(metavar="WxH", help="Of all scales but pixels.")] = "640x360",
    seconds: Annotated[float, typer.Option(min=0.1, help="For each point.")] = 2.0,
    streams: Annotated[str, typer.Option(metavar="N,...", help="How many at once.")] = ",".join(map(str, STREAMS)),
    backend: Annotated[str, typer.Option(help="What paints.")] = "auto",
    as_json: Annotated[str | None, typer.Option("--json", metavar="FILE", help="- is stdout.")] = None,
) -> None:
    """Measure and print."""
    try:
        counts = [int(word) for word in streams.split(",")]
    except ValueError as error:
        raise ConfigError(f"{streams!r} are no numbers of streams", "For example: 1,2,4,8") from error
    found = measure(over or list(SCALES), parse_size(size), seconds, table.note, counts, backend=backend)
    if as_json != "-":
        for scale in found:
            show(scale)
    text = json.dumps([scale.model_dump(mode="json", exclude_none=True) for scale in found], indent=1)
    if as_json == "-":
        print(text)
    elif as_json:
        Path(as_json).write_text(text + "\n", encoding="utf-8")


def show(scale: Scale) -> None:
    rows = []
    for point in scale.points:
        figures = (point.ms, point.fps, point.core_ms, point.rss_mb)
        remark = "the knee" if point.x == scale.knee else "; ".join(point.invalid)
        rows.append((f"{point.x:g}", *("" if each is None else table.number(each) for each in figures), remark))
    table.plain(f"{scale.layer} by {scale.over}", (scale.over, "ms", "fps", "core-ms", "MB", ""), rows)
    table.OUT.print(scale.says)


if __name__ == "__main__":
    table.run(main)
