"""The other end of the line: real aiortc peers on loopback that publish and view, and what they leave behind."""

import asyncio
import contextlib
import ctypes
import gc
import os
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from allaprima.realtime.live import inside
from allaprima.realtime.live.gather import Gathering
from allaprima.realtime.live.peers import Answer, Peers
from allaprima.realtime.live.stream import Stream

Picture = Callable[[int], Any]
"""Gives the luma ``(H, W)`` of the n-th picture."""
Open = Callable[..., Stream]
"""Opens a stream; it is closed at the end of the scene."""
Scene = Callable[[Open], Awaitable[None]]
SIZE = (320, 192)


def description(sdp: str) -> RTCSessionDescription:
    """An answer, as a connection takes it."""
    return RTCSessionDescription(sdp, "answer")


def run(bundle: Path, scene: Scene) -> None:
    """Play a scene in an event loop of its own."""

    async def main() -> None:
        streams: list[Stream] = []

        def opened(name: str = "a", **more: Any) -> Stream:
            streams.append(Stream(name, bundle=bundle, **{"transition": 0.0, **more}))
            return streams[-1]

        try:
            await scene(opened)
        finally:
            for stream in streams:
                stream.close()

    asyncio.run(main())


class Camera(MediaStreamTrack):
    """Pictures at a rate."""

    kind = "video"

    def __init__(self, picture: Picture, rate: float = 30) -> None:
        super().__init__()
        self.sent: dict[int, float] = {}
        """When each picture was handed to the sender."""
        self._picture, self._rate = picture, rate
        self._count, self._began = 0, 0.0

    async def recv(self) -> av.VideoFrame:
        if self.readyState != "live":
            raise MediaStreamError
        self._began = self._began or time.monotonic()
        await asyncio.sleep(self._began + self._count / self._rate - time.monotonic())
        frame = picture(self._picture(self._count))
        frame.pts, frame.time_base = round(self._count * 90_000 / self._rate), Fraction(1, 90_000)
        self.sent[self._count] = time.monotonic()
        self._count += 1
        return frame


def picture(pixels: Any) -> av.VideoFrame:
    """A gray picture."""
    height, width = pixels.shape
    pixels = np.concatenate([pixels, np.full((height // 2, width), 128, np.uint8)])
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="yuv420p")


BITS, BLOCK = 12, 16
"""Of a number that is painted into a picture, in squares along its upper edge."""


def numbered(pixels: Any, number: int) -> Any:
    """The luma with a number in it."""
    pixels = pixels.copy()
    for bit in range(BITS):
        pixels[:BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = 190 if number >> bit & 1 else 60
    return pixels


def number_in(pixels: Any) -> int:
    """The number that `numbered` painted, also when the picture became brighter or darker by 30."""
    squares = pixels[:BLOCK, : BITS * BLOCK].reshape(BLOCK, BITS, BLOCK)[4:12, :, 4:12].mean((0, 2))
    return sum(1 << bit for bit in range(BITS) if squares[bit] > 125)


class Tone(MediaStreamTrack):
    """A sine of 440 Hz, 20 ms at a time, silent where ``silent(seconds)`` says so."""

    kind = "audio"

    def __init__(self, silent: Callable[[float], bool] = lambda seconds: False) -> None:
        super().__init__()
        self._silent = silent
        self._count, self._began = 0, 0.0

    async def recv(self) -> av.AudioFrame:
        if self.readyState != "live":
            raise MediaStreamError
        self._began = self._began or time.monotonic()
        await asyncio.sleep(self._began + self._count * 0.02 - time.monotonic())
        at = np.arange(960) + 960 * self._count
        loud = 0 if self._silent(self._count * 0.02) else 12_000
        samples = (loud * np.sin(2 * np.pi * 440 * at / 48_000)).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(np.repeat(samples, 2)[None], format="s16", layout="stereo")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, 960 * self._count, Fraction(1, 48_000)
        self._count += 1
        return frame


class Caller:
    """A peer of ours on loopback."""

    def __init__(self) -> None:
        self.pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.frames: deque[tuple[float, av.VideoFrame]] = deque(maxlen=2000)
        """What came, with the time when it came."""
        self.sounds: deque[tuple[float, av.AudioFrame]] = deque(maxlen=2000)
        self.messages: deque[Any] = deque(maxlen=2000)
        self.answer: Answer | None = None
        self.channel: Any = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.pc.on("track", self._track)

    def _track(self, track: MediaStreamTrack) -> None:
        into: deque[tuple[float, Any]] = self.frames if track.kind == "video" else self.sounds
        self._tasks.add(asyncio.create_task(_collect(track, into)))

    def prefer(self, *mime_types: str) -> None:
        """Offer these video codecs only."""
        codecs = [c for c in RTCRtpSender.getCapabilities("video").codecs if c.mimeType in (*mime_types, "video/rtx")]
        for transceiver in self.pc.getTransceivers():
            if transceiver.kind == "video":
                transceiver.setCodecPreferences(codecs)

    async def offer(self) -> str:
        offer = await self.pc.createOffer()
        inside.give_addresses(self.pc, Gathering("127.0.0.1"))  # aiortc leaves out loopback
        await self.pc.setLocalDescription(offer)
        return self.pc.localDescription.sdp

    async def call(self, peers: Peers, stream: Stream, *, publishes: bool, views: bool, wait: bool = True) -> Answer:
        sdp = await self.offer()
        self.answer = await peers.answer(stream, sdp, publishes=publishes, views=views)
        await self.pc.setRemoteDescription(RTCSessionDescription(self.answer.sdp, "answer"))
        if wait:
            await until(lambda: self.pc.connectionState == "connected")
        return self.answer

    async def close(self) -> None:
        await self.pc.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def newest(self, count: int = 1, timeout: float = 10) -> list[Any]:
        """The luma of the next ``count`` pictures."""
        first = len(self.frames)
        await until(lambda: len(self.frames) >= first + count, timeout)
        return [luma(frame) for _, frame in list(self.frames)[first : first + count]]


def connection(pc: RTCPeerConnection) -> Any:
    """The ICE connection underneath."""
    return pc.getTransceivers()[0].receiver.transport.transport.iceGatherer._connection


async def _collect(track: MediaStreamTrack, into: "deque[tuple[float, Any]]") -> None:
    while True:
        try:
            frame = await track.recv()
        except MediaStreamError:
            return
        into.append((time.monotonic(), frame))


def luma(frame: av.VideoFrame) -> Any:
    plane = frame.planes[0]
    return np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]


async def until(true: Callable[[], Any], timeout: float = 10) -> None:
    async with asyncio.timeout(timeout):
        while not true():
            await asyncio.sleep(0.01)


def publisher(picture: Picture, rate: float = 30, *, audio: MediaStreamTrack | None = None) -> Caller:
    caller = Caller()
    caller.pc.addTransceiver(Camera(picture, rate), "sendonly")
    if audio is not None:
        caller.pc.addTransceiver(audio, "sendonly")
    return caller


def viewer(*, audio: bool = False) -> Caller:
    caller = Caller()
    caller.pc.addTransceiver("video", "recvonly")
    if audio:
        caller.pc.addTransceiver("audio", "recvonly")
    return caller


def browser(picture: Picture, rate: float = 30) -> Caller:
    """Publishes and views in one connection, with a data channel."""
    caller = Caller()
    caller.pc.addTransceiver(Camera(picture, rate), "sendrecv")
    channel = caller.pc.createDataChannel("control")
    channel.on("message", caller.messages.append)
    caller.channel = channel
    return caller


@asynccontextmanager
async def exchange(*callers: Caller, **options: Any) -> AsyncIterator[Peers]:
    """A server's peers; these callers hang up at the end."""
    peers = Peers(**options)
    try:
        yield peers
    finally:
        await asyncio.gather(*(caller.close() for caller in callers))
        await peers.close_all()


def pictures(caller: Caller) -> list[av.VideoFrame]:
    """All that came."""
    return [frame for _, frame in caller.frames]


def sockets() -> int:
    """Sockets that are open in this process."""
    return sum(_link(fd).startswith("socket:") for fd in os.listdir("/proc/self/fd"))


def _link(fd: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""


def threads() -> list[str]:
    """Without those of the event loop's executor, whose number has a bound of its own."""
    return sorted(thread.name for thread in threading.enumerate() if not thread.name.startswith("asyncio_"))


def memory() -> int:
    """Bytes in use, with what the allocator only keeps for later given back where that can be asked for."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
