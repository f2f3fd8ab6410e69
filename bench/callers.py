"""Who holds the camera and looks at the screen: the page in Chromium, or an aiortc peer."""

import asyncio
import contextlib
import multiprocessing
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Protocol

import aiohttp
import av
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from allaprima.bench import chromium, sent
from allaprima.bench.clips import Size
from allaprima.bench.timecode import (
    CELLS,
    COLUMNS,
    LOOP,
    RATE,
    ROWS,
    Pixels,
    Seen,
    Sighting,
    blocks_of,
    camera_pictures,
    cells_of,
)
from allaprima.realtime.errors import AllaprimaError, ConfigError
from allaprima.realtime.live import inside
from allaprima.realtime.live.gather import Gathering
from allaprima.realtime.live.receive import PromptBuffer

PATIENCE = 40.0
"""Seconds until a first painted picture must be there."""
CLOCK_QUESTIONS = 9
CLOSING = 10.0
"""Seconds that a caller's process has to hang up."""


class Caller(Protocol):
    """A camera that is being painted, and who watches."""

    async def look(self) -> Seen:
        """What was seen since the last look, by `time.monotonic()`."""
        ...

    async def counts(self) -> "Counts":
        """All of its life so far."""
        ...


@dataclass(frozen=True, slots=True)
class Counts:
    """What a caller has counted."""

    encoded: int
    """Pictures of the camera."""
    decoded: int
    """Painted pictures."""
    waited: float = 0.0
    """Seconds that all painted pictures together were held back before they were decoded, to even out their rate."""


LOOKS = """(() => {
  const connections = (window.benchConnections = []);
  const Real = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Real {
    constructor(...words) { super(...words); connections.push(this); }
  };
  window.benchSeen = { camera: [], screen: [] };
  window.benchLook = (selector, name) => {
    const video = document.querySelector(selector);
    const [wide, high] = [COLUMNS * 4, ROWS * 4];
    const canvas = new OffscreenCanvas(Math.max(wide, CELLS_X * 2), high + CELLS_Y * 2);
    const brush = canvas.getContext('2d', { willReadFrequently: true, alpha: false });
    brush.imageSmoothingQuality = 'medium';
    const look = (now, told) => {
      const side = Math.floor(video.videoWidth / 20);
      brush.drawImage(video, 0, 0, COLUMNS * side, ROWS * side, 0, 0, wide, high);
      if (name === 'screen') brush.drawImage(video, 0, high, CELLS_X * 2, CELLS_Y * 2);
      const { data } = brush.getImageData(0, 0, canvas.width, canvas.height);
      const green = (x, y) => data[4 * (y * canvas.width + x) + 1];
      const four = (x, y) => green(x, y) + green(x + 1, y) + green(x, y + 1) + green(x + 1, y + 1);
      const seen = [name === 'camera' ? told.captureTime ?? now : told.expectedDisplayTime];
      for (let y = 1; y < high; y += 4) for (let x = 1; x < wide; x += 4) seen.push(four(x, y));
      if (name === 'screen') {
        for (let y = high; y < canvas.height; y += 2) for (let x = 0; x < CELLS_X * 2; x += 2) seen.push(four(x, y));
      }
      window.benchSeen[name].push(seen);
      video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look);
  };
})()"""
for _name, _value in {"COLUMNS": COLUMNS, "ROWS": ROWS, "CELLS_X": CELLS[1], "CELLS_Y": CELLS[0]}.items():
    LOOKS = LOOKS.replace(_name, str(_value))
"""A picture counts as seen by the camera when it was captured, on the screen when it will be shown."""
TAKE = "(() => { const seen = window.benchSeen; window.benchSeen = { camera: [], screen: [] }; return seen; })()"
COUNTS = """(async () => {
  const found = [0, 0, 0];
  for (const report of (await window.benchConnections.at(-1).getStats()).values()) {
    if (report.kind !== 'video') continue;
    if (report.type === 'outbound-rtp') found[0] += report.framesEncoded ?? 0;
    if (report.type !== 'inbound-rtp') continue;
    found[1] += report.framesDecoded ?? 0;
    found[2] += report.jitterBufferDelay ?? 0;
  }
  return found;
})()"""


class PageCaller:
    """The page in Chromium; ``offset`` is what makes seconds of its clock those of `time.monotonic()`."""

    def __init__(self, page: chromium.Page, offset: float) -> None:
        self.page, self.offset = page, offset

    @classmethod
    async def open(cls, browser: chromium.Browser, url: str) -> "PageCaller":
        page = await browser.page(url, ready=_prepare)
        await page.wait("document.querySelectorAll('#tiles [role=radio]').length")
        await page.click("#start")
        await page.wait("document.querySelector('.stage.playing')", PATIENCE)
        await page.evaluate("benchLook('#input', 'camera'); benchLook('#painted', 'screen')")
        return cls(page, await _offset(page))

    async def look(self) -> Seen:
        taken = await self.page.evaluate(TAKE)
        return Seen(*(_sightings(taken[name], self.offset) for name in ("camera", "screen")))

    async def counts(self) -> Counts:
        encoded, decoded, waited = await self.page.evaluate(COUNTS)
        return Counts(int(encoded), int(decoded), float(waited))


async def _prepare(page: chromium.Page) -> None:
    await page.call("Page.addScriptToEvaluateOnNewDocument", source=LOOKS)


async def _offset(page: chromium.Page) -> float:
    """What makes seconds of the page's clock those of `time.monotonic()`, by the quickest of some questions."""
    asked = []
    for _ in range(CLOCK_QUESTIONS):
        before = time.monotonic()
        there = float(await page.evaluate("performance.now()"))
        after = time.monotonic()
        asked.append((after - before, (before + after) / 2 - there / 1000))
    return min(asked)[1]


def _sightings(rows: Iterable[Sequence[float]], offset: float) -> list[Sighting]:
    found = []
    for at, *sums in rows:
        values = np.array(sums) / 4  # of four pixels each
        blocks, cells = values[: ROWS * COLUMNS].reshape(ROWS, COLUMNS), values[ROWS * COLUMNS :]
        found.append(Sighting(at / 1000 + offset, blocks, cells))
    return found


class NumberedCamera(MediaStreamTrack):
    """Numbered pictures at the camera's rate; a picture that comes too late is left out."""

    kind = "video"

    def __init__(self, pictures: Sequence[Pixels]) -> None:
        super().__init__()
        self.seen: list[Sighting] = []
        self.count = 0
        colored = (av.VideoFrame.from_ndarray(each, format="rgb24") for each in pictures)
        self._pictures = [picture.reformat(format="yuv420p") for picture in colored]
        self._codes = [blocks_of(_luma(picture)) for picture in self._pictures]
        self._began, self._next = 0.0, 0

    async def recv(self) -> av.VideoFrame:
        if self.readyState != "live":
            raise MediaStreamError
        self._began = self._began or time.monotonic()
        await asyncio.sleep(self._began + self._next / RATE - time.monotonic())
        number = max(self._next, int((time.monotonic() - self._began) * RATE))
        self._next, self.count = number + 1, self.count + 1
        picture = self._pictures[number % LOOP]
        picture.pts, picture.time_base = number * sent.CLOCK // RATE, Fraction(1, sent.CLOCK)
        self.seen.append(Sighting(time.monotonic(), self._codes[number % LOOP]))
        return picture


class PeerCaller:
    """An aiortc peer in a process of its own, which sees a picture when it is decoded."""

    def __init__(self, process: BaseProcess, line: Connection) -> None:
        self._process, self._line = process, line

    @classmethod
    async def open(cls, size: Size, base: str) -> "PeerCaller":
        """Calls the server at ``base``, and returns when the first painted picture has come.

        Raises what keeps the call from being made: `AllaprimaError`, `TimeoutError`.
        """
        spawning = multiprocessing.get_context("spawn")
        line, other = spawning.Pipe()
        process = spawning.Process(target=_peer_main, args=(other, size, base), name="caller", daemon=True)
        process.start()
        other.close()
        caller = cls(process, line)
        try:
            await caller._heard()
        except BaseException:
            await caller.close()
            raise
        return caller

    async def look(self) -> Seen:
        self._line.send("look")
        seen: Seen = await self._heard()
        return seen

    async def counts(self) -> Counts:
        self._line.send("counts")
        counts: Counts = await self._heard()
        return counts

    async def close(self) -> None:
        """Ends the process: it hangs up when the line is closed."""
        self._line.close()
        await asyncio.to_thread(self._process.join, CLOSING)
        if self._process.is_alive():
            self._process.kill()
            await asyncio.to_thread(self._process.join)

    async def _heard(self) -> Any:
        try:
            found = await asyncio.to_thread(self._line.recv)
        except EOFError:
            raise ConfigError("the caller's process has ended") from None
        if isinstance(found, Exception):
            raise found
        return found


def _peer_main(line: Connection, size: Size, base: str) -> None:
    """The process of a `PeerCaller`: it answers what it is asked until nobody is there."""
    asyncio.run(_serve(line, size, base))


async def _serve(line: Connection, size: Size, base: str) -> None:
    peer = Peer(NumberedCamera(camera_pictures(size)))
    try:
        async with aiohttp.ClientSession() as session:
            await peer.call(session, base)
        line.send("called")
        while True:
            wish = await asyncio.to_thread(line.recv)
            line.send(peer.look() if wish == "look" else peer.counts())
    except (EOFError, BrokenPipeError):
        pass  # nobody is there any more
    except (AllaprimaError, TimeoutError) as error:
        line.send(error)
    except aiohttp.ClientError as error:
        line.send(ConfigError(f"the server cannot be reached: {error}"))
    finally:
        await peer.close()


class Peer:
    """The aiortc connection of a `PeerCaller`."""

    def __init__(self, camera: NumberedCamera) -> None:
        self.camera = camera
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._screen: list[Sighting] = []
        self._count = 0
        self._task: asyncio.Task[None] | None = None
        self._pc.on("track", self._track)

    async def call(self, session: aiohttp.ClientSession, base: str) -> None:
        line = self._pc.addTransceiver(self.camera, "sendrecv")
        codecs = RTCRtpSender.getCapabilities("video").codecs
        line.setCodecPreferences([codec for codec in codecs if codec.mimeType in ("video/H264", "video/rtx")])
        offer = await self._pc.createOffer()
        inside.give_addresses(self._pc, Gathering("127.0.0.1"))  # aiortc leaves out loopback
        await self._pc.setLocalDescription(offer)
        answer = await ask(session, "POST", f"{base}/offer", {"sdp": self._pc.localDescription.sdp, "type": "offer"})
        inside.give_buffer(line.receiver, PromptBuffer())  # aiortc's own waits for the next picture, browsers do not
        await self._pc.setRemoteDescription(RTCSessionDescription(answer["sdp"], answer["type"]))
        async with asyncio.timeout(PATIENCE):
            while not self._count:
                await asyncio.sleep(0.02)

    def _track(self, track: MediaStreamTrack) -> None:
        self._task = asyncio.create_task(self._watch(track))

    async def _watch(self, track: MediaStreamTrack) -> None:
        with contextlib.suppress(MediaStreamError):
            while True:
                picture: Any = await track.recv()
                self._count += 1
                luma = _luma(picture)
                self._screen.append(Sighting(time.monotonic(), blocks_of(luma), cells_of(luma)))

    def look(self) -> Seen:
        """What was seen since the last look."""
        seen = Seen(self.camera.seen, self._screen)
        self.camera.seen, self._screen = [], []
        return seen

    def counts(self) -> Counts:
        return Counts(self.camera.count, self._count)

    async def close(self) -> None:
        await self._pc.close()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])


def _luma(picture: av.VideoFrame) -> Pixels:
    plane: Any = picture.planes[0]
    return np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]


async def ask(session: aiohttp.ClientSession, method: str, url: str, body: Any) -> Any:
    async with session.request(method, url, json=body) as answer:
        if answer.status >= 400:
            raise ConfigError(f"the server answers {answer.status}: {await answer.text()}")
        return await answer.json()
