"""200 changes of style in the real browser: none shows a black picture or one that stands still, each shows at once.

``SWAPS=200`` is the full test, of which a part is run otherwise.
"""

import asyncio
import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("aiohttp")
pytest.importorskip("aiortc")

from allaprima.bench import chromium
from allaprima.bench.callers import PageCaller
from allaprima.bench.timecode import RATE, Seen, Sighting, camera_pictures
from allaprima.realtime.live.stream import Stream

from .browsing import SIZE, only

pytestmark = pytest.mark.skipif(chromium.BINARY is None, reason="there is no Chromium on this machine")

SWAPS = int(os.environ.get("SWAPS", "60"))
EVERY = 3
"""Pictures from one swap to the next."""
AT_MOST = 3
"""Pictures that left the camera after the swap, until one is in the new style."""
STANDSTILL = 2.0
"""Seconds without a new picture that a machine busy with other things is forgiven."""
STYLES = ("bright", "dark")
SWAP = """(count, every, keys) => {
  const video = document.querySelector('#painted');
  const swaps = (window.swaps = []);
  let [pictures, pressed] = [0, 0];
  const send = RTCDataChannel.prototype.send;
  RTCDataChannel.prototype.send = function (text) {
    const { style } = JSON.parse(text);
    if (style) swaps.push([performance.now() / 1000, style]);
    send.call(this, text);
  };
  const shown = () => {
    if (pressed < count && ++pictures % every == 0) {
      window.pressed = pressed + 1;
      const key = keys[pressed++ % keys.length];
      document.body.dispatchEvent(new KeyboardEvent('keydown', { key, bubbles: true, cancelable: true }));
    }
    video.requestVideoFrameCallback(shown);
  };
  video.requestVideoFrameCallback(shown);
}"""
"""Presses a key at every few pictures, and notes when the page told the server which style."""


@pytest.fixture(scope="module")
def moving_camera(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A landscape that moves in every picture, each with its number."""
    return chromium.write_camera(tmp_path_factory.mktemp("camera") / "moving.y4m", camera_pictures(SIZE), RATE)


REPEATS = 2
"""Times in a row that a picture may be shown again: where nothing newer came on a busy machine."""


def arrivals(seen: Seen, swaps: list[tuple[float, str]]) -> list[int]:
    """For each swap: which of the painted pictures that left the camera after it was the first in the new style.

    What is neither bright nor dark went through unpainted, on a machine that is far too busy, and does not count.
    """
    looks: dict[float, Sighting] = {shown.at: shown for shown in seen.screen}
    means = [(left, float(looks[at].cells.mean())) for _, left, at in seen.trips()]
    dark, bright = np.quantile([mean for _, mean in means], (0.1, 0.9))
    near = (bright - dark) / 4
    assert near > 8, "the styles are told apart"
    painted = [
        (left, STYLES[0] if mean > bright - near else STYLES[1])
        for left, mean in means
        if not dark + near < mean < bright - near
    ]
    found = []
    for at, wanted in swaps:
        later = (style for left, style in painted if left > at)
        found.append(next((count for count, style in enumerate(later, 1) if style == wanted), 10**6))
    return found


def test_swaps_show_at_once_and_no_picture_is_black_or_frozen(
    visit: Any, moving_camera: Path, tiny_bundle: Path
) -> None:
    def make(name: str) -> Stream:
        return Stream(name, style=STYLES[1], bundle=tiny_bundle, transition=0.0, governed=False)

    async def main() -> None:
        async with visit(camera=moving_camera, make_stream=make) as (client, browser):
            caller = await PageCaller.open(browser, f"{client.base}/")
            page = caller.page
            await page.wait("document.querySelector('#tiles [aria-checked=true]')")
            names = await page.evaluate("Array.from(document.querySelector('#tiles').children, (t) => t.dataset.name)")
            keys = [str(1 + names.index(style)) for style in STYLES]
            before = only(client).state.revision
            await caller.look()
            await page.evaluate(f"({SWAP})({SWAPS}, {EVERY}, {keys})")
            await page.wait(f"window.pressed == {SWAPS}", 20 + SWAPS)
            await asyncio.sleep(1)
            seen, swaps = await caller.look(), await page.evaluate("window.swaps")
            assert only(client).state.revision >= before + len(swaps), "each swap was heard"
            assert len(swaps) > 0.8 * SWAPS, "the page joins two only where it is held up"
            assert page.errors == []
        swaps = [(at + caller.offset, style) for at, style in swaps]
        times = [shown.at for shown in seen.screen]
        gaps = [after - before for before, after in itertools.pairwise(times)]
        waited = arrivals(seen, swaps)
        print(
            f"{len(swaps)} swaps in {swaps[-1][0] - swaps[0][0]:.0f} s, {len(times)} pictures, "
            f"{seen.readable:.0%} read; black {seen.black()}, frozen {seen.frozen()}, "
            f"longest gap {1000 * max(gaps):.0f} ms; first picture in the new style: "
            f"{sum(waited) / len(swaps):.2f} on average, {max(waited)} at most"
        )
        assert seen.readable > 0.5
        assert seen.black() == 0
        again = [after.same(before) for before, after in itertools.pairwise(seen.screen)]
        stands = max(len(list(run)) for same, run in itertools.groupby(again) if same) if any(again) else 0
        assert stands <= REPEATS, "a page that is busy may show a picture once more, no longer"
        assert max(gaps) < STANDSTILL
        late = [(index, count) for index, count in enumerate(waited) if count > AT_MOST]
        assert late == []

    try:
        asyncio.run(main())
    except AssertionError:  # a machine that is busy elsewhere for a moment: what is wrong is wrong again
        asyncio.run(main())
