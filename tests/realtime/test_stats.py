"""``--stats``: a line a second, whether frames come or not."""

import json
import threading
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from allaprima.realtime import logs, stats
from allaprima.realtime.cli import main
from allaprima.realtime.live.control import Latency, Stats
from allaprima.realtime.pipeline import Progress
from allaprima.realtime.stats import Rates, every_second, figures, line, of_live, of_run


@pytest.fixture(autouse=True)
def _text_again() -> Iterator[None]:
    yield
    logs.close()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    now = SimpleNamespace(value=100.0)
    monkeypatch.setattr(stats.time, "monotonic", lambda: now.value)
    return now


def painted(count: int) -> Progress:
    progress = Progress(None, painted=count)
    progress.stages.add("net", 0.020 * count)
    return progress


def test_rates_are_those_since_the_last_look(clock: SimpleNamespace) -> None:
    rates, progress = Rates(), painted(10)
    clock.value += 1
    assert rates.look(progress) == (10, pytest.approx({"net": 20}))
    clock.value += 2
    progress.painted += 10
    progress.stages.add("net", 0.1)
    assert rates.look(progress) == (5, pytest.approx({"net": 10}))


def test_a_stream_that_stalls_has_no_rate(clock: SimpleNamespace) -> None:
    rates, progress = Rates(), painted(10)
    rates.look(progress)
    clock.value += 1
    assert rates.look(progress) == (0, {})


def test_a_line_tells_what_there_is_to_tell() -> None:
    progress = painted(10)
    progress.dropped_in, progress.dropped_out, progress.held, progress.effort = 2, 1, 4, 2
    progress.effort_name = "net at 3/4"
    progress.delay.add(0.040)
    progress.flicker.add(0.0004)
    told = figures(progress, Rates())
    assert told["latency_ms"] == {"p50": 40, "p95": 40}
    text = line(told | {"fps": 29.96})
    assert text.startswith("30.0 fps  frame 10  net 20.0 ms  dropped 3  held 4  latency 40/40 ms  flicker 0.0200")
    assert text.endswith("effort step 2: net at 3/4")


def test_before_the_first_frame_there_is_little_to_tell() -> None:
    assert line(figures(None, Rates())) == "0.0 fps  frame 0"


def test_a_live_stream_tells_the_same_and_why_it_is_not_painted() -> None:
    told = of_live(Stats(frames_painted=9, fps_painted=14.96, latency_ms=Latency(p50=30, p95=60), problem="no net"))
    assert line(told) == "15.0 fps  frame 9  dropped 0  held 0  latency 30/60 ms  problem: no net"


@pytest.mark.usefixtures("no_thread_left")
def test_it_is_told_while_nothing_moves(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats, "SECONDS", 0.02)
    with of_run(True) as on_frame:
        time.sleep(0.1)
        on_frame(painted(3))
        time.sleep(0.1)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "stats  0.0 fps  frame 0"
    assert any("frame 3" in told for told in lines)
    assert len(lines) >= 4


def test_nobody_asked(capsys: pytest.CaptureFixture[str]) -> None:
    before = threading.active_count()
    with of_run(False) as on_frame:
        on_frame(painted(3))
        assert threading.active_count() == before
    assert capsys.readouterr().err == ""


def test_where_logs_are_json_it_is_an_object(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stats, "SECONDS", 0.02)
    logs.setup("json")
    with every_second(lambda: [("stage left", {"fps": 30.0, "frames": 5})]):
        time.sleep(0.1)
    told: list[dict[str, Any]] = [json.loads(text) for text in capsys.readouterr().err.splitlines()]
    assert told
    assert (told[0]["logger"], told[0]["stream"], told[0]["fps"]) == ("allaprima.stats", "stage left", 30.0)


def test_a_run_tells_also_when_it_is_quiet(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tiny_bundle: Any
) -> None:
    monkeypatch.setattr(stats, "SECONDS", 0.01)
    scene = "test:landscape?size=64x48&frames=200"
    assert main(["run", scene, "null:", "--bundle", str(tiny_bundle), "--stats", "--quiet"]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    assert lines
    assert all(told.startswith("stats  ") for told in lines)
    assert "net" in lines[-1]
