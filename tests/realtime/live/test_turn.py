"""A real TURN server (coturn) as the only way between a peer and the server, on either side."""

import asyncio
import contextlib
import shutil
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("aiortc")

from allaprima.bench import chromium
from allaprima.bench.chromium import Page
from allaprima.realtime.live.ice import IceServer

from .browsing import LIVE, only
from .calls import Open, browser, description, exchange, until

BINARY = shutil.which("turnserver")
pytestmark = pytest.mark.skipif(BINARY is None, reason="there is no coturn on this machine")

RELAY_ONLY = """
const Real = window.RTCPeerConnection;
window.connections = [];
window.RTCPeerConnection = class extends Real {
  constructor(words) { super({ ...words, iceTransportPolicy: 'relay' }); connections.push(this); }
};
"""
USED = """(async () => {
  const reports = await connections.at(-1).getStats();
  const pairs = [...reports.values()].filter((one) => one.type == 'candidate-pair' && one.nominated);
  return pairs.map((pair) => reports.get(pair.localCandidateId).candidateType);
})()"""


@asynccontextmanager
async def turn_server(folder: Path) -> AsyncIterator[IceServer]:
    """A TURN server on loopback; ends with the block."""
    assert BINARY is not None
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    place = ("-n", "-L", "127.0.0.1", "-E", "127.0.0.1", "-p", str(port), "--pidfile", str(folder / "turn.pid"))
    who = ("--lt-cred-mech", "--user", "painter:secret", "--realm", "allaprima.test", "--allow-loopback-peers")
    less = ("--no-tls", "--no-dtls", "--no-cli", "--no-multicast-peers", "--log-file", "stdout", "--simple-log")
    process = await asyncio.create_subprocess_exec(
        *(BINARY, *place, *who, *less),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=folder,
    )
    try:
        async with asyncio.timeout(10):
            while True:
                with contextlib.suppress(ConnectionError):
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                    writer.close()
                    break
                await asyncio.sleep(0.05)
        yield IceServer.parse(f"turn:painter:secret@127.0.0.1:{port}?transport=udp")
    finally:
        process.kill()
        await process.wait()


@pytest.mark.skipif(chromium.BINARY is None, reason="there is no Chromium on this machine")
def test_a_browser_that_only_reaches_a_turn_server_is_painted(visit: Callable[..., Any], tmp_path: Path) -> None:
    async def prepared(page: Page) -> None:
        await page.call("Page.addScriptToEvaluateOnNewDocument", source=RELAY_ONLY)

    async def main() -> None:
        async with turn_server(tmp_path) as server, visit(ice_servers=(server,)) as (client, browser):
            page = await browser.page(client.base + "/", ready=prepared)
            await page.wait("document.querySelectorAll('#tiles [role=radio]').length >= 4")
            await page.click("#start")
            await page.wait(LIVE, 30)
            assert set(await page.evaluate(USED)) == {"relay"}
            before = only(client).stats().frames_sent
            await client.until(lambda: only(client).stats().frames_sent > before + 10)
            assert page.errors == []

    asyncio.run(main())


@pytest.mark.parametrize("port", [None, 0], ids=["own sockets", "one port"])
def test_a_server_that_is_only_reached_by_its_turn_server_answers(
    play: Any, moving: Any, tmp_path: Path, port: int | None
) -> None:
    async def scene(opened: Open) -> None:
        async with turn_server(tmp_path) as server:
            stream, me = opened(), browser(moving)
            async with exchange(me, ice_servers=(server,), udp_port=port) as peers:
                offer = await me.offer()
                answer = await peers.answer(stream, offer, publishes=True, views=True)
                lines = answer.sdp.splitlines(keepends=True)
                assert any("typ relay" in line for line in lines)
                relayed = [line for line in lines if not line.startswith("a=candidate") or "typ relay" in line]
                await me.pc.setRemoteDescription(description("".join(relayed)))
                await until(lambda: len(me.frames) > 10)

    play(scene)
