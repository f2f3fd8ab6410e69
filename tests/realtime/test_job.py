"""Whole runs that something happens to: killed, cut off, too fast, without a receiver."""

import io
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import av
import cv2
import numpy as np
import pytest

from allaprima.realtime.cli import main
from allaprima.realtime.config import Config
from allaprima.realtime.errors import BackendError
from allaprima.realtime.job import Job
from allaprima.realtime.sinks.resume import Part
from allaprima.realtime.steering import Stop
from allaprima.realtime.stylizer import Stylizer

COUNT = 200
PATIENCE = 60
SLOW = """
import sys, time
from allaprima.realtime.cli import main
from allaprima.realtime.stylizer import Stylizer
render = Stylizer.render
Stylizer.render = lambda self, seen: (time.sleep(0.01), render(self, seen))[1]
sys.exit(main())
"""
SENDER = """
import sys, time, av, numpy as np
with av.open(sys.argv[1], "w", format="mpegts") as out:
    stream = out.add_stream("libx264", rate=50, options={"tune": "zerolatency", "g": "10"})
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    for index in range(1000):
        frame = av.VideoFrame.from_ndarray(np.full((72, 64), 16 + index % 200, np.uint8), "yuv420p")
        frame.pts = index
        out.mux(stream.encode(frame))
        time.sleep(0.02)
"""


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Eight seconds with sound."""
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as out:
        video: Any = out.add_stream("libx264", rate=25, options={"preset": "ultrafast", "g": "25"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio: Any = out.add_stream("aac", rate=8000)
        audio.layout = "mono"
        clock = 0
        for index in range(COUNT):
            planes = np.roll(np.random.default_rng(5).integers(40, 200, (72, 64), np.uint8), index, 1)
            frame = av.VideoFrame.from_ndarray(planes, "yuv420p")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            out.mux(video.encode(frame))
            while clock < (index + 1) * 320:
                wave = (8000 * np.sin(np.arange(clock, clock + 1024) / 9)).astype(np.int16)[None]
                sound = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
                sound.sample_rate, sound.pts, sound.time_base = 8000, clock, Fraction(1, 8000)
                out.mux(audio.encode(sound))
                clock += 1024
        out.mux(video.encode(None))
        out.mux(audio.encode(None))
    return path


def times(path: Path) -> list[Fraction]:
    with av.open(str(path)) as container:
        return [Fraction(f.pts or 0) * Fraction(f.time_base or 0) for f in container.decode(video=0)]


def sound(path: Path) -> list[tuple[int | None, bytes]]:
    with av.open(str(path)) as container:
        return [(packet.pts, bytes(packet)) for packet in container.demux(audio=0) if packet.size]


def start(program: str, *words: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", program, *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )


def until(true: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def told(capsys: pytest.CaptureFixture[str], *words: object, code: int = 0) -> dict[str, Any]:
    assert main(["run", *map(str, words), "--json"]) == code
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


# ---- gone on with ----


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no kill -9 here")
@pytest.mark.parametrize("name", ["out.mp4", "out.mkv"])
def test_a_run_that_is_killed_is_gone_on_with_and_nothing_is_missing(
    clip: Path, tmp_path: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    out, plain, own = tmp_path / name, tmp_path / f"plain-{name}", ["--bundle", tiny_bundle]
    process = start(SLOW, "run", clip, out, *own, "--resume", "-q")
    part = tmp_path / f".{name}.parts" / "0001.begun"
    until(lambda: part.exists() and Part.of(part).frames >= 50)
    process.kill()
    process.wait()
    assert not out.exists()
    shown = len(times(part))
    assert shown >= 50, "what is written plays"
    result = told(capsys, clip, out, *own, "--resume")
    assert result["resumed"] >= 50
    assert result["frames"] == COUNT - result["resumed"]
    told(capsys, clip, plain, *own)
    assert times(out) == times(plain)
    assert len(times(out)) == COUNT
    assert sound(out) == sound(plain)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([clip.name, name, plain.name])


def test_a_run_that_is_stopped_keeps_its_parts(clip: Path, tmp_path: Path, tiny_bundle: Path) -> None:
    stop = Stop()
    config = Config(bundle=tiny_bundle, resume=True)
    work = Job(str(clip), str(tmp_path / "out.mp4"), config, stop)
    outcome = work.paint(lambda progress: stop.event.set() if progress.painted == 60 else None)
    assert outcome.progress.painted == 60
    assert any("60 frames are kept" in note for note in outcome.progress.notes)
    outcome = Job(str(clip), str(tmp_path / "out.mp4"), config, Stop()).paint(lambda progress: None)
    assert (outcome.progress.resumed, outcome.progress.painted) == (60, COUNT - 60)
    assert len(times(tmp_path / "out.mp4")) == COUNT


def test_a_run_is_not_gone_on_with_in_another_style(clip: Path, tmp_path: Path, tiny_bundle: Path) -> None:
    stop = Stop()
    words = ["run", str(clip), str(tmp_path / "out.mp4"), "--bundle", str(tiny_bundle), "--resume", "-q"]
    work = Job(words[1], words[2], Config(bundle=tiny_bundle, resume=True), stop)
    work.paint(lambda progress: stop.event.set())
    assert main([*words, "--style", "dark"]) == 4
    assert main(words) == 0


# ---- painting that fails ----


def test_on_error_pass_lets_frames_of_a_file_through(
    clip: Path, tmp_path: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    render, out = Stylizer.render, tmp_path / "out.mp4"

    def broken(self: Any, seen: Any) -> Any:
        if seen.frame.index == 10:
            raise BackendError("the device is on fire")
        return render(self, seen)

    monkeypatch.setattr(Stylizer, "render", broken)
    assert main(["run", str(clip), str(out), "--bundle", str(tiny_bundle), "-q"]) == 6
    assert not out.exists()
    result = told(capsys, clip, out, "--bundle", tiny_bundle, "--on-error", "pass")
    passed = result["unpainted"]["frames"]
    assert passed >= 1
    assert result["frames"] == COUNT - passed
    assert len(times(out)) == COUNT


# ---- inputs ----


def test_a_file_that_grows_is_painted_to_its_end(
    clip: Path, tmp_path: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, growing, out = tmp_path / "whole.ts", tmp_path / "growing.ts", tmp_path / "out.mp4"
    assert main(["run", str(clip), "null:", "--frames", "1", "-q", "--bundle", str(tiny_bundle)]) == 0
    with av.open(str(clip)) as source, av.open(str(whole), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    data = whole.read_bytes()
    growing.write_bytes(data[: len(data) // 2])

    def write() -> None:
        time.sleep(1)
        with growing.open("ab") as file:
            file.write(data[len(data) // 2 :])

    thread = threading.Thread(target=write)
    thread.start()
    result = told(capsys, growing, out, "--bundle", tiny_bundle, "--follow", "2")
    thread.join()
    assert result["frames"] == COUNT


@pytest.fixture
def children() -> Iterator[list[subprocess.Popen[bytes]]]:
    running: list[subprocess.Popen[bytes]] = []
    yield running
    for child in running:
        child.kill()
        child.wait()


def test_a_sender_that_comes_back_is_painted_on(
    tiny_bundle: Path,
    capsys: pytest.CaptureFixture[str],
    children: list[subprocess.Popen[bytes]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url = "udp://127.0.0.1:39251"
    monkeypatch.setattr("allaprima.realtime.sources.media.NETWORK_TIMEOUT_SECONDS", 3)
    children.append(start(SENDER, f"{url}?pkt_size=1316"))

    def cut() -> None:
        children[0].kill()
        time.sleep(4.5)  # longer than a silent line is given
        children.append(start(SENDER, f"{url}?pkt_size=1316"))

    timer = threading.Timer(4, cut)
    timer.start()
    result = told(capsys, url, "null:", "--bundle", tiny_bundle, "--reconnect", "30", "--frames", "300")
    timer.join()
    assert result["frames"] + sum(result["dropped"].values()) == 300
    assert "the source was lost and came back once" in result["notes"]
    assert result["returns"]["input"] == 1


def test_a_recording_ends_with_its_input(tiny_bundle: Path, children: list[subprocess.Popen[bytes]]) -> None:
    """Nobody watches a null: or a file, so nobody waits."""
    children.append(start(SENDER.replace("range(1000)", "range(60)"), "tcp://127.0.0.1:39252?listen=1"))
    deadline = time.monotonic() + PATIENCE
    code = 3
    while code == 3 and time.monotonic() < deadline:
        code = main(["run", "tcp://127.0.0.1:39252", "null:", "--bundle", str(tiny_bundle), "-q"])
    assert code == 9


# ---- outputs at a steady pace ----


def test_a_network_output_gets_equal_steps_at_the_rate_that_was_asked_for(
    tiny_bundle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    got = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                while data := connection.recv(65536):
                    got.extend(data)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        result = told(
            capsys, "test:landscape?size=64x48&rate=25&frames=50&live=1",
            f"tcp://127.0.0.1:{listener.getsockname()[1]}", "--bundle", tiny_bundle, "--fps", "20",
        )  # fmt: skip
        thread.join(5)
    with av.open(io.BytesIO(bytes(got)), format="mpegts") as container:
        stamps = [f.pts for f in container.decode(video=0) if f.pts is not None]
    steps = {b - a for a, b in pairwise(stamps)}
    assert all(step % 4500 == 0 for step in steps), "on a grid of 20 a second"
    assert sorted(steps)[0] == 4500
    assert result["pacing"]["surplus"] >= 8, "25 a second are more than 20"


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["--fps", "10"], "--fps is for live streams"),
        (["--max-latency", "0.2"], "--max-latency is for live streams"),
        (["--resume", "--mode", "live"], "--resume is for files"),
        (["--reconnect", "-1"], "reconnect must be 0 or more"),
        (["--follow", "0"], "follow must be above 0"),
        (["--on-error", "ignore"], "on-error"),
        (["--slate", "missing.png"], "missing.png"),
    ],
)
def test_what_cannot_be_is_refused(
    clip: Path, tmp_path: Path, tiny_bundle: Path, capsys: pytest.CaptureFixture[str], words: list[str], what: str
) -> None:
    assert main(["run", str(clip), str(tmp_path / "out.mp4"), "--bundle", str(tiny_bundle), *words]) in (2, 3, 4)
    assert what in capsys.readouterr().err
    assert not (tmp_path / "out.mp4").exists()


def test_a_slate_has_the_size_of_the_input(clip: Path, tmp_path: Path, tiny_bundle: Path, tiny: ModuleType) -> None:
    picture = tmp_path / "slate.png"
    cv2.imwrite(str(picture), np.full((100, 300, 3), 200, np.uint8))
    work = Job(str(clip), "null:", Config(bundle=tiny_bundle, slate=picture), Stop())
    slate = work._manner.slate
    work.close()
    assert slate is not None
    assert slate.size == (64, 48)
    assert int(np.ptp(slate.planes[0])) <= 2
    assert slate.planes[0][0, 0] == pytest.approx(16 + 200 * 219 / 255, abs=2)
