"""A number in a corner of each picture of a camera: when a picture is seen again, its delay is known.

Beside the number a coarse look at the whole picture is kept, which tells black and frozen pictures.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

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
CELLS = (8, 16)
"""Rows and columns of the coarse look at a picture."""
BLACK, EVEN = 28.0, 3.0
"""Levels (of 255) under which the mean of a picture counts as black, and its standard deviation as empty."""
SAME = 0.8
"""Levels by which the cells of two pictures may differ at most to count as the same: less than a moving camera's do,
more than what encoding a picture twice does."""
Pixels = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Sighting:
    """A picture that was seen: when, in seconds, and the brightness of the blocks of its code."""

    at: float
    blocks: NDArray[np.float64]
    cells: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    """Brightness of `CELLS`, 0 to 255; empty where nobody looked."""

    @property
    def black(self) -> bool:
        """Black, or nothing on it."""
        return bool(self.cells.size) and bool(self.cells.mean() < BLACK or self.cells.std() < EVEN)

    def same(self, other: "Sighting") -> bool:
        """Whether the other picture looks alike, number and all."""
        if not self.cells.size or np.abs(self.cells - other.cells).max() >= SAME:
            return False
        return read(self.blocks) == read(other.blocks)


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


def cells_of(luma: Pixels) -> NDArray[np.float64]:
    """Mean brightness of the `CELLS` of a plane ``(H, W)``."""
    rows, columns = CELLS
    height, width = luma.shape[0] // rows, luma.shape[1] // columns
    cells = luma[: rows * height, : columns * width].reshape(rows, height, columns, width)
    means: NDArray[np.float64] = cells.mean((1, 3))
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
    """One round of the camera: a moving scene there and back, numbered; no two in a row are the same."""
    half = LOOP // 2 + 1
    rgb = Rgb()
    with open_source(f"test:landscape?size={clips.text(size)}&frames={half}") as source:
        scene = [rgb.array(frame).copy() for frame in source]
    return [coded(scene[min(n, LOOP - n)], n) for n in range(LOOP)]


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

    def trips(self) -> list[tuple[int, float, float]]:
        """Number, time at the camera and time on the screen of each picture that could be read at both."""
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
                found.append((number, max(before), seen.at))
        return found

    def delays(self) -> list[tuple[float, float]]:
        """When a number appeared on the screen, and the seconds since the camera showed it."""
        return [(at, at - began) for _, began, at in self.trips()]

    def black(self) -> int:
        """Pictures on the screen that were black or empty."""
        return sum(seen.black for seen in self.screen)

    def frozen(self, came: Sequence[int | None] = ()) -> int:
        """Pictures on the screen that were the one before once more, unless the camera showed that one twice.

        ``came`` are the numbers that the server was sent: a look at the camera may miss one of two, and Chromium's
        camera shows its first picture twice whenever it begins again.
        """
        numbers = [read(seen.blocks) for seen in self.camera]
        twice = {now for row in (numbers, came) for before, now in itertools.pairwise(row) if now == before} - {None}
        again = [after for before, after in itertools.pairwise(self.screen) if after.same(before)]
        return sum(read(shown.blocks) not in twice for shown in again)

    def longest_gap(self) -> float:
        """Seconds between two pictures on the screen."""
        times = [seen.at for seen in self.screen]
        return max((after - before for before, after in itertools.pairwise(times)), default=0.0)


def quarters(delays: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Median and 95 % quantile, in seconds, of the delays in each quarter of the time; none without delays."""
    if len(delays) < 2:
        return []
    times = np.array([at for at, _ in delays])
    found = np.array([delay for _, delay in delays])
    quarter = np.minimum((4 * (times - times[0]) / max(times[-1] - times[0], 1e-9)).astype(int), 3)
    parts = [found[quarter == number] for number in range(4)]
    return [(float(np.quantile(part, 0.5)), float(np.quantile(part, 0.95))) for part in parts if part.size]


def growth(delays: Sequence[tuple[float, float]]) -> float:
    """Seconds by which the median delay of the last quarter of the time is above that of the first."""
    parts = quarters(delays)
    return parts[-1][0] - parts[0][0] if parts else 0.0
