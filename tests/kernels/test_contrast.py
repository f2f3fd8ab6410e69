"""Detail is measured, and its contrast kept, frame by frame."""

from typing import Any

import cv2
import numpy as np
import pytest

from allaprima.kernels.reference.blend import hold
from allaprima.kernels.reference.contrast import STEP, detail, gain
from allaprima.kernels.reference.warp import warp

SMALL = (40, 30)


def strokes(seed: int = 0, size: tuple[int, int] = (160, 120)) -> Any:
    noise = np.random.default_rng(seed).standard_normal(size[::-1]).astype(np.float32)
    return 128 + 25 * cv2.normalize(cv2.GaussianBlur(noise, None, 2), None, -2, 2, cv2.NORM_MINMAX)


def test_an_even_picture_has_no_detail() -> None:
    found = detail(np.full((120, 160), 90, np.float32), SMALL)
    assert found.shape == (30, 40)
    assert found.dtype == np.float32
    assert not found.any()


def test_detail_grows_with_the_square_of_the_contrast() -> None:
    picture = strokes()
    stronger = 128 + 1.5 * (picture - 128)
    np.testing.assert_allclose(detail(stronger, SMALL), 2.25 * detail(picture, SMALL), rtol=1e-3)


def test_detail_stays_where_it_is() -> None:
    picture = np.full((120, 160), 128, np.float32)
    picture[:, 80:] = strokes()[:, 80:]
    found = detail(picture, SMALL)
    assert found[:, 35].min() > 20 * found[:, 5].max()


def test_noise_of_single_pixels_counts_little() -> None:
    row, column = np.indices((120, 160))
    checks = (128 + 20 * ((row + column) % 2 * 2 - 1)).astype(np.float32)
    assert detail(checks, SMALL).max() < 1e-3


@pytest.mark.parametrize(("factor", "expected"), [(0.98, 1.0204), (1.03, 0.971), (0.5, 1 + STEP), (2.0, 1 - STEP)])
def test_contrast_is_brought_back_by_at_most_a_step(factor: float, expected: float) -> None:
    picture = strokes()
    energy = detail(picture, SMALL) + 1000
    np.testing.assert_allclose(gain(energy, energy * factor**2), expected, rtol=2e-3)


def test_where_there_is_nothing_but_rounding_nothing_is_raised() -> None:
    even = np.zeros((30, 40), np.float32)
    np.testing.assert_allclose(gain(even, even + 0.1), 1, atol=0.02)


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
            contrast = None
            if kept:
                raised = gain(detail(new.astype(np.float32), SMALL), detail(history, SMALL))
                level = cv2.GaussianBlur(history, None, 6)
                up = cv2.resize(raised, (160, 120), interpolation=cv2.INTER_LINEAR)
                contrast = (up, level * (1 - up))
            shown[kept] = hold(new, history, 0.97 * ones, 0 * ones, contrast)
    sharp = {kept: detail(p, SMALL).mean() / detail(new.astype(np.float32), SMALL).mean() for kept, p in shown.items()}
    assert sharp[True] == pytest.approx(1, abs=0.12)
    assert abs(sharp[True] - 1) < 0.5 * abs(sharp[False] - 1)
