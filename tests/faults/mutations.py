"""Seeded damage to inputs: bytes flipped, cut, spliced; numbers, types and depth that nobody expects."""

import json
import random
import re
from typing import Any

NUMBERS = (
    "0", "-1", "1e999", "-1e999", "1e-999", "NaN", "Infinity", "nan", "inf", "9" * 40, "-" + "9" * 400, "1" * 5000,
    "4294967296", "9223372036854775808", "-2147483648", "0.1e", "0x10", "00", "1_000", "١٢",
)  # fmt: skip
WORDS = (
    b"\xff\xfe", b"\xc3\x28", b"\xed\xa0\x80", b"\x00", b"\r\n", b"\n", b'"', b"'", b"\\", b"=", b":", b",", b"%s",
    b"\xe2\x80\xae", b"[" * 3000, b"{\"a\":" * 2000, b"](" * 2000, b"x" * 20_000, b"../../etc", b"null", b"true", b"[]",
    b"{}", b"#bundle\0", b"a=", b"m=video", b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00", b"\xff" * 8,
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 10**40, -(10**400), 1e308, float("nan"), float("inf"), "", "\0", "\ud800", "x" * 20_000,
    [], {}, [[]], {"": None}, "NaN", "../../..", 0.5, [1, 2, 3], {"a": {"b": []}},
)  # fmt: skip
DEEP = 3000
"""Levels of a nest: more than the interpreter's stack takes."""
ENDS = ("[" * DEEP, "{a=" * DEEP, '"\\uD800"', "[[1]]", "", '"', "1e999")
"""What stands behind an equals sign."""


def of_bytes(data: bytes, others: list[bytes], numbers: random.Random) -> bytes:
    """One to four kinds of damage, anywhere; ``others`` are what pieces are taken from."""
    for _ in range(numbers.choice((1, 1, 2, 4))):
        data = numbers.choice(_BYTES)(data, others, numbers)
    return data


def of_header(data: bytes, others: list[bytes], numbers: random.Random) -> bytes:
    """The same to the first or the last 600 bytes, where containers keep what they say of themselves."""
    if numbers.random() < 0.5:
        return of_bytes(data[:600], others, numbers) + data[600:]
    return data[:-600] + of_bytes(data[-600:], others, numbers)


def of_json(text: bytes, others: list[bytes], numbers: random.Random) -> bytes:
    """Well-formed JSON that says the wrong thing, or the same damage as to any bytes."""
    if numbers.random() < 0.3:
        return of_bytes(text, others, numbers)
    value = json.loads(text)
    for _ in range(numbers.choice((1, 1, 2))):
        value = _changed(value, numbers)
    shown = json.dumps(value)
    if numbers.random() < 0.1:
        shown = shown.replace("null", "[" * DEEP + "]" * DEEP, 1)
    return shown.encode()


def of_text(data: bytes, others: list[bytes], numbers: random.Random) -> bytes:
    """Lines and numbers changed, or the same damage as to any bytes."""
    if numbers.random() < 0.4:
        return of_bytes(data, others, numbers)
    text = data.decode("utf-8", "surrogateescape")
    for _ in range(numbers.choice((1, 2, 3))):
        lines = text.split("\n")
        at = numbers.randrange(len(lines))
        how = numbers.randrange(5)
        if how == 0:
            del lines[at]
        elif how == 1:
            lines[at] = lines[at][: numbers.randrange(len(lines[at]) + 1)]
        elif how == 2:
            lines.insert(at, lines[numbers.randrange(len(lines))])
        elif how == 3:
            lines[at] = _renumbered(lines[at], numbers)
        else:
            head, equals, _ = lines[at].partition("=")
            lines[at] = head + equals + numbers.choice(ENDS)
        text = "\n".join(lines)
    return text.encode("utf-8", "surrogateescape")


def _renumbered(line: str, numbers: random.Random) -> str:
    found = list(re.finditer(r"\d+(\.\d+)?", line))
    if not found:
        return line + numbers.choice(NUMBERS)
    match = numbers.choice(found)
    return line[: match.start()] + numbers.choice(NUMBERS) + line[match.end() :]


def _changed(value: Any, numbers: random.Random) -> Any:
    """One place in the value is something else, is gone, or is there twice under another name."""
    if isinstance(value, dict) and value and numbers.random() < 0.85:
        key = numbers.choice(sorted(value))
        left = {name: each for name, each in value.items() if name != key}
        how = numbers.randrange(6)
        if how == 0:
            return left
        if how == 1:
            return value | {numbers.choice(("", "x", key + " ", key.upper(), "\0")): value[key]}
        return left | {key: _changed(value[key], numbers)}
    if isinstance(value, list) and value and numbers.random() < 0.85:
        at = numbers.randrange(len(value))
        return [*value[:at], _changed(value[at], numbers), *value[at + numbers.randrange(2) :]]
    return numbers.choice(VALUES)


def _flip(data: bytes, others: list[bytes], numbers: random.Random) -> bytes:
    held = bytearray(data)
    for _ in range(numbers.choice((1, 1, 3, 20)) if held else 0):
        held[numbers.randrange(len(held))] ^= 1 << numbers.randrange(8)
    return bytes(held)


def _cut(data: bytes, others: list[bytes], numbers: random.Random) -> bytes:
    return data[: numbers.randrange(len(data) + 1)]


def _hole(data: bytes, others: list[bytes], numbers: random.Random) -> bytes:
    start = numbers.randrange(len(data) + 1)
    return data[:start] + data[start + numbers.choice((1, 4, 100)) :]


def _insert(data: bytes, others: list[bytes], numbers: random.Random) -> bytes:
    at = numbers.randrange(len(data) + 1)
    return data[:at] + numbers.choice(WORDS) + data[at:]


def _overwrite(data: bytes, others: list[bytes], numbers: random.Random) -> bytes:
    at, word = numbers.randrange(len(data) + 1), numbers.choice(WORDS)[:8]
    return data[:at] + word + data[at + len(word) :]


def _splice(data: bytes, others: list[bytes], numbers: random.Random) -> bytes:
    other = numbers.choice(others)
    return data[: numbers.randrange(len(data) + 1)] + other[numbers.randrange(len(other) + 1) :]


def _again(data: bytes, others: list[bytes], numbers: random.Random) -> bytes:
    start = numbers.randrange(len(data) + 1)
    piece = data[start : start + numbers.choice((4, 30, 300))]
    return data[:start] + piece * numbers.choice((2, 5)) + data[start:]


_BYTES = (_flip, _flip, _cut, _hole, _insert, _overwrite, _splice, _again)
