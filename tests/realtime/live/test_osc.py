import asyncio
import socket
import struct
from typing import Any

import pytest

from allaprima.realtime.errors import ConfigError
from allaprima.realtime.live.control import Change
from allaprima.realtime.live.osc import MOST_WAITING, Message, change_of, enqueue, messages


def pad(text: str) -> bytes:
    data = text.encode() + b"\0"
    return data + b"\0" * (-len(data) % 4)


def packet(address: str, *arguments: Any) -> bytes:
    tags, data = ",", b""
    for value in arguments:
        if isinstance(value, bool):
            tags += "T" if value else "F"
        elif isinstance(value, str):
            tags, data = tags + "s", data + pad(value)
        elif isinstance(value, int):
            tags, data = tags + "i", data + struct.pack(">i", value)
        else:
            tags, data = tags + "f", data + struct.pack(">f", value)
    return pad(address) + pad(tags) + data


def bundle(*packets: bytes) -> bytes:
    return b"#bundle\0" + bytes(8) + b"".join(struct.pack(">i", len(p)) + p for p in packets)


def test_messages_and_bundles_of_bundles() -> None:
    data = bundle(packet("/style", "udnie"), bundle(packet("/a/mix", "a", 0.5, "b", 1), packet("/bypass", True)))
    assert list(messages(data)) == [
        Message("/style", ("udnie",)),
        Message("/a/mix", ("a", 0.5, "b", 1)),
        Message("/bypass", (True,)),
    ]
    assert list(messages(pad("/x"))) == [Message("/x", ())]


@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"\0",
        b"/style",
        b"style\0\0\0,\0\0\0",
        pad("/x") + pad(",f"),
        pad("/x") + pad(",b") + bytes(4),
        pad("/x") + pad(",s") + b"abc",
        b"#bundle\0" + bytes(8) + struct.pack(">i", 100),
        b"#bundle\0" + bytes(8) + struct.pack(">i", -4) + bytes(8),
        b"/\xff\xff\0,\0\0\0",
        bytes(9000),
        bundle(bundle(bundle(bundle(bundle(bundle(packet("/x"))))))),
    ],
)
def test_garbage_is_refused(garbage: bytes) -> None:
    with pytest.raises(ConfigError):
        list(messages(garbage))


@pytest.mark.parametrize(
    ("message", "stream", "fields"),
    [
        (Message("/style", ("udnie",)), None, {"style": "udnie"}),
        (Message("/live/strength", (0.800000011920929,)), "live", {"strength": 0.8}),
        (Message("/steadiness", (1,)), None, {"steadiness": 1}),
        (Message("/bypass", (1,)), None, {"bypass": True}),
        (Message("/bypass", (False,)), None, {"bypass": False}),
        (Message("/bypass", (0.0,)), None, {"bypass": False}),
        (Message("/cue", ("udnie:2s",)), None, {"cue": "udnie:2s"}),
        (Message("/mix", ("a:3,b:1",)), None, {"mix": {"a": 0.75, "b": 0.25}}),
        (Message("/mix", ("a", 0.25, "b", 1)), None, {"mix": {"a": 0.25, "b": 1.0}}),
    ],
)
def test_what_addresses_mean(message: Message, stream: str | None, fields: dict[str, Any]) -> None:
    assert change_of(message) == (stream, fields)


@pytest.mark.parametrize(
    "message",
    [
        Message("/", ()),
        Message("/nothing", (1,)),
        Message("/a/b/style", ("x",)),
        Message("/strength", ()),
        Message("/strength", (2,)),
        Message("/strength", ("1",)),
        Message("/strength", (float("nan"),)),
        Message("/mix", ("a", 1, "b")),
        Message("/mix", (1, "a")),
        Message("/mix", ("a", "b")),
    ],
)
def test_what_means_nothing_is_refused(message: Message) -> None:
    with pytest.raises(ConfigError):
        change_of(message)


def test_a_fader_leaves_only_its_newest_value_and_the_queue_is_bounded() -> None:
    waiting: Any = []
    for value in range(1000):
        assert enqueue(waiting, None, {"strength": value / 1000})
    assert waiting == [(None, {"strength": 0.999})]
    enqueue(waiting, None, {"style": "a"})
    enqueue(waiting, None, {"mix": {"b": 1.0}})
    assert waiting == [(None, {"strength": 0.999, "mix": {"b": 1.0}})]
    outcomes = [enqueue(waiting, None, {"cue": "x"}) for _ in range(MOST_WAITING + 10)]
    assert len(waiting) == MOST_WAITING
    assert not outcomes[-1]


def test_osc_steers_one_stream_or_all(live: Any) -> None:
    async def main() -> None:
        async with live(osc_port=0) as client:
            a, b = client.site.hub.open("a"), client.site.hub.open("b")
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                to = ("127.0.0.1", client.server.osc_port)
                sender.sendto(b"garbage", to)
                sender.sendto(packet("/nobody/style", "blue"), to)
                sender.sendto(packet("/style", "wrong"), to)
                sender.sendto(packet("/a/style", "blue"), to)
                sender.sendto(packet("/strength", 0.25), to)
            await client.until(lambda: b.state.strength == 0.25)
            assert a.state.mix == {"blue": 1.0}
            assert a.state.strength == 0.25
            assert b.state.style == "plain"

    asyncio.run(main())


def test_a_change_of_osc_is_one_of_the_schema() -> None:
    assert Change.of(change_of(Message("/transition", (2,)))[1]).transition == 2
