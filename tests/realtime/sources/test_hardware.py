"""Hardware decoders, played by FFmpeg's software on a card that is not there; and what happens for real without one."""

import errno
from collections import Counter
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.error import InvalidDataError

from allaprima.realtime.backends.hardware import Hardware
from allaprima.realtime.metrics import Transfers
from allaprima.realtime.sources import decoder, open_source
from allaprima.realtime.sources.media import open_stream
from allaprima.realtime.sources.request import Request

from ...kernels.fake_streams import Order
from ..backends.fake_card import SURFACES, FakeHardware, installed
from .clips import SIZE, flat, luma
from .test_damage import noise

FRAMES = 40
B_FRAMES = {"bf": "3", "b-adapt": "0", "g": "12", "x264-params": "open-gop=1:scenecut=0"}
BROKEN = OSError(errno.EIO, "the decoder has stopped")


def shade(index):
    """Tells each frame from all others, and not by one level, which a codec may take from it."""
    return 20 + 5 * index


@pytest.fixture
def film(clip):
    """B-frames that lean on the group of pictures before."""
    return clip(frames=FRAMES, options=B_FRAMES, make=lambda i: flat("yuv420p", SIZE, (shade(i), 100, 150)))


@pytest.fixture(params=[None, 3], ids=["late", "order 3"])
def card(request):
    with installed(Order(request.param)) as fake:
        yield fake


def read(uri, hardware=None, **wishes):
    """Frames, landed, and the source; all frames are held on to until the last one came."""
    with open_source(uri, hardware=hardware, **wishes) as source:
        frames = list(source)
    return [frame.landed() for frame in frames], frames, source


def alike(made, wanted):
    assert [(f.pts, f.duration, f.index, f.color, f.format) for f in made] == [
        (f.pts, f.duration, f.index, f.color, f.format) for f in wanted
    ]
    for one, other in zip(made, wanted, strict=True):
        for plane, like in zip(one.planes, other.planes, strict=True):
            np.testing.assert_array_equal(plane, like)


def test_frames_stay_on_the_card(card, film):
    wanted, _, _ = read(film)
    hardware = FakeHardware(card)
    made, raw, source = read(film, hardware)
    assert len(raw) == FRAMES
    assert {frame.format for frame in raw} == {"nv12"}
    assert all(isinstance(plane, card.ndarray) for frame in raw for plane in frame.planes)
    assert hardware.transfers.to_device == 0
    assert hardware.transfers.to_host == FRAMES * SIZE[0] * SIZE[1] * 3 // 2  # by landing all of them
    assert (source.notes, source.lost) == ([], 0)
    alike(made, wanted)


def test_surfaces_are_given_back_at_once(card, film):
    """The frames that are held are more than the decoder has surfaces."""
    made, _, source = read(film, FakeHardware(card))
    assert len(made) > SURFACES
    assert source.notes == []
    assert card.made <= SURFACES


def test_ten_bits(card, clip):
    uri = clip("ten.mkv", pix_fmt="yuv420p10le", codec="libx265", options={"x265-params": "log-level=none"}, frames=5)
    _, raw, _ = read(uri, FakeHardware(card))
    assert [frame.format for frame in raw] == ["p010"] * 5
    assert [int(frame.landed().planes[0][0, 0]) for frame in raw] == [luma(index) for index in range(5)]


@pytest.mark.parametrize("at", [0, 1, 2, 5, 12, 13, 14, 15, 24, 26, FRAMES - 1, FRAMES])
def test_a_decoder_that_fails_loses_nothing(film, at):
    """At any packet, the first and the one that flushes included: the software goes on where the hardware was."""
    wanted, _, _ = read(film)
    with installed() as card:
        hardware = FakeHardware(card, fails={at: BROKEN})
        made, raw, source = read(film, hardware)
        assert source.notes == ["the video is decoded in software: the decoder has stopped"]
        assert (source.lost, hardware.opened) == (0, 1)
        kinds = [frame.format for frame in raw]
        assert kinds == sorted(kinds), "once software, always software"
        assert (kinds[0] == "nv12") == (at > 4)
        alike(made, wanted)


@pytest.mark.parametrize("at", [0, 3, 12, 14, 30])
def test_pictures_that_come_in_host_memory_after_all_lose_nothing(film, at):
    wanted, _, _ = read(film)
    with installed() as card:
        made, _, source = read(film, FakeHardware(card, gives_up=at))
        assert source.notes == ["the video is decoded in software: the hardware does not take all of it"]
        assert source.lost == 0
        alike(made, wanted)


def test_times_that_repeat_do_not_hide_a_picture(clip):
    """What was shown is counted, not remembered by its time alone."""
    uri = clip(
        "repeats.mkv", frames=20, options={"bf": "0"}, pts=[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], time_base=Fraction(1, 1000)
    )
    wanted, _, _ = read(uri)
    with installed() as card:
        made, _, _ = read(uri, FakeHardware(card, fails={6: BROKEN}))
        alike(made, wanted)


def test_damage_is_not_the_decoders_fault(film):
    damage = InvalidDataError(errno.EINVAL, "Invalid data found when processing input")
    with installed() as card:
        made, raw, source = read(film, FakeHardware(card, fails={20: damage}))
        assert {frame.format for frame in raw} == {"nv12"}
        assert source.lost == 1
        assert len(made) == FRAMES - 1
        assert source.notes == [f"1 of {FRAMES} frames could not be decoded"]


@pytest.mark.parametrize("fails", [{}, {8: BROKEN}, {13: BROKEN}], ids=["", "fails at 8", "fails at 13"])
@pytest.mark.parametrize("bad", [(5,), (5, 6, 12), (0,), (0, 1)], ids=str)
def test_damage_is_counted_once_by_whomever_it_is_met(clip, bad, fails):
    uri = clip(frames=20, make=noise, options={"g": "10", "bf": "0"})
    with av.open(uri) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    data = bytearray(Path(uri).read_bytes())
    for pos, size in (places[n] for n in bad):
        data[pos : pos + size] = b"\xff" * size
    Path(uri).write_bytes(data)
    wanted, _, plain = read(uri)
    assert plain.lost >= len(bad)
    with installed() as card:
        made, _, source = read(uri, FakeHardware(card, fails=fails))
        alike(made, wanted)
        assert source.lost == plain.lost


def test_a_decoder_that_never_decoded_is_at_fault(film):
    wanted, _, _ = read(film)
    with installed() as card:
        damage = InvalidDataError(errno.EINVAL, "Invalid data found when processing input")
        made, _, source = read(film, FakeHardware(card, fails={0: damage}))
        assert source.notes == ["the video is decoded in software: the data is damaged"]
        assert source.lost == 0
        alike(made, wanted)


def test_a_part_of_a_film(card, film):
    wishes = {"start": 0.5, "end": 1.1}
    wanted, _, _ = read(film, **wishes)
    hardware = FakeHardware(card)
    made, raw, _ = read(film, hardware, **wishes)
    assert {frame.format for frame in raw} == {"nv12"}
    alike(made, wanted)


@pytest.mark.parametrize(
    ("wishes", "why"),
    [
        ({"size": (65, 49), "codec": "libvpx-vp9"}, "its pictures have odd sides"),
        ({"pix_fmt": "yuv422p"}, "its pixels are yuv422p"),
        ({"pix_fmt": "yuv444p"}, "its pixels are yuv444p"),
        ({"pix_fmt": "gray", "codec": "ffv1"}, "its pixels are gray"),
        ({"pix_fmt": "bgr0", "codec": "ffv1"}, "its pixels are bgr0"),
        ({"prepare": lambda stream: stream.set_display_rotation(90)}, "its pictures are turned"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_card_cannot_give_as_it_is_wanted(clip, wishes, why):
    uri = clip("clip.mp4" if "prepare" in wishes else "clip.mkv", **wishes)
    wanted, _, _ = read(uri)
    with installed() as card:
        hardware = FakeHardware(card)
        made, _, source = read(uri, hardware)
        assert source.notes == [f"the video is decoded in software: {why}"]
        assert hardware.opened == 0
        alike(made, wanted)


def test_scaled_pictures_are_decoded_in_software(film):
    with installed() as card:
        hardware = FakeHardware(card)
        made, _, source = read(film, hardware, size=(32, 24))
        assert source.notes == ["the video is decoded in software: its pictures are scaled"]
        assert {frame.size for frame in made} == {(32, 24)}
        assert hardware.opened == 0
        assert read(film, FakeHardware(card), size=SIZE)[2].notes == []


def test_a_picture_of_another_size_on_the_way(tmp_path, clip):
    parts = [clip(f"{n}.ts", size=size, frames=6) for n, size in enumerate([SIZE, (96, 64)])]
    both = tmp_path / "both.ts"
    both.write_bytes(b"".join(Path(part).read_bytes() for part in parts))
    wanted, _, _ = read(str(both))
    with installed() as card:
        made, raw, source = read(str(both), FakeHardware(card))
        assert [frame.format for frame in raw] == ["nv12"] * 6 + ["yuv420p"] * 6
        assert source.notes[0] == "the video is decoded in software: the hardware does not take all of it"
        alike(made, wanted)


def test_a_live_stream(film, tmp_path):
    live = tmp_path / "live.ts"
    with av.open(film) as given, av.open(str(live), "w") as out:
        stream = out.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    for fails in ({}, {20: BROKEN}):
        with installed() as card, open(live, "rb") as file:
            request = Request(frames=FRAMES - 4, hardware=FakeHardware(card, fails=fails))
            with open_stream(file, "live", request) as source:
                frames = list(source)
            assert source.info.live
            assert len(frames) == FRAMES - 4
            assert [int(frame.landed().planes[0][0, 0]) for frame in frames] == [shade(i) for i in range(FRAMES - 4)]
            assert bool(source.notes) == bool(fails)


def test_what_is_remembered_is_bounded(film, monkeypatch):
    """Without the packets since the keyframe the software can only go on with what comes next."""
    monkeypatch.setattr(decoder, "MOST_PACKETS", 5)
    with installed() as card:
        made, _, source = read(film, FakeHardware(card, fails={23: BROKEN}))
        assert "the decoder has stopped" in source.notes[0]
        shown = [frame.pts for frame in made]
        assert shown == sorted(set(shown))
        assert len(made) >= FRAMES - 12
        assert int(made[-1].planes[0][0, 0]) == shade(FRAMES - 1)


def test_nothing_is_lost_where_every_picture_is_a_keyframe(clip):
    """Pictures may come out long after their packets, and as many keyframes later."""
    uri = clip(frames=150, options={"g": "1"}, make=noise)
    wanted, _, _ = read(uri)
    with installed() as card:
        made, raw, source = read(uri, FakeHardware(card, fails={120: BROKEN}))
        assert [frame.format for frame in raw] == ["nv12"] * 120 + ["yuv420p"] * 30
        assert source.lost == 0
        alike(made, wanted)


def test_not_more_is_remembered_than_is_needed(clip):
    uri = clip(frames=150, options={"g": "1"})
    with installed() as card, open_source(uri, hardware=FakeHardware(card)) as source:
        list(source)
        assert len(source._decoder._kept()) <= decoder.DELAY + 1


def test_what_was_shown_is_forgotten_once_all_was_decoded_again(film):
    """A picture that the software does not give again must not hide one of the same time much later."""
    with av.open(film) as container:
        taken = decoder.Decoder(container.streams.video[0], lambda error: None, [])
        pictures = list(container.decode(video=0))[:4]
    taken._shown, taken._again = Counter({pictures[0].pts: 1, pictures[3].pts: 1}), 3
    assert taken._fresh(pictures) == pictures[1:]


def test_without_hardware_nothing_is_remembered(film):
    with av.open(film) as container:
        video = container.streams.video[0]
        plain = decoder.Decoder(video, lambda error: None, [])
        made = [picture for packet in container.demux(video) for picture in plain.decode(packet)]
    assert len(made) == FRAMES
    assert plain._groups == []
    assert plain._shown == Counter()


def test_for_real_on_this_machine(film):
    """FFmpeg is asked for its device.  Where there is none, the stream is decoded in software and says why."""
    wanted, _, _ = read(film)
    with installed():
        made, raw, source = read(film, Hardware(Transfers()))
    if raw[0].format != "yuv420p":
        pytest.skip("there is a decoder on this machine")
    assert len(source.notes) == 1
    assert source.notes[0].startswith("the video is decoded in software: the hardware decoder of h264 does not open (")
    assert source.lost == 0
    alike(made, wanted)
