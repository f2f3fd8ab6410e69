import io

import pytest
from rich.console import Console

from allaprima.realtime import report
from allaprima.realtime.metrics import Transfers
from allaprima.realtime.pipeline import Progress
from allaprima.realtime.report import Outcome, Pace, all_of, as_json, clock, display, file_size, line, summary


def progress(painted=30, total=300, seconds=2.0):
    made = Progress(total, painted=painted, seconds=seconds, first_frame=0.5)
    made.stages.add("decode", 0.010)
    made.stages.add("net", 0.020)
    return made


def outcome(made, output="null:", **more):
    size = file_size(output)
    return Outcome(made, "in.mp4", output, size, (64, 48), "udnie", 0.8, 0.6, 1.0, **more)


def test_a_line_says_how_far_it_is():
    assert line(progress(), 15.0, {"net": 20.0}) == "frame 30/300  15.0 fps  eta 0:18  net 20.0 ms"


def test_a_line_of_a_live_stream():
    made = progress(total=None)
    made.dropped_in = 3
    assert line(made, 15.0, {}) == "frame 30  15.0 fps  3 dropped"


def test_a_line_tells_the_step_of_the_governor():
    made = progress()
    made.effort, made.effort_name = 2, "net at 3/4"
    assert line(made, 15.0, {}) == "frame 30/300  15.0 fps  eta 0:18  step 2: net at 3/4"


def test_a_line_and_a_summary_tell_the_flicker_once_it_is_known():
    made = progress()
    assert "flicker" not in summary(outcome(made))
    assert as_json(outcome(made))["flicker"] is None
    made.flicker.add(0.0004)
    assert line(made, 15.0, {"net": 20.0}) == "frame 30/300  15.0 fps  eta 0:18  flicker 0.0200  net 20.0 ms"
    assert "flicker 0.0200 (0 is none)" in summary(outcome(made))
    assert as_json(outcome(made))["flicker"] == 0.02


@pytest.mark.parametrize(("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (61, "1:01"), (3661, "1:01:01")])
def test_the_clock(seconds, text):
    assert clock(seconds) == text


def test_the_pace_is_that_of_the_last_looks():
    pace, made = Pace(), progress(painted=10, seconds=10.0)
    assert pace.look(made) == (1.0, {})
    made.painted, made.seconds = 20, 10.5
    made.stages.add("net", 0.5)
    fps, stages = pace.look(made)
    assert fps == 20
    assert stages == {"decode": 0, "net": 50}


def test_the_summary_says_everything(tmp_path):
    file = tmp_path / "out.mp4"
    file.write_bytes(bytes(1_500_000))
    made = progress(painted=30, seconds=2.0)
    made.lost, made.dropped_in, made.dropped_out = 2, 3, 4
    made.notes.append("padded")
    text = summary(outcome(made, str(file)))
    assert text.startswith("done\n")
    for part in (
        f"{file}  1.5 MB  64x48", "30 painted, 2 lost, 7 dropped", "1.00 s of video in 2.00 s",
        "15.0 fps, 0.50 x real time",
        "after 0.50 s", "decode 10.0 net 20.0 ms", "MB at the most", "note    padded", "udnie  strength 0.8",
    ):  # fmt: skip
        assert part in text
    assert len(text.splitlines()) < 24


def test_a_stopped_run_says_so():
    made = progress()
    made.stopped = True
    assert summary(outcome(made)).startswith("stopped\n")
    assert as_json(outcome(made))["stopped"] is True


def test_json_has_the_same_figures():
    told = as_json(outcome(progress()))
    assert (told["frames"], told["fps"], told["times_real_time"], told["bytes"]) == (30, 15.0, 0.5, None)
    assert told["stage_ms"] == {"decode": 10.0, "net": 20.0}
    assert told["peak_memory_bytes"] > 1e6


@pytest.mark.parametrize("form", ["{}", "file:{}", "file://{}"])
def test_the_size_of_a_file_by_any_name(tmp_path, form):
    (tmp_path / "out.mp4").write_bytes(bytes(7))
    assert file_size(form.format(tmp_path / "out.mp4")) == 7


@pytest.mark.parametrize("uri", ["window:", "rtmp://host/x", "/no/such/file"])
def test_what_is_no_file_has_no_size(uri):
    assert file_size(uri) is None


def test_what_a_live_run_went_through_is_told():
    made = progress()
    told = summary(outcome(made))
    for name in ("latency", "pacing", "effort", "unpainted", "back"):
        assert f"\n  {name} " not in told
    made.delay.add(0.040)
    made.held, made.surplus, made.skew = 3, 2, -0.012
    made.effort, made.effort_name, made.steps = 2, "net at 3/4", 5
    made.passed, made.failures = 12, 2
    made.source_returns, made.unsent = 1, 7
    told = summary(outcome(made))
    for part in (
        "latency 40 ms", "3 frames held, 2 too many, 0 ticks late, pictures -12 ms behind",
        "changed 5 times, at the end net at 3/4", "12 frames after 2 failures: mended", "input 1 times",
        "7 frames unsent",
    ):  # fmt: skip
        assert part in told
    found = as_json(outcome(made))
    assert found["latency_ms"] == {"p50": 40, "p95": 40}
    assert (found["effort"]["changes"], found["pacing"]["held"], found["audio_offset_ms"]) == (5, 3, -12)
    assert (found["unpainted"]["frames"], found["returns"]["unsent"]) == (12, 7)


def test_one_listener_tells_all():
    heard = []
    all_of(heard.append, heard.append)(progress())
    assert len(heard) == 2


def test_nothing_painted_divides_by_nothing():
    assert "0.0 fps" in summary(outcome(Progress(None)))


def test_lines_where_there_is_no_terminal(capsys, monkeypatch):
    monkeypatch.setattr(report, "LINE_SECONDS", 0.0)
    with display() as on_frame:
        on_frame(progress())
    told = capsys.readouterr()
    assert told.err.startswith("frame 30/300")
    assert told.out == ""


def test_quiet_says_nothing(capsys, monkeypatch):
    monkeypatch.setattr(report, "LINE_SECONDS", 0.0)
    with display(quiet=True) as on_frame:
        on_frame(progress())
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("total", [300, None])
def test_a_bar_on_a_terminal(monkeypatch, total):
    screen = io.StringIO()
    monkeypatch.setattr(report, "Console", lambda stderr: Console(file=screen, force_terminal=True, width=80))
    monkeypatch.setattr(report, "BAR_SECONDS", 0.0)
    with display() as on_frame:
        on_frame(progress(total=total))
        later = progress(painted=45, total=total, seconds=3.0)
        later.stages.add("net", 0.1)
        on_frame(later)
    assert "frame 45" in screen.getvalue()
    assert "net" in screen.getvalue()


def test_transfers_are_told_where_there_is_a_device():
    moved, made = Transfers(), progress(painted=10)
    assert "transfers" not in summary(outcome(made))
    assert as_json(outcome(made))["transfers"] is None
    assert "  transfers 0 B up, 0 B down a frame" in summary(outcome(made, transfers=moved))
    moved.add(to_device=3500, to_host=13_824_000)
    assert "  transfers 350 B up, 1.4 MB down a frame" in summary(outcome(made, transfers=moved))
    assert as_json(outcome(made, transfers=moved))["transfers"] == {
        "to_device_bytes": 3500,
        "to_host_bytes": 13_824_000,
    }
    assert "0 B up" in summary(outcome(progress(painted=0), transfers=Transfers()))
