"""The kernel of the color cube against the reference, and where the answer is known."""

from typing import Any

import numpy as np
import pytest

from allaprima.kernels.lut3d import lut3d
from allaprima.kernels.reference import lut3d as reference

from .fake_cupy import FakeCupy

TOLERANCES = {"float16": 2.0**-11, "float32": 1e-6, "uint8": 1}
"""Half precision has 11 bits below 1: one rounding the other way; bytes: a half may be rounded either way."""


def random_cube(size: int) -> Any:
    return np.random.default_rng(size).random((size, size, size, 3)).astype(np.float32)


def identity(size: int) -> Any:
    side = np.linspace(0, 1, size, dtype=np.float32)
    return np.ascontiguousarray(np.stack(np.meshgrid(side, side, side, indexing="ij"), -1))


def picture(shape: tuple[int, int], dtype: str) -> Any:
    """Colors beyond 0..1 as well, exact zeros and ones, and grays."""
    rgb = np.random.default_rng(1).uniform(-0.1, 1.1, (3, *shape))
    rgb[:, ::3, ::5] = rgb[:1, ::3, ::5]
    rgb[:, ::4, ::3] = np.rint(rgb[:, ::4, ::3])
    return (rgb.clip(0, 1) * 255).astype(np.uint8) if dtype == "uint8" else rgb.astype(dtype)


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("size", [2, 3, 17, 65])
def test_it_is_the_reference(cupy: Any, dtype: str, size: int) -> None:
    cube = random_cube(size)
    for shape, strength in (((1, 1), 1.0), ((1, 300), 0.5), ((37, 53), 1.0)):
        rgb = picture(shape, dtype)
        out = lut3d(cupy.asarray(rgb), cupy.asarray(cube), strength).get()
        expected = reference.lut3d(rgb, cube, strength)
        assert out.dtype == expected.dtype
        difference = np.abs(out.astype(np.float64) - expected)
        assert difference.max() <= TOLERANCES[dtype]
        if dtype == "uint8":
            assert (difference > 0).mean() < 0.01


@pytest.mark.parametrize("dtype", ["float16", "float32", "uint8"])
def test_the_identity_changes_nothing(cupy: Any, dtype: str) -> None:
    rgb = picture((20, 30), dtype)
    out = lut3d(cupy.asarray(rgb), cupy.asarray(identity(33))).get()
    np.testing.assert_allclose(out, rgb.clip(0, 255 if dtype == "uint8" else 1), atol=3e-7)


def test_strength_0_clamps_only(cupy: Any) -> None:
    rgb = picture((9, 9), "float32")
    out = lut3d(cupy.asarray(rgb), cupy.asarray(random_cube(5)), 0.0).get()
    np.testing.assert_array_equal(out, rgb.clip(0, 1))


def test_what_is_not_a_number_is_black(cupy: Any) -> None:
    cube = random_cube(4)
    rgb = np.float32([np.nan, np.inf, -np.inf]).reshape(3, 1, 1)
    out = lut3d(cupy.asarray(rgb), cupy.asarray(cube)).get()
    np.testing.assert_allclose(out[:, 0, 0], cube[0, 3, 0], atol=1e-7)


def test_one_launch_on_the_stream_without_memory(emulated: FakeCupy) -> None:
    rgb, cube = emulated.asarray(picture((20, 30), "float16")), emulated.asarray(random_cube(3))
    out, stream = emulated.empty_like(rgb), emulated.cuda.Stream()
    with emulated.no_allocation():
        assert lut3d(rgb, cube, out=out, stream=stream) is out
    (launch,) = emulated.launches
    assert launch == ("lut3d<__half>", (3,), (256,), stream)


def test_what_does_not_fit_is_refused(emulated: FakeCupy) -> None:
    rgb, cube = emulated.zeros((3, 4, 4), np.float32), emulated.zeros((2, 2, 2, 3), np.float32)
    for wrong in (emulated.zeros((4, 4), np.float32), emulated.zeros((4, 4, 4), np.float32)):
        with pytest.raises(ValueError, match="rgb must have the shape"):
            lut3d(wrong, cube)
    with pytest.raises(TypeError, match="rgb must be float16 or float32 or uint8"):
        lut3d(emulated.zeros((3, 4, 4), np.float64), cube)
    for shape in ((2, 2, 3, 3), (2, 2, 2, 4), (8, 3)):
        with pytest.raises(ValueError, match="cube must have the shape"):
            lut3d(rgb, emulated.zeros(shape, np.float32))
    with pytest.raises(ValueError, match="at least 2"):
        lut3d(rgb, emulated.zeros((1, 1, 1, 3), np.float32))
    with pytest.raises(ValueError, match="out must have the shape"):
        lut3d(rgb, cube, out=emulated.zeros((3, 4, 5), np.float32))
