"""Warping: every pixel fetches what the flow points at."""

import numpy as np
import pytest

from allaprima.kernels.reference.confidence import identity_grid
from allaprima.kernels.reference.warp import INTERPOLATION, warp

PLANE = np.random.default_rng(0).integers(0, 256, (24, 32), np.uint8)
GRID = identity_grid((32, 24))


@pytest.fixture(params=INTERPOLATION)
def how(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_no_motion_is_the_picture_itself(how: str) -> None:
    np.testing.assert_array_equal(warp(PLANE, GRID, how), PLANE)


@pytest.mark.parametrize(("dx", "dy"), [(3, 0), (0, -2), (-5, 4)])
def test_whole_pixels_are_a_shift_that_repeats_the_border(how: str, dx: int, dy: int) -> None:
    y, x = np.mgrid[:24, :32]
    expected = PLANE[np.clip(y + dy, 0, 23), np.clip(x + dx, 0, 31)]
    np.testing.assert_array_equal(warp(PLANE, GRID + np.float32([dx, dy]), how), expected)


def test_half_a_pixel_is_the_mean_of_two() -> None:
    halfway = warp(PLANE, GRID + np.float32([0.5, 0]))[:, :-1].astype(int)
    mean = (PLANE[:, :-1].astype(int) + PLANE[:, 1:]) / 2
    assert np.abs(halfway - mean).max() <= 1


def test_bicubic_keeps_more_detail_over_many_warps() -> None:
    def swing(how: str) -> float:
        picture = PLANE
        for number in range(8):
            picture = warp(picture, GRID + np.float32([0.5 if number % 2 else -0.5, 0]), how)
        return float(picture[4:-4, 4:-4].std())

    assert swing("bilinear") < 0.85 * swing("bicubic") < PLANE.std()


def test_the_result_is_bytes_and_the_plane_stays_as_it_was(how: str) -> None:
    before = PLANE.copy()
    warped = warp(PLANE, GRID + np.float32([0.3, 0.7]), how)
    assert (warped.dtype, warped.shape) == (np.uint8, PLANE.shape)
    np.testing.assert_array_equal(PLANE, before)


def test_an_unknown_interpolation_is_an_error() -> None:
    with pytest.raises(KeyError):
        warp(PLANE, GRID, "nearest-ish")
