"""RGB pictures to frames and back."""

from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from allaprima.realtime.errors import ConfigError
from allaprima.realtime.frame import Color
from allaprima.realtime.rgb import Rgb


def one_color(*rgb: int, size: tuple[int, int] = (16, 8)) -> Any:
    return np.broadcast_to(np.uint8(rgb), (size[1], size[0], 3))


@pytest.mark.parametrize(
    ("rgb", "yuv"),
    [((0, 0, 0), (16, 128, 128)), ((255, 255, 255), (235, 128, 128)), ((255, 0, 0), (63, 102, 240))],
)
def test_rgb_becomes_limited_bt709(rgb: Any, yuv: Any) -> None:
    frame = Rgb().frame(one_color(*rgb))
    assert (frame.size, frame.color) == ((16, 8), Color(1, 1, 1, 1))
    for plane, value in zip(frame.planes, yuv, strict=True):
        assert np.abs(plane.astype(int) - value).max() <= 1


@pytest.mark.parametrize("size", [(16, 8), (17, 9), (1, 1)])
def test_there_and_back_is_the_same_picture(size: tuple[int, int]) -> None:
    rgb = one_color(180, 90, 40, size=size)
    converter = Rgb()
    back = converter.array(converter.frame(rgb))
    assert back.shape == rgb.shape
    assert np.abs(back.astype(int) - rgb).max() <= 3


def test_a_frame_is_read_by_its_own_matrix_and_range(tiny: ModuleType) -> None:
    red = {Color(6, 6, 6, 1): (82, 90, 240), Color(1, 1, 1, 1): (63, 102, 240), Color(5, 5, 6, 2): (76, 85, 255)}
    for color, yuv in red.items():
        found = Rgb().array(replace(tiny.flat(*yuv, size=(16, 16)), color=color))
        assert np.abs(found.astype(int) - (255, 0, 0)).max() <= 3


@pytest.mark.parametrize("shape", [(8, 8), (8, 8, 4), (0, 8, 3), (8, 0, 3)])
def test_an_array_of_another_shape_is_refused(shape: Any) -> None:
    with pytest.raises(ConfigError, match=r"uint8 \(H, W, 3\)"):
        Rgb().frame(np.zeros(shape, np.uint8))


def test_an_array_of_another_type_is_refused() -> None:
    with pytest.raises(ConfigError, match="float64"):
        Rgb().frame(np.zeros((8, 8, 3)))  # type: ignore[arg-type]


def test_a_frame_on_a_device_is_landed() -> None:
    made = Rgb().frame(one_color(40, 90, 200))
    floating = replace(made, planes=("on", "a device"), format="nv12", landing=lambda: made.planes)
    np.testing.assert_array_equal(Rgb().array(floating), Rgb().array(made))
