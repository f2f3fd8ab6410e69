import re

from allaprima.realtime.live.control import Latency, State, Stats
from allaprima.realtime.live.metrics import Row, text

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


def test_every_family_is_declared_once() -> None:
    page = text([], {"sessions": 0})
    types = re.findall(r"^# TYPE (\w+) ", page, re.MULTILINE)
    assert len(types) == len(set(types)) > 8
