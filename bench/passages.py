"""Where the delay goes: when each picture came to the server, was decoded, and left it again."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from allaprima.bench.timecode import Seen, blocks_of, read
from allaprima.realtime.frame import Frame
from allaprima.realtime.live.stream import Stream

LEGS = ("camera to server", "decoded there", "painted and sent", "to the screen")
LATE = 0.95


@dataclass(slots=True)
class Passage:
    """A picture's times on the server, by `time.monotonic()`."""

    number: int | None
    captured: float
    """When its first packet came."""
    decoded: float
    sent: float | None = None


class Traced(Stream):
    """A stream that notes when its pictures came and went."""

    def __init__(self, name: str, **settings: Any) -> None:
        self.passages: dict[float, Passage] = {}
        super().__init__(name, **settings)

    def put(self, frame: Frame) -> None:
        now = time.monotonic()
        self.passages[frame.captured] = Passage(read(blocks_of(frame.planes[0])), frame.captured, now)
        super().put(frame)

    def sent(self, captured: float, size_bytes: int) -> None:
        super().sent(captured, size_bytes)
        passage = self.passages.get(captured)
        if passage is not None and passage.sent is None:
            passage.sent = time.monotonic()


def legs(seen: Seen, passages: Iterable[Passage]) -> dict[str, tuple[float, float]]:
    """Median and 95 % quantile in ms of each of `LEGS`, of the pictures that went all the way."""
    came: dict[int, list[Passage]] = {}
    for passage in passages:
        if passage.number is not None:
            came.setdefault(passage.number, []).append(passage)
    rows = []
    for number, began, shown in seen.trips():
        for passage in came.get(number, ()):
            if passage.sent is not None and began <= passage.decoded and passage.sent <= shown:
                rows.append(np.diff((began, passage.captured, passage.decoded, passage.sent, shown)))
                break
    if not rows:
        return {}
    middle, late = (1000 * np.quantile(np.array(rows), share, axis=0) for share in (0.5, LATE))
    return {name: (float(middle[index]), float(late[index])) for index, name in enumerate(LEGS)}
