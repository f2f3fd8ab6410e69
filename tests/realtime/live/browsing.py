"""What tests do with the page in Chromium: start it, look at its picture, wait for its messages."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from allaprima.bench.chromium import Browser, Page, PageError

SIZE = (320, 180)
LUMA = """(() => {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [32, 18];
  const brush = canvas.getContext('2d');
  brush.drawImage(document.querySelector('#painted'), 0, 0, 32, 18);
  const { data } = brush.getImageData(0, 0, 32, 18);
  return data.reduce((sum, value, index) => (index % 4 == 3 ? sum : sum + value), 0) / (32 * 18 * 3);
})()"""
LIVE = "document.querySelector('.stage.playing') && document.querySelector('#tiles [aria-checked=true]')"


def scenes() -> Iterator[Any]:
    """A gray wall that a darker stripe moves along: something to see and to encode."""
    for index in range(20):
        picture = np.full((SIZE[1], SIZE[0], 3), 120, np.uint8)
        picture[:, index * 16 : index * 16 + 16] = 90
        yield picture


async def start(browser: Browser, client: Any, query: str = "") -> Page:
    """The page, painting."""
    page = await browser.page(f"{client.base}/{query}")
    await page.wait("document.querySelectorAll('#tiles [role=radio]').length >= 4")
    await page.click("#start")
    await page.wait(LIVE, 30)
    return page


def pick(name: str) -> str:
    return f"#tiles [data-name={name}]"


def write_picture(path: Path) -> None:
    """A PNG of 64x64 pixels that a user may train a style from."""
    pixels = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    assert cv2.imwrite(str(path), pixels)


async def brightness(page: Page) -> float:
    return float(await page.evaluate(LUMA))


async def until(page: Page, true: Callable[[float], bool], seconds: float = 10.0) -> float:
    """The first brightness of the painted picture that is right."""
    end = asyncio.get_running_loop().time() + seconds
    while not true(value := await brightness(page)):
        assert asyncio.get_running_loop().time() < end, f"the picture stays at {value:.0f}"
        await asyncio.sleep(0.05)
    return value


def only(client: Any) -> Any:
    (stream,) = client.site.hub.streams()
    return stream


async def until_free(client: Any) -> None:
    async with asyncio.timeout(10):
        while client.site.hub.streams():
            await asyncio.sleep(0.02)


async def downloaded(folder: Path, *patterns: str) -> Path:
    """The file that the browser has saved; a recorder may take seconds to finish on a busy machine."""
    async with asyncio.timeout(30):
        while not (found := [file for pattern in patterns for file in folder.glob(pattern)]):
            await asyncio.sleep(0.05)
    return found[0]


async def notice(page: Page, words: str, seconds: float = 10.0) -> str:
    """The message that the page shows, once it has these words."""
    shown = "(document.querySelector('#notice:not([hidden])')?.innerText ?? '')"
    try:
        await page.wait(f"{shown}.includes({json.dumps(words)})", seconds)
    except PageError as error:
        raise AssertionError(f"the message is {await page.evaluate(shown)!r}") from error
    return str(await page.evaluate(shown))
