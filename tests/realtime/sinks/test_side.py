"""Sound and subtitles."""

from fractions import Fraction

import av
import pytest

from allaprima.realtime.frame import StreamInfo
from allaprima.realtime.sinks import EncoderOptions, open_sink


@pytest.mark.parametrize(
    ("source", "codec", "target", "video"),
    [
        ("aac.mp4", "aac", "a.mp4", None), ("aac.mp4", "aac", "a.mov", None),
        ("aac.mp4", "aac", "a.mkv", None),
        ("aac.mp4", "aac", "b.mkv", "ffv1"), ("ac3.mkv", "ac3", "a.mp4", None),
        ("opus.mkv", "libopus", "a.webm", None), ("alac.mkv", "alac", "a.mp4", None),
        ("pcm.mkv", "pcm_s16le", "a.mov", None),
    ],
)  # fmt: skip
def test_copied_byte_for_byte(studio, recording, tmp_path, source, codec, target, video):
    given, made = recording(source, codec), tmp_path / target
    sink = studio.copy(given, made, codec=video)
    assert sink.notes == []
    packets = studio.packets(made, "audio")
    assert packets == studio.packets(given, "audio")[: len(packets)]
    assert len(packets) >= len(studio.packets(given, "audio")) - 3  # the last ones come after the last frame
    assert studio.heard(made) == pytest.approx(studio.beeps, abs=0.003)
    assert max(abs(a - b) for a, b in zip(studio.times(made), studio.times(given), strict=True)) <= 0.0005


@pytest.mark.parametrize(
    ("source", "codec", "rate", "target", "note"),
    [
        ("aac.mp4", "aac", 48000, "a.webm", "audio re-encoded to opus because webm cannot hold aac"),
        ("aac44.mp4", "aac", 44100, "a.webm", "audio re-encoded to opus because webm cannot hold aac"),
        ("pcm.mkv", "pcm_s16le", 48000, "a.mp4", "audio re-encoded to aac because mp4 cannot hold pcm_s16le"),
        ("opus.mkv", "libopus", 48000, "a.mov", "audio re-encoded to aac because mov cannot hold opus"),
    ],
)
def test_re_encoded_in_sync(studio, recording, tmp_path, source, codec, rate, target, note):
    sink = studio.copy(recording(source, codec, rate), tmp_path / target)
    assert sink.notes == [note]
    assert studio.heard(tmp_path / target) == pytest.approx(studio.beeps, abs=0.003)


def test_two_sinks_share_the_packets(studio, recording, tmp_path):
    with av.open(str(recording())) as container:
        audio = container.streams.audio[0]
        packets = tuple(p for p in container.demux(audio) if p.size)
        times = [(p.pts, p.dts, p.stream_index) for p in packets]
        info = studio.info(side_streams=(audio,))
        names = ("a.mp4", "a.mkv", "a.webm")
        for name in names:
            with open_sink(str(tmp_path / name), info) as sink:
                for i in range(25):
                    sink.write(studio.frame(i, i, info, side=packets if i == 0 else ()))
        assert [(p.pts, p.dts, p.stream_index) for p in packets] == times
    for name in names:
        assert studio.heard(tmp_path / name) == pytest.approx(studio.beeps, abs=0.003)


def test_damaged_times(studio, recording, tmp_path):
    """No times, times that go backwards: the file is finished all the same, with every packet."""
    with av.open(str(recording())) as container:
        audio = container.streams.audio[0]
        packets = [p for p in container.demux(audio) if p.size]
        packets[3].pts = packets[3].dts = None
        packets[5].dts = None
        packets[8].pts = packets[8].dts = packets[6].dts
        info = studio.info(side_streams=(audio,))
        for name in ("a.mp4", "a.mkv", "a.webm"):
            with open_sink(str(tmp_path / name), info) as sink:
                for i in range(25):
                    sink.write(studio.frame(i, i, info, side=tuple(packets) if i == 0 else ()))
    for name in ("a.mp4", "a.mkv"):
        assert studio.packets(tmp_path / name, "audio") == studio.packets(recording(), "audio")
    assert studio.heard(tmp_path / "a.webm")[1] == pytest.approx(studio.beeps[1], abs=0.05)


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv", "a.webm"])
@pytest.mark.parametrize("codec", ["aac", "ac3", "libopus", "flac"])
def test_a_stream_without_packets(studio, recording, tmp_path, name, codec):
    with av.open(str(recording(f"{codec}.mkv", codec))) as container:
        info = studio.info(side_streams=(container.streams.audio[0],))
        studio.write(tmp_path / name, range(3), info)
    assert len(studio.times(tmp_path / name)) == 3


@pytest.fixture
def subtitled(tmp_path):
    text = tmp_path / "words.srt"
    text.write_text("1\n00:00:00,100 --> 00:00:00,400\nAhoy\n\n2\n00:00:00,500 --> 00:00:00,900\nLand\n")
    with av.open(str(text)) as container:
        stream = container.streams.subtitles[0]
        yield stream, tuple(p for p in container.demux(stream) if p.size)


def test_subtitles_are_copied_into_mkv(studio, subtitled, tmp_path):
    stream, packets = subtitled
    info = studio.info(side_streams=(stream,))
    with open_sink(str(tmp_path / "a.mkv"), info) as sink:
        for i in range(25):
            sink.write(studio.frame(i, i, info, side=packets if i == 0 else ()))
    assert sink.notes == []
    assert studio.packets(tmp_path / "a.mkv", "subtitles") == [b"Ahoy", b"Land"]
    with av.open(str(tmp_path / "a.mkv")) as container:
        shown = [(p.pts, p.duration) for p in container.demux(subtitles=0) if p.size]
    assert shown == [(100, 300), (500, 400)]


def test_subtitles_left_out_of_mp4(studio, subtitled, tmp_path):
    stream, packets = subtitled
    info = studio.info(side_streams=(stream,))
    with open_sink(str(tmp_path / "a.mp4"), info) as sink:
        sink.write(studio.frame(0, 0, info, side=packets))
    assert sink.notes == ["1 subtitle stream left out: mp4 cannot hold subrip"]
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert len(container.streams) == 1


def test_language_and_title_are_kept(studio, recording, tmp_path):
    with av.open(str(recording())) as container:
        audio = container.streams.audio[0]
        audio.metadata.update({"language": "nld", "title": "Commentaar", "encoder": "old"})
        info = StreamInfo("x", (64, 48), Fraction(1, 25), side_streams=(audio,))
        with open_sink(str(tmp_path / "a.mkv"), info, encoder=EncoderOptions()) as sink:
            sink.write(studio.frame(0, 0, info))
    with av.open(str(tmp_path / "a.mkv")) as container:
        kept = container.streams.audio[0].metadata
        assert (kept["language"], kept["title"]) == ("nld", "Commentaar")
        assert "old" not in kept.values()
