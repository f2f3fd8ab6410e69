"""Drives a headless Firefox by WebDriver BiDi: open a page, evaluate, take a picture.

``async with firefox() as tab: await tab.open(url); await tab.wait("document.querySelector('#painted').videoWidth")``.
Its camera is Firefox's own fake one.
"""

import asyncio
import base64
import contextlib
import json
import os
import re
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

BINARY = next((found for name in ("firefox-esr", "firefox") if (found := shutil.which(name))), None)
PREFERENCES = {
    "app.update.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "media.autoplay.default": 0,
    "media.navigator.permission.disabled": True,
    "media.navigator.streams.fake": True,
    "media.gmp-manager.updateEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
    "toolkit.telemetry.reportingpolicy.firstRun": False,
}
START_SECONDS, ANSWER_SECONDS = 60.0, 30.0
LISTENING = re.compile(rb"WebDriver BiDi listening on (ws://\S+)")


class Tab:
    """The tab that is open."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._number, self._context = socket, 0, ""

    async def begin(self) -> None:
        await self.call("session.new", capabilities={})
        self._context = (await self.call("browsingContext.getTree"))["contexts"][0]["context"]

    async def call(self, method: str, **parameters: Any) -> Any:
        """One command, one answer; raises `AssertionError` where the browser refuses it."""
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        async with asyncio.timeout(ANSWER_SECONDS):
            while True:
                answer = json.loads((await self._socket.receive()).data)
                if answer.get("id") == self._number:
                    assert answer["type"] == "success", answer
                    return answer["result"]

    async def open(self, url: str) -> None:
        await self.call("browsingContext.navigate", context=self._context, url=url, wait="complete")

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression that gives a number, a text, a truth or nothing; promises are awaited."""
        target = {"context": self._context}
        found = await self.call(
            "script.evaluate", expression=expression, target=target, awaitPromise=True, userActivation=True
        )
        assert found["type"] == "success", found["exceptionDetails"]["text"]
        return found["result"].get("value")

    async def wait(self, expression: str, seconds: float = 30.0) -> None:
        """Until the expression is true."""
        end = asyncio.get_running_loop().time() + seconds
        while not await self.evaluate(f"Boolean({expression})"):
            page = await self.evaluate("document.body.innerText.slice(0, 300)")
            assert asyncio.get_running_loop().time() < end, f"not within {seconds:g} s: {expression}\n{page}"
            await asyncio.sleep(0.1)

    async def screenshot(self, file: Path) -> None:
        shot = await self.call("browsingContext.captureScreenshot", context=self._context)
        file.write_bytes(base64.b64decode(shot["data"]))


@contextlib.asynccontextmanager
async def firefox() -> AsyncIterator[Tab]:
    """A browser of one's own; ends every process that it started."""
    assert BINARY is not None
    folder = Path(tempfile.mkdtemp(prefix="firefox-"))
    lines = (f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in PREFERENCES.items())
    (folder / "user.js").write_text("\n".join(lines))
    process = await asyncio.create_subprocess_exec(
        *(BINARY, "--headless", "--no-remote", "--profile", str(folder), "--remote-debugging-port", "0"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"MOZ_CRASHREPORTER_DISABLE": "1", "HOME": str(folder)},
        start_new_session=True,
    )
    try:
        url = await asyncio.wait_for(_address(process), START_SECONDS)
        rest = asyncio.create_task(_drain(process))
        async with aiohttp.ClientSession() as client, client.ws_connect(f"{url}/session", max_msg_size=0) as socket:
            tab = Tab(socket)
            await tab.begin()
            yield tab
        rest.cancel()
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        shutil.rmtree(folder, ignore_errors=True)


async def _address(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    async for line in process.stderr:
        if match := LISTENING.search(line):
            return match[1].decode()
    raise AssertionError("Firefox has ended")


async def _drain(process: asyncio.subprocess.Process) -> None:
    """What it complains of; a pipe that is full would stop it."""
    assert process.stderr is not None
    while await process.stderr.read(4096):
        pass
