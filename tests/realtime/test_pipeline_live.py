"""A run that goes on: painting that fails, a steady pace, outputs in trouble, sources that are away."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from allaprima.realtime import failsafe
from allaprima.realtime.errors import BackendError, SinkError, SourceError, UnknownStyle
from allaprima.realtime.frame import Frame
from allaprima.realtime.pipeline import WARM_UP, Cue, Manner
from allaprima.realtime.sinks import reconnect
from allaprima.realtime.stylizer import Rendered, Seen, Stylizer

from .films import Engine, Film, Tape, fail, go

pytestmark = pytest.mark.usefixtures("no_thread_left")


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
