"""The pipeline, between a source, an engine and sinks made for the test."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from types import ModuleType

import pytest

from allaprima.realtime import outlets
from allaprima.realtime.errors import BackendError, SinkError, SourceError, SourceLost, UnknownStyle
from allaprima.realtime.frame import Frame
from allaprima.realtime.outlets import FILE_QUEUE, LIVE_OUTBOX
from allaprima.realtime.painting import FINISH_QUEUE
from allaprima.realtime.pipeline import Cue, Progress
from allaprima.realtime.stylizer import Stylizer

from .films import ENDLESS, SOON, Engine, Film, Tape, fail, go, wait

pytestmark = pytest.mark.usefixtures("no_thread_left")


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
