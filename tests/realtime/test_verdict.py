"""What is told of a measurement."""

from dataclasses import replace

import pytest

from allaprima.realtime import verdict as telling
from allaprima.realtime.explain import Trial
from allaprima.realtime.verdict import as_json, sentence, text

from .figures import ENCODE, measured, verdict


@pytest.fixture(autouse=True)
def _two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "cores", lambda: 2)


def test_the_sentence_names_the_stage_and_the_change() -> None:
    trial = Trial("--preset ultrafast", 110.0, 6.1, (640, 360))
    assert sentence(verdict(ENCODE, trial)) == (
        "bound by encode: 14.2 ms of 14.5; use --preset ultrafast (measured: 110.0 fps, encode 6.1 ms)"
    )


def test_the_mildest_change_that_is_enough_is_named_else_the_strongest() -> None:
    slow = measured(frame=50, rate=25, net=49)  # 20 fps
    mild, strong = Trial("--size a", 26, 35, (1, 1)), Trial("--size b", 40, 20, (1, 1))
    assert verdict(slow, mild, strong).best is mild
    weak = replace(mild, fps=22)
    assert verdict(slow, weak, replace(strong, fps=24)).best.flags == "--size b"  # type: ignore[union-attr]
    assert verdict(slow, replace(mild, fps=20.5)).best is None
    assert "nothing that was tried helps" in sentence(verdict(slow, replace(mild, fps=20.5)))


def test_the_screen_has_stages_threads_and_trials() -> None:
    told = text(verdict(ENCODE, Trial("--preset ultrafast", 110.0, 6.1, (640, 360))))
    lines = told.splitlines()
    assert lines[0] == "in.mp4  640x360: 69.0 fps, 2.76 x real time (100 frames in 1.5 s)"
    assert any(line.split()[:3] == ["encode", "14.2", "98%"] and line.endswith("slowest") for line in lines)
    assert any(line.split()[:3] == ["sink", "14.2", "98%"] and "wait for it" in line for line in lines)
    assert "processors     1.5 of 2 busy" in told
    assert "at the most 111.1 fps if encode took no time: then engine would bound it" in told
    assert "the 2 processors are full at 92.0 fps" in told
    assert "tried --preset ultrafast        110.0 fps (+60%), encode 6.1 ms; a larger file" in told
    assert max(map(len, lines)) <= 140


def test_a_governor_that_saves_effort_is_mentioned() -> None:
    held = replace(measured(frame=33.3, live=True, rate=30, decode=30, net=30), effort=2, effort_name="net at 3/4")
    smaller = Trial("--size 480x270", 30.0, 15.0, (480, 270), effort=0)
    told = text(verdict(held, smaller))
    assert "held with less effort: step 2, net at 3/4" in told
    assert "bound by net" in told
    assert "use --size 480x270" in told
    assert "effort step 0" in told


def test_other_programs_that_disturb_are_mentioned() -> None:
    alone, beside = text(verdict(ENCODE)), text(verdict(replace(ENCODE, others_busy=0.4)))
    assert "other programs" not in alone
    assert "other programs keep 0.4 of them busy" in beside
    assert "are full at 73.6 fps" in beside


def test_a_live_screen_says_that_it_waits() -> None:
    told = text(verdict(measured(frame=33.3, live=True, rate=30, decode=32, net=12)))
    assert "(waiting included)" in told
    assert "real time" not in told


def test_json_has_the_same_figures() -> None:
    told = as_json(verdict(ENCODE, Trial("--preset ultrafast", 110.0, 6.1, (640, 360))))
    assert told["bound"] == {"kind": "thread", "thread": "sink", "stage": "encode"}
    assert (told["use"], told["fps"], told["most_fps_without_it"]) == ("--preset ultrafast", 68.97, 111.1)
    assert told["tried"] == [
        {"flags": "--preset ultrafast", "fps": 110, "stage_ms": 6.1, "size": [640, 360], "effort": 0}
    ]
    assert {"name": "encode", "thread": "sink", "ms": 14.2} in told["stages"]
    assert told["says"] == sentence(verdict(ENCODE, Trial("--preset ultrafast", 110.0, 6.1, (640, 360))))
