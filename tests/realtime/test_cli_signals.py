"""Ctrl-C, from another process."""

import signal
import subprocess
import sys
import time

import av
import pytest

PROGRAM = "import sys; from allaprima.realtime.cli import main; sys.exit(main())"
LONG = "test:landscape?size=64x48&frames=100000"
PATIENCE = 60
STOPPED_EARLY = """
import signal
from allaprima.realtime.sources.test import TestSource
play = TestSource._play
def waits(self):
    signal.raise_signal(signal.SIGINT)  # a thread's signal is the main thread's
    self._stopped.wait(20)
    yield from play(self)
TestSource._play = waits
"""


def start(*words):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "run", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_until_it_paints(process):
    """Until it tells how far it is; the file exists a little earlier, without a frame."""
    for told in process.stderr:
        if told.startswith("frame "):
            return
    pytest.fail("it ended before it painted")


def finish(process):
    out, err = process.communicate(timeout=PATIENCE)
    assert "Traceback" not in err
    return process.returncode, out, err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_once_finishes_the_file(tmp_path, number):
    out = tmp_path / "out.mp4"
    process = start(LONG, out)
    wait_until_it_paints(process)
    process.send_signal(number)
    code, told, err = finish(process)
    assert code == 130
    assert told.startswith("stopped\n")
    assert "stopping" in err
    with av.open(str(out)) as container:
        painted = sum(1 for _ in container.decode(video=0))
    assert f"frames  {painted} painted" in told
    assert list(tmp_path.iterdir()) == [out]


def test_json_says_that_it_was_stopped(tmp_path):
    process = start(LONG, tmp_path / "out.mp4", "--json")
    wait_until_it_paints(process)
    process.send_signal(signal.SIGINT)
    code, told, _ = finish(process)
    assert code == 130
    assert '"stopped": true' in told
    assert len(told.splitlines()) == 1


def test_before_the_first_frame_there_is_no_file(tmp_path):
    words = ["run", LONG, str(tmp_path / "out.mp4"), "--json"]
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED_EARLY + PROGRAM, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    code, told, err = finish(process)
    assert code == 130
    assert "stopped at once" in err
    assert '"ok": false' in told
    assert list(tmp_path.iterdir()) == []


def test_twice_stops_at_once_and_leaves_nothing(tmp_path):
    process = start(LONG, tmp_path / "out.mp4")
    wait_until_it_paints(process)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    code, _, _ = finish(process)
    assert code in (130, -signal.SIGINT)  # the second may meet an interpreter that is closing; shells call both 130
    assert [file.name for file in tmp_path.iterdir() if file.name != "out.mp4"] == []


def test_twice_while_the_file_is_being_finished(tmp_path):
    """The slowest of ends: a sink that sleeps while it finishes."""
    slow = (
        "import time; from allaprima.realtime.sinks.mux import Muxer;"
        "finish = Muxer.finish; Muxer.finish = lambda self: (time.sleep(20), finish(self));"
    )
    words = ["run", LONG, str(tmp_path / "out.mp4")]
    process = subprocess.Popen([sys.executable, "-c", slow + PROGRAM, *words], stderr=subprocess.PIPE, text=True)
    wait_until_it_paints(process)
    process.send_signal(signal.SIGINT)
    time.sleep(0.7)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert time.monotonic() - began < 10
    assert "stopped at once" in err
    assert list(tmp_path.iterdir()) == []
