"""Open Sound Control over UDP, for show control: faders and buttons set what a stream paints.

    /style "great-wave"      /strength 0.8      /mix "a:0.7,b:0.3"  or  "a" 0.7 "b" 0.3
    /cue "the-scream:2s"     /steadiness 0.9    /bypass 1           /transition 2.0

Alone an address means every stream; ``/NAME/style`` means the stream NAME.  OSC knows no passwords: it is bound to
this machine unless told otherwise.
"""

import asyncio
import math
import struct
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any

from allaprima.realtime.errors import AllaprimaError, ConfigError
from allaprima.realtime.live.control import Change
from allaprima.realtime.stylebank import Mix

Argument = str | float | bool | None
LARGEST = 8192
"""Bytes of a packet that are looked at."""
DEEPEST = 4
"""Bundles inside bundles."""
MOST_WAITING = 64
"""Changes that may wait to be applied; of a fader's messages only the newest waits."""
FIELDS = ("style", "mix", "strength", "steadiness", "transition", "cue", "bypass")
SIZES = {"i": ">i", "f": ">f", "h": ">q", "d": ">d", "t": ">Q", "c": ">i", "r": ">I", "m": ">I"}
CONSTANTS: dict[str, Argument] = {"T": True, "F": False, "N": None, "I": math.inf}


@dataclass(frozen=True, slots=True)
class Message:
    address: str
    arguments: tuple[Argument, ...]


def messages(packet: bytes, depth: int = 0) -> Iterator[Message]:
    """The messages in a packet, those in bundles one by one and at once.  Raises `ConfigError` for garbage."""
    if len(packet) > LARGEST or depth > DEEPEST:
        raise ConfigError("the OSC packet is too large")
    try:
        if packet.startswith(b"#bundle\0"):
            at = 16
            while at < len(packet):
                (size,) = struct.unpack_from(">i", packet, at)
                if size <= 0 or at + 4 + size > len(packet):
                    raise ConfigError("that is not an OSC bundle")
                yield from messages(packet[at + 4 : at + 4 + size], depth + 1)
                at += 4 + size
        else:
            yield _message(packet)
    except (struct.error, UnicodeDecodeError, ValueError) as error:
        raise ConfigError("that is not OSC") from error


def _message(packet: bytes) -> Message:
    address, at = _text(packet, 0)
    if not address.startswith("/"):
        raise ConfigError("that is not OSC")
    tags, at = _text(packet, at) if at < len(packet) else (",", at)
    arguments: list[Argument] = []
    for tag in tags[1:]:
        if tag in CONSTANTS:
            arguments.append(CONSTANTS[tag])
        elif tag in "sS":
            value, at = _text(packet, at)
            arguments.append(value)
        elif tag in SIZES:
            arguments.append(struct.unpack_from(SIZES[tag], packet, at)[0])
            at += struct.calcsize(SIZES[tag])
        else:
            raise ConfigError(f"OSC arguments of type {tag!r} are not known")
    return Message(address, tuple(arguments))


def _text(packet: bytes, at: int) -> tuple[str, int]:
    """A text that ends with a zero, and where the next thing begins: at a multiple of four."""
    end = packet.index(b"\0", at)
    return packet[at:end].decode("utf-8"), (end // 4 + 1) * 4


def change_of(message: Message) -> tuple[str | None, dict[str, Any]]:
    """The stream a message means (None: all) and the field of a `Change` it sets.  Raises `ConfigError`."""
    *streams, field = message.address.strip("/").split("/")
    if len(streams) > 1 or field not in FIELDS:
        raise ConfigError("no such OSC address", f"Known are /{', /'.join(FIELDS)}, with /NAME before them or not.")
    value: Any = _mix(message.arguments) if field == "mix" else _one(field, message.arguments)
    Change.of({field: value})
    return (streams[0] if streams else None), {field: value}


def _one(field: str, arguments: tuple[Argument, ...]) -> Argument:
    if len(arguments) != 1:
        raise ConfigError(f"/{field} takes one argument")
    (value,) = arguments
    if field == "bypass" and isinstance(value, int | float):
        return bool(value)
    if isinstance(value, float) and field not in ("style", "cue"):
        return round(value, 6)  # a fader's float32 0.8 is 0.800000011920929
    return value


def _mix(arguments: tuple[Argument, ...]) -> dict[str, float]:
    if len(arguments) == 1 and isinstance(arguments[0], str):
        return dict(Mix.parse(arguments[0]).weights)
    names, weights = arguments[::2], arguments[1::2]
    if len(names) != len(weights) or not all(isinstance(name, str) for name in names):
        raise ConfigError('/mix takes "a:0.7,b:0.3" or names and weights in turns')
    pairs = zip(names, weights, strict=True)
    return {str(name): round(float(w), 6) if isinstance(w, int | float) else -1.0 for name, w in pairs}


Waiting = list[tuple[str | None, dict[str, Any]]]


def enqueue(waiting: Waiting, stream: str | None, fields: dict[str, Any]) -> bool:
    """Let a change wait, merged into the last one of its stream where that says the same; False when full."""
    if waiting and waiting[-1][0] == stream and "cue" not in fields and "cue" not in waiting[-1][1]:
        last = waiting[-1][1]
        if fields.keys() & {"style", "mix"}:  # one of them, the newer
            last.pop("style", None)
            last.pop("mix", None)
        last.update(fields)
        return True
    if len(waiting) >= MOST_WAITING:
        return False
    waiting.append((stream, dict(fields)))
    return True


class Receiver(asyncio.DatagramProtocol):
    """Takes packets, lets the newest changes wait, and applies them one after the other.

    ``apply(stream or None, change)`` is awaited and may raise; ``complain(line)`` hears of it.
    """

    def __init__(self, apply: Callable[[str | None, Change], Awaitable[None]], complain: Callable[[str], None]) -> None:
        self._apply = apply
        self._tell = complain
        self._told = -math.inf
        self._waiting: Waiting = []
        self._came = asyncio.Event()
        self._task = asyncio.get_running_loop().create_task(self._work(), name="osc")

    def datagram_received(self, data: bytes, addr: object) -> None:
        try:
            for message in messages(data):
                if not enqueue(self._waiting, *change_of(message)):
                    self._complain("OSC: too many changes at once, some are lost")
        except AllaprimaError as error:
            self._complain(f"OSC: {error}")
        if self._waiting:
            self._came.set()

    def _complain(self, line: str) -> None:
        """At most once a second: anybody can send packets."""
        now = asyncio.get_running_loop().time()
        if now - self._told >= 1:
            self._told = now
            self._tell(line)

    async def _work(self) -> None:
        while True:
            await self._came.wait()
            self._came.clear()
            while self._waiting:
                stream, fields = self._waiting.pop(0)
                try:
                    await self._apply(stream, Change.of(fields))
                except AllaprimaError as error:
                    self._complain(f"OSC: {error}")

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
