"""The kernels of rest against the reference.

What decides is a variance of 0.05.  The kernels have it to 1e-5 of itself, and 1e-3 of a motion's length is allowed
where little differs.  The reference subtracts mean squares in float32: beside differences of 30 gray levels, 1e3
squared and known to 1e-4, 0.02 is allowed, and after a step of 100 gray levels 0.1.  Motions are whole 32nds of a
pixel, by which OpenCV 4 moves pictures, too.
"""

from typing import Any

import cv2
import numpy as np
import pytest

from allaprima.kernels.reference import rest as reference
from allaprima.kernels.rest import rest

from .fake_cupy import FakeCupy
from .test_flow import noisy, scene
from .test_rest import both
from .test_search_cuda import random_flow


def compared(cupy: Any, flow: Any, previous: Any, current: Any, tolerance: float = 0.02) -> Any:
    backward, forward = (half.get() for half in rest(cupy.asarray(flow), cupy.asarray(previous), cupy.asarray(current)))
    wanted, _ = reference.rest(flow, previous, current)
    np.testing.assert_allclose(backward, wanted, atol=tolerance * max(1, np.abs(flow).max()))
    np.testing.assert_array_equal(forward, flow[1])
    return backward


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (20, 1), (15, 17), (33, 49), (70, 18)])
def test_flows_of_any_size(cupy: Any, size: tuple[int, int]) -> None:
    noise = np.random.default_rng(4).normal(127, 60, (2, size[1], size[0]))
    a, b = (cv2.GaussianBlur(picture, None, 1).clip(0, 255).astype(np.uint8) for picture in noise)
    compared(cupy, np.rint(random_flow(size) * 32) / 32, a, b)


@pytest.mark.parametrize("size", [(15, 17), (33, 49), (70, 18)])
def test_half_a_motion_where_it_is_not_sure(cupy: Any, size: tuple[int, int]) -> None:
    """A texture so faint that it decides neither way: squares are small, and all that the windows see counts."""
    width, height = size
    faint = np.random.default_rng(6).integers(100, 103, (height, width + 3), np.uint8)
    flow = np.broadcast_to(np.float32([-3, 0]), (2, height, width, 2)).copy()
    before, now = np.ascontiguousarray(faint[:, 3:]), np.ascontiguousarray(faint[:, :-3])
    found = compared(cupy, flow, before, now, tolerance=1e-3)
    assert ((found[..., 0] < -0.1) & (found[..., 0] > -2.9)).mean() > 0.1


@pytest.mark.parametrize("light", [0, 100])
def test_a_motion_beside_a_still_wall(cupy: Any, light: int) -> None:
    before, now = (noisy(scene(0, 0), seed) // 2 for seed in (1, 2))
    before[:, 90:], now[:, 90:] = scene(0, 0)[:, 90:] // 2, scene(2, 0)[:, 90:] // 2
    found = compared(cupy, both((2, 0)), before, now + np.uint8(light), tolerance=0.1 if light else 0.02)
    assert not found[:, :60].any()
    assert (found[20:-20, 120:-20] == (-2, 0)).all()


def test_wild_motion_reads_nothing_out_of_bounds(cupy: Any) -> None:
    a, b = (cupy.asarray(scene(motion, 0)[:12, :20].copy()) for motion in (0, 2))
    for wild in (1e30, -1e30, np.inf, np.nan):
        rest(cupy.full((2, 12, 20, 2), wild, np.float32), a, b)


def test_nothing_is_allocated(emulated: FakeCupy) -> None:
    a, b = (emulated.asarray(scene(motion, 0)[:20, :40].copy()) for motion in (0, 2))
    flow, scratch, *out = (emulated.zeros((*two, 20, 40, 2), np.float32) for two in ((2,), (), (), ()))
    with emulated.no_allocation():
        rest(flow, a, b, scratch=scratch, out=(out[0], out[1]))
    assert [(launch.kernel, launch.grid) for launch in emulated.launches] == [
        ("differences", (2, 3)),
        ("rest", (2, 2, 2)),
    ]


def test_what_does_not_fit_is_refused(emulated: FakeCupy) -> None:
    a, flow = emulated.zeros((20, 40), np.uint8), emulated.zeros((2, 20, 40, 2), np.float32)
    with pytest.raises(ValueError, match="current"):
        rest(flow, a, emulated.zeros((20, 41), np.uint8))
    with pytest.raises(ValueError, match="flow"):
        rest(emulated.zeros((20, 40, 2), np.float32), a, a)
