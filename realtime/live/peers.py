"""All WebRTC connections of a server: answers offers, shares encoders, and clears away what is dead."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

from aiortc import RTCBundlePolicy, RTCConfiguration, RTCIceServer

from allaprima.realtime.errors import ConfigError
from allaprima.realtime.live.broadcast import Broadcast, Encoder
from allaprima.realtime.live.encoder import LiveH264, LiveVp8
from allaprima.realtime.live.gather import Gathering
from allaprima.realtime.live.ice import IceServer
from allaprima.realtime.live.peer import Peer
from allaprima.realtime.live.sdp import Bitrates, Unacceptable, read_offer
from allaprima.realtime.live.send import Sound
from allaprima.realtime.live.stream import Stream

__all__ = ["Answer", "Bitrates", "Peers", "Unacceptable"]

NEGOTIATING = 10.0
"""Seconds for an answer, a slow STUN or TURN server included."""
LOOK = 1.0
"""Seconds between two looks for dead peers; the data channels get their figures then."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Seconds after which a peer is taken for dead."""

    connect: float = 20.0
    """Without a connection after its answer."""
    silence: float = 15.0
    """Without any packet; a living peer sends reports every second or so."""
    pictures: float = 60.0
    """Without a picture from a publisher."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a peer is answered; ``id`` is what the server calls it, and cannot be guessed."""

    id: str
    sdp: str


class Peers:
    """The peers of one server, all in one event loop; made inside it.

    ``host`` is what the server binds, ``udp_port`` the one port that all media go through (None: a free one for each
    peer), ``host_address`` what peers are told in the place of our own addresses.  ``gone`` is called with the id of
    a peer that has ended, whoever ended it, once.  Raises `ConfigError` for an address that is none.
    """

    def __init__(
        self,
        ice_servers: Sequence[IceServer] = (),
        *,
        host: str = "127.0.0.1",
        udp_port: int | None = None,
        host_address: str | None = None,
        gone: Callable[[str], None] | None = None,
        bitrates: Bitrates | None = None,
        patience: Patience | None = None,
    ) -> None:
        servers = [RTCIceServer(s.url, s.username or None, s.credential or None) for s in ice_servers]
        self._configuration = RTCConfiguration(iceServers=servers, bundlePolicy=RTCBundlePolicy.BALANCED)
        self._gathering = Gathering(host, host_address)
        self._udp_port = udp_port
        self._gone = gone
        self._bitrates = bitrates or Bitrates()
        self._patience = patience or Patience()
        self._peers: dict[str, Peer] = {}
        self._broadcasts: dict[tuple[Stream, str], Broadcast] = {}
        self._sounds: WeakKeyDictionary[Stream, Sound] = WeakKeyDictionary()
        self._closing: set[asyncio.Task[None]] = set()
        self._starting = asyncio.Lock()
        self._reaper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Bind the UDP port, if there is one, and watch over the peers.  Raises `ConfigError`."""
        async with self._starting:
            if self._reaper is None:
                await self._gathering.open(self._udp_port)
                self._reaper = asyncio.get_running_loop().create_task(self._watch())

    async def answer(self, stream: Stream, sdp: str, *, publishes: bool, views: bool) -> Answer:
        """Connect a peer to a stream.

        Raises `ConfigError` for what is no offer, `Unacceptable` for one that cannot be answered.
        """
        await self.start()
        offer = read_offer(sdp, self._gathering.allows)
        peer = Peer(stream, self, self._configuration, self._gathering, self._end)
        async with contextlib.AsyncExitStack() as undo:
            undo.push_async_callback(peer.close)
            try:
                async with asyncio.timeout(NEGOTIATING):
                    text = await peer.answer(offer, publishes, views, self._bitrates)
            except TimeoutError:
                raise Unacceptable("no way to this peer was found in time", "Look at the ICE servers.") from None
            undo.pop_all()
        self._peers[peer.id] = peer
        return Answer(peer.id, text)

    async def add_candidates(self, id: str, fragment: str) -> None:
        """More addresses of a peer, as RFC 8840 writes them.  Raises `ConfigError`."""
        peer = self._peers.get(id)
        if peer is None:
            raise ConfigError("there is no such peer")
        await peer.add_candidates(fragment)

    def count(self, stream: Stream | None = None) -> int:
        """Peers, of one stream or of all."""
        return sum(stream is None or peer.stream is stream for peer in self._peers.values())

    async def close(self, id: str) -> None:
        """End a peer; one that has ended is no error."""
        peer = self._peers.pop(id, None)
        if peer is None:
            return
        try:
            await peer.close()
        finally:
            if self._gone is not None:
                self._gone(id)

    async def close_stream(self, stream: Stream) -> None:
        """End all peers of a stream."""
        ids = [id for id, peer in self._peers.items() if peer.stream is stream]
        await asyncio.gather(*map(self.close, ids))

    async def close_all(self) -> None:
        """End everything; the object is of no use afterwards."""
        if self._reaper is not None:
            self._reaper.cancel()
            await asyncio.gather(self._reaper, return_exceptions=True)
        await asyncio.gather(*map(self.close, list(self._peers)))
        await asyncio.gather(*self._closing, return_exceptions=True)
        await self._gathering.close()

    # ---- what the peers of a stream share ----

    def broadcast(self, stream: Stream, codec: str) -> Broadcast:
        """The stream as encoded for all who take this codec: ``"baseline"``, ``"main"`` or ``"vp8"``."""
        key = (stream, codec)
        if key not in self._broadcasts:
            make: Callable[[], Encoder] = LiveVp8 if codec == "vp8" else partial(LiveH264, codec)
            self._broadcasts[key] = Broadcast(stream, make)
        return self._broadcasts[key]

    def sound(self, stream: Stream) -> Sound:
        return self._sounds.setdefault(stream, Sound())

    async def empty(self, broadcast: Broadcast) -> None:
        """Nobody watches it any more."""
        for key, known in list(self._broadcasts.items()):
            if known is broadcast and not len(broadcast):
                del self._broadcasts[key]
                await asyncio.get_running_loop().run_in_executor(None, broadcast.close)

    # ---- who is still there? ----

    def _end(self, peer: Peer) -> None:
        """It ended by itself."""
        if peer.id in self._peers:
            task: asyncio.Task[Any] = asyncio.get_running_loop().create_task(self.close(peer.id))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(LOOK)
            self._look()

    def _look(self) -> None:
        now = time.monotonic()
        for peer in list(self._peers.values()):
            if self._dead(peer, now):
                self._end(peer)
            else:
                peer.tell_stats()

    def _dead(self, peer: Peer, now: float) -> bool:
        patience = self._patience
        if not peer.connected:
            return now - peer.began > patience.connect
        return peer.silent(now) > patience.silence or (
            peer.publishes and now - max(peer.last_frame, peer.began) > patience.pictures
        )
