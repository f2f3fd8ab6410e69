"""Live sources that go away and come back: over UDP and TCP with real senders, and in detail with made-up ones."""

import itertools
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from allaprima.realtime.errors import SourceError, SourceLost
from allaprima.realtime.frame import Color, Frame, StreamInfo
from allaprima.realtime.sinks.side import SideStreams
from allaprima.realtime.sources import media, open_source, reconnect
from allaprima.realtime.sources.reconnect import Reconnecting, durable
from allaprima.realtime.sources.request import Request

pytestmark = pytest.mark.usefixtures("no_thread_left")

TICK = Fraction(1, 25)
LIMITED, FULL = Color(1, 1, 1, 1), Color(1, 1, 1, 2)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconnect, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(reconnect, "LONGEST_PAUSE", 0.1)
    monkeypatch.setattr(media, "NETWORK_TIMEOUT_SECONDS", 1.5)


class Camera:
    """Gives frames ``(index, size, color)`` and is then unplugged."""

    def __init__(self, count: int, *, color: Color = LIMITED, first: int = 0, error: bool = True) -> None:
        self.info = StreamInfo("camera", (32, 16), TICK, Fraction(25), True, color)
        self.lost, self.notes = 2, ["a note"]
        self.closed = self.stopped = False
        self._count, self._first, self._color, self._error = count, first, color, error

    def __enter__(self) -> "Camera":
        return self

    def __exit__(self, *_: object) -> None:
        self.closed = True

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self._count):
            if self.stopped:
                return
            planes = tuple(np.full(shape, 100, np.uint8) for shape in ((16, 32), (8, 16), (8, 16)))
            yield Frame(planes, (32, 16), self._first + index, TICK, index, self._color, duration=1)
        if self._error and not self.stopped:
            raise SourceLost("unplugged")

    def stop(self) -> None:
        self.stopped = True


def plug(*cameras: Any, patience: float = 5.0, **wishes: Any) -> tuple[Reconnecting, list[Request]]:
    """The first is open; the others follow when it is opened again.  An exception stands for a failed attempt."""
    waiting, asked = list(cameras[1:]), []

    def again(request: Request) -> Any:
        asked.append(request)
        following = waiting.pop(0) if waiting else SourceError("no such camera")
        if isinstance(following, Exception):
            raise following
        return following

    return Reconnecting(cameras[0], again, patience, Request(**wishes)), asked


def test_a_camera_that_is_unplugged_and_comes_back_goes_on_later() -> None:
    cameras = [Camera(3, first=50), SourceError("no such camera"), Camera(4, first=500, error=False)]
    source, asked = plug(*cameras)
    began = time.monotonic()
    with source:
        frames = list(source)
    assert [f.index for f in frames] == list(range(7))
    assert [f.pts for f in frames[:3]] == [50, 51, 52]
    gap = (frames[3].pts - frames[2].pts) / 25
    assert 0.04 <= gap <= time.monotonic() - began + 0.04
    assert [f.pts - frames[3].pts for f in frames[3:]] == [0, 1, 2, 3]
    assert (source.returns, source.away, source.lost) == (1, False, 4)
    assert source.notes == ["a note", "the source was lost and came back once"]
    assert len(asked) == 2
    assert all(camera.closed for camera in (cameras[0], cameras[2]))


def test_it_is_given_up_after_the_patience() -> None:
    source, asked = plug(Camera(2), patience=0.3)
    frames = []
    with source, pytest.raises(SourceLost, match="unplugged"):
        frames.extend(source)
    assert len(frames) == 2
    assert 3 <= len(asked) <= 8
    assert (source.away, source.lost) == (True, 2)


def test_without_patience_it_is_lost_at_once() -> None:
    source, asked = plug(Camera(2), Camera(2), patience=0)
    with source, pytest.raises(SourceLost):
        list(source)
    assert asked == []


def test_stop_ends_the_waiting() -> None:
    source, _ = plug(Camera(1), patience=60)
    threading.Timer(0.15, source.stop).start()
    began = time.monotonic()
    with source:
        assert len(list(source)) == 1
    assert time.monotonic() - began < 2
    assert source.away


def test_pauses_grow_up_to_the_longest() -> None:
    tried: list[float] = []

    def again(request: Request) -> Any:
        tried.append(time.monotonic())
        raise SourceError("no")

    with Reconnecting(Camera(1), again, 0.6) as source, pytest.raises(SourceLost):
        list(source)
    gaps = np.diff(tried)
    assert gaps[0] < 0.08
    assert gaps[-1] == pytest.approx(0.1, abs=0.05)


def test_what_comes_back_is_asked_for_the_first_size_and_for_what_is_left() -> None:
    source, asked = plug(Camera(10), Camera(10, error=False), frames=25, end=2.0)
    with source:
        list(source)
    assert (asked[0].size, asked[0].frames) == ((32, 16), 15)
    assert asked[0].end == pytest.approx(2.0 - 9 / 25)


def test_what_comes_back_in_another_color_coding_is_converted() -> None:
    source, _ = plug(Camera(1), Camera(1, color=FULL, error=False))
    with source:
        before, after = list(source)
    assert before.color == after.color == LIMITED
    assert int(after.planes[0][0, 0]) == round(16 + 100 * 219 / 255)
    assert int(before.planes[0][0, 0]) == 100
    assert [p.shape for p in after.planes] == [p.shape for p in before.planes]


# ---- sound ----


def test_side_streams_are_kept_beyond_their_source(clip: Callable[..., str]) -> None:
    with av.open(clip("sound.ts", frames=30, audio=True)) as container:
        stream = container.streams.audio[0]
        packets = [p for p in container.demux(stream) if p.size]
        kept, (copy,) = durable([stream])
        assert copy.index == stream.index == packets[0].stream_index
    with av.open("/dev/null", "w", format="mp4") as out:
        side = SideStreams(out, [copy], "mp4")
        assert side.notes == []
        assert len(list(side.convert(packets))) == len(packets)
    kept.close()


# ---- real senders ----

SENDER = """
import sys, time, av, numpy as np
url, count, side, rate = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), 50
with av.open(url, "w", format="mpegts") as out:
    stream = out.add_stream("libx264", rate=rate, options={"tune": "zerolatency", "g": "10"})
    stream.width, stream.height, stream.pix_fmt = side, 48, "yuv420p"
    sound = out.add_stream("aac", rate=8000)
    sound.layout = "mono"
    clock = 0
    for index in range(count):
        frame = av.VideoFrame.from_ndarray(np.full((72, side), 16 + index % 200, np.uint8), "yuv420p")
        frame.pts = index
        out.mux(stream.encode(frame))
        while clock < index * 8000 / rate:
            piece = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.int16), format="s16", layout="mono")
            piece.sample_rate, piece.pts = 8000, clock
            out.mux(sound.encode(piece))
            clock += 1024
        time.sleep(0.02)
"""

Start = Callable[..., None]


@pytest.fixture
def children() -> Iterator[list[subprocess.Popen[bytes]]]:
    running: list[subprocess.Popen[bytes]] = []
    yield running
    kill(running)


def kill(children: list[subprocess.Popen[bytes]]) -> None:
    for child in children:
        child.kill()
        child.wait()


@pytest.fixture
def start(children: list[subprocess.Popen[bytes]]) -> Start:
    def run(*words: object) -> None:
        command = [sys.executable, "-c", SENDER, *map(str, words)]
        children.append(subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))

    return run


def reconnecting(url: str, patience: float = 20) -> Reconnecting:
    def again(request: Request) -> Any:
        return open_source(url, size=request.size, frames=request.frames, again=True)

    return Reconnecting(open_source(url), again, patience)


@pytest.mark.parametrize("url", ["udp://127.0.0.1:39231", "tcp://127.0.0.1:39232?listen=1"])
def test_a_sender_that_is_killed_and_started_again(
    url: str, start: Start, children: list[subprocess.Popen[bytes]]
) -> None:
    target = url.partition("?")[0] + ("?pkt_size=1316" if url.startswith("udp") else "")
    if "listen" in url:
        threading.Timer(0.3, start, (target, 1000, 64)).start()
    else:
        start(target, 1000, 64)
    frames: list[Frame] = []
    returned = 0
    with reconnecting(url) as source:
        assert source.info.size == (64, 48)
        sounds = set()
        for frame in source:
            frames.append(frame)
            sounds |= {(source.returns, packet.stream_index) for packet in frame.side}
            if len(frames) == 30:
                kill(children)
                threading.Timer(2.2, start, (target, 1000, 96)).start()  # later than a silent line is given up
            returned += source.returns > 0
            if returned == 30:
                source.stop()
    assert source.returns == 1
    assert {f.size for f in frames} == {(64, 48)}, "it came back at another size"
    assert all(a.time < b.time for a, b in itertools.pairwise(frames))
    steps = [b.time - a.time for a, b in itertools.pairwise(frames)]
    assert 0.2 < max(steps) < 8, "as much later as it was away"
    assert {index for _, index in sounds} == {1}
    assert {returns for returns, _ in sounds} == {0, 1}, "sound before and after"


# ---- files that grow ----


def grow(clip: Callable[..., str], tmp_path: Any, name: str, **more: Any) -> tuple[str, threading.Thread]:
    """A file of two halves, the second of which comes while the first is read."""
    whole = Path(clip(name, frames=60, **more)).read_bytes()
    path = tmp_path / f"growing-{name}"
    path.write_bytes(whole[: len(whole) // 2])

    def write() -> None:
        with path.open("ab") as file:
            for place in range(len(whole) // 2, len(whole), 2000):
                time.sleep(0.01)
                file.write(whole[place : place + 2000])
                file.flush()

    thread = threading.Thread(target=write)
    thread.start()
    return str(path), thread


@pytest.mark.parametrize(
    ("name", "more"), [("a.ts", {}), ("a.mkv", {}), ("a.mp4", {"mux": {"movflags": "frag_keyframe+empty_moov"}})]
)
def test_a_file_that_grows_is_read_to_its_end(
    clip: Callable[..., str], tmp_path: Any, name: str, more: dict[str, Any]
) -> None:
    path, thread = grow(clip, tmp_path, name, options={"g": "10"}, audio=True, **more)
    with open_source(path, follow=0.4) as source:
        assert not source.info.live
        frames = list(source)
    thread.join()
    assert len(frames) == 60
    assert sum(len(frame.side) for frame in frames) > 10


def test_following_can_be_stopped(clip: Callable[..., str], tmp_path: Any) -> None:
    path, thread = grow(clip, tmp_path, "a.ts", options={"g": "10"})
    thread.join()
    began = time.monotonic()
    with open_source(path, follow=30) as source:
        for frame in source:
            if frame.index == 20:
                threading.Timer(0.1, source.stop).start()
    assert time.monotonic() - began < 5


def test_a_file_whose_index_comes_last_cannot_be_followed(clip: Callable[..., str], tmp_path: Any) -> None:
    path, thread = grow(clip, tmp_path, "a.mp4")
    thread.join()
    half = tmp_path / "half.mp4"
    half.write_bytes(Path(path).read_bytes()[:-400])
    with pytest.raises(SourceError, match=r"half\.mp4") as caught:
        open_source(str(half), follow=0.1)
    assert "fragmented mp4" in caught.value.hint


def test_a_frame_on_a_device_is_left_there() -> None:
    source, _ = plug(Camera(1), Camera(0, error=False))
    with source:
        frame = replace(next(iter(source)), landing=lambda: (), color=FULL)
        assert source._colored(frame) is frame
