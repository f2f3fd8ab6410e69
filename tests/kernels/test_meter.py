"""The meters, on changes and pictures worked out by hand."""

from typing import Any

import numpy as np
import pytest

from allaprima.kernels.reference.confidence import identity_grid
from allaprima.kernels.reference.meter import FIGURES, LEAST_SEEN, faults, flicker, health

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


# ---- health ----


def figures(picture: Any, previous: Any = None) -> dict[str, float]:
    """Of one plane, by name."""
    (row,) = health(picture[None], None if previous is None else previous[None])
    return dict(zip(FIGURES, row.tolist(), strict=True))


def test_figures_of_a_plane() -> None:
    found = figures(np.uint8([[1, 3], [3, 9]]), np.uint8([[0, 3], [3, 10]]))
    assert found == {"least": 1, "most": 9, "mean": 4, "variance": 9, "bad": 0, "change": 0.5}
    assert np.isnan(figures(np.uint8([[1]]))["change"])


def test_what_is_not_finite_is_counted_and_left_out() -> None:
    picture = np.float16([[np.nan, 1, np.inf], [-np.inf, 3, 2]])
    found = figures(picture, np.float16([[1, 1, 1], [1, 0, np.nan]]))
    assert found == {"least": 1, "most": 3, "mean": 2, "variance": pytest.approx(2 / 3), "bad": 3, "change": 0.5}


def test_a_plane_of_nothing_finite_has_no_figures() -> None:
    found = figures(np.full((2, 2), np.nan, np.float32))
    assert found.pop("bad") == 4
    assert np.isnan(list(found.values())).all()


def noise(level: float, deviation: float) -> Any:
    values = np.random.default_rng(0).normal(level, deviation, (3, 30, 40))
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("picture", "found"),
    [
        (noise(120, 30), ()),
        (noise(120, 2), ("even",)),
        (noise(16, 2), ("even", "black")),
        (noise(0, 0), ("even", "black")),
        (noise(40, 0), ("even",)),
        (np.concatenate([noise(16, 2)[:2], noise(16, 20)[:1]]), ()),  # one plane has contrast
        (np.concatenate([noise(0, 0)[:2], noise(200, 0)[:1]]), ("even",)),  # blue is not black
    ],
)
def test_faults_of_pictures(picture: Any, found: tuple[str, ...]) -> None:
    assert faults(health(picture)) == found
    assert faults(health((picture / 255).astype(np.float32)), 1.0) == found


def test_a_picture_that_does_not_change_is_frozen() -> None:
    picture = noise(120, 30)
    other = picture.copy()
    other[2, 5, 5] ^= 1
    assert faults(health(picture, picture)) == ("frozen",)
    assert faults(health(picture, other)) == ()


def test_one_value_that_is_no_number_breaks_a_picture() -> None:
    picture = noise(120, 30).astype(np.float32)
    picture[1, 2, 3] = np.nan
    assert faults(health(picture)) == ("broken",)
    assert faults(health(np.full((1, 2, 2), np.nan, np.float32))) == ("broken",)
