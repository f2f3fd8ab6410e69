"""One live stream measured on its way, from the camera to the screen.  The command is `webrtc.py`.

Needs the extra ``webrtc``.
"""

import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np

from allaprima.bench import chromium, clips, table
from allaprima.bench.callers import Caller, PageCaller, PeerCaller, ask
from allaprima.bench.clips import Size
from allaprima.bench.passages import Traced, legs
from allaprima.bench.results import Bar, OtherLoad
from allaprima.bench.timecode import RATE, Seen, camera_pictures, growth, quarters
from allaprima.realtime.live.server import Server
from allaprima.realtime.live.settings import Settings
from allaprima.realtime.stylizer import Stylizer

DELAY_MS_BAR, DELAY_SIZE = 150.0, (640, 360)
"""95 % of the delays from camera to screen, promised at this size."""
FPS_BAR = 0.97 * RATE
"""Painted pictures a second, promised at this size: all but what a hiccup costs."""
GROWTH_MS_BAR = 1000 // RATE
"""Of the median delay, from the first quarter of a run to the last: a frame."""
READABLE = 0.8
"""Share of painted pictures whose code must be read for the style to be measured as it is."""
SETTLE, LOOK = 4.0, 2.0
"""Seconds until the bitrate has risen, and to find out whether the code can be read."""
WINDOW = 0.5
"""Seconds before a swap and after it that are compared."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured, and for how long."""

    size: Size = DELAY_SIZE
    seconds: float = 20.0
    swaps: int = 20
    style: str | None = None
    bundle: Path | None = None
    browser: bool = False
    settle: float = SETTLE


@dataclass(slots=True)
class Result:
    """The figures of each stretch of the run, by name."""

    caller: str
    code: str = ""
    """What was painted while delays were measured."""
    size: Size | None = None
    """Of the painted pictures."""
    stretches: dict[str, dict[str, float]] = field(default_factory=dict)
    quarters: list[tuple[float, float]] = field(default_factory=list)
    """Median and 95 % quantile of the delay in ms, in each quarter of the painted stretch."""
    legs: dict[str, tuple[float, float]] = field(default_factory=dict)
    """The same of each leg of the way (`passages.LEGS`)."""
    stages: dict[str, float] = field(default_factory=dict)
    """Milliseconds a frame of each stage on the server, over the whole run."""
    bars: list[Bar] = field(default_factory=list)
    other_load: float | None = None


@dataclass(frozen=True, slots=True)
class Visit:
    """A stream that is being painted, and how to steer it."""

    stream: Traced
    caller: Caller
    session: aiohttp.ClientSession
    url: str

    async def change(self, **what: Any) -> None:
        await ask(self.session, "PATCH", self.url, what)

    async def watch(self, seconds: float) -> tuple[Seen, dict[str, float]]:
        """What was seen in these seconds, and its figures."""
        loop = asyncio.get_running_loop()
        await self.caller.look()
        bitrates: list[float] = []
        steps: list[int] = []
        earlier = set(list(self.stream.passages)[:-RATE])  # a second's pictures may still be on their way
        began, before, counted = loop.time(), self.stream.stats(), await self.caller.counts()
        while (left := began + seconds - loop.time()) > 0:
            await asyncio.sleep(min(left, 1))
            now = self.stream.stats()
            bitrates.append(now.bitrate_kbps)
            steps.append(now.effort)
        after, counts, seen = self.stream.stats(), await self.caller.counts(), await self.caller.look()
        took = loop.time() - began
        frames = {
            "camera (fps)": counts.encoded - counted.encoded,
            "in (fps)": after.frames_in - before.frames_in,
            "painted (fps)": after.frames_painted - before.frames_painted,
            "sent (fps)": after.frames_sent - before.frames_sent,
            "received (fps)": counts.decoded - counted.decoded,
        }
        figures = {name: count / took for name, count in frames.items()}
        figures["dropped before painting (frames)"] = after.dropped - before.dropped
        figures["bitrate (kbit/s)"] = statistics.mean(bitrates)
        figures["step of the governor, mean (0 is full effort)"] = statistics.mean(steps)
        figures["code read (share)"] = seen.readable
        delays = seen.delays()
        if delays:
            found = [1000 * delay for _, delay in delays]
            figures["camera to screen, p50 (ms)"] = float(np.quantile(found, 0.5))
            figures["camera to screen, p95 (ms)"] = float(np.quantile(found, 0.95))
            figures["growth of the delay (ms)"] = 1000 * growth(delays)
        if after.latency_ms is not None:
            figures["of it on the server, p50 of late (ms)"] = after.latency_ms.p50
        if counts.decoded > counted.decoded:
            waited = (counts.waited - counted.waited) / (counts.decoded - counted.decoded)
            figures["of it in the receiver's buffer (ms)"] = 1000 * waited
        figures["longest gap (ms)"] = 1000 * seen.longest_gap()
        came = [passage.number for at, passage in list(self.stream.passages.items()) if at not in earlier]
        figures["black pictures"], figures["frozen pictures"] = seen.black(), seen.frozen(came)
        return seen, figures


async def measure(plan: Plan, note: Any = table.note) -> Result:
    """One stream: as it comes (bypass), painted, and while its style is swapped."""
    result = Result("Chromium" if plan.browser else "aiortc peer")
    with OtherLoad() as other:
        async with _visiting(plan) as visit:
            note("unpainted")
            await visit.change(bypass=True, transition=0)
            await asyncio.sleep(plan.settle)
            _, result.stretches["unpainted"] = await visit.watch(plan.seconds / 4)
            await visit.change(bypass=False)
            await asyncio.sleep(plan.settle / 4)
            seen, _ = await visit.watch(min(LOOK, plan.seconds / 4))
            result.code = f"the style {visit.stream.state.style} as it is"
            if seen.readable < READABLE:
                await visit.change(strength=0.0)
                result.code = f"strength 0, all nets running: the style left {seen.readable:.0%} of the codes readable"
            note(f"painted: {result.code}")
            seen, result.stretches["painted"] = await visit.watch(plan.seconds)
            result.quarters = [(1000 * p50, 1000 * p95) for p50, p95 in quarters(seen.delays())]
            result.legs = legs(seen, visit.stream.passages.values())
            if plan.swaps:
                note(f"{plan.swaps} swaps")
                result.stretches["swaps"] = await _swap(visit, plan)
            stats = visit.stream.stats()
            result.size, result.stages = stats.size, stats.stages_ms
    result.other_load = other.cores
    result.bars = bars(result, plan)
    return result


async def _swap(visit: Visit, plan: Plan) -> dict[str, float]:
    names = list(Stylizer(plan.style, bundle=plan.bundle).bundle.style_files())
    drops = [0, 0]
    answers: list[float] = []

    async def swaps() -> None:
        for index in range(plan.swaps):
            at = [visit.stream.stats().dropped]
            await asyncio.sleep(WINDOW)
            at.append(visit.stream.stats().dropped)
            began = time.monotonic()
            await visit.change(style=names[index % len(names)], transition=0)
            answers.append(1000 * (time.monotonic() - began))
            await asyncio.sleep(WINDOW)
            at.append(visit.stream.stats().dropped)
            drops[0] += at[1] - at[0]
            drops[1] += at[2] - at[1]

    (_, figures), _ = await asyncio.gather(visit.watch(2 * WINDOW * plan.swaps), swaps())
    figures |= {"dropped just before swaps (frames)": drops[0], "dropped just after swaps (frames)": drops[1]}
    return figures | {"answer to a swap (ms)": statistics.median(answers)}


@asynccontextmanager
async def _visiting(plan: Plan) -> AsyncIterator[Visit]:
    """A server, and a camera at it."""

    def make(name: str) -> Traced:
        return Traced(name, style=plan.style, bundle=plan.bundle)

    server = Server(Settings(port=0, style=plan.style, bundle=plan.bundle), make_stream=make)
    await server.start()
    base = f"http://127.0.0.1:{server.port}"
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(server.stop)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        caller: PageCaller | PeerCaller
        if plan.browser:
            folder = Path(stack.enter_context(clips.workplace()))
            camera = chromium.write_camera(folder / "camera.y4m", camera_pictures(plan.size), RATE)
            browser = await stack.enter_async_context(chromium.chromium(camera=camera))
            caller = await PageCaller.open(browser, f"{base}/")
        else:
            caller = await PeerCaller.open(plan.size, base)
            stack.push_async_callback(caller.close)
        (stream,) = server.site.hub.streams()
        assert isinstance(stream, Traced)
        yield Visit(stream, caller, session, f"{base}/v1/streams/{stream.name}")


def bars(result: Result, plan: Plan) -> list[Bar]:
    """What was promised, beside what was measured."""
    found, painted = [], result.stretches["painted"]
    if plan.size == DELAY_SIZE and (received := painted.get("received (fps)")) is not None:
        found.append(Bar("received (fps)", received, FPS_BAR, True))
    p95, grown = (painted.get(name) for name in ("camera to screen, p95 (ms)", "growth of the delay (ms)"))
    if p95 is not None and plan.size == DELAY_SIZE:
        found.append(Bar("camera to screen, p95 (ms)", p95, DELAY_MS_BAR, False, " ms"))
    if grown is not None:
        found.append(Bar("growth of the delay (ms)", grown, GROWTH_MS_BAR, False, " ms"))
    if "swaps" in result.stretches:
        swaps = result.stretches["swaps"]
        before, after = (swaps[f"dropped just {when} swaps (frames)"] for when in ("before", "after"))
        chance = 2 * (before + after) ** 0.5  # two deviations of what a busy machine drops anyway; 0 on a free one
        found.append(Bar("dropped just after swaps (frames)", after, round(before + chance, 1), False))
        found += [Bar(what, swaps[what], 0, False) for what in ("black pictures", "frozen pictures") if what in swaps]
    return found
