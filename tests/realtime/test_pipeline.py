"""The pipeline, between a source, an engine and sinks made for the test."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from allaprima.realtime import failsafe, outlets
from allaprima.realtime.errors import BackendError, SinkError, SourceError, SourceLost, UnknownStyle
from allaprima.realtime.frame import Frame, StreamInfo
from allaprima.realtime.metrics import Flicker, Stages
from allaprima.realtime.outlets import FILE_QUEUE, LIVE_OUTBOX
from allaprima.realtime.painting import FINISH_QUEUE
from allaprima.realtime.pipeline import WARM_UP, Cue, Manner, Progress, run
from allaprima.realtime.sinks import reconnect
from allaprima.realtime.stylizer import Rendered, Seen, Stylizer

pytestmark = pytest.mark.usefixtures("no_thread_left")

SOON = 5.0
ENDLESS = 10**6
"""Frames of a film that only something else can end; they come a thousand a second."""
TICK = Fraction(1, 25)
PIXEL = (np.zeros((2, 2), np.uint8), np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.uint8))


class Film:
    """A source of ``count`` frames; each carries its index as a packet of sound."""

    def __init__(
        self,
        count: int,
        *,
        live: bool = False,
        error: BaseException | None = None,
        before: Callable[[int], None] = lambda index: None,
    ) -> None:
        self.info = StreamInfo("film", (2, 2), TICK, Fraction(25), live, frames=count)
        self.lost = 0
        self.notes = ["a note of the source"]
        self.ended = threading.Event()
        self.given = 0
        self.closed = False
        self._error, self._before = error, before
        self._stopped = False

    def __enter__(self) -> "Film":
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    def __iter__(self) -> Iterator[Frame]:
        try:
            for index in range(self.info.frames or 0):
                if self._stopped:
                    return
                self._before(index)
                self.given += 1
                if self.info.frames == ENDLESS:
                    threading.Event().wait(0.001)
                yield self.frame(index)
            if self._error is not None:
                raise self._error
        finally:
            self.ended.set()

    def frame(self, index: int) -> Frame:
        packet: Any = f"sound {index}"
        return Frame(PIXEL, (2, 2), 100 + index, TICK, index, side=(packet,))

    def stop(self) -> None:
        self._stopped = True


class Engine:
    """Stands in for the stylizer: says what it was asked to do."""

    def __init__(self, at: Callable[[int], None] = lambda index: None) -> None:
        self.stages, self.flicker = Stages(), Flicker()
        self.log: list[Any] = []
        self.style = "plain"
        self.renewed = 0
        self._at = at

    def look(self, frame: Frame) -> Seen:
        return Seen(frame)

    def render(self, seen: Seen) -> Rendered:
        self._at(seen.frame.index)
        self.log.append(seen.frame.index)
        return Rendered(seen)

    def finish(self, rendered: Rendered) -> Frame:
        return rendered.seen.frame

    def set_style(self, style: str, fade: int) -> None:
        self.log.append((style, fade))

    def renew(self) -> None:
        self.renewed += 1


class Tape:
    """A sink that remembers; ``at(index)`` runs before a frame is written."""

    def __init__(self, at: Callable[[int], Any] = lambda index: None, close: BaseException | None = None) -> None:
        self.notes = ["a note of the sink"]
        self.frames: list[Frame] = []
        self.end = "never opened"
        self._at, self._close = at, close

    def __enter__(self) -> "Tape":
        self.end = "open"
        return self

    def __exit__(self, kind: object, error: object, trace: object) -> None:
        self.end = "finished" if kind is None else "thrown away"
        if self._close is not None:
            raise self._close

    def write(self, frame: Frame) -> None:
        self._at(frame.index)
        self.frames.append(frame)

    @property
    def indices(self) -> list[int]:
        return [frame.index for frame in self.frames]


def fail(error: BaseException, when: int) -> Callable[[int], None]:
    def at(index: int) -> None:
        if index >= when:
            raise error

    return at


def wait(event: threading.Event) -> None:
    assert event.wait(SOON)


def go(source: Any, engine: Any, *sinks: Any, **more: Any) -> Progress:
    """Run in a thread, so that a hang fails the test instead of hanging it too."""
    found: list[Any] = []

    def main() -> None:
        try:
            found.append(run(source, engine, sinks, **more))
        except BaseException as error:  # noqa: BLE001 (raised again)
            found.append(error)

    thread = threading.Thread(target=main, daemon=True)
    thread.start()
    thread.join(SOON)
    assert not thread.is_alive(), "the pipeline hangs"
    if isinstance(found[0], BaseException):
        raise found[0]
    result: Progress = found[0]
    return result


# ---- files ----


def test_every_frame_of_a_file_is_painted_and_written_once_and_in_order() -> None:
    film, tapes = Film(40), [Tape(), Tape(lambda index: threading.Event().wait(0.002))]
    progress = go(film, Engine(), *tapes)
    for tape in tapes:
        assert tape.indices == list(range(40))
        assert tape.end == "finished"
    assert (progress.painted, progress.total, progress.dropped_in, progress.dropped_out) == (40, 40, 0, 0)
    assert not progress.stopped
    assert film.closed


def test_a_run_tells_how_it_went() -> None:
    seen: list[int] = []
    film = Film(3)
    film.lost = 2
    progress = go(film, Engine(), Tape(), on_frame=lambda p: seen.append(p.painted))
    assert seen == [1, 2, 3]
    assert progress.lost == 2
    assert progress.notes == ["a note of the source", "a note of the sink"]
    assert 0 < progress.first_frame <= progress.seconds
    assert progress.fps == pytest.approx(3 / progress.seconds)
    assert {"decode", "encode"} <= progress.stages.totals().keys()


def test_a_slow_sink_holds_a_file_back_instead_of_filling_memory() -> None:
    film, release, most = Film(60), threading.Event(), 2 * FILE_QUEUE + FINISH_QUEUE + 4
    tape = Tape(lambda index: release.wait(SOON))
    ahead: list[int] = []
    threading.Timer(0.15, lambda: (ahead.append(film.given), release.set())).start()
    go(film, Engine(), tape)
    assert ahead[0] <= most
    assert tape.indices == list(range(60))


def test_an_empty_film_makes_an_empty_output() -> None:
    tape = Tape()
    progress = go(Film(0), Engine(), tape)
    assert (progress.painted, tape.end, progress.fps) == (0, "finished", 0)


# ---- live ----


def test_a_slow_sink_of_a_live_stream_gets_the_newest_frames_and_all_of_the_sound() -> None:
    """It is stuck in frame 0 until the engine, which must not wait for it, has painted the rest."""
    begun, painted = threading.Semaphore(0), threading.Semaphore(0)
    all_painted = threading.Event()

    def stuck(index: int) -> None:
        begun.release()
        wait(all_painted)

    def before(index: int) -> None:
        if index:
            assert painted.acquire(timeout=SOON)
        if index == 1:
            assert begun.acquire(timeout=SOON)

    def on_frame(progress: Progress) -> None:
        painted.release()
        if progress.painted == 50:
            all_painted.set()

    tape = Tape(stuck)
    progress = go(Film(50, live=True, before=before), Engine(), tape, on_frame=on_frame)
    assert tape.indices == [0, 48, 49]
    assert LIVE_OUTBOX == 2
    assert list(chain(*(frame.side for frame in tape.frames))) == [f"sound {n}" for n in range(50)]
    assert (progress.dropped_in, progress.dropped_out) == (0, 47)


def test_a_slow_engine_of_a_live_stream_skips_to_the_newest_frame() -> None:
    begun = threading.Event()

    def slow(index: int) -> None:
        begun.set()
        wait(film.ended)

    film = Film(50, live=True, before=lambda index: None if index == 0 else wait(begun))
    tape = Tape()
    progress = go(film, Engine(slow), tape)
    assert tape.indices == [0, 49]
    assert tape.frames[1].side == tuple(f"sound {n}" for n in range(1, 50))
    assert (progress.dropped_in, progress.dropped_out, progress.painted) == (48, 0, 2)


# ---- things that break ----


@pytest.mark.parametrize("live", [False, True])
def test_a_source_that_breaks_is_raised_and_what_was_painted_is_kept(live: bool) -> None:
    tapes = [Tape(), Tape()]
    with pytest.raises(SourceLost, match="cable"):
        go(Film(8, live=live, error=SourceLost("cable pulled")), Engine(), *tapes)
    for tape in tapes:
        assert tape.end == "finished"
        assert tape.indices[-1] == 7
        assert live or tape.indices == list(range(8))


def test_a_source_that_breaks_before_the_first_frame_leaves_no_output() -> None:
    tape = Tape()
    with pytest.raises(SourceError):
        go(Film(0, error=SourceError("not a video")), Engine(), tape)
    assert (tape.end, tape.frames) == ("thrown away", [])


@pytest.mark.parametrize("error", [BackendError("the device is on fire"), ZeroDivisionError(), KeyboardInterrupt()])
def test_an_engine_that_breaks_is_raised_and_throws_every_output_away(error: BaseException) -> None:
    film, tapes = Film(ENDLESS), [Tape(), Tape()]
    with pytest.raises(type(error)):
        go(film, Engine(fail(error, 5)), *tapes)
    assert [tape.end for tape in tapes] == ["thrown away"] * 2
    assert film.ended.wait(SOON)
    assert film.closed


def test_a_bug_in_the_source_throws_every_output_away() -> None:
    tape = Tape()
    with pytest.raises(ZeroDivisionError):
        go(Film(5, error=ZeroDivisionError()), Engine(), tape)
    assert tape.end == "thrown away"


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize("place", [0, 1])
def test_a_sink_that_breaks_is_raised_and_ends_the_run(live: bool, place: int) -> None:
    film, good = Film(ENDLESS, live=live), Tape()
    sinks = [good]
    sinks.insert(place, Tape(fail(SinkError("disk full"), 3)))
    with pytest.raises(SinkError, match="disk full"):
        go(film, Engine(), *sinks)
    assert [tape.end for tape in sinks] == ["thrown away"] * 2
    assert film.ended.wait(SOON)


def test_a_sink_that_cannot_be_opened_is_raised() -> None:
    class Shut(Tape):
        def __enter__(self) -> "Tape":
            raise SinkError("no permission")

    with pytest.raises(SinkError, match="no permission"):
        go(Film(ENDLESS), Engine(), Shut())


@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("source_error", [None, SourceLost("cable pulled")])
def test_a_sink_that_cannot_finish_is_raised_and_the_others_are_finished(
    place: int, source_error: BaseException | None
) -> None:
    good = Tape()
    sinks = [good]
    sinks.insert(place, Tape(close=SinkError("no room for the index")))
    with pytest.raises(SinkError, match="no room"):
        go(Film(5, error=source_error), Engine(), *sinks)
    assert (good.end, good.indices) == ("finished", list(range(5)))


def test_a_broken_sink_is_told_even_when_it_breaks_on_the_last_frame() -> None:
    with pytest.raises(SinkError, match="last"):
        go(Film(4), Engine(), Tape(fail(SinkError("the last straw"), 3)))


# ---- painting that fails ----


FAULT = BackendError("the device is on fire")


def only(error: BaseException, *numbers: int) -> Callable[[int], None]:
    def at(index: int) -> None:
        if index in numbers:
            raise error

    return at


@pytest.mark.parametrize("film", [{"live": True}, {}])
def test_a_forgiving_run_lets_a_frame_through_that_cannot_be_painted(
    film: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failsafe, "FIRST_PAUSE", 0.02)
    engine, tape = Engine(only(FAULT, 3)), Tape()
    source = Film(40, before=lambda index: threading.Event().wait(0.005) and None, **film)
    progress = go(source, engine, tape, manner=Manner(forgiving=True))
    assert 3 in tape.indices
    assert film or tape.indices == list(range(40))
    assert tape.end == "finished"
    assert (progress.failures, engine.renewed, progress.problem) == (1, 1, "")
    assert progress.passed >= 1
    assert progress.painted == 40 - progress.passed - progress.dropped_in


def test_a_live_run_is_forgiving_unless_it_is_told_not_to_be() -> None:
    tape = Tape()
    progress = go(Film(1, live=True), Engine(only(FAULT, 0)), tape)
    assert progress.problem == "BackendError: the device is on fire"
    with pytest.raises(BackendError):
        go(Film(1, live=True), Engine(only(FAULT, 0)), Tape(), manner=Manner(forgiving=False))


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("live", [False, True])
def test_a_picture_that_is_even_fails_a_file_and_passes_live(
    tiny: ModuleType, tiny_bundle: Path, live: bool, monkeypatch: pytest.MonkeyPatch, exact: None
) -> None:
    class Scene(Film):
        def frame(self, index: int) -> Frame:
            return replace(tiny.frame((96, 64), index), pts=index, index=index)

    device = "allaprima.realtime.backends.cpu.CpuNet.paint"
    monkeypatch.setattr(device, lambda net, picture, *_: replace(picture, planes=(0 * picture.planes[0],) * 3))
    tape, stylizer = Tape(), Stylizer("plain", bundle=tiny_bundle)
    if not live:
        with pytest.raises(BackendError, match="frame 0: the net paints nothing but 0"):
            go(Scene(3), stylizer, tape)
        assert tape.end == "thrown away"
        return
    progress = go(Scene(1, live=True), stylizer, tape)
    assert (progress.passed, progress.problem) == (1, "BackendError: the net paints nothing but 0")
    assert tiny.difference(tape.frames[0], tiny.frame((96, 64), 0)) == 0


def test_a_cue_that_cannot_be_is_noted_live_and_the_style_stays() -> None:
    class Strict(Engine):
        def set_style(self, style: str, fade: int) -> None:
            raise UnknownStyle(style)

    tape = Tape()
    progress = go(Film(9, live=True), Strict(), tape, cues=[Cue(0.0, "nobody")])
    assert "at 0.00 s: nobody; the style stays as it is" in progress.notes
    assert tape.end == "finished"


def test_a_mask_that_breaks_is_noted_once_and_painting_goes_on() -> None:
    def torn(stylizer: Any, seconds: float) -> None:
        raise SourceError("the mask is torn")

    tape = Tape()
    progress = go(Film(5), Engine(), tape, masks=torn, manner=Manner(forgiving=True))
    assert [note for note in progress.notes if "torn" in note] == [
        "at 0.00 s: the mask is torn; the mask stays as it is"
    ]
    assert tape.indices == list(range(5))
    with pytest.raises(SourceError, match="torn"):
        go(Film(5), Engine(), Tape(), masks=torn)


# ---- pace ----


class Steady(Tape):
    steady = True


def slowly(seconds: float) -> Callable[[int], None]:
    return lambda index: threading.Event().wait(seconds) and None


def test_a_steady_sink_gets_a_frame_at_every_tick_whatever_comes() -> None:
    steady, tape = Steady(), Tape()
    film = Film(12, live=True, before=slowly(0.04))
    progress = go(film, Engine(), steady, tape, manner=Manner(cadence=Fraction(100)))
    assert tape.indices == list(range(12)), "others get what comes"
    steps = {(b.pts - a.pts) * b.time_base for a, b in pairwise(steady.frames)}
    assert min(steps) == Fraction(1, 100)
    assert len(steady.frames) + progress.skipped == pytest.approx(44, abs=12)
    assert progress.held > 15
    assert sorted(set(steady.indices)) == list(range(12))
    assert list(chain(*(frame.side for frame in steady.frames))) == [f"sound {n}" for n in range(12)]
    assert progress.skew is not None
    assert abs(progress.skew) < 0.05


def test_a_steady_sink_of_a_file_gets_its_frames_as_they_are() -> None:
    steady = Steady()
    go(Film(12), Engine(), steady, manner=Manner(cadence=Fraction(100)))
    assert [frame.pts for frame in steady.frames] == [100 + n for n in range(12)]


def test_a_file_in_mode_live_comes_at_its_own_speed_and_is_thinned() -> None:
    began, tape = time.monotonic(), Tape()
    progress = go(Film(20), Engine(), tape, manner=Manner(live=True, fps=Fraction(25, 2)))
    assert 0.6 < time.monotonic() - began < 3
    assert progress.surplus == 10
    assert len(tape.frames) + progress.dropped_in + progress.dropped_out == 10
    assert list(chain(*(frame.side for frame in tape.frames)))[:2] == ["sound 0", "sound 1"]


def test_a_live_source_in_mode_complete_loses_nothing() -> None:
    tape = Tape()
    go(Film(40, live=True), Engine(slowly(0.002)), tape, manner=Manner(live=False))
    assert tape.indices == list(range(40))


def test_a_frame_that_is_too_old_is_not_painted_but_never_two_in_a_row() -> None:
    class Late(Film):
        def frame(self, index: int) -> Frame:
            return replace(super().frame(index), captured=time.monotonic() - 1)

    tape = Tape()
    film = Late(10, live=True, before=slowly(0.01))
    progress = go(film, Engine(), tape, manner=Manner(max_latency=0.5))
    assert len(tape.frames) + progress.dropped_in == 10
    assert progress.dropped_in == 5
    assert list(chain(*(frame.side for frame in tape.frames))) == [f"sound {n}" for n in range(10)]


# ---- outputs in trouble ----


def test_a_receiver_that_is_away_disturbs_no_other_output(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconnect, "PROVEN", 0.0)
    monkeypatch.setattr(reconnect, "FIRST_PAUSE", 0.03)
    broken, back, tape = Tape(fail(SinkError("reset"), 10)), Tape(), Tape()
    waiting = [broken, back]
    lasting = reconnect.Reconnecting(lambda: waiting.pop(0), 5)
    progress = go(Film(40, live=True, before=slowly(0.005)), Engine(), lasting, tape)
    assert tape.indices[-1] == 39
    assert progress.unsent >= 1
    assert progress.sink_returns == 1
    assert back.indices[-1] == 39
    assert (broken.end, back.end, tape.end) == ("thrown away", "finished", "finished")


@pytest.mark.parametrize("live", [False, True])
def test_a_painted_picture_that_the_device_loses_is_left_out_live_and_fails_a_file(live: bool) -> None:
    def gone() -> Any:
        raise FAULT

    class Losing(Engine):
        def finish(self, rendered: Rendered) -> Frame:
            frame = rendered.seen.frame
            return replace(frame, landing=gone) if frame.index == 2 else frame

    film, tape = Film(5, live=live, before=slowly(0.02)), Tape()
    if not live:
        with pytest.raises(BackendError):
            go(film, Losing(), tape)
        return
    progress = go(film, Losing(), tape)
    assert tape.indices == [0, 1, 3, 4]
    assert progress.dropped_out == 1


# ---- away, and gone on with ----


class Leaving(Film):
    """Goes away after two frames and comes back."""

    away = False
    returns = 0

    def __iter__(self) -> Iterator[Frame]:
        yield self.frame(0)
        yield self.frame(1)
        self.away = True
        threading.Event().wait(0.4)
        self.away, self.returns = False, 1
        yield self.frame(20)


def test_the_slate_is_shown_once_while_the_source_is_away_and_is_not_painted() -> None:
    engine, tape = Engine(), Tape()
    slate = replace(Film(0).frame(0), index=-1, side=())
    progress = go(Leaving(0, live=True), engine, tape, manner=Manner(slate=slate))
    assert tape.indices in ([0, 1, -1, 20], [1, -1, 20])
    assert -1 not in engine.log
    times = [frame.time for frame in tape.frames]
    assert times == sorted(times)
    assert progress.source_returns == 1
    assert progress.problem == ""


def test_it_tells_that_the_source_is_away_while_it_is() -> None:
    problems: list[str] = []
    go(Leaving(0, live=True), Engine(), Tape(), on_frame=lambda progress: problems.append(progress.problem))
    assert problems[0] == problems[-1] == ""
    assert "the source is away" in problems


def test_without_a_slate_the_last_frame_is_held_where_the_output_is_steady() -> None:
    steady = Steady()
    go(Leaving(0, live=True), Engine(), steady, manner=Manner(cadence=Fraction(50)))
    assert steady.indices.count(1) > 10


@pytest.mark.parametrize("forgiving", [False, True])
def test_a_film_that_was_begun_is_painted_from_where_it_stopped(forgiving: bool) -> None:
    engine, tape = Engine(), Tape()
    progress = go(Film(100), engine, tape, manner=Manner(done=60, forgiving=forgiving))
    assert tape.indices == list(range(100)), "the sink takes what it lacks"
    assert (progress.resumed, progress.painted) == (60, 40)
    assert WARM_UP == 30


def test_frames_that_are_there_are_not_even_looked_at() -> None:
    looked: list[int] = []

    class Looking(Engine):
        def look(self, frame: Frame) -> Seen:
            looked.append(frame.index)
            return Seen(frame)

    go(Film(100), Looking(), Tape(), manner=Manner(done=60))
    assert looked == list(range(30, 100))


# ---- stop ----


@pytest.mark.parametrize("live", [False, True])
def test_stop_ends_a_run_early_and_keeps_what_was_painted(live: bool) -> None:
    film, tape, stop = Film(ENDLESS, live=live), Tape(), threading.Event()
    progress = go(film, Engine(), tape, stop=stop, on_frame=lambda p: stop.set() if p.painted == 5 else None)
    assert progress.stopped
    assert progress.painted == 5
    assert tape.end == "finished"
    assert live or tape.indices == [0, 1, 2, 3, 4]
    assert film.closed


def test_stop_works_while_the_source_has_nothing() -> None:
    class Silent(Film):
        def __iter__(self) -> Iterator[Frame]:
            yield self.frame(0)
            while not self._stopped:
                threading.Event().wait(0.01)

    stop = threading.Event()
    threading.Timer(0.05, stop.set).start()
    progress = go(Silent(0, live=True), Engine(), Tape(), stop=stop)
    assert progress.stopped


def test_a_sink_with_keys_is_looked_at_while_no_frame_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outlets, "POLL", 0.01)
    looked = threading.Event()

    class Window(Tape):
        def poll(self) -> None:
            looked.set()

    class Waiting(Film):
        def __iter__(self) -> Iterator[Frame]:
            looked.wait(SOON)
            yield self.frame(0)

    tape = Window()
    go(Waiting(0, live=True), Engine(), tape)
    assert looked.is_set()
    assert tape.indices == [0]


# ---- cues and masks ----


def test_cues_come_before_exactly_their_frame_in_order_of_time() -> None:
    engine = Engine()
    cues = [Cue(0.16, "late", 0.2), Cue(0.0, "first"), Cue(0.05, "between"), Cue(9.0, "never"), Cue(0.16, "latest")]
    go(Film(6), engine, Tape(), cues=cues)
    assert engine.log == [("first", 0), 0, 1, ("between", 0), 2, 3, ("late", 5), ("latest", 0), 4, 5]


def test_cues_count_from_the_first_frame_at_the_rate_of_its_own_times() -> None:
    """Every second frame is gone: time decides, not the number of frames."""

    class Sparse(Film):
        def frame(self, index: int) -> Frame:
            return replace(super().frame(index), pts=5000 + 2 * index)

    engine = Engine()
    go(Sparse(4), engine, Tape(), cues=[Cue(0.16, "cue")])
    assert engine.log == [0, 1, ("cue", 0), 2, 3]


def test_a_cue_that_cannot_be_ends_the_run() -> None:
    class Strict(Engine):
        def set_style(self, style: str, fade: int) -> None:
            raise UnknownStyle(style)

    tape = Tape()
    with pytest.raises(UnknownStyle, match="nobody"):
        go(Film(9), Strict(), tape, cues=[Cue(0.1, "nobody")])
    assert tape.end == "thrown away"


def test_masks_are_asked_before_each_frame_with_the_seconds_since_the_first() -> None:
    engine, asked = Engine(), []
    go(Film(3), engine, Tape(), masks=lambda stylizer, seconds: asked.append((stylizer is engine, round(seconds, 3))))
    assert asked == [(True, 0.0), (True, 0.04), (True, 0.08)]


@pytest.mark.usefixtures("exact")
def test_with_a_real_stylizer_a_cue_is_exact_to_the_frame(tiny: ModuleType, tiny_bundle: Path, exact: None) -> None:
    class Gray(Film):
        def frame(self, index: int) -> Frame:
            return replace(tiny.flat(100), pts=index, index=index)

    tape = Tape()
    cues = [Cue(0.08, "bright"), Cue(0.16, "dark", 0.08)]
    go(Gray(7), Stylizer("plain", bundle=tiny_bundle), tape, cues=cues)
    assert [int(frame.planes[0][9, 9]) for frame in tape.frames] == [100, 100, 127, 127, 100, 73, 73]
