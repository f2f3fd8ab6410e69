"""Guard rails: what the parts of a frame cost beside each other, within bounds that one of 3 times breaks.

    python -m allaprima.bench.guard [--only NAME] [--slower 3]

Seconds say nothing on a machine that others use too, ratios of core time do: the two works of a rail take turns, and
the quickest turn of each counts.  A rail that is left is measured once more; left twice, it is an error.
``--slower 3`` does what is guarded three times over, to see that it is noticed.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Annotated, Any

import numpy as np
import openvino as ov
import openvino.opset13 as op
import typer

from allaprima.bench import table
from allaprima.bench.contender import to_and_fro
from allaprima.kernels.reference.warp import warp_along
from allaprima.realtime import open_sink, open_source
from allaprima.realtime.backends.cpu import CpuBackend
from allaprima.realtime.backends.graph import join
from allaprima.realtime.bundle import Bundle, shipped_bundle
from allaprima.realtime.errors import AllaprimaError, ConfigError
from allaprima.realtime.frame import Frame, StreamInfo
from allaprima.realtime.pipeline import run
from allaprima.realtime.stylebank import Fade, Mix, StyleBank
from allaprima.realtime.stylizer import STEADINESS, Stylizer, held

SIZE = (640, 360)
FRAMES = 6
TURNS, SECONDS, LEAST_TURNS = 15, 1.2, 4
"""Of each rail: so many turns, or fewer once that long has passed, but never too few."""
WARM_UP = 2
WARPS, MIXES = 4, 20
"""In one turn: alone they are too quick to be timed."""
LAYERS, CHANNELS = 15, 48
"""Of the bare convolutions that the nets stand beside: 9.0 GFLOP as they, at a quarter of the size."""

Work = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Rail:
    """Two works whose ratio must stay where it is."""

    name: str
    says: str
    """What is guarded, against what."""
    found: float
    """On a Xeon with AMX (two cores), whatever else ran; nets are some times slower where there is no AMX."""
    most: float
    least: float
    """Below this hardly anything was done, or what is compared with got much slower."""
    open: Callable[["Parts"], tuple[Work, Work]]
    clock: Callable[[], float] = time.process_time
    """Seconds of all cores, which other programs hardly change; or of the wall, where waiting counts."""


@dataclass(frozen=True, slots=True)
class Finding:
    rail: Rail
    ratio: float

    @property
    def outside(self) -> bool:
        return not self.rail.least <= self.ratio <= self.rail.most

    def __str__(self) -> str:
        rail, times = self.rail, self.ratio / self.rail.found
        much = f"{times:.1f} times" if times > 1 else f"1/{1 / times:.1f} of"
        return (
            f"{rail.name} ({rail.says}): {self.ratio:.3f}, {much} what it was; within {rail.least:g} to {rail.most:g}"
        )


class Slipped(AllaprimaError):
    """A rail was left twice."""

    exit_code = 11


class Parts:
    """What the works are made of, opened when first asked for: the shipped nets on the CPU, and frames that move."""

    @cached_property
    def frames(self) -> list[Frame]:
        with open_source(f"test:landscape?size={SIZE[0]}x{SIZE[1]}&frames={FRAMES}") as source:
            return list(source)

    @cached_property
    def bundle(self) -> Bundle:
        return Bundle(shipped_bundle())

    @cached_property
    def backend(self) -> CpuBackend:
        return CpuBackend(SIZE, self.frames[0].color)

    @cached_property
    def net(self) -> Any:
        return self.backend.load_net(self.bundle)

    @cached_property
    def filters(self) -> Any:
        bank = StyleBank(self.bundle)
        return bank.views(bank.resolve(self.bundle.manifest.default_style))

    @cached_property
    def pictures(self) -> list[Any]:
        return [self.backend.upload(frame) for frame in self.frames]

    @cached_property
    def painted(self) -> list[Any]:
        return [self.net.paint(picture, self.filters, 1.0) for picture in self.pictures]

    def steps(self) -> Iterator[tuple[int, int]]:
        """Indices of a frame and the one before it, without an end."""
        indices = to_and_fro(FRAMES)
        before = next(indices)
        for now in indices:
            yield before, now
            before = now

    @cached_property
    def motions(self) -> dict[tuple[int, int], Any]:
        steps, pictures = self.steps(), self.pictures
        pairs = [next(steps) for _ in range(2 * FRAMES)]
        return {pair: self.backend.motion(*(pictures[index] for index in pair)) for pair in pairs}

    # ---- works ----

    def paint(self) -> Work:
        """A pass of the nets over the next frame."""
        pictures, indices = self.pictures, to_and_fro(FRAMES)
        return lambda: self.net.paint(pictures[next(indices)], self.filters, 1.0)

    def stylize(self, styles: Sequence[str] = ()) -> Work:
        """The whole engine on the next frame, told one of ``styles`` after the other where there are any."""
        stylizer, indices, turn = Stylizer(bundle=self.bundle, backend="cpu"), to_and_fro(FRAMES), to_and_fro(2)

        def work() -> object:
            if styles:
                stylizer.set_style(styles[next(turn)])
            return stylizer(self.frames[next(indices)])

        return work

    @property
    def styles(self) -> list[str]:
        return StyleBank(self.bundle).names()[:4]


def nets(parts: Parts) -> tuple[Work, Work]:
    height, width = (side // 4 for side in reversed(SIZE))
    return parts.paint(), _Bare((1, CHANNELS, height, width), parts.backend.precision)


def bank(parts: Parts) -> tuple[Work, Work]:
    return parts.paint(), _Constant(parts)


def motion(parts: Parts) -> tuple[Work, Work]:
    pictures, steps = parts.pictures, parts.steps()
    return lambda: parts.backend.motion(*(pictures[index] for index in next(steps))), parts.paint()


def blend(parts: Parts) -> tuple[Work, Work]:
    steps, share, shown = parts.steps(), held(STEADINESS), [parts.painted[0]]

    def work() -> None:
        step = next(steps)
        shown[0] = parts.backend.warp_blend(shown[0], parts.painted[step[1]], parts.motions[step], share)

    return work, parts.paint()


def carry(parts: Parts) -> tuple[Work, Work]:
    steps = parts.steps()

    def work() -> object:
        before, now = next(steps)
        return parts.backend.carry(parts.painted[before], parts.pictures[now], parts.motions[before, now])

    return work, parts.paint()


def rest(parts: Parts) -> tuple[Work, Work]:
    plane = parts.backend.canvas.pad(parts.frames[0].planes)[0].astype(np.float32)
    moves = max((each.flow for each in parts.motions.values()), key=np.count_nonzero)
    still = np.zeros_like(moves)

    def along(flow: Any) -> Work:
        return lambda: [warp_along(plane, flow, "bicubic") for _ in range(WARPS)]

    return along(still), along(moves)


def swap(parts: Parts) -> tuple[Work, Work]:
    return parts.stylize(parts.styles[:2]), parts.stylize()


def mix(parts: Parts) -> tuple[Work, Work]:
    bank, names = StyleBank(parts.bundle), parts.styles
    mixes = [Mix.of({name: k + 1 for k, name in enumerate(order)}) for order in (names, names[::-1])]
    fade, turn = Fade(bank, bank.resolve(names[0])), to_and_fro(2)

    def work() -> None:
        for _ in range(MIXES):
            fade.to(bank.resolve(mixes[next(turn)]), 2)
            fade.step()

    return work, parts.paint()


def pipeline(parts: Parts) -> tuple[Work, Work]:
    stylizer, alone = Stylizer(bundle=parts.bundle, backend="cpu"), parts.stylize()

    def work() -> None:
        source = _Given(parts.frames)
        with open_sink("null:", source.info) as sink:
            run(source, stylizer, [sink])

    def one_by_one() -> None:
        for _ in parts.frames:
            alone()

    return work, one_by_one


class _Bare:
    """Convolutions and nothing else, in the runtime and precision of the nets."""

    def __init__(self, dims: tuple[int, ...], precision: str) -> None:
        rng = np.random.default_rng(0)
        given = op.parameter(list(dims), ov.Type.f32)
        value = given.output(0)
        for _ in range(LAYERS):
            kernel = rng.normal(0, (2 / 9 / CHANNELS) ** 0.5, (CHANNELS, CHANNELS, 3, 3)).astype(np.float32)
            value = op.relu(op.convolution(value, op.constant(kernel), [1, 1], [1, 1], [1, 1], [1, 1])).output(0)
        self._request = _compiled(ov.Model([op.result(value)], [given], "bare"), precision)
        self._feed = {0: rng.normal(0, 1, dims).astype(np.float32)}

    def __call__(self) -> object:
        return self._request.infer(self._feed)


class _Constant:
    """The nets with the filters of one style folded into them."""

    def __init__(self, parts: Parts) -> None:
        backend = parts.backend
        model, _ = join(ov.Core(), parts.bundle, backend.canvas.shapes[0], backend.color, 1)
        filters = {f"{name}_0": value for name, value in parts.filters.items()}
        for parameter in model.get_parameters():
            if (name := parameter.output(0).get_any_name()) in filters:
                parameter.output(0).replace(op.constant(np.ascontiguousarray(filters[name])).output(0))
                model.remove_parameter(parameter)
        self._request = _compiled(model, backend.precision)
        self._planes, self._indices = [picture.planes for picture in parts.pictures], to_and_fro(FRAMES)

    def __call__(self) -> object:
        planes = self._planes[next(self._indices)]
        feed: dict[str, Any] = {name: plane[None, None] for name, plane in zip("yuv", planes, strict=True)}
        return self._request.infer(feed | {"strength": np.ones((1, 1, 1, 1), np.float32)})


def _compiled(model: Any, precision: str) -> Any:
    options = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
    return ov.Core().compile_model(model, "CPU", options).create_infer_request()


class _Given:
    """A source of frames that lie in memory."""

    lost = 0

    def __init__(self, frames: Sequence[Frame]) -> None:
        self._frames = frames
        self.info = StreamInfo("frames in memory", frames[0].size, Fraction(1, 30), Fraction(30), frames=len(frames))
        self.notes: list[str] = []

    def __enter__(self) -> "_Given":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Iterator[Frame]:
        return iter(self._frames)

    def stop(self) -> None:
        pass


RAILS = (
    Rail("nets", "the nets, against bare convolutions of as much arithmetic", 1.6, 4.1, 0.4, nets),
    Rail("bank", "filters that are inputs, against filters folded into the graph", 1.0, 2.6, 0.4, bank),
    Rail("motion", "flow and confidence, against a pass of the nets", 0.23, 0.58, 0.02, motion),
    Rail("blend", "warp and blend, against a pass of the nets", 0.41, 1.05, 0.04, blend),
    Rail("carry", "a frame that is carried, against a pass of the nets", 0.25, 0.63, 0.02, carry),
    Rail("rest", "a warp where nothing moves, against one where all does", 0.12, 0.3, 0.03, rest),
    Rail("swap", "a frame with a swap of style, against a frame without", 0.7, 1.75, 0.2, swap),
    Rail("mix", f"{MIXES} mixes of four styles in a fade, against a pass of the nets", 0.105, 0.265, 0.01, mix),
    Rail("pipeline", "frames through the pipeline, against one by one", 0.9, 2.25, 0.3, pipeline, time.perf_counter),
)
"""In wall time only what waits for threads: 3 times of anything else shows in core time, which is steady under load."""


def chosen(only: Sequence[str]) -> list[Rail]:
    """Rails of those names, all for none; raises `ConfigError` for an unknown one."""
    names = [rail.name for rail in RAILS]
    for name in only:
        if name not in names:
            raise ConfigError(f"there is no rail called {name!r}", f"there are {', '.join(names)}")
    return [rail for rail in RAILS if not only or rail.name in only]


def measure(rail: Rail, parts: Parts, slower: int = 1) -> Finding:
    """The two works in turns: the quickest turn of the one over that of the other."""
    guarded, other = rail.open(parts)
    for _ in range(WARM_UP):
        guarded()
        other()
    quickest, clock = [float("inf")] * 2, rail.clock
    began = time.monotonic()
    for turn in range(TURNS):
        if turn >= LEAST_TURNS and time.monotonic() - began > SECONDS:
            break
        for which, (work, times) in enumerate(((guarded, slower), (other, 1))):
            start = clock()
            for _ in range(times):
                work()
            quickest[which] = min(quickest[which], clock() - start)
    return Finding(rail, quickest[0] / quickest[1])


def check(rails: Sequence[Rail], parts: Parts, slower: int = 1) -> list[Finding]:
    """Every rail once, and once more what was outside: a busy moment is no slip."""
    found = []
    for rail in rails:
        finding = measure(rail, parts, slower)
        found.append(measure(rail, parts, slower) if finding.outside else finding)
    return found


def main(
    only: Annotated[list[str] | None, typer.Option(metavar="NAME", help="One rail; repeatable.")] = None,
    slower: Annotated[int, typer.Option(min=1, help="Do what is guarded so many times.")] = 1,
) -> None:
    """Measure and print; an error names what slipped."""
    found = check(chosen(only or ()), Parts(), slower)
    rows = [
        (rail.name, *map(table.number, (ratio, rail.found, rail.least, rail.most)), "OUTSIDE" * outside)
        for rail, ratio, outside in ((each.rail, each.ratio, each.outside) for each in found)
    ]
    table.plain("Ratios", ("", "now", "found", "least", "most", ""), rows)
    slips = [each for each in found if each.outside]
    for each in slips:
        table.note(str(each))
    if slips:
        names = ", ".join(each.rail.name for each in slips)
        raise Slipped(f"outside, twice: {names}", "Look at what changed in it; a change that is meant moves the rail")


if __name__ == "__main__":
    table.run(main)
