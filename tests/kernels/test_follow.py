"""Motion over several frames, and what is believed of a carried picture."""

import numpy as np
import pytest

from allaprima.kernels.reference.follow import believe, ease, easing, follow

SHAPE = (20, 30)


def motion(x: float, y: float, trust: float = 1) -> tuple[np.ndarray, np.ndarray]:
    return np.full((*SHAPE, 2), (x, y), np.float32), np.full(SHAPE, trust, np.float32)


def test_flows_add_and_confidences_multiply() -> None:
    flow, trust = follow(motion(2, 0.5, 0.5), motion(-1, 1, 0.5), 0.1)
    np.testing.assert_array_equal(flow, motion(1, 1.5)[0])
    np.testing.assert_array_equal(trust, motion(0, 0, 0.25)[1])


def test_the_motion_before_is_that_of_where_the_pixel_was() -> None:
    before = motion(0, 0)
    before[0][:, 10:] = 3
    flow, _ = follow(motion(-4, 0), before, 0.1)
    np.testing.assert_array_equal(flow[0, :, 1], np.where(np.arange(30) < 14, 0, 3))


@pytest.mark.parametrize(("trust", "stays"), [(0.05, True), (0.2, False)])
def test_a_cut_is_not_followed(trust: float, stays: bool) -> None:
    flow, left = follow(motion(9, 9, trust), motion(1, 2), 0.1)
    np.testing.assert_array_equal(flow[0, 0], (1, 2) if stays else (10, 11))
    assert left.any() != stays


def test_what_moves_is_worn_as_far_as_it_is_trusted() -> None:
    decided = believe(motion(0.3, 0.4, 0.5), 1)
    np.testing.assert_allclose(decided[0, 3, 3], (1, 1, 0, 0.25), rtol=1e-6)
    np.testing.assert_array_equal(decided[1:, 3, 3], [(1, 1, 0, 0)] * 2)
    assert believe(motion(0.3, 0.4, 0.5), 4)[0, 3, 3, 3] == 0.5
    assert not believe(motion(0, 0), 4)[0, ..., 3].any()


def test_what_was_carried_is_half_of_what_is_shown_where_it_is_trusted_and_alike() -> None:
    trust, same, other = (np.full(SHAPE, value, np.float32) for value in (1, 0, 0))
    trust[:, 10:], other[:, 20:], other[:, 25:] = 0.5, 0.1, 0.5
    share = easing(trust, same, other)
    np.testing.assert_allclose(share[3, [0, 10, 20]], [0.5, 0.25, 0.25 * np.exp(-0.6)], rtol=1e-5)
    assert share[3, 25] < 1e-6, "in a wrong place"
    held, carried = (np.full(SHAPE, value, np.float32) for value in (100, 180))
    np.testing.assert_allclose(ease(held, carried, share)[3, [0, 10, 25]], [140, 120, 100], atol=0.01)
