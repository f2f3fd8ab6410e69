"""Our encoders: what is in their bitstream, how they follow a bitrate, and how the picture looks at the other end."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import numpy as np
import pytest

pytest.importorskip("aiortc")

from aiortc.codecs.h264 import H264Encoder, h264_depayload
from av.video.frame import PictureType

from allaprima.bench.sent import Sent, send
from allaprima.realtime.frame import Color
from allaprima.realtime.live import broadcast as module
from allaprima.realtime.live.broadcast import ALLOWANCE, BEHIND, Broadcast, RtpClock, Unit, common_bitrate
from allaprima.realtime.live.encoder import (
    LEAST_BITRATE,
    MOST_BITRATE,
    LiveH264,
    LiveVp8,
    clamp,
    level_for,
)
from allaprima.realtime.live.stream import Stream
from allaprima.realtime.mailbox import Closed
from allaprima.realtime.sinks.picture import tag

SMALL = (320, 192)


def clip(tiny: ModuleType, size: tuple[int, int], count: int, grain: float = 1.2) -> list[av.VideoFrame]:
    """Strokes that drift, with light that changes: as hard to encode as a painting."""
    width, height = size
    strokes = [tiny.texture((width + 2 * count, height + count), seed, 30, 220, grain) for seed in (1, 2)]
    pictures = []
    for n in range(count):
        share = 0.5 + 0.5 * np.sin(n / 15)
        y = sum(
            weight * part[n : n + height, 2 * n : 2 * n + width].astype(np.float32)
            for weight, part in zip((share, 1 - share), strokes, strict=True)
        )
        yuv = np.concatenate([y.astype(np.uint8), np.full((height // 2, width), 120, np.uint8)])
        pictures.append(av.VideoFrame.from_ndarray(yuv, format="yuv420p"))
    return pictures


def encode(encoder: Any, pictures: list[av.VideoFrame], keyframes: tuple[int, ...] = ()) -> list[list[bytes]]:
    encoder.rate = 30
    packets = []
    for n, picture in enumerate(pictures):
        picture.pts, picture.time_base = 3000 * n, Fraction(1, 90_000)
        packets.append(encoder.encode(picture, n in keyframes)[0])
    return packets


def units(payloads: list[bytes]) -> list[bytes]:
    data = b"".join(map(h264_depayload, payloads))
    return [unit for unit in data.split(b"\0\0\0\1") if unit]


def kinds(payloads: list[bytes]) -> list[int]:
    return [unit[0] & 31 for unit in units(payloads)]


# ---- H.264 ----


@pytest.mark.parametrize(("profile", "idc"), [("baseline", 66), ("main", 77)])
def test_the_bitstream_is_what_was_negotiated(tiny: ModuleType, profile: str, idc: int) -> None:
    encoder = LiveH264(profile)
    packets = encode(encoder, clip(tiny, SMALL, 12), keyframes=(7,))
    (parameters,) = [unit for unit in units(packets[0]) if unit[0] & 31 == 7]
    assert parameters[1] == idc
    if profile == "baseline":
        assert parameters[2] & 0x40, "constrained: any decoder of baseline, main or high can take it"
    assert parameters[3] == 30
    assert [5 in kinds(packet) for packet in packets] == [n in (0, 7) for n in range(12)]
    assert {7, 8, 5} <= set(kinds(packets[7])), "a keyframe stands on its own"
    assert all(len(payload) <= 1300 for packet in packets for payload in packet)
    decoder: Any = av.CodecContext.create("h264", "r")
    shown = [f for p in packets for f in decoder.decode(av.Packet(b"".join(map(h264_depayload, p))))]
    assert not [f for f in shown if f.pict_type == PictureType.B]
    assert len(shown) == 12, "each picture comes out at once: nothing is held back"


@pytest.mark.parametrize(
    ("size", "rate", "level"),
    [((320, 180), 30, 30), ((640, 360), 30, 30), ((1280, 720), 30, 31), ((1280, 720), 60, 32), ((1920, 1080), 30, 40),
     ((1080, 1920), 60, 42), ((2560, 1440), 30, 50), ((3840, 2160), 30, 51), ((7680, 4320), 60, 52)],
)  # fmt: skip
def test_the_level_suits_size_and_rate(size: tuple[int, int], rate: float, level: int) -> None:
    assert level_for(size, rate).number == level


def test_it_follows_the_bitrate_within_one_codec(tiny: ModuleType) -> None:
    encoder = LiveH264()
    pictures = clip(tiny, SMALL, 60)
    rates = []
    for target in (800_000, 300_000, 1_000_000, 600_000):
        encoder.target_bitrate = target
        sizes = [8 * sum(map(len, packet)) for packet in encode(encoder, pictures)]
        for picture in pictures:
            picture.pts = None
        rates.append(np.mean(sizes[20:]) * 30 / target)
    assert encoder.opened == 1
    assert all(0.6 < rate < 1.3 for rate in rates), rates


def test_a_slow_stream_gets_its_bits_too(tiny: ModuleType) -> None:
    encoder = LiveH264()
    encoder.target_bitrate = 400_000
    pictures = clip(tiny, SMALL, 40)
    sizes = []
    for n, picture in enumerate(pictures):
        encoder.rate = 10
        picture.pts, picture.time_base = 9000 * n, Fraction(1, 90_000)
        sizes.append(8 * sum(map(len, encoder.encode(picture)[0])))
    assert 0.6 < np.mean(sizes[10:]) * 10 / 400_000 < 1.3


def test_sizes_change_and_a_codec_is_opened_for_each(tiny: ModuleType) -> None:
    encoder = LiveH264()
    for size in (SMALL, (192, 320), (640, 360), SMALL):
        (packet,) = encode(encoder, clip(tiny, size, 1))
        assert 5 in kinds(packet)
    assert encoder.opened == 4


def test_colors_are_told_to_the_receiver(tiny: ModuleType) -> None:
    (picture,) = clip(tiny, SMALL, 1)
    tag(picture, Color(6, 6, 6, 1))
    (packet,) = encode(LiveH264(), [picture])
    decoder: Any = av.CodecContext.create("h264", "r")
    (shown,) = [*decoder.decode(av.Packet(b"".join(map(h264_depayload, packet)))), *decoder.decode(None)]
    assert (shown.colorspace, shown.color_primaries, shown.color_trc, shown.color_range) == (6, 6, 6, 1)


def test_targets_are_clamped() -> None:
    for encoder in (LiveH264(), LiveVp8()):
        encoder.target_bitrate = 10**9
        assert encoder.target_bitrate == MOST_BITRATE
        encoder.target_bitrate = 1
        assert encoder.target_bitrate == LEAST_BITRATE
    assert clamp(1, (1920, 1080)) > clamp(1, (640, 360)), "a large picture needs more to be one"
    assert clamp(10**9, (640, 360)) == 3_000_000, "a small one gains nothing by more"
    assert clamp(10**9, (1920, 1080)) == MOST_BITRATE


def test_without_a_card_x264_encodes(tiny: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """The card itself cannot be tested here: NVENC is asked first, and what it cannot do x264 does."""
    asked: list[str] = []
    create = av.CodecContext.create

    def remember(name: str, mode: str) -> Any:
        asked.append(name)
        if name == "h264_nvenc":
            raise av.FFmpegError(1, "no card")
        return create(name, mode)

    monkeypatch.setattr("allaprima.realtime.live.encoder.av.CodecContext.create", remember, raising=False)
    encoder = LiveH264()
    try:
        encode(encoder, clip(tiny, SMALL, 1))
    finally:
        monkeypatch.undo()
    assert (asked, encoder.name) == (["h264_nvenc", "libx264"], "libx264")


def test_vp8_is_opened_anew_for_large_changes_only(tiny: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LiveVp8, "REOPEN_EVERY", 0.0)
    encoder = LiveVp8()
    for target, opened in ((800_000, 1), (900_000, 1), (300_000, 2), (350_000, 2)):
        encoder.target_bitrate = target
        encode(encoder, clip(tiny, SMALL, 3))
        assert encoder.opened == opened
    assert send(clip(tiny, SMALL, 10), LiveVp8()).psnr > 25


# ---- what the receiver sees ----


def test_the_picture_that_arrives_is_better_than_with_the_stock_encoder(tiny: ModuleType) -> None:
    """At 720p: aiortc's as it starts and at the most it can, ours as it starts and at the same bitrate."""
    pictures, skip = clip(tiny, (1280, 720), 24), 8
    results: dict[str, Sent] = {}
    for name, make, bitrate in (
        ("aiortc as it starts, 1 Mbit/s", H264Encoder, None),
        ("aiortc at its most, 3 Mbit/s", H264Encoder, 3_000_000),
        ("ours at 3 Mbit/s", LiveH264, 3_000_000),
        ("ours as it starts, 6 Mbit/s", LiveH264, None),
        ("ours at its most, 12 Mbit/s", LiveH264, 20_000_000),
    ):
        encoder: Any = make()
        if bitrate is not None:
            encoder.target_bitrate = bitrate
        results[name] = sent = send(pictures, encoder, skip=skip)
        picture = f"{sent.psnr:5.1f} dB (worst {sent.worst:4.1f})"
        print(f"{name:32} {picture} {sent.kbps:6.0f} kbit/s {sent.milliseconds:5.1f} ms")
    stock, most, same, ours, best = results.values()
    assert all(sent.pictures == len(pictures) for sent in results.values())
    assert ours.psnr > stock.psnr + 3
    assert ours.psnr > most.psnr + 1
    assert best.psnr > ours.psnr + 1
    assert same.milliseconds < most.milliseconds


# ---- one encoding for all who watch ----


class Line:
    """A watcher, and when it was woken."""

    def __init__(self, broadcast: Broadcast) -> None:
        self.woken = threading.Event()
        self.watcher = broadcast.join(self.woken.set)

    def unit(self, timeout: float = 5) -> Unit:
        until = time.monotonic() + timeout
        while (unit := self.watcher.get()) is None:
            assert time.monotonic() < until, "nothing came"
            time.sleep(0.002)
        return unit


@pytest.fixture
def shared(tiny_bundle: Path, tiny: ModuleType, no_thread_left: None) -> Iterator[tuple[Broadcast, Callable[[], None]]]:
    """A broadcast of a stream that lets frames through, and what puts the next frame."""
    stream = Stream("a", bundle=tiny_bundle)
    stream._stylizer.bypass = True
    broadcast = Broadcast(stream, LiveH264)
    frames = [tiny.frame(SMALL, seed) for seed in range(4)]
    numbers = itertools.count()

    def put() -> None:
        n = next(numbers)
        stream.put(replace(frames[n % 4], pts=n, index=n, captured=time.monotonic()))

    yield broadcast, put
    stream.close()
    broadcast.close()


def test_all_watchers_get_the_same_pictures_and_one_keyframe_serves_all(shared: Any) -> None:
    broadcast, put = shared
    one, other = Line(broadcast), Line(broadcast)
    for n in range(6):
        if n == 3:
            other.watcher.request_keyframe()
        put()
        units = one.unit(), other.unit()
        assert units[0] is units[1]
        assert units[0].keyframe == (n in (0, 3)), n
    late = Line(broadcast)
    put()
    assert late.unit().keyframe
    assert (len(broadcast), broadcast.encoder.opened) == (3, 1)


def test_who_comes_while_nothing_moves_gets_the_last_picture(shared: Any) -> None:
    broadcast, put = shared
    first = Line(broadcast)
    put()
    before = first.unit()
    late = Line(broadcast)
    again = late.unit()
    assert again.keyframe
    assert again.timestamp > before.timestamp
    put()
    assert late.unit().timestamp > again.timestamp


def test_who_falls_behind_waits_for_a_keyframe_and_asks_for_one(shared: Any) -> None:
    broadcast, put = shared
    slow, quick = Line(broadcast), Line(broadcast)
    put()
    assert slow.unit().keyframe
    quick.unit()
    for _ in range(BEHIND + 4):
        put()
        quick.unit()
    assert slow.watcher.get() is None, "what it has cannot be decoded"
    put()
    unit = slow.unit()
    assert unit.keyframe
    assert quick.unit() is unit


def test_who_asks_all_the_time_is_heard_once_a_second(shared: Any) -> None:
    broadcast, put = shared
    nagging = Line(broadcast)
    keyframes = 0
    for _ in range(40):
        nagging.watcher.request_keyframe()
        put()
        keyframes += nagging.unit().keyframe
    assert keyframes <= ALLOWANCE + 3


def test_one_bad_line_lowers_the_others_to_a_floor_only(shared: Any) -> None:
    assert common_bitrate([]) is None
    assert common_bitrate([3_000_000]) == 3_000_000
    assert common_bitrate([4_000_000, 3_000_000, 5_000_000]) == 3_000_000
    assert common_bitrate([4_000_000, 100_000, 6_000_000]) == 2_000_000
    broadcast, _ = shared
    lines = [Line(broadcast) for _ in range(3)]
    for line, bitrate in zip(lines, (4_000_000, 100_000, 6_000_000), strict=True):
        line.watcher.offer(bitrate)
    assert broadcast.encoder.target_bitrate == 2_000_000
    broadcast.leave(lines[1].watcher)
    assert broadcast.encoder.target_bitrate == 4_000_000


def test_an_encoder_that_fails_is_replaced(shared: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    broadcast, put = shared
    line = Line(broadcast)
    put()
    line.unit()

    def fail(*args: Any) -> Any:
        raise RuntimeError("the encoder is on fire")

    monkeypatch.setattr(broadcast.encoder, "encode", fail)
    before = broadcast.encoder
    put()
    time.sleep(0.1)
    assert broadcast.encoder is not before
    put()
    assert line.unit().keyframe


def test_watchers_are_told_of_the_end(shared: Any) -> None:
    broadcast, _ = shared
    line = Line(broadcast)
    broadcast.stream.close()
    assert line.woken.wait(5)
    time.sleep(0.05)
    with pytest.raises(Closed):
        line.watcher.get()
    after = Line(broadcast)
    with pytest.raises(Closed):
        after.watcher.get()


def test_times_keep_the_sources_spacing_and_bridge_its_jumps(tiny: ModuleType) -> None:
    clock = RtpClock()

    def at(pts: int, captured: float) -> int:
        return clock.of(tiny.flat(100, captured=captured, index=pts))  # 25 a second

    times = [at(n, 100 + n / 25 + (0.013 if n % 2 else 0)) for n in range(5)]
    assert [b - a for a, b in itertools.pairwise(times)] == [3600] * 4, "what the network did to them is not shown"
    jumped = at(1000, 100.2)
    assert 0 < jumped - times[-1] < 6000, "another source took over"
    assert at(1001, 100.24) - jumped == 3600
    assert at(1001, 100.28) > jumped + 3600, "never back"
    assert module.CLOCK == 90_000
