"""The cuda backend's launches, memory and order of work, in threads, on the host and between decoders and encoders."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from allaprima.realtime import pipeline
from allaprima.realtime.backends.cuda import FLIGHTS, CudaBackend
from allaprima.realtime.bundle import Bundle
from allaprima.realtime.frame import Frame
from allaprima.realtime.sinks.null import NullSink
from allaprima.realtime.sources import open_source
from allaprima.realtime.stylizer import Stylizer

from ...kernels.fake_cupy import FakeCupy
from ...kernels.fake_streams import FakeStream, Order
from .cuda_rig import COLOR, SIZE, Player, card, film, filters, moving, paint, worst


def test_a_frame_is_one_graph_and_takes_no_memory(fake: FakeCupy, bundle: Bundle) -> None:
    backend = CudaBackend(SIZE, COLOR)
    player = Player(backend, bundle)
    paint(player, 3)
    fake.launches.clear(), fake.copies.clear()
    with fake.no_allocation():
        player.style = -0.25
        paint(player, 3, 3)
    assert len(backend._programs) == 1
    names = [launched.kernel.partition("<")[0] for launched in fake.launches]
    assert names[: len(names) // 3] == names[len(names) // 3 : 2 * len(names) // 3]
    once = names[: len(names) // 3]
    assert once[0] == "gray"
    assert once[-1] == "present"
    assert [once.index(name) for name in ("pack", "unpack", "temper", "fetch", "hold")] == sorted(
        once.index(name) for name in ("pack", "unpack", "temper", "fetch", "hold")
    )
    picture = SIZE[0] * SIZE[1] * 3 // 2
    kinds = [(copied.kind, copied.size) for copied in fake.copies]
    assert kinds.count(("to device", picture)) == 3
    assert kinds.count(("to host", picture)) == 3
    small = [size for kind, size in kinds if kind == "to device" and size != picture]
    assert small == [48], "the filters of the other style, once"
    assert (backend.transfers.to_device, backend.transfers.to_host) == (6 * picture, 6 * picture)


def test_a_mask_goes_to_the_device_once(fake: FakeCupy, bundle: Bundle) -> None:
    player = Player(CudaBackend(SIZE, COLOR), bundle, mask=np.ones(SIZE[::-1], np.float32))
    found = [player(moving(SIZE, moment)).landed() for moment in range(3)]
    assert [copied.size for copied in fake.copies].count(4 * SIZE[0] * SIZE[1]) == 1
    assert [worst(frame, moving(SIZE, moment)) for moment, frame in enumerate(found)] == [0] * 3


def test_who_paints_does_not_wait_for_the_device(still: None, bundle: Bundle) -> None:
    with card("end", Order(None)) as fake:
        player = Player(CudaBackend(SIZE, COLOR), bundle)
        film(player, 1)  # captured: here it may wait
        launched = len(fake.launches)
        frames = film(player, FLIGHTS - 1, 1)
        assert len(fake.launches) == launched
        frames += film(player, 1, FLIGHTS)
        assert 0 < len(fake.launches) - launched < 40, "the first of the flights, whose place was wanted"
        frames[-1].landed()


def test_pictures_that_are_held_stay_as_they_are(fake: FakeCupy, bundle: Bundle) -> None:
    backend = CudaBackend(SIZE, COLOR)
    player = Player(backend, bundle)
    held = film(player, 1)[0].landed()
    before = [plane.copy() for plane in held.planes]
    inner = held.planes[0][3:9, 4:]
    pixels = inner.copy()
    paint(player, FLIGHTS + 2, 1)
    for plane, copied in zip(held.planes, before, strict=True):
        np.testing.assert_array_equal(plane, copied)
    del held, plane
    paint(player, FLIGHTS, 8)
    np.testing.assert_array_equal(inner, pixels)
    assert backend._landing.made <= 3, "what nobody holds is used again"


def test_frames_wait_for_the_painter_as_long_as_they_must(fake: FakeCupy, bundle: Bundle) -> None:
    """In a file a thread looks ahead: what waits is not overwritten."""
    expected = film(Player(CudaBackend(SIZE, COLOR), bundle), 7)
    backend = CudaBackend(SIZE, COLOR)
    net = backend.load_net(bundle)
    looked, seen, before = [], None, None
    for moment in range(7):
        picture = backend.upload(moving(SIZE, moment))
        looked.append((picture, backend.motion(seen, picture)))
        seen = picture
    for moment, (picture, motion) in enumerate(looked):
        before = backend.warp_blend(before, net.paint(picture, filters(0.25), 1.0), motion, 0.9)
        found = backend.download(before, moving(SIZE, moment))
        assert worst(found.landed(), expected[moment].landed()) == 0
    assert backend._surfaces["yuv420p"].made == 7


def test_filters_are_those_of_their_own_frame(fake: FakeCupy, bundle: Bundle) -> None:
    """A fade writes into the same arrays, frame after frame, while pictures still wait to be painted."""
    backend = CudaBackend(SIZE, COLOR)
    net, fading = backend.load_net(bundle), filters(0.25)
    picture = backend.upload(moving(SIZE, 0))
    painted = net.paint(picture, fading, 1.0)
    fading["shift"][:] = filters(-0.25)["shift"]
    shown = backend.warp_blend(None, painted, backend.motion(None, picture), 0.9)
    expected = film(Player(CudaBackend(SIZE, COLOR), bundle), 1)[0]
    assert worst(backend.download(shown, moving(SIZE, 0)).landed(), expected.landed()) == 0


def test_two_sessions_do_not_mix(fake: FakeCupy, bundle: Bundle) -> None:
    alone = [film(Player(CudaBackend(SIZE, COLOR), bundle, style), 3) for style in (0.25, -0.25)]
    players = [Player(CudaBackend(SIZE, COLOR), bundle, style) for style in (0.25, -0.25)]
    for moment in range(3):
        for player, expected in zip(players, alone, strict=True):
            assert worst(player(moving(SIZE, moment)).landed(), expected[moment].landed()) == 0


def test_a_lost_frame_is_as_if_it_had_not_been(fake: FakeCupy, bundle: Bundle) -> None:
    without = Player(CudaBackend(SIZE, COLOR), bundle)
    expected = [without(moving(SIZE, moment)) for moment in (0, 1, 3)]
    player = Player(CudaBackend(SIZE, COLOR), bundle)
    film(player, 2)
    player.seen = player.backend.upload(moving(SIZE, 2))  # and then something failed
    assert worst(player(moving(SIZE, 3)).landed(), expected[2].landed()) == 0


def test_a_history_that_is_not_the_last_picture_is_none(fake: FakeCupy, bundle: Bundle) -> None:
    fresh = Player(CudaBackend(SIZE, COLOR), bundle)
    expected = fresh(moving(SIZE, 3)).landed()
    player = Player(CudaBackend(SIZE, COLOR), bundle)
    film(player, 1)
    old = player.before
    film(player, 1, 1)
    player.before = old
    assert worst(player(moving(SIZE, 3)).landed(), expected) == 0


def test_with_nothing_painted_a_carried_picture_is_the_input(fake: FakeCupy, bundle: Bundle) -> None:
    player = Player(CudaBackend(SIZE, COLOR), bundle, carry=True)
    assert worst(player(moving(SIZE, 0)).landed(), moving(SIZE, 0)) == 0


class Kept(NullSink):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.kept: list[Frame] = []

    def write(self, frame: Frame) -> None:
        self.kept.append(frame)


def test_in_the_pipelines_threads_it_is_the_same(fake: FakeCupy, tiny_bundle: Path, no_thread_left: None) -> None:
    """A file's frames are looked at in one thread, painted in a second, finished in a third, landed in a fourth."""
    with open_source("test:landscape", size=(64, 48), frames=6) as source:
        given = list(source)
    stylizer = Stylizer("bright", bundle=tiny_bundle, steadiness=0.8, backend="cuda")
    expected = [stylizer(frame).landed() for frame in given]
    sink = Kept()
    stylizer = Stylizer("bright", bundle=tiny_bundle, steadiness=0.8, backend="cuda")
    pipeline.run(open_source("test:landscape", size=(64, 48), frames=6), stylizer, [sink])
    assert [worst(ours, theirs) for ours, theirs in zip(sink.kept, expected, strict=True)] == [0] * 6
    assert stylizer.device == "cuda"
    assert worst(sink.kept[3], given[3]) > 10, "painted"


# ---- on the card all the way ----


def on_card(fake: FakeCupy, frame: Frame) -> Frame:
    y, u, v = frame.planes
    return replace(frame, planes=(fake.asarray(y), fake.asarray(np.stack((u, v), -1))), format="nv12")


@pytest.mark.parametrize("seed", [None, 3])
def test_between_a_decoder_and_an_encoder_nothing_touches_the_host(
    still: None, bundle: Bundle, seed: int | None
) -> None:
    with card():
        expected = [frame.landed() for frame in film(Player(CudaBackend(SIZE, COLOR), bundle), 4)]
    with card("end", Order(seed)) as fake:
        backend = CudaBackend(SIZE, COLOR)
        player = Player(backend, bundle, host=False)
        for moment in range(4):
            given = on_card(fake, moving(SIZE, moment))
            painted = player(given)
            for plane in given.planes:
                plane.fill(0)  # the decoder has its surface back, on the default stream
            assert painted.format == "nv12"
            with FakeStream.null:
                luma, chroma = (plane.get() for plane in painted.planes)
            found = replace(painted, planes=(luma, chroma[..., 0], chroma[..., 1]))
            assert worst(found, expected[moment]) == 0
        assert (backend.transfers.to_device, backend.transfers.to_host) == (0, 0)
        assert worst(painted.landed(), expected[-1]) == 0, "for a sink that takes no such frames"
        assert backend.transfers.to_host > 0


@pytest.mark.parametrize("seed", range(4))
def test_a_decoder_has_its_surface_back_at_once(still: None, bundle: Bundle, seed: int) -> None:
    with card():
        expected = [frame.landed() for frame in film(Player(CudaBackend(SIZE, COLOR), bundle), 3)]
    with card("end", Order(seed)) as fake:
        player, found, surface = Player(CudaBackend(SIZE, COLOR), bundle), [], on_card(fake, moving(SIZE, 0))
        for moment in range(3):
            y, u, v = moving(SIZE, moment).planes
            for plane, codes in zip(surface.planes, (y, np.stack((u, v), -1)), strict=True):
                plane[...] = codes  # on the default stream, as decoders work
            found.append(player(replace(surface, index=moment)))
        for ours, theirs in zip(found, expected, strict=True):
            assert worst(ours.landed(), theirs) == 0


def test_an_encoder_gets_one_piece_of_memory_with_one_pitch(fake: FakeCupy, bundle: Bundle) -> None:
    luma, chroma = Player(CudaBackend(SIZE, COLOR), bundle, host=False)(moving(SIZE, 0)).planes
    assert luma.strides[0] == chroma.strides[0] == 256
    assert chroma.data.ptr == luma.data.ptr + SIZE[1] * 256


def test_what_an_encoder_still_holds_is_not_painted_over(fake: FakeCupy, bundle: Bundle) -> None:
    backend = CudaBackend(SIZE, COLOR)
    player = Player(backend, bundle, host=False)
    first, *_ = player(moving(SIZE, 0)).planes
    part, pixels = first[2:4], first.get()
    del first
    for moment in range(1, 5):
        player(moving(SIZE, moment))
    np.testing.assert_array_equal(part.get(), pixels[2:4])
    assert backend._encoded.made <= 3


@pytest.mark.parametrize("seed", [None, 4])
def test_memory_is_not_painted_over_while_an_encoder_reads(still: None, bundle: Bundle, seed: int | None) -> None:
    with card():
        expected = [frame.landed() for frame in film(Player(CudaBackend(SIZE, COLOR), bundle), 6)]
    with card("end", Order(seed)):
        player, stream, read = Player(CudaBackend(SIZE, COLOR), bundle, host=False), FakeStream(), []
        for moment in range(6):
            painted = player(moving(SIZE, moment))
            stream.wait_event(FakeStream.null.record())  # as `hardware.reading`
            with stream:
                read.append(painted.planes[0].copy())
            FakeStream.null.wait_event(stream.record())
            del painted
        assert player.backend._encoded.made < 6
        with stream:
            for luma, frame in zip(read, expected, strict=True):
                np.testing.assert_array_equal(luma.get(), frame.planes[0])
