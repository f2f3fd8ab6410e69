"""Offers that are no good, and what answers say."""

import asyncio
import random
from typing import Any

import pytest

pytest.importorskip("aiortc")


from allaprima.realtime.errors import ConfigError
from allaprima.realtime.live.peers import Bitrates, Unacceptable

from .calls import Caller, Open, Tone, browser, description, exchange, publisher, sockets, until, viewer

pytestmark = pytest.mark.usefixtures("exact", "no_thread_left")


def test_the_answer_keeps_browsers_from_sinking(play: Any, moving: Any) -> None:
    async def scene(opened: Open) -> None:
        stream, me, watcher = opened(), browser(moving), viewer()
        async with exchange(me, watcher, bitrates=Bitrates(1, 2, 3)) as peers:
            wish = "x-google-min-bitrate=1;x-google-start-bitrate=2;x-google-max-bitrate=3"
            sent = await peers.answer(stream, await me.offer(), publishes=True, views=True)
            lines = [line for line in sent.sdp.splitlines() if line.startswith("a=fmtp:") and "apt=" not in line]
            assert len(lines) == 3
            assert all(wish in line for line in lines)
            assert all("profile-level-id=" not in line or "34;" in line for line in lines)
            seen = await peers.answer(stream, await watcher.offer(), publishes=False, views=True)
            assert "x-google" not in seen.sdp

    play(scene)


def test_main_profile_is_taken_where_a_viewer_offers_it(play: Any, moving: Any) -> None:
    async def scene(opened: Open) -> None:
        stream, source, watcher = opened(), publisher(moving), viewer()
        async with exchange(source, watcher) as peers:
            await source.call(peers, stream, publishes=True, views=False)
            offer = (await watcher.offer()).replace("profile-level-id=42e01f", "profile-level-id=4d001f")
            answer = await peers.answer(stream, offer, publishes=False, views=True)
            first = answer.sdp.split("m=video")[1].split()[2]
            assert (
                f"a=fmtp:{first} level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=4d0034" in answer.sdp
            )
            back = answer.sdp.replace("profile-level-id=4d00", "profile-level-id=42e0")
            await watcher.pc.setRemoteDescription(description(back))
            await until(lambda: len(watcher.frames) > 5)
            codec = peers.broadcast(stream, "main").encoder.codec
            assert codec is not None
            assert codec.profile == "Main"

    play(scene)


def test_any_profile_is_taken_from_a_publisher(play: Any, moving: Any) -> None:
    async def scene(opened: Open) -> None:
        stream, source = opened(), publisher(moving)
        async with exchange(source) as peers:
            source.prefer("video/H264")
            offer = (await source.offer()).replace("profile-level-id=42e01f", "profile-level-id=64002a")
            answer = await peers.answer(stream, offer, publishes=True, views=False)
            assert "profile-level-id=640034" in answer.sdp
            back = answer.sdp.replace("profile-level-id=6400", "profile-level-id=42e0")
            await source.pc.setRemoteDescription(description(back))
            await until(lambda: stream.stats().frames_painted > 5)

    play(scene)


def test_what_firefox_adds_is_no_reason_to_refuse(play: Any, moving: Any) -> None:
    """It writes a name of mDNS as the address for RTCP, and candidates of such names, also for RTCP and TCP."""

    async def scene(opened: Open) -> None:
        stream, me = opened(), browser(moving)
        async with exchange(me) as peers:
            name = "19718162-ccff-4704-b6dc-5ede8ea4f0a2.local"
            lines = [f"a=rtcp:43097 IN IP4 {name}", f"a=candidate:0 1 UDP 2122187007 {name} 38542 typ host"]
            lines += [f"a=candidate:2 1 TCP 2105458943 {name} 9 typ host tcptype active"]
            lines += [f"a=candidate:0 2 UDP 2122187006 {name} 43097 typ host", "a=end-of-candidates"]
            offer = (await me.offer()).replace("a=rtcp:9 IN IP4 0.0.0.0\r\n", "")
            offer = offer.replace("a=rtcp-mux\r\n", "\r\n".join([*lines, "a=rtcp-mux", ""]), 1)
            answer = await peers.answer(stream, offer, publishes=True, views=True)
            await me.pc.setRemoteDescription(description(answer.sdp))
            await until(lambda: me.frames)

    play(scene)


def test_who_may_choose_begins_with_dtls_and_who_waits_is_asked(play: Any, moving: Any) -> None:
    """As DTLS server aiortc takes peers with RSA certificates, as client it does not."""

    async def scene(opened: Open) -> None:
        stream = opened()
        for said, answered in (("actpass", "passive"), ("passive", "active"), ("active", "passive")):
            watcher = viewer()
            async with exchange(watcher) as peers:
                offer = (await watcher.offer()).replace("a=setup:actpass", f"a=setup:{said}")
                answer = await peers.answer(stream, offer, publishes=False, views=True)
                assert f"a=setup:{answered}" in answer.sdp

    play(scene)


# ---- offers that are no good ----


def test_garbage_is_refused_and_leaves_nothing(play: Any, moving: Any) -> None:
    async def scene(opened: Open) -> None:
        stream, me = opened(), browser(moving)
        async with exchange(me) as peers:
            good = await me.offer()
            before = sockets()
            for bad in (
                "",
                "hello",
                "v=0",
                "v=0\r\nm=video",
                "x" * 200_000,
                "v=0\r\n" + "m=video 9 RTP/AVP 0\r\n" * 100,
            ):
                with pytest.raises(ConfigError):
                    await peers.answer(stream, bad, publishes=True, views=True)
            numbers = random.Random(1)
            for _ in range(150):
                with_holes = _damaged(good, numbers)
                try:
                    answer = await peers.answer(stream, with_holes, publishes=True, views=True)
                except ConfigError:
                    continue
                await peers.close(answer.id)
            assert peers.count() == 0
            await asyncio.sleep(0.1)
            assert sockets() == before

    play(scene)


def _damaged(text: str, numbers: random.Random) -> str:
    lines = text.splitlines()
    for _ in range(numbers.randint(1, 4)):
        at = numbers.randrange(len(lines))
        how = numbers.randrange(4)
        if how == 0:
            del lines[at]
        elif how == 1:
            lines[at] = lines[at][: numbers.randrange(len(lines[at]) + 1)]
        elif how == 2:
            lines.insert(at, lines[numbers.randrange(len(lines))])
        else:
            lines[at] = lines[at].replace("1", "-99999999999").replace(":", " ", 1)
    return "\r\n".join(lines) + "\r\n"


def test_offers_that_cannot_be_used_are_told_apart_from_garbage(play: Any, moving: Any) -> None:
    async def scene(opened: Open) -> None:
        stream = opened()
        voice = Caller()
        voice.pc.addTransceiver(Tone(), "sendonly")
        watcher, source = viewer(), publisher(moving)
        async with exchange(voice, watcher, source) as peers:
            with pytest.raises(Unacceptable, match="no video"):
                await peers.answer(stream, await voice.offer(), publishes=True, views=False)
            with pytest.raises(Unacceptable, match="sends no video"):
                await peers.answer(stream, await watcher.offer(), publishes=True, views=False)
            offer = await source.offer()
            with pytest.raises(Unacceptable, match="receives no video"):
                await peers.answer(stream, offer, publishes=False, views=True)
            unknown = offer.replace("H264", "H999").replace("VP8", "VP99")
            with pytest.raises(Unacceptable, match="cannot be answered"):
                await peers.answer(stream, unknown, publishes=True, views=False)
            assert peers.count() == 0

    play(scene)
