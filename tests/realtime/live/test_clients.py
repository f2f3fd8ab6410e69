"""Programs of other people as clients of the real server: Firefox, FFmpeg's WHIP output, GStreamer.

Each test is skipped, with the reason, where its program is not on the machine.  Firefox and GStreamer never speak to a
loopback address: their tests use the machine's own, and run when they are asked for (``OTHER_CLIENTS=1``).
"""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Any

import av
import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("aiortc")

from allaprima.realtime.live import selfsigned

from . import firefox
from .browsing import LUMA, only
from .calls import until, viewer
from .test_through import whip

GSTREAMER = Path(__file__).with_name("gstreamer_whip.py")
PYTHONS = ("/usr/bin/python3", sys.executable)
FFMPEG = """
import sys, time
from fractions import Fraction
import av, numpy as np
url, certificate = sys.argv[1:]
options = {"cert_file": certificate, "key_file": certificate, "authorization": "operator-token"}
with av.open(url, "w", format="whip", options=options) as out:
    stream = out.add_stream("libx264", rate=30)
    stream.width, stream.height, stream.pix_fmt, stream.max_b_frames = 320, 192, "yuv420p", 0
    stream.options = {"profile": "baseline", "preset": "ultrafast", "tune": "zerolatency", "g": "30"}
    began = time.monotonic()
    for index in range(900):
        planes = np.full((288, 320), 128, np.uint8)
        planes[:192] = 90 + 60 * (np.arange(320) // 16 + index) % 2
        picture = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        picture.pts, picture.time_base = index, Fraction(1, 30)
        out.mux(stream.encode(picture))
        time.sleep(max(0.0, began + index / 30 - time.monotonic()))
"""


own_address = pytest.mark.skipif("OTHER_CLIENTS" not in os.environ, reason="needs more than loopback: OTHER_CLIENTS=1")


@pytest.fixture(autouse=True)
def loopback_only() -> None:
    """Not here."""


@cache
def python_with_gstreamer() -> str | None:
    """The interpreter that has PyGObject and webrtcbin, if there is one."""
    look = "import gi; gi.require_version('GstWebRTC', '1.0'); from gi.repository import Gst; Gst.init(None); "
    look += "raise SystemExit(not all(map(Gst.ElementFactory.find, ('webrtcbin', 'nicesrc', 'x264enc', 'opusenc'))))"
    for python in PYTHONS:
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            if subprocess.run([python, "-c", look], capture_output=True, timeout=30).returncode == 0:
                return python
    return None


@asynccontextmanager
async def running(*words: str, **environment: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """A program that ends when its standard input is closed, or is ended."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *words, stdin=pipe, stdout=pipe, stderr=asyncio.subprocess.STDOUT, env=os.environ | environment
    )
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), 5)
        if process.returncode is None:
            process.kill()
        told, _ = await process.communicate()
        print(told.decode("utf-8", "replace")[-2000:])


async def is_painted_and_seen(client: Any, name: str, pictures: int = 20) -> None:
    """The stream of this name comes in and is painted, and a viewer sees it."""
    async with asyncio.timeout(20):
        while (stream := client.site.hub.get(name)) is None or stream.stats().frames_painted < pictures:
            await asyncio.sleep(0.05)
    assert stream.stats().problem == ""
    watcher = viewer()
    ask = client.ask
    client.ask = lambda *words, **more: ask(*words, **{"token": "operator-token", **more})
    try:
        await whip(client, name, watcher, "whep")
        await until(lambda: len(watcher.frames) > 5, 15)
    finally:
        client.ask = ask
        await watcher.close()


@own_address
@pytest.mark.skipif(firefox.BINARY is None, reason="there is no Firefox on this machine")
def test_the_page_works_in_firefox(live: Callable[..., Any]) -> None:
    async def main() -> None:
        async with live(real=True, transition=0.0) as client, firefox.firefox() as tab:
            await tab.open(client.base + "/")
            await tab.wait("document.querySelectorAll('#tiles [role=radio]').length >= 4")
            await tab.evaluate("document.querySelector('#start').click()")
            await tab.wait("document.querySelector('.stage.playing')")
            await tab.wait("document.querySelector('#painted').videoWidth == 640")
            await tab.wait("/VP8|H264/.test(document.querySelector('#digest').innerText)")
            stream = only(client)
            for style in ("bright", "dark"):  # Firefox's camera changes its color slowly: seen side by side
                await tab.evaluate(f"document.querySelector('#tiles [data-name={style}]').click()")
                await client.until(lambda style=style: stream.state.style == style)
                more = "<" if style == "dark" else ">"
                painted, camera = LUMA, LUMA.replace("#painted", "#input")
                await tab.wait(f"Math.abs({painted} - {camera}) > 10 && {painted} {more} {camera}")
            before = stream.stats().frames_painted
            await asyncio.sleep(1)
            assert stream.stats().frames_painted > before + 5
            await tab.evaluate("document.querySelector('#stop').click()")
            await client.until(lambda: len(client.site.hub) == 0, 15)

    asyncio.run(main())


@pytest.mark.skipif("whip" not in av.formats_available, reason="this build of FFmpeg has no WHIP output")
def test_ffmpeg_publishes_by_whip(live: Callable[..., Any], tmp_path: Path) -> None:
    """With a certificate of its own: the one that builds with GnuTLS make (P-224) is refused by OpenSSL."""
    certificate = selfsigned.certificate(tmp_path, ["localhost"])

    async def main() -> None:
        async with live(real=True, token="operator-token") as client:
            words = (sys.executable, "-c", FFMPEG, f"{client.base}/ffmpeg/whip", str(certificate))
            async with running(*words) as process:
                await is_painted_and_seen(client, "ffmpeg")
                process.kill()

    asyncio.run(main())


@own_address
def test_gstreamer_publishes_by_whip(live: Callable[..., Any]) -> None:
    python = python_with_gstreamer()
    if python is None:
        pytest.skip("there is no GStreamer with webrtcbin and PyGObject on this machine")

    async def main() -> None:
        async with live(real=True, token="operator-token") as client:
            async with running(python, str(GSTREAMER), f"{client.base}/studio/whip", "operator-token"):
                await is_painted_and_seen(client, "studio")
            await client.until(lambda: len(client.site.hub) == 0, 5)

    asyncio.run(main())
