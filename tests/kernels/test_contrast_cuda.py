"""What the small picture tells of new and history: compare, smooth and decide against OpenCV and the reference.

Tolerances: means of bytes within 1e-4, the roots of mean squares within 1e-3: some ten roundings (6e-8 of 255) of
a sum, which a Laplacian takes eight times.
"""

from typing import Any

import cv2
import numpy as np
import pytest

from allaprima.kernels.contrast import COMPARED, DECIDED, DTYPES, compare, decide, smooth
from allaprima.kernels.reference.confidence import decided
from allaprima.kernels.reference.contrast import NOISE, SMOOTH, STEP, detail, gain
from allaprima.realtime.backends.cpu import LIFT

from .fake_cupy import FakeCupy, FakeStream

SIZES = [(1, 1), (2, 1), (1, 3), (7, 5), (15, 7), (16, 8), (31, 15)]
"""Of the small picture: less than, just and more than what a block compares at factor 4."""


def sized(small: tuple[int, int], factor: int) -> tuple[int, int]:
    """Of luma: even, so that a picture at factor 1 is a little larger."""
    width, height = (side * factor for side in small)
    return width + width % 2, height + height % 2


def picture(size: tuple[int, int], seed: int, dtype: Any = np.uint8) -> Any:
    rng, (width, height) = np.random.default_rng(seed), size
    shapes = (height, width), (2, height // 2, width // 2)
    return tuple(rng.uniform(16, 235, shape).astype(dtype) for shape in shapes)


def wandering(size: tuple[int, int], far: float = 2.0) -> Any:
    return np.random.default_rng(9).uniform(-far, far, (size[1], size[0], 2)).astype(np.float32)


def area_mean(plane: Any, size: tuple[int, int]) -> Any:
    """Over the pixels of a smaller picture, or repeated where it is larger."""
    width, height = size
    across, down = plane.shape[1] / width, plane.shape[0] / height
    if across < 1:
        return plane.repeat(width // plane.shape[1], 1).repeat(height // plane.shape[0], 0)
    return plane.reshape(height, int(down), width, int(across)).mean((1, 3))


def edges(luma: Any) -> Any:
    """The Laplacian at half the size, as the reference has it, in float64."""
    half = area_mean(luma, (luma.shape[1] // 2, luma.shape[0] // 2))
    return cv2.Laplacian(half, cv2.CV_64F)


def compared(new: Any, history: Any, factor: int) -> Any:
    """In float64, by the reference's steps."""
    small = new[0].shape[1] // factor, new[0].shape[0] // factor
    luma, (u, v) = (now.astype(np.float64) - old for now, old in zip(new, history, strict=True))
    fresh, old = (edges(plane.astype(np.float64)) for plane in (new[0], history[0]))
    maps = (luma, u, v, fresh**2, old**2, (fresh - old) ** 2)
    return np.stack([area_mean(plane, small) for plane in maps])


def assert_compared(out: Any, wanted: Any) -> None:
    np.testing.assert_allclose(out[:3], wanted[:3], atol=1e-4)
    np.testing.assert_allclose(np.sqrt(out[3:]), np.sqrt(wanted[3:]), atol=1e-3)


# ---- compare ----


@pytest.mark.parametrize("factor", [1, 2, 4])
@pytest.mark.parametrize("small", SIZES)
def test_any_size_equals_the_references_steps(cupy: Any, small: tuple[int, int], factor: int) -> None:
    size = sized(small, factor)
    new, history = picture(size, 0), picture(size, 1, np.float32)
    out = compare(tuple(map(cupy.asarray, new)), tuple(map(cupy.asarray, history)), factor).get()
    assert (out.shape, out.dtype) == ((len(COMPARED), size[1] // factor, size[0] // factor), np.float32)
    assert_compared(out, compared(new, history, factor))


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_new_picture_may_be_of_any_dtype(cupy: Any, dtype: str) -> None:
    new, history = picture((68, 36), 0, dtype), picture((68, 36), 1, np.float32)
    out = compare(tuple(map(cupy.asarray, new)), tuple(map(cupy.asarray, history)), 4).get()
    assert_compared(out, compared(new, history, 4))


def test_what_is_alike_does_not_differ(cupy: Any) -> None:
    new = picture((68, 36), 0, np.float32)
    on_device = tuple(map(cupy.asarray, new))
    out = compare(on_device, on_device, 2).get()
    assert not out[[0, 1, 2, 5]].any()
    np.testing.assert_array_equal(out[3], out[4])


# ---- smooth ----


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (5, 3), (32, 32), (33, 65), (80, 45)])
def test_gaussians_are_opencvs(cupy: Any, size: tuple[int, int]) -> None:
    maps = np.random.default_rng(0).uniform(-100, 255, (len(COMPARED), *size[::-1])).astype(np.float32)
    out = smooth(cupy.asarray(maps)).get()
    for found, plane in zip(out, maps, strict=True):
        np.testing.assert_allclose(found, cv2.GaussianBlur(plane, None, SMOOTH), atol=1e-3)


def test_what_is_flat_stays_flat(cupy: Any) -> None:
    maps = np.full((len(COMPARED), 20, 50), 100, np.float32)
    np.testing.assert_allclose(smooth(cupy.asarray(maps)).get(), 100, rtol=1e-6)


# ---- decide ----


def maps_of(size: tuple[int, int]) -> Any:
    rng = np.random.default_rng(1)
    planes = rng.uniform(0, 255, (3, *size[::-1])) * [[[0.04]], [[0.03]], [[0.03]]]
    detail = rng.uniform(0, 400, (3, *size[::-1])) * [[[1]], [[0.9]], [[1]]]
    return np.concatenate([planes, detail]).astype(np.float32)


def decided_by(cupy: Any, maps: Any, flow: Any, trust: Any, weight: float, factor: int = 4) -> Any:
    return decide(*map(cupy.asarray, (maps, flow, trust, np.float32([weight]))), factor).get()


@pytest.mark.parametrize("weight", [0.0, 0.7, 0.97, 1.0])
@pytest.mark.parametrize(("size", "factor"), [((1, 1), 1), ((40, 30), 4), ((17, 31), 2)])
def test_decisions_are_those_of_the_cpu_backend(cupy: Any, size: Any, factor: int, weight: float) -> None:
    maps, flow = maps_of(size), wandering(size, 1.5 / factor)
    trust = np.random.default_rng(2).random(size[::-1]).astype(np.float32)
    out = decided_by(cupy, maps, flow, trust, weight, factor)
    y, u, v, fresh, old, change = maps
    share = np.float32(weight) * decided(trust, *(d / np.float32(255) for d in (y, u, v)))
    worn = share * np.minimum(factor * cv2.magnitude(*cv2.split(flow)), 1)
    ratio = np.sqrt((fresh + NOISE) / (old + NOISE)) * (1 + (1 - weight) / 2 * change / (fresh + NOISE))
    contrast = ratio.clip(1 - STEP, 1 + STEP)
    wanted = [(share, contrast, LIFT * y, worn)]
    wanted += [(share, np.ones_like(share), LIFT * plane, np.zeros_like(share)) for plane in (u, v)]
    assert (out.shape, out.dtype) == ((3, *size[::-1], len(DECIDED)), np.float32)
    np.testing.assert_allclose(np.moveaxis(out, 3, 1), wanted, atol=1e-4)


def test_trust_that_is_no_number_is_none_and_so_is_wear(cupy: Any) -> None:
    maps, trust = maps_of((5, 1)), np.float32([[np.nan, 0, 0.25, 1, 1]])
    maps[:3] = 0
    flow = np.float32([[(np.nan, 0), (3, np.inf), (9, 9), (0, 0), (0.1, 0)]])
    share, worn = decided_by(cupy, maps, flow, trust, 0.5)[0, ..., [0, 3]]
    assert share.tolist() == [[0, 0, 0, 0.5, 0.5]]
    np.testing.assert_allclose(worn, [[0, 0, 0, 0, 0.2]], atol=1e-6)


def test_the_weight_is_read_when_the_kernel_runs(cupy: Any) -> None:
    """As in a captured graph, which keeps the addresses."""
    given = maps_of((9, 5)), wandering((9, 5)), np.ones((5, 9), np.float32), np.float32([1])
    maps, flow, trust, weight = map(cupy.asarray, given)
    out = decide(maps, flow, trust, weight, 4)
    whole = out.get()[..., 0]
    weight.set(np.float32([0.5]))
    decide(maps, flow, trust, weight, 4, out=out)
    np.testing.assert_allclose(out.get()[..., 0], whole / 2, atol=1e-7)


# ---- together ----


@pytest.mark.parametrize("weight", [0.6, 0.97])
@pytest.mark.parametrize("factor", [1, 2, 4])
def test_the_gain_is_the_references(cupy: Any, factor: int, weight: float) -> None:
    small, size = (40, 30), (40 * factor, 30 * factor)
    luma, other = (cv2.GaussianBlur(picture(size, seed, np.float32)[0], None, 2) * 4 - 370 for seed in (0, 1))
    old_luma, chroma = 0.97 * luma + 0.03 * other, picture(size, 2, np.float32)[1]
    new, history = (tuple(map(cupy.asarray, (plane, chroma))) for plane in (luma, old_luma))
    maps = smooth(compare(new, history, factor)).get()
    out = decided_by(cupy, maps, wandering(small), np.ones((30, 40), np.float32), weight, factor)[0, ..., 1]
    wanted = gain(detail(luma), detail(old_luma), weight, small)
    assert (abs(wanted - 1) < 0.99 * STEP).mean() > 0.2, "not all at the limits"
    np.testing.assert_allclose(out, wanted, atol=1e-5)


# ---- the wrappers ----


def test_one_launch_each_on_the_given_stream_and_no_allocation(emulated: FakeCupy) -> None:
    new, history = (tuple(map(emulated.asarray, picture((128, 64), 0, dtype))) for dtype in (np.uint8, np.float32))
    flow, trust, weight = (emulated.zeros(shape, np.float32) for shape in ((16, 32, 2), (16, 32), (1,)))
    a, b = (emulated.empty((6, 16, 32), np.float32) for _ in range(2))
    out, stream = emulated.empty((3, 16, 32, 4), np.float32), FakeStream()
    with emulated.no_allocation():
        assert compare(new, history, 4, out=a, stream=stream) is a
        assert smooth(a, out=b, stream=stream) is b
        assert decide(b, flow, trust, weight, 4, out=out, stream=stream) is out
    assert emulated.launches == [
        ("compare<unsigned char>", (3, 3), (64, 4), stream),
        ("smooth", (1, 1, 6), (32, 8), stream),
        ("decide", (2,), (256,), stream),
    ]


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        ({"luma": ((16, 33), np.uint8)}, ValueError, "new luma must be even, and 1, 2 or 4 times as large as a map"),
        ({"luma": ((18, 32), np.uint8)}, ValueError, "new luma must be even, and 1, 2 or 4 times as large as a map"),
        ({"luma": ((16, 32), np.uint16)}, TypeError, "new luma must be uint8 or float16 or float32"),
        ({"chroma": ((2, 8, 15), np.uint8)}, ValueError, r"new chroma must have the shape \(2, 8, 16\)"),
        ({"chroma": ((2, 8, 16), np.float32)}, TypeError, "new chroma must be uint8"),
        ({"old luma": ((16, 32), np.uint8)}, TypeError, "history luma must be float32"),
        ({"old luma": ((16, 34), np.float32)}, ValueError, r"history luma must have the shape \(16, 32\)"),
        ({"old chroma": ((3, 8, 16), np.float32)}, ValueError, r"history chroma must have the shape \(2, 8, 16\)"),
        ({"out": ((6, 4, 9), np.float32)}, ValueError, r"out must have the shape \(6, 4, 8\)"),
    ],
)
def test_pictures_that_do_not_fit_are_named(emulated: FakeCupy, change: Any, error: Any, told: str) -> None:
    likes: Any = {"luma": ((16, 32), np.uint8), "chroma": ((2, 8, 16), np.uint8)}
    likes |= {f"old {name}": (shape, np.float32) for name, (shape, _) in likes.items()}
    likes |= {"out": ((6, 4, 8), np.float32)} | change
    given = {name: emulated.zeros(*like) for name, like in likes.items()}
    with pytest.raises(error, match=told):
        compare((given["luma"], given["chroma"]), (given["old luma"], given["old chroma"]), 4, out=given["out"])
    assert emulated.launches == []


@pytest.mark.parametrize("factor", [0, 3, 8])
def test_a_factor_that_blocks_cannot_have_is_told(emulated: FakeCupy, factor: int) -> None:
    new, history = (tuple(map(emulated.asarray, picture((48, 24), 0, dtype))) for dtype in (np.uint8, np.float32))
    with pytest.raises(ValueError, match="1, 2 or 4 times as large"):
        compare(new, history, factor)


def test_maps_that_do_not_fit_are_named(emulated: FakeCupy) -> None:
    shapes = (6, 4, 8), (4, 8, 2), (4, 8), (1,)
    maps, flow, trust, weight = (emulated.zeros(shape, np.float32) for shape in shapes)
    with pytest.raises(ValueError, match=r"maps must have the shape \(6, any, any\)"):
        smooth(maps[:5])
    with pytest.raises(ValueError, match=r"maps must have the shape \(6, any, any\)"):
        decide(maps[:5], flow, trust, weight, 4)
    with pytest.raises(ValueError, match=r"trust must have the shape \(4, 8\)"):
        decide(maps, flow, flow, weight, 4)
    with pytest.raises(ValueError, match=r"flow must have the shape \(4, 8, 2\)"):
        decide(maps, trust, trust, weight, 4)
    with pytest.raises(TypeError, match="weight must be a CuPy array"):
        decide(maps, flow, trust, 0.5, 4)  # type: ignore[arg-type]
    assert emulated.launches == []
