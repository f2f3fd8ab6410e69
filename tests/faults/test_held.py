"""What has ended is gone at once: decoders, encoders and nets of megabytes do not wait for the garbage collector.

It comes rarely in a steady stream, and does not know how much memory outside Python hangs on an object.
"""

import gc
import itertools
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import pytest
from av.container import Container

from allaprima.realtime import machine
from allaprima.realtime.backends.cpu import CpuBackend, CpuNet, Picture
from allaprima.realtime.errors import BackendError, SinkError, SourceError, SourceLost
from allaprima.realtime.failsafe import FailSafe
from allaprima.realtime.frame import Color, Frame, StreamInfo
from allaprima.realtime.live.stream import Stream
from allaprima.realtime.pipeline import run
from allaprima.realtime.sinks import open_sink
from allaprima.realtime.sources import open_source, reconnect
from allaprima.realtime.stylizer import Stylizer

HEAVY = (
    av.CodecContext, Container, av.VideoFrame, av.Packet, CpuBackend, CpuNet, Picture, Frame, Stylizer,
)  # fmt: skip
"""What memory outside Python hangs on."""
INFO = StreamInfo("camera", (96, 64), Fraction(1, 90_000), Fraction(30), True, Color())
TIMES = 15
MEGABYTES = 12
"""More than `TIMES` of an event may leave: a decoder or an engine that stayed would be more than one, each time."""

Event = Callable[[], object]


@pytest.fixture
def alone() -> Iterator[None]:
    """Nobody collects meanwhile."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def held() -> Counter[str]:
    # By type: asking an object for its class wakes lazy ones of other packages.
    return Counter(type(each).__name__ for each in gc.get_objects() if issubclass(type(each), HEAVY))


def leaves_nothing(event: Event) -> None:
    """The first time may fill caches."""
    event()
    gc.collect()
    before = held()
    event()
    assert held() - before == Counter()


def end(source: Any, error: Exception | None = None) -> None:
    source.__exit__(type(error) if error else None, error, None)


# ---- sources ----


class Breaking:
    """A source whose line breaks after five frames."""

    def __init__(self, path: Path) -> None:
        self._source = open_source(str(path))
        self.info = replace(self._source.info, live=True)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def __exit__(self, *error: Any) -> None:
        self._source.__exit__(*error)

    def __iter__(self) -> Iterator[Frame]:
        yield from itertools.islice(self._source, 5)
        raise SourceLost("the line broke")


def half_read(path: Path) -> None:
    with open_source(str(path)) as source:
        next(iter(source))


def test_a_source_that_was_not_read_to_its_end(alone: None, clip: Any) -> None:
    leaves_nothing(lambda: half_read(clip()))


def test_a_source_that_cannot_be_opened(alone: None, tmp_path: Path) -> None:
    (tmp_path / "noise.mp4").write_bytes(bytes(range(256)) * 9)

    def attempt() -> None:
        with pytest.raises(SourceError):
            open_source(str(tmp_path / "noise.mp4"))

    attempt()
    gc.collect()
    attempt()
    assert gc.collect() == 0, "an error kept its own traceback, and that all frames of the stack"


def test_a_source_that_was_lost_and_came_back(alone: None, clip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconnect, "FIRST_PAUSE", 0.01)
    before = held()
    source: Any = reconnect.Reconnecting(Breaking(clip()), lambda request: Breaking(clip()), 60.0)
    decoders = set()
    for _ in source:
        decoders.add((held() - before)["VideoCodecContext"])
        if source.returns == 3:
            break
    end(source)
    assert decoders == {1}


# ---- sinks ----


def test_a_receiver_that_was_lost(alone: None, tiny: ModuleType) -> None:
    def lose() -> None:
        sink: Any = open_sink("tcp://127.0.0.1:9", INFO)
        sink.__enter__()
        sink.write(replace(tiny.frame(), time_base=INFO.time_base))
        end(sink, SinkError("lost"))

    leaves_nothing(lose)


def test_a_file_with_sound_that_has_to_be_encoded_again(
    alone: None, clip: Any, tiny_bundle: Path, tmp_path: Path
) -> None:
    numbers = iter(range(9))

    def paint() -> None:
        source = open_source(str(clip(frames=10)))
        stylizer = Stylizer(bundle=tiny_bundle)
        done = run(source, stylizer, [open_sink(str(tmp_path / f"{next(numbers)}.webm"), source.info)])
        assert any("re-encoded" in note for note in done.notes)

    leaves_nothing(paint)


# ---- the engine ----


def test_an_engine_that_failed(alone: None, tiny: ModuleType, tiny_bundle: Path) -> None:
    """Its nets go when the next engine is there."""
    failing = [False]

    class Failing(Stylizer):
        def finish(self, rendered: Any) -> Frame:
            if failing[0]:
                raise BackendError("no memory")
            return super().finish(rendered)

    clock = [1000.0]
    safe = FailSafe(Failing(bundle=tiny_bundle), clock=lambda: clock[0])

    def fail() -> None:
        safe(tiny.frame(seed=1))
        failing[0] = True
        safe(tiny.frame(seed=2))
        assert "no memory" in safe.problem
        failing[0] = False
        clock[0] += 100.0
        until = time.monotonic() + 20
        while safe.problem and time.monotonic() < until:
            safe(tiny.frame(seed=3))
        assert not safe.problem

    fail()
    _threads_end()
    leaves_nothing(lambda: (fail(), _threads_end()))
    safe.close()


def _threads_end() -> None:
    """All painters but the one at work."""
    until = time.monotonic() + 5
    while sum(t.name.startswith("painter") for t in threading.enumerate()) > 1 and time.monotonic() < until:
        time.sleep(0.01)


def another_stream(tiny: ModuleType, bundle: Path) -> Stream:
    stream, there = Stream("guest", bundle=bundle), threading.Event()
    stream.subscribe(there.set)
    for size in ((96, 64), (64, 48)):
        stream.put(replace(tiny.frame(size=size), captured=time.monotonic()))
        assert there.wait(20)
        there.clear()
    stream.close()
    return stream


def test_a_stream_that_was_closed(alone: None, tiny: ModuleType, tiny_bundle: Path) -> None:
    leaves_nothing(lambda: another_stream(tiny, tiny_bundle))
    before = held()
    known = another_stream(tiny, tiny_bundle)
    assert not {"CpuNet", "Picture"} & set(held() - before), f"of {known.name}, which somebody still knows"


# ---- all memory, whoever holds it ----


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux says what a process holds")
@pytest.mark.parametrize("what", ["sizes", "streams", "sources"])
def test_what_happens_again_and_again_takes_no_memory(
    what: str, tiny: ModuleType, tiny_bundle: Path, clip: Any
) -> None:
    stylizer = Stylizer(bundle=tiny_bundle)
    large = [tiny.frame(size=size) for size in ((320, 180), (240, 136))]
    events: dict[str, Event] = {
        "sizes": lambda: [stylizer(frame) for frame in large],
        "streams": lambda: another_stream(tiny, tiny_bundle),
        "sources": lambda: half_read(clip("large.mp4", size=(640, 360), frames=10, make=None)),
    }
    for _ in range(TIMES // 2):
        events[what]()
    before = machine.resident()
    for _ in range(TIMES):
        events[what]()
    after = machine.resident()
    assert before is not None
    assert after is not None
    assert after - before < MEGABYTES << 20
