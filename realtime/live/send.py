"""What a viewer gets, on its way out: the painted picture as a `Broadcast` encoded it, and the publisher's sound."""

import asyncio
import time
from bisect import insort
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av
from aiortc.codecs.base import Encoder
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from allaprima.realtime.live.broadcast import Broadcast, Unit, Watcher
from allaprima.realtime.live.stream import Stream
from allaprima.realtime.mailbox import Closed

SOUND_CLOCK = 48_000
"""Ticks a second of Opus in RTP."""
MOST_SOUND = 100
"""Packets that wait for the picture at most: two seconds."""
LONGEST_DELAY = 1.0
"""Seconds that sound is held back at most."""
MOST_APART = 0.5
"""Seconds by which the source's clock may leave ours before it is taken for another source."""
OVERHEAD = 0.95
"""Share of an estimated bitrate that is for pictures; the rest is for headers and sound."""


class PaintedTrack(MediaStreamTrack):
    """The painted stream for one sender; ``join`` gives its watcher when the sender starts, not before."""

    kind = "video"

    def __init__(self, stream: Stream) -> None:
        super().__init__()
        self.stream = stream
        self.watcher: Watcher | None = None
        self.encoder = ReadyMade(self)
        self.join: Callable[[Callable[[], None]], Watcher] | None = None
        """Set when it is known which codec the peer takes."""
        self._home = asyncio.get_running_loop()
        self._ready = asyncio.Event()

    async def recv(self) -> Any:
        """The next encoded picture, as a `Unit` for `ReadyMade`."""
        if self.readyState != "live":
            raise MediaStreamError
        if self.watcher is None:
            if self.join is None:
                raise MediaStreamError
            self.watcher = self.join(self._wake)
        while True:
            try:
                unit = self.watcher.get()
            except Closed:
                self.stop()
                raise MediaStreamError from None
            if unit is not None:
                return unit
            await self._ready.wait()
            self._ready.clear()

    def request_keyframe(self) -> None:
        """The peer lost too much to go on."""
        if self.watcher is not None:
            self.watcher.request_keyframe()

    def _wake(self) -> None:
        self._home.call_soon_threadsafe(self._ready.set)


class ReadyMade(Encoder):
    """What a sender takes for its encoder: hands on what was encoded for all, and tells what its line can take."""

    def __init__(self, track: PaintedTrack) -> None:
        self._track = track

    def encode(self, frame: Any, force_keyframe: bool = False) -> tuple[list[bytes], int]:
        raise NotImplementedError("a painted track gives no frames")

    def pack(self, packet: Any) -> tuple[list[bytes], int]:
        """The payloads of a `Unit`, which is sent at once."""
        unit: Unit = packet
        self._track.stream.sent(unit.captured, unit.size_bytes)
        return unit.payloads, unit.timestamp

    @property
    def target_bitrate(self) -> int:
        """Bits a second that the peer's receiver estimates (REMB); 0 before it did."""
        watcher = self._track.watcher
        return 0 if watcher is None else watcher.target or 0

    @target_bitrate.setter
    def target_bitrate(self, bitrate: int) -> None:
        if self._track.watcher is not None:
            self._track.watcher.offer(int(bitrate * OVERHEAD))


class Sound:
    """The sound of one stream: packets from whoever publishes, to all who listen."""

    def __init__(self) -> None:
        self._listeners: tuple[SoundTrack, ...] = ()

    def put(self, timestamp: int, payload: bytes) -> None:
        now = time.monotonic()
        for listener in self._listeners:
            listener.put(now, timestamp, payload)

    def add(self, listener: "SoundTrack") -> None:
        self._listeners += (listener,)

    def remove(self, listener: "SoundTrack") -> None:
        self._listeners = tuple(other for other in self._listeners if other is not listener)


class SoundTrack(MediaStreamTrack):
    """Opus as it came, packet by packet in order, later by what painting takes."""

    kind = "audio"

    def __init__(self, stream: Stream, sound: Sound) -> None:
        super().__init__()
        self._stream = stream
        self._sound = sound
        self._packets: deque[tuple[int, float, bytes]] = deque(maxlen=MOST_SOUND)  # RTP time, due, payload
        self._came = asyncio.Event()
        self._last: tuple[int, float, int] | None = None  # the source's time, when it came, our time
        self._sent: int | None = None
        sound.add(self)

    def put(self, now: float, timestamp: int, payload: bytes) -> None:
        stamp = self._place(now, timestamp)
        due = now + min(self._stream.delay, LONGEST_DELAY)
        items = [*self._packets]
        insort(items, (stamp, due, payload))
        self._packets.clear()
        self._packets.extend(items)
        self._came.set()

    def _place(self, now: float, timestamp: int) -> int:
        """The time on the scale that we send: it goes on where another source takes over."""
        ours = SOUND_CLOCK
        if self._last is not None:
            before, came, ours = self._last
            moved = (timestamp - before + (1 << 31)) % (1 << 32) - (1 << 31)
            if abs(moved / SOUND_CLOCK - (now - came)) > MOST_APART:
                moved = max(int((now - came) * SOUND_CLOCK), 960)
            ours += moved
        self._last = (timestamp, now, ours)
        return ours

    async def recv(self) -> Any:
        """The next packet, when its time has come."""
        while self.readyState == "live":
            if not self._packets:
                self._came.clear()
                await self._came.wait()
                continue
            stamp, due, payload = self._packets[0]
            wait = due - time.monotonic()
            if wait > 0:
                await asyncio.sleep(wait)
                continue
            self._packets.popleft()
            if self._sent is not None and stamp <= self._sent:
                continue  # it came too late
            self._sent = stamp
            packet = av.Packet(payload)
            packet.pts, packet.time_base = stamp, Fraction(1, SOUND_CLOCK)
            return packet
        raise MediaStreamError

    def stop(self) -> None:
        self._sound.remove(self)
        self._came.set()
        super().stop()


def leave(track: PaintedTrack) -> Broadcast | None:
    """Take the track's watcher off its broadcast; gives the broadcast when nobody watches it any more."""
    watcher, track.watcher = track.watcher, None
    if watcher is None:
        return None
    return watcher.broadcast if watcher.broadcast.leave(watcher) else None
