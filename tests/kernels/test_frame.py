"""Frames into the engine and out of it: small gray pictures, even pictures, what is seen."""

from typing import Any

import cv2
import numpy as np
import pytest

from allaprima.kernels.reference.frame import gray, present, temper
from allaprima.kernels.reference.meter import EVEN
from allaprima.realtime.backends.cpu import EVEN as LEVELS
from allaprima.realtime.backends.cpu import CpuBackend

from .surfaces import codes

RNG = np.random.default_rng(0)


def painted(width: int = 64, height: int = 48) -> Any:
    return RNG.integers(0, 256, (height, width), np.uint8), RNG.integers(0, 256, (2, height // 2, width // 2), np.uint8)


@pytest.mark.parametrize(("size", "small", "factor"), [((96, 64), (128, 96), 1), ((214, 150), (124, 92), 2)])
def test_gray_is_what_the_cpu_measures_motion_on(tiny: Any, size: Any, small: Any, factor: int) -> None:
    frame = tiny.frame(size)
    backend = CpuBackend(size, frame.color)
    assert backend._factor == factor
    np.testing.assert_array_equal(gray(frame.planes, small, factor, 16), backend.upload(frame).gray)


def test_codes_of_ten_bits_become_bytes() -> None:
    planes = codes((62, 46), "p010")
    bytes_ = tuple(np.asarray(plane >> 8, np.uint8) for plane in planes)
    steps = cv2.absdiff(gray(planes, (32, 24), 4, 16), gray(bytes_, (32, 24), 4, 16))
    assert steps.max() <= 1


@pytest.mark.parametrize(("deviation", "share"), [(0, 0), (LEVELS, 0), (1.5 * LEVELS, 0.5), (2 * LEVELS, 1), (50, 1)])
def test_the_less_there_is_to_paint_the_less_is_painted(deviation: float, share: float) -> None:
    planes, paint = codes((32, 16), "yuv420p"), painted()
    luma, chroma = temper(planes, deviation, LEVELS, 16, paint)
    inside = luma[16:32, 16:48].astype(float)
    np.testing.assert_allclose(
        inside, planes[0] + share * (paint[0][16:32, 16:48] - planes[0].astype(float)), atol=0.51
    )
    assert chroma.shape == paint[1].shape
    assert LEVELS == 255 * EVEN


def test_a_share_of_1_is_the_picture_and_of_0_the_stream() -> None:
    shown, planes = painted(), codes((31, 15), "nv12")
    y, u, v = present(shown, planes, 1, 16)
    np.testing.assert_array_equal(y, shown[0][16:31, 16:47])
    np.testing.assert_array_equal(v, shown[1][1, 8:16, 8:24])
    y, u, v = present(shown, planes, 0, 16)
    np.testing.assert_array_equal(y, planes[0])
    np.testing.assert_array_equal(u, planes[1][..., 0])


def test_the_mask_leaves_the_stream_where_it_is_1() -> None:
    shown, planes, mask = painted(), codes((32, 16), "yuv420p"), np.zeros((16, 32), np.float32)
    mask[:, 16:] = 1
    y, u, _ = present(shown, planes, 1, 16, mask)
    np.testing.assert_array_equal(y, np.hstack([shown[0][16:32, 16:32], planes[0][:, 16:]]))
    np.testing.assert_array_equal(u[:, 8:], planes[1][:, 8:])
