"""A long live run under everything that happens to one: is memory flat, and are swaps free?

    python -m allaprima.bench.soak [--minutes 30] [--size 640x360] [--rate N] [--bundle FOLDER] [--json FILE]

A made-up camera is painted into nothing and over TCP to this machine.  Windows without and with a swap of the style
ten times a second take turns, and are timed.  Between them come mixes, fades, other strengths, bypass, a camera that
is lost and comes back at another size and rate, a receiver that goes away, and a second stream that opens and closes.
"""

import contextlib
import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Annotated

import typer

from allaprima.bench import table
from allaprima.bench.outside import Camera, Receiver, scenes
from allaprima.bench.results import OtherLoad, describe_machine, versions, write_json
from allaprima.bench.soaked import CROWDED, MEMORY_BAR, Sample, Soaked, Windows, look
from allaprima.realtime.backends import FULL
from allaprima.realtime.config import parse_size
from allaprima.realtime.frame import Frame
from allaprima.realtime.ladder import Ladder
from allaprima.realtime.live.control import Change
from allaprima.realtime.live.stream import Stream
from allaprima.realtime.pacing import on_grid
from allaprima.realtime.pipeline import Manner, Progress, run
from allaprima.realtime.sinks import open_sink
from allaprima.realtime.sinks.null import NullSink
from allaprima.realtime.sinks.reconnect import Reconnecting as LastingSink
from allaprima.realtime.sources.reconnect import Reconnecting as LastingSource
from allaprima.realtime.sources.request import Request
from allaprima.realtime.stylizer import Stylizer

SCHEMA = "allaprima-bench-soak/1"
WINDOWS = ("steady", "swaps") * 5 + ("rough", "settling")
"""One round; the last two are not timed."""
SWAP_SECONDS = 0.1
SHARE = 0.5
"""Of the frames that the machine could paint, this many come."""
MOST_FPS = 30.0
PATIENCE = 60.0
GUEST_SECONDS = 5.0
"""That a picture of another stream may take."""


@dataclass(frozen=True, slots=True)
class Plan:
    seconds: float
    size: tuple[int, int] = (640, 360)
    rate: float | None = None
    """Frames a second; None: half of what the machine can paint."""
    bundle: Path | None = None
    window: float = 5.0
    """Seconds."""
    every: float = 10.0
    """Seconds from sample to sample."""


class Conductor(threading.Thread):
    """Makes everything happen that happens, in a thread of its own."""

    def __init__(self, plan: Plan, stylizer: Stylizer, scenes: Sequence[Sequence[Frame]], rate: float) -> None:
        super().__init__(name="conductor", daemon=True)
        self.windows = Windows(lambda: stylizer.effort == FULL)
        self.samples: list[Sample] = []
        self.guests = 0
        self.stop = threading.Event()
        self.receiver = Receiver()
        self.progress: Progress | None = None
        self.camera = Camera(scenes[0], rate)
        self._plan, self._stylizer, self._scenes, self._rate = plan, stylizer, scenes, rate
        self._numbers = random.Random(1)
        self._styles = stylizer.bank.names()
        self._returns = 0
        self._sampled = 0.0

    def open_again(self, request: Request) -> Camera:
        """The camera after it was lost: of another size, and of another rate."""
        self._returns += 1
        scene = self._scenes[self._returns % len(self._scenes)]
        self.camera = Camera(scene, self._rate * (1.0, 0.6, 0.8)[self._returns % 3])
        return self.camera

    def run(self) -> None:
        began = time.monotonic()
        self._sampled, dropped = began, 0
        for number, kind in enumerate(itertools.cycle(WINDOWS)):
            if kind == "settling":
                self._calm()
            self.windows.kind, self.windows.since = kind, time.perf_counter()
            acts = iter(self._rough(number // len(WINDOWS))) if kind == "rough" else iter(())
            with OtherLoad() as other:
                self._window(began, acts)
            if self.progress is not None:
                now_dropped = self.progress.dropped_in + self.progress.dropped_out
                self.windows.end(now_dropped - dropped, other.cores)
                dropped = now_dropped
            if self.stop.is_set():
                return

    def _window(self, began: float, acts: Iterator[Callable[[], None]]) -> None:
        end = time.monotonic() + self._plan.window
        while (now := time.monotonic()) < end and not self.stop.is_set():
            if now - began >= self._plan.seconds:
                self.stop.set()
            if now >= self._sampled:
                self._sampled += self._plan.every
                self.samples.append(look(began, self._stylizer.flicker.now))
            if self.windows.kind == "swaps":
                self._stylizer.set_style(self._other())
                self.windows.swaps += 1
            else:
                next(acts, lambda: None)()
            self.stop.wait(SWAP_SECONDS)

    def _other(self) -> str:
        now = str(self._stylizer.style)
        return self._numbers.choice([style for style in self._styles if style != now] or self._styles)

    def _rough(self, turn: int) -> list[Callable[[], None]]:
        """What a rough window is made of, one after the other."""
        stylizer, numbers = self._stylizer, self._numbers

        def mix() -> None:
            stylizer.set_style(f"{self._other()}:0.{numbers.randint(2, 8)},{self._other()}:0.5", numbers.randint(0, 12))

        def bypass(on: bool) -> Callable[[], None]:
            return lambda: setattr(stylizer, "bypass", on)

        def strength() -> None:
            stylizer.strength = numbers.choice((0.0, 0.2, 0.7, 1.0))
            stylizer.steadiness = numbers.choice((0.0, 0.5, 0.85))

        acts: list[Callable[[], None]] = [mix, strength, mix, bypass(True), strength, bypass(False), mix]
        once = (self._guest, lambda: self.camera.unplug(), self.receiver.drop)
        return [*acts, once[turn % len(once)]]

    def _calm(self) -> None:
        """The next round begins with the settings of the first."""
        self._stylizer.bypass = False
        self._stylizer.strength, self._stylizer.steadiness = 1.0, 0.85
        self._stylizer.set_style(self._styles[0])

    def _guest(self) -> None:
        """A second stream opens, paints pictures of two sizes, and is closed."""
        stream = Stream(f"guest {self.guests}", bundle=self._stylizer.bundle)
        try:
            there = threading.Event()
            stream.subscribe(there.set)
            for scene in self._scenes[1:]:
                for frame in scene[:3]:
                    stream.apply(Change(style=self._other(), transition=0.0))
                    stream.put(replace(frame, captured=time.monotonic()))
                    there.wait(GUEST_SECONDS)
                    there.clear()
        finally:
            stream.close()
        self.guests += 1


def affordable(stylizer: Stylizer, frames: Sequence[Frame]) -> float:
    """Frames a second that leave the machine half its time."""
    times = []
    for frame in frames[:12]:
        began = time.perf_counter()
        stylizer(frame)
        times.append(time.perf_counter() - began)
    return min(MOST_FPS, SHARE / median(times[2:]))


def soak(plan: Plan, note: Callable[[str], None] = table.note) -> Soaked:
    """Run it."""
    look(0.0)
    shown = scenes(plan.size)
    stylizer = Stylizer(bundle=plan.bundle, steadiness=0.85, strength=1.0)
    rate = plan.rate or affordable(stylizer, shown[0])
    note(f"{plan.size[0]}x{plan.size[1]} at {rate:.1f} frames a second for {plan.seconds / 60:.1f} minutes")
    conductor = Conductor(plan, stylizer, shown, rate)
    stylizer.stages.watch = conductor.windows
    source = LastingSource(conductor.camera, conductor.open_again, PATIENCE, Request(plan.size))
    info = on_grid(source.info, source.info.rate or Fraction(30))
    network = LastingSink(lambda: open_sink(conductor.receiver.uri, info), PATIENCE)
    manner = Manner(live=True, cadence=info.rate, ladder=Ladder())

    def follow(progress: Progress) -> None:
        conductor.progress = progress

    with OtherLoad() as other, contextlib.closing(conductor.receiver):
        conductor.start()
        try:
            progress = run(source, stylizer, [NullSink(), network], stop=conductor.stop, on_frame=follow, manner=manner)
        finally:
            conductor.stop.set()
            conductor.join()
    held = conductor.windows, conductor.samples, conductor.receiver.connections, conductor.guests
    return Soaked(plan.seconds, rate, progress, *held, other.cores)


# ---- the command ----


def show(soaked: Soaked) -> None:
    first, last = soaked.settled[0], soaked.settled[-1]
    rows = []
    for name, what in (("memory, MB", "megabytes"), ("threads", "threads"), ("open files", "files")):
        per_hour = soaked.per_hour(what)
        flat = per_hour < MEMORY_BAR if what == "megabytes" else soaked.grown(what) <= 0
        values = (f"{getattr(first, what):.0f}", f"{getattr(last, what):.0f}", f"{per_hour:+.1f}")
        rows.append((name, *values, "flat" if flat else "GROWING"))
    table.plain("held by the process, after the warm-up", ("", "first", "last", "an hour", ""), rows)
    found = soaked.as_json()
    rows = []
    for kind, each in found["frame_ms"].items():
        dropped = soaked.windows.dropped.get(kind, 0)
        rows.append((kind, str(each["frames"]), f"{each['p50'] or 0:.1f}", f"{each['p99'] or 0:.1f}", str(dropped)))
    table.plain("a frame in the engine", ("windows", "frames", "p50 ms", "p99 ms", "dropped"), rows)
    windows = soaked.windows
    if windows.calm and windows.crowded:
        table.OUT.print(
            f"In {windows.crowded} of {windows.calm + windows.crowded} timed windows other programs took more than "
            f"{CROWDED:.0%} of the cores: the "
            f"{windows.dropped_timed - windows.dropped_calm} frames dropped in them are not judged."
        )
    rows = [(bar.what, f"{bar.measured:.2f}", str(bar)) for bar in soaked.bars]
    table.plain("", ("", "measured", "bar"), rows)
    table.OUT.print(
        f"{found['frames']} frames, {found['swaps']} swaps, source back {found['returns']['source']} times, "
        f"receiver back {found['returns']['sink']} times, {found['guests']} other streams, "
        f"{found['failures']} failures, {found['steps_of_the_governor']} steps of the governor"
    )
    table.warn_of_load(soaked.other_load)


def main(
    minutes: Annotated[float, typer.Option(min=0.05, help="How long.")] = 30.0,
    size: Annotated[str, typer.Option(metavar="WxH", help="Of the camera.")] = "640x360",
    rate: Annotated[
        float | None, typer.Option(min=1, max=240, help="Frames a second. Not set: half of what the machine can.")
    ] = None,
    bundle: Annotated[Path | None, typer.Option(help="Folder of the model bundle.")] = None,
    as_json: Annotated[str | None, typer.Option("--json", metavar="FILE", help="- is stdout.")] = None,
) -> None:
    """Paint live for a long time under everything that happens, and look for what grows."""
    soaked = soak(Plan(60 * minutes, parse_size(size), rate, bundle))
    report = {
        "schema": SCHEMA,
        "machine": describe_machine(),
        "versions": versions(),
        "settings": {"minutes": minutes, "size": size, "rate": round(soaked.rate, 2)},
        **soaked.as_json(),
    }
    if as_json != "-":
        table.heading(report)
        show(soaked)
    write_json(report, as_json)


if __name__ == "__main__":
    table.run(main)
