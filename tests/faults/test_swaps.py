"""A thousand swaps in one run: no frame dropped, none painted in any style but the one that was set."""

import gc
import os
import random
import threading
import weakref
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from allaprima.realtime.frame import Frame, StreamInfo
from allaprima.realtime.live.control import Change
from allaprima.realtime.live.stream import Stream
from allaprima.realtime.pipeline import run
from allaprima.realtime.stylizer import Stylizer

SWAPS = 1000
STEADY_SWAPS = SWAPS if os.environ.get("FAULTS_LONG") == "1" else 200
"""With motion and history; they take four times as long."""
PATIENCE = 20
STYLES = ("plain", "bright", "dark", "blue")


class Stage:
    """A live source that swaps the style before each frame, and hands it out once the one before was written."""

    lost = 0

    def __init__(self, frames: list[Frame], order: list[str], stylizer: Stylizer) -> None:
        self.info = StreamInfo("stage", frames[0].size, Fraction(1, 25), Fraction(25), True, frames[0].color)
        self.notes: list[str] = []
        self.written = threading.Semaphore(1)
        self._frames, self._order, self._stylizer = frames, order, stylizer

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Iterator[Frame]:
        for index, style in enumerate(self._order):
            assert self.written.acquire(timeout=PATIENCE)
            self._stylizer.set_style(style)
            yield replace(self._frames[index % len(self._frames)], index=index, pts=index)

    def stop(self) -> None:
        self.written.release()


class Tape:
    def __init__(self, written: threading.Semaphore) -> None:
        self.notes: list[str] = []
        self.frames: list[Frame] = []
        self._written = written

    def __enter__(self) -> "Tape":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def write(self, frame: Frame) -> None:
        self.frames.append(frame)
        self._written.release()


@pytest.fixture
def order() -> list[str]:
    """A style for each frame, never the one before."""
    numbers, order = random.Random(7), ["plain"]
    while len(order) <= SWAPS:
        order.append(numbers.choice([style for style in STYLES if style != order[-1]]))
    return order


@pytest.fixture
def pictures(tiny: ModuleType) -> list[Frame]:
    return [tiny.frame(seed=seed) for seed in range(3)]


@pytest.fixture
def wanted(pictures: list[Frame], tiny_bundle: Path, exact: None) -> dict[str, list[Frame]]:
    """Each picture in each style, painted alone."""
    return {style: [Stylizer(style, bundle=tiny_bundle)(picture) for picture in pictures] for style in STYLES}


def check(frames: list[Frame], order: list[str], wanted: dict[str, list[Frame]], tiny: ModuleType) -> None:
    assert len(frames) == len(order)
    late = [
        index
        for index, (frame, style) in enumerate(zip(frames, order, strict=True))
        if tiny.difference(frame, wanted[style][index % len(wanted[style])])
    ]
    assert late == []


def test_a_thousand_swaps_through_the_pipeline(
    order: list[str], pictures: Any, wanted: Any, tiny_bundle: Path, tiny: ModuleType, no_thread_left: None
) -> None:
    paint(0.0, order, pictures, wanted, tiny_bundle, tiny)


def test_swaps_show_nothing_of_the_old_style(
    order: list[str], pictures: Any, wanted: Any, tiny_bundle: Path, tiny: ModuleType, no_thread_left: None
) -> None:
    """With a history that can be trusted everywhere: the picture stands still."""
    still = {style: frames[:1] for style, frames in wanted.items()}
    paint(0.85, order[: STEADY_SWAPS + 1], pictures[:1], still, tiny_bundle, tiny)


def paint(
    steadiness: float, order: list[str], pictures: list[Frame], wanted: dict[str, list[Frame]], bundle: Path, tiny: Any
) -> None:
    stylizer = Stylizer("blue", bundle=bundle, steadiness=steadiness)
    stage = Stage(pictures, order, stylizer)
    tape = Tape(stage.written)
    progress = run(stage, stylizer, [tape])
    check(tape.frames, order, wanted, tiny)
    assert [frame.index for frame in tape.frames] == list(range(len(order)))
    assert (progress.dropped_in, progress.dropped_out, progress.passed, progress.failures) == (0, 0, 0, 0)
    assert progress.painted == len(order)


def test_a_thousand_swaps_of_a_live_stream(
    order: list[str], pictures: Any, wanted: Any, tiny_bundle: Path, tiny: ModuleType, no_thread_left: None
) -> None:
    stream = Stream("a", style="blue", bundle=tiny_bundle, transition=0.0, governed=False)
    try:
        there = threading.Event()
        view, frames = stream.subscribe(there.set), []
        for index, style in enumerate(order):
            stream.apply(Change(style=style))
            stream.put(replace(pictures[index % len(pictures)], index=index, pts=index))
            assert there.wait(PATIENCE)
            there.clear()
            frames.append(view.get())
    finally:
        stream.close()
    stats = stream.stats()
    check(frames, order, wanted, tiny)
    assert (stats.dropped, stats.frames_in, stats.frames_painted) == (0, SWAPS + 1, SWAPS + 1)
    assert stats.problem == ""


def test_a_stream_that_has_ended_gives_its_memory_back_at_once(tiny: ModuleType, tiny_bundle: Path) -> None:
    """Not when the collector of circles comes by: a server opens and closes streams all day."""
    stylizer = Stylizer(bundle=tiny_bundle, steadiness=0.85)
    for index in range(3):
        stylizer(tiny.frame(index=index))
    assert stylizer._device is not None
    backend: weakref.ref[Any] = weakref.ref(stylizer._device.backend)
    gc.disable()
    try:
        del stylizer
        assert backend() is None
    finally:
        gc.enable()
