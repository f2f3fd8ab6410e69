"""The kernels of pack against the reference: every format, standard and range, with pitches, margins and crops."""

from itertools import product
from typing import Any

import numpy as np
import pytest

from allaprima.kernels.pack import pack, unpack
from allaprima.kernels.reference import pack as reference
from allaprima.kernels.surface import FORMATS

from .fake_cupy import FakeCupy
from .surfaces import FILL, SIZES, STANDARDS, codes, memories, pitched

TOLERANCES = {"float16": 2.0**-10, "float32": 1e-6}
"""Values reach 1.5 in size. Half precision has 11 bits: one rounding the other way is 2^-10; single: five roundings."""
PADDINGS = [(0, 4), (16, 8), (4, 12)]

coded = pytest.mark.parametrize("full", [False, True])
standards = pytest.mark.parametrize("coefficients", STANDARDS.values(), ids=STANDARDS)
formats = pytest.mark.parametrize("format", FORMATS)


def random_packed(cells: tuple[int, int], dtype: str) -> Any:
    """Beyond the legal range as well, and not all numbers."""
    packed = np.random.default_rng(0).uniform(-1.2, 1.2, (24, *cells)).astype(dtype)
    packed.flat[::37] = np.nan
    return packed


@coded
@standards
@formats
def test_pack_is_the_reference(cupy: Any, format: str, coefficients: Any, full: bool) -> None:
    for size, (margin, stride), dtype in product(SIZES, PADDINGS, TOLERANCES):
        planes = codes(size, format)
        how = {"margin": margin, "stride": stride, "dtype": dtype}
        expected = reference.pack(planes, coefficients, full, **how)
        for surface in (tuple(map(cupy.asarray, planes)), pitched(cupy, planes)):
            out = pack(surface, coefficients, full, **how).get()
            assert out.dtype == expected.dtype
            np.testing.assert_allclose(out, expected, rtol=0, atol=TOLERANCES[dtype], err_msg=f"{size} {how}")


@coded
@standards
@formats
def test_unpack_is_the_reference(cupy: Any, format: str, coefficients: Any, full: bool) -> None:
    unit = 64 if format == "p010" else 1
    for (width, height), margin, dtype in product(SIZES, (0, 4, 16), TOLERANCES):
        cells = (-(-height // 4) + margin // 2, -(-width // 4) + margin // 2)
        packed = random_packed(cells, dtype)
        how = {"margin": margin, "format": format}
        out = unpack(cupy.asarray(packed), (width, height), coefficients, full, **how)
        expected = reference.unpack(packed, (width, height), coefficients, full, **how)
        for plane, wanted in zip(out, expected, strict=True):
            difference = np.abs(plane.get().astype(int) - wanted)
            assert plane.dtype == wanted.dtype
            assert difference.max() <= unit, "a half may be rounded either way in single precision"
            assert (difference > 0).sum() <= 1 + wanted.size // 1000


@formats
@pytest.mark.parametrize("columns", [0, 1, 3, 4, 16])
def test_unpack_writes_within_the_pitch(cupy: Any, format: str, columns: int) -> None:
    """Whether rows are aligned, so that four codes are written at once, or not."""
    for size in SIZES:
        packed = random_packed((17, 26), "float32")
        expected = reference.unpack(packed, size, format=format)
        memory = memories(cupy, tuple(map(np.zeros_like, expected)), columns)
        out = tuple(m[:, : plane.shape[1]] for m, plane in zip(memory, expected, strict=True))
        assert unpack(cupy.asarray(packed), size, format=format, out=out) is out
        for m, plane in zip(memory, expected, strict=True):
            np.testing.assert_array_equal(m.get()[:, : plane.shape[1]], plane)
            assert (m.get()[:, plane.shape[1] :] == FILL).all()


def test_a_surface_of_an_encoder_is_one_piece_of_memory(cupy: Any) -> None:
    """Luma and chroma one below the other, with one pitch, as NVENC wants them."""
    packed = random_packed((13, 26), "float16")
    memory = cupy.asarray(np.full((27, 96), FILL, np.uint8))
    out = (memory[:18, :70], memory[18:].reshape(9, 48, 2)[:, :35])
    unpack(cupy.asarray(packed), (70, 18), out=out)
    y, uv = reference.unpack(packed, (70, 18))
    expected = np.full((27, 96), FILL, np.uint8)
    expected[:18, :70], expected[18:, :70] = y, uv.reshape(9, 70)
    np.testing.assert_array_equal(memory.get(), expected)


def test_one_launch_on_the_stream_without_memory(emulated: FakeCupy) -> None:
    planes, stream = tuple(map(emulated.asarray, codes((70, 18), "nv12"))), emulated.cuda.Stream()
    packed = emulated.empty((24, 14, 26), np.float16)
    with emulated.no_allocation():
        assert pack(planes, out=packed, stream=stream) is packed
        assert unpack(packed, (70, 18), out=planes, stream=stream) is planes
    assert emulated.launches == [
        ("pack<unsigned char, __half>", (1, 4), (32, 8), stream),
        ("unpack<unsigned char, __half>", (1, 4), (32, 8), stream),
    ]


def test_what_does_not_fit_is_refused(emulated: FakeCupy) -> None:
    planes = tuple(map(emulated.asarray, codes((6, 4), "nv12")))
    packed = emulated.zeros((24, 10, 10), np.float16)
    for wrong in ({"margin": 2}, {"margin": -4}, {"stride": 0}, {"stride": 6}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be a multiple of 4"):
            pack(planes, **wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="dtype must be float16 or float32, not uint8"):
        pack(planes, dtype=np.uint8)
    with pytest.raises(ValueError, match=r"out must have the shape \(24, 10, 10\)"):
        pack(planes, out=emulated.zeros((24, 10, 11), np.float16))
    with pytest.raises(ValueError, match=r"packed must have the shape \(24, any, any\)"):
        unpack(emulated.zeros((20, 10, 10), np.float16), (6, 4))
    with pytest.raises(ValueError, match="margin must be a multiple of 4"):
        unpack(packed, (6, 4), margin=6)
    for size in ((25, 4), (6, 25), (0, 4)):
        with pytest.raises(ValueError, match="do not fit into a packed picture"):
            unpack(packed, size)
    with pytest.raises(ValueError, match="out must be nv12"):
        unpack(packed, (7, 4), out=planes)
    with pytest.raises(KeyError):
        unpack(packed, (6, 4), format="rgb24")
