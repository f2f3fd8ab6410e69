"""Audio and subtitle packets ride along, each once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

from allaprima.realtime.errors import SourceError
from allaprima.realtime.sources import open_source

from .clips import Tone, flat

Clip = Callable[..., str]
Stamp = tuple[int, int | None, int]
"""Stream, time, size."""

SUBTITLES = "".join(f"{n}\n00:00:0{n},100 --> 00:00:0{n},900\nline {n}\n\n" for n in range(4))


@pytest.fixture
def film(clip: Clip, tmp_path: Path) -> str:
    """Four seconds with sound and subtitles, copied together without encoding anew."""
    (tmp_path / "lines.srt").write_text(SUBTITLES)
    path = tmp_path / "film.mkv"
    with (
        av.open(clip("plain.mkv", frames=100, audio=True, options={"g": "40", "bf": "2"})) as pictures,
        av.open(str(tmp_path / "lines.srt")) as lines,
        av.open(str(path), "w") as out,
    ):
        packets = []
        for container in (pictures, lines):
            copies = [out.add_stream_from_template(stream) for stream in container.streams]
            for packet in container.demux():
                if packet.size:
                    when = float((packet.dts or 0) * packet.time_base)
                    packets.append((when, len(packets), packet, copies[packet.stream_index]))
        for _, _, packet, copy in sorted(packets, key=lambda p: p[:2]):
            packet.stream = copy
            out.mux(packet)
    return str(path)


def stamps_in_file(path: str) -> list[Stamp]:
    with av.open(path) as container:
        wanted = [s for s in container.streams if s.type in ("audio", "subtitle")]
        return [(p.stream_index, p.pts, p.size) for p in container.demux(wanted) if p.size]


def stamp(packet: Any) -> Stamp:
    return packet.stream_index, packet.pts, packet.size


def test_every_packet_once_and_in_order(film: str) -> None:
    with open_source(film) as source:
        assert [s.type for s in source.info.side_streams] == ["audio", "subtitle"]
        frames = list(source)
        side = [stamp(packet) for frame in frames for packet in frame.side]
    expected = stamps_in_file(film)
    assert len({s[0] for s in expected}) == 2
    assert side == expected


def test_packets_ride_near_their_time(film: str) -> None:
    with open_source(film) as source:
        for frame in source:
            for packet in frame.side:
                assert abs(float(packet.pts * packet.time_base) - frame.time) < 1.5


def test_packets_outlive_the_source(film: str) -> None:
    with open_source(film) as source:
        packets = [packet for frame in source for packet in frame.side]
    assert [(p.stream_index, p.pts, len(bytes(p))) for p in packets] == stamps_in_file(film)


def test_the_last_frame_carries_what_is_left(clip: Clip) -> None:
    """A still picture with three seconds of sound."""
    path = clip("still.mkv", frames=1, pts=[0], audio=True, rate=1)
    with open_source(path) as source:
        frames = list(source)
    assert len(frames) == 1
    assert [stamp(p) for p in frames[0].side] == stamps_in_file(path)


@pytest.mark.parametrize(("start", "end"), [(1.5, None), (1.5, 2.7), (None, 2.2)])
def test_packets_are_cut_and_moved_with_the_pictures(film: str, start: float | None, end: float | None) -> None:
    with open_source(film, start=start, end=end) as source:
        frames = list(source)
        side = [(p.stream_index, float(p.pts * p.time_base)) for frame in frames for p in frame.side]
    first = -(-(start or 0) * 25 // 1) / 25
    with av.open(film) as container:
        expected = [
            (p.stream_index, float(p.pts * p.time_base) - first)
            for p in container.demux(*(s for s in container.streams if s.type != "video"))
            if p.size
            and (start is None or float(p.pts * p.time_base) >= first)
            and (end is None or float(p.pts * p.time_base) < end)
        ]
    assert len(expected) > 5
    assert [s[0] for s in side] == [s[0] for s in expected]
    assert [s[1] for s in side] == pytest.approx([s[1] for s in expected], abs=0.001)


def write_song(path: Path, film: bool) -> str:
    """Sound with a cover picture, and perhaps a film after that."""
    with av.open(str(path), "w") as out:
        cover: Any = out.add_stream("png", rate=1)
        cover.width, cover.height, cover.pix_fmt = 128, 128, "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        tone = Tone(out)
        video: Any = out.add_stream("mpeg4", rate=25) if film else None
        if film:
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        out.mux(cover.encode(flat("rgb24", (128, 128), (9, 9, 9))))
        out.mux(cover.encode(None))
        tone.play_until(0.5)
        for index in range(3 if film else 0):
            frame = flat("yuv420p", (64, 48), (100, 128, 128))
            frame.pts = index
            out.mux(video.encode(frame))
        for stream in (tone.stream, video) if film else (tone.stream,):
            out.mux(stream.encode(None))
    return str(path)


def test_a_cover_picture_is_not_the_video(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"no video stream \(it has: audio aac, cover picture png\)"):
        open_source(write_song(tmp_path / "song.mp4", film=False))
    with open_source(write_song(tmp_path / "film.mp4", film=True)) as source:
        assert source.info.size == (64, 48)
        assert len(list(source)) == 3
        assert source.notes == ["stream 2 (cover picture png) is skipped"]
