"""The kernels of the search against the reference.

A patch adds up 64 squares in another order than NumPy, so costs differ by some 1e-6 of themselves, and motions by
1e-3 of a pixel at most; where two trials cost the same but for that, the other one may be taken, so one patch in a
hundred may differ, and one more.  A pixel's flow is weighted by the gray level that each motion of up to 15 pixels
leads to; where that lies is known to 4e-6 of a pixel, which a step of 50 gray levels makes 2e-4 of a weight of 1.
"""

from typing import Any

import cv2
import numpy as np
import pytest

from allaprima.kernels.pyramid import Level
from allaprima.kernels.reference import search as reference
from allaprima.kernels.reference.pyramid import pyramid
from allaprima.kernels.search import densify, grid, propagate, search, search_widely

from .fake_cupy import FakeCupy
from .test_search import textured

SIZES = [(1, 1), (3, 20), (8, 8), (9, 13), (41, 35)]


def random_level(size: tuple[int, int], seed: int = 0) -> Any:
    noise = np.random.default_rng(seed).normal(127, 200, (2, size[1], size[0]))
    a, b = (cv2.GaussianBlur(picture, None, 1.5).clip(0, 255).astype(np.uint8) for picture in noise)
    return pyramid(a, b, 1)[0]


def random_flow(size: tuple[int, int], seed: int = 1) -> Any:
    return np.random.default_rng(seed).normal(0, 4, (2, size[1], size[0], 2)).astype(np.float32)


def on_device(cupy: Any, level: Any) -> Level:
    return Level(*(cupy.asarray(part) for part in level))


def assert_same_motion(found: Any, wanted: Any) -> None:
    assert found.shape == wanted.shape
    apart = np.linalg.norm(found.get() - wanted, axis=-1)
    assert (apart > 1e-3).sum() <= 1 + 0.01 * apart.size


@pytest.mark.parametrize("size", SIZES)
def test_searches_of_any_size(cupy: Any, size: tuple[int, int]) -> None:
    level, coarse, last = random_level(size), random_flow((3, 2)), random_flow((2 * size[0], 2 * size[1]))
    there, a, b = on_device(cupy, level), cupy.asarray(coarse), cupy.asarray(last)
    assert_same_motion(search_widely(there), reference.search_widely(level))
    assert_same_motion(search(there, a), reference.search(level, coarse))
    assert_same_motion(search(there, a, b, 2), reference.search(level, coarse, last, 2))


@pytest.mark.parametrize("motion", [(0.5, -0.25), (7, 4)])
def test_searches_of_a_texture(cupy: Any, motion: tuple[float, float]) -> None:
    level = textured(motion)
    there = on_device(cupy, level)
    found = search_widely(there)
    assert_same_motion(found, reference.search_widely(level))
    assert_same_motion(propagate(there, found), reference.propagate(level, found.get()))


@pytest.mark.parametrize("size", SIZES)
def test_propagation_and_flow_of_any_size(cupy: Any, size: tuple[int, int]) -> None:
    level, motion = random_level(size), random_flow(grid(size)[::-1])
    there, known = on_device(cupy, level), cupy.asarray(motion)
    assert_same_motion(propagate(there, known), reference.propagate(level, motion))
    np.testing.assert_allclose(densify(there, known).get(), reference.densify(level, motion), atol=5e-4)


def test_nothing_that_is_said_leads_out_of_bounds(cupy: Any) -> None:
    level = on_device(cupy, random_level((20, 12)))
    for wild in (1e30, -1e30, np.inf, np.nan):
        flow = cupy.full((2, 6, 10, 2), wild, np.float32)
        assert np.isfinite(search(level, flow, flow, 2).get()).all()
        patches = cupy.full((2, *grid((20, 12)), 2), wild, np.float32)
        assert np.isfinite(propagate(level, patches).get()).all()
        densify(level, patches)


def test_nothing_is_allocated(emulated: FakeCupy) -> None:
    level, flow = on_device(emulated, random_level((20, 12))), emulated.asarray(random_flow((10, 6)))
    motion, other = (emulated.empty((2, 2, 4, 2), np.float32) for _ in range(2))
    dense = emulated.empty((2, 12, 20, 2), np.float32)
    with emulated.no_allocation():
        search_widely(level, out=motion)
        search(level, flow, out=motion)
        propagate(level, motion, out=other)
        densify(level, other, out=dense)
    assert [launch.grid for launch in emulated.launches] == [(1, 1, 2)] * 3 + [(1, 3, 2)]


def test_what_does_not_fit_is_refused(emulated: FakeCupy) -> None:
    level = on_device(emulated, random_level((20, 12)))
    with pytest.raises(ValueError, match="scale"):
        search(level, emulated.zeros((2, 6, 10, 2), np.float32), emulated.zeros((2, 12, 20, 2), np.float32), 0)
    with pytest.raises(ValueError, match="motion"):
        propagate(level, emulated.zeros((2, 12, 20, 2), np.float32))
    with pytest.raises(ValueError, match=r"level\.gradient"):
        search_widely(Level(level.gray, emulated.zeros((2, 12, 21, 2), np.float32)))
