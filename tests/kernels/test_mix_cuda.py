"""The kernel of the mix against the reference.

Tolerances: float32 within 4 roundings (of 6e-8) of the sum of magnitudes, since a device contracts products and
sums; float16 within half a unit of its last place (2^-11 of the value) more, since it is rounded once, when stored.
"""

from typing import Any

import numpy as np
import pytest

from allaprima.kernels.mix import mix
from allaprima.kernels.reference.mix import mix as reference

from .fake_cupy import FakeCupy, FakeStream


def banks_of(styles: int, filters: int, dtype: Any, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(0, 0.3, (styles, filters)).astype(dtype)


def weights_of(styles: int, seed: int = 1) -> Any:
    weights = np.random.default_rng(seed).random(styles).astype(np.float32)
    return weights / weights.sum()


def exact(banks: Any, weights: Any) -> Any:
    return weights.astype(np.float64) @ banks.astype(np.float64)


def assert_close(out: Any, banks: Any, weights: Any) -> None:
    magnitude = np.abs(weights).astype(np.float64) @ np.abs(banks).astype(np.float64)
    allowed = 4 * 6e-8 * magnitude
    if out.dtype == np.float16:
        allowed += 2**-11 * np.abs(exact(banks, weights)) + 2**-25  # below 2^-14 halves have even steps
    assert (np.abs(out - exact(banks, weights)) <= allowed).all()


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
@pytest.mark.parametrize(("styles", "filters"), [(1, 1), (2, 1), (1, 300), (3, 255), (4, 256), (16, 257), (5, 4463)])
def test_any_number_of_styles_and_filters(cupy: Any, styles: int, filters: int, dtype: Any) -> None:
    banks, weights = banks_of(styles, filters, dtype), weights_of(styles)
    out = mix(cupy.asarray(banks), cupy.asarray(weights)).get()
    assert (out.shape, out.dtype) == ((filters,), dtype)
    assert_close(out, banks, weights)
    assert_close(reference(banks, weights), banks, weights)


def test_floats_can_become_halves(cupy: Any) -> None:
    banks, weights = banks_of(3, 300, np.float32), weights_of(3)
    out = cupy.empty(300, np.float16)
    assert mix(cupy.asarray(banks), cupy.asarray(weights), out=out) is out
    assert_close(out.get(), banks, weights)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_one_style_is_exactly_itself(cupy: Any, dtype: Any) -> None:
    banks = banks_of(3, 70, dtype)
    banks[[0, 2]] = np.nan  # what memory may hold that no style was loaded into
    out = mix(cupy.asarray(banks), cupy.asarray(np.float32([0, 1, 0]))).get()
    np.testing.assert_array_equal(out, banks[1])


def test_what_is_no_number_stays_visible(cupy: Any) -> None:
    banks = np.float32([[np.nan, np.inf, 1], [1, 1, 1]])
    out = mix(cupy.asarray(banks), cupy.asarray(np.float32([0.5, 0.5]))).get()
    np.testing.assert_array_equal(out, [np.nan, np.inf, 1])


def test_new_weights_give_a_new_mix_of_the_same_arrays(cupy: Any) -> None:
    """As in a captured graph, which keeps the addresses."""
    banks, weights = banks_of(2, 90, np.float16), cupy.asarray(np.float32([1, 0]))
    given, out = cupy.asarray(banks), cupy.empty(90, np.float16)
    mix(given, weights, out=out)
    weights.set(np.float32([0.25, 0.75]))
    mix(given, weights, out=out)
    assert_close(out.get(), banks, np.float32([0.25, 0.75]))


def test_one_launch_on_the_given_stream_and_no_allocation(emulated: FakeCupy) -> None:
    banks, weights = emulated.zeros((2, 500), np.float16), emulated.zeros(2, np.float32)
    out, stream = emulated.empty(500, np.float16), FakeStream()
    with emulated.no_allocation():
        mix(banks, weights, out=out, stream=stream)
    assert emulated.launches == [("mix<__half, __half>", (2,), (256,), stream)]


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        ({"banks": (np.float64, (2, 9))}, TypeError, "banks must be float16 or float32"),
        ({"banks": (np.float32, (9,))}, ValueError, r"banks must have the shape \(any, any\)"),
        ({"banks": (np.float32, (2, 0))}, ValueError, "banks is empty"),
        ({"weights": (np.float32, (3,))}, ValueError, r"weights must have the shape \(2\)"),
        ({"weights": (np.float16, (2,))}, TypeError, "weights must be float32"),
        ({"out": (np.float32, (8,))}, ValueError, r"out must have the shape \(9\)"),
        ({"out": (np.uint8, (9,))}, TypeError, "out must be float32 or float16"),
        ({"banks": (np.float16, (2, 9)), "out": (np.float32, (9,))}, TypeError, "out must be float16"),
    ],
)
def test_arrays_that_do_not_fit_are_told(emulated: FakeCupy, change: Any, error: Any, told: str) -> None:
    given = {"banks": (np.float32, (2, 9)), "weights": (np.float32, (2,)), "out": (np.float32, (9,))} | change
    arrays = {name: emulated.zeros(shape, dtype) for name, (dtype, shape) in given.items()}
    with pytest.raises(error, match=told):
        mix(**arrays)
