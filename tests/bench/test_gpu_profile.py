"""What is made of a trace, and the launches of a frame on the emulator; no time counts here."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from allaprima.bench import gpu_profile
from allaprima.bench.gpu_profile import own_names, profile, share_busy, short, summed_up, traced
from allaprima.kernels.cuda import Module
from allaprima.realtime.backends import cuda_step
from allaprima.realtime.bundle import Bundle

from ..kernels.fake_cupy import FakeCupy
from ..realtime.backends.cuda_rig import Still, card, filters

SIZE = (38, 30)


def event(category: str, name: str, start: float, microseconds: float, **more: Any) -> dict[str, Any]:
    return {"ph": "X", "cat": category, "name": name, "ts": start, "dur": microseconds} | more


TRACE = [
    event("kernel", "void warp<float, (int)2>(Warp<float>, int)", 0, 10),
    event("kernel", "void warp<float, (int)2>(Warp<float>, int)", 20, 14),
    event("kernel", "sm90_xmma_fprop_implicit_gemm_f16f16", 5, 30),
    event("gpu_memcpy", "Memcpy HtoD (Pinned -> Device)", 60, 4),
    event("cpu_op", "aten::conv2d", 0, 500),
    event("kernel", "without an end", 0, 500, ph="B"),
]


def test_a_trace_is_summed_up_by_frame() -> None:
    rows, busy = summed_up(TRACE, 2)
    assert rows == [
        ("ours", "warp<float, (int)2>", 12, 1),
        ("nets", "sm90_xmma_fprop_implicit_gemm_f16f16", 15, 0.5),
        ("copies", "Memcpy HtoD", 2, 0.5),
    ]
    assert busy == pytest.approx((35 + 4) / 64)
    assert summed_up([], 2) == ([], None)


def test_what_overlaps_is_busy_once() -> None:
    assert share_busy([(0, 10), (5, 8), (9, 12), (16, 20)]) == pytest.approx(0.8)
    assert share_busy([(3, 3)]) is None
    assert share_busy([]) is None


def test_names_are_short() -> None:
    assert short("void (anonymous namespace)::hold<__half, 3>(Plane<__half>, float)") == "hold<__half, 3>"
    assert short("(anonymous)") == "(anonymous)"
    assert short("k<f(int)>(int)") == "k<f(int)>"
    assert len(short("x" * 100)) == 60


def test_our_kernels_are_known_by_their_names() -> None:
    assert "warp" in own_names()
    assert not [name for name in own_names() if "<" in name]


# ---- torch's profiler, played ----


@pytest.fixture
def profiler(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """``torch.profiler`` that has seen `TRACE`."""
    told = SimpleNamespace(trace={"traceEvents": TRACE}, asked=[], inside=False)

    class Record:
        def __init__(self, activities: Any) -> None:
            told.asked.append(activities)

        def __enter__(self) -> "Record":
            told.inside = True
            return self

        def __exit__(self, *_: object) -> None:
            told.inside = False

        def export_chrome_trace(self, file: str) -> None:
            if told.trace is None:
                raise RuntimeError("no trace")
            Path(file).write_text(json.dumps(told.trace))

    module: Any = ModuleType("torch.profiler")
    module.profile, module.ProfilerActivity = Record, SimpleNamespace(CPU="cpu", CUDA="cuda")
    monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))
    monkeypatch.setitem(sys.modules, "torch.profiler", module)
    return told


def test_the_profiler_watches_the_work(profiler: SimpleNamespace) -> None:
    seen: list[bool] = []
    rows, _ = traced(lambda: seen.append(profiler.inside), 1)
    assert (seen, profiler.asked, len(rows)) == ([True], [["cpu", "cuda"]], 3)


def test_where_it_sees_nothing_there_are_no_rows(profiler: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    profiler.trace = None
    assert traced(lambda: None, 1) == ([], None)
    profiler.trace = {}
    assert traced(lambda: None, 1) == ([], None)
    monkeypatch.setitem(sys.modules, "torch.profiler", None)
    assert traced(lambda: None, 1) == ([], None)


def test_the_profiler_of_a_torch_without_a_card_sees_nothing() -> None:
    pytest.importorskip("torch")
    assert traced(lambda: None, 1) == ([], None)


# ---- on the emulator ----


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tiny_bundle: Path) -> Iterator[FakeCupy]:
    monkeypatch.setattr(cuda_step, "Dis", Still)
    monkeypatch.setattr("allaprima.bench.gpu_painter.styles", lambda: (Bundle(tiny_bundle), [filters(0.25)]))
    monkeypatch.setattr(gpu_profile, "WARM_UP", 3)
    with card() as found:
        found.cuda.get_elapsed_time = lambda start, end: 0.002
        yield found


def test_without_it_launches_are_timed_one_by_one(fake: FakeCupy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_profile, "traced", lambda work, count: ([], None))
    launch = Module.launch
    found = profile(SIZE, 2)
    assert Module.launch is launch
    told = found.figures["38x30"]
    assert told["by"].startswith("events around launches")
    assert told["nets, us"] == 2
    assert 40 < told["ours, us"] < 80
    assert found.figures["slowest"]["nets: tiny"] == {"us": 2, "calls": 1}
    assert len(found.figures["slowest"]) == gpu_profile.SHOWN


def test_by_the_profiler_the_card_shows_how_busy_it_is(fake: FakeCupy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_profile, "traced", lambda work, count: (work(), summed_up(TRACE, count))[1])
    told = profile(SIZE, 2).figures["38x30"]
    assert told["the card is busy, share"] == pytest.approx(39 / 64)
    assert (told["ours, us"], told["nets, us"], told["copies, us"]) == (12, 15, 2)
