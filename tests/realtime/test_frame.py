"""Colors, frames, times."""

from dataclasses import FrozenInstanceError
from fractions import Fraction

import numpy as np
import pytest

from allaprima.realtime.frame import Color, Frame, StreamInfo

BT601, BT709, BT2020 = (0.299, 0.114), (0.2126, 0.0722), (0.2627, 0.0593)


@pytest.mark.parametrize(
    ("matrix", "coefficients"),
    [(1, BT709), (5, BT601), (6, BT601), (9, BT2020), (10, BT2020), (4, (0.30, 0.11)), (7, (0.212, 0.087))],
)
def test_a_tagged_matrix_counts_at_any_height(matrix: int, coefficients: tuple[float, float]) -> None:
    assert Color(matrix=matrix).coefficients(240) == Color(matrix=matrix).coefficients(2160) == coefficients


@pytest.mark.parametrize(("height", "coefficients"), [(719, BT601), (720, BT709), (16, BT601), (2160, BT709)])
def test_an_untagged_picture_goes_by_its_height(height: int, coefficients: tuple[float, float]) -> None:
    assert Color().coefficients(height) == coefficients


@pytest.mark.parametrize(("range_", "full"), [(0, False), (1, False), (2, True)])
def test_only_a_tag_makes_full_range(range_: int, full: bool) -> None:
    assert Color(range=range_).full_range is full


def test_the_time_of_a_frame_is_in_seconds() -> None:
    frame = Frame((), (16, 16), pts=3003, time_base=Fraction(1, 30000))
    assert frame.time == pytest.approx(0.1001, abs=1e-12)


def test_frames_and_colors_cannot_be_changed() -> None:
    frame = Frame((np.zeros((2, 2), np.uint8),), (2, 2), 0, Fraction(1))
    with pytest.raises(FrozenInstanceError):
        frame.pts = 1  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        frame.color.range = 2  # type: ignore[misc]


def test_a_stream_is_a_file_with_square_pixels_unless_it_says_otherwise() -> None:
    info = StreamInfo("clip", (640, 360), Fraction(1, 25))
    assert (info.live, info.sample_aspect, info.rate, info.frames) == (False, 1, None, None)
    assert info.metadata is not StreamInfo("other", (640, 360), Fraction(1, 25)).metadata
