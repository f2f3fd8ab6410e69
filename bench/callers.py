"""Who holds the camera and looks at the screen: the page in Chromium, or an aiortc peer."""

import asyncio
import contextlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import aiohttp
import av
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from allaprima.bench import chromium, sent
from allaprima.bench.timecode import COLUMNS, LOOP, RATE, ROWS, Pixels, Seen, Sighting, blocks_of
from allaprima.realtime.errors import ConfigError
from allaprima.realtime.live import inside
from allaprima.realtime.live.gather import Gathering

PATIENCE = 40.0
"""Seconds until a first painted picture must be there."""


class Caller(Protocol):
    """A camera that is being painted, and who watches."""

    async def look(self) -> Seen:
        """What was seen since the last look."""
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
    const canvas = new OffscreenCanvas(COLUMNS * 4, ROWS * 4);
    const brush = canvas.getContext('2d', { willReadFrequently: true, alpha: false });
    brush.imageSmoothingQuality = 'medium';
    const look = (now, told) => {
      const side = Math.floor(video.videoWidth / 20);
      brush.drawImage(video, 0, 0, COLUMNS * side, ROWS * side, 0, 0, canvas.width, canvas.height);
      const { data } = brush.getImageData(0, 0, canvas.width, canvas.height);
      const green = (x, y) => data[4 * (y * canvas.width + x) + 1];
      const blocks = [];
      for (let y = 1; y < canvas.height; y += 4)
        for (let x = 1; x < canvas.width; x += 4)
          blocks.push(green(x, y) + green(x + 1, y) + green(x, y + 1) + green(x + 1, y + 1));
      const at = name === 'camera' ? told.captureTime ?? now : told.expectedDisplayTime;
      window.benchSeen[name].push([at, ...blocks]);
      video.requestVideoFrameCallback(look);
    };
    video.requestVideoFrameCallback(look);
  };
})()""".replace("COLUMNS", str(COLUMNS)).replace("ROWS", str(ROWS))
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
    """The page in Chromium."""

    def __init__(self, page: chromium.Page) -> None:
        self._page = page

    @classmethod
    async def open(cls, browser: chromium.Browser, url: str) -> "PageCaller":
        page = await browser.page(url, ready=_prepare)
        await page.wait("document.querySelectorAll('#tiles [role=radio]').length")
        await page.click("#start")
        await page.wait("document.querySelector('.stage.playing')", PATIENCE)
        await page.evaluate("benchLook('#input', 'camera'); benchLook('#painted', 'screen')")
        return cls(page)

    async def look(self) -> Seen:
        taken = await self._page.evaluate(TAKE)
        return Seen(*(_sightings(taken[name]) for name in ("camera", "screen")))

    async def counts(self) -> Counts:
        encoded, decoded, waited = await self._page.evaluate(COUNTS)
        return Counts(int(encoded), int(decoded), float(waited))


async def _prepare(page: chromium.Page) -> None:
    await page.call("Page.addScriptToEvaluateOnNewDocument", source=LOOKS)


def _sightings(rows: Iterable[Sequence[float]]) -> list[Sighting]:
    return [Sighting(at / 1000, np.array(blocks).reshape(ROWS, COLUMNS)) for at, *blocks in rows]


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
    """An aiortc peer in this event loop; it sees a picture when it is decoded."""

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
                self._screen.append(Sighting(time.monotonic(), blocks_of(_luma(picture))))

    async def look(self) -> Seen:
        seen = Seen(self.camera.seen, self._screen)
        self.camera.seen, self._screen = [], []
        return seen

    async def counts(self) -> Counts:
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
