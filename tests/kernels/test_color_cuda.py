"""The kernels of color against the reference: every format, standard and range, with pitches, margins and resizes."""

from itertools import product
from typing import Any

import numpy as np
import pytest

from allaprima.kernels.color import from_rgb, to_rgb
from allaprima.kernels.reference import color as reference
from allaprima.kernels.surface import FORMATS, crop

from .fake_cupy import FakeCupy
from .surfaces import FILL, SIZES, STANDARDS, codes, memories, pitched

TOLERANCES = {"float16": 2.0**-11, "float32": 2e-6}
"""Of values in 0..1. Half precision has 11 bits below 1: one rounding the other way. Single: about ten roundings."""
RESIZED = 2e-5
"""Between two samples 255 codes apart, at a position around 70 that is rounded to 2^-18."""

coded = pytest.mark.parametrize("full", [False, True])
standards = pytest.mark.parametrize("coefficients", STANDARDS.values(), ids=STANDARDS)
formats = pytest.mark.parametrize("format", FORMATS)
sitings = pytest.mark.parametrize("siting", reference.SITINGS)


def colors(size: tuple[int, int], dtype: str) -> Any:
    """Beyond 0..1 as well, and not all numbers."""
    rgb = np.random.default_rng(0).uniform(-0.1, 1.1, (3, *size[::-1])).astype(dtype)
    rgb.flat[::37] = np.nan
    return rgb


def assert_same_codes(out: tuple[Any, ...], expected: tuple[Any, ...]) -> None:
    """A code halfway between two may be rounded either way: the kernel works in single precision."""
    for plane, wanted in zip(out, expected, strict=True):
        unit = 64 if wanted.dtype == np.uint16 else 1
        difference = np.abs(plane.get().astype(int) - wanted)
        assert plane.dtype == wanted.dtype
        assert difference.max() <= unit
        assert (difference > 0).sum() <= 1 + wanted.size // 1000
        assert not (plane.get() % unit).any()


@coded
@standards
@formats
def test_to_rgb_is_the_reference(cupy: Any, format: str, coefficients: Any, full: bool) -> None:
    for size, dtype in product(SIZES, TOLERANCES):
        planes = codes(size, format)
        out = to_rgb(tuple(map(cupy.asarray, planes)), coefficients, full, dtype=dtype).get()
        expected = reference.to_rgb(planes, coefficients, full, dtype=dtype)
        assert out.dtype == expected.dtype
        np.testing.assert_allclose(out, expected, rtol=0, atol=TOLERANCES[dtype], err_msg=f"{size} {dtype}")


@sitings
@formats
def test_to_rgb_with_pitch_margin_and_siting(cupy: Any, format: str, siting: str) -> None:
    for size, (margin, stride) in product(SIZES, [(0, 1), (16, 8), (2, 5)]):
        planes = codes(size, format)
        how = {"siting": siting, "margin": margin, "stride": stride, "dtype": "float32"}
        out = to_rgb(pitched(cupy, planes), **how).get()
        np.testing.assert_allclose(out, reference.to_rgb(planes, **how), rtol=0, atol=2e-6, err_msg=f"{size} {how}")


@coded
@standards
@formats
def test_gray_is_gray_and_white_is_white(cupy: Any, format: str, coefficients: Any, full: bool) -> None:
    """All grays of 8 bits: no tint, not even in the last bit, and nothing lost on the way back."""
    bits = 10 if format == "p010" else 8
    black, luma, zero, _ = reference.levels(full, bits)
    gray = np.arange(black, black + luma + 1, 2 ** (bits - 8))
    y = np.tile(gray, (2, 1))
    planes = [np.full_like(plane, zero * (64 if bits == 10 else 1)) for plane in codes((len(gray), 2), format)]
    planes[0][:] = y * (64 if bits == 10 else 1)
    for siting, dtype in product(reference.SITINGS, TOLERANCES):
        rgb = to_rgb(tuple(map(cupy.asarray, planes)), coefficients, full, siting=siting, dtype=dtype)
        red, green, blue = rgb.get()
        np.testing.assert_array_equal(red, green)
        np.testing.assert_array_equal(red, blue)
        np.testing.assert_allclose(red, (y - black) / luma, rtol=0, atol=TOLERANCES[dtype] / 2)
        assert red[0, 0] == 0
        assert np.float16(red[0, -1]) == 1 or gray[-1] != black + luma
        if dtype == "float32" or bits == 8:  # halves have fewer steps than 10 bits
            for plane, wanted in zip(from_rgb(rgb, coefficients, full, format=format), planes, strict=True):
                np.testing.assert_array_equal(plane.get(), wanted)


@formats
@pytest.mark.parametrize("size", [(1, 1), (20, 11), (35, 18), (33, 70), (150, 9), (7, 40)])
def test_to_rgb_resizes(cupy: Any, format: str, size: tuple[int, int]) -> None:
    for source, siting in (((70, 36), "left"), ((33, 35), "center"), ((1, 2), "topleft")):
        planes = codes(source, format)
        for margin, dtype in ((0, "float32"), (4, "float16")):
            how = {"siting": siting, "size": size, "margin": margin, "stride": 4, "dtype": dtype}
            out = to_rgb(pitched(cupy, planes), **how).get()
            expected = reference.to_rgb(planes, **how)
            np.testing.assert_allclose(out, expected, rtol=0, atol=max(RESIZED, TOLERANCES[dtype]), err_msg=str(how))


@coded
@standards
@formats
def test_from_rgb_is_the_reference(cupy: Any, format: str, coefficients: Any, full: bool) -> None:
    for size, dtype in product(SIZES, TOLERANCES):
        rgb = colors(size, dtype)
        out = from_rgb(cupy.asarray(rgb), coefficients, full, format=format)
        assert_same_codes(out, reference.from_rgb(rgb, coefficients, full, format=format))


@sitings
@formats
def test_from_rgb_writes_within_the_pitch_and_reads_views(cupy: Any, format: str, siting: str) -> None:
    for width, height in SIZES:
        rgb = colors((width + 5, height + 4), "float32")
        expected = reference.from_rgb(rgb[:, 1:-3, 2:-3], siting=siting, format=format)
        memory = memories(cupy, tuple(map(np.zeros_like, expected)))
        out = tuple(m[:, : plane.shape[1]] for m, plane in zip(memory, expected, strict=True))
        assert from_rgb(cupy.asarray(rgb)[:, 1:-3, 2:-3], siting=siting, format=format, out=out) is out
        assert_same_codes(out, expected)
        for m, plane in zip(memory, expected, strict=True):
            assert (m.get()[:, plane.shape[1] :] == FILL).all()


@formats
def test_primaries_of_full_range_do_not_wrap(cupy: Any, format: str) -> None:
    """Their chroma is half a code above the largest."""
    rgb = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1])).reshape(3, 2, 4).repeat(2, 1).repeat(2, 2).astype(np.float32)
    out = from_rgb(cupy.asarray(rgb), reference.BT601, True, siting="center", format=format)
    expected = reference.from_rgb(rgb, reference.BT601, True, siting="center", format=format)
    for plane, wanted in zip(out, expected, strict=True):
        np.testing.assert_array_equal(plane.get(), wanted)
        assert wanted.max() == (1023 * 64 if format == "p010" else 255)


@pytest.mark.parametrize("dtype", TOLERANCES)
def test_the_result_may_begin_anywhere(cupy: Any, dtype: str) -> None:
    """Where two values cannot be written at once."""
    planes = codes((10, 6), "nv12")
    out = cupy.empty(181, dtype)[1:].reshape(3, 6, 10)
    to_rgb(tuple(map(cupy.asarray, planes)), dtype=dtype, out=out)
    expected = reference.to_rgb(planes, dtype=dtype)
    np.testing.assert_allclose(out.get(), expected, rtol=0, atol=TOLERANCES[dtype])


def test_a_crop_is_read_and_written_in_place(cupy: Any) -> None:
    planes, box = codes((40, 30), "nv12"), (6, 4, 21, 17)
    surface = tuple(map(cupy.asarray, planes))
    out = to_rgb(crop(surface, box), dtype="float32")
    np.testing.assert_allclose(out.get(), reference.to_rgb(crop(planes, box), dtype="float32"), rtol=0, atol=2e-6)
    black = cupy.asarray(np.zeros((3, 17, 21), np.float32))
    from_rgb(black, out=crop(surface, box))
    for plane, before, inside in zip(surface, planes, crop(planes, box), strict=True):
        inside[...] = 16 if plane.ndim == 2 else 128
        np.testing.assert_array_equal(plane.get(), before)


def test_one_launch_on_the_stream_without_memory(emulated: FakeCupy) -> None:
    planes, stream = tuple(map(emulated.asarray, codes((70, 18), "p010"))), emulated.cuda.Stream()
    rgb, small = emulated.empty((3, 56, 104), np.float16), emulated.empty((3, 9, 35), np.float32)
    with emulated.no_allocation():
        assert to_rgb(planes, margin=16, stride=8, out=rgb, stream=stream) is rgb
        assert to_rgb(planes, size=(35, 9), dtype="float32", out=small, stream=stream) is small
        assert from_rgb(rgb[:, 16:34, 16:86], format="p010", out=planes, stream=stream) is planes
    assert emulated.launches == [
        ("to_rgb<unsigned short, __half>", (2, 4), (32, 8), stream),
        ("to_rgb_resized<unsigned short, float>", (2, 2), (32, 8), stream),
        ("from_rgb<unsigned short, __half>", (2, 2), (32, 8), stream),
    ]


def test_what_does_not_fit_is_refused(emulated: FakeCupy) -> None:
    planes = tuple(map(emulated.asarray, codes((6, 4), "nv12")))
    rgb = emulated.zeros((3, 4, 6), np.float32)
    for wrong in ({"margin": 3}, {"margin": -2}, {"stride": 0}, {"size": (0, 4)}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            to_rgb(planes, **wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="dtype must be float16 or float32, not float64"):
        to_rgb(planes, dtype=np.float64)
    with pytest.raises(ValueError, match=r"out must have the shape \(3, 4, 6\)"):
        to_rgb(planes, out=emulated.zeros((3, 4, 7), np.float16))
    with pytest.raises(TypeError, match="out must be float16"):
        to_rgb(planes, out=rgb)
    with pytest.raises(KeyError):
        to_rgb(planes, siting="right")
    with pytest.raises(ValueError, match=r"rgb must have the shape \(3, any, any\)"):
        from_rgb(emulated.zeros((4, 4, 6), np.float32))
    with pytest.raises(TypeError, match="float16 or float32"):
        from_rgb(emulated.zeros((3, 4, 6), np.uint8))
    with pytest.raises(ValueError, match="rgb must have planes and rows in order"):
        from_rgb(rgb[:, ::-1])
    with pytest.raises(ValueError, match="C-contiguous"):
        from_rgb(rgb[:, :, ::2])
    with pytest.raises(ValueError, match="out must be p010"):
        from_rgb(rgb, format="p010", out=planes)
    with pytest.raises(KeyError):
        from_rgb(rgb, format="rgb24")
