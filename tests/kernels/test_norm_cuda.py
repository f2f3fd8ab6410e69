"""The kernels of the norm against float64.

Tolerances: statistics within 2e-6 of the deviation (the mean) and of themselves (the variance), and within half a
unit of the last place of a mean, or of a value, that is large; normalised features within 1e-5, some ten roundings
of 6e-8 of up to 5 deviations and the device's rsqrt; float16 within half a unit of its last place (2^-11 of the
value) more, since it is rounded once, when it is stored.
"""

from typing import Any

import numpy as np
import pytest

from allaprima.kernels.norm import EPSILON, PART, Statistics, apply
from allaprima.kernels.reference import norm as reference

from .fake_cupy import FakeCupy, FakeStream

SHAPES = [(1, 1, 1), (1, 1, 7), (3, 5, 1), (2, 16, 16), (3, 45, 37), (1, 1, PART), (2, 1, PART + 1), (2, 67, 131)]
ROUNDING = 2.0**-24


@pytest.fixture(params=["float16", "float32"])
def dtype(request: pytest.FixtureRequest) -> Any:
    return np.dtype(request.param)


def features_of(shape: tuple[int, int, int], dtype: Any, seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    spread, level = rng.uniform(0.1, 5, (shape[0], 1, 1)), rng.uniform(-9, 9, (shape[0], 1, 1))
    return (rng.normal(0, 1, shape) * spread + level).astype(dtype)


def weights_of(channels: int, seed: int = 1) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return rng.normal(1, 0.3, channels).astype(np.float32), rng.normal(0, 1, channels).astype(np.float32)


def assert_statistics(found: Any, features: Any) -> None:
    exact = features.astype(np.float64)
    mean, deviation, variance = exact.mean((1, 2)), exact.std((1, 2)), exact.var((1, 2))
    slack = 2 * ROUNDING * np.abs(exact).max((1, 2))
    assert (np.abs(found[:, 0] - mean) <= 2e-6 * deviation + slack).all()
    assert (np.abs(found[:, 1] - variance) <= 2e-6 * variance + slack * deviation).all()


# ---- statistics ----


@pytest.mark.parametrize("shape", SHAPES)
def test_statistics_of_any_shape(cupy: Any, shape: Any, dtype: Any) -> None:
    features = features_of(shape, dtype)
    found = Statistics(shape)(cupy.asarray(features)).get()
    assert (found.shape, found.dtype) == ((shape[0], 2), np.float32)
    assert_statistics(found, features)
    assert_statistics(reference.statistics(features), features)


@pytest.mark.parametrize("level", [1e4, -1e6])
def test_a_large_mean_does_not_swallow_a_small_deviation(cupy: Any, level: float) -> None:
    """E[x^2] - E[x]^2 in float32 would be off by thousands, or negative."""
    shape = (2, 80, 70)
    features = (level + np.random.default_rng(0).normal(0, 0.5, shape)).astype(np.float32)
    found = Statistics(shape)(cupy.asarray(features)).get()
    exact = features.astype(np.float64)
    np.testing.assert_allclose(found[:, 1], exact.var((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(found[:, 0], exact.mean((1, 2)), rtol=2 * ROUNDING)


def test_a_stray_first_value_does_little_harm(cupy: Any) -> None:
    """Everything is counted from it."""
    features = features_of((1, 80, 70), np.float32)
    features[0, 0, 0] = 1e4
    found = Statistics(features.shape)(cupy.asarray(features)).get()
    exact = features.astype(np.float64)
    np.testing.assert_allclose(found[0], [exact.mean(), exact.var()], rtol=1e-4)


def test_a_mean_that_drifts_across_parts_is_in_the_variance(cupy: Any) -> None:
    features = np.repeat(np.float32([0, 1, 2, 3]), PART)[None, None]
    found = Statistics(features.shape)(cupy.asarray(features)).get()
    np.testing.assert_allclose(found, [[1.5, 1.25]])


def test_more_parts_than_a_block_has_threads(cupy: Any) -> None:
    features = features_of((1, 257, PART), np.float16)
    features[0, 256] += 20
    assert_statistics(Statistics(features.shape)(cupy.asarray(features)).get(), features)


def test_an_even_channel_has_no_variance(cupy: Any, dtype: Any) -> None:
    features = np.full((1, 50, 100), 1000.5, dtype)
    np.testing.assert_array_equal(Statistics(features.shape)(cupy.asarray(features)).get(), [[1000.5, 0]])


def test_the_same_bits_every_time(cupy: Any, dtype: Any) -> None:
    features = cupy.asarray(features_of((3, 90, 101), dtype))
    statistics = Statistics((3, 90, 101))
    first = statistics(features).get()
    for _ in range(3):
        np.testing.assert_array_equal(statistics(features).get().view(np.uint32), first.view(np.uint32))


def test_channels_do_not_mix(cupy: Any) -> None:
    features = features_of((3, 70, 80), np.float32)
    alone = Statistics((3, 70, 80))(cupy.asarray(features)).get()
    features[1, 40, 30] = np.nan
    found = Statistics((3, 70, 80))(cupy.asarray(features)).get()
    np.testing.assert_array_equal(found[[0, 2]], alone[[0, 2]])
    assert np.isnan(found[1]).all()


@pytest.mark.parametrize("at", [0, 5000])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_shows(cupy: Any, value: float, at: int) -> None:
    features = np.ones((1, 90, 70), np.float16)
    features.flat[at] = value
    assert not np.isfinite(Statistics(features.shape)(cupy.asarray(features)).get()).any()


# ---- over time ----


def test_statistics_follow_slowly(cupy: Any, dtype: Any) -> None:
    shape = (3, 20, 30)
    statistics, running = Statistics(shape), cupy.full((3, 2), np.nan, np.float32)
    expected = np.full((3, 2), np.nan, np.float32)
    for frame in range(4):
        features = features_of(shape, dtype, frame)
        assert statistics(cupy.asarray(features), running, 0.2, out=running) is running
        expected = reference.statistics(features, expected, 0.2)
        np.testing.assert_allclose(running.get(), expected, rtol=1e-5, atol=1e-6)


def test_what_is_not_known_is_taken_and_what_is_no_number_is_not(cupy: Any) -> None:
    features = np.float32([[[0, 2]], [[np.nan, 1]], [[np.inf, 1]], [[1, 5]]])
    running = np.float32([[np.nan, 1], [3, 4], [5, 6], [1, 0]])
    out = Statistics(features.shape)(cupy.asarray(features), cupy.asarray(running), 0.5).get()
    np.testing.assert_array_equal(out, [[1, 1], [3, 4], [5, 6], [2, 2]])


def test_running_statistics_may_stay_as_they_are(cupy: Any) -> None:
    features, running = cupy.asarray(np.float32([[[0, 2]]])), cupy.zeros((1, 2), np.float32)
    out = Statistics((1, 1, 2))(features, running, 0.5)
    np.testing.assert_array_equal(out.get(), [[0.5, 0.5]])
    np.testing.assert_array_equal(running.get(), [[0, 0]])


# ---- normalising ----


@pytest.mark.parametrize("shape", SHAPES)
def test_features_of_any_shape_are_normalised(cupy: Any, shape: Any, dtype: Any) -> None:
    features, (weight, bias) = features_of(shape, dtype), weights_of(shape[0])
    statistics = reference.statistics(features)
    arrays = [cupy.asarray(array) for array in (features, statistics, weight, bias)]
    out = apply(*arrays).get()
    assert (out.shape, out.dtype) == (shape, dtype)
    exact = reference.apply(features.astype(np.float32), statistics, weight, bias)
    np.testing.assert_allclose(out, exact, atol=1e-5, rtol=2**-11 if dtype == np.float16 else 0)


def test_both_together_give_mean_0_and_variance_1(cupy: Any) -> None:
    shape = (2, 90, 71)
    features = features_of(shape, np.float32)
    given, even = cupy.asarray(features), (cupy.ones(2, np.float32), cupy.zeros(2, np.float32))
    apply(given, Statistics(shape)(given), *even, out=given)  # in place
    out = given.get().astype(np.float64)
    np.testing.assert_allclose(out.mean((1, 2)), 0, atol=1e-6)
    variance = features.astype(np.float64).var((1, 2))
    np.testing.assert_allclose(out.var((1, 2)), variance / (variance + EPSILON), rtol=1e-5)


def test_a_large_mean_does_not_cancel_in_the_result(cupy: Any) -> None:
    """x scale - mean scale would be off by 0.01."""
    features = (1e4 + np.random.default_rng(0).normal(0, 0.1, (1, 30, 40))).astype(np.float32)
    given = cupy.asarray(features)
    out = apply(given, Statistics(features.shape)(given), cupy.ones(1, np.float32), cupy.zeros(1, np.float32)).get()
    exact = features.astype(np.float64)
    # The mean is a float: half a unit of its last place is 0.005 deviations, for all values alike.
    error = out - (exact - exact.mean()) / np.sqrt(exact.var() + EPSILON)
    assert np.abs(error).max() < 0.006
    assert error.std() < 1e-5


def test_another_epsilon(cupy: Any) -> None:
    given = [cupy.asarray(np.float32(values)) for values in ([[[0, 2]]], [[1, 1]], [1], [0])]
    np.testing.assert_allclose(apply(*given, epsilon=3).get(), [[[-0.5, 0.5]]], rtol=1e-6)


# ---- how it is called ----


def test_launches_streams_and_memory(emulated: FakeCupy) -> None:
    shape, stream = (3, 90, 101), FakeStream()
    features, out = emulated.ones(shape, np.float16), emulated.empty(shape, np.float16)
    statistics, pairs = Statistics(shape), emulated.zeros((3, 2), np.float32)
    one = emulated.ones(3, np.float32)
    with emulated.no_allocation():
        statistics(features, pairs, 0.1, out=pairs, stream=stream)
        apply(features, pairs, one, one, out=out, stream=stream)
    assert emulated.launches == [
        ("part_statistics<__half>", (3, 3), (256, 1), stream),
        ("finish_statistics", (3,), (256, 1), stream),
        ("apply<__half>", (3, 3), (256, 1), stream),
    ]


def test_arrays_that_do_not_fit_are_told(emulated: FakeCupy) -> None:
    features, pairs, one = (emulated.zeros(shape, np.float32) for shape in ((2, 3, 4), (2, 2), (2,)))
    statistics = Statistics((2, 3, 4))
    with pytest.raises(ValueError, match=r"features must have the shape \(2, 3, 4\)"):
        statistics(emulated.zeros((2, 4, 3), np.float32))
    with pytest.raises(TypeError, match="features must be float16 or float32"):
        statistics(emulated.zeros((2, 3, 4), np.uint8))
    with pytest.raises(ValueError, match=r"running must have the shape \(2, 2\)"):
        statistics(features, emulated.zeros((3, 2), np.float32))
    with pytest.raises(TypeError, match="out must be float32"):
        statistics(features, out=emulated.zeros((2, 2), np.float16))
    with pytest.raises(ValueError, match=r"weight must have the shape \(2\)"):
        apply(features, pairs, emulated.zeros(3, np.float32), one)
    with pytest.raises(ValueError, match=r"statistics must have the shape \(2, 2\)"):
        apply(features, one.reshape(1, 2), one, one)
    with pytest.raises(TypeError, match="bias must be float32"):
        apply(features, pairs, one, emulated.zeros(2, np.float16))
    with pytest.raises(TypeError, match="out must be float32"):
        apply(features, pairs, one, one, out=emulated.zeros((2, 3, 4), np.float16))
