"""Sizes and limits that all backends share."""

import pytest

from allaprima.realtime.backends.cpu import CpuBackend
from allaprima.realtime.backends.layout import FLOW_SHORT_SIDE, Layout, limits
from allaprima.realtime.frame import Color


@pytest.mark.parametrize("size", [(16, 9), (97, 65), (640, 360), (1280, 720), (360, 640)])
@pytest.mark.parametrize("color", [Color(), Color(1, 1, 1, 2)])
def test_the_cpu_lays_pictures_out_alike(size: tuple[int, int], color: Color) -> None:
    backend, found = CpuBackend(size, color), Layout(size)
    assert found.padded[::-1] == backend.canvas.shapes[0]
    assert (found.factor, found.small) == (backend._factor, backend._small_size)
    assert limits(color) == (backend._luma_limits, backend._chroma_limits)


def test_the_flow_is_measured_on_a_picture_that_is_large_enough() -> None:
    factors = [Layout((side * 16 // 9, side)).factor for side in (90, 140, 141, 330, 1080)]
    assert factors == [1, 1, 1, 4, 4]
    assert min(min(Layout((width, 200)).small) for width in range(150, 400, 25)) >= FLOW_SHORT_SIDE


def test_cells_are_for_the_nets() -> None:
    assert Layout((1920, 1080)).padded == (1952, 1112)
    assert Layout((1920, 1080)).cells == (278, 488)
