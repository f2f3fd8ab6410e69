import re
import threading
from typing import Any

import pytest

from allaprima.realtime.capacity import Capacity, Cost
from allaprima.realtime.errors import ConfigError
from allaprima.realtime.live.control import Change, Stats
from allaprima.realtime.live.hub import REMEMBERED, RESERVED, Full, Hub, Taken


def test_streams_have_the_names_given_or_ones_that_nobody_guesses(fake_stream: Any) -> None:
    hub = Hub(fake_stream, 4)
    live = hub.open("live")
    mine, other = hub.open(), hub.open()
    assert hub.get("live") is live
    assert re.fullmatch(r"[0-9a-f]{32}", mine.name)
    assert mine.name != other.name
    assert hub.is_private(mine.name)
    assert not hub.is_private("live")
    assert len(hub) == 3


def test_a_name_is_taken_once(fake_stream: Any) -> None:
    hub = Hub(fake_stream)
    hub.open("live")
    with pytest.raises(Taken):
        hub.open("live")
    hub.close("live")
    hub.open("live")


@pytest.mark.parametrize("name", ["", "Live", "a/b", "a" * 41, "..", "a.b", *sorted(RESERVED)])
def test_names_that_cannot_be(fake_stream: Any, name: str) -> None:
    with pytest.raises(ConfigError):
        Hub(fake_stream).open(name)


def test_a_full_hub_refuses_until_one_goes(fake_stream: Any) -> None:
    hub = Hub(fake_stream, 1)
    first = hub.open()
    with pytest.raises(Full):
        hub.open()
    hub.close(first.name)
    assert first.closed  # type: ignore[attr-defined]
    hub.open()


def test_a_stream_that_cannot_be_made_takes_no_place() -> None:
    def fail(name: str) -> Any:
        raise ConfigError("no")

    hub = Hub(fail, 1)
    for _ in range(3):
        with pytest.raises(ConfigError, match="no"):
            hub.open()
    assert len(hub) == 0


def test_the_cap_holds_while_streams_are_being_made(fake_stream: Any) -> None:
    go, outcomes = threading.Event(), []

    def slow(name: str) -> Any:
        go.wait(5)
        return fake_stream(name)

    hub = Hub(slow, 2)

    def one() -> None:
        try:
            outcomes.append(hub.open().name)
        except Full:
            outcomes.append("full")
            go.set()

    threads = [threading.Thread(target=one) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert outcomes.count("full") == 1
    assert len(hub) == 2


def test_a_named_stream_comes_back_with_its_settings_a_private_one_leaves_none(fake_stream: Any) -> None:
    hub = Hub(fake_stream)
    hub.open("live").apply(Change(style="blue", strength=0.5, transition=3.0))
    hub.close("live")
    state = hub.open("live").state
    assert (state.mix, state.strength, state.transition) == ({"blue": 1.0}, 0.5, 3.0)
    mine = hub.open()
    mine.apply(Change(style="dark"))
    hub.close(mine.name)
    assert hub.open().state.style == "plain"


def test_what_is_remembered_is_bounded(fake_stream: Any) -> None:
    hub = Hub(fake_stream)
    for number in range(REMEMBERED + 5):
        hub.open(f"s{number}")
        hub.close(f"s{number}")
    assert len(hub._states) == REMEMBERED


def test_after_the_end_nothing_opens(fake_stream: Any) -> None:
    hub = Hub(fake_stream)
    streams: Any = [hub.open(), hub.open("live")]
    hub.close_all()
    assert all(stream.closed for stream in streams)
    with pytest.raises(Full):
        hub.open()


def test_a_stream_that_was_being_made_at_the_end_is_closed(fake_stream: Any) -> None:
    made: Any = []

    def late(name: str) -> Any:
        hub.close_all()
        made.append(fake_stream(name))
        return made[0]

    hub = Hub(late)
    with pytest.raises(Full):
        hub.open()
    assert made[0].closed
    assert len(hub) == 0


def sized(fake_stream: Any, size: tuple[int, int], rate: float = 30.0) -> Any:
    def make(name: str) -> Any:
        stream = fake_stream(name)
        stream.stats = lambda: Stats(size=size, fps_in=rate)
        return stream

    return make


def test_a_stream_that_the_machine_cannot_paint_is_refused(fake_stream: Any) -> None:
    capacity = Capacity(Cost(full=0.2, least=0.0125))  # a megapixel 30 times a second takes 0.375
    hub = Hub(sized(fake_stream, (1000, 1000)), 8, capacity)
    hub.open()
    second = hub.open()
    assert hub.loads() == pytest.approx([0.375, 0.375])
    with pytest.raises(Full, match=r"cannot paint 3 such streams.*112%"):
        hub.open()
    assert (len(hub), capacity.refused) == (2, 1)
    hub.close(second.name)
    hub.open()


def test_the_first_stream_is_never_refused_and_without_figures_none(fake_stream: Any) -> None:
    Hub(sized(fake_stream, (8000, 8000)), 8, Capacity(Cost(1, 1))).open()
    unknown = Hub(sized(fake_stream, (8000, 8000)))
    for _ in range(3):
        unknown.open()
    assert unknown.loads() == []
