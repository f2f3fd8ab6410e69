"""A number in a corner of each picture of a camera: when a picture is seen again, its delay is known."""

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from allaprima.bench import clips
from allaprima.bench.clips import Size
from allaprima.realtime import open_source
from allaprima.realtime.rgb import Rgb

RATE = 30
"""Frames a second of the camera."""
BITS = 7
LOOP = 1 << BITS
"""Pictures until numbers begin again: delays of up to four seconds are told apart."""
ROWS, COLUMNS = 2, 2 * BITS
BRIGHT, DARK = 205, 50
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Sighting:
    """A picture that was seen: when, in seconds, and the brightness of the blocks of its code."""

    at: float
    blocks: NDArray[np.float64]


def unit(width: int) -> int:
    """The side of a block in pixels."""
    return width // 20


def coded(picture: Pixels, number: int) -> Pixels:
    """The RGB picture with a number in its upper left corner.

    Each bit is two blocks of which one is brighter, so that a style may change both; the second row is a check.
    """
    picture, side = picture.copy(), unit(picture.shape[1])
    for row, value in enumerate((number, _check(number))):
        for bit in range(BITS):
            pair = (BRIGHT, DARK) if value >> bit & 1 else (DARK, BRIGHT)
            for half, brightness in enumerate(pair):
                left = (2 * bit + half) * side
                picture[row * side : (row + 1) * side, left : left + side] = brightness
    return picture


def blocks_of(luma: Pixels) -> NDArray[np.float64]:
    """Mean brightness of the middle of each block of a plane ``(H, W)``."""
    side = unit(luma.shape[1])
    middle = slice(side // 4, side - side // 4)
    blocks = luma[: ROWS * side, : COLUMNS * side].reshape(ROWS, side, COLUMNS, side)
    means: NDArray[np.float64] = blocks[:, middle, :, middle].mean((1, 3))
    return means


def read(blocks: NDArray[np.float64]) -> int | None:
    """The number, or None where the picture has lost it."""
    pairs = blocks.reshape(ROWS, BITS, 2)
    ones = pairs[..., 0] > pairs[..., 1]
    number, check = (int(sum(1 << bit for bit in range(BITS) if row[bit])) for row in ones)
    return number if check == _check(number) else None


def _check(number: int) -> int:
    return (37 * number + 11) % LOOP


def camera_pictures(size: Size) -> list[Pixels]:
    """One round of the camera: a moving scene there and back, numbered."""
    half = LOOP // 2
    rgb = Rgb()
    with open_source(f"test:landscape?size={clips.text(size)}&frames={half}") as source:
        scene = [rgb.array(frame).copy() for frame in source]
    return [coded(scene[min(n, LOOP - 1 - n)], n) for n in range(LOOP)]


# ---- figures from sightings ----


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen in a stretch of time."""

    camera: Sequence[Sighting]
    screen: Sequence[Sighting]

    @property
    def readable(self) -> float:
        """Share of the pictures on the screen whose code could be read."""
        return sum(read(seen.blocks) is not None for seen in self.screen) / len(self.screen) if self.screen else 0.0

    def delays(self) -> list[tuple[float, float]]:
        """When a number appeared on the screen, and the seconds since the camera showed it."""
        shown: dict[int, list[float]] = {}
        for seen in self.camera:
            if (number := read(seen.blocks)) is not None:
                shown.setdefault(number, []).append(seen.at)
        found, last = [], None
        for seen in self.screen:
            number = read(seen.blocks)
            if number is None or number == last:
                continue
            last = number
            before = [at for at in shown.get(number, ()) if 0 <= seen.at - at < LOOP / RATE]
            if before:
                found.append((seen.at, seen.at - max(before)))
        return found

    def longest_gap(self) -> float:
        """Seconds between two pictures on the screen."""
        times = [seen.at for seen in self.screen]
        return max((after - before for before, after in itertools.pairwise(times)), default=0.0)


def growth(delays: Sequence[tuple[float, float]]) -> float:
    """Seconds by which the median delay of the last quarter of the time is above that of the first."""
    if len(delays) < 2:
        return 0.0
    began, ended = delays[0][0], delays[-1][0]
    quarter = (ended - began) / 4
    first = [delay for at, delay in delays if at <= began + quarter]
    last = [delay for at, delay in delays if at >= ended - quarter]
    return statistics.median(last) - statistics.median(first)
