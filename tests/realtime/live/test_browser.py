"""The page in a real browser with a fake camera, against the real server, checked by pixels."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import av
import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("aiortc")

from allaprima.bench import chromium as driver
from allaprima.realtime.bundle import Bundle
from allaprima.realtime.live.jobs import Trainer

from .browsing import LIVE, SIZE, downloaded, notice, only, pick, start, until, until_free, write_picture

pytestmark = pytest.mark.skipif(driver.BINARY is None, reason="there is no Chromium on this machine")

REPORT = """
import sys, time, pathlib
for step in range(8):
    print(f"  {step} s  loss 2.5{step}", flush=True)
    time.sleep(0.3)
sys.exit("the picture is too dull")
"""


def test_the_camera_is_painted_and_keys_steer(visit: Any) -> None:
    async def main() -> None:
        async with visit(transition=0.0) as (client, browser):
            page = await start(browser, client)
            plain = await until(page, lambda value: 95 < value < 135)
            names = await page.evaluate("Array.from(document.querySelector('#tiles').children, (t) => t.dataset.name)")
            await page.press(str(1 + names.index("bright")))
            bright = await until(page, lambda value: value > plain + 18)
            assert only(client).state.style == "bright"
            await page.press("ArrowDown")
            await page.press("ArrowDown")
            await page.wait("document.querySelector('#strength-value').textContent == '90 %'")
            await page.press(" ")
            await until(page, lambda value: abs(value - plain) < 8)
            assert only(client).state.bypass
            await page.press(" ")
            await until(page, lambda value: value > (plain + bright) / 2)
            assert only(client).state.strength == pytest.approx(0.9)
            await page.click(pick("dark"))
            await until(page, lambda value: value < plain - 18)
            await page.press(" ")  # after a click the space bar is for the picture, not for the tile
            await until(page, lambda value: abs(value - plain) < 8)
            await page.press("ArrowRight")
            assert await page.evaluate("document.activeElement.ariaChecked") == "true"
            for view in ("wipe", "pair", "alone", "inset"):
                await page.press("v")
                assert await page.evaluate("document.querySelector('#stage').dataset.view") == view
            await page.wait("document.querySelector('#stage-list').children.length >= 3")
            await page.wait("parseFloat(document.querySelector('#figures').children[3].lastChild.textContent) > 3")
            assert page.errors == []

    asyncio.run(main())


def test_two_controllers_agree_and_a_player_shows_the_same(visit: Any) -> None:
    async def main() -> None:
        async with visit(token="secret-token", transition=0.0) as (client, browser):
            page = await start(browser, client, "?token=secret-token")
            kept = await page.evaluate("location.href + document.cookie + JSON.stringify(localStorage)")
            assert "secret" not in kept
            name = only(client).name
            remote = await browser.page(f"{client.base}/?stream={name}&token=secret-token")
            await remote.wait(LIVE, 30)
            player = await browser.page(f"{client.base}/{name}?token=secret-token")
            await player.wait("document.querySelector('video.playing')", 30)
            await remote.click(pick("bright"))
            await page.wait(f"document.querySelector('{pick('bright')}').ariaChecked == 'true'")
            shown = await until(page, lambda value: value > 132)
            await until(player, lambda value: abs(value - shown) < 25)  # a page behind is a little later
            await page.press("ArrowDown")
            await remote.wait("document.querySelector('#strength').value == '0.95'")
            changed = {"mix": {"dark": 0.25, "bright": 0.75}, "strength": 0.5}
            revision = only(client).state.revision
            await client.ask("PATCH", f"/v1/streams/{name}", token="secret-token", json=changed)
            for one in (page, remote):
                await one.wait("document.querySelector('#second-style').value == 'dark'")
                await one.wait("document.querySelector('#strength-value').textContent == '50 %'")
                assert float(await one.evaluate("document.querySelector('#mix').value")) == pytest.approx(0.25)
            await asyncio.sleep(1)
            assert only(client).state.revision == revision + 1, "nobody answered a state with a change"
            assert await player.evaluate("getComputedStyle(document.body).backgroundColor") == "rgba(0, 0, 0, 0)"
            assert page.errors + remote.errors + player.errors == []

    asyncio.run(main())


def test_it_reconnects_with_its_settings_and_says_what_is_wrong(visit: Any) -> None:
    async def main() -> None:
        flags = "--host-resolver-rules=MAP painter.test 127.0.0.1"
        token = "secret-token"
        async with visit(flags, transition=0.0, max_sessions=1, token=token) as (client, browser):
            page = await start(browser, client, f"?token={token}")
            await page.click(pick("bright"))
            await page.press("ArrowDown")
            await until(page, lambda value: value > 130)
            first = only(client).name
            await client.ask("DELETE", f"/v1/streams/{first}", token=token)
            await page.wait("document.querySelector('#status').dataset.state != 'live'", 5)
            await page.wait(LIVE, 20)
            stream = only(client)
            assert stream.name != first
            assert (stream.state.style, stream.state.strength) == ("bright", 0.95)
            await until(page, lambda value: value > 130)
            second = await browser.page(f"{client.base}/?start&token={token}")
            assert "Trying again in" in await notice(second, "All places on this server are taken.")
            await page.click("#stop")
            await until_free(client)
            await second.click("#notice-action")
            await second.wait(LIVE, 30)
            await second.close()
            for fault, words in (
                ("NotAllowedError", "The camera was refused."),
                ("NotReadableError", "The camera is busy."),
                ("NotFoundError", "There is no camera."),
            ):
                fail = f"navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException('no', '{fault}'))"
                await page.evaluate(f"{fail}; 0")
                await page.click("#start")
                await notice(page, words)
            await page.open(f"http://painter.test:{client.server.port}/?token={token}")  # no secure page, by its name
            assert "--tls-cert" in await notice(page, "secure pages only")
            assert await page.evaluate("document.querySelector('#start').disabled")

    asyncio.run(main())


def test_films_are_saved_and_pictures_become_styles(visit: Any, tmp_path: Path, tiny_bundle: Path) -> None:
    script, picture = tmp_path / "trainer.py", tmp_path / "My painting (1).png"
    script.write_text(REPORT)
    write_picture(picture)

    async def main() -> None:
        trainer = Trainer(Bundle(tiny_bundle), command=(sys.executable, str(script)))
        async with visit(trainer=trainer) as (client, browser):
            await browser.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
            page = await start(browser, client)
            await page.press("r")
            await page.wait("document.querySelector('#record-text').textContent == '0:03'")
            await page.press("s")
            await page.press("r")
            film_file = await downloaded(tmp_path, "*.mp4", "*.webm")
            await downloaded(tmp_path, "allaprima-*.png")
            await page.click("#train-open")
            await page.choose_files("#train-file", picture)
            await page.wait("document.querySelector('#train-name').value == 'my-painting-1'")
            await page.click("#train-go")
            await page.wait("document.querySelector('.job progress')?.value > 0")
            await page.wait("document.querySelector('.job-text.wrong')?.textContent.includes('too dull')")
            assert page.errors == []
        with av.open(str(film_file)) as film:
            frames = sum(1 for _ in film.decode(video=0))
            assert frames > 5
            assert (film.streams.video[0].width, film.streams.video[0].height) == SIZE

    asyncio.run(main())
