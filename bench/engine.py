"""The engine alone: decoded frames in memory, no file, every stage timed on every frame."""

import itertools
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

from allaprima.bench.painted import check
from allaprima.bench.results import OtherLoad
from allaprima.realtime.frame import Frame
from allaprima.realtime.stylizer import Stylizer

WARM_UP_FRAMES = 5
NET = "net"
"""The stage that is the nets; all others are "everything but the nets"."""


@dataclass(frozen=True, slots=True)
class EngineTrial:
    """Milliseconds a frame, of one pass over the frames."""

    stages: dict[str, float]
    """Median of each stage."""
    whole: float
    """Median of a whole frame."""
    quickest: float
    cores: float
    """Core-milliseconds a frame, of all threads together."""
    other_load: float | None

    @property
    def besides_nets(self) -> float:
        """Share of a frame's time that is not the nets."""
        total = sum(self.stages.values())
        return 1 - self.stages[NET] / total if total else 0.0


def measure(frames: Sequence[Frame], stylizer: Stylizer) -> EngineTrial:
    """Paint ``frames`` in order after a warm-up; raises `NotPainted` when the result is wrong."""
    for frame in itertools.islice(itertools.cycle(frames), WARM_UP_FRAMES):
        stylizer(frame)
    stylizer.forget()
    spent: list[dict[str, float]] = []
    wholes: list[float] = []
    made: list[Frame] = []
    used = time.process_time()
    with OtherLoad() as other:
        for frame in frames:
            before, began = stylizer.stages.totals(), time.perf_counter()
            made.append(stylizer(frame).landed())
            wholes.append(1000 * (time.perf_counter() - began))
            after = stylizer.stages.totals()
            spent.append({name: 1000 * (total - before.get(name, 0.0)) for name, total in after.items()})
    used = 1000 * (time.process_time() - used) / len(frames)
    check((frame.planes[0] for frame in frames), (frame.planes[0] for frame in made))
    # The first frame has no motion and no history.
    stages = {name: statistics.median(each[name] for each in spent[1:]) for name in spent[-1]}
    return EngineTrial(stages, statistics.median(wholes[1:]), min(wholes[1:]), used, other.cores)
