"""Drives a headless Chromium by its DevTools protocol: open pages, click, type, look, take pictures.

``async with chromium(camera=file) as browser:``, then ``page = await browser.page("http://127.0.0.1:8080/")``,
``await page.click("#start")``, ``await page.wait("document.querySelector('#painted').videoWidth > 0")``.
"""

import asyncio
import base64
import contextlib
import json
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import aiohttp
import av
import numpy as np
from numpy.typing import NDArray

from allaprima.realtime.errors import ConfigError

BINARY = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--disable-renderer-backgrounding",
    "--disable-background-timer-throttling",
    "--hide-scrollbars",
    "--mute-audio",
    "--allow-loopback-in-peer-connection",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
    "--autoplay-policy=no-user-gesture-required",
    "--remote-debugging-port=0",
)
START_SECONDS = 30.0
ANSWER_SECONDS = 30.0
KEYS = {" ": ("Space", 32), "Enter": ("Enter", 13), "Tab": ("Tab", 9), "Escape": ("Escape", 27)}
KEYS |= {f"Arrow{side}": (f"Arrow{side}", 37 + index) for index, side in enumerate(("Left", "Up", "Right", "Down"))}


class PageError(AssertionError):
    """A script threw, or what was waited for did not come."""


def write_camera(file: Path, frames: Iterable[NDArray[np.uint8]], rate: int = 30) -> Path:
    """What the fake camera shows, over and over: RGB pictures as y4m."""
    with av.open(str(file), "w", format="yuv4mpegpipe") as container:
        stream = None
        for index, picture in enumerate(frames):
            if stream is None:
                stream = container.add_stream("wrapped_avframe", rate=rate)
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = "yuv420p"
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, rate)
            container.mux(stream.encode(frame))
        if stream is not None:
            container.mux(stream.encode(None))
    return file


class Page:
    """One tab.  ``errors`` collects what scripts threw and what the console called an error."""

    def __init__(self, browser: "Browser", target: str, session: str) -> None:
        self.browser, self.target, self.session = browser, target, session
        self.errors: list[str] = []

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        return await self.browser.call(method, self.session, **parameters)

    async def open(self, url: str) -> None:
        """Go there; returns when the page has loaded."""
        loaded = self.browser.expect("Page.loadEventFired", self.session)
        await self.call("Page.navigate", url=url)
        await asyncio.wait_for(loaded, ANSWER_SECONDS)

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression; promises are awaited."""
        answer = await self.call(
            "Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True, userGesture=True
        )
        if "exceptionDetails" in answer:
            details = answer["exceptionDetails"]
            raise PageError(details.get("exception", {}).get("description") or details["text"])
        return answer["result"].get("value")

    async def wait(self, expression: str, seconds: float = 15.0) -> Any:
        """The first true value of an expression (an element is True); raises `PageError` when none comes."""
        look = f"Promise.resolve({expression}).then((found) => found instanceof Node || found)"
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while True:
            if value := await self.evaluate(look):
                return value
            if loop.time() > end:
                shown = await self.evaluate("document.body.innerText.slice(0, 400)")
                raise PageError(f"not within {seconds:g} s: {expression}\nerrors: {self.errors}\npage: {shown}")
            await asyncio.sleep(0.03)

    async def click(self, selector: str) -> None:
        """A click of the mouse in the middle of an element, which is scrolled to first."""
        await self.call("Page.bringToFront")
        found = await self.evaluate(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)}); if (!e) return null;"
            " e.scrollIntoView({block: 'nearest', behavior: 'instant'}); const r = e.getBoundingClientRect();"
            " return r.width ? [r.x + r.width / 2, r.y + r.height / 2] : null; })()"
        )
        if found is None:
            raise PageError(f"there is nothing to click on: {selector}")
        await self.mouse("mouseMoved", *found)
        await self.mouse("mousePressed", *found)
        await self.mouse("mouseReleased", *found)

    async def mouse(self, kind: str, x: float, y: float) -> None:
        button = {} if kind == "mouseMoved" else {"button": "left", "clickCount": 1}
        await self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, **button)

    async def press(self, key: str) -> None:
        """One key, down and up."""
        await self.call("Page.bringToFront")
        code, number = KEYS.get(key, (f"Digit{key}" if key.isdigit() else f"Key{key.upper()}", ord(key[0].upper())))
        common = {"key": key, "code": code, "windowsVirtualKeyCode": number}
        text = {"text": key} if len(key) == 1 else {"text": "\r"} if key == "Enter" else {}
        await self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **common, **text)
        await self.call("Input.dispatchKeyEvent", type="keyUp", **common)

    async def type(self, text: str) -> None:
        await self.call("Input.insertText", text=text)

    async def choose_files(self, selector: str, *files: Path) -> None:
        """Put files into an input."""
        root = (await self.call("DOM.getDocument"))["root"]["nodeId"]
        node = (await self.call("DOM.querySelector", nodeId=root, selector=selector))["nodeId"]
        await self.call("DOM.setFileInputFiles", nodeId=node, files=[str(file) for file in files])

    async def resize(self, width: int, height: int, scale: float = 1.0, *, phone: bool = False) -> None:
        """The size of the page in CSS pixels."""
        kind = "landscapePrimary" if width > height else "portraitPrimary"
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=scale,
            mobile=phone,
            screenOrientation={"type": kind, "angle": 90 if width > height else 0},
        )
        await self.call("Emulation.setTouchEmulationEnabled", enabled=phone)

    async def prefer(self, **features: str) -> None:
        """Media features, ``prefers_color_scheme="dark"``."""
        wanted = [{"name": name.replace("_", "-"), "value": value} for name, value in features.items()]
        await self.call("Emulation.setEmulatedMedia", features=wanted)

    async def screenshot(self, file: Path) -> Path:
        answer = await self.call("Page.captureScreenshot", format="png")
        file.write_bytes(base64.b64decode(answer["data"]))
        return file

    async def close(self) -> None:
        await self.browser.call("Target.closeTarget", targetId=self.target)


class Browser:
    """A running browser and its websocket."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._expected: list[tuple[str, str, asyncio.Future[dict[str, Any]]]] = []
        self._pages: dict[str, Page] = {}
        self._number = 0
        self._reader = asyncio.create_task(self._read())

    async def call(self, method: str, session: str | None = None, /, **parameters: Any) -> dict[str, Any]:
        """One command; raises `PageError` where the browser refuses it."""
        self._number += 1
        number = self._number
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        message = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        await self._socket.send_json(message)
        try:
            return await asyncio.wait_for(answer, ANSWER_SECONDS)
        finally:
            self._answers.pop(number, None)

    def expect(self, method: str, session: str) -> "asyncio.Future[dict[str, Any]]":
        """The next event of a kind."""
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._expected.append((method, session, future))
        return future

    async def page(self, url: str = "about:blank", *, ready: Callable[[Page], Any] | None = None) -> Page:
        """A new tab, opened at ``url``; ``ready`` prepares it first."""
        target = (await self.call("Target.createTarget", url="about:blank"))["targetId"]
        session = (await self.call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        page = self._pages[session] = Page(self, target, session)
        for domain in ("Page", "Runtime", "Log", "DOM"):
            await page.call(f"{domain}.enable")
        await page.call("Emulation.setFocusEmulationEnabled", enabled=True)  # no tab is asleep in the background
        if ready is not None:
            await ready(page)
        if url != "about:blank":
            await page.open(url)
        return page

    async def _read(self) -> None:
        async for message in self._socket:
            value = json.loads(message.data)
            if "id" in value:
                self._answer(value)
            else:
                self._event(value.get("sessionId", ""), value["method"], value["params"])

    def _answer(self, value: dict[str, Any]) -> None:
        future = self._answers.get(value["id"])
        if future is None or future.done():
            return
        if "error" in value:
            future.set_exception(PageError(value["error"]["message"]))
        else:
            future.set_result(value["result"])

    def _event(self, session: str, method: str, parameters: dict[str, Any]) -> None:
        for entry in [entry for entry in self._expected if entry[:2] == (method, session)]:
            self._expected.remove(entry)
            if not entry[2].done():
                entry[2].set_result(parameters)
        page = self._pages.get(session)
        if page is None:
            return
        if method == "Runtime.exceptionThrown":
            details = parameters["exceptionDetails"]
            page.errors.append(details.get("exception", {}).get("description") or details["text"])
        elif method == "Log.entryAdded" and parameters["entry"]["level"] == "error":
            page.errors.append(f"{parameters['entry']['text']} {parameters['entry'].get('url', '')}")

    async def close(self) -> None:
        with contextlib.suppress(PageError, TimeoutError, ConnectionError):
            await self.call("Browser.close")
        self._reader.cancel()
        await asyncio.wait([self._reader])


@contextlib.asynccontextmanager
async def chromium(*flags: str, camera: Path | None = None, grant: bool = True) -> AsyncIterator[Browser]:
    """A browser of one's own.  ``camera`` is a y4m file; ``grant`` answers the question for the camera with yes.

    Ends every process that it started.  Raises `ConfigError` where there is no Chromium.
    """
    if BINARY is None:
        raise ConfigError("there is no Chromium on this machine", "Install it, or do without: --no-browser.")
    folder = tempfile.mkdtemp(prefix="chromium-")
    words = [*FLAGS, f"--user-data-dir={folder}", *flags]
    if grant:
        words.append("--use-fake-ui-for-media-stream")
    if camera is not None:
        words += ["--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={camera}"]
    process = await asyncio.create_subprocess_exec(
        BINARY,
        *words,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        port, path = await asyncio.wait_for(_address(Path(folder, "DevToolsActivePort")), START_SECONDS)
        async with (
            aiohttp.ClientSession() as client,
            client.ws_connect(f"ws://127.0.0.1:{port}{path}", max_msg_size=0) as socket,
        ):
            browser = Browser(socket)
            try:
                yield browser
            finally:
                await browser.close()
    finally:
        await _end(process)
        shutil.rmtree(folder, ignore_errors=True)


async def _address(file: Path) -> tuple[str, str]:
    while True:
        lines = file.read_text().split() if file.exists() else []
        if len(lines) == 2:
            return lines[0], lines[1]
        await asyncio.sleep(0.05)


async def _end(process: asyncio.subprocess.Process) -> None:
    """The browser's process group is ours alone: it was started as a session."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(process.wait(), 5)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
