"""Whole calls: aiortc peers on loopback publish, view and steer streams that are painted with the tiny bundle."""

import asyncio
import gc
import itertools
import json
import os
import random
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

import numpy as np
import pytest

pytest.importorskip("aiortc")

from aiortc import RTCPeerConnection

from allaprima.realtime.live import peers as module
from allaprima.realtime.live.control import Change
from allaprima.realtime.live.peer import Peer
from allaprima.realtime.live.peers import Patience, Peers

from .calls import (
    SIZE,
    Caller,
    Open,
    browser,
    connection,
    exchange,
    luma,
    memory,
    number_in,
    pictures,
    publisher,
    sockets,
    threads,
    until,
    viewer,
)

pytestmark = pytest.mark.usefixtures("exact", "no_thread_left")


CONNECTIONS = int(os.environ.get("CONNECTIONS", "6"))
"""How often is connected and killed; 200 for the full test."""


def brightness(caller: Caller) -> float:
    return float(luma(caller.frames[-1][1])[16:].mean())


def states(caller: Caller) -> list[Any]:
    return [value["state"] for value in map(json.loads, caller.messages) if "state" in value]


# ---- painting and steering ----


def test_a_browser_gets_its_camera_back_painted_and_steers_it(play: Any, moving: Any) -> None:
    async def scene(opened: Open) -> None:
        stream, me = opened(), browser(moving)
        async with exchange(me) as peers:
            await me.call(peers, stream, publishes=True, views=True)
            await until(lambda: me.frames and me.messages)
            plain = brightness(me)
            assert json.loads(me.messages[0])["state"]["style"] == "plain"
            me.channel.send('{"style": "bright"}')
            await until(lambda: brightness(me) > plain + 20)
            assert states(me)[-1] == stream.state.model_dump(mode="json")
            me.channel.send('{"style": "nobody"}')
            me.channel.send("{")
            await until(lambda: sum('"hint"' in message for message in me.messages) == 2)
            stream.apply(Change(style="dark"))  # somebody else, by REST
            await until(lambda: states(me)[-1]["style"] == "dark")
            await until(lambda: brightness(me) < plain - 20)
            await until(lambda: any("stats" in message for message in me.messages))
            stats = next(json.loads(m)["stats"] for m in me.messages if "stats" in m)
            assert stats["size"] == list(SIZE)
            assert stats["viewers"] == 1
        assert peers.count() == 0

    play(scene)


def test_a_swap_shows_within_three_frames_and_none_is_black_or_frozen(play: Any, moving: Any) -> None:
    async def scene(opened: Open) -> None:
        stream, source, watcher = opened(style="bright"), publisher(moving), viewer()
        camera = source.pc.getSenders()[0].track
        async with exchange(source, watcher) as peers:
            await source.call(peers, stream, publishes=True, views=False)
            await watcher.call(peers, stream, publishes=False, views=True)
            await until(lambda: len(watcher.frames) > 10)
            swaps = []
            for style in itertools.islice(itertools.cycle(("dark", "bright")), 12):
                swaps.append((max(camera.sent), style))
                stream.apply(Change(style=style))
                await asyncio.sleep(0.25)
            await asyncio.sleep(0.3)
            shown = [(number_in(pixels), float(pixels[16:].mean())) for pixels in map(luma, pictures(watcher))]
        numbers = [number for number, _ in shown]
        for at, style in swaps:
            after = [(number, mean) for number, mean in shown if number > at]
            first = next(n for n, (_, mean) in enumerate(after) if (mean > 127) == (style == "bright"))
            assert first <= 3, (at, style, after[:5])
        assert min(mean for _, mean in shown) > 70, "no black picture"
        assert all(a < b for a, b in itertools.pairwise(numbers)), "every picture is a newer one"
        times = [at for at, _ in watcher.frames]
        assert max(b - a for a, b in itertools.pairwise(times[10:])) < 1, "it never stood still"

    play(scene)


def test_streams_side_by_side_never_mix(play: Any, tiny: ModuleType) -> None:
    low, high = tiny.texture(SIZE, 1, 50, 90), tiny.texture(SIZE, 2, 150, 200)

    async def scene(opened: Open) -> None:
        one, other = opened("one", style="dark"), opened("other", style="bright")
        first, second = browser(lambda n: np.roll(low, n, 1)), browser(lambda n: np.roll(high, n, 1))
        guests = [viewer(), viewer()]
        async with exchange(first, second, *guests) as peers:
            await first.call(peers, one, publishes=True, views=True)
            await second.call(peers, other, publishes=True, views=True)
            await guests[0].call(peers, one, publishes=False, views=True)
            await guests[1].call(peers, other, publishes=False, views=True)
            first.channel.send('{"strength": 0.9}')
            await until(lambda: all(len(c.frames) > 40 for c in (first, second, *guests)), 20)
            assert (one.state.strength, other.state.strength) == (0.9, 1.0)
            for caller in (first, guests[0]):
                assert all(luma(frame).mean() < 80 for frame in pictures(caller))
            for caller in (second, guests[1]):
                assert all(luma(frame).mean() > 150 for frame in pictures(caller))
            assert not any('"other"' in message for message in first.messages)
            assert (peers.count(), peers.count(one)) == (4, 2)
            await peers.close_stream(one)
            assert (peers.count(), peers.count(one)) == (2, 0)
            count = len(second.frames)
            await until(lambda: len(second.frames) > count + 5)

    play(scene)


def test_delay_is_small_and_does_not_grow(play: Any, moving: Any) -> None:
    async def scene(opened: Open) -> None:
        stream, me = opened(), browser(moving)
        camera = me.pc.getSenders()[0].track
        async with exchange(me) as peers:
            await me.call(peers, stream, publishes=True, views=True)
            await until(lambda: len(me.frames) > 120, 30)
            (watching,) = peers.broadcast(stream, "baseline")._watchers
            assert watching.target is not None, "the receiver told what its line can take"
        delays = [at - camera.sent[number_in(luma(frame))] for at, frame in me.frames]
        early, late = np.median(delays[20:60]), np.median(delays[-40:])
        print(
            f"camera to receiver, one process: p50 {1000 * np.median(delays):.0f} ms, p95 "
            f"{1000 * np.quantile(delays, 0.95):.0f} ms"
        )
        assert late < early + 0.15
        assert late < 0.5

    play(scene)


def test_size_and_rate_change_in_mid_stream(play: Any, tiny: ModuleType) -> None:
    pictures = [tiny.texture(size, 3) for size in ((320, 192), (192, 320), (161, 99), (640, 360))]

    async def scene(opened: Open) -> None:
        stream, source, watcher = opened(style="bright"), publisher(lambda n: pictures[n // 20 % 4]), viewer()
        # odd sizes cannot be sent by VP8 or H.264: the camera's are even
        pictures[2] = pictures[2][:98, :160]
        async with exchange(source, watcher) as peers:
            await source.call(peers, stream, publishes=True, views=False)
            await watcher.call(peers, stream, publishes=False, views=True)
            await until(lambda: len({(f.width, f.height) for _, f in watcher.frames}) == 4, 30)
            source.pc.getSenders()[0].track._rate = 12
            assert stream.stats().problem == ""

    play(scene)


# ---- codecs ----


def test_viewers_with_the_same_codec_share_one_encoding(play: Any, moving: Any) -> None:
    async def scene(opened: Open) -> None:
        stream, source = opened(), publisher(moving)
        same, old = [viewer() for _ in range(3)], viewer()
        old.prefer("video/VP8")
        async with exchange(source, *same, old) as peers:
            await source.call(peers, stream, publishes=True, views=False)
            for caller in (*same, old):
                await caller.call(peers, stream, publishes=False, views=True)
                await until(lambda caller=caller: caller.frames)
            (h264, vp8) = (peers.broadcast(stream, codec) for codec in ("baseline", "vp8"))
            assert (len(h264), len(vp8)) == (3, 1)
            assert (h264.encoder.name, vp8.encoder.name) == ("libx264", "libvpx")
            assert h264.encoder.opened == 1
            assert stream.stats().viewers == 4
            for caller in same[:2]:
                await peers.close(caller.answer.id)
            assert (len(h264), stream.stats().viewers) == (1, 2)
            await peers.close(same[2].answer.id)
            assert not h264._thread.is_alive()
            count = len(old.frames)
            await until(lambda: len(old.frames) > count + 5)

    play(scene)


def test_a_lost_picture_is_answered_by_a_keyframe_within_two(play: Any, moving: Any) -> None:
    async def scene(opened: Open) -> None:
        stream, source, watcher, other = opened(), publisher(moving), viewer(), viewer()
        camera = source.pc.getSenders()[0].track
        async with exchange(source, watcher, other) as peers:
            await source.call(peers, stream, publishes=True, views=False)
            for caller in (watcher, other):
                await caller.call(peers, stream, publishes=False, views=True)
            await until(lambda: len(watcher.frames) > 20 and len(other.frames) > 20)
            receiver = watcher.pc.getReceivers()[0]
            (source_info,) = receiver.getSynchronizationSources()
            painting = max(camera.sent)
            await receiver._send_rtcp_pli(source_info.source)
            await asyncio.sleep(0.5)
            for caller in (watcher, other):
                keys = [number_in(luma(frame)) for frame in pictures(caller)[15:] if frame.key_frame]
                assert [key for key in keys if painting - 1 <= key <= painting + 3], (painting, keys)

    play(scene)


# ---- bad lines ----


class BadLine:
    """A UDP transport that loses packets and keeps others back, so that they overtake each other."""

    def __init__(self, transport: Any, loss: float, jitter: float, seed: int) -> None:
        self._transport, self._loss, self._jitter = transport, loss, jitter
        self._random = random.Random(seed)

    def sendto(self, data: bytes, addr: Any = None) -> None:
        if self._random.random() < self._loss:
            return
        later = self._random.uniform(0, self._jitter)
        asyncio.get_running_loop().call_later(later, self._send, data, addr)

    def _send(self, data: bytes, addr: Any) -> None:
        if not self._transport.is_closing():
            self._transport.sendto(data, addr)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def worsen(pc: RTCPeerConnection, loss: float = 0.05, jitter: float = 0.05) -> None:
    for seed, protocol in enumerate(connection(pc)._protocols):
        protocol.transport = BadLine(protocol.transport, loss, jitter, seed)


def test_a_line_that_loses_and_delays_still_shows_the_stream(play: Any, moving: Any) -> None:
    async def scene(opened: Open) -> None:
        stream, source, watcher = opened(style="bright"), publisher(moving), viewer()
        camera = source.pc.getSenders()[0].track
        async with exchange(source, watcher) as peers:
            await source.call(peers, stream, publishes=True, views=False)
            await watcher.call(peers, stream, publishes=False, views=True)
            await until(lambda: len(watcher.frames) > 10)
            for pc in (source.pc, watcher.pc, *(peer.pc for peer in peers._peers.values())):
                worsen(pc)
            first = len(watcher.frames)
            await asyncio.sleep(6)
            came = list(watcher.frames)[first:]
            delays = [at - camera.sent.get(number_in(luma(frame)), 0) for at, frame in came]
            print(
                f"5 % loss, 50 ms jitter: {len(came) / 6:.0f} frames/s, p50 {1000 * np.median(delays):.0f} ms, "
                f"p95 {1000 * np.quantile(delays, 0.95):.0f} ms"
            )
            assert len(came) > 45
            assert all(luma(frame)[16:].mean() > 100 for _, frame in came), "no gray or black picture"
            assert np.median(delays[-20:]) < 1.5, "delay does not pile up"

    play(scene)


# ---- comings and goings ----

QUICK = Patience(connect=4, silence=3, pictures=3)


@asynccontextmanager
async def remembering(**options: Any) -> AsyncIterator[tuple[Peers, list[str]]]:
    gone: list[str] = []
    async with exchange(gone=gone.append, **options) as peers:
        yield peers, gone


async def kill(caller: Caller) -> None:
    """It vanishes without a word."""
    worsen(caller.pc, loss=1)
    await caller.close()


def test_the_dead_the_silent_and_the_never_connected_are_cleared_away(
    play: Any, moving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK", 0.2)

    async def scene(opened: Open) -> None:
        stream, source, watcher, never = opened(), publisher(moving), viewer(), viewer()
        blind, polite = publisher(lambda n: moving(0), 0.1), viewer()
        async with remembering(patience=QUICK) as (peers, gone):
            lost = await never.call(peers, stream, publishes=False, views=True, wait=False)
            await never.close()
            one = await source.call(peers, stream, publishes=True, views=False)
            other = await watcher.call(peers, stream, publishes=False, views=True)
            bye = await polite.call(peers, stream, publishes=False, views=True)
            still = await blind.call(peers, opened("b"), publishes=True, views=False)
            await until(lambda: watcher.frames)
            await polite.close()
            await until(lambda: bye.id in gone, 2)
            await kill(source)
            await kill(watcher)
            await until(lambda: peers.count() == 0 and len(gone) == 5, 20)
            assert sorted(gone) == sorted([lost.id, one.id, other.id, bye.id, still.id])
            await peers.close(one.id)
            assert len(gone) == 5, "each once"
            await blind.close()
            await until(lambda: not peers._broadcasts)

    play(scene)


def test_connecting_and_vanishing_again_and_again_leaves_nothing(
    play: Any, moving: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK", 0.1)

    async def scene(opened: Open) -> None:
        stream = opened()
        left: list[weakref.ref[Any]] = []

        async def once(peers: Peers, rude: bool) -> None:
            me, guest = browser(moving), viewer(audio=True)
            await me.call(peers, stream, publishes=True, views=True)
            await guest.call(peers, stream, publishes=False, views=True)
            await until(lambda: guest.frames, 20)
            left.extend(weakref.ref(thing) for thing in (me.pc, *peers._peers.values()))
            left.extend(weakref.ref(peer.pc) for peer in peers._peers.values())
            for caller in (me, guest):
                await (kill(caller) if rude else caller.close())
            await until(lambda: peers.count() == 0, 10)
            await until(lambda: not peers._broadcasts)

        async with exchange(patience=Patience(silence=1)) as peers:
            for rude in (False, True):
                await once(peers, rude)
            before, used = (threads(), sockets()), memory()
            for number in range(CONNECTIONS // 2):
                await once(peers, rude=number % 2 == 1)
            await asyncio.sleep(0.2)
            grown = memory() - used
            print(f"{CONNECTIONS} connections: {grown / 1e6:+.1f} MB")
            assert (threads(), sockets()) == before
            assert [thing() for thing in left if thing() is not None] == []
            assert not [thing for thing in gc.get_objects() if type(thing) is Peer]
            assert grown < 50e6

    play(scene)
