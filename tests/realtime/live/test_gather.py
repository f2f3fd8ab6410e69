"""Ways to a peer: one UDP port, a public address, candidates that come later."""

import asyncio
from typing import Any

import pytest

pytest.importorskip("aiortc")

from aioice import stun

from allaprima.realtime.errors import ConfigError
from allaprima.realtime.live.gather import Gathering
from allaprima.realtime.live.ice import IceServer
from allaprima.realtime.live.peers import Peers, Unacceptable

from .calls import Open, browser, description, exchange, publisher, sockets, until, viewer

pytestmark = pytest.mark.usefixtures("exact", "no_thread_left")


def test_all_peers_share_one_udp_port(play: Any, moving: Any) -> None:
    async def scene(opened: Open) -> None:
        stream, me, watchers = opened(), browser(moving), [viewer() for _ in range(3)]
        async with exchange(me, *watchers, udp_port=0) as peers:
            await peers.start()
            port = peers._gathering.port
            assert port is not None
            before = sockets()
            answer = await me.call(peers, stream, publishes=True, views=True)
            assert f" 127.0.0.1 {port.number} typ host" in answer.sdp
            for watcher in watchers:
                await watcher.call(peers, stream, publishes=False, views=True)
                await until(lambda watcher=watcher: watcher.frames)
            assert sockets() - before == 4 * len(Gathering().addresses()), "those of the callers"
            assert len(port._lines) == 4
            await asyncio.gather(*(caller.close() for caller in (me, *watchers)))
            await until(lambda: peers.count() == 0)
            assert not port._lines
            assert not port._by_address

    play(scene)


def test_a_port_that_is_taken_and_an_address_that_is_none_are_refused(play: Any) -> None:
    async def scene(opened: Open) -> None:
        async with exchange(udp_port=0) as one:
            await one.start()
            assert one._gathering.port is not None
            async with exchange(udp_port=one._gathering.port.number) as other:
                with pytest.raises(ConfigError, match="cannot be used"):
                    await other.start()
        with pytest.raises(ConfigError, match="not an IP address"):
            Peers(host_address="paint.example.net")

    play(scene)


def test_peers_are_told_the_public_address(play: Any, moving: Any) -> None:
    async def scene(opened: Open) -> None:
        for port in (None, 0):
            stream, watcher = opened(), viewer()
            async with exchange(watcher, host_address="192.0.2.7", udp_port=port) as peers:
                answer = await peers.answer(stream, await watcher.offer(), publishes=False, views=True)
                (candidate,) = {line for line in answer.sdp.splitlines() if line.startswith("a=candidate")}
                assert " 192.0.2.7 " in candidate

    play(scene)


def test_candidates_may_come_later(play: Any, moving: Any) -> None:
    async def scene(opened: Open) -> None:
        stream, source, watcher = opened(), publisher(moving), viewer()
        async with exchange(source, watcher) as peers:
            await source.call(peers, stream, publishes=True, views=False)
            offer = await watcher.offer()
            lines = offer.splitlines()
            candidates = [line for line in lines if line.startswith("a=candidate")]
            bare = "\r\n".join(line for line in lines if line not in candidates) + "\r\n"
            answer = await peers.answer(stream, bare, publishes=False, views=True)
            ufrag = next(line for line in lines if line.startswith("a=ice-ufrag"))
            fragment = "\r\n".join([ufrag, "m=video 9 RTP/AVP 0", "a=mid:0", *candidates, "a=end-of-candidates"])
            await peers.add_candidates(answer.id, fragment)
            # its own checks cannot reach us: the peer does not know where we are
            hidden = "\r\n".join(line for line in answer.sdp.splitlines() if "candidate" not in line) + "\r\n"
            await watcher.pc.setRemoteDescription(description(hidden))
            await until(lambda: watcher.frames, 20)
            with pytest.raises(ConfigError):
                await peers.add_candidates(answer.id, "hello")
            with pytest.raises(Unacceptable, match="restart"):
                await peers.add_candidates(answer.id, "a=ice-ufrag:other")
            with pytest.raises(ConfigError):
                await peers.add_candidates("nobody", fragment)

    play(scene)


class StunServer(asyncio.DatagramProtocol):
    """Tells everybody that they are 192.0.2.9."""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        asked = stun.parse_message(data)
        told = stun.Message(asked.message_method, stun.Class.RESPONSE, asked.transaction_id)
        told.attributes["XOR-MAPPED-ADDRESS"] = ("192.0.2.9", addr[1])
        self.transport.sendto(bytes(told), addr)


def test_a_stun_server_is_asked_only_where_one_was_given(play: Any, moving: Any) -> None:
    async def scene(opened: Open) -> None:
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(StunServer, local_addr=("127.0.0.1", 0))
        server = IceServer.parse(f"stun:127.0.0.1:{transport.get_extra_info('sockname')[1]}")
        for servers, port in (((), None), ((server,), None), ((server,), 0)):
            watcher = viewer()
            async with exchange(watcher, ice_servers=servers, udp_port=port) as peers:
                answer = await peers.answer(opened(), await watcher.offer(), publishes=False, views=True)
                assert (" 192.0.2.9 " in answer.sdp) == bool(servers)
                asked_from = 1 if port is not None else len(Gathering().addresses())
                assert answer.sdp.count("typ srflx") == len(servers) * asked_from
        transport.close()

    play(scene)


def test_addresses_of_peers_are_looked_at() -> None:
    inner, outer = Gathering("127.0.0.1"), Gathering("0.0.0.0")
    outer.addresses = lambda: ["10.0.0.5"]  # type: ignore[method-assign]
    assert inner.allows("127.0.0.1")
    assert not outer.allows("127.0.0.1"), "nothing else on this machine is to be knocked at"
    assert outer.allows("192.168.1.7")
    for bad in ("0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "ff02::1", "abc.local", "", "127.1"):
        assert not outer.allows(bad), bad


def test_on_loopback_the_other_addresses_of_the_machine_are_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Firefox and GStreamer never pair their addresses with a loopback one."""
    own = {4: ["127.0.0.1", "192.0.2.2"], 6: ["::1", "fd00::2"]}

    def addresses(use_ipv4: bool, use_ipv6: bool) -> list[str]:
        return own[4] * use_ipv4 + own[6] * use_ipv6

    monkeypatch.setattr("allaprima.realtime.live.gather.get_host_addresses", addresses)
    assert Gathering().addresses() == ["127.0.0.1", "192.0.2.2"]
    assert Gathering("::1").addresses() == ["::1", "fd00::2"]
    assert Gathering("0.0.0.0").addresses() == ["192.0.2.2"]
    assert Gathering("::").addresses() == ["192.0.2.2", "fd00::2"]
    assert Gathering("192.0.2.2").addresses() == ["192.0.2.2"]
    assert Gathering("127.0.0.1", public="203.0.113.9").addresses() == ["127.0.0.1"]
    own[4].pop()
    assert Gathering().addresses() == ["127.0.0.1"]
    assert Gathering("0.0.0.0").addresses() == ["127.0.0.1"], "a machine without a network"
