"""The made-up next frame: a view that moves, and features that move with it."""

import random

import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install 'allaprima[train]'")

from allaprima.exporters.motion import MARGIN, moved_features, pixel_grid, random_motion, sample  # noqa: E402


def test_a_view_that_does_not_move_is_a_crop() -> None:
    picture = torch.rand(2, 3, 40, 40)
    where = next(
        w
        for seed in range(20)
        if (w := random_motion(2, 40, 24, random.Random(seed), torch.Generator())).frac().abs().max() == 0
    )
    left, top = (int(v) for v in where[0, 0, 0])
    torch.testing.assert_close(
        sample(picture, where), picture[..., top : top + 24, left : left + 24], atol=1e-5, rtol=0
    )


def test_features_move_with_their_picture() -> None:
    """Features that say where they are: a view sees those of the place it comes from."""
    rows, columns = torch.meshgrid(torch.arange(24.0), torch.arange(24.0), indexing="ij")
    positions = torch.stack([columns, rows])[None] * 4 + 1.5 - MARGIN  # of a 64-pixel picture, widened
    moved = moved_features(positions, pixel_grid(32)[None] + torch.tensor([7.0, 5.0]), torch.zeros(1, 2, 16, 16))
    inside = moved[0, :, 4:-4, 4:-4]  # of the view, without its margin
    torch.testing.assert_close(inside[0], columns[:8, :8] * 4 + 1.5 + 7, atol=1e-3, rtol=0)
    torch.testing.assert_close(inside[1], rows[:8, :8] * 4 + 1.5 + 5, atol=1e-3, rtol=0)
