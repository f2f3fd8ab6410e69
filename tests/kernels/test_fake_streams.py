"""The fake's streams: what is forgotten must show, what is right must pass."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from . import fake_streams
from .emulator import KernelFault, why_not
from .fake_cupy import FakeCupy
from .fake_streams import CUDARuntimeError, FakeEvent, FakeStream, Order

pytestmark = pytest.mark.skipif(why_not() is not None, reason=str(why_not()))


@pytest.fixture
def late() -> Iterator[FakeCupy]:
    yield FakeCupy("end", Order(None))
    fake_streams.reset()


@pytest.fixture
def at_once() -> Iterator[FakeCupy]:
    yield FakeCupy("end")
    fake_streams.reset()


def test_nothing_runs_before_somebody_waits(late: FakeCupy) -> None:
    said: list[int] = []
    stream, other = FakeStream(), FakeStream()
    stream.enqueue(lambda: said.append(1))
    other.enqueue(lambda: said.append(2))
    event = other.record()
    assert said == []
    assert not event.done
    event.synchronize()
    assert said == [2], "and then no more than must"
    stream.synchronize()
    assert said == [2, 1]


@pytest.mark.parametrize("seed", [None, 0, 1, 2, 3])
def test_a_stream_keeps_its_order_and_events_that_of_two(seed: int | None) -> None:
    FakeCupy("end", Order(seed))
    said: list[int] = []
    first, second = FakeStream(), FakeStream()
    for number in (1, 2):
        first.enqueue(lambda number=number: said.append(number))
    second.wait_event(first.record())
    second.enqueue(lambda: said.append(3))
    second.synchronize()
    assert said == [1, 2, 3]
    fake_streams.reset()


def test_a_wait_that_was_forgotten_shows_for_some_order() -> None:
    found = set()
    for seed in range(8):
        FakeCupy("end", Order(seed))
        said: list[int] = []
        first, second = FakeStream(), FakeStream()
        first.enqueue(lambda said=said: said.append(1))
        second.enqueue(lambda said=said: said.append(2))
        first.synchronize()
        second.synchronize()
        found.add(tuple(said))
    assert found == {(1, 2), (2, 1)}
    fake_streams.reset()


def test_memory_that_was_given_back_too_early_is_a_fault(late: FakeCupy) -> None:
    stream, array = FakeStream(), late.zeros(4)
    with stream:
        array.fill(1)
    del array
    with pytest.raises(KernelFault, match="memory was given back"):
        stream.synchronize()


def test_a_graph_runs_again_with_the_same_memory(at_once: FakeCupy) -> None:
    stream, source, target = FakeStream(), at_once.zeros(4), at_once.zeros(4)
    stream.begin_capture()
    with stream:
        target[...] = source
    graph = stream.end_capture()
    source.fill(5)
    assert target.get()[0] == 0, "a capture does nothing"
    graph.launch(stream)
    assert target.get()[0] == 5


def test_a_capture_forks_and_joins(late: FakeCupy) -> None:
    said: list[int] = []
    stream, side, event = FakeStream(), FakeStream(), FakeEvent()
    stream.begin_capture()
    event.record(stream)
    side.wait_event(event)
    side.enqueue(lambda: said.append(1))
    joined = side.record()
    stream.wait_event(joined)
    stream.enqueue(lambda: said.append(2))
    graph = stream.end_capture()
    for _ in range(2):
        graph.launch(stream)
    stream.synchronize()
    assert said == [1, 2, 1, 2]
    assert not side.is_capturing()


def test_a_fork_that_is_not_joined_is_a_fault(at_once: FakeCupy) -> None:
    stream, side = FakeStream(), FakeStream()
    stream.begin_capture()
    side.wait_event(stream.record())
    side.enqueue(lambda: None)
    with pytest.raises(KernelFault, match="was not joined"):
        stream.end_capture()


@pytest.mark.parametrize(
    ("doing", "match"),
    [
        (lambda fake, stream: stream.synchronize(), "cannot be waited for"),
        (lambda fake, stream: fake.zeros(4), "allocated during a capture"),
        (lambda fake, stream: fake.cuda.alloc_pinned_memory(4), "pinned during a capture"),
        (lambda fake, stream: stream.wait_event(FakeStream().record()), "depends on work outside"),
    ],
)
def test_what_a_capture_forbids(at_once: FakeCupy, doing: Any, match: str) -> None:
    stream = FakeStream()
    stream.begin_capture()
    with pytest.raises(KernelFault, match=match):
        doing(at_once, stream)


def test_a_device_that_fails_fails_everywhere(at_once: FakeCupy) -> None:
    stream, event = FakeStream(), FakeEvent()
    at_once.failure.append(CUDARuntimeError(700))
    for call in (stream.synchronize, event.synchronize, lambda: stream.enqueue(lambda: None)):
        with pytest.raises(CUDARuntimeError, match="cudaError700"):
            call()


def test_the_current_stream_is_the_one_entered_last(at_once: FakeCupy) -> None:
    stream = FakeStream()
    assert fake_streams.current() is FakeStream.null
    with stream:
        assert fake_streams.current() is stream
    assert fake_streams.explicit() is None
    assert np.array_equal(at_once.zeros(2).get(), [0, 0])
