import re

from allaprima.realtime.live.control import Latency, State, Stats
from allaprima.realtime.live.metrics import FAMILIES, TOTALS, Row, process, text

STATE = State(style='a:0.5,"b\\', mix={}, strength=1, steadiness=1, transition=0)


def test_every_line_is_what_prometheus_reads() -> None:
    stats = Stats(fps_in=30, frames_in=90, stages_ms={"net": 12.5}, latency_ms=Latency(p50=40, p95=80), viewers=2)
    page = text([Row("live", False, STATE, stats), Row("0123456789abcdef", True, STATE, Stats())], {"sessions": 2})
    sample = re.compile(r'allaprima_\w+(\{(\w+="([^"\\]|\\.)*",?)+\})? -?[\d.e+-]+')
    for line in page.splitlines():
        assert line.startswith("# ") or sample.fullmatch(line), line
    assert page.endswith("\n")
    style = 'style="a:0.5,\\"b\\\\"'
    assert f'allaprima_stage_seconds{{stream="live",{style},stage="net"}} 0.0125' in page
    assert 'allaprima_frames_total{stream="live",stage="in"} 90' in page
    assert f'allaprima_latency_seconds{{stream="live",{style},quantile="0.95"}} 0.08' in page
    assert "allaprima_sessions 2" in page
    assert "01234567" in page
    assert "012345678" not in page


def test_a_stream_says_whether_it_is_painted_and_with_what_effort() -> None:
    rows = [
        Row("good", False, STATE, Stats(effort=2, steps=5, held=7)),
        Row("broken", False, STATE, Stats(problem="no net")),
        Row("idle", False, STATE.model_copy(update={"bypass": True}), Stats()),
    ]
    page = text(rows, process())
    for line in ('painting{stream="good"} 1', 'painting{stream="broken"} 0', 'painting{stream="idle"} 0'):
        assert f"allaprima_{line}\n" in page
    assert 'allaprima_effort_changes_total{stream="good"} 5\n' in page
    assert 'allaprima_held_frames_total{stream="good"} 7\n' in page
    assert "allaprima_process_cpu_seconds_total" in page


def test_counters_end_in_total_and_every_name_says_what_it_is() -> None:
    kinds = TOTALS | {name: entry[:2] for name, entry in FAMILIES.items()}
    for name, (kind, about) in kinds.items():
        assert kind == ("counter" if name.endswith("_total") else "gauge"), name
        assert about.endswith(".")


def test_every_family_is_declared_once() -> None:
    page = text([], {"sessions": 0})
    types = re.findall(r"^# TYPE (\w+) ", page, re.MULTILINE)
    assert len(types) == len(set(types)) > 8
