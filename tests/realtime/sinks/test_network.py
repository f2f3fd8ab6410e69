"""Streams to a receiver on this machine."""

import contextlib
import itertools
import os
import socket
import stat
import threading
import time
from fractions import Fraction

import av
import numpy as np
import pytest

from allaprima.realtime.errors import ConfigError, SinkError
from allaprima.realtime.frame import Frame
from allaprima.realtime.sinks import EncoderOptions, network, open_sink, pipe

TICK = Fraction(1, 90000)


@pytest.fixture
def receiver():
    """A listener; `received` fills unless it never reads."""
    with contextlib.ExitStack() as stack:

        def start(reads=True):
            listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            received, done = bytearray(), threading.Event()

            def serve():
                with contextlib.suppress(OSError):
                    connection, _ = listener.accept()
                    with connection:
                        while reads and (data := connection.recv(65536)):
                            received.extend(data)
                        done.wait(None if not reads else 0)

            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            stack.callback(thread.join, 2)
            stack.callback(done.set)
            stack.callback(listener.shutdown, socket.SHUT_RDWR)
            return f"tcp://127.0.0.1:{listener.getsockname()[1]}", received, thread

        yield start


def send(studio, sink, info, count, **side):
    for i in range(count):
        sink.write(studio.frame(i, i * 3600, info, duration=3600, **(side if i == 0 else {})))


def test_bytes_arrive_with_their_times_and_sound(studio, recording, receiver, tmp_path):
    url, received, thread = receiver()
    with av.open(str(recording())) as container:
        audio = container.streams.audio[0]
        packets = tuple(p for p in container.demux(audio) if p.size)
        info = studio.info((96, 64), TICK, live=True, side_streams=(audio,))
        with open_sink(url, info) as sink:
            send(studio, sink, info, 25, side=packets)
    thread.join(3)
    (tmp_path / "got.ts").write_bytes(received)
    times = studio.times(tmp_path / "got.ts")
    assert [b - a for a, b in itertools.pairwise(times)] == [Fraction(1, 25)] * 24
    heard = studio.heard(tmp_path / "got.ts")
    assert [t - float(times[0]) for t in heard] == pytest.approx(studio.beeps, abs=0.003)


def test_udp(studio):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.settimeout(0.3)
        info = studio.info((96, 64), TICK, live=True)
        with open_sink(f"udp://127.0.0.1:{listener.getsockname()[1]}", info) as sink:
            send(studio, sink, info, 10)
        sizes = []
        with contextlib.suppress(TimeoutError):
            while True:
                sizes.append(len(listener.recv(65536)))
    assert sizes
    assert all(size % 188 == 0 and size <= 1316 for size in sizes)


def test_a_stuck_receiver_holds_up_nobody_for_long(studio, receiver, monkeypatch):
    monkeypatch.setattr(pipe, "EXIT_SECONDS", 0.6)
    monkeypatch.setattr(pipe, "STUCK_SECONDS", 0.3)
    url, _, _ = receiver(reads=False)
    info = studio.info((640, 480), TICK, live=True)
    rng = np.random.default_rng(0)
    planes = tuple(rng.integers(0, 255, s, np.uint8) for s in ((480, 640), (240, 320), (240, 320)))

    def flood(sink):
        for i in range(200):
            sink.write(Frame(tuple(np.roll(p, i) for p in planes), (640, 480), i * 3600, TICK))

    sink = open_sink(url, info, encoder=EncoderOptions(bitrate="200M", preset="ultrafast"))
    sink.__enter__()
    with pytest.raises(SinkError, match="takes no data"):
        flood(sink)
    began = time.monotonic()
    with contextlib.suppress(SinkError):
        sink.__exit__(None, None, None)
    assert time.monotonic() - began < 3
    assert not sink._pipe.alive


def test_a_dead_receiver_is_named_with_its_reason(studio):
    info = studio.info((96, 64), TICK, live=True)
    sink = open_sink("tcp://127.0.0.1:1", info)

    def keep_sending():
        with sink:
            for i in range(2000):
                send(studio, sink, info, 1)
                time.sleep(0.001 * (i > 20))

    with pytest.raises(SinkError, match=r"tcp://127\.0\.0\.1:1: Connection refused") as caught:
        keep_sending()
    assert caught.value.hint


def test_a_refused_connection_shows_at_the_end_of_a_short_stream(studio):
    info = studio.info((96, 64), TICK, live=True)
    with pytest.raises(SinkError, match="refused"), open_sink("rtmp://127.0.0.1:1/live/x", info) as sink:
        send(studio, sink, info, 3)


def test_an_exception_needs_no_receiver(studio, receiver):
    url, _, _ = receiver()
    with pytest.raises(RuntimeError, match="stop"), open_sink(url, studio.info((96, 64), TICK, live=True)):
        raise RuntimeError("stop")


def test_srt_needs_ffmpeg(studio, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SinkError, match="not installed") as caught:
        open_sink("srt://127.0.0.1:9000", studio.info())
    assert "apt install" in caught.value.hint


@pytest.mark.skipif(os.name != "posix", reason="the stand-in is a shell script")
def test_srt_through_ffmpeg(studio, monkeypatch, tmp_path):
    """A stand-in for the program: it lists srt or not, and keeps what it is fed."""
    program = tmp_path / "ffmpeg"
    kept = tmp_path / "kept.nut"
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    info = studio.info((96, 64), TICK, live=True)
    for listed in ("rtmp", "srt"):
        program.write_text(
            f'#!/bin/sh\nif [ "$2" = -protocols ]; then echo "Output:"; echo " {listed}"; exit; fi\n'
            f'echo "$@" > {tmp_path}/said\nexec cat > {kept}\n'
        )
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        if listed == "rtmp":
            with pytest.raises(SinkError, match="cannot speak srt"):
                open_sink("srt://127.0.0.1:9000", info)
    with open_sink("srt://127.0.0.1:9000", info) as sink:
        send(studio, sink, info, 10)
    assert len(studio.times(kept)) == 10
    assert (tmp_path / "said").read_text().strip().endswith("-f mpegts srt://127.0.0.1:9000")


def test_what_a_protocol_cannot_carry(studio):
    with pytest.raises(SinkError, match="rtmp cannot carry vp9"):
        open_sink("rtmp://127.0.0.1/x", studio.info(), encoder=EncoderOptions(codec="vp9"))
    with pytest.raises(ConfigError):
        open_sink("rtmp://127.0.0.1/x", studio.info(), encoder=EncoderOptions(crf=20, bitrate="1M"))


def test_addresses():
    assert network.address("udp://h:1") == "udp://h:1?pkt_size=1316"
    assert network.address("udp://h:1?ttl=2") == "udp://h:1?ttl=2&pkt_size=1316"
    assert network.address("whip:http://h/w") == "http://h/w"
    assert network.address("whip://h/w") == "https://h/w"
    assert network.address("rtmp://h/live") == "rtmp://h/live"


def test_a_file_is_sent_at_its_own_speed(studio, receiver):
    url, _, _ = receiver()
    info = studio.info((96, 64), TICK)
    began = time.monotonic()
    with open_sink(url, info) as sink:
        send(studio, sink, info, 11)
    assert time.monotonic() - began > 0.4
