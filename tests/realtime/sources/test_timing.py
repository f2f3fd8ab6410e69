"""Which frames come, and when they are shown."""

import gc
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from allaprima.realtime.errors import ConfigError, SourceError
from allaprima.realtime.frame import Frame
from allaprima.realtime.sources import open_source

from .clips import luma

Clip = Callable[..., str]
B_FRAMES = {"bf": "3", "b_strategy": "0", "g": "10"}


def read(uri: str, **wishes: object) -> list[Frame]:
    with open_source(uri, **wishes) as source:  # type: ignore[arg-type]
        return list(source)


def plain(path: str) -> list[int | None]:
    with av.open(path) as container:
        return [frame.pts for frame in container.decode(video=0)]


def number(frame: Frame) -> int:
    """Which frame of the clip it is, by its brightness."""
    return round((float(frame.planes[0].mean()) - luma(0)) / (luma(1) - luma(0)))


@pytest.mark.parametrize(
    ("name", "wishes"),
    [
        ("plain.mp4", {}),
        ("b.mp4", {"options": B_FRAMES, "frames": 25}),
        ("b.ts", {"options": B_FRAMES, "frames": 25}),
        ("variable.mkv", {"pts": [0, 40, 45, 300, 1000, 1001, 5000], "time_base": Fraction(1, 1000)}),
        ("late.mkv", {"pts": [700, 740, 780, 820], "time_base": Fraction(1, 1000), "options": {"bf": "0"}}),
        ("ntsc.mov", {"rate": Fraction(30000, 1001)}),
        ("mpeg2.mpg", {"codec": "mpeg2video", "frames": 20}),
        ("vp9.webm", {"codec": "libvpx-vp9", "options": {"cpu-used": "8", "deadline": "realtime"}}),
    ],
)
def test_frames_and_timestamps_are_the_files_own(clip: Clip, name: str, wishes: dict[str, object]) -> None:
    path = clip(name, **wishes)
    frames = read(path)
    expected = plain(path)
    assert [frame.pts for frame in frames] == expected
    assert [frame.index for frame in frames] == list(range(len(expected)))
    assert [number(frame) for frame in frames] == list(range(len(expected)))
    with av.open(path) as container:
        assert frames[0].time_base == Fraction(str(container.streams.video[0].time_base))


def test_info(clip: Clip) -> None:
    with open_source(clip(frames=7)) as source:
        info = source.info
        assert (info.size, info.rate, info.frames, info.live) == ((64, 48), 25, 7, False)
        assert info.name.endswith("clip.mp4")
        assert info.sample_aspect == 1
        assert [frame.duration for frame in source] == [512] * 7
        assert (source.lost, source.notes) == (0, [])


def test_tags_in_an_old_encoding_do_no_harm(clip: Clip) -> None:
    path = Path(clip("old.mkv", mux={}, prepare=lambda stream: stream.container.metadata.update(title="Caf__")))
    path.write_bytes(path.read_bytes().replace(b"Caf__", b"Caf\xe9!"))
    with open_source(str(path)) as source:
        assert source.info.metadata["title"].startswith("Caf")
        assert len(list(source)) == 12


def test_a_stream_without_timestamps_gets_them_from_its_rate(clip: Clip) -> None:
    frames = read(clip("raw.h264", options=B_FRAMES))
    assert plain(clip("raw.h264", options=B_FRAMES))[0] is None
    steps = np.diff([frame.time for frame in frames])
    assert len(frames) == 12
    assert steps == pytest.approx(0.04)


def test_timestamps_that_run_back_are_nudged(clip: Clip) -> None:
    path = clip("b.avi", options=B_FRAMES)  # AVI has no place for the order of B-frames
    assert sorted(plain(path)) != plain(path)  # type: ignore[type-var]
    with open_source(path) as source:
        stamps = [frame.pts for frame in source]
        assert "nudged" in source.notes[-1]
    assert stamps == sorted(set(stamps))
    assert len(stamps) == 12


def test_views_outlive_the_source(clip: Clip) -> None:
    frames = read(clip(frames=20))
    gc.collect()
    assert [number(frame) for frame in frames] == list(range(20))


def test_a_picture_is_not_copied(clip: Clip) -> None:
    planes = read(clip(size=(70, 48)))[0].planes
    assert all(not plane.flags.owndata and plane.base is not None for plane in planes)
    assert not planes[0].flags.c_contiguous


@pytest.mark.parametrize("name", ["long.mp4", "long.mkv", "long.ts", "long.h264"])
@pytest.mark.parametrize(
    ("start", "end"), [(2.5, None), (1.33, 2), (0.04, 0.2), (None, 1), (3.96, None), (2.001, 2.05)]
)
def test_trimming_is_exact(clip: Clip, name: str, start: float | None, end: float | None) -> None:
    path = clip(name, frames=100, options={"bf": "3", "b_strategy": "0", "g": "30"}, make=numbered)
    frames = read(path, start=start, end=end)
    wanted = [n for n in range(100) if (start or 0) <= n / 25 and (end is None or n / 25 < end)]
    assert [round(float(frame.planes[0].mean())) - 20 for frame in frames] == wanted
    assert [frame.time for frame in frames] == pytest.approx([(n - wanted[0]) / 25 for n in wanted])
    assert frames[0].pts == 0


def numbered(index: int) -> av.VideoFrame:
    picture = np.full((72, 64), 128, np.uint8)
    picture[:48] = 20 + index
    return av.VideoFrame.from_ndarray(picture, "yuv420p")


def test_trimming_starts_at_the_streams_own_beginning(clip: Clip) -> None:
    path = clip("late.mkv", pts=range(5000, 6000, 100), time_base=Fraction(1, 1000), options={"bf": "0"})
    assert [number(frame) for frame in read(path, start=0.5, end=0.8)] == [5, 6, 7]


def test_a_number_of_frames(clip: Clip) -> None:
    path = clip(frames=30)
    with open_source(path, frames=4) as source:
        assert source.info.frames == 4
        assert [number(frame) for frame in source] == [0, 1, 2, 3]
    assert len(read(path, frames=99)) == 30
    assert [number(frame) for frame in read(path, start=0.4, frames=2)] == [10, 11]


def test_stop_ends_the_iteration(clip: Clip) -> None:
    with open_source(clip(frames=60)) as source:
        taken = 0
        for _frame in source:
            taken += 1
            source.stop()
    assert taken < 10


@pytest.mark.parametrize(
    "wishes",
    [
        {"size": (8, 100)},
        {"size": (100, 20000)},
        {"start": 2, "end": 2},
        {"start": 3, "end": 1},
        {"end": 0},
        {"start": -1},
        {"start": float("nan")},
        {"frames": 0},
    ],
)
def test_impossible_wishes(clip: Clip, wishes: dict[str, object]) -> None:
    with pytest.raises(ConfigError) as caught:
        read(clip(), **wishes)
    assert caught.value.hint


def test_a_start_beyond_the_end(clip: Clip) -> None:
    with pytest.raises(SourceError, match="nothing at 20 s"):
        read(clip(), start=20)
