"""The figures of all streams as Prometheus reads them (text format 0.0.4).

Every name there is stands in `TOTALS` and `FAMILIES`, with what it means; each begins with ``allaprima_``.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from allaprima.realtime.live.control import State, Stats
from allaprima.realtime.machine import resident

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
ID_SHOWN = 8
"""Characters of a private stream's name that are shown: the whole would be a key to it."""
STAGES = ("in", "painted", "sent")


@dataclass(frozen=True, slots=True)
class Row:
    """What is told of one stream."""

    name: str
    private: bool
    state: State
    stats: Stats

    @property
    def label(self) -> str:
        return self.name[:ID_SHOWN] if self.private else self.name


Sample = tuple[Mapping[str, str], float | None]
Samples = Callable[[Row], Iterable[Sample]]


TOTALS = {
    "sessions": ("gauge", "Streams that are open."),
    "sessions_most": ("gauge", "Streams that may be open."),
    "peers": ("gauge", "Peers, publishers and viewers."),
    "listeners": ("gauge", "Receivers of server-sent events."),
    "refused_total": ("counter", "Streams refused because the machine could not have painted them."),
    "capacity_measured": ("gauge", "1 once it is known what a stream costs on this machine."),
    "capacity_load": ("gauge", "Share of the machine that the streams take at the least effort; above 1 is too much."),
    "capacity_next": ("gauge", "The same for one stream more, as large as those there are."),
    "process_cpu_seconds_total": ("counter", "Processor time used."),
    "process_resident_bytes": ("gauge", "Memory in use."),
}
"""Figures of the whole server: name to kind and meaning."""


def text(rows: Iterable[Row], totals: Mapping[str, float]) -> str:
    """The page for Prometheus.  ``totals`` are figures of the whole server, by the names in `TOTALS`."""
    rows = list(rows)
    lines: list[str] = []
    for name, value in totals.items():
        lines += _family(name, *TOTALS[name], [({}, value)])
    for name, (kind, about, samples) in FAMILIES.items():
        lines += _family(name, kind, about, (sample for row in rows for sample in samples(row)))
    return "\n".join(lines) + "\n"


def process() -> dict[str, float]:
    """Figures of this process, by the names in `TOTALS`."""
    memory = resident()
    found = {"process_cpu_seconds_total": time.process_time()}
    return found if memory is None else found | {"process_resident_bytes": float(memory)}


def _counter(get: Callable[[Stats], float]) -> Samples:
    """A counter has no style: it would begin anew with every swap."""
    return lambda row: [({"stream": row.label}, get(row.stats))]


def _gauge(get: Callable[[Stats], float | None]) -> Samples:
    return lambda row: [(_labels(row), get(row.stats))]


def _labels(row: Row) -> dict[str, str]:
    return {"stream": row.label, "style": row.state.style}


def _frames(row: Row) -> Iterator[Sample]:
    for stage in STAGES:
        yield {"stream": row.label, "stage": stage}, getattr(row.stats, f"frames_{stage}")


def _fps(row: Row) -> Iterator[Sample]:
    for stage in STAGES:
        yield _labels(row) | {"stage": stage}, getattr(row.stats, f"fps_{stage}")


def _stages(row: Row) -> Iterator[Sample]:
    for stage, milliseconds in row.stats.stages_ms.items():
        yield _labels(row) | {"stage": stage}, milliseconds / 1000


def _latency(row: Row) -> Iterator[Sample]:
    if row.stats.latency_ms is not None:
        yield _labels(row) | {"quantile": "0.5"}, row.stats.latency_ms.p50 / 1000
        yield _labels(row) | {"quantile": "0.95"}, row.stats.latency_ms.p95 / 1000


def _painting(row: Row) -> Iterator[Sample]:
    yield {"stream": row.label}, float(not (row.stats.problem or row.state.bypass))


FAMILIES: dict[str, tuple[str, str, Samples]] = {
    "frames_total": ("counter", "Frames by how far they came: in, painted, sent.", _frames),
    "dropped_frames_total": ("counter", "Frames that a newer one replaced unpainted.", _counter(lambda s: s.dropped)),
    "held_frames_total": ("counter", "Frames shown again because no newer one had come.", _counter(lambda s: s.held)),
    "fps": ("gauge", "Frames a second now, by how far they came.", _fps),
    "stage_seconds": ("gauge", "Mean time of a frame in a stage of the engine.", _stages),
    "latency_seconds": ("gauge", "From capture until sent, of the last seconds.", _latency),
    "flicker": ("gauge", "Change of the painted picture along its motion, 0 to 1.", _gauge(lambda s: s.flicker)),
    "bitrate_bits_per_second": ("gauge", "Video sent.", _gauge(lambda s: s.bitrate_kbps * 1000)),
    "viewers": ("gauge", "Peers that watch.", _gauge(lambda s: s.viewers)),
    "stream_seconds": ("gauge", "Age of the stream.", _gauge(lambda s: s.seconds)),
    "painting": ("gauge", "1 while frames are painted, 0 while they go through as they are.", _painting),
    "effort_step": ("gauge", "Step of the governor: 0 is full effort.", _gauge(lambda s: s.effort)),
    "effort_changes_total": ("counter", "Times the step of the governor has changed.", _counter(lambda s: s.steps)),
}
"""Figures of each stream: name to kind, meaning and samples.

Labels: ``stream``, its name, or of a private one the first letters; ``style`` with gauges; ``stage``; ``quantile``.
"""


def _family(name: str, kind: str, about: str, samples: Iterable[Sample]) -> list[str]:
    full = f"allaprima_{name}"
    lines = [f"# HELP {full} {about}", f"# TYPE {full} {kind}"]
    return lines + [f"{full}{_braces(labels)} {value:.10g}" for labels, value in samples if value is not None]


def _braces(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
