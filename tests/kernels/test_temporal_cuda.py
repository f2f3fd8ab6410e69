"""The whole chain against the CPU backend.

Tolerance: held planes within 0.02 bytes.  Positions are within 1e-4 pixels (the backend's map of them is float32)
and pictures change by up to 100 bytes a pixel; all else is roundings.  OpenCV 4 fetches from the nearest 1/32 of a
pixel, so the backend is given the exact sampler; on its own it is held to a byte, and OpenCV 5 to 0.02, too.
"""

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import pytest

from allaprima.kernels.reference import warp as reference
from allaprima.kernels.temporal import Temporal
from allaprima.realtime.backends.cpu import CpuBackend, Motion, Picture
from allaprima.realtime.sources.scenes import open_scene

from .fake_cupy import FakeCupy, FakeStream

SIZES = {1: (96, 64), 2: (214, 150), 4: (350, 330)}
"""By the factor between the picture and its flow, in the backend's choice."""
TOLERANCE = 0.02
EXACT = int(cv2.__version__.split(".")[0]) >= 5


class Chain:
    """A CPU backend, and the chain of kernels set up as it is."""

    def __init__(self, cupy: Any, backend: CpuBackend) -> None:
        self.cupy = cupy
        height, width = backend.canvas.shapes[0]
        self.temporal = Temporal((width, height), backend._small_size, (backend._luma_limits, backend._chroma_limits))
        self.eased: Any = None

    def planes(self, *planes: Any) -> Any:
        return self.cupy.asarray(planes[0]), self.cupy.asarray(np.stack(planes[1:]))

    def empty_like(self, planes: Any, dtype: Any) -> Any:
        return tuple(self.cupy.empty(plane.shape, dtype) for plane in planes)

    def warp_blend(self, previous: Picture, current: Picture, motion: Motion, weight: float) -> Picture:
        new, history = self.planes(*current.planes), self.planes(*(previous.exact or previous.planes))
        held, shown = self.empty_like(new, np.float32), self.empty_like(new, np.uint8)
        maps = (self.cupy.asarray(array) for array in (motion.flow, motion.confidence, np.float32([weight])))
        fetched = None if self.eased is None else self.empty_like(new, np.float32)
        self.temporal.warp_blend(new, history, *maps, held=held, shown=shown, fetched=fetched, eased=self.eased)
        (y, (u, v)), (a, (b, c)) = ([part.get() for part in planes] for planes in (held, shown))
        return replace(current, planes=(a, b, c), exact=(y, u, v))


def moving(tiny: Any, size: tuple[int, int], moment: int, color: Any) -> Any:
    """A frame of a picture that moves by (5, 3) pixels a frame."""
    (width, height), x, y = size, 5 * moment, 3 * moment
    luma, *chroma = tiny.frame((width + 40, height + 20), 1, color=color).planes
    planes = [luma[y : y + height, x : x + width]]
    planes += [plane[y // 2 : y // 2 + height // 2, x // 2 : x // 2 + width // 2] for plane in chroma]
    return replace(tiny.frame(size, color=color), planes=tuple(map(np.ascontiguousarray, planes)))


def painted(picture: Picture, seed: int, width: float) -> Picture:
    """The picture in strokes of this width, others for each seed; smoothed, it stays as it is."""
    planes = []
    for index, plane in enumerate(picture.planes):
        noise = np.random.default_rng(10 * seed + index).standard_normal(plane.shape).astype(np.float32)
        strokes = cv2.GaussianBlur(noise, None, width) - cv2.GaussianBlur(noise, None, 2 * width)
        planes.append(np.clip(plane + 12 * strokes / strokes.std(), 0, 255).astype(np.uint8))
    return replace(picture, planes=tuple(planes))


def sample_exactly(plane: Any, where: Any, interpolation: str = "bilinear", *, out: Any = None) -> Any:
    fetched = reference.exact(plane, where, interpolation).astype(plane.dtype)
    if out is not None:
        out[...] = fetched
    return fetched


def assert_alike(found: Picture, wanted: Picture, tolerance: float) -> None:
    for one, other in zip(found.exact, wanted.exact, strict=True):
        np.testing.assert_allclose(one, other, atol=tolerance)
    for shown, expected in zip(found.planes, wanted.planes, strict=True):
        steps = cv2.absdiff(shown, expected)
        assert steps.max() <= tolerance + 1
        assert (steps == 0).mean() > 0.9


def scene(tiny: Any, size: tuple[int, int], moment: int) -> Any:
    (width, height), frames = size, open_scene("landscape", size, Fraction(30))
    yuv = cv2.cvtColor(frames.frame(10 + moment), cv2.COLOR_RGB2YUV)
    half = [cv2.resize(yuv[..., i], (width // 2, height // 2), interpolation=cv2.INTER_AREA) for i in (1, 2)]
    return replace(tiny.frame(size), planes=(yuv[..., 0].copy(), *half))


@pytest.mark.parametrize("sampler", ["exact", "opencv"])
@pytest.mark.parametrize("factor", SIZES)
def test_frame_by_frame_it_is_the_cpu_backend(
    cupy: Any, tiny: Any, monkeypatch: pytest.MonkeyPatch, factor: int, sampler: str
) -> None:
    if sampler == "exact":
        monkeypatch.setattr("allaprima.kernels.reference.warp.warp", sample_exactly)
    size, color = SIZES[factor], tiny.LIMITED if factor > 1 else tiny.FULL
    backend = CpuBackend(size, color)
    assert backend._factor == factor
    chain = Chain(cupy, backend)
    frames = [backend.upload(moving(tiny, size, moment, color)) for moment in range(4)]
    pictures = [painted(frame, seed, 0.3 * factor) for seed, frame in enumerate(frames)]
    mine = wanted = pictures[0]
    for previous, current in pairwise(pictures):
        motion = backend.motion(previous, current)
        mine, wanted = (
            part.warp_blend(before, current, motion, 0.9) for part, before in ((chain, mine), (backend, wanted))
        )
        assert_alike(mine, wanted, TOLERANCE if sampler == "exact" or EXACT else 1.0)
    held = [np.abs(plane - new).mean() for plane, new in zip(wanted.exact, current.planes, strict=True)]
    assert min(held) > 3, "so much is held"


def test_a_real_scene(cupy: Any, tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("allaprima.kernels.reference.warp.warp", sample_exactly)
    size = SIZES[2]
    backend = CpuBackend(size, tiny.LIMITED)
    chain = Chain(cupy, backend)
    previous, current = (painted(backend.upload(scene(tiny, size, moment)), moment, 0.7) for moment in (0, 1))
    motion = backend.motion(previous, current)
    assert 0.2 < np.any(motion.flow, axis=2).mean() < 0.9
    mine, wanted = (part.warp_blend(previous, current, motion, 0.97) for part in (chain, backend))
    assert_alike(mine, wanted, TOLERANCE)


@pytest.mark.parametrize("factor", SIZES)
def test_a_picture_at_rest(cupy: Any, tiny: Any, factor: int) -> None:
    size = SIZES[factor]
    backend = CpuBackend(size, tiny.LIMITED)
    frame = backend.upload(tiny.frame(size))
    previous, current = (painted(frame, seed, 0.3 * factor) for seed in (0, 1))
    motion = backend.motion(previous, current)
    assert not motion.flow.any()
    mine, wanted = (part.warp_blend(previous, current, motion, 0.97) for part in (Chain(cupy, backend), backend))
    assert_alike(mine, wanted, 1e-3)


def case(cupy: Any, dtype: Any = np.uint8) -> Any:
    """A chain at factor 4, new and history of one dtype, flow and trust."""
    temporal = Temporal((64, 32), (16, 8), ((16.0, 235.0), (16.0, 240.0)))
    rng = np.random.default_rng(0)
    new, history = (
        tuple(cupy.asarray(rng.uniform(90, 110, shape).astype(dtype)) for shape in ((32, 64), (2, 16, 32)))
        for _ in range(2)
    )
    flow, trust = rng.uniform(-2, 2, (8, 16, 2)).astype(np.float32), np.ones((8, 16), np.float32)
    return temporal, new, history, flow, trust


def outputs(cupy: Any, new: Any) -> dict[str, Any]:
    return {
        "held": tuple(cupy.empty(plane.shape, np.float32) for plane in new),
        "shown": tuple(cupy.empty(plane.shape, plane.dtype) for plane in new),
    }


@pytest.mark.parametrize(("trust", "weight"), [(1, 0), (0, 1)])
def test_without_weight_or_trust_the_new_picture_is_shown_whatever_the_flow(
    cupy: Any, trust: float, weight: float
) -> None:
    temporal, new, history, flow, trusted = case(cupy)
    flow[0, 0], flow[3:5, 4:8], flow[7, 15], flow[2, 9] = -np.inf, np.nan, 3e38, 1e9
    results = outputs(cupy, new)
    given = (cupy.asarray(array) for array in (flow, trusted * trust, np.float32([weight])))
    temporal.warp_blend(new, history, *given, **results)
    for planes in results.values():
        for plane, fresh in zip(planes, new, strict=True):
            np.testing.assert_array_equal(plane.get(), fresh.get())


def test_new_weights_and_pictures_in_the_same_arrays_give_what_fresh_ones_do(cupy: Any) -> None:
    """As in a captured graph, which keeps the addresses."""
    temporal, new, history, flow, trust = case(cupy)
    weight, results = cupy.asarray(np.float32([0.9])), outputs(cupy, new)
    temporal.warp_blend(new, history, cupy.asarray(flow), cupy.asarray(trust), weight, **results)
    before = results["held"][0].get()
    weight.set(np.float32([0.4]))
    new[0].set(new[0].get()[::-1])
    temporal.warp_blend(new, history, cupy.asarray(flow), cupy.asarray(trust), weight, **results)
    fresh = outputs(cupy, new)
    case(cupy)[0].warp_blend(new, history, cupy.asarray(flow), cupy.asarray(trust), weight, **fresh)
    assert (results["held"][0].get() != before).any()
    for name in ("held", "shown"):
        for one, other in zip(results[name], fresh[name], strict=True):
            np.testing.assert_array_equal(one.get(), other.get())


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_a_net_that_gives_floats_is_as_good(cupy: Any, dtype: Any) -> None:
    """The same values, so the same is held; what is shown is rounded to bytes or not."""
    temporal, new, history, flow, trust = case(cupy)
    floats, old_floats = (tuple(cupy.asarray(p.get().astype(dtype)) for p in planes) for planes in (new, history))
    maps = [cupy.asarray(array) for array in (flow, trust, np.float32([0.9]))]
    results, others = outputs(cupy, new), outputs(cupy, floats)
    temporal.warp_blend(new, history, *maps, **results)
    temporal.warp_blend(floats, old_floats, *maps, **others)
    for name, tolerance in (("held", 0), ("shown", 0.6)):
        for one, other in zip(results[name], others[name], strict=True):
            np.testing.assert_allclose(other.get(), one.get().astype(np.float32), atol=tolerance)


def test_nine_launches_on_the_given_stream_and_no_allocation(emulated: FakeCupy) -> None:
    temporal, new, history, flow, trust = case(emulated)
    maps = [emulated.asarray(array) for array in (flow, trust, np.float32([0.9]))]
    results, stream = outputs(emulated, new), FakeStream()
    with emulated.no_allocation():
        temporal.warp_blend(new, history, *maps, **results, stream=stream)
    names = [launched.kernel.partition("<")[0] for launched in emulated.launches]
    assert names == ["fetch", "fetch", "compare", "smooth", "decide", "raised", "hold", "hold", "crisp"]
    assert {launched.stream for launched in emulated.launches} == {stream}


def test_a_history_may_be_overwritten_if_it_is_fetched_elsewhere(cupy: Any) -> None:
    temporal, new, history, flow, trust = case(cupy, np.float32)
    maps = [cupy.asarray(array) for array in (flow, trust, np.float32([0.9]))]
    apart, fetched = outputs(cupy, new), outputs(cupy, new)["held"]
    temporal.warp_blend(new, history, *maps, **apart)
    shown = outputs(cupy, new)["shown"]
    temporal.warp_blend(new, history, *maps, held=history, shown=shown, fetched=fetched)
    for one, other in zip((*history, *shown), (*apart["held"], *apart["shown"]), strict=True):
        np.testing.assert_array_equal(one.get(), other.get())


@pytest.mark.parametrize("factor", SIZES)
def test_carried_it_is_the_cpu_backend(cupy: Any, tiny: Any, monkeypatch: pytest.MonkeyPatch, factor: int) -> None:
    monkeypatch.setattr("allaprima.kernels.reference.warp.warp", sample_exactly)
    size = SIZES[factor]
    backend = CpuBackend(size, tiny.LIMITED)
    chain = Chain(cupy, backend)
    frames = [backend.upload(moving(tiny, size, moment, tiny.LIMITED)) for moment in range(2)]
    before = painted(frames[0], 0, 0.3 * factor)
    motion = backend.motion(*frames)
    expected = backend.carry(before, frames[1], motion)
    luma, chroma = chain.planes(*(plane.astype(np.float32) for plane in before.planes))
    history, moves = (luma, chroma), (cupy.asarray(motion.flow), cupy.asarray(motion.confidence))
    fetched, shown = (chain.empty_like(history, dtype) for dtype in (np.float32, np.uint8))
    chain.temporal.carry(history, moves, fetched=fetched, shown=shown)
    y, (u, v) = (plane.get() for plane in shown)
    for plane, wanted in zip((y, u, v), expected.planes, strict=True):
        steps = cv2.absdiff(plane, wanted)
        assert steps.max() <= 1
        assert (steps == 0).mean() > 0.99
    np.testing.assert_array_equal(luma.get(), before.planes[0], "the history stays as it is")


@pytest.mark.parametrize("factor", SIZES)
def test_painted_after_carried_it_is_the_cpu_backend(
    cupy: Any, tiny: Any, monkeypatch: pytest.MonkeyPatch, factor: int
) -> None:
    monkeypatch.setattr("allaprima.kernels.reference.warp.warp", sample_exactly)
    backend = CpuBackend(SIZES[factor], tiny.LIMITED)
    chain = Chain(cupy, backend)
    frames = [backend.upload(moving(tiny, SIZES[factor], moment, tiny.LIMITED)) for moment in range(3)]
    before, now = (painted(frames[moment], moment, 0.3 * factor) for moment in (0, 2))
    carried = backend.carry(before, frames[1], backend.motion(*frames[:2]))
    last = backend.motion(*frames[1:])
    expected = backend.warp_blend(carried, now, last, 0.9)
    _, whole = backend._origin(carried, last)
    chain.eased = cupy.asarray(last.confidence), cupy.asarray(np.float32([whole.confidence.mean()])), 0.1
    assert_alike(chain.warp_blend(before, now, whole, 0.9), expected, TOLERANCE)
    jump = cv2.absdiff(expected.planes[0], backend.warp_blend(before, now, whole, 0.9).planes[0])
    assert jump.mean() > 0.1, "or it would not matter"


def test_what_is_eased_needs_planes_of_its_own(emulated: FakeCupy) -> None:
    temporal, new, history, flow, trust = case(emulated, np.float32)
    one = emulated.ones(1, np.float32)
    maps, eased = [emulated.asarray(array) for array in (flow, trust)], (emulated.asarray(trust), one, 0.1)
    with pytest.raises(ValueError, match="planes of its own"):
        temporal.warp_blend(new, history, *maps, one, **outputs(emulated, new), eased=eased)


def test_carrying_takes_six_launches_and_no_memory(emulated: FakeCupy) -> None:
    temporal, _, history, flow, trust = case(emulated, np.float32)
    motion, stream = (emulated.asarray(flow), emulated.asarray(trust)), FakeStream()
    fetched, shown = outputs(emulated, history)["held"], tuple(emulated.empty(p.shape, np.uint8) for p in history)
    with emulated.no_allocation():
        temporal.carry(history, motion, fetched=fetched, shown=shown, stream=stream)
    names = [launched.kernel.partition("<")[0] for launched in emulated.launches]
    assert names == ["believe", "fetch", "fetch", "crisp", "crisp", "crisp"]
    assert {launched.stream for launched in emulated.launches} == {stream}


@pytest.mark.parametrize(
    ("size", "small"),
    [((64, 32), (21, 32)), ((64, 32), (8, 4)), ((64, 32), (16, 16)), ((64, 32), (128, 64)), ((63, 31), (63, 31))],
)
def test_sizes_that_do_not_go_together_are_told(emulated: FakeCupy, size: Any, small: Any) -> None:
    with pytest.raises(ValueError, match="size must be even, and 1, 2 or 4 times as large as"):
        Temporal(size, small)
    assert emulated.allocations == 0


def test_a_picture_of_another_size_is_told(emulated: FakeCupy) -> None:
    temporal, _, _, flow, trust = case(emulated)
    small = tuple(emulated.zeros(shape, np.uint8) for shape in ((16, 32), (2, 8, 16)))
    maps = [emulated.asarray(array) for array in (flow, trust, np.float32([0.9]))]
    with pytest.raises(ValueError, match=r"out must have the shape \(6, 4, 8\)"):
        temporal.warp_blend(small, small, *maps, **outputs(emulated, small))
