"""The color cube where the answer is known by hand."""

from itertools import permutations, product
from typing import Any

import numpy as np
import pytest

from allaprima.kernels.reference.lut3d import lut3d

CORNERS = list(product((0, 1), repeat=3))


def pixel(*color: float) -> Any:
    return np.array(color, np.float64).reshape(3, 1, 1)


def one_hot(corner: tuple[int, ...]) -> Any:
    """A cube of two colors a side that is white at one corner, else black."""
    cube = np.zeros((2, 2, 2, 3), np.float32)
    cube[corner] = 1
    return cube


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_each_tetrahedron_weighs_its_four_corners(order: tuple[int, ...]) -> None:
    """The color is 0.7, 0.4 and 0.1 along the axes in this order."""
    color, way = [0.0] * 3, [(0, 0, 0)]
    for axis, length in zip(order, (0.7, 0.4, 0.1), strict=True):
        color[axis] = length
        way.append(tuple(int(i == axis or n) for i, n in enumerate(way[-1])))
    expected = dict(zip(way, (0.3, 0.3, 0.3, 0.1), strict=True))
    for corner in CORNERS:
        found = lut3d(pixel(*color), one_hot(corner))
        np.testing.assert_allclose(found.ravel(), expected.get(corner, 0), atol=1e-12)


@pytest.mark.parametrize("gray", [0, 0.2, 0.25, 0.6, 1])
def test_gray_lies_between_the_grays_of_the_cube(gray: float) -> None:
    cube = np.random.default_rng(0).random((5, 5, 5, 3)).astype(np.float32)
    diagonal = cube[range(5), range(5), range(5)]
    expected = [np.interp(gray, np.linspace(0, 1, 5), diagonal[:, c]) for c in range(3)]
    np.testing.assert_allclose(lut3d(pixel(gray, gray, gray), cube).ravel(), expected, atol=1e-12)


def test_the_colors_of_the_cube_are_met() -> None:
    cube = np.random.default_rng(0).random((4, 4, 4, 3)).astype(np.float32)
    for index in product(range(4), repeat=3):
        np.testing.assert_allclose(lut3d(pixel(*(i / 3 for i in index)), cube).ravel(), cube[index], atol=1e-12)


def test_what_is_linear_stays_linear() -> None:
    matrix = np.array([[0.2, 0.5, 0.1], [0.3, 0.1, 0.4], [0.0, 0.6, 0.3]])
    side = np.linspace(0, 1, 9)
    cube = (np.stack(np.meshgrid(side, side, side, indexing="ij"), -1) @ matrix.T).astype(np.float32)
    rgb = np.random.default_rng(0).random((3, 10, 10))
    np.testing.assert_allclose(lut3d(rgb, cube), np.einsum("ij,jyx->iyx", matrix, rgb), atol=1e-6)


def test_strength_mixes_with_the_clamped_color() -> None:
    rgb, cube = pixel(0.5, 1.5, np.nan), np.ones((2, 2, 2, 3), np.float32)
    np.testing.assert_allclose(lut3d(rgb, cube, 0.0).ravel(), [0.5, 1, 0])
    np.testing.assert_allclose(lut3d(rgb, cube, 0.5).ravel(), [0.75, 1, 0.5])


def test_bytes_are_rounded_to_the_nearest() -> None:
    cube = np.full((2, 2, 2, 3), np.float32(100.6 / 255))
    assert lut3d(np.full((3, 1, 1), 7, np.uint8), cube).ravel().tolist() == [101] * 3
