"""Ways through the page that are taken less often: cameras that cannot be had, pictures that are dropped, a server
that goes away, sliders that are dragged, styles that take turns."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("aiortc")

from allaprima.bench import chromium as driver
from allaprima.bench.chromium import Page
from allaprima.realtime.bundle import Bundle
from allaprima.realtime.live.jobs import Trainer

from .browsing import LIVE, notice, only, pick, start, until, until_free, write_picture

pytestmark = pytest.mark.skipif(driver.BINARY is None, reason="there is no Chromium on this machine")

TRAIN = f"""
import sys, time
from pathlib import Path
sys.path.insert(0, {str(Path(__file__).parents[3])!r})
from tests import tiny
words = dict(word[2:].split("=", 1) for word in sys.argv if word.startswith("--"))
for step in range(3):
    print(f"  {{step}} s  loss 2.5{{step}}", flush=True)
    time.sleep(0.4)
tiny.add_style(Path(words["bundle"]), words["name"], 0.3)
"""
"""A trainer that is quick: what it makes brightens."""


async def drag(page: Page, selector: str, *shares: float) -> None:
    """Press on a slider and pull it over these shares of its length, then let go."""
    left, top, width, height = await page.evaluate(
        f"(() => {{ const slider = document.querySelector('{selector}'); slider.scrollIntoView({{ block: 'center' }});"
        " const r = slider.getBoundingClientRect(); return [r.x, r.y, r.width, r.height]; })()"
    )
    for index, share in enumerate(shares):
        x, y = left + share * width, top + height / 2
        await page.call(
            "Input.dispatchMouseEvent",
            type="mouseMoved" if index else "mousePressed", x=x, y=y, button="left", buttons=1, clickCount=1,
        )  # fmt: skip
        await asyncio.sleep(0.05)
    await page.mouse("mouseReleased", x, y)


async def choose(page: Page, selector: str, value: str) -> None:
    """Another entry of a list."""
    await page.evaluate(
        f"(() => {{ const list = document.querySelector('{selector}'); list.value = '{value}';"
        " list.dispatchEvent(new Event('change', { bubbles: true })); })()"
    )


async def colors(page: Page, file: Path, *places: tuple[float, float]) -> list[float]:
    """Brightness of the screen at places of the picture, given as shares of its width and height."""
    box = await page.evaluate(
        "(() => { const r = document.querySelector('#canvas').getBoundingClientRect();"
        " return [r.x, r.y, r.width, r.height]; })()"
    )
    await page.screenshot(file)
    with av.open(str(file)) as picture:
        shown = next(picture.decode(video=0)).to_ndarray(format="gray")
    spots = [(int(box[0] + x * box[2]), int(box[1] + y * box[3])) for x, y in places]
    return [float(shown[y - 4 : y + 5, x - 4 : x + 5].mean()) for x, y in spots]


def test_a_refused_camera_is_said_and_painting_begins_when_it_is_allowed(visit: Any) -> None:
    async def main() -> None:
        async with visit(grant=False) as (client, browser):

            async def allow(setting: str) -> None:
                await browser.call(
                    "Browser.setPermission", permission={"name": "camera"}, setting=setting, origin=client.base
                )

            await allow("denied")
            page = await browser.page(client.base + "/")
            await page.click("#start")
            await notice(page, "The camera was refused.")
            assert await page.evaluate("document.querySelector('#live-urgent').textContent.includes('refused')")
            assert len(client.site.hub) == 0
            await allow("granted")
            await page.wait(LIVE, 30)
            assert await page.evaluate("document.querySelector('#notice').hidden")

    asyncio.run(main())


def test_a_machine_without_a_camera_is_said(visit: Any) -> None:
    async def main() -> None:
        async with visit(camera=None) as (client, browser):
            page = await browser.page(client.base + "/?start")
            await notice(page, "There is no camera.")
            assert await page.evaluate("document.querySelector('#notice-action').textContent") == "Try again"
            assert len(client.site.hub) == 0

    asyncio.run(main())


def test_a_dropped_picture_becomes_a_style_that_can_be_chosen(visit: Any, own_bundle: Path, tmp_path: Path) -> None:
    script, picture = tmp_path / "trainer.py", tmp_path / "Hokusai's sea.png"
    script.write_text(TRAIN)
    write_picture(picture)

    async def main() -> None:
        trainer = Trainer(Bundle(own_bundle), command=(sys.executable, str(script)))
        async with visit(trainer=trainer, bundle=own_bundle, transition=0.0) as (client, browser):
            page = await start(browser, client)
            plain = await until(page, lambda value: 95 < value < 135)
            carried = {"items": [], "files": [str(picture)], "dragOperationsMask": 1}
            for step in ("dragEnter", "dragOver"):
                await page.call("Input.dispatchDragEvent", type=step, x=300, y=200, data=carried)
            await page.wait("!document.querySelector('#drop').hidden")
            await page.call("Input.dispatchDragEvent", type="drop", x=300, y=200, data=carried)
            await page.wait("document.querySelector('#train').open && document.querySelector('#drop').hidden")
            assert await page.evaluate("document.querySelector('#train-name').value") == "hokusai-s-sea"
            assert await page.evaluate("document.querySelector('#train-picture').naturalWidth") == 64
            await page.click("#train-go")
            await page.wait("document.querySelector('.job progress')?.value > 0")
            await page.wait("document.querySelector('.job-text')?.textContent == 'is among the styles'", 30)
            await page.click(pick("hokusai-s-sea"))
            await until(page, lambda value: value > plain + 18)
            assert only(client).state.style == "hokusai-s-sea"
            await page.click(".job button")
            assert not await page.evaluate("document.querySelectorAll('.job').length")
            assert page.errors == []

    asyncio.run(main())


def test_sliders_are_dragged_the_screen_is_filled_and_styles_take_turns(visit: Any, tmp_path: Path) -> None:
    async def main() -> None:
        async with visit(transition=0.0) as (client, browser):
            page = await start(browser, client)
            stream = only(client)
            await page.click(pick("bright"))
            bright = await until(page, lambda value: value > 130)

            await choose(page, "#second-style", "dark")
            await drag(page, "#mix", 0.5, 0.6, 0.7, 0.8)
            await client.until(lambda: stream.state.mix.get("dark", 0) > 0.7)
            assert sum(stream.state.mix.values()) == pytest.approx(1)
            assert stream.state.transition == 0, "the slider's short fades leave the length of cross-fades alone"
            await until(page, lambda value: value < bright - 20)
            await choose(page, "#second-style", "")
            await until(page, lambda value: abs(value - bright) < 8)

            while await page.evaluate("document.querySelector('#stage').dataset.view") != "wipe":
                await page.press("v")
            await drag(page, "#wipe", 0.5, 0.4, 0.25)
            assert abs(await page.evaluate("Number(document.querySelector('#wipe').value)") - 25) < 3
            await page.wait("!document.querySelector('#caption').classList.contains('shown')")
            left, right = await colors(page, tmp_path / "wipe.png", (0.1, 0.3), (0.6, 0.3))
            assert right > left + 15, "the camera on the left of the line, the bright painting on its right"

            await page.press("f")
            await page.wait("document.fullscreenElement == document.querySelector('#stage')")
            await page.wait("document.querySelector('#stage.resting')", 6)
            await page.press("f")
            await page.wait("!document.fullscreenElement")

            await page.evaluate("document.querySelector('#rotate').options[1].value = '0.4'")
            seen = {stream.state.style}
            await choose(page, "#rotate", "0.4")
            await client.until(lambda: seen.add(stream.state.style) or len(seen) == 4, 10)
            await choose(page, "#rotate", "0")
            still = stream.state.style
            await asyncio.sleep(1)
            assert stream.state.style == still
            assert page.errors == []

    asyncio.run(main())


def test_a_server_that_comes_back_finds_the_page_and_its_settings(live: Callable[..., Any], wall: Path) -> None:
    async def main() -> None:
        async with driver.chromium(camera=wall) as browser:
            async with live(real=True, transition=0.0) as client:
                port = client.server.port
                page = await start(browser, client)
                await page.click(pick("dark"))
                await until(page, lambda value: value < 100)
                await page.press("ArrowDown")
                await client.until(lambda: only(client).state.strength == 0.95)
            await page.wait("document.querySelector('#status').dataset.state == 'waiting'")
            await notice(page, "The server does not answer.")
            async with live(real=True, port=port) as client:
                await page.wait(LIVE, 30)
                assert (only(client).state.style, only(client).state.strength) == ("dark", 0.95)
                await until(page, lambda value: value < 100)  # it may fade in, or begin late on a busy machine
                await page.wait("document.querySelector('#notice').hidden")
                await page.click("#stop")
                await until_free(client)

    asyncio.run(main())
