"""The kernel of the pyramid against the reference: exactly, since sums and halves of bytes are exact in float32."""

from typing import Any

import numpy as np
import pytest

from allaprima.kernels.pyramid import new_levels, pyramid
from allaprima.kernels.reference import pyramid as reference

from .fake_cupy import FakeCupy


def pictures(size: tuple[int, int]) -> Any:
    return np.random.default_rng(1).integers(0, 256, (2, size[1], size[0]), np.uint8)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (10, 1), (33, 17), (64, 16), (131, 67)])
def test_levels_of_any_size(cupy: Any, size: tuple[int, int]) -> None:
    a, b = pictures(size)
    found, wanted = pyramid(cupy.asarray(a), cupy.asarray(b), 4), reference.pyramid(a, b, 4)
    for level, right in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(level.gray.get(), right.gray)
        np.testing.assert_array_equal(level.gradient.get(), right.gradient)


def test_a_level_is_a_launch_and_nothing_is_allocated(emulated: FakeCupy) -> None:
    a, b = (emulated.asarray(picture) for picture in pictures((50, 20)))
    levels = new_levels((50, 20), 3)
    with emulated.no_allocation():
        pyramid(a, b, 3, out=levels)
    assert [launch.grid for launch in emulated.launches] == [(2, 3, 2), (1, 2, 2), (1, 1, 2)]


def test_what_does_not_fit_is_refused(emulated: FakeCupy) -> None:
    a, b = (emulated.asarray(picture) for picture in pictures((50, 20)))
    with pytest.raises(ValueError, match="current"):
        pyramid(a, emulated.asarray(pictures((50, 21))[1]), 1)
    with pytest.raises(TypeError, match="previous"):
        pyramid(emulated.zeros((20, 50), np.float32), b, 1)
    with pytest.raises(ValueError, match="2 levels"):
        pyramid(a, b, 2, out=new_levels((50, 20), 3))
    with pytest.raises(ValueError, match="out"):
        pyramid(a, b, 2, out=new_levels((52, 20), 2))
