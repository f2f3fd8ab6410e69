"""Optical flow on motion that is known."""

from typing import Any

import cv2
import numpy as np
import pytest

from allaprima.kernels.reference.confidence import identity_grid
from allaprima.kernels.reference.flow import SMALLEST_SIDE, Dis, at_rest

SIZE = (160, 120)


def scene(dx: float, dy: float) -> Any:
    """Soft blobs, seen through a window; the blobs are moved by ``(dx, dy)`` pixels."""
    noise = np.random.default_rng(3).standard_normal((200, 240)).astype(np.float32)
    blobs = cv2.normalize(cv2.GaussianBlur(noise, None, 3), None, 20, 235, cv2.NORM_MINMAX)
    moved = cv2.warpAffine(blobs, np.float32([[1, 0, dx], [0, 1, dy]]), (240, 200), flags=cv2.INTER_CUBIC)
    return np.ascontiguousarray(moved[40:160, 40:200].astype(np.uint8))


def inside(field: Any) -> Any:
    return field[12:-12, 12:-12]


@pytest.mark.parametrize("motion", [(0, 0), (3, 0), (0, -2), (-4, 5), (0.5, 0.25), (9, -7)])
def test_a_translation_is_found_and_backward_flow_points_to_where_things_were(motion: Any) -> None:
    backward, forward = Dis(SIZE)(scene(0, 0), scene(*motion))
    wanted = np.float32(motion)
    for error in (backward + wanted, forward - wanted):
        length = np.linalg.norm(inside(error), axis=2)
        assert length.mean() < 0.35, "what comes in at the border is guessed"
        assert np.median(length) < 0.25


def test_the_flow_is_an_array_of_x_and_y_for_each_pixel() -> None:
    backward, forward = Dis(SIZE)(scene(0, 0), scene(1, 0))
    assert backward.shape == forward.shape == (120, 160, 2)
    assert backward.dtype == forward.dtype == np.float32


def test_what_was_seen_before_does_not_change_the_flow() -> None:
    used, fresh = Dis(SIZE), Dis(SIZE)
    used(scene(0, 0), scene(30, 20))
    rng = np.random.default_rng(0)
    used(scene(0, 0), rng.integers(0, 255, (120, 160), np.uint8))
    for found, expected in zip(used(scene(0, 0), scene(2, 1)), fresh(scene(0, 0), scene(2, 1)), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("size", [(16, 16), (SMALLEST_SIDE - 1, 200), (200, SMALLEST_SIDE - 1)])
def test_a_picture_too_small_for_the_pyramid_stands_still(size: tuple[int, int]) -> None:
    a, b = np.random.default_rng(0).integers(0, 255, (2, size[1], size[0]), np.uint8)
    for flow in Dis(size)(a, b):
        assert flow.shape == (size[1], size[0], 2)
        assert not flow.any()


@pytest.mark.parametrize("size", [(SMALLEST_SIDE, SMALLEST_SIDE), (SMALLEST_SIDE, 97), (133, 33)])
def test_the_smallest_picture_with_a_pyramid_works(size: tuple[int, int]) -> None:
    a = np.ascontiguousarray(scene(0, 0)[: size[1], : size[0]])
    for flow in Dis(size)(a, a):
        assert np.abs(flow).max() < 0.01


def test_the_flow_of_one_call_outlives_the_next() -> None:
    """The next frame is looked at while this one is painted."""
    rng = np.random.default_rng(3)
    first, second, third = ((rng.random((48, 64)) * 255).astype(np.uint8) for _ in range(3))
    dis = Dis((64, 48))
    backward, forward = dis(first, second)
    kept = backward.copy(), forward.copy()
    dis(second, third)
    assert np.array_equal(backward, kept[0])
    assert np.array_equal(forward, kept[1])


def test_slow_motion_is_found_to_a_tenth_of_a_pixel() -> None:
    """What is held along a coarser flow slides over the things that it is painted on."""
    for motion in ((0.4, 0.0), (1.5, -0.7), (2.25, 1.0)):
        backward, _ = Dis(SIZE)(scene(0, 0), scene(*motion))
        error = np.linalg.norm(inside(backward + np.float32(motion)), axis=2)
        assert np.median(error) < 0.1


def noisy(picture: Any, seed: int) -> Any:
    """With the noise of a dark webcam (a deviation of 4) as it is left in a picture at a quarter of the size."""
    noise = np.random.default_rng(seed).normal(0, 1, picture.shape)
    return np.clip(picture + noise + 0.5, 0, 255).astype(np.uint8)


def test_a_noisy_still_picture_stands_exactly_still() -> None:
    wall = np.full((120, 160), 90, np.uint8)
    for still in (wall, scene(0, 0)):
        backward, _ = Dis(SIZE)(noisy(still, 1), noisy(still, 2))
        assert not backward.any()


def test_what_moves_keeps_its_motion_beside_a_still_wall() -> None:
    """Only the right part moves; far from it the flow is exactly zero, inside it stays as found."""
    before, now = noisy(scene(0, 0), 1), noisy(scene(0, 0), 2)
    before[:, 110:], now[:, 110:] = scene(0, 0)[:, 110:], scene(2, 0)[:, 110:]
    backward, _ = Dis(SIZE)(before, now)
    assert not backward[:, :60].any()
    assert np.median(backward[12:-12, 125:-12, 0]) == pytest.approx(-2, abs=0.2)


def test_a_motion_is_found_in_a_fade() -> None:
    """Neither rest nor motion explains the light that comes up; it must not count."""
    before, now = scene(0, 0) // 2, scene(1.5, 0) // 2 + 20
    backward, _ = Dis(SIZE)(before, now)
    assert np.median(inside(backward)[..., 0]) == pytest.approx(-1.5, abs=0.3)


def test_a_motion_must_explain_more_than_rest_does() -> None:
    grid, flow = identity_grid(SIZE), np.full((120, 160, 2), (-2, 0), np.float32)
    before, now = scene(0, 0), scene(2, 0)
    np.testing.assert_array_equal(at_rest(flow, before, now, grid)[20:-20, 20:-20], flow[20:-20, 20:-20])
    assert not at_rest(flow, before, before, grid).any()
    assert not at_rest(-flow, before, now, grid)[20:-20, 20:-20].any(), "worse than rest"
    assert not at_rest(flow, before // 2, before // 2 + 20, grid).any(), "light is no motion"
