"""What a picture may be: planes, their formats, pitches and crops."""

from typing import Any

import numpy as np
import pytest

from allaprima.kernels.surface import FORMATS, Surface, crop, padded, planes_of
from allaprima.realtime.backends.cpu import MARGIN, Canvas
from allaprima.realtime.backends.layout import STRIDE

from .fake_cupy import FakeCupy
from .surfaces import codes, pitched


@pytest.mark.parametrize("format", FORMATS)
def test_the_kernels_see_three_planes(emulated: FakeCupy, format: str) -> None:
    planes = pitched(emulated, codes((7, 5), format))
    surface = Surface.of("planes", planes)
    assert (surface.width, surface.height, surface.bits) == (7, 5, 10 if format == "p010" else 8)
    y, pitch, u, v, chroma_pitch, step = surface.args
    assert (pitch, chroma_pitch, step) == ((10, 7, 1) if format == "yuv420p" else (10, 14, 2))
    assert [plane.shape for plane in (y, u, v)] == [(5, 7), (3, 4), (3, 4)]


def test_interleaved_chroma_is_two_planes(emulated: FakeCupy) -> None:
    _, uv = planes = codes((6, 6), "nv12")
    _, _, u, v, _, _ = Surface.of("planes", tuple(map(emulated.asarray, planes))).args
    np.testing.assert_array_equal(u.get(), uv[..., 0])
    np.testing.assert_array_equal(v.get(), uv[..., 1])


def test_one_row_has_no_pitch(emulated: FakeCupy) -> None:
    y, u, v = (plane[:1] for plane in pitched(emulated, codes((4, 2), "yuv420p")))
    assert Surface.of("planes", (y, u, emulated.asarray(v.get()))).height == 1


def test_what_is_no_picture_is_refused(emulated: FakeCupy) -> None:
    y, uv = nv12 = tuple(map(emulated.asarray, codes((6, 4), "nv12")))
    _, u, v = map(emulated.asarray, codes((6, 4), "yuv420p"))
    deep = tuple(map(emulated.asarray, codes((6, 4), "p010")))
    for planes, message in [
        ((y,), "2 or 3 planes, not 1"),
        ((y, emulated.zeros((2, 3), np.uint8)), r"the chroma of it must have the shape \(2, 3, 2\), not \(2, 3\)"),
        ((y, emulated.zeros((2, 4, 2), np.uint8)), r"\(2, 3, 2\), not \(2, 4, 2\)"),
        ((emulated.zeros((0, 6), np.uint8), uv), "the luma of it must have the shape"),
        ((y[::-1], uv), "rows that follow each other"),
        ((y[:, ::-1], uv), "C-contiguous"),
        ((y, u, pitched(emulated, (v.get(),))[0]), "one pitch"),
    ]:
        with pytest.raises(ValueError, match=message):
            Surface.of("it", planes)
    for planes, message in [
        (codes((6, 4), "nv12"), "the luma of it must be a CuPy array, not ndarray"),
        ((emulated.zeros((4, 6), np.float32), uv), "must be uint8 or uint16, not float32"),
        ((y, deep[1]), "must be uint8, not uint16"),
        ((deep[0], u, v), "must be uint8, not uint16"),
    ]:
        with pytest.raises(TypeError, match=message):
            Surface.of("it", planes)
    assert Surface.of("it", nv12).type == "unsigned char"


@pytest.mark.parametrize("format", FORMATS)
def test_new_planes_have_half_the_chroma_rounded_up(emulated: FakeCupy, format: str) -> None:
    planes = planes_of(None, format, (7, 5), None)
    assert [(plane.shape, plane.dtype) for plane in planes] == [(p.shape, p.dtype) for p in codes((7, 5), format)]
    assert planes_of(planes, format, (7, 5), None) is planes
    with pytest.raises(ValueError, match=f"out must be {format}"):
        planes_of(planes, format, (7, 6), None)


def test_a_crop_is_a_view(emulated: FakeCupy) -> None:
    planes: Any = codes((9, 7), "yuv420p")
    y, u, v = crop(tuple(map(emulated.asarray, planes)), (2, 4, 5, 3))
    np.testing.assert_array_equal(y.get(), planes[0][4:7, 2:7])
    np.testing.assert_array_equal(u.get(), planes[1][2:4, 1:4])
    np.testing.assert_array_equal(v.get(), planes[2][2:4, 1:4])
    for box in ((1, 0, 2, 2), (0, 3, 2, 2)):
        with pytest.raises(ValueError, match="even column and row"):
            crop(planes, box)


def test_sides_are_padded_as_the_engine_does() -> None:
    assert [padded(side, MARGIN, STRIDE) for side in range(1, 99)] == [
        Canvas((side, 8)).shapes[0][1] for side in range(1, 99)
    ]
