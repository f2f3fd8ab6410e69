"""The nets alone, and the engine around them: decoded frames in memory, no file."""

import itertools
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from allaprima.bench import moving
from allaprima.bench.painted import check
from allaprima.realtime.backends import open_backend
from allaprima.realtime.frame import Frame
from allaprima.realtime.stylizer import Stylizer

NET = "net"
"""The stage that is the nets; all others are "everything but the nets"."""
WARM_UP, WARM_UP_SECONDS = 2, 0.3
"""Frames, at least, and seconds that are painted before anything counts."""
MOST_WARM_UP = 200
LEAST, MOST = 4, 2000
"""Frames of a trial."""
SHORTEST = 0.3
"""Seconds that a trial takes at least, about."""
AHEAD = 2
"""Frames on their way from a card before the first of them is waited for."""
PICTURES = 8
"""Different ones, about, that the nets take turns at; all lie on the device."""

Look = NDArray[np.uint8]
Pair = tuple[Look, Look]
"""What was given and what was made of it, to be looked at."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One pass over some frames."""

    frames: int
    seconds: float
    core_seconds: float
    """Of all threads of this process together."""
    stages: dict[str, float]
    """Milliseconds a frame."""

    @property
    def fps(self) -> float:
        return self.frames / self.seconds

    @property
    def ms(self) -> float:
        return 1000 / self.fps

    @property
    def core_ms(self) -> float:
        return 1000 * self.core_seconds / self.frames


def frames_in(seconds: float, trials: int, pace: float) -> int:
    """Frames of each trial, so that all of them together take about ``seconds`` at ``pace`` seconds a frame."""
    return min(max(math.ceil(max(seconds / trials, SHORTEST) / max(pace, 1e-6)), LEAST), MOST)


def engine(stylizer: Stylizer, frames: Sequence[Frame], seconds: float, trials: int) -> list[Trial]:
    """From the upload of a decoded frame to the painted one in host memory; raises `NotPainted`.

    On a card `AHEAD` frames are under way, and stages are not told: the host only launches them.
    """
    looks = {id(frame): moving.sample(frame.planes[0]) for frame in frames}
    order = moving.swing(frames)
    waiting: deque[tuple[Look, Frame]] = deque()

    def landed(left: int) -> Iterator[Pair]:
        while len(waiting) > left:
            given, made = waiting.popleft()
            yield given, moving.sample(made.landed().planes[0])

    def paint(count: int) -> list[Pair]:
        made: list[Pair] = []
        for frame in itertools.islice(order, count):
            painted = stylizer(frame)
            waiting.append((looks[id(frame)], painted))
            made += landed(0 if painted.landing is None else AHEAD)
        return [*made, *landed(0)]

    def stages() -> dict[str, float]:
        return stylizer.stages.totals() if stylizer.device == "cpu" else {}

    return run_trials(paint, stages, seconds, trials)


def nets(stylizer: Stylizer, frames: Sequence[Frame], backend: str, seconds: float, trials: int) -> list[Trial]:
    """Encoder, bank and decoder on pictures that lie on the device already; raises `NotPainted`."""
    device = open_backend(backend, frames[0].size, frames[0].color)
    shown = frames[:: max(1, len(frames) // PICTURES)]
    if device.name != "cpu":
        from allaprima.bench.card_nets import card_nets

        device.close()
        return card_nets(stylizer, shown, seconds, trials)
    net = device.load_net(stylizer.bundle)
    filters, strength = stylizer.bank.views(stylizer.bank.resolve(stylizer.style)), stylizer.strength
    order = itertools.cycle([(frame, device.upload(frame), moving.sample(frame.planes[0])) for frame in shown])
    spent = 0.0

    def paint(count: int) -> list[Pair]:
        nonlocal spent
        made: list[Pair] = []
        for frame, picture, look in itertools.islice(order, count):
            began = time.perf_counter()
            painted = net.paint(picture, filters, strength)
            spent += time.perf_counter() - began
            made.append((look, moving.sample(device.download(painted, frame).planes[0])))
        return made

    return run_trials(paint, lambda: {NET: spent}, seconds, trials)


def run_trials(
    paint: Callable[[int], list[Pair]], totals: Callable[[], dict[str, float]], seconds: float, trials: int
) -> list[Trial]:
    """A warm-up, which also shows the pace, then all trials; what ``paint`` gives for so many frames is looked at.

    ``totals`` are the seconds spent in each stage so far.
    """
    pace = warm_up(paint)
    count = frames_in(seconds, trials, pace)
    found = []
    for _ in range(trials):
        before, used, began = totals(), time.process_time(), time.perf_counter()
        made = paint(count)
        took, used = time.perf_counter() - began, time.process_time() - used
        stages = {name: 1000 * (spent - before.get(name, 0.0)) / count for name, spent in totals().items()}
        check((given for given, _ in made), (painted for _, painted in made), moving=len(made) > 1)
        found.append(Trial(count, took, used, stages))
    return found


def warm_up(paint: Callable[[int], Any]) -> float:
    """Paint until the pace can be told; seconds a frame, of the later half."""
    spent: list[float] = []
    began = time.perf_counter()
    while len(spent) < WARM_UP or (time.perf_counter() - began < WARM_UP_SECONDS and len(spent) < MOST_WARM_UP):
        start = time.perf_counter()
        paint(1)
        spent.append(time.perf_counter() - start)
    later = spent[len(spent) // 2 :]
    return sum(later) / len(later)
