"""The parallel dense inverse search, on motion that is known."""

from fractions import Fraction
from functools import cache
from typing import Any

import cv2
import numpy as np
import pytest

from allaprima.kernels.reference.dis import Dis, level_count
from allaprima.kernels.reference.flow import SMALLEST_SIDE
from allaprima.realtime.rgb import Rgb
from allaprima.realtime.sources.scenes import open_scene

from .test_flow import SIZE, inside, noisy, scene

BAR = 1.1
"""Of the end-point error of OpenCV's DIS in its fast setting."""


@cache
def landscape(size: tuple[int, int], frame: int) -> Any:
    """The luma of a test scene."""
    return np.ascontiguousarray(Rgb().frame(open_scene("landscape", size, Fraction(30)).frame(frame)).planes[0])


def pan(motion: tuple[int, int], size: tuple[int, int]) -> Any:
    """Two views of a wide picture, the second after everything has moved by ``motion``."""
    wide, (x, y), (width, height) = landscape((256, 144), 0), motion, size
    left, top = max(0, x), max(0, y)
    before = wide[top : top + height, left : left + width]
    now = wide[top - y : top - y + height, left - x : left - x + width]
    return np.ascontiguousarray(before), np.ascontiguousarray(now)


@pytest.mark.parametrize(
    ("size", "count"), [((1, 1), 1), ((32, 32), 1), ((160, 90), 3), ((488, 278), 5), ((1920, 1080), 7), ((4000, 32), 3)]
)
def test_the_smallest_level_is_a_few_patches(size: tuple[int, int], count: int) -> None:
    assert level_count(size) == count


@pytest.mark.parametrize("motion", [(3, 0), (-4, 5), (9, -7)])
def test_a_translation_is_found_both_ways(motion: tuple[float, float]) -> None:
    backward, forward = Dis(SIZE)(scene(0, 0), scene(*motion))
    for error in (backward + np.float32(motion), forward - np.float32(motion)):
        assert np.linalg.norm(inside(error), axis=2).mean() < 0.1


def test_slow_motion_is_found_to_a_tenth_of_a_pixel() -> None:
    """What is held along a coarser flow slides over the things that it is painted on."""
    for motion in ((0.4, 0.0), (1.5, -0.7), (2.25, 1.0)):
        backward, _ = Dis(SIZE)(scene(0, 0), scene(*motion))
        assert np.median(np.linalg.norm(inside(backward + np.float32(motion)), axis=2)) < 0.1


@pytest.mark.parametrize("motion", [(24, 0), (0, 20), (-16, 24)])
def test_a_fast_pan_is_found(motion: tuple[int, int]) -> None:
    """A quarter of the picture's height a frame; OpenCV's search is lost from an eighth on."""
    width, height = 160, 96
    before, now = pan(motion, (width, height))
    backward, _ = Dis((width, height))(before, now)
    (x, y), edge = motion, 8
    seen = backward[max(0, y) + edge : height + min(0, y) - edge, max(0, x) + edge : width + min(0, x) - edge]
    assert (np.linalg.norm(seen + np.float32(motion), axis=2) < 1).mean() > 0.9


def test_it_is_as_good_as_the_fast_setting_of_opencv() -> None:
    size = (160, 90)
    moving = open_scene("landscape", size, Fraction(30))
    before, now = landscape(size, 7), landscape(size, 8)
    motion, hidden = moving.motion(8)
    fast = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST).calc(now, before, None)
    backward, _ = Dis(size)(before, now)
    error, bar = (np.linalg.norm(flow - motion, axis=2)[~hidden].mean() for flow in (backward, fast))
    assert error <= BAR * bar
    assert error < 0.15


def test_equal_pictures_stand_exactly_still() -> None:
    for picture in (scene(0, 0)[:48, :64].copy(), np.full((48, 64), 90, np.uint8)):
        for flow in Dis((64, 48))(picture, picture):
            assert not flow.any()


@pytest.mark.parametrize("seed", range(2))
def test_a_noisy_still_picture_stands_still(seed: int) -> None:
    """Noise that looks like motion in a whole window is rare; `flow.at_rest` lets as much of it pass."""
    for still, most in ((np.full((120, 160), 90, np.uint8), 0.001), (scene(0, 0), 0)):
        backward, _ = Dis(SIZE)(noisy(still, 2 * seed), noisy(still, 2 * seed + 1))
        assert backward.any(-1).mean() <= most


def test_a_motion_is_found_in_a_fade() -> None:
    backward, _ = Dis(SIZE)(scene(0, 0) // 2, scene(1.5, 0) // 2 + 20)
    assert np.median(inside(backward)[..., 0]) == pytest.approx(-1.5, abs=0.1)


@pytest.mark.parametrize("size", [(16, 16), (SMALLEST_SIDE - 1, 200), (200, SMALLEST_SIDE - 1), (1, 1)])
def test_a_picture_too_small_stands_still(size: tuple[int, int]) -> None:
    a, b = np.random.default_rng(0).integers(0, 255, (2, size[1], size[0]), np.uint8)
    for flow in Dis(size)(a, b):
        assert flow.shape == (size[1], size[0], 2)
        assert flow.dtype == np.float32
        assert not flow.any()


def test_a_warm_start_keeps_up_with_what_is_too_fast_to_be_found() -> None:
    """Motion grows from frame to frame; the last flow leads the search to where it is by now."""
    cold, warm = Dis((160, 96)), Dis((160, 96), warm=True)
    for x in (40, 44, 48):
        before, now = pan((x, 0), (160, 96))
        found = [dis(before, now)[0][8:-8, x + 8 : -8, 0] for dis in (cold, warm)]
    assert [bool(np.median(np.abs(backward + 48)) < 1) for backward in found] == [False, True]
