"""The kernels of frame against the reference: formats, factors, odd sides, even pictures, masks."""

from itertools import product
from typing import Any

import numpy as np
import pytest

from allaprima.kernels.frame import gray, present, temper
from allaprima.kernels.reference import frame as reference
from allaprima.kernels.surface import FORMATS

from .fake_cupy import FakeCupy
from .surfaces import codes, pitched, shapes

SIZES = [(2, 2), (33, 5), (70, 18), (67, 35)]
MARGIN, EVEN = 16, 3.0
formats = pytest.mark.parametrize("format", FORMATS)


def own_size(size: tuple[int, int]) -> tuple[int, int]:
    """Of the engine's picture."""
    width, height = (-(-(side + 2 * MARGIN) // 8) * 8 for side in size)
    return width, height


def picture(size: tuple[int, int]) -> tuple[Any, Any]:
    rng, (width, height) = np.random.default_rng(5), own_size(size)
    return rng.integers(0, 256, (height, width), np.uint8), rng.integers(0, 256, (2, height // 2, width // 2), np.uint8)


@formats
def test_gray_is_the_reference(cupy: Any, format: str) -> None:
    for size, factor in product(SIZES, (1, 2, 4)):
        width, height = own_size(size)
        small, planes = (width // factor, height // factor), codes(size, format)
        expected = reference.gray(planes, small, factor, MARGIN)
        for surface in (tuple(map(cupy.asarray, planes)), pitched(cupy, planes)):
            np.testing.assert_array_equal(gray(surface, small, factor, MARGIN).get(), expected, err_msg=f"{size}")


@formats
@pytest.mark.parametrize("deviation", [0.0, 4.0, 5.9, 60.0])
def test_temper_is_the_reference(cupy: Any, format: str, deviation: float) -> None:
    for size in SIZES:
        planes, paint = codes(size, format), picture(size)
        figures = np.float32([[np.nan, np.nan, np.nan, deviation**2, np.nan, np.nan]])
        expected = reference.temper(planes, deviation, EVEN, MARGIN, paint)
        out = tuple(map(cupy.asarray, paint))
        assert temper(pitched(cupy, planes), cupy.asarray(figures), EVEN, MARGIN, out=out) is out
        for plane, wanted in zip(out, expected, strict=True):
            assert_alike(plane.get(), wanted)


@formats
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_present_is_the_reference(cupy: Any, format: str, share: float) -> None:
    for size, masked, target in product(SIZES, (False, True), ("nv12", "yuv420p")):
        planes, shown = codes(size, format), picture(size)
        mask = np.random.default_rng(1).random(size[::-1], np.float32) if masked else None
        expected = reference.present(shown, planes, share, MARGIN, mask)
        out = pitched(cupy, tuple(np.zeros(shape, np.uint8) for shape in shapes(size, target)))
        on_device = None if mask is None else cupy.asarray(mask)
        own, weight = tuple(map(cupy.asarray, shown)), cupy.asarray(np.float32([share]))
        assert present(own, pitched(cupy, planes), weight, MARGIN, on_device, out=out) is out
        y, *chroma = (plane.get() for plane in out)
        found = (y, *chroma) if len(chroma) == 2 else (y, chroma[0][..., 0], chroma[0][..., 1])
        for plane, wanted in zip(found, expected, strict=True):
            assert_alike(plane, wanted)


def assert_alike(found: Any, wanted: Any) -> None:
    steps = np.abs(found.astype(int) - wanted)
    assert steps.max() <= 1, "a tie may be rounded either way"
    assert (steps > 0).sum() <= 1 + wanted.size // 200


def test_one_launch_each_on_the_stream_without_memory(emulated: FakeCupy) -> None:
    size, stream = (70, 18), emulated.cuda.Stream()
    planes, own = (tuple(map(emulated.asarray, part)) for part in (codes(size, "nv12"), picture(size)))
    figures, share = (emulated.zeros(shape, np.float32) for shape in ((1, 6), 1))
    small, out = emulated.empty((13, 26), np.uint8), tuple(map(emulated.asarray, codes(size, "yuv420p")))
    with emulated.no_allocation():
        assert gray(planes, (26, 13), 4, MARGIN, out=small, stream=stream) is small
        temper(planes, figures, EVEN, MARGIN, out=own, stream=stream)
        present(own, planes, share, MARGIN, out=out, stream=stream)
    names = [(launched.kernel, launched.stream) for launched in emulated.launches]
    assert names == [(f"{kernel}<unsigned char>", stream) for kernel in ("gray", "temper", "present")]


def test_what_does_not_fit_is_refused(emulated: FakeCupy) -> None:
    planes, own = (tuple(map(emulated.asarray, part)) for part in (codes((6, 4), "nv12"), picture((6, 4))))
    share, figures = emulated.zeros(1, np.float32), emulated.zeros((1, 6), np.float32)
    with pytest.raises(ValueError, match="factor must be 1, 2 or 4"):
        gray(planes, (4, 4), 3, MARGIN)
    with pytest.raises(ValueError, match=r"out must have the shape \(9, 10\)"):
        gray(planes, (10, 9), 4, MARGIN, out=emulated.zeros((9, 9), np.uint8))
    with pytest.raises(ValueError, match="the luma of out must have the shape"):
        temper(planes, figures, EVEN, MARGIN, out=(own[0], own[1].reshape(2, -1, 4)))
    with pytest.raises(ValueError, match=r"figures must have the shape \(1, 6\)"):
        temper(planes, figures.reshape(6), EVEN, MARGIN, out=own)
    with pytest.raises(ValueError, match="too small for"):
        present(own, planes, share, 64, out=planes)
    with pytest.raises(ValueError, match=r"out must be uint8 of \(6, 4\)"):
        present(own, planes, share, MARGIN, out=tuple(map(emulated.asarray, codes((6, 6), "nv12"))))
    with pytest.raises(ValueError, match=r"mask must have the shape \(4, 6\)"):
        present(own, planes, share, MARGIN, emulated.zeros((6, 4), np.float32), out=planes)
