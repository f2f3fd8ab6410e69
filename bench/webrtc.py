"""What a live stream costs on its way: delay from camera to screen, frames lost, bits, and picture quality.

    python -m allaprima.bench.webrtc [--size 640x360] [--seconds 20] [--swaps 20] [--bundle FOLDER] [--style S]
                                     [--browser | --no-browser] [--json FILE]

The server runs in this process, as ``allaprima serve`` starts it.  The camera's pictures carry a time code, which is
read where the camera is seen and again where the painted video is seen.  In Chromium the camera is a fake one that
goes through the page; without a browser an aiortc peer in this process stands in for it, which then works on the
same cores.
"""

import asyncio
import contextlib
import statistics
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import aiohttp
import av
import numpy as np
import typer
from aiortc.codecs.h264 import H264Encoder

from allaprima.bench import chromium, clips, sent, table
from allaprima.bench.callers import Caller, NumberedCamera, PageCaller, PeerCaller, ask
from allaprima.bench.clips import Size
from allaprima.bench.results import Bar, OtherLoad, describe_machine, versions, write_json
from allaprima.bench.timecode import LOOP, RATE, Pixels, Seen, camera_pictures, growth
from allaprima.realtime import open_source
from allaprima.realtime.config import parse_size
from allaprima.realtime.live.encoder import LiveH264
from allaprima.realtime.live.server import Server
from allaprima.realtime.live.settings import Settings
from allaprima.realtime.live.stream import Stream
from allaprima.realtime.stylizer import Stylizer

SCHEMA = "allaprima-bench-webrtc/1"
DELAY_MS_BAR, DELAY_SIZE = 150.0, (640, 360)
"""95 % of the delays from camera to screen, promised at this size."""
GROWTH_MS_BAR = 1000 // RATE
"""Of the median delay, from the first quarter of a run to the last: a frame."""
READABLE = 0.8
"""Share of painted pictures whose code must be read for the style to be measured as it is."""
SETTLE, LOOK = 4.0, 2.0
"""Seconds until the bitrate has risen, and to find out whether the code can be read."""
WINDOW = 0.5
"""Seconds before a swap and after it that are compared."""
QUALITY_FRAMES, QUALITY_SKIP = 40, 10
"""Pictures that are encoded, and those at the start that are not compared: rates have settled."""


# ---- measuring ----


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
    stages: dict[str, float] = field(default_factory=dict)
    """Milliseconds a frame of each stage on the server, over the whole run."""
    bars: list[Bar] = field(default_factory=list)
    other_load: float | None = None


@dataclass(frozen=True, slots=True)
class Visit:
    """A stream that is being painted, and how to steer it."""

    stream: Stream
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
        began, before, counted = loop.time(), self.stream.stats(), await self.caller.counts()
        while (left := began + seconds - loop.time()) > 0:
            await asyncio.sleep(min(left, 1))
            bitrates.append(self.stream.stats().bitrate_kbps)
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
        return seen, figures


async def measure(plan: Plan, note: Any = table.note) -> Result:
    """One stream: as it comes (bypass), painted, and while its style is swapped."""
    note(f"{clips.text(plan.size)}: {LOOP} pictures for the camera")
    pictures = camera_pictures(plan.size)
    result = Result("Chromium" if plan.browser else "aiortc peer in this process")
    with OtherLoad() as other:
        async with _visiting(plan, pictures) as visit:
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
            _, result.stretches["painted"] = await visit.watch(plan.seconds)
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
async def _visiting(plan: Plan, pictures: Sequence[Pixels]) -> AsyncIterator[Visit]:
    """A server, and a camera at it."""
    server = Server(Settings(port=0, style=plan.style, bundle=plan.bundle))
    await server.start()
    base = f"http://127.0.0.1:{server.port}"
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(server.stop)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        caller: PageCaller | PeerCaller
        if plan.browser:
            folder = Path(stack.enter_context(clips.workplace()))
            camera = chromium.write_camera(folder / "camera.y4m", pictures, RATE)
            browser = await stack.enter_async_context(chromium.chromium(camera=camera))
            caller = await PageCaller.open(browser, f"{base}/")
        else:
            caller = PeerCaller(NumberedCamera(pictures))
            stack.push_async_callback(caller.close)
            await caller.call(session, base)
        (stream,) = server.site.hub.streams()
        yield Visit(stream, caller, session, f"{base}/v1/streams/{stream.name}")


def bars(result: Result, plan: Plan) -> list[Bar]:
    """What was promised, beside what was measured."""
    found, painted = [], result.stretches["painted"]
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
    return found


# ---- the picture that arrives ----


def quality(plan: Plan, size: Size = (1280, 720), frames: int = QUALITY_FRAMES) -> dict[str, sent.Sent]:
    """Painted pictures through our encoder and aiortc's own."""
    paint = Stylizer(plan.style, bundle=plan.bundle)
    with open_source(f"test:landscape?size={clips.text(size)}&frames={frames}") as source:
        painted = [_video(paint(frame).planes, size) for frame in source]
    found = {}
    for name, encoder, bitrate in (
        ("aiortc's as it starts", H264Encoder(), None),
        ("aiortc's at its most, 3 Mbit/s", H264Encoder(), 3_000_000),
        ("ours at 3 Mbit/s", LiveH264(), 3_000_000),
        ("ours as it starts", LiveH264(), None),
        ("ours at its most, 20 Mbit/s asked", LiveH264(), 20_000_000),
    ):
        if bitrate is not None:
            encoder.target_bitrate = bitrate
        found[name] = sent.send(painted, encoder, RATE, min(QUALITY_SKIP, frames // 2))
    return found


def _video(planes: Sequence[Any], size: Size) -> av.VideoFrame:
    picture = av.VideoFrame(*size, "yuv420p")
    for target, plane in zip(picture.planes, planes, strict=True):
        rows = np.zeros((target.height, target.line_size), np.uint8)
        rows[:, : target.width] = plane[: target.height, : target.width]
        target.update(rows.tobytes())
    return picture


# ---- the report ----


def as_json(result: Result, qualities: dict[str, sent.Sent]) -> dict[str, Any]:
    return {
        "caller": result.caller,
        "delay_measured_with": result.code,
        "painted_size": list(result.size) if result.size else None,
        "stretches": {
            name: {what: round(value, 4) for what, value in figures.items()}
            for name, figures in result.stretches.items()
        },
        "stages_ms": {name: round(value, 3) for name, value in result.stages.items()},
        "bars": [bar.as_json() for bar in result.bars],
        "other_load_cores": None if result.other_load is None else round(result.other_load, 2),
        "quality": {
            name: {"psnr": one.psnr, "worst": one.worst, "kbps": one.kbps, "encode_ms": one.milliseconds}
            for name, one in qualities.items()
        },
    }


def show(result: Result, qualities: dict[str, sent.Sent]) -> None:
    beside = {bar.what: str(bar) for bar in result.bars}
    names = dict.fromkeys(name for figures in result.stretches.values() for name in figures)
    rows = []
    for name in names:
        cells = (figures.get(name) for figures in result.stretches.values())
        rows.append((name, *("" if cell is None else table.number(cell) for cell in cells), beside.get(name, "")))
    table.plain(f"{result.caller}; delay with {result.code}", ("", *result.stretches, "bar"), rows)
    stages = [(name, table.number(value)) for name, value in result.stages.items()]
    table.plain("on the server, mean over the run", ("stage", "ms a frame"), stages)
    table.warn_of_load(result.other_load)
    quality_rows = [
        (name, *map(table.number, (one.psnr, one.worst, one.kbps, one.milliseconds))) for name, one in qualities.items()
    ]
    columns = ("encoder", "PSNR (dB)", "worst (dB)", "kbit/s", "encode (ms)")
    table.plain("painted pictures at 1280x720 as they arrive", columns, quality_rows)


def main(
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT of the camera.")] = clips.text(DELAY_SIZE),
    seconds: Annotated[float, typer.Option(min=1, help="Length of the painted stretch.")] = 20.0,
    swaps: Annotated[int, typer.Option(min=0, help="Changes of style, one a second.")] = 20,
    bundle: Annotated[Path | None, typer.Option(help="Folder of the model bundle.")] = None,
    style: Annotated[str | None, typer.Option("--style", "-s", help="Not set: the bundle's first.")] = None,
    browser: Annotated[bool | None, typer.Option("--browser/--no-browser", help="Not set: if there is one.")] = None,
    json_file: Annotated[str | None, typer.Option("--json", metavar="FILE", help="- is stdout.")] = None,
) -> None:
    """Measure a live stream on this machine, and print."""
    with_browser = chromium.BINARY is not None if browser is None else browser
    plan = Plan(parse_size(size), seconds, swaps, style, bundle, with_browser)
    report: dict[str, Any] = {"schema": SCHEMA, "machine": describe_machine(), "versions": versions()}
    manifest = Stylizer(style, bundle=bundle).bundle.manifest
    report["settings"] = {
        "size": size,
        "seconds": seconds,
        "swaps": swaps,
        "style": style or "default",
        "bundle": f"{manifest.name} {manifest.version}",
    }
    result = asyncio.run(measure(plan))
    table.note("picture quality")
    qualities = quality(plan)
    report |= as_json(result, qualities)
    report["machine"]["load_average_after"] = describe_machine()["load_average"]
    if json_file != "-":
        table.heading(report)
        show(result, qualities)
        loads = (report["machine"]["load_average"], report["machine"]["load_average_after"])
        table.OUT.print(f"Load average of this machine: {loads[0]} before, {loads[1]} after.")
    write_json(report, json_file)


if __name__ == "__main__":
    table.run(main)
