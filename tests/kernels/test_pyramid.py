"""The pyramid of the flow's pictures."""

import numpy as np
import pytest

from allaprima.kernels.reference.pyramid import gradient, halved, pyramid


def test_a_pixel_is_the_mean_of_the_four_below_it() -> None:
    picture = np.float32([[[1, 2, 10, 20], [3, 6, 30, 60]]])
    np.testing.assert_array_equal(halved(picture), [[[3, 30]]])


def test_an_odd_last_row_or_column_counts_twice() -> None:
    np.testing.assert_array_equal(halved(np.float32([[[1, 3, 8]]])), [[[2, 8]]])
    np.testing.assert_array_equal(halved(np.float32([[[1], [3], [8]]])), [[[2], [8]]])


def test_the_gradient_of_a_slope_is_its_steepness() -> None:
    x, y = np.meshgrid(np.arange(9, dtype=np.float32), np.arange(7, dtype=np.float32))
    (found,) = gradient((3 * x - 2 * y)[None])
    np.testing.assert_array_equal(found[1:-1, 1:-1], np.broadcast_to(np.float32([3, -2]), (5, 7, 2)))
    np.testing.assert_array_equal(found[1:-1, 0, 0], 1.5 * np.ones(5), "the edge repeats, so half the slope is left")


@pytest.mark.parametrize("size", [(1, 1), (1, 6), (33, 17), (64, 48)])
def test_sides_are_halved_and_rounded_up(size: tuple[int, int]) -> None:
    width, height = size
    a, b = np.random.default_rng(0).integers(0, 256, (2, height, width), np.uint8)
    for level in pyramid(a, b, 4):
        assert level.gray.shape == (2, height, width)
        assert level.gradient.shape == (2, height, width, 2)
        assert level.gray.dtype == level.gradient.dtype == np.float32
        width, height = (width + 1) // 2, (height + 1) // 2


def test_the_first_level_is_the_pictures() -> None:
    a, b = np.random.default_rng(0).integers(0, 256, (2, 5, 9), np.uint8)
    (level,) = pyramid(a, b, 1)
    np.testing.assert_array_equal(level.gray, np.stack([a, b]))
