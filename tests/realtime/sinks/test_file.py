"""Files: times, colors, shapes, and what is left on the disk."""

import os
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest

from allaprima.realtime.errors import ConfigError, OutputExists, SinkError
from allaprima.realtime.sinks import EncoderOptions, open_sink

NTSC = Fraction(1001, 30000)
STAMPS = {
    "even": list(range(8)),
    "uneven": [0, 1, 2, 5, 6, 13, 14, 15],
    "late start": [1000, 1001, 1002, 1003],
    "gap": [0, 1, 2, 900, 901],
}


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.m4v", "a.mkv", "a.webm"])
@pytest.mark.parametrize("stamps", STAMPS.values(), ids=STAMPS)
def test_every_frame_at_its_time(studio, tmp_path, name, stamps):
    path = tmp_path / name
    studio.write(path, stamps, studio.info(time_base=NTSC, rate=1 / NTSC))
    times = studio.times(path)
    rounding = 0 if name.startswith("a.m") and name != "a.mkv" else Fraction(1, 2000)
    assert len(times) == len(stamps)
    assert all(abs(time - pts * NTSC) <= rounding for time, pts in zip(times, stamps, strict=True))
    assert os.listdir(tmp_path) == [name]


def test_fine_time_base(studio, tmp_path):
    stamps = [7, 3011, 5999, 9000, 90001]
    studio.write(tmp_path / "a.mp4", stamps, studio.info(time_base=Fraction(1, 90000), rate=None))
    assert studio.times(tmp_path / "a.mp4") == [Fraction(pts, 90000) for pts in stamps]


def test_time_before_zero_moves_up(studio, tmp_path):
    studio.write(tmp_path / "a.mkv", [-30, -29, -28], studio.info())
    assert studio.times(tmp_path / "a.mkv") == [0, Fraction(1, 25), Fraction(2, 25)]


def test_a_repeated_time_does_not_stop_the_file(studio, tmp_path):
    studio.write(tmp_path / "a.mp4", [0, 5, 5, 4, 9], studio.info())
    assert [t * 25 for t in studio.times(tmp_path / "a.mp4")] == [0, 5, 6, 7, 9]


def test_the_last_frame_lasts(studio, tmp_path):
    info = studio.info()
    with open_sink(str(tmp_path / "a.mp4"), info) as sink:
        for pts, lasts in ((0, 1), (1, 4), (5, 10)):
            sink.write(studio.frame(pts, pts, info, duration=lasts))
    with av.open(str(tmp_path / "a.mp4")) as container:
        video = container.streams.video[0]
        assert video.duration * video.time_base == Fraction(15, 25)


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "h264"), ("a.mkv", "hevc"), ("a.webm", "vp9"), ("a.mp4", "av1"), ("a.mkv", "ffv1")],
)
def test_color_tags(studio, tmp_path, hdr, name, codec):
    studio.write(tmp_path / name, range(3), studio.info((64, 64), color=hdr), codec=codec)
    with av.open(str(tmp_path / name)) as container:
        shown = next(container.decode(video=0))
    assert (shown.colorspace, shown.color_primaries, shown.color_trc, shown.color_range) == (9, 9, 16, 2)


@pytest.mark.parametrize(("name", "codec", "depth"), [("a.mov", "prores", 4), ("a.webm", "vp8", 1)])
def test_a_codec_with_one_color_coding_gets_its_pictures_in_it(studio, tmp_path, hdr, name, codec, depth):
    """White in full range is 255; these bitstreams cannot say so and need 235."""
    info = studio.info((64, 64), color=hdr)
    frame = studio.frame(0, 0, info)
    white = (np.full((64, 64), 255, np.uint8), *(np.full((32, 32), 128, np.uint8) for _ in range(2)))
    with open_sink(str(tmp_path / name), info, encoder=EncoderOptions(codec=codec)) as sink:
        sink.write(replace(frame, planes=white))
    with av.open(str(tmp_path / name)) as container:
        shown = next(container.decode(video=0))
    luma = np.frombuffer(memoryview(shown.planes[0]), np.uint16 if depth == 4 else np.uint8)
    assert luma[0] / depth == pytest.approx(235, abs=2)
    assert shown.color_range == 1


@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
def test_pixel_shape_and_title(studio, tmp_path, name):
    info = studio.info(
        sample_aspect=Fraction(4, 3), metadata={"title": "Regatta", "encoder": "old", "major_brand": "x"}
    )
    studio.write(tmp_path / name, range(3), info)
    with av.open(str(tmp_path / name)) as container:
        assert container.streams.video[0].codec_context.sample_aspect_ratio == Fraction(4, 3)
        assert container.metadata["title"] == "Regatta"
        assert "old" not in container.metadata.values()


def test_a_pixel_shape_that_is_lost_is_noted(studio, tmp_path):
    sink = studio.write(tmp_path / "a.webm", range(3), studio.info(sample_aspect=Fraction(4, 3)))
    assert sink.notes == ["pixels will be shown square, not 4:3: webm cannot say it"]


@pytest.mark.parametrize(
    ("name", "codec", "coded"),
    [
        ("a.mp4", "h264", (66, 66)), ("a.mkv", "hevc", (66, 66)), ("a.mp4", "av1", (66, 66)),
        ("a.mov", "prores", (66, 66)), ("a.webm", "vp9", (65, 65)), ("a.mkv", "ffv1", (65, 65)),
    ],
)  # fmt: skip
def test_odd_sizes(studio, tmp_path, name, codec, coded):
    sink = studio.write(tmp_path / name, range(3), studio.info((65, 65)), codec=codec)
    with av.open(str(tmp_path / name)) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == 3
    assert (frames[0].width, frames[0].height) == coded
    padding = [f"padded to 66x66 because {codec} needs even sizes"] if coded == (66, 66) else []
    assert sink.notes == padding


def test_padding_repeats_the_edge(studio, tmp_path):
    studio.write(tmp_path / "a.mp4", range(1), studio.info((65, 49)), crf=1)
    with av.open(str(tmp_path / "a.mp4")) as container:
        luma = next(container.decode(video=0)).to_ndarray()[:50, :66].astype(int)
    assert np.abs(luma[:, 65] - luma[:, 64]).max() <= 2
    assert np.abs(luma[49] - luma[48]).max() <= 2


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm"])
def test_tiny(studio, tmp_path, name):
    studio.write(tmp_path / name, range(3), studio.info((16, 16)))
    assert len(studio.times(tmp_path / name)) == 3


def test_too_tiny_for_av1(studio, tmp_path):
    with pytest.raises(SinkError, match=r"64x64.*16x16"):
        studio.write(tmp_path / "a.mp4", range(3), studio.info((16, 16)), codec="av1")
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("layout", ["plain", "read-only", "gaps"])
def test_ffv1_is_exact(studio, tmp_path, layout):
    info = studio.info((66, 50))
    frames = [studio.frame(i, i, info) for i in range(4)]
    with open_sink(str(tmp_path / "a.mkv"), info, encoder=EncoderOptions(codec="ffv1")) as sink:
        for frame in frames:
            planes = frame.planes
            if layout == "gaps":
                planes = tuple(np.repeat(np.pad(p, 3), 2, 1)[3:-3, 6:-6:2] for p in planes)
            for plane in planes:
                plane.flags.writeable = layout != "read-only"
            sink.write(replace(frame, planes=planes))
    with av.open(str(tmp_path / "a.mkv")) as container:
        for shown, frame in zip(container.decode(video=0), frames, strict=True):
            for plane, expected in zip(shown.planes, frame.planes, strict=True):
                rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, -1)
                assert np.array_equal(rows[:, : plane.width], expected)


def test_a_frame_of_another_size_is_scaled(studio, tmp_path):
    info = studio.info()
    with open_sink(str(tmp_path / "a.mp4"), info) as sink:
        sink.write(studio.frame(0, 0, info))
        sink.write(studio.frame(1, 1, studio.info((33, 21))))
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert [(f.width, f.height) for f in container.decode(video=0)] == [(64, 48)] * 2


def test_nothing_is_on_disk_before_entering(studio, tmp_path):
    sink = open_sink(str(tmp_path / "a.mp4"), studio.info())
    assert os.listdir(tmp_path) == []
    del sink


def test_an_exception_discards_and_keeps_the_old_file(studio, tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")
    info = studio.info()

    def fail():
        with open_sink(str(path), info, overwrite=True) as sink:
            for i in range(20):
                sink.write(studio.frame(i, i, info))
            assert path.read_bytes() == b"old"
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.mp4"]


def test_existing_file(studio, tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"old")
    with pytest.raises(OutputExists) as caught:
        studio.write(path, range(3), studio.info())
    assert "overwrite" in caught.value.hint
    studio.write(path, range(3), studio.info(), overwrite=True)
    assert len(studio.times(path)) == 3


def test_a_file_that_appears_meanwhile_is_kept(studio, tmp_path):
    path = tmp_path / "a.mp4"
    info = studio.info()
    with pytest.raises(OutputExists), open_sink(str(path), info) as sink:  # noqa: PT012
        sink.write(studio.frame(0, 0, info))
        path.write_bytes(b"other")
    assert path.read_bytes() == b"other"
    assert os.listdir(tmp_path) == ["a.mp4"]


def test_a_link_stays_a_link(studio, tmp_path):
    (tmp_path / "real.mp4").write_bytes(b"old")
    (tmp_path / "link.mp4").symlink_to("real.mp4")
    studio.write(tmp_path / "link.mp4", range(3), studio.info(), overwrite=True)
    assert (tmp_path / "link.mp4").is_symlink()
    assert len(studio.times(tmp_path / "real.mp4")) == 3


def test_zero_frames(studio, tmp_path):
    with pytest.raises(SinkError, match="no frame"), open_sink(str(tmp_path / "a.mp4"), studio.info()):
        pass
    assert os.listdir(tmp_path) == []


def test_the_input_is_not_the_output(studio, tmp_path):
    path = tmp_path / "a.mp4"
    studio.write(path, range(3), studio.info())
    with pytest.raises(SinkError, match="also the input"):
        open_sink(str(path), studio.info(name=str(path)), overwrite=True)


def test_places_that_cannot_be_written(studio, tmp_path):
    with pytest.raises(SinkError, match="no folder") as caught:
        open_sink(str(tmp_path / "no" / "a.mp4"), studio.info())
    assert "mkdir" in caught.value.hint
    (tmp_path / "b.mp4").mkdir()
    with pytest.raises(SinkError, match="not a regular file"):
        open_sink(str(tmp_path / "b.mp4"), studio.info(), overwrite=True)
    with pytest.raises(SinkError, match=r"\.avi") as caught:
        open_sink(str(tmp_path / "a.avi"), studio.info())
    assert ".mkv" in caught.value.hint
    with pytest.raises(SinkError, match="without an extension"):
        open_sink(str(tmp_path / "a"), studio.info())


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
def test_no_permission(studio, tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(SinkError, match="permission"):
        open_sink(str(tmp_path / "a.mp4"), studio.info())


@pytest.mark.skipif(os.name != "posix", reason="needs a limit on file sizes")
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_full_disk(tmp_path, name):
    """A limit on the file's size stands in for a full disk."""
    (tmp_path / name).write_bytes(b"old")
    script = f"""
import resource, signal, numpy as np
from fractions import Fraction
from allaprima.realtime.errors import SinkError
from allaprima.realtime.frame import Frame, StreamInfo
from allaprima.realtime.sinks import open_sink
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
rng, tick = np.random.default_rng(0), Fraction(1, 25)
try:
    with open_sink({str(tmp_path / name)!r}, StreamInfo("x", (320, 240), tick), overwrite=True) as sink:
        for i in range(30):
            planes = [rng.integers(0, 255, s, np.uint8) for s in ((240, 320), (120, 160), (120, 160))]
            sink.write(Frame(tuple(planes), (320, 240), i, tick))
except SinkError as error:
    print("SinkError", error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.startswith("SinkError cannot"), done.stderr
    assert os.listdir(tmp_path) == [name]
    assert (tmp_path / name).read_bytes() == b"old"


def test_config_errors_come_before_anything_is_written(studio, tmp_path):
    with pytest.raises(ConfigError):
        studio.write(tmp_path / "a.mp4", range(3), studio.info(), crf=20, bitrate="1M")
    with pytest.raises(SinkError, match="webm cannot hold h264") as caught:
        studio.write(tmp_path / "a.webm", range(3), studio.info(), codec="h264")
    assert "vp9" in caught.value.hint
    assert "mkv" in caught.value.hint
    assert os.listdir(tmp_path) == []


def test_unknown_kind(studio):
    with pytest.raises(SinkError, match="windo:") as caught:
        open_sink("windo:", studio.info())
    assert "window:" in caught.value.hint


def test_null(studio):
    info = studio.info()
    with open_sink("null:", info) as sink:
        for i in range(3):
            sink.write(studio.frame(i, i, info))
    assert sink.frames == 3
