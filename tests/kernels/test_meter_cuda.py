"""The kernels of the meters against exact sums and the references.

Tolerances: sums in float32 by blocks are within 1e-5, a hundred roundings.  OpenCV 4 samples at positions rounded to
1/32 of a pixel, so its flicker of a picture may differ by 2 %.
"""

from typing import Any

import cv2
import numpy as np
import pytest

from allaprima.kernels.meter import FLICKER_PART, HEALTH_PART, Flicker, Health
from allaprima.kernels.reference import meter as reference
from allaprima.kernels.reference.confidence import confidence, identity_grid
from allaprima.kernels.reference.flow import Dis
from allaprima.kernels.reference.meter import LEAST_SEEN, LEAST_TRUST
from allaprima.kernels.reference.warp import exact
from allaprima.realtime.sources.scenes import open_scene

from .fake_cupy import FakeCupy, FakeStream

SIZES = [(1, 1), (1, 9), (7, 1), (33, 31), (45, 37), (64, 48)]


@pytest.fixture(params=["float16", "float32", "uint8"])
def dtype(request: pytest.FixtureRequest) -> Any:
    return np.dtype(request.param)


# ---- flicker ----


def pictures_of(size: tuple[int, int], dtype: Any, seed: int = 0) -> tuple[Any, ...]:
    """Two pictures, a flow and a confidence."""
    rng, shape = np.random.default_rng(seed), size[::-1]
    previous, current = (rng.uniform(0, 255, shape).astype(dtype) for _ in range(2))
    flow = rng.uniform(-4, 4, (*shape, 2)).astype(np.float32)
    return previous, current, flow, rng.random(shape).astype(np.float32)


def exact_flicker(previous: Any, current: Any, flow: Any, trust: Any) -> Any:
    """As `Flicker` gives it, in float64."""
    where = identity_grid(current.shape[::-1]) + flow
    change = (current.astype(np.float64) - exact(previous, where))[trust >= LEAST_TRUST]
    few = change.size / trust.size < LEAST_SEEN
    squares = np.square(change).sum()
    return [squares, change.size, np.nan if few else squares / change.size / 255**2]


@pytest.mark.parametrize("size", SIZES)
def test_flicker_of_any_size_and_dtype(cupy: Any, size: tuple[int, int], dtype: Any) -> None:
    given = pictures_of(size, dtype)
    out = Flicker(size)(*(cupy.asarray(array) for array in given)).get()
    assert (out.shape, out.dtype) == ((3,), np.float32)
    np.testing.assert_allclose(out, exact_flicker(*given), rtol=1e-5)


def test_flicker_is_that_of_the_engine(cupy: Any) -> None:
    size = (160, 90)
    scene = open_scene("landscape", size)
    frames = [cv2.cvtColor(scene.frame(i), cv2.COLOR_RGB2GRAY) for i in (10, 14)]
    backward, forward = Dis(size)(*frames)
    assert np.abs(backward).max() > 1
    trust = confidence(backward, forward, *frames)
    given = [cupy.asarray(array) for array in (*frames, backward, trust)]
    out = Flicker(size)(*given).get()
    before, now = (frame.astype(np.float32) for frame in frames)
    assert out[2] == pytest.approx(reference.flicker(before, now, identity_grid(size) + backward, trust), rel=0.02)
    assert out[1] == (trust >= LEAST_TRUST).sum()


def test_flicker_of_more_parts_than_a_block_has_threads(cupy: Any) -> None:
    size = (257, FLICKER_PART)
    given = pictures_of(size, np.uint8)
    given[3][-8:] = 1
    out = Flicker(size)(*(cupy.asarray(array) for array in given)).get()
    np.testing.assert_allclose(out, exact_flicker(*given), rtol=1e-5)


def test_what_moves_with_the_picture_does_not_flicker(cupy: Any) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (30, 40), np.uint8)
    moved, flow, trust = np.roll(picture, 3, 1), np.zeros((30, 40, 2), np.float32), np.ones((30, 40), np.float32)
    flow[..., 0], trust[:, :3] = -3, 0
    arrays = [cupy.asarray(array) for array in (picture, moved, flow, trust)]
    np.testing.assert_array_equal(Flicker((40, 30))(*arrays).get(), [0, 30 * 37, 0])


@pytest.mark.parametrize("size", [(40, 30), (7, 10), (30, 1), (45, 37)])
@pytest.mark.parametrize("missing", [0, 1])
def test_too_little_that_can_be_compared_gives_no_figure(cupy: Any, size: tuple[int, int], missing: int) -> None:
    """A tenth is enough, as in the reference; where it is a whole number, exactly a tenth."""
    previous, current, flow, trust = pictures_of(size, np.float32)
    trust[:] = np.nextafter(np.float32(LEAST_TRUST), np.float32(0))
    trust.flat[: -(-trust.size // 10) - missing] = LEAST_TRUST
    out = Flicker(size)(*(cupy.asarray(array) for array in (previous, current, flow, trust))).get()
    expected = reference.flicker(previous, current, identity_grid(size) + flow, trust)
    assert (expected is None) == np.isnan(out[2]) == bool(missing)


def test_a_flow_that_is_no_number_reads_nothing_outside(cupy: Any) -> None:
    previous, current, flow, trust = pictures_of((20, 20), np.float32)
    trust[:] = 1
    flow[::2], flow[1, :, 0], flow[3] = np.nan, np.inf, 1e30
    out = Flicker((20, 20))(*(cupy.asarray(array) for array in (previous, current, flow, trust))).get()
    assert out[1] == 400
    assert np.isfinite(out[2])


def test_a_confidence_that_is_no_number_is_none(cupy: Any) -> None:
    previous, current, flow, trust = pictures_of((20, 20), np.float32)
    trust[:], trust[:5] = 1, np.nan
    out = Flicker((20, 20))(*(cupy.asarray(array) for array in (previous, current, flow, trust))).get()
    assert out[1] == 300


def test_flicker_gives_the_same_bits_every_time(cupy: Any) -> None:
    given = [cupy.asarray(array) for array in pictures_of((90, 61), np.float16)]
    meter = Flicker((90, 61))
    first = meter(*given).get()
    for _ in range(3):
        np.testing.assert_array_equal(meter(*given).get().view(np.uint32), first.view(np.uint32))


# ---- health ----


def picture_of(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> Any:
    values = np.random.default_rng(seed).random(shape)
    return (values * (255 if dtype == np.uint8 else 1)).astype(dtype)


def assert_health(out: Any, picture: Any, previous: Any = None) -> None:
    expected = reference.health(picture, previous)
    assert (out.shape, out.dtype) == (expected.shape, np.float32)
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 9), (3, 7, 1), (3, 45, 37), (1, 64, 64), (2, 63, 131)])
def test_health_of_any_shape_and_dtype(cupy: Any, shape: Any, dtype: Any) -> None:
    picture, previous = picture_of(shape, dtype), picture_of(shape, dtype, 1)
    meter = Health(shape)
    assert_health(meter(cupy.asarray(picture)).get(), picture)
    assert_health(meter(cupy.asarray(picture), cupy.asarray(previous)).get(), picture, previous)


def test_what_is_not_finite_is_counted_and_left_out(cupy: Any) -> None:
    for dtype in (np.float16, np.float32):
        picture, previous = (picture_of((3, 70, 80), dtype, seed) for seed in range(2))
        rng = np.random.default_rng(2)
        picture[1].flat[rng.choice(5600, 900, replace=False)] = rng.choice([np.nan, np.inf, -np.inf], 900)
        picture[0, 0, 0], picture[2] = np.nan, np.inf  # the plane's origin, and all of a plane
        previous[1].flat[rng.choice(5600, 300, replace=False)] = np.nan
        previous[2] = np.inf
        out = Health(picture.shape)(cupy.asarray(picture), cupy.asarray(previous)).get()
        assert_health(out, picture, previous)
        assert np.isnan(out[2, :4]).all()


def test_a_whole_part_that_is_not_finite(cupy: Any) -> None:
    picture = picture_of((1, 3, 4096), np.float32)
    picture[0, 1] = np.nan
    assert_health(Health(picture.shape)(cupy.asarray(picture)).get(), picture)


def test_health_of_more_parts_than_a_block_has_threads(cupy: Any) -> None:
    picture, previous = (picture_of((1, 257, HEALTH_PART), np.uint8, seed) for seed in range(2))
    picture[0, 256], previous[0, 256] = 250, 5
    picture[0, 256, 7:9] = 0, 255
    assert_health(Health(picture.shape)(cupy.asarray(picture), cupy.asarray(previous)).get(), picture, previous)


def test_a_bright_even_picture_has_no_variance(cupy: Any, dtype: Any) -> None:
    picture = np.full((1, 90, 91), 203, dtype)
    np.testing.assert_array_equal(Health(picture.shape)(cupy.asarray(picture)).get()[0, :5], [203, 203, 203, 0, 0])
    picture[0, 80, 70] = 204
    variance = Health(picture.shape)(cupy.asarray(picture)).get()[0, 3]
    assert variance == pytest.approx(1 / 8190 - 1 / 8190**2, rel=1e-4)


def test_one_changed_byte_is_seen(cupy: Any) -> None:
    picture = picture_of((1, 90, 91), np.uint8)
    other = picture.copy()
    other[0, 89, 90] ^= 1
    given, changed = cupy.asarray(picture), cupy.asarray(other)
    meter = Health(picture.shape)
    assert reference.faults(meter(given, given).get()) == ("frozen",)
    assert reference.faults(meter(given, changed).get()) == ()


def test_health_gives_the_same_bits_every_time(cupy: Any, dtype: Any) -> None:
    picture = cupy.asarray(picture_of((2, 90, 101), dtype))
    meter = Health((2, 90, 101))
    first = meter(picture, picture).get()
    for _ in range(3):
        np.testing.assert_array_equal(meter(picture, picture).get().view(np.uint32), first.view(np.uint32))


# ---- how they are called ----


def test_launches_streams_and_memory(emulated: FakeCupy) -> None:
    stream, luma, shape = FakeStream(), emulated.zeros((48, 64), np.uint8), (3, 70, 80)
    flow, trust = emulated.zeros((48, 64, 2), np.float32), emulated.ones((48, 64), np.float32)
    picture, figures, result = (emulated.zeros(s, np.float32) for s in (shape, (3, 6), (3,)))
    flicker, health = Flicker((64, 48)), Health(shape)
    with emulated.no_allocation():
        flicker(luma, luma, flow, trust, out=result, stream=stream)
        health(picture, picture, out=figures, stream=stream)
    assert emulated.launches == [
        ("part_flicker<unsigned char>", (3,), (256,), stream),
        ("finish_flicker", (1,), (256,), stream),
        ("part_health<float>", (2, 3), (256,), stream),
        ("finish_health", (3,), (256,), stream),
    ]


def test_arrays_that_do_not_fit_are_told(emulated: FakeCupy) -> None:
    luma, flow, trust = (emulated.zeros(shape, np.float32) for shape in ((4, 5), (4, 5, 2), (4, 5)))
    flicker, health = Flicker((5, 4)), Health((1, 4, 5))
    with pytest.raises(ValueError, match=r"previous must have the shape \(4, 5\)"):
        flicker(emulated.zeros((5, 4), np.float32), luma, flow, trust)
    with pytest.raises(TypeError, match="current must be float32, not uint8"):
        flicker(luma, emulated.zeros((4, 5), np.uint8), flow, trust)
    with pytest.raises(ValueError, match=r"flow must have the shape \(4, 5, 2\)"):
        flicker(luma, luma, trust, trust)
    with pytest.raises(TypeError, match="confidence must be float32"):
        flicker(luma, luma, flow, emulated.zeros((4, 5), np.float16))
    with pytest.raises(ValueError, match=r"out must have the shape \(3\)"):
        flicker(luma, luma, flow, trust, out=trust)
    with pytest.raises(TypeError, match="picture must be float16 or float32 or uint8"):
        health(emulated.zeros((1, 4, 5), np.uint16))
    with pytest.raises(TypeError, match="previous must be float32"):
        health(luma.reshape(1, 4, 5), emulated.zeros((1, 4, 5), np.uint8))
    with pytest.raises(ValueError, match=r"out must have the shape \(1, 6\)"):
        health(luma.reshape(1, 4, 5), out=luma)
