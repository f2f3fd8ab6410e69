"""Knees of curves that are known."""

import numpy as np
import pytest

from allaprima.bench.knee import exponent, knee, saturation

PIXELS = [0.06, 0.23, 0.92, 2.07, 3.69, 8.29]


def test_cost_in_proportion_has_no_knee() -> None:
    assert knee(PIXELS, [20 * x for x in PIXELS]) is None
    assert knee(PIXELS, [3 + 20 * x for x in PIXELS]) is None, "fixed costs make the first pixels dear"
    assert knee(PIXELS, [7.0] * 6) is None, "flat"


def test_a_clear_knee_is_named() -> None:
    beyond = [20 * x * (1.4 if x > 2.1 else 1) for x in PIXELS]
    assert knee(PIXELS, beyond) == 2.07
    assert knee(PIXELS, [3 + cost for cost in beyond]) == 2.07
    assert knee(PIXELS, [20 * x * (1.4 if x == 8.29 else 1) for x in PIXELS]) == 3.69
    assert knee([24, 32, 48, 64, 96], [x**2 for x in (24, 32, 48, 64, 96)]) == 32


def test_noise_and_a_point_that_was_disturbed_are_no_knee() -> None:
    rng = np.random.default_rng(0)
    for _ in range(300):
        assert knee(PIXELS, [20 * x * rng.normal(1, 0.04) for x in PIXELS]) is None
    assert knee(PIXELS, [20 * x * (2 if x == 0.92 else 1) for x in PIXELS]) is None
    assert knee(PIXELS, [20 * x * (0.7 if x == 0.92 else 1) for x in PIXELS]) is None


def test_where_streams_gain_nothing_more() -> None:
    assert saturation([1, 2, 4, 8], [30, 50, 53, 54]) == 2
    assert saturation([1, 2, 4, 8], [30, 31, 31, 30]) == 1
    assert saturation([1, 2, 4, 8], [30, 50, 51, 80]) is None, "the last doubling gains"
    assert saturation([1, 2, 4, 8], [30, 60, 120, 240]) is None
    assert saturation([1, 3, 4], [30, 60, 63]) is None, "a third more is not yet a doubling"
    assert saturation([1], [30]) is None


def test_the_power_that_cost_grows_with() -> None:
    assert exponent([1, 2, 4], [3, 6, 12]) == pytest.approx(1)
    assert exponent([1, 2, 4], [3, 3, 3]) == pytest.approx(0)
    assert exponent([24, 96], [24**2, 96**2]) == pytest.approx(2)
    assert exponent([5], [3]) == 0
