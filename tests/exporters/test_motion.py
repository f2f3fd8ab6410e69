"""The made-up next frame: a view that moves."""

import random

import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install 'allaprima[train]'")

from allaprima.exporters.motion import random_motion, sample  # noqa: E402


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
