"""Where history can be trusted: known motion, occlusion, cuts, borders."""

from typing import Any

import numpy as np
import pytest

from allaprima.kernels.reference.confidence import PHOTOMETRIC, confidence, decided, identity_grid

SIZE = (64, 48)


def still(value: tuple[float, float] = (0, 0)) -> Any:
    return np.full((48, 64, 2), value, np.float32)


def gray(value: int = 100) -> Any:
    return np.full((48, 64), value, np.uint8)


def test_the_identity_grid_holds_x_then_y() -> None:
    grid = identity_grid((5, 3))
    assert grid.shape == (3, 5, 2)
    assert grid.dtype == np.float32
    assert grid[2, 4].tolist() == [4, 2]
    assert grid[0, 1].tolist() == [1, 0]


def test_what_stands_still_is_trusted_fully() -> None:
    trust = confidence(still(), still(), gray(), gray())
    assert trust.dtype == np.float32
    assert (trust == 1).all()


def test_history_from_outside_the_picture_is_not_trusted() -> None:
    trust = confidence(still((5, 0)), still((-5, 0)), gray(), gray())
    assert (trust[:, :59] == 1).all()
    assert (trust[:, 59:] == 0).all()
    trust = confidence(still((0, -3)), still((0, 3)), gray(), gray())
    assert (trust[3:] == 1).all()
    assert (trust[:3] == 0).all()


def test_after_a_cut_nothing_is_trusted() -> None:
    rng = np.random.default_rng(0)
    bright, dark = rng.integers(150, 250, (48, 64), np.uint8), rng.integers(0, 60, (48, 64), np.uint8)
    assert confidence(still(), still(), bright, dark).max() < 0.01


@pytest.mark.parametrize(("change", "trust"), [(0, 1.0), (13, 0.856), (26, 0.536), (51, 0.0907), (255, 0.0)])
def test_a_change_of_brightness_costs_trust(change: int, trust: float) -> None:
    assert PHOTOMETRIC == 60
    found = confidence(still(), still(), gray(0), gray(change))
    np.testing.assert_allclose(found, trust, atol=2e-3)
    np.testing.assert_allclose(confidence(still(), still(), gray(change), gray(0)), found, atol=1e-6)


def test_a_moving_square_uncovers_what_cannot_be_trusted() -> None:
    """The square moves 6 pixels to the right over a still ground; the flow is exact."""
    previous, current = gray(60), gray(60)
    previous[16:32, 20:36] = current[16:32, 26:42] = 180
    backward, forward = still(), still()
    backward[16:32, 26:42] = -6, 0
    forward[16:32, 20:36] = 6, 0
    trust = confidence(backward, forward, previous, current)
    assert (trust[18:30, 20:25] == 0).all(), "uncovered ground"
    assert (trust[18:30, 28:40] == 1).all(), "the square itself"
    assert (trust[:14] == 1).all(), "ground that was always seen"
    assert (trust[34:] == 1).all()
    assert trust[20, 25:27].max() < 1, "the motion's edge"


@pytest.mark.parametrize(("gap", "trust"), [(0.5, 1), (0.6, 0.56), (0.8, 0), (3, 0)])
def test_flows_that_do_not_meet_again_lose_trust_from_half_of_the_threshold_on(gap: float, trust: float) -> None:
    """At rest the threshold is 0.5 px^2, so 0.25 is the last that costs nothing."""
    found = confidence(still(), still((gap, 0)), gray(), gray())
    limit = 0.5 + 0.01 * gap**2
    np.testing.assert_allclose(found, np.clip(2 - 2 * gap**2 / limit, 0, 1), atol=1e-5)
    np.testing.assert_allclose(found, trust, atol=0.02)


def test_fast_motion_may_miss_by_more() -> None:
    assert confidence(still((1, 0)), still((0, 0)), gray(), gray())[20, 20] == 0
    assert confidence(still((20, 0)), still((-19, 0)), gray(), gray())[20, 20] > 0.5


@pytest.mark.parametrize(("speed", "trust"), [(0, 0), (2, 0.31), (8, 1)])
def test_an_edge_of_motion_counts_less_the_faster_the_motion(speed: float, trust: float) -> None:
    """The sideways motion grows by 0.28 a pixel over a stripe; its square is the gradient of the papers."""
    backward = still((0, speed))
    backward[:, 31:34, 0] += np.float32([0, 0.28, 0.56])
    backward[:, 34:, 0] += 0.56
    # Exactly undone by the forward flow, wherever it is sampled: only the edge is left to judge.
    forward = -backward
    found = confidence(backward, forward, gray(), gray())[20, 32]
    assert found == pytest.approx(trust, abs=0.03)


def test_a_grid_that_is_given_is_the_same_as_its_own() -> None:
    rng = np.random.default_rng(0)
    flow = rng.normal(0, 1, (48, 64, 2)).astype(np.float32)
    a, b = rng.integers(0, 255, (2, 48, 64), np.uint8)
    given = confidence(flow, -flow, a, b, grid=identity_grid(SIZE))
    np.testing.assert_array_equal(given, confidence(flow, -flow, a, b))


def test_confidence_is_a_share_whatever_comes_in() -> None:
    rng = np.random.default_rng(2)
    for spread in (0.1, 2, 50):
        flow, other = rng.normal(0, spread, (2, 48, 64, 2)).astype(np.float32)
        trust = confidence(flow, other, *rng.integers(0, 255, (2, 48, 64), np.uint8))
        assert np.isfinite(trust).all()
        assert trust.min() >= 0
        assert trust.max() <= 1


def trusted(value: float) -> Any:
    return np.full((4, 6), value, np.float32)


@pytest.mark.parametrize(("trust", "kept"), [(0, 0), (0.25, 0), (0.5, 0.5), (0.75, 1), (1, 1)])
def test_doubtful_history_is_dropped_and_likely_history_kept(trust: float, kept: float) -> None:
    found = decided(trusted(trust))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, kept, atol=1e-6)


@pytest.mark.parametrize(("difference", "kept"), [(0.01, 1), (0.03, 0.666), (0.05, 0), (-0.03, 0.666), (1, 0)])
def test_history_that_does_not_look_like_the_new_picture_is_dropped(difference: float, kept: float) -> None:
    np.testing.assert_allclose(decided(trusted(1), trusted(difference)), kept, atol=1e-3)


def test_differences_of_planes_add_up_as_squares() -> None:
    together = decided(trusted(1), trusted(0.02), trusted(-0.02), trusted(0.01))
    np.testing.assert_allclose(together, decided(trusted(1), trusted(0.03)), atol=1e-5)
    assert 0 < together.min() < 1


def test_each_pixel_is_decided_on_its_own() -> None:
    trust = trusted(1)
    trust[:, 3:] = 0.1
    assert decided(trust).tolist() == [[1, 1, 1, 0, 0, 0]] * 4
