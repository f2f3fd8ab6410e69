"""What an engine is held against: pictures, styles, decibels."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from allaprima.exporters import parity
from allaprima.exporters.parity import compare, decibels, pictures
from allaprima.realtime.bundle import Bundle

from .. import tiny

CELLS = (12, 16)


def right(feeds: Any) -> Any:
    """What the tiny nets paint."""
    return feeds["packed"] + feeds["strength"] * feeds["shift_0"]


def test_decibels_are_of_black_to_white() -> None:
    black = np.zeros((1, 24, 4, 4), np.float32)
    assert decibels(black, black) == float("inf")
    assert decibels(black + 2, black) == pytest.approx(0)
    assert decibels(black + 0.02, black) == pytest.approx(40, abs=1e-3)
    assert np.isnan(decibels(black + np.float32("nan"), black))


def test_pictures_look_real_at_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parity, "LARGEST_SCENE", 100)
    pictures.cache_clear()
    for cells in (CELLS, (90, 9)):
        found = pictures(cells)
        assert len(found) == 2
        for picture in found:
            assert (picture.shape, picture.dtype) == ((1, 24, *cells), np.float32)
            assert picture[:, :16].std() > 0.1
            assert np.abs(picture).max() <= 1.1
        assert np.abs(found[0] - found[1]).mean() > 0.1


def test_every_style_of_a_small_bundle_is_compared(tiny_bundle: Path) -> None:
    found = compare(right, Bundle(tiny_bundle), CELLS)
    assert found.ok
    assert found.psnr > 100
    assert found.compared == 2 * len(tiny.STYLES)


def test_of_many_styles_a_sample_is_compared(own_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(10):
        tiny.add_style(own_bundle, f"style-{number}", number / 20)
    assert compare(right, Bundle(own_bundle), CELLS).compared == 2 * parity.MOST_STYLES
    monkeypatch.setattr(parity, "LARGE", 100)
    assert compare(right, Bundle(own_bundle), CELLS).compared == 2 * parity.MOST_STYLES_LARGE


def test_the_worst_painting_counts_and_names_its_style(tiny_bundle: Path) -> None:
    def wrong_in_blue(feeds: Any) -> Any:
        return right(feeds) + (0.1 if feeds["shift_0"][0, 16, 0, 0] else 0)

    found = compare(wrong_in_blue, Bundle(tiny_bundle), CELLS)
    assert (found.ok, found.style) == (False, "blue")
    assert found.psnr == pytest.approx(26.02, abs=0.1)


def test_what_is_no_number_fails(tiny_bundle: Path) -> None:
    found = compare(lambda feeds: right(feeds) * np.float32("nan"), Bundle(tiny_bundle), CELLS)
    assert (found.ok, found.compared) == (False, 1)


def test_two_regions_are_mixed_by_a_mask(tiny_bundle: Path) -> None:
    def both(feeds: Any) -> Any:
        assert feeds["mask_fine"].shape == (1, 1, *CELLS)
        return feeds["packed"] + (1 - feeds["mask_fine"]) * feeds["shift_0"] + feeds["mask_fine"] * feeds["shift_1"]

    assert compare(both, Bundle(tiny_bundle), CELLS, 2).psnr > 100
