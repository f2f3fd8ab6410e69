"""Warping: every pixel fetches what the flow points at."""

import numpy as np
import pytest

from allaprima.kernels.reference.confidence import identity_grid
from allaprima.kernels.reference.warp import INTERPOLATION, moving, parts, positions, warp, warp_along, warp_parts

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


# ---- along a smaller flow ----


def patches(size: tuple[int, int], seed: int) -> np.ndarray:
    """A flow that rests but for some patches."""
    chance = np.random.default_rng(seed)
    flow = np.zeros((size[1], size[0], 2), np.float32)
    for _ in range(3):
        top, left = chance.integers(0, size[1]), chance.integers(0, size[0])
        flow[top : top + 9, left : left + 14] = chance.uniform(-4, 4, 2)
    return flow


@pytest.mark.parametrize("scale", [0.5, 1, 2, 4])
@pytest.mark.parametrize("size", [(16, 16), (40, 24), (56, 34)])
def test_what_moves_is_fetched_as_by_a_whole_map(scale: float, size: tuple[int, int], how: str) -> None:
    large = (int(scale * size[0]), int(scale * size[1]))
    plane = np.random.default_rng(1).uniform(0, 255, large[::-1]).astype(np.float32)
    for seed in range(5):
        flow = patches(size, seed)
        found = warp_along(plane, flow, how)
        whole = warp(plane, positions(flow, large), how)
        np.testing.assert_allclose(found, whole, atol=0.02)


def test_boxes_hold_all_that_moves_and_little_else() -> None:
    flow = np.zeros((70, 90, 2), np.float32)
    assert moving(flow) == []
    flow[17, 40], flow[69, 89] = (0, 1), (-1, 0)
    covered = np.zeros((70, 90), bool)
    for box in moving(flow):
        covered[box] = True
    assert covered[16:19, 39:42].all()
    assert covered[68:, 88:].all()
    assert covered.mean() < 0.2
    flow[:] = 1
    assert moving(flow) == [(slice(0, 70), slice(0, 90))]


def test_what_rests_stays_to_the_bit_and_goes_where_it_is_wanted() -> None:
    plane, out = PLANE.astype(np.float32), np.empty(PLANE.shape, np.float32)
    rest = parts(np.zeros((12, 16, 2), np.float32), 2)
    assert warp_parts(plane, rest, "bicubic", out=out) is out
    np.testing.assert_array_equal(out, plane)


def test_where_all_moves_nothing_is_left_of_what_was_there() -> None:
    plane, out = PLANE.astype(np.float32), np.full(PLANE.shape, np.nan, np.float32)
    flow = np.full((12, 16, 2), 1.0, np.float32)
    np.testing.assert_allclose(warp_parts(plane, parts(flow, 2), out=out)[:-2, :-2], plane[2:, 2:], atol=0.02)
    assert np.isfinite(out).all()
