"""Patches that search for their motion, and the flow that they make."""

from typing import Any

import cv2
import numpy as np
import pytest

from allaprima.kernels.reference.pyramid import Level, pyramid
from allaprima.kernels.reference.search import densify, origins, propagate, search, search_widely

SIZE = (72, 56)
MIDDLE = (slice(None), slice(3, -3), slice(3, -3))
"""Patches that do not look for what has left the picture."""


def textured(motion: tuple[float, float], light: float = 0) -> Level:
    """One level of soft blobs that move by ``motion`` and become brighter."""
    noise = np.random.default_rng(5).standard_normal((140, 160)).astype(np.float32)
    blobs = cv2.normalize(cv2.GaussianBlur(noise, None, 2.5), None, 20, 200, cv2.NORM_MINMAX)
    moved = cv2.warpAffine(blobs, np.float32([[1, 0, motion[0]], [0, 1, motion[1]]]), (160, 140), flags=cv2.INTER_CUBIC)
    before, now = (np.rint(a[40:96, 40:112]).astype(np.uint8) for a in (blobs, moved + light))
    return pyramid(before, now, 1)[0]


def even(value: tuple[float, float], shape: tuple[int, int] = (28, 36)) -> Any:
    """A flow that is the same everywhere, in both directions."""
    return np.broadcast_to(np.float32(value), (2, *shape, 2)).copy()


@pytest.mark.parametrize(
    ("side", "wanted"), [(1, [0]), (8, [0]), (9, [0, 1]), (12, [0, 4]), (15, [0, 4, 7]), (17, [0, 4, 8, 9])]
)
def test_patches_begin_every_four_pixels_and_end_with_the_picture(side: int, wanted: list[int]) -> None:
    assert origins(side).tolist() == wanted


@pytest.mark.parametrize("motion", [(0, 0), (2, -1), (6, 3), (-7.5, 5.25)])
def test_patches_find_a_motion_from_nothing(motion: tuple[float, float]) -> None:
    found = search_widely(textured(motion))[MIDDLE]
    for direction, sign in enumerate((-1, 1)):
        error = np.linalg.norm(found[direction] - sign * np.float32(motion), axis=-1)
        assert np.median(error) < 0.1
        assert (error < 0.5).mean() > 0.8


def test_a_change_of_light_is_no_motion() -> None:
    found = search_widely(textured((2, -1), light=30))[MIDDLE]
    assert np.median(np.abs(found[1] - np.float32([2, -1]))) < 0.05


def test_the_smaller_level_says_where_to_begin() -> None:
    level = textured((14, 12))
    wrong, right = search(level, even((0, 0))), search(level, even((7, 6)))
    error = [np.linalg.norm(found[1, 1:-5, 1:-6] - np.float32([14, 12]), axis=-1) for found in (wrong, right)]
    assert np.median(error[0]) > 5
    assert np.median(error[1]) < 0.05


def test_the_last_flow_is_another_beginning() -> None:
    level = textured((14, 12))
    last = np.stack([even((-28, -24), (112, 144))[0], even((28, 24), (112, 144))[1]])
    found = search(level, even((0, 0)), last, scale=2)
    assert np.median(np.linalg.norm(found[1, 1:-5, 1:-6] - np.float32([14, 12]), axis=-1)) < 0.05
    np.testing.assert_array_equal(search(textured((0, 0)), even((0, 0)), last, scale=2), 0 * found)


@pytest.mark.parametrize("stripes", [False, True])
def test_patches_without_texture_stay_where_they_begin(stripes: bool) -> None:
    """An even picture, and one whose motion along the stripes cannot be told."""
    x = np.arange(72)
    row = (127 + 100 * np.sin(x / 3)).astype(np.uint8) if stripes else np.full(72, 90, np.uint8)
    picture = np.tile(row, (56, 1))
    (level,) = pyramid(picture, picture, 1)
    assert not search_widely(level).any()
    np.testing.assert_allclose(search(level, even((0, 1)))[MIDDLE][..., 1], 2, atol=1e-6)


def test_a_patch_keeps_a_foot_in_the_picture_and_goes_no_farther_than_a_patch() -> None:
    a, b = np.random.default_rng(2).integers(0, 256, (2, 56, 72), np.uint8)
    (level,) = pyramid(a, b, 1)
    x, y = np.meshgrid(origins(72), origins(56))
    for far in ((-1e6, 1e6), (1e6, -1e6)):
        motion = search(level, even(far))
        assert (x + motion[..., 0] > -8).all()
        assert (y + motion[..., 1] > -8).all()
        assert (x + motion[..., 0] < 72).all()
        assert (y + motion[..., 1] < 56).all()


def test_a_lone_wrong_patch_learns_from_its_neighbors() -> None:
    level, motion = textured((6, 3)), np.stack([even((-6, -3), (13, 17))[0], even((6, 3), (13, 17))[1]])
    motion[:, 6, 8] = (-9, 9)
    np.testing.assert_allclose(propagate(level, motion)[1, 6, 8], (6, 3), atol=0.05)


def test_flow_is_the_mean_of_the_patches_that_fit() -> None:
    level, motion = textured((6, 3)), np.stack([even((-6, -3), (13, 17))[0], even((6, 3), (13, 17))[1]])
    np.testing.assert_allclose(densify(level, motion)[1], np.broadcast_to(np.float32([6, 3]), (56, 72, 2)), atol=1e-5)
    motion[:, 6, 8] = (-30, 20)
    wrong = densify(level, motion)[1, 28, 36] - np.float32([6, 3])
    assert np.linalg.norm(wrong) < 0.5 * np.linalg.norm([36, 17]) / 4, "an even mean of four would be off by a quarter"
