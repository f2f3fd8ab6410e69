"""The whole search on the device against its reference, and against motion that is known.

Both begin each level where the one before has led, so differences add up: most pixels are within 1e-3, a few patches
whose trials cost nearly the same may have been led elsewhere (test_search_cuda).
"""

from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import pytest

from allaprima.kernels.flow import Dis
from allaprima.kernels.reference.dis import Dis as Reference
from allaprima.realtime.sources.scenes import open_scene

from .fake_cupy import FakeCupy
from .test_dis import BAR, landscape, pan
from .test_flow import noisy, scene

SIZE = (80, 56)
LAUNCHES = 16
"""Of pictures of that `SIZE`: two levels, of which the smaller fits into one region of the refinement."""


def pictures(motion: tuple[float, float]) -> tuple[Any, Any]:
    before, now = scene(0, 0), scene(*motion)
    return np.ascontiguousarray(before[:56, :80]), np.ascontiguousarray(now[:56, :80])


def found(cupy: Any, dis: Any, before: Any, now: Any) -> tuple[Any, Any]:
    backward, forward = dis(cupy.asarray(before), cupy.asarray(now))
    return backward.get(), forward.get()


@pytest.mark.parametrize("motion", [(3.25, -1.5), (-6, 4)])
def test_it_finds_what_the_reference_finds(cupy: Any, motion: tuple[float, float]) -> None:
    before, now = pictures(motion)
    for flow, wanted in zip(found(cupy, Dis(SIZE), before, now), Reference(SIZE)(before, now), strict=True):
        apart = np.linalg.norm(flow - wanted, axis=2)
        assert np.percentile(apart, 95) < 1e-3
        assert np.percentile(apart, 99) < 0.05


@pytest.mark.parametrize("motion", [(0.5, 0.25), (9, -7)])
def test_a_translation_is_found_both_ways(cupy: Any, motion: tuple[float, float]) -> None:
    backward, forward = found(cupy, Dis(SIZE), *pictures(motion))
    for error in (backward + np.float32(motion), forward - np.float32(motion)):
        assert np.median(np.linalg.norm(error[10:-10, 10:-10], axis=2)) < 0.1


@pytest.mark.parametrize("size", [(33, 47), (64, 32), (32, 32), (70, 35)])
def test_sizes_that_fit_no_block(cupy: Any, size: tuple[int, int]) -> None:
    before, now = (np.ascontiguousarray(scene(x, 0)[: size[1], : size[0]]) for x in (0, 2))
    for flow, wanted in zip(found(cupy, Dis(size), before, now), Reference(size)(before, now), strict=True):
        assert flow.shape == (size[1], size[0], 2)
        assert np.percentile(np.linalg.norm(flow - wanted, axis=2), 95) < 1e-3


@pytest.mark.parametrize("size", [(1, 1), (31, 40), (40, 3)])
def test_a_picture_too_small_stands_still(cupy: Any, size: tuple[int, int]) -> None:
    before, now = np.random.default_rng(0).integers(0, 255, (2, size[1], size[0]), np.uint8)
    for flow in found(cupy, Dis(size), before, now):
        np.testing.assert_array_equal(flow, np.zeros((size[1], size[0], 2), np.float32))


def test_equal_pictures_stand_exactly_still(cupy: Any) -> None:
    for picture in (pictures((0, 0))[0], np.full((56, 80), 90, np.uint8)):
        for flow in found(cupy, Dis(SIZE), picture, picture):
            assert not flow.any()


def test_a_noisy_still_wall_stands_exactly_still(cupy: Any) -> None:
    wall = np.full((56, 80), 90, np.uint8)
    assert not found(cupy, Dis(SIZE), noisy(wall, 1), noisy(wall, 2))[0].any()


def test_pictures_that_have_nothing_in_common_give_numbers(cupy: Any) -> None:
    before, now = np.random.default_rng(0).integers(0, 256, (2, 56, 80), np.uint8)
    for flow in found(cupy, Dis(SIZE), before, now):
        assert np.isfinite(flow).all()
        assert np.abs(flow).max() < 2 * 80


def test_a_fast_pan_is_found(cupy: Any) -> None:
    backward, _ = found(cupy, Dis(SIZE), *pan((-14, 9), SIZE))
    error = np.linalg.norm(backward + np.float32([-14, 9]), axis=2)
    assert np.median(error[17:-8, 8:-22]) < 0.1


def test_it_is_as_good_as_the_fast_setting_of_opencv(cupy: Any) -> None:
    size = (128, 72)
    motion, hidden = open_scene("landscape", size, Fraction(30)).motion(8)
    before, now = landscape(size, 7), landscape(size, 8)
    fast = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST).calc(now, before, None)
    backward, _ = found(cupy, Dis(size), before, now)
    error, bar = (np.linalg.norm(flow - motion, axis=2)[~hidden].mean() for flow in (backward, fast))
    assert error <= BAR * bar


def test_the_same_pictures_give_the_same_flow_whatever_was_seen_before(cupy: Any) -> None:
    used, fresh, (before, now) = Dis(SIZE), Dis(SIZE), pictures((3, 1))
    found(cupy, used, *np.random.default_rng(0).integers(0, 256, (2, 56, 80), np.uint8))
    for flow, wanted in zip(found(cupy, used, before, now), found(cupy, fresh, before, now), strict=True):
        np.testing.assert_array_equal(flow, wanted)


def test_a_warm_start_begins_with_the_last_flow_until_it_is_to_forget(cupy: Any) -> None:
    dis, reference = Dis(SIZE, warm=True), Reference(SIZE, warm=True)
    first, then = pan((-24, 0), SIZE), pan((-27, 0), SIZE)
    for before, now in (first, then):
        warm, wanted = found(cupy, dis, before, now)[0], reference(before, now)[0]
        assert np.median(np.linalg.norm(warm - wanted, axis=2)) < 1e-3
    anew, _ = found(cupy, Dis(SIZE, warm=True), *then)
    assert (anew != warm).any()
    dis.forget()
    np.testing.assert_array_equal(found(cupy, dis, *then)[0], anew)


def test_every_call_launches_the_same_and_allocates_nothing(emulated: FakeCupy) -> None:
    dis, stream = Dis(SIZE), emulated.cuda.Stream()
    a, b = (emulated.asarray(picture) for picture in pictures((3, 1)))
    out = (emulated.empty((56, 80, 2), np.float32), emulated.empty((56, 80, 2), np.float32))
    runs = []
    for before, now in ((a, b), (b, b)):
        emulated.launches.clear()
        with emulated.no_allocation():
            assert dis(before, now, out=out, stream=stream) == out
        runs.append(list(emulated.launches))
    assert runs[0] == runs[1]
    assert len(runs[0]) == LAUNCHES
    assert {launch.stream for launch in runs[0]} == {stream}


def test_what_does_not_fit_is_refused(emulated: FakeCupy) -> None:
    dis, a = Dis(SIZE), emulated.zeros((56, 80), np.uint8)
    with pytest.raises(ValueError, match="previous"):
        dis(emulated.zeros((80, 56), np.uint8), a)
    with pytest.raises(TypeError, match="current"):
        dis(a, emulated.zeros((56, 80), np.float32))
    with pytest.raises(ValueError, match="out"):
        dis(a, a, out=(emulated.zeros((56, 80, 2), np.float32), emulated.zeros((56, 80), np.float32)))
