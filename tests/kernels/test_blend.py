"""Blending of the new picture with its history."""

from typing import Any

import numpy as np
import pytest

from allaprima.kernels.reference.blend import CRISP, ROWS, blend, crisp, hold

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


# ---- holding ----

FRESH = NEW.astype(np.float32)


def zeros(like: Any) -> Any:
    return np.zeros(like.shape, np.float32)


def test_a_share_of_0_is_the_new_picture_and_of_1_the_history() -> None:
    history = HISTORY.astype(np.float32) + np.float32(0.25)
    np.testing.assert_array_equal(hold(FRESH, history, constant(0), zeros(NEW)), NEW)
    held = hold(FRESH, history, constant(1), zeros(NEW))
    assert held.dtype == np.float32
    np.testing.assert_allclose(held, history.clip(0, 255), atol=1e-4)


@pytest.mark.parametrize("height", [1, ROWS - 1, ROWS, ROWS + 1, 3 * ROWS + 5])
def test_every_row_is_new_plus_its_share_of_the_difference(height: int) -> None:
    rng = np.random.default_rng(height)
    new = rng.integers(60, 180, (height, 40), np.uint8)
    history = rng.uniform(100, 110, new.shape).astype(np.float32)
    share = rng.uniform(0, 1.1, new.shape).astype(np.float32)
    level = rng.uniform(-5, 5, new.shape).astype(np.float32)
    found = hold(new.astype(np.float32), history, share, level)
    np.testing.assert_allclose(found, new + share * (history + level - new), atol=1e-3)


def test_a_share_near_1_still_takes_in_what_is_new() -> None:
    """Bytes would round a change of 0.2 away for ever."""
    new, picture = np.full((4, 40), 120, np.uint8), np.full((4, 40), 100, np.float32)
    new[0, 0], new[0, 1] = 90, 130
    for _ in range(300):
        picture = hold(new.astype(np.float32), picture, np.full((4, 40), 0.99, np.float32), zeros(new))
    np.testing.assert_allclose(picture[2], 120, atol=1.1)


def test_what_a_warp_overshoots_stays_within_the_range() -> None:
    """Less than black must not come back as gray, nor leave the range of the video."""
    history = np.linspace(-40, 300, 720, dtype=np.float32).reshape(20, 36)
    held = hold(np.full_like(history, 120), history, constant(1), zeros(NEW), limits=(16, 235))
    np.testing.assert_allclose(held, history.clip(16, 235), atol=1e-4)


# ---- what is shown ----


@pytest.mark.parametrize("height", [1, ROWS, 2 * ROWS + 3])
def test_the_finest_detail_is_raised_where_it_is_worn(height: int) -> None:
    held = np.random.default_rng(1).uniform(90, 160, (height, 24)).astype(np.float32)
    worn = np.linspace(0, 1, 24, dtype=np.float32) + np.zeros_like(held)
    line = np.pad(held, ((1, 1), (1, 1)), mode="reflect" if height > 1 else "edge")
    soft = sum(
        line[i : i + height, j : j + 24] * np.float32((1, 2, 1)[i] * (1, 2, 1)[j] / 16)
        for i in range(3)
        for j in range(3)
    )
    shown = crisp(held, worn)
    assert shown.dtype == np.uint8
    assert np.abs(shown - (held + CRISP * worn * (held - soft)))[:, 1:-1].max() <= 0.51


def test_what_is_not_worn_is_shown_as_it_is_held() -> None:
    np.testing.assert_array_equal(crisp(FRESH, constant(0)), NEW)


def test_what_is_shown_keeps_to_the_range() -> None:
    stripes = np.tile(np.array([16, 235], np.float32), (20, 18))
    shown = crisp(stripes, constant(1), limits=(16, 235))
    assert (shown.min(), shown.max()) == (16, 235)


def test_what_rests_keeps_to_the_range_too() -> None:
    held = np.linspace(-20, 280, 720, dtype=np.float32).reshape(20, 36)
    np.testing.assert_array_equal(crisp(held, constant(0), (16, 235)), np.rint(held.clip(16, 235)))
