"""Sinks that take frames where they are: an encoder of a card, played by x264 on pictures of the host.

That an encoder of a card does not open is for real here, where there is none.
"""

import errno
import os
from dataclasses import replace
from fractions import Fraction

import av
import pytest

from allaprima.realtime.backends import hardware
from allaprima.realtime.errors import BackendError, SinkError
from allaprima.realtime.sinks import EncoderOptions, codecs, open_sink
from allaprima.realtime.sinks.base import takes_device_frames
from allaprima.realtime.sinks.mux import Muxer

SIZE = (160, 148)
"""At least what the encoders of cards take."""
FAILED = OSError(errno.EPERM, "Operation not permitted")


class Pictures:
    """`hardware.Surfaces`, but for FFmpeg's software: nv12 of the host, lent through DLPack for real."""

    pix_fmt = "nv12"

    def __init__(self, fails_at=None):
        self.held, self.most, self.count, self.fails_at = set(), 0, 0, fails_at

    def picture(self, frame, pts):
        assert frame.landing is not None, "landed on the way here"
        if self.count == self.fails_at:
            raise FAILED
        self.count += 1
        self.held.add(pts)
        self.most = max(self.most, len(self.held))
        return av.VideoFrame.from_dlpack(hardware.interleaved(*frame.landing()), format="nv12")

    def release(self, pts):
        self.held.remove(pts)


class Card:
    """`hardware.Hardware` as far as sinks know it."""

    def __init__(self, fails_at=None):
        self.given = Pictures(fails_at)

    def surfaces(self):
        return self.given


@pytest.fixture
def x264_is_a_cards(monkeypatch):
    monkeypatch.setitem(codecs.ENCODERS, "libx264", replace(codecs.ENCODERS["libx264"], card=True))


@pytest.fixture
def has_nvenc():
    context = av.CodecContext.create("h264_nvenc", "w")
    context.width, context.height, context.pix_fmt, context.time_base = 640, 480, "nv12", Fraction(1, 25)
    try:
        context.open()
    except (av.FFmpegError, OSError):
        return
    pytest.skip("this machine has such an encoder")


def floating(frame):
    """As a painter leaves it on a card: its planes are none that the host could read."""
    planes = frame.planes
    return replace(frame, planes=("on", "the card"), format="nv12", landing=lambda: planes)


def fill(sink, studio, info, count=20, **more):
    for index in range(count):
        frame = floating(studio.frame(index, index, info, duration=1, **more))
        sink.write(frame if takes_device_frames(sink) else frame.landed())


def luma(path):
    with av.open(str(path)) as container:
        return [int(picture.to_ndarray(format="gray")[10, -5]) for picture in container.decode(video=0)]


# ---- which encoder ----


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({}, ["h264_nvenc", "libx264"]),
        ({"codec": "h264"}, ["h264_nvenc", "libx264"]),
        ({"codec": "hevc", "bitrate": "3M"}, ["hevc_nvenc", "libx265"]),
        ({"codec": "av1"}, ["av1_nvenc", "libsvtav1"]),
        ({"codec": "vp9"}, ["libvpx-vp9"]),
        ({"codec": "libx264"}, ["libx264"]),
        ({"codec": "h264_nvenc", "preset": "p1"}, ["h264_nvenc"]),
        ({"crf": 20}, ["libx264"]),
        ({"preset": "fast"}, ["libx264"]),
    ],
)
def test_the_cards_own_encoder_is_tried_where_the_choice_is_open(wanted, names):
    plans = codecs.plans(EncoderOptions(**wanted), "libx264", True)
    assert [plan.encoder.name for plan in plans] == names
    assert plans[-1] == codecs.plan(EncoderOptions(**wanted), "libx264")
    assert codecs.plans(EncoderOptions(**wanted), "libx264") == plans[-1:]


def test_a_live_plan_is_live_on_the_card_too():
    first, second = codecs.plans(EncoderOptions(), "libx264", True, live=True, bit_rate=3_000_000)
    assert first.bit_rate == second.bit_rate == 3_000_000
    assert first.options["tune"] == "ull"


# ---- frames that stay where they are ----


@pytest.mark.parametrize("extension", ["mp4", "mkv", "mov"])
def test_frames_are_encoded_where_they_are(x264_is_a_cards, studio, tmp_path, hdr, extension):
    """Pictures, times and color are those of frames that were landed."""
    info = studio.info(SIZE, color=hdr, time_base=Fraction(1, 50))
    files = [tmp_path / f"{name}.{extension}" for name in ("card", "host")]
    for path, card in zip(files, (Card(), None), strict=True):
        with open_sink(str(path), info, hardware=card) as sink:
            assert takes_device_frames(sink) == (card is not None)
            fill(sink, studio, info)
        assert sink.notes == []
    assert luma(files[0]) == luma(files[1])
    assert studio.times(files[0]) == studio.times(files[1])
    assert len(luma(files[0])) == 20
    for path in files:
        with av.open(str(path)) as container:
            context = container.streams.video[0].codec_context
            tags = (context.colorspace, context.color_primaries, context.color_trc, context.color_range)
            assert tags == (hdr.matrix, hdr.primaries, hdr.transfer, hdr.range)


def test_the_sound_goes_with_them(x264_is_a_cards, studio, tmp_path, recording):
    """The header waits for the encoder, the packets for the header."""
    given = recording()
    with av.open(str(given)) as container:
        sound = container.streams.audio[0]
        packets = tuple(packet for packet in container.demux(sound) if packet.size)
        info = studio.info(SIZE, side_streams=(sound,), name=str(given))
        with open_sink(str(tmp_path / "out.mp4"), info, hardware=Card()) as sink:
            sink.write(floating(studio.frame(0, 0, info, duration=1, side=packets)))
            fill_from = [floating(studio.frame(index, index, info, duration=1)) for index in range(1, 25)]
            for frame in fill_from:
                sink.write(frame)
    assert studio.packets(tmp_path / "out.mp4", "audio") == studio.packets(given, "audio")
    assert len(studio.times(tmp_path / "out.mp4")) == 25


def test_memory_is_given_back_with_the_packets(x264_is_a_cards, studio, tmp_path):
    """x264 looks ahead; pictures are held as long as it may look at them."""
    info, card = studio.info(SIZE), Card()
    with open_sink(str(tmp_path / "out.mp4"), info, hardware=card) as sink:
        fill(sink, studio, info, 120)
        assert card.given.count == 120
        assert 0 < card.given.most < 100


def test_times_before_zero(x264_is_a_cards, studio, tmp_path):
    info = studio.info(SIZE)
    with open_sink(str(tmp_path / "out.mkv"), info, hardware=Card()) as sink:
        for index in range(5):
            sink.write(floating(studio.frame(index, index - 3, info, duration=1)))
    assert studio.times(tmp_path / "out.mkv") == [Fraction(index, 25) for index in range(5)]


def test_odd_sides_are_landed(x264_is_a_cards, studio, tmp_path):
    info = studio.info((161, 149))
    with open_sink(str(tmp_path / "out.mp4"), info, hardware=Card()) as sink:
        assert not takes_device_frames(sink)
        fill(sink, studio, info, 3)
    assert len(luma(tmp_path / "out.mp4")) == 3


def fail(sink, studio, info):
    with sink:
        fill(sink, studio, info, 3)
        raise BackendError("lost")


def test_nothing_is_left_of_a_run_that_failed(x264_is_a_cards, studio, tmp_path):
    info = studio.info(SIZE)
    with pytest.raises(BackendError):
        fail(open_sink(str(tmp_path / "out.mp4"), info, hardware=Card()), studio, info)
    with pytest.raises(SinkError, match="no frame came"), open_sink(str(tmp_path / "out.mp4"), info, hardware=Card()):
        pass
    assert os.listdir(tmp_path) == []


# ---- an encoder that does not open ----


def test_for_real_the_software_takes_over_with_a_note(has_nvenc, studio, tmp_path):
    info = studio.info(SIZE)
    with open_sink(str(tmp_path / "out.mp4"), info, hardware=Card()) as sink:
        assert not takes_device_frames(sink)
        fill(sink, studio, info)
    (note,) = sink.notes
    assert note.startswith("encoded with libx264: the encoder h264_nvenc does not open: ")
    assert len(luma(tmp_path / "out.mp4")) == 20
    with open_sink(str(tmp_path / "same.mp4"), info) as sink:
        fill(sink, studio, info)
    assert (tmp_path / "out.mp4").read_bytes() == (tmp_path / "same.mp4").read_bytes()


def test_for_real_one_that_was_asked_for_by_name_is_an_error(has_nvenc, studio, tmp_path):
    info = studio.info(SIZE)
    for card in (None, Card()):
        with pytest.raises(SinkError, match="the encoder h264_nvenc does not open") as caught:
            open_sink(str(tmp_path / "out.mp4"), info, encoder=EncoderOptions(codec="h264_nvenc"), hardware=card)
        assert caught.value.hint
    assert os.listdir(tmp_path) == []


def test_for_real_a_network_sink_says_so_too(has_nvenc, studio):
    sink = open_sink("udp://127.0.0.1:9", studio.info(SIZE), hardware=Card())
    assert not takes_device_frames(sink)
    assert sink.notes[0].startswith("encoded with libx264: the encoder h264_nvenc does not open: ")


def test_pictures_too_small_for_the_card(studio, tmp_path):
    info = studio.info((64, 48))
    with open_sink(str(tmp_path / "out.mp4"), info, hardware=Card()) as sink:
        fill(sink, studio, info, 3)
    assert sink.notes == ["encoded with libx264: h264_nvenc needs at least 146x146 pixels, this is 64x48"]
    assert len(luma(tmp_path / "out.mp4")) == 3


def card_and_spare():
    first = codecs.plan(EncoderOptions(), "libx264")
    return replace(first, encoder=replace(first.encoder, card=True)), codecs.plan(EncoderOptions(codec="ffv1"), "")


def test_one_that_refuses_its_first_picture_is_replaced(studio, tmp_path, recording):
    """Nothing was written by then: the file is begun anew, and no frame and no sound is missing."""
    given = recording()
    with av.open(str(given)) as container:
        sound = container.streams.audio[0]
        packets = tuple(packet for packet in container.demux(sound) if packet.size)
        info = studio.info(SIZE, side_streams=(sound,), name=str(given))
        made = tmp_path / "out.mkv"
        as_a_file = {"avoid_negative_ts": "disabled"}
        muxer = Muxer(
            str(made), "matroska", info, *card_and_spare(), options=as_a_file, hardware=Card(fails_at=0)
        )  # fmt: skip
        assert muxer.on_device
        notes = muxer.notes
        muxer.start()
        assert not made.exists()
        frames = [floating(studio.frame(index, index - 2, info, duration=1)) for index in range(6)]
        muxer.write(replace(frames[0], side=packets))
        assert not muxer.on_device
        for frame in frames[1:]:
            muxer.write(frame)
        muxer.finish()
    assert notes == ["encoded with ffv1: the encoder libx264 does not open: Operation not permitted"]
    assert studio.times(made) == [Fraction(index, 25) for index in range(6)]
    assert studio.packets(made, "audio") == studio.packets(given, "audio")
    with av.open(str(made)) as container:
        assert container.streams.video[0].codec_context.name == "ffv1"


def test_one_that_refuses_and_has_no_spare_is_an_error(studio, tmp_path):
    info = studio.info(SIZE)
    muxer = Muxer(str(tmp_path / "out.mkv"), "matroska", info, card_and_spare()[0], hardware=Card(fails_at=0))
    with pytest.raises(SinkError, match="the encoder libx264 does not open: Operation not permitted"):
        muxer.write(floating(studio.frame(0, 0, info)))


def test_one_that_fails_later_ends_the_run(x264_is_a_cards, studio, tmp_path):
    info = studio.info(SIZE)
    with (
        pytest.raises(SinkError, match=r"cannot write .*: Operation not permitted"),
        open_sink(str(tmp_path / "out.mp4"), info, hardware=Card(fails_at=2)) as sink,
    ):
        fill(sink, studio, info, 5)
    assert os.listdir(tmp_path) == []
