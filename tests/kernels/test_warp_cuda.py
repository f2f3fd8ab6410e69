"""The warp's kernels against the exact reference, OpenCV and the CPU backend.

Tolerances: float32 within 2e-6 of full scale, some ten roundings of 6e-8; float16 within half a unit of its
last place (2^-11 of the value) more, since it is rounded once, when it is stored; bytes within half a byte.
"""

from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import pytest

from allaprima.kernels.reference import warp as reference
from allaprima.kernels.reference.confidence import identity_grid
from allaprima.kernels.reference.flow import Dis
from allaprima.kernels.warp import INTERPOLATION, warp, warp_along
from allaprima.realtime.sources.scenes import open_scene

from .fake_cupy import FakeCupy, FakeStream

SIZES = [(1, 1), (1, 9), (7, 1), (32, 8), (33, 9), (64, 24), (45, 37)]


@pytest.fixture(params=INTERPOLATION)
def how(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["float16", "float32", "uint8"])
def dtype(request: pytest.FixtureRequest) -> Any:
    return np.dtype(request.param)


def planes_of(shape: tuple[int, ...], dtype: Any, seed: int = 0) -> Any:
    values = np.random.default_rng(seed).random(shape)
    return (values * (255 if dtype == np.uint8 else 1)).astype(dtype)


def moved(size: tuple[int, int], far: float, seed: int = 1) -> Any:
    """Positions about each pixel of a picture ``(w, h)``."""
    jitter = np.random.default_rng(seed).uniform(-far, far, (size[1], size[0], 2))
    return (identity_grid(size) + jitter).astype(np.float32)


def assert_close(out: Any, exact: Any) -> None:
    if out.dtype == np.uint8:
        assert np.abs(out - np.clip(exact, 0, 255)).max() <= 0.5 + 1e-3
    else:
        np.testing.assert_allclose(out, exact, atol=2e-6, rtol=2**-11 if out.dtype == np.float16 else 0)


# ---- at given positions ----


@pytest.mark.parametrize("size", SIZES)
def test_any_size_and_dtype_equals_the_exact_sampler(cupy: Any, size: Any, dtype: Any, how: str) -> None:
    planes, where = planes_of((3, size[1], size[0]), dtype), moved(size, 6)
    out = warp(cupy.asarray(planes), cupy.asarray(where), how).get()
    assert (out.shape, out.dtype) == (planes.shape, planes.dtype)
    assert_close(out, reference.exact(planes, where, how))


def test_one_plane_and_a_map_of_another_size(cupy: Any, dtype: Any, how: str) -> None:
    planes, where = planes_of((21, 30), dtype), moved((50, 13), 3)
    out = warp(cupy.asarray(planes), cupy.asarray(where), how).get()
    assert out.shape == (13, 50)
    assert_close(out, reference.exact(planes, where, how))


def test_many_channels(cupy: Any, dtype: Any) -> None:
    planes, where = planes_of((48, 9, 17), dtype), moved((17, 9), 2)
    assert_close(warp(cupy.asarray(planes), cupy.asarray(where)).get(), reference.exact(planes, where))


def test_planes_may_lie_anywhere_in_memory(cupy: Any, dtype: Any, how: str) -> None:
    """A plane of an array with odd planes does not begin where a vector could be loaded."""
    planes, where = planes_of((3, 5, 7), dtype), moved((7, 5), 2)
    many = cupy.asarray(planes)
    assert_close(warp(many[1], cupy.asarray(where), how).get(), reference.exact(planes[1], where, how))


def test_no_motion_is_the_picture_itself(cupy: Any, dtype: Any, how: str) -> None:
    planes = planes_of((2, 24, 32), dtype)
    np.testing.assert_array_equal(warp(cupy.asarray(planes), cupy.asarray(moved((32, 24), 0)), how).get(), planes)


@pytest.mark.parametrize("far", [1e3, 1e9, 3e38])
def test_far_away_is_the_border(cupy: Any, dtype: Any, how: str, far: float) -> None:
    planes = planes_of((24, 33), dtype)
    corners = np.float32([[(-far, -far), (far, -far), (-far, far), (far, far)]])
    out = warp(cupy.asarray(planes), cupy.asarray(corners), how).get()
    np.testing.assert_array_equal(out, [planes[[0, 0, -1, -1], [0, -1, 0, -1]]])


def test_positions_that_are_not_numbers_stay_inside(cupy: Any, dtype: Any, how: str) -> None:
    planes = planes_of((24, 33), dtype)
    nan, inf = np.nan, np.inf
    where = np.float32([[(nan, nan), (nan, 5), (inf, -inf), (-inf, inf), (4, nan)]])
    out = warp(cupy.asarray(planes), cupy.asarray(where), how).get()
    np.testing.assert_array_equal(out, [planes[[0, 5, 0, -1, 0], [0, 0, -1, 0, 4]]])


@pytest.mark.parametrize("how", reference.INTERPOLATION)
def test_it_is_opencvs(cupy: Any, how: str) -> None:
    """OpenCV 5 samples exactly; 4 takes the nearest 1/32 of a pixel, at most 1/64 off in each direction."""
    smooth = cv2.GaussianBlur(planes_of((60, 80), np.dtype(np.float32)) * 255, None, 2)
    where = moved((80, 60), 4)
    steepest = sum(np.abs(np.diff(smooth, axis=axis)).max() for axis in (0, 1))
    tolerance = 1e-4 if int(cv2.__version__.split(".")[0]) >= 5 else steepest / 64 * 1.5
    out = warp(cupy.asarray(smooth), cupy.asarray(where), how).get()
    np.testing.assert_allclose(out, reference.warp(smooth, where, how), atol=tolerance)


def test_bytes_are_opencvs_to_a_step(cupy: Any) -> None:
    planes, where = planes_of((60, 80), np.dtype(np.uint8)), moved((80, 60), 0.5)
    where = np.rint(where * 32) / 32  # where OpenCV 4 is exact, too
    for how in reference.INTERPOLATION:
        out = warp(cupy.asarray(planes), cupy.asarray(where), how).get().astype(int)
        assert np.abs(out - reference.warp(planes, where, how)).max() <= 1


# ---- along the flow of a small picture ----

LARGE_AND_SMALL = [
    ((1, 1), (1, 1)),
    ((64, 40), (16, 10)),
    ((65, 43), (16, 10)),
    ((70, 36), (70, 36)),
    ((9, 50), (2, 12)),
]


@pytest.mark.parametrize(("large", "small"), LARGE_AND_SMALL)
def test_the_flow_is_enlarged_on_the_way(cupy: Any, large: Any, small: Any, dtype: Any, how: str) -> None:
    """Positions are within 1e-4 pixels; the planes' steps are up to 1, so that is the tolerance of the values."""
    planes = planes_of((2, large[1], large[0]), dtype)
    flow = np.random.default_rng(2).uniform(-3, 3, (small[1], small[0], 2)).astype(np.float32)
    out = warp_along(cupy.asarray(planes), cupy.asarray(flow), how).get()
    exact = reference.exact(planes, reference.positions(flow, large), how)
    if dtype == np.uint8:
        assert np.abs(out - np.clip(exact, 0, 255)).max() <= 0.5 + 0.05
    else:
        np.testing.assert_allclose(out, exact, atol=2e-4, rtol=2**-11)


def test_the_cpu_engine_fetches_the_same(cupy: Any) -> None:
    plane = planes_of((96, 160), np.float32)
    flow = np.zeros((24, 40, 2), np.float32)
    flow[4:9, 20:30] = np.random.default_rng(3).uniform(-2, 2, (5, 10, 2))
    out = warp_along(cupy.asarray(plane), cupy.asarray(flow), "bicubic").get()
    theirs = reference.warp_along(plane, flow, "bicubic")
    np.testing.assert_allclose(out, theirs, atol=2e-2)


def test_a_flow_that_is_not_a_number_stays_inside(cupy: Any, dtype: Any, how: str) -> None:
    planes = planes_of((24, 32), dtype)
    flow = np.zeros((6, 8, 2), np.float32)
    flow[2:4, 2:4], flow[5, 7], flow[0, 7] = np.nan, np.inf, -1e38
    out = warp_along(cupy.asarray(planes), cupy.asarray(flow), how).get()
    assert np.isfinite(out).all()
    undisturbed = np.s_[2:22, 18:26]  # neither near the wild vectors nor within half a small pixel of the edge
    np.testing.assert_array_equal(out[undisturbed], planes[undisturbed])


def test_real_pictures_along_their_flow(cupy: Any, how: str) -> None:
    scene = open_scene("landscape", (320, 180), Fraction(30))
    before, now = (cv2.cvtColor(scene.frame(i), cv2.COLOR_RGB2GRAY) for i in (10, 13))
    small = [cv2.resize(picture, (80, 45), interpolation=cv2.INTER_AREA) for picture in (before, now)]
    backward, _ = Dis((80, 45))(*small)
    exact = reference.exact(before, reference.positions(backward, (320, 180)), how)
    out = warp_along(cupy.asarray(before.astype(np.float16)), cupy.asarray(backward), how).get()
    np.testing.assert_allclose(out, exact, rtol=2**-11, atol=0.02)
    out = warp_along(cupy.asarray(before), cupy.asarray(backward), how).get()
    assert np.abs(out - np.clip(exact, 0, 255)).max() < 0.52
    still, along = (np.abs(picture - now.astype(np.float32)).mean() for picture in (before, out))
    assert along < still


# ---- the wrappers ----


def test_a_given_output_is_filled_and_nothing_is_allocated(emulated: FakeCupy, dtype: Any) -> None:
    planes, where = emulated.asarray(planes_of((3, 9, 33), dtype)), emulated.asarray(moved((33, 9), 1))
    flow, out, stream = emulated.zeros((3, 9, 2), np.float32), emulated.empty((3, 9, 33), dtype), FakeStream()
    with emulated.no_allocation():
        assert warp(planes, where, out=out, stream=stream) is out
        assert warp_along(planes, flow, "bicubic", out=out, stream=stream) is out
    assert [(one.grid, one.block, one.stream) for one in emulated.launches] == [((2, 2), (32, 8), stream)] * 2
    np.testing.assert_array_equal(out.get(), warp_along(planes, flow, "bicubic").get())


def test_what_does_not_fit_is_named(emulated: FakeCupy) -> None:
    planes, where = emulated.zeros((3, 9, 33), np.float32), emulated.zeros((9, 33, 2), np.float32)
    with pytest.raises(KeyError, match="lanczos"):
        warp(planes, where, "lanczos")
    with pytest.raises(TypeError, match="planes must be float16 or float32 or uint8, not float64"):
        warp(emulated.zeros((9, 33)), where)
    with pytest.raises(TypeError, match="where must be float32, not float16"):
        warp(planes, emulated.zeros((9, 33, 2), np.float16))
    with pytest.raises(ValueError, match=r"where must have the shape \(any, any, 2\), not \(9, 33, 3\)"):
        warp(planes, emulated.zeros((9, 33, 3), np.float32))
    with pytest.raises(ValueError, match=r"out must have the shape \(3, 9, 33\), not \(3, 9, 32\)"):
        warp(planes, where, out=emulated.zeros((3, 9, 32), np.float32))
    with pytest.raises(TypeError, match="out must be float32, not float16"):
        warp(planes, where, out=emulated.zeros((3, 9, 33), np.float16))
    assert emulated.launches == []
