"""The mix of filter banks, on sums worked out by hand and as the engine mixes styles."""

from typing import Any

import numpy as np
import pytest

from allaprima.kernels.reference.mix import mix
from allaprima.realtime.bundle import Bundle
from allaprima.realtime.stylebank import Mix, StyleBank


def test_a_mix_is_the_weighted_sum() -> None:
    banks = np.float32([[1, 2, 3], [10, 20, -30]])
    np.testing.assert_allclose(mix(banks, np.float32([0.75, 0.25])), [3.25, 6.5, -5.25])


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_one_style_is_exactly_itself(dtype: Any) -> None:
    banks = np.random.default_rng(0).normal(0, 0.1, (3, 50)).astype(dtype)
    mixed = mix(banks, np.float32([0, 1, 0]))
    assert mixed.dtype == dtype
    np.testing.assert_array_equal(mixed, banks[1])


def test_a_style_of_no_weight_may_hold_anything() -> None:
    banks = np.float32([[np.nan, np.inf], [1, 2]])
    np.testing.assert_array_equal(mix(banks, np.float32([0, 1])), [1, 2])


def test_halves_are_summed_as_floats() -> None:
    """In halves 2048 + 1 is 2048, and would be after each of the four."""
    banks = np.float16([[2048], [1], [1], [1], [1]])
    assert mix(banks, np.ones(5, np.float32)) == 2052


def test_it_is_the_mix_of_the_engine(own_bundle: Any) -> None:
    bank = StyleBank(Bundle(own_bundle))
    first, second = bank.names()[:2]
    banks = np.stack([bank.resolve(first), bank.resolve(second)])
    expected = bank.resolve(Mix(((first, 0.7), (second, 0.3))))
    np.testing.assert_allclose(mix(banks, np.float32([0.7, 0.3])), expected, rtol=1e-6, atol=1e-8)
