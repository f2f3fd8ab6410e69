"""Pictures that strangers send: looked at before they are decoded, and written anew."""

import struct
from pathlib import Path

import cv2
import numpy as np

from allaprima.realtime.errors import ConfigError

TYPES = ("image/jpeg", "image/png", "image/webp")
LEAST_SIDE = 64
"""A style cannot be learned from less."""
KEPT_SIDE = 2048
"""Longest side that is kept: strokes are learned from 480 lines."""
FRAMES_OF_JPEG = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
BARE_MARKERS = frozenset({0x01, *range(0xD0, 0xD9)})
"""JPEG markers without a length."""


def size_of(data: bytes) -> tuple[int, int]:
    """Width and height that a JPEG, PNG or WebP claims, from its header.  Raises `ConfigError`."""
    try:
        if data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR":
            return struct.unpack_from(">II", data, 16)
        if data.startswith(b"\xff\xd8"):
            return _jpeg(data)
        if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
            return _webp(data)
    except (struct.error, IndexError) as error:
        raise ConfigError("the picture is cut off") from error
    raise ConfigError("that is not a JPEG, PNG or WebP picture")


def _jpeg(data: bytes) -> tuple[int, int]:
    at = 2
    while True:
        if data[at] != 0xFF:
            raise ConfigError("the picture is damaged")
        marker = data[at + 1]
        if marker in FRAMES_OF_JPEG:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        at += 1 if marker == 0xFF else 2 if marker in BARE_MARKERS else 2 + struct.unpack_from(">H", data, at + 2)[0]


def _webp(data: bytes) -> tuple[int, int]:
    kind = data[12:16]
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L":
        bits = struct.unpack_from("<I", data, 21)[0]
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    raise ConfigError("the picture is damaged")


def keep(data: bytes, file: Path, most_pixels: int) -> None:
    """Decode a picture and write it anew as a PNG, no larger than needed.  Raises `ConfigError`."""
    width, height = size_of(data)
    if width * height > most_pixels:
        raise ConfigError(f"the picture is too large: {width}x{height}", f"At most {most_pixels / 1e6:g} megapixels.")
    if min(width, height) < LEAST_SIDE:
        raise ConfigError(f"the picture is too small: {width}x{height}", f"At least {LEAST_SIDE} pixels a side.")
    try:
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise ConfigError("the picture cannot be decoded") from error
    if picture is None:
        raise ConfigError("the picture cannot be decoded")
    scale = KEPT_SIDE / max(picture.shape[:2])
    if scale < 1:
        picture = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    if not cv2.imwrite(str(file), picture):
        raise ConfigError("the picture cannot be kept", "Is the disk full?")
