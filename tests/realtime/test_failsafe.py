"""What goes through when painting fails, when it is tried again, and what no healthy picture may be taken for."""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from allaprima.realtime import failsafe
from allaprima.realtime.errors import BackendError
from allaprima.realtime.failsafe import FROZEN_FRAMES, Eye, FailSafe
from allaprima.realtime.frame import Frame
from allaprima.realtime.stylizer import Rendered, Seen, Stylizer

from .. import tiny

RNG = np.random.default_rng(3)


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


class Stub:
    """Stands in for a stylizer; ``act`` is called with the number of the frame and may raise or wait."""

    def __init__(self, act: Callable[[int], None] = lambda number: None) -> None:
        self.style: Any = "plain"
        self.act = act
        self.calls = self.renewed = 0

    def look(self, frame: Frame) -> Seen:
        return Seen(frame)

    def render(self, seen: Seen) -> Rendered:
        self.calls += 1
        self.act(self.calls)
        return Rendered(seen, "painted")

    def finish(self, rendered: Rendered) -> Frame:
        return tiny.flat(200, index=rendered.seen.frame.index)

    def renew(self) -> None:
        self.renewed += 1


FRAME = tiny.flat(100)
Make = Callable[..., Any]


@pytest.fixture
def make(no_thread_left: None) -> Iterator[Make]:
    made: list[FailSafe] = []

    def open_one(act: Callable[[int], None] = lambda number: None, **more: Any) -> tuple[FailSafe, Any]:
        stub: Any = Stub(act)
        made.append(FailSafe(stub, "test", **more))
        return made[-1], stub

    yield open_one
    for safe in made:
        safe.close()


def fails(*numbers: int, error: Exception | None = None) -> Callable[[int], None]:
    def act(number: int) -> None:
        if number in numbers:
            raise error or BackendError("the device is on fire")

    return act


def is_painted(safe: FailSafe) -> bool:
    return safe(FRAME) is not FRAME


def test_all_is_painted_while_all_is_well(make: Make) -> None:
    safe, stub = make()
    assert all(is_painted(safe) for _ in range(20))
    assert (safe.problem, safe.failures, safe.passed, stub.renewed) == ("", 0, 0, 0)


@pytest.mark.parametrize("error", [BackendError("out of memory"), ZeroDivisionError("x"), TimeoutError("y")])
def test_an_error_lets_that_very_frame_through_and_the_engine_is_renewed(make: Make, error: Exception) -> None:
    clock = Clock()
    safe, stub = make(fails(3, error=error), clock=clock)
    assert [is_painted(safe) for _ in range(4)] == [True, True, False, False]
    assert safe.problem == f"{type(error).__name__}: {error}"
    assert stub.calls == 3, "in a pause nothing is tried"
    clock.now += failsafe.FIRST_PAUSE
    assert is_painted(safe)
    assert (safe.problem, safe.failures, safe.passed, stub.renewed) == ("", 1, 2, 1)


def test_pauses_double_up_to_the_longest_and_begin_anew_after_a_while_without_errors(make: Make) -> None:
    clock, tried = Clock(), []
    safe, stub = make(lambda number: fails(number)(number), clock=clock)
    for _ in range(1500):
        before = stub.calls
        assert safe(FRAME) is FRAME
        if stub.calls > before:
            tried.append(clock.now)
        clock.now += 0.1
    gaps = np.diff(tried)
    assert gaps == pytest.approx([0.5, 1, 2, 4, 8, 16, 30, 30, 30], abs=0.11)
    stub.act = lambda number: None
    clock.now += 31
    assert is_painted(safe)
    clock.now += 60
    stub.act = fails(stub.calls + 1)
    assert not is_painted(safe)
    clock.now += 0.5
    assert is_painted(safe)


def test_another_style_is_tried_at_once(make: Make) -> None:
    clock = Clock()
    safe, stub = make(fails(1), clock=clock)
    assert not is_painted(safe)
    assert not is_painted(safe)
    stub.style = "another"
    assert is_painted(safe)


def test_the_reason_is_logged_once_a_second_at_most(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    safe, stub = make(lambda number: fails(number)(number), clock=clock)
    with caplog.at_level(logging.WARNING):
        for _ in range(100):
            stub.style = object()  # a new one each time, so each frame is tried
            safe(FRAME)
            clock.now += 0.03
    assert safe.failures == 100
    assert 2 <= len(caplog.records) <= 4
    assert "the device is on fire; unpainted for 0.5 s" in caplog.records[0].getMessage()


# ---- hangs ----


def test_a_call_that_is_late_lets_the_stream_go_on_and_its_answer_is_not_shown(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(failsafe, "LATE", 0.05)
    release = threading.Event()
    safe, stub = make(lambda number: None if number != 3 else release.wait(10) and None)
    assert [is_painted(safe), is_painted(safe)] == [True, True]
    began = time.monotonic()
    assert not is_painted(safe)
    assert 0.04 < time.monotonic() - began < 2
    assert not is_painted(safe)
    assert (safe.problem, safe.failures) == ("the engine is late", 0)
    release.set()
    deadline = time.monotonic() + 5
    while not is_painted(safe):
        assert time.monotonic() < deadline
    assert (safe.problem, stub.renewed) == ("", 0), "it was only slow"


def test_a_slow_engine_is_not_taken_for_a_late_one(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first slow frame may go through; then the usual time is known."""
    monkeypatch.setattr(failsafe, "LATE", 0.03)
    safe, _ = make(lambda number: time.sleep(0.05))
    assert is_painted(safe)
    deadline = time.monotonic() + 5
    while not is_painted(safe):
        time.sleep(0.01)
        assert time.monotonic() < deadline
    assert [is_painted(safe) for _ in range(4)] == [True] * 4


def test_an_engine_that_hangs_is_given_up_and_another_paints(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("LATE", 0.02), ("HUNG", 0.1), ("FIRST_PAUSE", 0.05), ("RETURNING", 1.0)):
        monkeypatch.setattr(failsafe, name, seconds)
    release = threading.Event()
    safe, stub = make(lambda number: None if number != 3 else release.wait(10) and None)
    assert [is_painted(safe), is_painted(safe), is_painted(safe)] == [True, True, False]
    deadline = time.monotonic() + 5
    while not is_painted(safe):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    assert (safe.failures, stub.renewed) == (1, 1)
    assert not release.is_set(), "the old call still hangs"
    release.set()


def test_only_so_many_calls_may_hang_at_once(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("OPENING", 0.01), ("LOADING", 0.02), ("RETURNING", 0.01), ("FIRST_PAUSE", 0.01)):
        monkeypatch.setattr(failsafe, name, seconds)
    monkeypatch.setattr(failsafe, "LONGEST_PAUSE", 0.02)
    release = threading.Event()
    safe, stub = make(lambda number: release.wait(10) and None)
    deadline = time.monotonic() + 5
    while "calls have not come back" not in safe.problem:
        assert safe(FRAME) is FRAME
        assert time.monotonic() < deadline
    assert stub.calls == failsafe.MOST_HUNG
    release.set()
    while not is_painted(safe):
        assert time.monotonic() < deadline


# ---- what a net paints that is broken ----


def textured(seed: int = 0, low: int = 40, high: int = 215) -> Any:
    return tiny.texture((160, 90), seed, low, high)


def verdicts(pairs: list[tuple[Any, Any]]) -> list[str]:
    eye = Eye()
    return [eye.judge(given, painted) for given, painted in pairs]


@pytest.mark.parametrize("value", [0, 16, 128, 255])
def test_an_even_picture_of_one_that_is_not_is_broken_at_once(value: int) -> None:
    (verdict,) = verdicts([(textured(), np.full((90, 160), value, np.uint8))])
    assert verdict == f"the net paints nothing but {value}"


def test_a_frozen_picture_is_told_after_a_few_frames_of_motion() -> None:
    still = textured(9)
    found = verdicts([(np.roll(textured(), 3 * n, 1), still) for n in range(6)])
    assert [bool(text) for text in found] == [n >= FROZEN_FRAMES for n in range(6)]


def test_a_scene_that_stands_still_is_not_frozen() -> None:
    assert not any(verdicts([(textured(), textured(9))] * 50))


def test_noise_on_a_still_scene_is_no_motion() -> None:
    """Even if a net gave the same picture for it, to the bit."""
    scene = textured().astype(float)
    noisy = [np.clip(scene + RNG.normal(0, 12, scene.shape), 0, 255).astype(np.uint8) for _ in range(30)]
    assert not any(verdicts([(given, textured(9)) for given in noisy]))


def test_a_slow_fade_of_a_frozen_net_is_found_by_what_has_gathered() -> None:
    still = textured(9)
    found = verdicts([((textured() * (1 - n / 100)).astype(np.uint8), still) for n in range(40)])
    assert any(found)


def test_fades_black_pictures_and_slides_are_sound() -> None:
    """A net follows its input: what it paints changes with it, if ever so little."""
    scene, dark = textured().astype(float), np.full((90, 160), 16, np.uint8)
    fade = [(scene * (1 - n / 50)).astype(np.uint8) for n in range(50)]
    assert not any(verdicts([(given, (given * 0.8).astype(np.uint8)) for given in [*fade, *fade[::-1]]]))
    assert not any(verdicts([(dark, dark)] * 20))
    slides = [textured(n // 25) for n in range(100)]
    assert not any(verdicts([(given, 255 - given) for given in slides]))


def test_a_cut_to_black_and_back_is_sound() -> None:
    dark = np.full((90, 160), 16, np.uint8)
    film = [textured(1)] * 3 + [dark] * 10 + [textured(2)] * 3
    assert not any(verdicts([(given, given) for given in film]))


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (7, 9), (8, 8), (90, 160), (135, 91)])
def test_pictures_of_any_size_can_be_judged(shape: tuple[int, int]) -> None:
    given = RNG.integers(0, 255, shape, np.uint8)
    assert verdicts([(given, given)] * 2) == ["", ""]


def test_a_broken_picture_goes_through_unpainted(make: Make) -> None:
    class Backend:
        def sample(self, picture: Any) -> Any:
            return np.zeros((90, 160), np.uint8) if picture == "painted" else textured()

    safe, stub = make()
    device: Any = SimpleNamespace(backend=Backend())
    stub.look = lambda frame: Seen(frame, device, "given")
    assert not is_painted(safe)
    assert safe.problem == "BackendError: the net paints nothing but 0"


@pytest.mark.usefixtures("exact")
def test_a_style_that_paints_all_alike_goes_through_unpainted_and_another_one_is_painted(own_bundle: Path) -> None:
    tiny.add_style(own_bundle, "broken", 60_000.0)
    stylizer = Stylizer("broken", bundle=own_bundle)
    safe, frames = FailSafe(stylizer, "test"), [tiny.frame((96, 64), seed, index=seed) for seed in range(3)]
    assert safe(frames[0]) is frames[0]
    assert "the net paints nothing but" in safe.problem
    stylizer.set_style("bright")
    assert tiny.difference(safe(frames[1]), frames[1]) == pytest.approx(27, abs=2)
    assert safe.problem == ""
    safe.close()


@pytest.mark.usefixtures("exact")
def test_a_net_that_gives_the_same_picture_again_and_again_is_found(
    tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first: list[Any] = []

    def stuck(net: Any, picture: Any, *_: Any) -> Any:
        first.append(picture)
        return first[0]

    monkeypatch.setattr("allaprima.realtime.backends.cpu.CpuNet.paint", stuck)
    safe = FailSafe(Stylizer("plain", bundle=tiny_bundle), "test")
    scene = tiny.frame((96, 64))
    moving = [replace(scene, planes=tuple(np.roll(p, 5 * n, 1) for p in scene.planes)) for n in range(5)]
    assert [safe(frame) is frame for frame in moving] == [False, False, False, True, True]
    safe.close()
