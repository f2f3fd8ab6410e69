"""Detail is measured, and its contrast kept, frame by frame."""

from typing import Any

import cv2
import numpy as np
import pytest

from allaprima.kernels.reference import contrast
from allaprima.kernels.reference.blend import hold
from allaprima.kernels.reference.contrast import STEP, detail, gain, raised
from allaprima.kernels.reference.warp import warp

SMALL = (40, 30)


def strokes(seed: int = 0, size: tuple[int, int] = (160, 120)) -> Any:
    noise = np.random.default_rng(seed).standard_normal(size[::-1]).astype(np.float32)
    return 128 + 25 * cv2.normalize(cv2.GaussianBlur(noise, None, 2), None, -2, 2, cv2.NORM_MINMAX)


def gained(new: Any, history: Any, weight: float = 1.0) -> Any:
    return gain(*(detail(plane.astype(np.float32)) for plane in (new, history)), weight, SMALL)


@pytest.mark.parametrize("weight", [0.0, 0.9, 1.0])
def test_history_that_is_the_new_picture_stays_as_it_is(weight: float) -> None:
    found = gained(strokes(), strokes(), weight)
    assert found.shape == (30, 40)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, 1, atol=1e-5)


@pytest.mark.parametrize(("factor", "expected"), [(0.98, 1.0204), (1.03, 0.971), (0.5, 1 + STEP), (2.0, 1 - STEP)])
def test_contrast_is_brought_back_by_at_most_a_step(factor: float, expected: float) -> None:
    new = 128 + 4 * (strokes() - 128)
    np.testing.assert_allclose(gained(new, 128 + factor * (new - 128)), expected, rtol=4e-3)


def test_other_strokes_are_raised_by_what_the_blend_will_lose(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two textures that have nothing in common: w^2 + (1 - w)^2 of their detail is left in the blend."""
    monkeypatch.setattr(contrast, "STEP", 0.9)  # two random textures have little in common, also here and there
    new, history, weight = 4 * strokes(1), 4 * strokes(2), 0.97
    at_rest, before = gained(new, history, 1.0), gained(new, history, weight)
    lost = (weight**2 + (1 - weight) ** 2) ** 0.5
    assert np.median(before / at_rest) == pytest.approx(1 / lost, abs=0.006)


def test_each_place_has_its_own_gain() -> None:
    new = 128 + 4 * (strokes() - 128)
    history = new.copy()
    history[:, 80:] = 128 + 0.97 * (new[:, 80:] - 128)
    found = gained(new, history)
    np.testing.assert_allclose(found[:, :5], 1, atol=1e-3)
    np.testing.assert_allclose(found[:, 35:], 1 / 0.97, atol=3e-3)


def test_what_strokes_lost_is_not_made_good_on_the_wall_beside_them() -> None:
    """Ripples would grow there: 24 pixels beside an edge nothing is raised any more."""
    new = np.full((120, 160), 128, np.float32)
    new[:, :80] += 4 * (strokes() - 128)[:, :80]
    found = gained(new, 128 + 0.8 * (new - 128))
    assert found[:, :16].min() > 1 + 0.9 * STEP
    np.testing.assert_allclose(found[:, 26:], 1, atol=0.02)


def test_noise_of_single_pixels_is_no_stroke() -> None:
    row, column = np.indices((120, 160))
    checks = 128 + 20 * ((row + column) % 2 * 2 - 1)
    np.testing.assert_allclose(gained(checks, np.full((120, 160), 128)), 1, atol=1e-3)


def test_where_there_is_nothing_but_rounding_nothing_is_raised() -> None:
    even, rounding = np.full((120, 160), 90.0), np.random.default_rng(0).uniform(-0.5, 0.5, (120, 160))
    assert gained(even + rounding, even, 0.97).max() < 1 + 0.7 * STEP
    assert gained(even, even + rounding, 0.97).min() > 1 - 0.7 * STEP


def kept_level(fresh: Any, history: Any) -> Any:
    """As the engine has it."""
    old = detail(history)
    none = np.zeros(SMALL[::-1], np.float32)
    return cv2.resize(raised(old, gain(detail(fresh), old, 0.97, SMALL), none), history.shape[::-1])


def test_detail_is_raised_as_it_is_measured() -> None:
    """By all of the gain for the finest waves that half the size can show, by ever less for coarser and finer ones."""
    row, shape = np.arange(120, dtype=np.float32)[:, None], (30, 40)
    by, level = np.full(shape, 1.08, np.float32), np.zeros(shape, np.float32)
    for period, least, most in ((24, 0.0, 0.1), (12, 0.2, 0.3), (6, 0.4, 0.55), (3, 0.0, 0.15)):
        stripes = 20 * np.sin(2 * np.pi * row / period) + np.zeros((1, 160), np.float32)
        added = cv2.resize(raised(detail(128 + stripes), by, level), (160, 120))
        share = (added * stripes)[12:-12].sum() / (0.08 * stripes**2)[12:-12].sum()
        assert least < share < most, (period, share)


def test_the_level_is_added_and_a_gain_of_1_adds_nothing() -> None:
    level = np.linspace(-5, 5, 1200, dtype=np.float32).reshape(30, 40)
    half = np.random.default_rng(0).uniform(-99, 99, (60, 80)).astype(np.float32)
    found = raised(half, np.ones_like(level), level)
    assert (found.shape, found.dtype) == ((60, 80), np.float32)
    np.testing.assert_allclose(found, cv2.resize(level, (80, 60)), atol=1e-5)


def test_a_picture_warped_a_hundred_times_keeps_its_contrast() -> None:
    """Left alone it does not, to and fro by half a pixel."""
    fresh = strokes()
    new = np.clip(fresh + 0.5, 0, 255).astype(np.uint8).astype(np.float32)
    column, row = np.meshgrid(np.arange(160, dtype=np.float32), np.arange(120, dtype=np.float32))
    ones = np.ones((120, 160), np.float32)
    shown = {True: fresh, False: fresh}
    for step in range(100):
        where = np.dstack([column, row]) + np.float32(0.45 if step % 2 else -0.45)
        for kept in shown:
            history = warp(shown[kept], where, "bicubic")
            level = kept_level(fresh, history) if kept else 0 * ones
            shown[kept] = hold(new, history, 0.97 * ones, level)
    sharp = {kept: detail(p).var() for kept, p in shown.items()}
    wanted = detail(fresh).var()
    assert sharp[True] / wanted == pytest.approx(1, abs=0.12)
    assert abs(sharp[True] / wanted - 1) < 0.5 * abs(sharp[False] / wanted - 1)


def grain(seed: int, width: float) -> Any:
    noise = cv2.GaussianBlur(np.random.default_rng(seed).standard_normal((120, 160)).astype(np.float32), None, width)
    return noise / noise.std()


def test_coarse_strokes_do_not_grow_under_fine_ones_that_flicker() -> None:
    """What a blend loses is the fine ones' contrast; made good by the coarse ones, these are blobs within seconds."""
    coarse, share = 128 + 15 * grain(1, 5), np.full((120, 160), 0.97, np.float32)
    history = coarse
    for frame in range(2, 62):
        new = np.clip(coarse + 8 * grain(frame, 1), 0, 255)
        history = hold(new, history, share, kept_level(new, history))
    off = cv2.GaussianBlur(history - coarse, None, 2)[12:-12, 12:-12]
    assert off.std() < 0.3 * coarse.std(), "all of the half size raised: 2.0"
