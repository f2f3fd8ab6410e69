"""Streams that do not wait: UDP, HTTP, a pipe, and SRT through a stand-in for ffmpeg."""

import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from allaprima.realtime.errors import SourceError, SourceLost
from allaprima.realtime.sources import media, open_source, srt
from allaprima.realtime.sources.request import Request

from .clips import luma

Clip = Callable[..., str]
Stand = Callable[..., None]


def open_pipe(path: str, **wishes: Any) -> Any:
    return media.open_stream(io.BytesIO(Path(path).read_bytes()), "pipe", Request(**wishes))


@pytest.fixture
def feed(clip: Clip) -> str:
    return clip("feed.ts", frames=50, audio=True, options={"g": "10", "tune": "zerolatency"})


def test_a_live_stream_that_ends_is_lost(feed: str) -> None:
    frames = []
    with open_pipe(feed) as source:
        assert source.info.live
        with pytest.raises(SourceLost, match="pipe: the stream ended"):
            frames.extend(source)
    assert len(frames) == 50
    assert sum(len(frame.side) for frame in frames) > 5
    assert [frame.index for frame in frames] == list(range(50))


@pytest.mark.parametrize(("wishes", "count"), [({"frames": 7}, 7), ({"end": 0.4}, 10), ({"start": 0.4, "end": 1}, 15)])
def test_a_part_of_a_live_stream(feed: str, wishes: dict[str, Any], count: int) -> None:
    with open_pipe(feed, **wishes) as source:
        frames = list(source)
    assert len(frames) == count
    if "start" in wishes:
        assert frames[0].pts == 0


def test_joining_in_the_middle_waits_for_a_whole_picture(clip: Clip) -> None:
    data = Path(clip("gops.ts", frames=60, options={"g": "20", "bf": "0"})).read_bytes()
    places = [n for n in range(0, len(data), 188) if data[n + 1] & 0x5F == 0x41]  # a picture of stream 0x100 begins
    with media.open_stream(io.BytesIO(data[: 188 * 3] + data[places[7] :]), "pipe", Request()) as source:
        frame = next(iter(source))
        assert int(frame.planes[0].max()) - int(frame.planes[0].min()) <= 2
        assert frame.planes[0].mean() == pytest.approx(luma(20), abs=1)


def test_a_live_frame_does_not_wait_for_the_next(feed: str) -> None:
    class Slow:
        """Gives half of the file, then refuses to be read further."""

        def __init__(self) -> None:
            self.left = Path(feed).read_bytes()
            self.allowed = len(self.left) // 2

        def read(self, size: int) -> bytes:
            assert self.allowed > 0, "read too far"
            part, self.left = self.left[:size], self.left[size:]
            self.allowed -= size
            return part

    slow = Slow()
    with media.open_stream(slow, "pipe", Request()) as source:
        next(iter(source))
        slow.allowed = 0


def test_stop_makes_an_orderly_end(feed: str) -> None:
    with open_pipe(feed) as source:
        for frame in source:
            if frame.index == 3:
                source.stop()
    assert frame.index <= 5


# The network

SENDER = """
import sys, time, av, numpy as np
with av.open(sys.argv[1], "w", format="mpegts") as out:
    stream = out.add_stream("libx264", rate=50, options={"tune": "zerolatency", "g": "10"})
    stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
    for index in range(int(sys.argv[2])):
        frame = av.VideoFrame.from_ndarray(np.full((72, 64), 16 + index, np.uint8), "yuv420p")
        frame.pts = index
        out.mux(stream.encode(frame))
        time.sleep(0.02)
"""


@pytest.fixture
def start() -> Iterator[Callable[..., None]]:
    children = []

    def run(*words: str) -> None:
        children.append(
            subprocess.Popen([sys.executable, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )

    yield run
    for child in children:
        child.kill()
        child.wait()


def test_udp(start: Callable[..., None]) -> None:
    start("-c", SENDER, "udp://127.0.0.1:39218?pkt_size=1316", "200")
    with open_source("udp://127.0.0.1:39218") as source:
        assert source.info.live
        assert source.info.size == (64, 48)
        frames = []
        for frame in source:
            frames.append(frame)
            if len(frames) == 20:
                source.stop()
    assert len(frames) >= 20
    assert [f.pts for f in frames] == sorted({f.pts for f in frames})


def test_tcp_waits_for_its_caller_and_is_lost_with_it(start: Callable[..., None]) -> None:
    start("-c", f"import time; time.sleep(0.3)\n{SENDER}", "tcp://127.0.0.1:39220", "40")
    frames = []
    with open_source("tcp://127.0.0.1:39220?listen=1") as source:
        assert source.info.live
        with pytest.raises(SourceLost):
            frames.extend(source)
    assert len(frames) == 40


def test_http(start: Callable[..., None], clip: Clip) -> None:
    path = Path(clip(frames=20, mux={"movflags": "faststart"}))
    start("-m", "http.server", "--bind", "127.0.0.1", "--directory", str(path.parent), "39219")
    url = "http://127.0.0.1:39219"
    for _ in range(50):
        try:
            source = open_source(f"{url}/{path.name}")
            break
        except SourceError:
            time.sleep(0.1)
    with source:
        assert not source.info.live
        assert len(list(source)) == 20
    with pytest.raises(SourceError, match="404"):
        open_source(f"{url}/none.mp4")


# SRT


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stand:
    """Puts a program called ffmpeg, made of Python lines, into an otherwise empty PATH."""

    def install(body: str, protocols: str = "srt") -> None:
        folder = tmp_path / "bin"
        folder.mkdir()
        head = f"#!{sys.executable} -S\nimport os, sys, time, signal\nif '-protocols' in sys.argv:\n"
        (folder / "ffmpeg").write_text(f"{head}    print('Input:\\n  file\\n  {protocols}')\n    sys.exit()\n{body}\n")
        (folder / "ffmpeg").chmod(0o755)
        monkeypatch.setenv("PATH", str(folder))

    return install


def test_srt_without_ffmpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SourceError, match="needs the program ffmpeg") as caught:
        open_source("srt://127.0.0.1:9000?passphrase=secret")
    assert "Install ffmpeg" in caught.value.hint
    assert "secret" not in str(caught.value)


def test_srt_without_libsrt(stand_in: Stand) -> None:
    stand_in("", protocols="udp")
    with pytest.raises(SourceError, match="without SRT"):
        open_source("srt://127.0.0.1:9000")


def test_srt(stand_in: Stand, feed: str) -> None:
    stand_in(f"assert 'srt://host:9000' in sys.argv\nsys.stdout.buffer.write(open({feed!r}, 'rb').read())")
    frames = []
    with open_source("srt://host:9000") as source:
        assert source.info.live
        with pytest.raises(SourceLost):
            frames.extend(source)
    assert len(frames) == 50


def test_srt_nobody_there(stand_in: Stand) -> None:
    stand_in("print('[srt] Connection to srt://host:9000 failed: I/O error', file=sys.stderr); sys.exit(1)")
    with pytest.raises(SourceError, match=r"Connection to .* failed") as caught:
        open_source("srt://host:9000")
    assert caught.value.hint


def test_the_child_is_always_ended(stand_in: Stand, feed: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(srt, "END_SECONDS", 0.2)
    pid = tmp_path / "pid"
    stand_in(
        f"signal.signal(signal.SIGTERM, signal.SIG_IGN)\nopen({str(pid)!r}, 'w').write(str(os.getpid()))\n"
        f"sys.stdout.buffer.write(open({feed!r}, 'rb').read()); sys.stdout.flush(); time.sleep(60)"
    )
    begin = time.monotonic()
    with open_source("srt://host:9000") as source:
        next(iter(source))
    assert time.monotonic() - begin < 5
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_stop_ends_a_silent_srt_stream(stand_in: Stand, feed: str) -> None:
    stand_in(f"sys.stdout.buffer.write(open({feed!r}, 'rb').read()); sys.stdout.flush(); time.sleep(60)")
    begin = time.monotonic()
    with open_source("srt://host:9000") as source:
        for frame in source:
            if frame.index == 20:
                source.stop()
    assert time.monotonic() - begin < 5
