"""A live source painted at its rate: how old the frames are that come out, and what it took to hold the rate."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType

import numpy as np

from allaprima.bench import moving
from allaprima.bench.catalogue import Latency
from allaprima.bench.clock import Clock
from allaprima.bench.engine import NET
from allaprima.bench.painted import Gray, check
from allaprima.realtime.frame import Frame
from allaprima.realtime.governor import describe
from allaprima.realtime.ladder import Ladder
from allaprima.realtime.pipeline import Manner, run
from allaprima.realtime.stylizer import Stylizer

RATE = 30
"""Frames a second of the source."""
SETTLING = 2.5
"""Seconds after which a live run is judged: the governor has found its step."""
PASSED = describe(None)
SHORTEST = 1.0
"""Seconds of a trial: with fewer frames one more or less is a wide spread."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A frame that reached the sink."""

    index: int
    late: float
    """Seconds since the source had it."""
    core_seconds: float
    """That this process had used by then."""
    step: str
    """Of the governor."""
    look: Gray


@dataclass(slots=True)
class Gauge:
    """A sink that notes what comes, when, and how old."""

    ladder: Ladder
    notes: list[str] = field(default_factory=list)
    seen: list[Shown] = field(default_factory=list)

    def __enter__(self) -> "Gauge":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def write(self, frame: Frame) -> None:
        late = time.monotonic() - frame.captured
        look = moving.sample(frame.planes[0])
        self.seen.append(Shown(frame.index, late, time.process_time(), self.ladder.what, look))


@dataclass(frozen=True, slots=True)
class Live:
    """What came of a live run once it had settled."""

    frames: int
    """That the source gave in each trial."""
    fps: list[float]
    core_ms: list[float]
    """A frame that was shown, in each trial."""
    latency: Latency | None
    """None where nothing was shown."""
    drops: int
    effort: str
    painted_share: float


def live(stylizer: Stylizer, frames: Sequence[Frame], seconds: float, trials: int, rate: int = RATE) -> Live:
    """Paint a source of ``rate`` frames a second with the governor; raises `NotPainted`.

    A frame belongs to the trial in which the source gave it.
    """
    for frame in frames[:2]:  # the net is loaded before the clock runs
        stylizer(frame).landed()
    stylizer.forget()
    ladder, painted = Ladder(), set[int]()
    gauge = Gauge(ladder)

    def note(stage: str, _start: float, _seconds: float, index: int) -> None:
        if stage == NET:
            painted.add(index)

    stylizer.stages.watch = note
    first, each = round(SETTLING * rate), round(max(seconds / trials, SHORTEST) * rate)
    run(Clock(frames, rate, (first + trials * each) / rate), stylizer, [gauge], manner=Manner(ladder=ladder))
    starts = [first + trial * each for trial in range(trials)]
    return judge(gauge.seen, painted, frames, starts, each, rate)


def judge(
    seen: Sequence[Shown], painted: set[int], frames: Sequence[Frame], starts: Sequence[int], each: int, rate: int
) -> Live:
    """What the sink saw, in trials of ``each`` frames that begin at ``starts``; ``painted`` are those by the net."""
    trials = [[shown for shown in seen if start <= shown.index < start + each] for start in starts]
    settled = [shown for some in trials for shown in some]
    looks = [moving.sample(frame.planes[0]) for frame in (*frames, *frames[-2:0:-1])]
    given = {shown.index: looks[shown.index % len(looks)] for shown in settled}
    # What comes while the engine hangs goes through, whatever its step, and is not there when the net is done with it.
    through = {shown.index for shown in settled if np.array_equal(given[shown.index], shown.look)}
    by_net = [shown for shown in settled if shown.index in painted - through]
    if by_net:
        check((given[shown.index] for shown in by_net), (shown.look for shown in by_net), moving=len(by_net) > 1)
    late = [1000 * shown.late for shown in settled]
    p50, p95, p99 = (round(float(np.quantile(late, share)), 2) for share in (0.5, 0.95, 0.99)) if late else (0, 0, 0)
    efforts = Counter(PASSED if shown.index in through else shown.step for shown in settled)
    return Live(
        frames=each,
        fps=[len(some) * rate / each for some in trials],
        core_ms=[_core_ms(some) for some in trials if len(some) > 1],
        latency=Latency(p50=p50, p95=p95, p99=p99) if late else None,
        drops=len(starts) * each - len(settled),
        effort=efforts.most_common(1)[0][0] if efforts else "nothing was shown",
        painted_share=round(len(by_net) / len(settled), 4) if settled else 0.0,
    )


def _core_ms(some: Sequence[Shown]) -> float:
    """A frame, from the first of them to the last."""
    return 1000 * (some[-1].core_seconds - some[0].core_seconds) / (len(some) - 1)
