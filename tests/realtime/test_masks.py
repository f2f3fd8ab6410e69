from fractions import Fraction

import av
import numpy as np
import pytest

from allaprima.realtime.errors import SourceError
from allaprima.realtime.frame import Color, Frame
from allaprima.realtime.masks import MaskTrack, coverage

SIZE = (64, 48)


class Painter:
    """Stands in for the stylizer: remembers its regions."""

    def __init__(self):
        self.regions = []

    def set_region(self, region):
        self.regions.append(region)


def halves(size=SIZE, split=0.5):
    picture = np.zeros((size[1], size[0], 3), np.uint8)
    picture[:, : int(size[0] * split)] = 255
    return av.VideoFrame.from_ndarray(picture, format="rgb24")


def write_picture(path, frame):
    with av.open(str(path), "w", format="image2", options={"update": "1"}) as out:
        stream = out.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = frame.width, frame.height, "rgb24"
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def write_video(path, splits, rate=10):
    with av.open(str(path), "w") as out:
        stream = out.add_stream("ffv1", rate=rate)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "gray"
        for index, split in enumerate(splits):
            frame = halves(split=split).reformat(format="gray")
            frame.pts, frame.time_base = index, Fraction(1, rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def white_share(region):
    return round(float(region.mask.mean()), 2)


@pytest.mark.parametrize("size", [SIZE, (128, 96), (32, 24), (63, 47)])
def test_a_picture_is_scaled_and_set_once(tmp_path, size):
    painter = Painter()
    with MaskTrack(write_picture(tmp_path / "mask.png", halves()), "udnie", size) as track:
        for index in range(3):
            track(painter, index / 30)
    (region,) = painter.regions
    assert region.style == "udnie"
    assert (region.mask.dtype, region.mask.shape) == (np.float32, size[::-1])
    assert region.mask[:, : size[0] // 2 - 4].min() > 0.98
    assert region.mask[:, size[0] // 2 + 4 :].max() < 0.02


def test_a_video_goes_along_by_time_and_holds_its_last_frame(tmp_path):
    painter, seen = Painter(), []
    with MaskTrack(write_video(tmp_path / "mask.mkv", [0, 0.25, 0.5, 1]), None, SIZE) as track:
        for index in range(12):  # 20 frames per second; the mask has 10
            track(painter, index / 20)
            seen.append(white_share(painter.regions[-1]))
    assert seen == [0, 0, 0.25, 0.25, 0.5, 0.5, 1, 1, 1, 1, 1, 1]
    assert len(painter.regions) == 4
    assert painter.regions[0].style is None


def test_frames_of_a_faster_mask_are_passed_over(tmp_path):
    painter = Painter()
    with MaskTrack(write_video(tmp_path / "mask.mkv", [0, 0.25, 0.5, 1]), None, SIZE) as track:
        track(painter, 0.0)
        track(painter, 0.2)
    assert [white_share(region) for region in painter.regions] == [0, 0.5]


@pytest.mark.parametrize(("range_", "black", "white"), [(1, 16, 235), (0, 16, 235), (2, 0, 255)])
def test_black_and_white_in_either_range(range_, black, white):
    luma = np.array([[black, white]], np.uint8)
    frame = Frame((luma,), (2, 1), 0, Fraction(1), color=Color(range=range_))
    assert coverage(frame).tolist() == [[0, 1]]


def test_a_mask_that_is_not_there(tmp_path):
    with pytest.raises(SourceError, match="cannot open the mask"):
        MaskTrack(tmp_path / "none.png", None, SIZE)


def test_a_mask_that_is_no_picture(tmp_path):
    (tmp_path / "text.png").write_text("hello")
    with pytest.raises(SourceError):
        MaskTrack(tmp_path / "text.png", None, SIZE)
