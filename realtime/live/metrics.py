"""The figures of all streams as Prometheus reads them (text format 0.0.4)."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass

from allaprima.realtime.live.control import State, Stats

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


TOTALS = {
    "sessions": "Streams that are open.",
    "sessions_most": "Streams that may be open.",
    "peers": "Peers, publishers and viewers.",
    "listeners": "Receivers of server-sent events.",
}


def text(rows: Iterable[Row], totals: Mapping[str, float]) -> str:
    """The page for Prometheus.  ``totals`` are figures of the whole server, by the names in `TOTALS`."""
    rows = list(rows)
    lines: list[str] = []
    for name, value in totals.items():
        lines += _family(name, TOTALS[name], "gauge", [({}, value)])
    lines += _family("frames_total", "Frames by how far they came.", "counter", _by_stage(rows, "frames", styled=False))
    dropped = [({"stream": row.label}, float(row.stats.dropped)) for row in rows]
    lines += _family("dropped_frames_total", "Frames that a newer one replaced unpainted.", "counter", dropped)
    lines += _family("fps", "Frames a second now, by how far they came.", "gauge", _by_stage(rows, "fps"))
    stages = [
        (_labels(row) | {"stage": stage}, milliseconds / 1000)
        for row in rows
        for stage, milliseconds in row.stats.stages_ms.items()
    ]
    lines += _family("stage_seconds", "Mean time of a frame in a stage of the engine.", "gauge", stages)
    lines += _family("latency_seconds", "From capture until sent, of the last seconds.", "gauge", _latency(rows))
    simple: tuple[tuple[str, str, Callable[[Stats], float | None]], ...] = (
        ("flicker", "Change of the painted picture along its motion, 0 to 1.", lambda s: s.flicker),
        ("bitrate_bits_per_second", "Video sent.", lambda s: s.bitrate_kbps * 1000),
        ("viewers", "Peers that watch.", lambda s: s.viewers),
        ("stream_seconds", "Age of the stream.", lambda s: s.seconds),
    )
    for name, about, get in simple:
        lines += _family(name, about, "gauge", [(_labels(row), get(row.stats)) for row in rows])
    return "\n".join(lines) + "\n"


def _labels(row: Row) -> dict[str, str]:
    return {"stream": row.label, "style": row.state.style}


def _by_stage(rows: list[Row], figure: str, styled: bool = True) -> list[Sample]:
    """A counter has no style: it would begin anew with every swap."""
    samples: list[Sample] = []
    for row in rows:
        labels = _labels(row) if styled else {"stream": row.label}
        samples += [(labels | {"stage": stage}, getattr(row.stats, f"{figure}_{stage}")) for stage in STAGES]
    return samples


def _latency(rows: list[Row]) -> Iterator[Sample]:
    for row in rows:
        if row.stats.latency_ms is not None:
            yield _labels(row) | {"quantile": "0.5"}, row.stats.latency_ms.p50 / 1000
            yield _labels(row) | {"quantile": "0.95"}, row.stats.latency_ms.p95 / 1000


def _family(name: str, help_text: str, kind: str, samples: Iterable[Sample]) -> list[str]:
    full = f"allaprima_{name}"
    lines = [f"# HELP {full} {help_text}", f"# TYPE {full} {kind}"]
    return lines + [f"{full}{_braces(labels)} {value:.10g}" for labels, value in samples if value is not None]


def _braces(labels: Mapping[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
