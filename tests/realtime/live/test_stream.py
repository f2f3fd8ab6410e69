"""One live stream: newest frame wins, changes on the next frame, errors let the input through."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from allaprima.realtime import failsafe
from allaprima.realtime.backends.cpu import CpuNet
from allaprima.realtime.errors import BackendError, ConfigError, UnknownStyle
from allaprima.realtime.frame import Frame
from allaprima.realtime.live.control import Change
from allaprima.realtime.live.stream import MOST_CUES, Stream
from allaprima.realtime.live.view import View
from allaprima.realtime.stylizer import Stylizer

PLAIN, BRIGHT, DARK = 100, 127, 73
"""What the tiny bundle's styles make of a luma of 100 at full strength."""

Make = Callable[..., Stream]


@pytest.fixture
def make(tiny_bundle: Path, exact: None, no_thread_left: None) -> Iterator[Make]:
    streams: list[Stream] = []

    def open_stream(name: str = "a", **more: Any) -> Stream:
        streams.append(Stream(name, bundle=tiny_bundle, transition=0, **more))
        return streams[-1]

    yield open_stream
    for stream in streams:
        stream.close()


class Watch:
    """Sees each painted frame."""

    def __init__(self, stream: Stream) -> None:
        self.came = threading.Event()
        self.view: View = stream.subscribe(self.came.set)

    def frame(self, timeout: float = 10) -> Frame:
        assert self.came.wait(timeout), "nothing was painted"
        self.came.clear()
        frame = self.view.get()
        assert frame is not None
        return frame


def luma(frame: Frame) -> int:
    (value,) = np.unique(frame.planes[0])
    return int(value)


def painted(stream: Stream, watch: Watch, frame: Frame) -> int:
    stream.put(frame)
    return luma(watch.frame())


def test_a_frame_is_painted_and_keeps_its_times(make: Make, tiny: ModuleType) -> None:
    stream = make(style="bright")
    watch = Watch(stream)
    stream.put(tiny.flat(100, index=7, captured=12.5))
    frame = watch.frame()
    assert (luma(frame), frame.index, frame.captured) == (BRIGHT, 7, 12.5)
    assert watch.view.get() is None, "each frame is given once"


def test_a_change_counts_from_the_next_frame_on(make: Make, tiny: ModuleType) -> None:
    stream = make()
    watch = Watch(stream)
    assert painted(stream, watch, tiny.flat(100)) == PLAIN
    state = stream.apply(Change(style="dark"))
    assert painted(stream, watch, tiny.flat(100)) == DARK
    assert (state.style, state.mix, state.revision) == ("dark", {"dark": 1.0}, 1)
    stream.apply(Change(mix={"bright": 3, "dark": 1}, strength=1.0))
    assert painted(stream, watch, tiny.flat(100)) == 114
    assert stream.apply(Change(strength=0.0)).strength == 0
    assert painted(stream, watch, tiny.flat(100)) == 100
    stream.apply(Change(bypass=True))
    frame = tiny.flat(100)
    stream.put(frame)
    assert watch.frame().planes[0] is frame.planes[0]


def test_a_cross_fade_has_as_many_frames_as_its_time_at_the_rate(make: Make, tiny: ModuleType) -> None:
    stream = make(style="dark")
    watch = Watch(stream)
    stream.apply(Change(style="bright", transition=0.1))  # 3 frames at the assumed 30 a second
    lumas = [painted(stream, watch, tiny.flat(100)) for _ in range(4)]
    assert lumas == sorted(lumas)
    assert DARK < lumas[0] < lumas[1] < BRIGHT
    assert lumas[2:] == [BRIGHT, BRIGHT]
    assert stream.state.transition == 0.1


def test_a_change_that_cannot_be_changes_nothing(make: Make) -> None:
    stream = make()
    before = stream.state
    for change in (
        Change(style="nobody", strength=0.5, transition=3, bypass=True),
        Change(cue="nobody:2s", strength=0.5),
        Change(mix={"plain": 1, "nobody": 1}, steadiness=0.9),
    ):
        with pytest.raises(UnknownStyle):
            stream.apply(change)
    with pytest.raises(ConfigError):
        stream.apply(Change(cue="00:00:00", strength=0.5))
    assert stream.state == before
    assert stream.apply(Change()) == before, "nothing was asked for"


def test_two_threads_that_change_at_once_agree_on_the_revision(make: Make) -> None:
    stream = make()
    heard: list[int] = []
    stop = stream.watch(lambda state: heard.append(state.revision))

    def turn() -> None:
        for step in range(50):
            stream.apply(Change(strength=step / 50))

    threads = [threading.Thread(target=turn) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stream.state.revision == 100
    assert sorted(heard) == list(range(1, 101))
    stop()
    stream.apply(Change(strength=1.0))
    assert len(heard) == 100


def test_cues_wait_for_their_time_and_then_play_with_their_own_fade(make: Make, tiny: ModuleType) -> None:
    stream = make()
    watch = Watch(stream)
    state = stream.apply(Change(cue="00:00:00.2=bright:0s"))
    assert state.cue == "00:00:00.2=bright:0s"
    assert painted(stream, watch, tiny.flat(100)) == PLAIN
    time.sleep(0.25)
    assert painted(stream, watch, tiny.flat(100)) == BRIGHT
    assert (stream.state.cue, stream.state.style) == (None, "bright")
    for _ in range(MOST_CUES):
        stream.apply(Change(cue="60=dark"))
    with pytest.raises(ConfigError, match="cues wait already"):
        stream.apply(Change(cue="60=dark"))
    assert stream.apply(Change(cue="")).cue is None


def test_what_comes_too_fast_is_dropped_and_counted_and_nothing_piles_up(make: Make, tiny: ModuleType) -> None:
    stream = make()
    watch = Watch(stream)
    painted(stream, watch, tiny.flat(100, size=(320, 192)))
    for index in range(200):
        stream.put(tiny.flat(100, size=(320, 192), index=index))
    seen = watch.frame().index
    while seen != 199:
        seen = watch.frame().index
    stats = stream.stats()
    assert stats.frames_in == 201
    assert stats.dropped == 201 - stats.frames_painted > 0
    assert (stats.size, stats.viewers, stats.problem) == ((320, 192), 1, "")


def test_size_and_rate_may_change_with_every_frame(make: Make, tiny: ModuleType) -> None:
    stream = make(style="bright")
    watch = Watch(stream)
    for size in ((96, 64), (64, 96), (97, 65), (16, 16), (2, 2), (640, 360), (96, 64)):
        stream.put(tiny.flat(100, size=size))
        frame = watch.frame()
        assert (frame.size, luma(frame)) == (size, BRIGHT)


def slow_down(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    paint = CpuNet.paint

    def slowly(net: CpuNet, *args: Any) -> Any:
        time.sleep(seconds)
        return paint(net, *args)

    monkeypatch.setattr(CpuNet, "paint", slowly)


def feed(stream: Stream, frame: Frame, rate: int, seconds: float) -> None:
    """Frames by the clock, as a camera has them."""
    began = time.monotonic()
    for index in range(round(rate * seconds)):
        time.sleep(max(0.0, began + index / rate - time.monotonic()))
        stream.put(replace(frame, index=index, captured=time.monotonic()))


def test_a_stream_whose_net_is_too_slow_holds_its_rate_by_less_effort(
    make: Make, tiny: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = make(style="bright")
    watch = Watch(stream)
    painted(stream, watch, tiny.flat(100))
    assert (stream.stats().effort, stream.stats().effort_reason) == (0, "")
    slow_down(monkeypatch, 0.08)
    feed(stream, tiny.frame((96, 64)), 25, 4)
    stats = stream.stats()
    assert stats.effort > 0
    assert stats.steps > 0
    assert stats.effort_name
    assert "ms" in stats.effort_reason
    assert stats.fps_painted > 14, "without a governor 12 at the most"


def test_a_stream_that_is_not_governed_gives_all_it_has(
    make: Make, tiny: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = make(style="bright", governed=False)
    slow_down(monkeypatch, 0.05)
    feed(stream, tiny.flat(100), 60, 0.8)
    assert (stream.stats().effort, stream.stats().steps) == (0, 0)


def test_a_frame_that_is_too_old_is_dropped_before_it_is_painted(make: Make, tiny: ModuleType) -> None:
    stream = make(style="bright", max_latency=0.5)
    watch = Watch(stream)
    stream.put(tiny.flat(100, index=1, captured=time.monotonic() - 1))
    time.sleep(0.1)
    stream.put(tiny.flat(100, index=2, captured=time.monotonic()))
    assert watch.frame().index == 2
    assert (stream.stats().frames_painted, stream.stats().dropped) == (1, 1)
    with pytest.raises(ConfigError, match="latency"):
        make(max_latency=0)


def test_of_what_comes_too_fast_for_the_stream_only_its_share_is_taken(make: Make, tiny: ModuleType) -> None:
    stream = make(style="bright", fps=10)
    watch = Watch(stream)
    shown = []
    for index in range(12):  # 30 frames a second of the source's time
        stream.put(replace(tiny.flat(100, index=index), pts=index, time_base=Fraction(1, 30)))
        if index % 3 == 0:
            shown.append(watch.frame().index)
    assert shown == [0, 3, 6, 9]
    assert (stream.stats().frames_in, stream.stats().dropped) == (4, 0)


class Broken:
    """An engine that fails for so many frames."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
        self.left = times
        paint = Stylizer.render

        def call(stylizer: Any, seen: Any) -> Any:
            if self.left:
                self.left -= 1
                raise BackendError("the device is on fire")
            return paint(stylizer, seen)

        monkeypatch.setattr(Stylizer, "render", call)


def test_an_error_lets_that_very_frame_through_and_painting_comes_back(
    make: Make, tiny: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failsafe, "FIRST_PAUSE", 0.2)
    stream = make(style="bright")
    watch = Watch(stream)
    assert painted(stream, watch, tiny.flat(100)) == BRIGHT
    Broken(monkeypatch, 1)
    assert painted(stream, watch, tiny.flat(100)) == 100
    assert stream.stats().problem == "BackendError: the device is on fire"
    assert painted(stream, watch, tiny.flat(100)) == 100, "it pauses"
    stream.apply(Change(style="dark"))
    time.sleep(0.25)
    assert painted(stream, watch, tiny.flat(100)) == DARK, "with what was set meanwhile"
    assert stream.stats().problem == ""


def test_errors_one_after_another_make_longer_and_longer_pauses(
    make: Make, tiny: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failsafe, "FIRST_PAUSE", 0.02)
    stream = make()
    watch = Watch(stream)
    broken = Broken(monkeypatch, 1000)
    until = time.monotonic() + 1
    while time.monotonic() < until:
        painted(stream, watch, tiny.flat(100))
    assert 4 <= 1000 - broken.left <= 7, "after 20, 60, 140, 300, 620, ... ms"


def test_figures_tell_rates_delay_bits_and_stages(make: Make, tiny: ModuleType) -> None:
    stream = make()
    assert stream.stats().latency_ms is None
    assert stream.delay == 0
    watch = Watch(stream)
    for index in range(10):
        stream.put(tiny.flat(100, index=index, captured=time.monotonic() - 0.1))
        frame = watch.frame()
        for _viewer in range(2):
            stream.sent(frame.captured, 1000)
    stats = stream.stats()
    assert stats.latency_ms is not None
    assert 100 <= stats.latency_ms.p50 <= stats.latency_ms.p95 < 1000
    assert 0.1 <= stream.delay < 1
    assert (stats.frames_in, stats.frames_painted, stats.frames_sent) == (10, 10, 10)
    assert stats.bitrate_kbps == pytest.approx(8 * stats.fps_sent, rel=0.2)
    assert {"upload", "net", "finish"} <= set(stats.stages_ms)


def test_after_its_end_it_is_silent(make: Make, tiny: ModuleType) -> None:
    stream = make()
    watch = Watch(stream)
    stream.close()
    assert watch.view.closed
    assert watch.came.is_set(), "who waits is told"
    stream.put(tiny.flat(100))
    assert watch.view.get() is None
    assert stream.subscribe(lambda: None).closed
    with pytest.raises(ConfigError, match="ended"):
        stream.apply(Change(strength=0.5))
    stream.close()


def test_two_streams_share_nothing_but_the_bundle(make: Make, tiny: ModuleType) -> None:
    one, other = make("one", style="bright"), make("other", style="dark")
    first, second = Watch(one), Watch(other)
    for _ in range(20):
        one.put(tiny.flat(100))
        other.put(tiny.flat(100))
        assert (luma(first.frame()), luma(second.frame())) == (BRIGHT, DARK)
    one.apply(Change(bypass=True))
    assert not other.state.bypass


def test_settings_that_cannot_be_are_refused_at_the_start(tiny_bundle: Path, no_thread_left: None) -> None:
    with pytest.raises(UnknownStyle):
        Stream("a", bundle=tiny_bundle, style="nobody")
    with pytest.raises(ConfigError):
        Stream("a", bundle=tiny_bundle, transition=-1)
    with pytest.raises(ConfigError):
        Stream("a", bundle=tiny_bundle, strength=2)
