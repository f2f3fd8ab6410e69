"""``test:NAME`` as an input."""

import time
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from allaprima.realtime.errors import ConfigError, SourceError
from allaprima.realtime.frame import Color
from allaprima.realtime.sources import open_source, scenes


class Flat:
    """A scene of one color that names its frames by brightness."""

    def __init__(self, name: str, size: tuple[int, int], rate: Any) -> None:
        if name != "landscape":
            raise ValueError(name)
        self.size, self.rate = size, Fraction(rate)

    def frame(self, index: int) -> Any:
        width, height = self.size
        return np.full((height, width, 3), (200, 100, 50 + index), np.uint8)


@pytest.fixture(autouse=True)
def flat(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "open_scene", Flat, raising=False)
    monkeypatch.setattr(scenes, "SCENES", ("landscape",), raising=False)


def test_default() -> None:
    with open_source("test:landscape") as source:
        assert source.info.size == (1280, 720)
        assert source.info.frames == 300
        assert source.info.rate == 30
        assert not source.info.live
        assert source.info.color == Color(1, 1, 1, 1)


def test_frames_are_bt709_limited() -> None:
    with open_source("test:landscape?size=64x48&rate=25&frames=3") as source:
        frames = list(source)
    red, green, blue = 200, 100, 50
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    expected = (
        16 + 219 / 255 * y,
        128 + 224 / 255 * (blue - y) / 1.8556,
        128 + 224 / 255 * (red - y) / 1.5748,
    )
    assert [float(plane.mean()) for plane in frames[0].planes] == pytest.approx(expected, abs=1)
    assert [plane.shape for plane in frames[0].planes] == [(48, 64), (24, 32), (24, 32)]
    assert [(f.pts, f.index, f.time) for f in frames] == [(0, 0, 0.0), (1, 1, 0.04), (2, 2, 0.08)]


@pytest.mark.parametrize(
    ("wishes", "count", "first"),
    [
        ({}, 50, 0),
        ({"frames": 4}, 4, 0),
        ({"frames": 60}, 60, 0),
        ({"start": 1}, 25, 25),
        ({"start": 0.5, "end": 0.7}, 5, 13),
        ({"end": 9}, 50, 0),
    ],
)
def test_parts(wishes: dict[str, Any], count: int, first: int) -> None:
    with open_source("test:landscape?size=32x32&rate=25&frames=50", **wishes) as source:
        frames = list(source)
        assert source.info.frames == count
    with open_source("test:landscape?size=32x32&rate=25&frames=100") as source:
        same = list(source)[first]
    assert len(frames) == count
    assert frames[0].pts == 0
    assert np.array_equal(frames[0].planes[1], same.planes[1])


def test_size_may_come_from_outside() -> None:
    with open_source("test:landscape?frames=1", size=(33, 17)) as source:
        assert [plane.shape for plane in next(iter(source)).planes] == [(17, 33), (9, 17), (9, 17)]


def test_live_keeps_the_clock_and_has_no_end() -> None:
    with open_source("test:landscape?size=32x32&rate=50&live=1") as source:
        assert source.info.live
        assert source.info.frames is None
        begin = time.monotonic()
        for frame in source:
            if frame.index == 10:
                source.stop()
        assert time.monotonic() - begin == pytest.approx(0.2, abs=0.1)


@pytest.mark.parametrize(
    "uri",
    [
        "test:nowhere",
        "test:landscape?size=big",
        "test:landscape?rate=0",
        "test:landscape?colour=red",
        "test:",
    ],
)
def test_mistakes(uri: str) -> None:
    with pytest.raises(SourceError) as caught:
        open_source(uri)
    assert uri in str(caught.value)
    assert "landscape" in caught.value.hint


def test_impossible_sizes() -> None:
    with pytest.raises(ConfigError):
        open_source("test:landscape?size=4x4")
