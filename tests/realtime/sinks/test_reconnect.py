"""Receivers that go away and come back: a real one over TCP, and made-up ones for the rest."""

import contextlib
import io
import socket
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import pytest

from allaprima.realtime.errors import SinkError
from allaprima.realtime.sinks import open_sink, reconnect
from allaprima.realtime.sinks.reconnect import Reconnecting

TICK = Fraction(1, 90000)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconnect, "FIRST_PAUSE", 0.02)
    monkeypatch.setattr(reconnect, "LONGEST_PAUSE", 0.1)
    monkeypatch.setattr(reconnect, "PROVEN", 0.05)


class Line:
    """A sink that fails from frame ``dies`` on, or cannot be opened at all."""

    def __init__(self, dies: int | None = None, shut: bool = False) -> None:
        self.notes = ["a note"]
        self.written: list[int] = []
        self.end: str | None = None
        self._dies, self._shut = dies, shut

    def __enter__(self) -> "Line":
        if self._shut:
            raise SinkError("connection refused")
        return self

    def __exit__(self, kind: Any, *_: object) -> None:
        self.end = "finished" if kind is None else "thrown away"

    def write(self, frame: Any) -> None:
        if self._dies is not None and len(self.written) >= self._dies:
            raise SinkError("connection reset")
        self.written.append(frame)


def lines(*made: Line, patience: float = 5.0) -> Reconnecting:
    waiting = list(made)
    return Reconnecting(lambda: waiting.pop(0) if waiting else Line(shut=True), patience)  # type: ignore[arg-type]


def feed(sink: Any, count: int, first: int = 0) -> None:
    for index in range(count):
        sink.write(first + index)
        time.sleep(0.005)


def test_a_receiver_that_is_lost_is_connected_anew_and_what_it_missed_is_counted() -> None:
    one, shut, other = Line(dies=20), Line(shut=True), Line()
    with lines(one, shut, other) as sink:
        feed(sink, 100)
        assert sink.returns == 1
    assert one.written == list(range(20))
    assert one.end == "thrown away"
    assert other.written == list(range(100 - len(other.written), 100))
    assert other.end == "finished"
    assert sink.unsent == 100 - 20 - len(other.written) > 0
    assert sink.notes == ["a note", f"the receiver was lost and came back once; {sink.unsent} frames were not sent"]


def test_one_that_was_never_there_is_an_error_at_once() -> None:
    with pytest.raises(SinkError, match="reset"), lines(Line(dies=0), Line()) as sink:
        feed(sink, 10)
    with pytest.raises(SinkError, match="refused"), lines(Line(shut=True)):
        pass


def test_one_that_stays_away_is_an_error_after_the_patience() -> None:
    sink = lines(Line(dies=20), patience=0.2)
    began = time.monotonic()
    with pytest.raises(SinkError, match="refused"), sink:
        feed(sink, 1000)
    assert 0.3 < time.monotonic() - began < 2


def test_a_sink_that_writes_while_nobody_listens_does_not_wait_and_says_so_at_its_end() -> None:
    sink = lines(Line(dies=20))
    sink.__enter__()
    feed(sink, 20)
    time.sleep(0.05)
    sink.write(20)
    began = time.monotonic()
    for index in range(200):
        sink.write(index)
    assert time.monotonic() - began < 0.2
    assert sink.unsent == 201
    with pytest.raises(SinkError, match=r"reset|refused"):
        sink.__exit__(None, None, None)


def test_a_file_does_not_race_through_while_nobody_listens() -> None:
    paced: list[Any] = []

    class Beat:
        def wait(self, frame: Any) -> None:
            paced.append(frame)

    waiting = [Line(dies=20), Line(shut=True)]
    beat: Any = Beat()
    sink = Reconnecting(lambda: waiting.pop(0), 5, beat)  # type: ignore[arg-type,return-value]
    sink.__enter__()
    feed(sink, 20)
    time.sleep(0.05)
    for index in range(3):
        sink.write(index)
    assert paced == [1, 2], "the first one found out"


def test_it_is_steady_and_takes_device_frames_if_its_sinks_do() -> None:
    plain, other = lines(Line()), Line()
    other.steady = other.on_device = True  # type: ignore[attr-defined]
    assert (plain.steady, plain.on_device) == (False, False)
    assert (lines(other).steady, lines(Line()).on_device) == (True, False)


# ---- a real receiver ----


class Receiver:
    """Listens on a port, and may be ended and started again."""

    def __init__(self) -> None:
        self.received: list[bytearray] = []
        self.port = 0
        self._ends: list[Any] = []

    def start(self) -> None:
        listener = socket.create_server(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        got = bytearray()
        self.received.append(got)

        def serve() -> None:
            try:
                connection, _ = listener.accept()
                self._ends.append(connection)
                while data := connection.recv(65536):
                    got.extend(data)
            except OSError:
                pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        self._ends += [listener, thread]

    def end(self) -> None:
        for thing in self._ends:
            if isinstance(thing, socket.socket):
                with contextlib.suppress(OSError):
                    thing.shutdown(socket.SHUT_RDWR)
                thing.close()
        for thing in self._ends:
            if isinstance(thing, threading.Thread):
                thing.join(2)
        self._ends.clear()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    made.start()
    yield made
    made.end()


def frames_in(data: bytes) -> int:
    with av.open(io.BytesIO(data), format="mpegts") as container:
        return sum(1 for _ in container.decode(video=0))


def test_a_tcp_receiver_that_is_ended_and_started_again(
    studio: Any, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconnect, "PROVEN", 1.5)
    url, info = f"tcp://127.0.0.1:{receiver.port}", studio.info((96, 64), TICK, live=True)
    with Reconnecting(lambda: open_sink(url, info), 20) as sink:
        assert sink.steady
        deadline, index = time.monotonic() + 20, 0
        while not sink.returns:
            sink.write(studio.frame(index, index * 3600, info, duration=3600))
            index += 1
            time.sleep(0.01)
            if index == 220:
                receiver.end()
            if index == 300:
                receiver.start()
            assert time.monotonic() < deadline
    receiver.end()
    before, after = (frames_in(bytes(data)) for data in receiver.received)
    assert before > 30
    assert after > 10
    assert 0 < sink.unsent <= index - before - after
