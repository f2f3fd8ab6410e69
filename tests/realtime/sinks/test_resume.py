"""A film in parts: cut off anywhere, gone on with, and equal to one that was written in one go."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

from allaprima.realtime.errors import OutputExists, SinkError
from allaprima.realtime.frame import Frame, StreamInfo
from allaprima.realtime.sinks import EncoderOptions, open_sink
from allaprima.realtime.sinks.resume import ResumableFile, decoding_times, is_file

COUNT = 140


@pytest.fixture
def film(recording: Callable[..., Path], studio: Any) -> Iterator[tuple[StreamInfo, list[Frame]]]:
    """Frames with the sound of the recording, later and later: info and frames."""
    with av.open(str(recording())) as container:
        audio = container.streams.audio[0]
        packets = [p for p in container.demux(audio) if p.size]
        info = studio.info((64, 48), Fraction(1, 12800), side_streams=(audio,), name=str(recording()))
        frames = []
        for index in range(COUNT):
            side = tuple(p for p in packets if index * 512 <= p.pts * 12800 / 48000 + 1024 < (index + 1) * 512)
            stamp = index * 512 + (index % 3 == 1) * 100  # uneven steps
            frames.append(studio.frame(index, stamp, info, duration=512, side=side))
        yield info, frames


def write(target: Path, film: Any, first: int, past: int, **more: Any) -> ResumableFile:
    """Frames up to ``past`` of a film whose first ``first`` frames should be there."""
    info, frames = film
    sink = ResumableFile(str(target), info, **more)
    assert sink.done == first
    with sink:
        for frame in frames[:past]:
            sink.write(frame)
    return sink


def begin(target: Path, film: Any, count: int, kept: float = 1.0, **more: Any) -> int:
    """A run that is killed after ``count`` frames, with a share of what it had written; gives what is safe."""
    info, frames = film
    sink = ResumableFile(str(target), info, **more)
    sink.__enter__()
    for frame in frames[:count]:
        sink.write(frame)
    part = sink._own.read_bytes()  # as it lies on the disk when the program dies: nothing was closed
    sink._muxer.close()
    sink._own.write_bytes(part[: round(len(part) * kept)])
    return ResumableFile(str(target), info, **more).done


def plain(target: Path, film: Any, **encoder: Any) -> None:
    info, frames = film
    with open_sink(str(target), info, encoder=EncoderOptions(**encoder)) as sink:
        for frame in frames:
            sink.write(frame)


def same(studio: Any, one: Path, other: Path) -> None:
    assert studio.times(one) == studio.times(other)
    assert len(studio.times(one)) == COUNT
    if one.suffix != ".webm":  # there it is encoded again, from the same sound
        assert studio.packets(one, "audio") == studio.packets(other, "audio")
    assert studio.heard(one) == pytest.approx(studio.heard(other), abs=1e-3)
    lengths = []
    for path in (one, other):
        with av.open(str(path)) as container:
            lengths.append(float(container.duration or 0) / av.time_base)
    assert lengths[0] == pytest.approx(lengths[1], abs=0.002)


@pytest.mark.parametrize(
    ("name", "encoder"),
    [
        ("a.mp4", {}),
        ("a.mkv", {}),
        ("a.mov", {}),
        ("a.mp4", {"codec": "hevc"}),
        ("a.mkv", {"codec": "ffv1"}),
        ("a.webm", {"codec": "vp9"}),
    ],
)
def test_two_kills_and_an_end_make_the_film_of_one_run(
    studio: Any, film: Any, tmp_path: Path, name: str, encoder: dict[str, Any]
) -> None:
    options = EncoderOptions(**encoder)
    first = begin(tmp_path / name, film, 110, encoder=options)
    second = begin(tmp_path / name, film, 130, 0.97, encoder=options)
    assert 0 < first <= 110
    assert first <= second <= 130
    sink = write(tmp_path / name, film, second, COUNT, encoder=options)
    assert sink._muxer.frames == COUNT - second, "nothing is encoded twice"
    plain(tmp_path / f"plain-{name}", film, **encoder)
    same(studio, tmp_path / name, tmp_path / f"plain-{name}")
    assert [path.name for path in sorted(tmp_path.iterdir())] == [name, f"plain-{name}"]


def test_what_is_written_when_it_is_killed_plays(film: Any, tmp_path: Path) -> None:
    safe = begin(tmp_path / "a.mp4", film, 120)
    (part,) = (tmp_path / ".a.mp4.parts").glob("*.begun")
    with av.open(str(part)) as container:
        shown = sum(1 for _ in container.decode(video=0))
    assert shown >= safe >= 50, "all but the last two seconds and what the encoder still held"


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.3, 0.5, 0.9])
def test_a_part_may_be_cut_off_at_any_byte(studio: Any, film: Any, tmp_path: Path, kept: float) -> None:
    done = begin(tmp_path / "a.mp4", film, COUNT, kept)
    write(tmp_path / "a.mp4", film, done, COUNT)
    assert studio.times(tmp_path / "a.mp4") == [frame.pts * frame.time_base for frame in film[1]]


def test_an_orderly_stop_keeps_every_frame_and_makes_no_film_yet(studio: Any, film: Any, tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    sink = write(tmp_path / "a.mp4", film, 0, 33, stop=stop)
    assert sink.notes[-1] == "33 frames are kept; start it again with --resume to go on"
    assert not (tmp_path / "a.mp4").exists()
    write(tmp_path / "a.mp4", film, 33, COUNT)
    assert len(studio.times(tmp_path / "a.mp4")) == COUNT


def test_an_error_keeps_what_was_painted(film: Any, tmp_path: Path) -> None:
    info, frames = film
    sink = ResumableFile(str(tmp_path / "a.mp4"), info)
    sink.__enter__()
    for frame in frames[:20]:
        sink.write(frame)
    sink.__exit__(ZeroDivisionError, ZeroDivisionError(), None)
    assert ResumableFile(str(tmp_path / "a.mp4"), info).done == 20


def test_a_film_that_was_all_there_is_only_joined(studio: Any, film: Any, tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    write(tmp_path / "a.mp4", film, 0, COUNT, stop=stop)
    sink = write(tmp_path / "a.mp4", film, COUNT, COUNT)
    assert sink._muxer.frames == 0
    plain(tmp_path / "plain.mp4", film)
    same(studio, tmp_path / "a.mp4", tmp_path / "plain.mp4")


def test_a_film_that_starts_before_zero(studio: Any, film: Any, tmp_path: Path) -> None:
    info, frames = film
    early = (info, [replace(frame, pts=frame.pts - 5120, side=()) for frame in frames])
    done = begin(tmp_path / "a.mp4", early, 80)
    write(tmp_path / "a.mp4", early, done, COUNT)
    plain(tmp_path / "plain.mp4", early)
    assert studio.times(tmp_path / "a.mp4") == studio.times(tmp_path / "plain.mp4")


def test_parts_of_another_film_are_refused(film: Any, tmp_path: Path) -> None:
    info, _ = film
    begin(tmp_path / "a.mp4", film, 60, settings={"style": "plain"})
    for other, settings, what in (
        (info, {"style": "dark"}, "style"),
        (replace(info, size=(80, 48)), {"style": "plain"}, "picture size"),
        (replace(info, name="other.mp4"), {"style": "plain"}, "input"),
    ):
        with pytest.raises(SinkError, match=f"cannot go on with a.mp4: .*{what}") as caught:
            ResumableFile(str(tmp_path / "a.mp4"), other, settings=settings)
        assert ".a.mp4.parts" in caught.value.hint
    with pytest.raises(SinkError, match="encoder"):
        ResumableFile(str(tmp_path / "a.mp4"), info, EncoderOptions(crf=30), settings={"style": "plain"})


def test_what_cannot_be_is_refused_before_anything_is_written(film: Any, tmp_path: Path) -> None:
    info, _ = film
    for uri in ("rtmp://here/live", "window:", "null:"):
        with pytest.raises(SinkError, match="--resume needs a file"):
            ResumableFile(uri, info)
    (tmp_path / "there.mp4").write_bytes(b"x")
    with pytest.raises(OutputExists):
        ResumableFile(str(tmp_path / "there.mp4"), info)
    assert [path.name for path in tmp_path.iterdir()] == ["there.mp4"]


@pytest.mark.parametrize(
    ("stamps", "times"),
    [
        ([0, 1, 2, 3], [0, 1, 2, 3]),
        ([0, 3, 1, 2, 6, 4, 5], [-1, 0, 1, 2, 3, 4, 5]),
        ([0, 40, 20, 10, 30, 80, 60, 50, 70], [-20, -10, 0, 10, 20, 30, 40, 50, 60]),
        ([5], [5]),
    ],
)
def test_pictures_are_decoded_in_time(stamps: list[int], times: list[int]) -> None:
    assert decoding_times(stamps, 10 if 40 in stamps else 1) == times
    assert all(dts <= pts for dts, pts in zip(times, stamps, strict=True))


def test_names_of_files() -> None:
    assert all(map(is_file, ("a.mp4", "C:\\a.mp4", "file:a.mp4", "FILE:///a.mp4", "./x:y.mp4", "1:2.mp4")))
    assert not any(map(is_file, ("rtmp://h/x", "null:", "vcam:/dev/video1")))
