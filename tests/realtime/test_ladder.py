"""What the governor says becomes the stylizer's effort, a line in the log, and figures."""

import logging
from dataclasses import replace
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from allaprima.realtime import ladder as module
from allaprima.realtime.backends import FULL, Effort
from allaprima.realtime.errors import ConfigError
from allaprima.realtime.ladder import Ladder

EFFORTS = (FULL, Effort(coarse=True), Effort(every=2))


class Engine(SimpleNamespace):
    """As much of a stylizer as a ladder sees."""

    def __init__(self) -> None:
        super().__init__(bypass=False, effort=FULL, efforts=EFFORTS, settled=True)


def feed(ladder: Ladder, engine: Any, tiny: ModuleType, seconds: float, frames: range) -> None:
    like = tiny.flat(100)
    for index in frames:
        ladder.after(engine, replace(like, index=index, captured=index / 30), seconds)


def test_effort_goes_down_when_frames_take_too_long_and_comes_back(tiny: ModuleType) -> None:
    ladder, engine = Ladder(), Engine()
    assert (ladder.step, ladder.what, ladder.steps) == (0, "full", 0)
    feed(ladder, engine, tiny, 0.04, range(9))
    assert engine.effort == EFFORTS[1]
    assert (ladder.step, ladder.what, ladder.steps) == (1, "flow at half size", 1)
    assert "40 of 33 ms" in ladder.why
    feed(ladder, engine, tiny, 0.005, range(9, 80))
    assert engine.effort == FULL
    assert ladder.steps == 2


def test_an_effort_that_somebody_else_set_does_not_last(tiny: ModuleType) -> None:
    ladder, engine = Ladder(), Engine()
    engine.effort = None
    feed(ladder, engine, tiny, 0.01, range(1))
    assert engine.effort == FULL


def test_frames_that_were_not_painted_say_nothing(tiny: ModuleType) -> None:
    ladder, engine = Ladder(), Engine()
    engine.bypass = True
    feed(ladder, engine, tiny, 0.5, range(30))
    engine.bypass, engine.settled = False, False
    feed(ladder, engine, tiny, 0.5, range(30, 60))
    assert ladder.steps == 0


def test_wishes_are_kept_when_the_device_has_shown_what_it_can(tiny: ModuleType) -> None:
    ladder, engine = Ladder(fps=10), Engine()
    feed(ladder, engine, tiny, 0.09, range(60))
    assert ladder.steps == 0
    ladder = Ladder(max_latency=0.05)
    feed(ladder, engine, tiny, 0.04, range(60))
    assert ladder.steps > 0, "the source's rate is shorter still"
    with pytest.raises(ConfigError, match="latency"):
        Ladder(max_latency=0)


def test_a_line_for_each_step_but_at_most_one_a_second(
    tiny: ModuleType, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
    ladder, engine = Ladder(name="stage"), Engine()
    with caplog.at_level(logging.INFO, "allaprima"):
        feed(ladder, engine, tiny, 0.06, range(40))
        assert ladder.steps >= 2
        assert [record.getMessage() for record in caplog.records] == [
            "stream stage: step 2: net every 2nd frame (frames take 60 of 33 ms)"
        ]
        now[0] += 1
        feed(ladder, engine, tiny, 0.06, range(40, 41))
    assert len(caplog.records) == 2
    assert f"step {ladder.step}: {ladder.what}" in caplog.records[1].getMessage(), "the last one is told"
