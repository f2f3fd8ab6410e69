"""Blending of the new picture with its history."""

from typing import Any

import numpy as np
import pytest

from allaprima.kernels.reference.blend import blend

RNG = np.random.default_rng(0)
NEW, HISTORY = RNG.integers(0, 256, (2, 20, 36), np.uint8)


def constant(weight: float) -> Any:
    return np.full((20, 36), weight, np.float32)


def test_weight_0_is_the_new_picture() -> None:
    np.testing.assert_array_equal(blend(NEW, HISTORY, constant(0)), NEW)


def test_weight_1_is_the_history() -> None:
    np.testing.assert_array_equal(blend(NEW, HISTORY, constant(1)), HISTORY)


@pytest.mark.parametrize("weight", [0.5, 0.1, 0.72])
def test_between_it_is_new_plus_weight_times_the_difference(weight: float) -> None:
    expected = NEW + weight * (HISTORY.astype(float) - NEW)
    assert np.abs(blend(NEW, HISTORY, constant(weight)) - expected).max() <= 0.51


def test_each_pixel_has_its_own_weight() -> None:
    weight = constant(0)
    weight[:, 18:] = 1
    blended = blend(NEW, HISTORY, weight)
    np.testing.assert_array_equal(blended[:, :18], NEW[:, :18])
    np.testing.assert_array_equal(blended[:, 18:], HISTORY[:, 18:])


@pytest.mark.parametrize("value", [0, 1, 16, 128, 235, 254, 255])
def test_what_is_equal_stays_equal_at_any_weight(value: int) -> None:
    """Else a still picture would creep away, a step of rounding a frame."""
    same = np.full((20, 36), value, np.uint8)
    weight = np.linspace(0, 1, 20 * 36, dtype=np.float32).reshape(20, 36)
    np.testing.assert_array_equal(blend(same, same, weight), same)


def test_a_still_scene_comes_to_rest_near_the_new_picture() -> None:
    picture = HISTORY
    for _ in range(60):
        picture = blend(NEW, picture, constant(0.8))
    assert np.abs(picture.astype(int) - NEW).max() <= 3, "rounding may hold it a little off, no more"


def test_the_inputs_stay_as_they_were() -> None:
    before = NEW.copy(), HISTORY.copy()
    assert blend(NEW, HISTORY, constant(0.4)).dtype == np.uint8
    np.testing.assert_array_equal((NEW, HISTORY), before)
