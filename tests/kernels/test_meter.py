"""The flicker meter, on changes worked out by hand."""

from typing import Any

import numpy as np
import pytest

from allaprima.kernels.reference.confidence import identity_grid
from allaprima.kernels.reference.meter import LEAST_SEEN, flicker

GRID = identity_grid((40, 30))
PICTURE = np.random.default_rng(0).uniform(50, 200, (30, 40)).astype(np.float32)


def trust(value: float = 1.0) -> Any:
    return np.full((30, 40), value, np.float32)


def test_what_stands_still_does_not_flicker() -> None:
    assert flicker(PICTURE, PICTURE, GRID, trust()) == 0


@pytest.mark.parametrize("step", [1.0, -25.5])
def test_a_change_counts_as_the_square_of_its_share_of_full_scale(step: float) -> None:
    assert flicker(PICTURE, PICTURE + np.float32(step), GRID, trust()) == pytest.approx((step / 255) ** 2, rel=1e-3)


def test_what_moves_with_the_picture_does_not_flicker() -> None:
    moved = np.roll(PICTURE, 3, 1)
    seen = trust()
    seen[:, :3] = 0
    assert flicker(PICTURE, moved, GRID + np.float32([-3, 0]), seen) == pytest.approx(0, abs=1e-9)
    still = flicker(PICTURE, moved, GRID, seen)
    assert still is not None
    assert still > 0.01


def test_only_what_can_be_trusted_counts() -> None:
    changed, seen = PICTURE.copy(), trust()
    changed[:10], seen[:10] = 255, 0.4
    assert flicker(PICTURE, changed, GRID, seen) == 0


def test_a_cut_is_no_flicker() -> None:
    seen = trust(0)
    seen.flat[: int(LEAST_SEEN * seen.size) - 1] = 1
    assert flicker(PICTURE, 255 - PICTURE, GRID, seen) is None
    assert flicker(PICTURE, 255 - PICTURE, GRID, trust()) is not None
