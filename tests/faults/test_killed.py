"""Killed, out of room, asked to stop: what was written plays, and is gone on with or not believed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from .conftest import watch

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL here")

PROGRAM = "import sys; from allaprima.realtime.cli import main; sys.exit(main())"
SLOWLY = """
import time
from allaprima.realtime.stylizer import Stylizer
finish = Stylizer.finish
Stylizer.finish = lambda self, rendered: (time.sleep(0.016), finish(self, rendered))[1]
"""
CRAMPED = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))
"""
FRAMES = 200
PATIENCE = 60
LONG = os.environ.get("FAULTS_LONG") == "1"
SEEDS = range(12 if LONG else 1)
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(tiny_bundle: Path) -> Iterator[Start]:
    """Starts the command; whatever runs at the end of the test is killed."""
    running: list[subprocess.Popen[str]] = []

    def run(*words: object, prelude: str = SLOWLY) -> "subprocess.Popen[str]":
        command = [sys.executable, "-c", prelude + PROGRAM, "run", *map(str, words), "--bundle", str(tiny_bundle), "-q"]
        running.append(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return running[-1]

    yield run
    for process in running:
        process.kill()
        process.communicate()


def end(process: "subprocess.Popen[str]") -> tuple[int, str]:
    told = process.communicate(timeout=PATIENCE)[1]
    assert "Traceback" not in told
    return process.returncode, told


def wait_for(files: Callable[[], Iterator[Path]], size: int, process: Any) -> None:
    """Until one of the files has so many bytes, or the process has ended."""
    until = time.monotonic() + PATIENCE
    while process.poll() is None and time.monotonic() < until:
        if any(file.exists() and file.stat().st_size >= size for file in files()):
            return
        time.sleep(0.005)


def pictures(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="gray") for frame in container.decode(video=0)]


def parts_of(out: Path) -> list[Path]:
    return sorted(out.with_name(f".{out.name}.parts").glob("0*"))


@pytest.fixture(scope="module")
def given(clip: Any) -> Path:
    return Path(clip("given.mkv", FRAMES))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_film_that_is_killed_goes_on_and_is_the_film_of_one_run(
    given: Path, start: Start, tmp_path: Path, seed: int
) -> None:
    numbers, out, whole = random.Random(seed), tmp_path / "out.mp4", tmp_path / "whole.mp4"
    alone = start(given, whole, prelude="")
    for number in (signal.SIGKILL, (signal.SIGTERM, signal.SIGKILL)[seed % 2]):
        known = parts_of(out)
        process = start(given, out, "--resume")
        own = lambda known=known: iter(part for part in parts_of(out) if part not in known)  # noqa: E731
        wait_for(own, numbers.randrange(12_000, 30_000), process)
        time.sleep(numbers.random() / 3)
        process.send_signal(number)
        code, _ = end(process)
        assert code in ((-signal.SIGKILL,) if number == signal.SIGKILL else (130,))
        assert not out.exists()
        for part in parts_of(out):
            if part.stat().st_size > 20_000:
                assert len(pictures(part)) > 0
    last = start(given, out, "--resume", "--json", prelude="")
    told = last.communicate(timeout=PATIENCE)[0]
    assert last.returncode == end(alone)[0] == 0
    figures = json.loads(told)
    assert figures["resumed"] > 0
    assert figures["resumed"] + figures["frames"] == FRAMES
    assert sorted(file.name for file in tmp_path.iterdir()) == ["out.mp4", "whole.mp4"]
    one, other = watch(out), watch(whole)
    assert one.times == other.times
    assert len(one.times) == FRAMES
    assert one.sound == other.sound
    assert one.sound_times == other.sound_times
    worst = max(np.abs(a.astype(int) - b).mean() for a, b in zip(pictures(out), pictures(whole), strict=True))
    assert worst < 3, "pictures differ by more than the encoder's choice of key frames"


def test_without_resume_nothing_half_written_is_believed(given: Path, start: Start, tmp_path: Path) -> None:
    out = tmp_path / "out.mp4"
    process = start(given, out)
    wait_for(lambda: tmp_path.glob(".*.part"), 1, process)
    time.sleep(0.4)
    process.kill()
    assert end(process)[0] == -signal.SIGKILL
    assert not out.exists()
    assert end(start(given, out, prelude=""))[0] == 0
    assert len(watch(out).times) == FRAMES
    before = out.read_bytes()
    again = start(given, out, "--overwrite")
    wait_for(lambda: tmp_path.glob(".*.part"), 1, again)
    again.kill()
    end(again)
    assert out.read_bytes() == before


@pytest.mark.parametrize("resume", [False, True])
def test_a_full_disk_is_an_error_and_leaves_no_film(given: Path, start: Start, tmp_path: Path, resume: bool) -> None:
    """A file may not grow beyond 30 kB: a disk without room, as far as a program can tell."""
    pytest.importorskip("resource")
    out, words = tmp_path / "out.mp4", ["--resume"] if resume else []
    code, told = end(start(given, out, *words, prelude=CRAMPED))
    assert code == 4
    assert "error: cannot" in told
    assert not out.exists()
    assert [file.name for file in tmp_path.iterdir()] == ([".out.mp4.parts"] if resume else [])
    assert end(start(given, out, *words, prelude=""))[0] == 0
    assert len(watch(out).times) == FRAMES
    assert list(tmp_path.iterdir()) == [out]
