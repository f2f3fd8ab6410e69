"""The table of encoders."""

import pytest

from allaprima.realtime.errors import ConfigError
from allaprima.realtime.sinks import EncoderOptions, codecs


@pytest.mark.parametrize(
    ("short", "name"),
    [
        ("h264", "libx264"), ("hevc", "libx265"), ("av1", "libsvtav1"), ("vp9", "libvpx-vp9"),
        ("vp8", "libvpx"), ("ffv1", "ffv1"), ("prores", "prores_ks"), ("H264", "libx264"),
        ("h264_nvenc", "h264_nvenc"), ("mpeg4", "mpeg4"),
    ],
)  # fmt: skip
def test_names(short, name):
    assert codecs.encoder_named(short).name == name


@pytest.mark.parametrize(("typed", "meant"), [("h246", "h264"), ("libx265x", "libx265"), ("aac", "")])
def test_unknown_names_the_closest(typed, meant):
    with pytest.raises(ConfigError) as caught:
        codecs.encoder_named(typed)
    assert meant in caught.value.hint


def test_quality_and_bit_rate():
    assert codecs.plan(EncoderOptions(), "libx264").options["crf"] == "18"
    assert codecs.plan(EncoderOptions(crf=30), "libx264").options["crf"] == "30"
    assert codecs.plan(EncoderOptions(crf=30), "h264_nvenc").options["cq"] == "30"
    rated = codecs.plan(EncoderOptions(bitrate="2.5M"), "libx264")
    assert rated.bit_rate == 2_500_000
    assert "crf" not in rated.options
    assert codecs.plan(EncoderOptions(preset="slow"), "libx264").options["preset"] == "slow"
    assert codecs.plan(EncoderOptions(preset="5"), "libvpx-vp9").options["cpu-used"] == "5"


@pytest.mark.parametrize(
    "wrong",
    [
        {"crf": 20, "bitrate": "1M"}, {"crf": 52}, {"crf": -1}, {"codec": "vp8", "crf": 3},
        {"preset": "warp"},
        {"codec": "ffv1", "crf": 1}, {"codec": "ffv1", "bitrate": "1M"}, {"codec": "prores", "crf": 1},
        {"bitrate": "lots"}, {"bitrate": "0"}, {"bitrate": "-1M"}, {"codec": "ffv1", "preset": "fast"},
    ],
)  # fmt: skip
def test_refused(wrong):
    with pytest.raises(ConfigError):
        codecs.plan(EncoderOptions(**wrong), "libx264")


def test_live_bit_rate():
    assert codecs.live_bit_rate((1280, 720), None) == 6_000_000
    assert codecs.live_bit_rate((16, 16), None) == 500_000
    assert codecs.live_bit_rate((7680, 4320), None) == 20_000_000
