"""What `bench.kernels` times: each op on arrays as the engine has them, and the least that it must move and compute.

A case is one function: it makes its arrays and gives a call that launches the op on a stream.  Bytes are those that
go into each launch and come out of it, each once; FLOPs are counted by hand from the formulae, a multiply-add as two,
and for the flow roughly.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from allaprima.kernels.blend import blend
from allaprima.kernels.color import from_rgb, to_rgb
from allaprima.kernels.confidence import confidence
from allaprima.kernels.cuda import cupy
from allaprima.kernels.flow import Dis
from allaprima.kernels.follow import believe, ease, easing, follow
from allaprima.kernels.frame import gray, present, temper
from allaprima.kernels.lut3d import lut3d
from allaprima.kernels.meter import Flicker, Health
from allaprima.kernels.mix import mix
from allaprima.kernels.norm import Statistics, apply
from allaprima.kernels.pack import pack, unpack
from allaprima.kernels.pyramid import Level, pyramid
from allaprima.kernels.reference.dis import ROUNDS, level_count
from allaprima.kernels.refine import rounds_at_once
from allaprima.kernels.surface import padded
from allaprima.kernels.temporal import Temporal
from allaprima.kernels.warp import warp, warp_along

Call = Callable[[Any], object]
"""Launches an op on the stream that it is given."""

GLUE, FLOW, OTHER = "glue", "flow", "other"
"""Parts of a frame's work besides the nets; what is not in every frame is other."""
MARGIN, STRIDE = 16, 8
"""Of the padded picture, as the engine has it."""
FLOW_FACTOR = 4
"""How many times smaller the picture is that flow is measured on."""
EVEN = 3.0
"""Deviation of a picture that is not painted."""
CHANNELS = 48
"""Of the features that are normalised, at a quarter of the picture's size."""
STYLES, FILTERS = 4, 44_464
CUBE = 33
"""Colors along each side of a usual look-up table."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """What is how large where the video is ``picture`` (width, height)."""

    picture: tuple[int, int]

    @property
    def padded(self) -> tuple[int, int]:
        """The picture in the engine."""
        width, height = (padded(side, MARGIN, STRIDE) for side in self.picture)
        return width, height

    @property
    def small(self) -> tuple[int, int]:
        """The picture that flow is measured on."""
        width, height = self.padded
        return width // FLOW_FACTOR, height // FLOW_FACTOR

    @property
    def given_area(self) -> int:
        return math.prod(self.picture)

    @property
    def area(self) -> int:
        """Of the padded picture."""
        return math.prod(self.padded)

    @property
    def small_area(self) -> int:
        return math.prod(self.small)

    @property
    def values(self) -> int:
        """Of the features."""
        return CHANNELS * self.area // 16


class Work(NamedTuple):
    bytes: float
    flops: float
    launches: int


class Inputs:
    """Arrays on the device for one call; ``bytes`` is what they take together."""

    def __init__(self, values: dict[Any, Any] | None = None) -> None:
        self._values = {} if values is None else values
        self.bytes = 0

    def again(self) -> "Inputs":
        """Another set, of the same values."""
        return Inputs(self._values)

    def random(self, shape: tuple[int, ...], dtype: str = "float16", most: float = 1.0) -> Any:
        key = (shape, dtype, most)
        if key not in self._values:
            self._values[key] = (np.random.default_rng(0).random(shape, np.float32) * most).astype(dtype)
        return self._counted(cupy().asarray(self._values[key]))

    def empty(self, shape: tuple[int, ...], dtype: str = "float16") -> Any:
        return self._counted(cupy().empty(shape, dtype))

    def flow(self, size: tuple[int, int]) -> Any:
        """``(h, w, 2)`` for ``size`` (width, height): a pan of some pixels with a little zoom.

        Smooth, as a real one is: neighbors fetch their history beside each other.
        """
        return self._counted(cupy().asarray(_zoom(size)))

    def positions(self, size: tuple[int, int]) -> Any:
        """The same as positions."""
        grid = np.stack(np.meshgrid(*(np.arange(side, dtype=np.float32) for side in size)), -1)
        return self._counted(cupy().asarray(grid + _zoom(size)))

    def nv12(self, size: tuple[int, int]) -> tuple[Any, Any]:
        width, height = size
        half = (-(-height // 2), -(-width // 2), 2)
        return self.random((height, width), "uint8", 255), self.random(half, "uint8", 255)

    def picture(self, size: tuple[int, int], dtype: str) -> tuple[Any, Any]:
        """Luma and both planes of chroma, in bytes."""
        width, height = size
        return self.random((height, width), dtype, 255), self.random((2, height // 2, width // 2), dtype, 255)

    def _counted(self, array: Any) -> Any:
        self.bytes += array.nbytes
        return array


def _zoom(size: tuple[int, int]) -> Any:
    x, y = (np.linspace(-1, 1, side, dtype=np.float32) for side in size)
    return np.stack(np.broadcast_arrays(3.3 + x, -1.7 + y[:, None]), -1).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Case:
    """One op on one kind of arrays."""

    name: str
    prepare: Callable[[Inputs, Sizes], Call]
    work: Callable[[Sizes], Work]
    part: str = OTHER
    memory_bound: bool = False
    """It moves whole pictures and does little else: the bar for such ops counts."""


CASES: list[Case] = []


def case(
    name: str, work: Callable[[Sizes], tuple[float, float, int]], part: str = OTHER, memory_bound: bool = False
) -> Callable[[Callable[[Inputs, Sizes], Call]], None]:
    """Put a case into the table; ``work`` gives bytes, FLOPs and launches."""

    def add(prepare: Callable[[Inputs, Sizes], Call]) -> None:
        CASES.append(Case(name, prepare, lambda sizes: Work(*work(sizes)), part, memory_bound))

    return add


# ---- in and out ----


@case("pack NV12", lambda s: (1.5 * s.given_area + 3 * s.area, 7 * s.area, 1), GLUE, memory_bound=True)
def _(inputs: Inputs, s: Sizes) -> Call:
    width, height = s.padded
    given, out = inputs.nv12(s.picture), inputs.empty((24, height // 4, width // 4))
    return lambda stream: pack(given, margin=MARGIN, stride=STRIDE, out=out, stream=stream)


@case("unpack to NV12", lambda s: (4.5 * s.given_area, 11 * s.given_area, 1), GLUE, memory_bound=True)
def _(inputs: Inputs, s: Sizes) -> Call:
    width, height = s.padded
    given, out = inputs.random((24, height // 4, width // 4)), inputs.nv12(s.picture)
    return lambda stream: unpack(given, s.picture, margin=MARGIN, out=out, stream=stream)


@case("small gray", lambda s: (s.given_area + s.small_area, 2 * s.area, 1), GLUE)
def _(inputs: Inputs, s: Sizes) -> Call:
    width, height = s.small
    given, out = inputs.nv12(s.picture), inputs.empty((height, width), "uint8")
    return lambda stream: gray(given, s.small, FLOW_FACTOR, MARGIN, out=out, stream=stream)


@case("temper an even picture", lambda s: (1.5 * s.given_area + 1.5 * s.area, 6 * s.area, 1))
def _(inputs: Inputs, s: Sizes) -> Call:
    given, out, figures = inputs.nv12(s.picture), inputs.picture(s.padded, "uint8"), inputs.random((1, 6), "float32")
    return lambda stream: temper(given, figures, EVEN, MARGIN, out=out, stream=stream)


@case("present to NV12", lambda s: (4.5 * s.given_area, 12 * s.given_area, 1), GLUE, memory_bound=True)
def _(inputs: Inputs, s: Sizes) -> Call:
    shown, given, share = inputs.picture(s.padded, "uint8"), inputs.nv12(s.picture), inputs.random((1,), "float32")
    out = inputs.nv12(s.picture)
    return lambda stream: present(shown, given, share, MARGIN, out=out, stream=stream)


@case("NV12 to RGB", lambda s: (7.5 * s.given_area, 25 * s.given_area, 1), memory_bound=True)
def _(inputs: Inputs, s: Sizes) -> Call:
    width, height = s.picture
    given, out = inputs.nv12(s.picture), inputs.empty((3, height, width))
    return lambda stream: to_rgb(given, out=out, stream=stream)


@case("RGB to NV12", lambda s: (7.5 * s.given_area, 20 * s.given_area, 1), memory_bound=True)
def _(inputs: Inputs, s: Sizes) -> Call:
    width, height = s.picture
    given, out = inputs.random((3, height, width)), inputs.nv12(s.picture)
    return lambda stream: from_rgb(given, out=out, stream=stream)


@case("lut3d", lambda s: (12 * s.given_area + 12 * CUBE**3, 60 * s.given_area, 1))
def _(inputs: Inputs, s: Sizes) -> Call:
    width, height = s.picture
    given, cube = inputs.random((3, height, width)), inputs.random((CUBE, CUBE, CUBE, 3), "float32")
    out = inputs.empty((3, height, width))
    return lambda stream: lut3d(given, cube, out=out, stream=stream)


# ---- flow ----


def flow_work(size: tuple[int, int]) -> Work:
    """Of `Dis`: pyramid, search, propagation, densification and refinement of each level, two launches at the end."""
    moved, flops, launches = 68 * math.prod(size), 0, 2
    for _ in range(level_count(size)):
        area, rounds = math.prod(size), 1 if rounds_at_once(size) else ROUNDS
        moved += (112 + 56 * rounds) * area
        flops += 9000 * area
        launches += 4 + rounds
        size = (-(-size[0] // 2), -(-size[1] // 2))
    return Work(moved, flops, launches)


@case("flow both ways", lambda s: flow_work(s.small), FLOW)
def _(inputs: Inputs, s: Sizes) -> Call:
    width, height = s.small
    op, out = Dis(s.small), inputs.empty((2, height, width, 2), "float32")
    before, now = (inputs.random((height, width), "uint8", 255) for _ in range(2))
    return lambda stream: op(before, now, out=out, stream=stream)


@case("pyramid", lambda s: (40 * s.small_area, 60 * s.small_area, level_count(s.small)))
def _(inputs: Inputs, s: Sizes) -> Call:
    width, height = s.small
    count = level_count(s.small)
    before, now = (inputs.random((height, width), "uint8", 255) for _ in range(2))
    out = [
        Level(inputs.empty((2, h, w), "float32"), inputs.empty((2, h, w, 2), "float32"))
        for h, w in ((-(-height // 2**i), -(-width // 2**i)) for i in range(count))
    ]
    return lambda stream: pyramid(before, now, count, out=out, stream=stream)


# ---- history ----


@case("confidence", lambda s: (22 * s.small_area, 90 * s.small_area, 1), GLUE)
def _(inputs: Inputs, s: Sizes) -> Call:
    width, height = s.small
    backward, forward = inputs.flow(s.small), inputs.flow(s.small)
    before, now = (inputs.random((height, width), "uint8", 255) for _ in range(2))
    out = inputs.empty((height, width), "float32")
    return lambda stream: confidence(backward, forward, before, now, out=out, stream=stream)


@case("warp and hold", lambda s: (51 * s.area + 268 * s.small_area, 240 * s.area + 600 * s.small_area, 9), GLUE)
def _(inputs: Inputs, s: Sizes) -> Call:
    width, height = s.small
    op, weight = Temporal(s.padded, s.small), inputs.random((1,), "float32")
    new, history = inputs.picture(s.padded, "float16"), inputs.picture(s.padded, "float32")
    flow, trust = inputs.flow(s.small), inputs.random((height, width), "float32")
    held, shown = inputs.picture(s.padded, "float32"), inputs.picture(s.padded, "float16")
    return lambda stream: op.warp_blend(new, history, flow, trust, weight, held=held, shown=shown, stream=stream)


@case("follow a motion", lambda s: (36 * s.small_area, 40 * s.small_area, 1))
def _(inputs: Inputs, s: Sizes) -> Call:
    width, height = s.small
    step, before = ((inputs.flow(s.small), inputs.random((height, width), "float32")) for _ in range(2))
    mean, out = inputs.random((1,), "float32", 0.5), (inputs.flow(s.small), inputs.empty((height, width), "float32"))
    return lambda stream: follow(step, before, mean, 0.0, out=out, stream=stream)


@case("easing", lambda s: (20 * s.small_area, 12 * s.small_area, 1))
def _(inputs: Inputs, s: Sizes) -> Call:
    width, height = s.small
    trust, one = inputs.random((height, width), "float32"), inputs.random((1,), "float32")
    differences, out = inputs.random((3, height, width), "float32", 60), inputs.empty((height, width), "float32")
    return lambda stream: easing(trust, differences, one, 0.0, one, out=out, stream=stream)


@case("ease", lambda s: (8 * s.area + 4 * s.small_area, 20 * s.area, 1), memory_bound=True)
def _(inputs: Inputs, s: Sizes) -> Call:
    (width, height), (small_width, small_height) = s.padded, s.small
    held, carried = (inputs.random((height, width), "float32", 255) for _ in range(2))
    share = inputs.random((small_height, small_width), "float32")
    return lambda stream: ease(held, carried, share, stream=stream)


@case("believe a motion", lambda s: (60 * s.small_area, 10 * s.small_area, 1))
def _(inputs: Inputs, s: Sizes) -> Call:
    width, height = s.small
    motion = inputs.flow(s.small), inputs.random((height, width), "float32")
    out = inputs.empty((3, height, width, 4), "float32")
    return lambda stream: believe(motion, FLOW_FACTOR, out=out, stream=stream)


@case("warp, bilinear", lambda s: (20 * s.area, 35 * s.area, 1), memory_bound=True)
def _(inputs: Inputs, s: Sizes) -> Call:
    width, height = s.padded
    given, where, out = inputs.random((3, height, width)), inputs.positions(s.padded), inputs.empty((3, height, width))
    return lambda stream: warp(given, where, out=out, stream=stream)


@case("warp along, Catmull-Rom", lambda s: (12 * s.area + 8 * s.small_area, 220 * s.area, 1))
def _(inputs: Inputs, s: Sizes) -> Call:
    width, height = s.padded
    given, flow, out = inputs.random((3, height, width)), inputs.flow(s.small), inputs.empty((3, height, width))
    return lambda stream: warp_along(given, flow, "catmull-rom", out=out, stream=stream)


@case("blend", lambda s: (22 * s.area, 9 * s.area, 1), memory_bound=True)
def _(inputs: Inputs, s: Sizes) -> Call:
    width, height = s.padded
    new, history, out = (
        inputs.random((3, height, width)),
        inputs.random((3, height, width)),
        inputs.empty((3, height, width)),
    )
    weight = inputs.random((height, width), "float32")
    return lambda stream: blend(new, history, weight, out=out, stream=stream)


# ---- nets ----


@case("norm, statistics", lambda s: (2 * s.values, 5 * s.values, 2), memory_bound=True)
def _(inputs: Inputs, s: Sizes) -> Call:
    width, height = s.padded
    op = Statistics((CHANNELS, height // 4, width // 4))
    given, out = inputs.random((CHANNELS, height // 4, width // 4)), inputs.empty((CHANNELS, 2), "float32")
    return lambda stream: op(given, out=out, stream=stream)


@case("norm, apply", lambda s: (4 * s.values, 3 * s.values, 1), memory_bound=True)
def _(inputs: Inputs, s: Sizes) -> Call:
    width, height = s.padded
    shape = (CHANNELS, height // 4, width // 4)
    given, statistics, out = inputs.random(shape), inputs.random((CHANNELS, 2), "float32"), inputs.empty(shape)
    weight, bias = (inputs.random((CHANNELS,), "float32") for _ in range(2))
    return lambda stream: apply(given, statistics, weight, bias, out=out, stream=stream)


@case("mix of 4 styles", lambda _: (2 * (STYLES + 1) * FILTERS, 2 * STYLES * FILTERS, 1))
def _(inputs: Inputs, _: Sizes) -> Call:
    banks, weights = inputs.random((STYLES, FILTERS)), inputs.random((STYLES,), "float32")
    out = inputs.empty((FILTERS,))
    return lambda stream: mix(banks, weights, out=out, stream=stream)


# ---- meters ----


@case("flicker", lambda s: (14 * s.small_area, 25 * s.small_area, 2), GLUE)
def _(inputs: Inputs, s: Sizes) -> Call:
    width, height = s.small
    op, flow = Flicker(s.small), inputs.flow(s.small)
    before, now = (inputs.random((height, width), "uint8", 255) for _ in range(2))
    trust, out = inputs.random((height, width), "float32"), inputs.empty((3,), "float32")
    return lambda stream: op(before, now, flow, trust, out=out, stream=stream)


@case("health of luma", lambda s: (2 * s.area, 11 * s.area, 2))
def _(inputs: Inputs, s: Sizes) -> Call:
    width, height = s.padded
    op = Health((1, height, width))
    now, before = (inputs.random((1, height, width), "uint8", 255) for _ in range(2))
    out = inputs.empty((1, 6), "float32")
    return lambda stream: op(now, before, out=out, stream=stream)
