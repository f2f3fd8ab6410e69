"""Detail is measured, and its contrast kept, frame by frame."""

from typing import Any

import cv2
import numpy as np
import pytest

from allaprima.kernels.reference import contrast
from allaprima.kernels.reference.blend import hold
from allaprima.kernels.reference.contrast import STEP, gain
from allaprima.kernels.reference.warp import warp

SMALL = (40, 30)


def strokes(seed: int = 0, size: tuple[int, int] = (160, 120)) -> Any:
    noise = np.random.default_rng(seed).standard_normal(size[::-1]).astype(np.float32)
    return 128 + 25 * cv2.normalize(cv2.GaussianBlur(noise, None, 2), None, -2, 2, cv2.NORM_MINMAX)


def raised(new: Any, history: Any, weight: float = 1.0) -> Any:
    return gain(new.astype(np.float32), history.astype(np.float32), weight, SMALL)


@pytest.mark.parametrize("weight", [0.0, 0.9, 1.0])
def test_history_that_is_the_new_picture_stays_as_it_is(weight: float) -> None:
    found = raised(strokes(), strokes(), weight)
    assert found.shape == (30, 40)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, 1, atol=1e-5)


@pytest.mark.parametrize(("factor", "expected"), [(0.98, 1.0204), (1.03, 0.971), (0.5, 1 + STEP), (2.0, 1 - STEP)])
def test_contrast_is_brought_back_by_at_most_a_step(factor: float, expected: float) -> None:
    new = 128 + 4 * (strokes() - 128)
    np.testing.assert_allclose(raised(new, 128 + factor * (new - 128)), expected, rtol=4e-3)


def test_other_strokes_are_raised_by_what_the_blend_will_lose(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two textures that have nothing in common: w^2 + (1 - w)^2 of their detail is left in the blend."""
    monkeypatch.setattr(contrast, "STEP", 0.9)  # two random textures have little in common, also here and there
    new, history, weight = 4 * strokes(1), 4 * strokes(2), 0.97
    at_rest, before = raised(new, history, 1.0), raised(new, history, weight)
    lost = (weight**2 + (1 - weight) ** 2) ** 0.5
    assert np.median(before / at_rest) == pytest.approx(1 / lost, abs=0.006)


def test_each_place_has_its_own_gain() -> None:
    new = 128 + 4 * (strokes() - 128)
    history = new.copy()
    history[:, 80:] = 128 + 0.97 * (new[:, 80:] - 128)
    found = raised(new, history)
    np.testing.assert_allclose(found[:, :5], 1, atol=1e-3)
    np.testing.assert_allclose(found[:, 35:], 1 / 0.97, atol=3e-3)


def test_noise_of_single_pixels_is_no_stroke() -> None:
    row, column = np.indices((120, 160))
    checks = 128 + 20 * ((row + column) % 2 * 2 - 1)
    np.testing.assert_allclose(raised(checks, np.full((120, 160), 128)), 1, atol=1e-3)


def test_where_there_is_nothing_but_rounding_nothing_is_raised() -> None:
    even, rounding = np.full((120, 160), 90.0), np.random.default_rng(0).uniform(-0.5, 0.5, (120, 160))
    assert raised(even + rounding, even, 0.97).max() <= 1 + STEP
    assert raised(even, even + rounding, 0.97).min() > 1 - 1.2 * STEP


def test_a_picture_warped_a_hundred_times_keeps_its_contrast() -> None:
    """Left alone it does not, to and fro by half a pixel."""
    fresh = strokes()
    new = np.clip(fresh + 0.5, 0, 255).astype(np.uint8)
    column, row = np.meshgrid(np.arange(160, dtype=np.float32), np.arange(120, dtype=np.float32))
    ones = np.ones((120, 160), np.float32)
    shown = {True: fresh, False: fresh}
    for step in range(100):
        where = np.dstack([column, row]) + np.float32(0.45 if step % 2 else -0.45)
        for kept in shown:
            history = warp(shown[kept], where, "bicubic")
            raise_by = cv2.resize(gain(fresh, history, 0.97, SMALL), (160, 120)) if kept else ones
            level = cv2.GaussianBlur(history, None, 6) * (1 - raise_by)
            shown[kept] = hold(new.astype(np.float32), history, 0.97 * ones, level, raise_by)
    sharp = {kept: cv2.Laplacian(p[::2, ::2], cv2.CV_32F).var() for kept, p in shown.items()}
    wanted = cv2.Laplacian(fresh[::2, ::2], cv2.CV_32F).var()
    assert sharp[True] / wanted == pytest.approx(1, abs=0.12)
    assert abs(sharp[True] / wanted - 1) < 0.5 * abs(sharp[False] / wanted - 1)
