"""The kernels' benchmark: every case runs on the emulator, and the clock is a fake; never how large a time is."""

import ctypes
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from allaprima.bench import kernels
from allaprima.bench.kernel_cases import CASES, FLOW, GLUE, OTHER, Case, Inputs, Sizes, Work
from allaprima.bench.kernels import Device, SizeResult, Timing
from allaprima.bench.results import Spread
from allaprima.kernels.cuda import Module
from allaprima.realtime.errors import BackendUnavailable, ConfigError

from ..kernels.conftest import emulated  # noqa: F401 (a fixture)
from ..kernels.fake_cupy import FakeArray, FakeCupy, FakeStream

TINY = Sizes((158, 102))
"""An odd number of chroma samples, and small pictures that are as large as flow must be."""
DEVICE = Device("a device", "13.0", "13.0", cache=50_000_000, memory=80_000_000_000)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_case_runs_as_it_is_described(emulated: FakeCupy, case: Case) -> None:  # noqa: F811
    inputs, stream = Inputs(), FakeStream()
    call = case.prepare(inputs, TINY)
    with emulated.no_allocation():
        call(stream)
    work = case.work(TINY)
    assert len(emulated.launches) == work.launches
    assert {launched.stream for launched in emulated.launches} == {stream}
    assert work.bytes > 0
    assert work.flops > 0


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bytes_are_those_of_the_arrays(emulated: FakeCupy, case: Case, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    """Of each launch, in and out; an op may leave out a part of an array, as a margin that it cuts off."""
    given, launch = [], Module.launch

    def counted(module: Module, kernel: str, grid: Any, block: Any, args: Any, *rest: Any) -> None:
        given.append(sum(arg.nbytes for arg in args if isinstance(arg, FakeArray)))
        launch(module, kernel, grid, block, args, *rest)

    monkeypatch.setattr(Module, "launch", counted)
    case.prepare(Inputs(), TINY)(FakeStream())
    share = case.work(TINY).bytes / sum(given)
    assert 0.7 < share < 1.02


def test_names_are_unlike_and_the_frame_has_its_parts() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert {case.part for case in CASES} == {GLUE, FLOW, OTHER}


def test_sets_of_arrays_are_of_the_same_values(emulated: FakeCupy) -> None:  # noqa: F811
    inputs = Inputs()
    more = inputs.again()
    first, second = (some.random((3, 5), "uint8", 255) for some in (inputs, more))
    assert (first.get() == second.get()).all()
    assert first.data.ptr != second.data.ptr
    assert (inputs.bytes, more.bytes) == (15, 15)
    flow, where = inputs.flow((9, 4)).get(), inputs.positions((9, 4)).get()
    assert flow.shape == where.shape == (4, 9, 2)
    assert (where[2, 7] - flow[2, 7] == [7, 2]).all()


@pytest.mark.parametrize(
    ("size", "sets"),
    [
        (10_000_000, 11),  # twice the cache, and one more
        (1, kernels.MOST_SETS),
        (200_000_000, kernels.FEWEST_SETS),
        (20_000_000_000, kernels.FEWEST_SETS),
    ],
)
def test_sets_fill_more_than_the_cache(size: int, sets: int) -> None:
    assert kernels.set_count(size, DEVICE) == sets


def test_sets_fit_into_memory() -> None:
    assert kernels.set_count(10_000_000, Device("small", "", "", 50_000_000, 80_000_000)) == 4


# ---- the clock ----


class Clock:
    """The calls of CuPy that timing needs; each launch of a graph takes half a millisecond longer than the last."""

    def __init__(self, cupy: FakeCupy, patch: pytest.MonkeyPatch) -> None:
        self.cupy, self.graphs, self.now = cupy, 0, 0.0
        cuda = cupy.cuda
        cuda.Event, cuda.get_elapsed_time = self.event, lambda start, end: end.at - start.at
        cuda.runtime.getDeviceCount = lambda: 1
        cuda.runtime.driverGetVersion = cuda.runtime.runtimeGetVersion = lambda: 13010
        found = {"name": b"Fake", "major": 9, "minor": 0, "l2CacheSize": 1000, "totalGlobalMem": 1 << 30}
        cuda.runtime.getDeviceProperties = lambda number: found
        cuda.runtime.memcpyAsync = self.copy
        cupy.__version__ = "14.0"  # type: ignore[attr-defined]
        patch.setattr(FakeStream, "begin_capture", lambda stream: None, raising=False)
        patch.setattr(FakeStream, "end_capture", lambda stream: SimpleNamespace(launch=self.launch), raising=False)

    def event(self) -> Any:
        made = SimpleNamespace(at=0.0)
        made.record = lambda stream: setattr(made, "at", self.now)
        return made

    def launch(self, stream: Any) -> None:
        self.graphs += 1
        self.now += 0.5 * self.graphs

    def copy(self, to: int, given: int, size: int, kind: int, stream: Any) -> None:
        assert kind == 3
        ctypes.memmove(to, given, size)


@pytest.fixture
def clock(emulated: FakeCupy, monkeypatch: pytest.MonkeyPatch) -> Clock:  # noqa: F811
    monkeypatch.setattr(kernels, "COPIED", 1 << 16)
    monkeypatch.setattr(kernels, "TRIALS", 4)
    return Clock(emulated, monkeypatch)


def test_a_time_is_that_of_one_call_after_warming_up(clock: Clock) -> None:
    called: list[Any] = []
    spread = kernels.timed([called.append] * 10)
    assert len(called) == 10 + 40  # to compile, and whole rounds into the graph
    assert clock.graphs == kernels.WARM_UP + 4
    assert spread.values == pytest.approx(
        [75, 87.5, 100, 112.5]
    )  # half a millisecond for each graph so far, over 40 calls


def test_an_op_is_timed_on_several_sets(clock: Clock) -> None:
    (case,) = kernels.chosen("mix")
    timing = kernels.measure(case, TINY, replace(DEVICE, cache=1_000_000))
    assert timing.sets == 6  # of 0.4 MB each
    assert len(clock.cupy.launches) == 6 + 36
    assert timing.as_json()["launches"] == 1


def test_a_size_is_measured_beside_its_copy(clock: Clock) -> None:
    told: list[str] = []
    device = Device.current()
    assert device == Device("Fake (sm_90)", "13.1", "13.1", 1000, 1 << 30)
    result = kernels.measure_size(TINY.picture, kernels.chosen("health"), device, told.append)
    assert told == ["158x102: health of luma"]
    assert result.copy.work.bytes == 2 * (1 << 16)
    assert [timing.case.name for timing in result.timings] == ["health of luma"]


@pytest.mark.needs_cuda
def test_every_op_is_timed_on_a_device() -> None:
    """Each can be captured, so none allocates or waits."""
    result = kernels.measure_size((320, 180), CASES, Device.current(), print)
    assert result.copy.speed > 1
    assert all(timing.us.least > 0 for timing in result.timings)


# ---- what is made of the times ----


def timed_result(size: tuple[int, int], us: float = 10.0) -> SizeResult:
    """All ops equally fast; the copy moves 3 GB in a millisecond."""
    result = SizeResult(size, Timing(kernels.COPY, Spread.of([1000]), 2, Work(3e9, 0, 1)))
    result.timings = [Timing(case, Spread.of([us - 1, us, us + 5]), 2, case.work(Sizes(size))) for case in CASES]
    return result


def test_speeds_and_shares() -> None:
    result = timed_result((1920, 1080))
    (blend,) = (timing for timing in result.timings if timing.case.name == "blend")
    assert result.copy.speed == pytest.approx(3000)
    assert blend.speed == pytest.approx(22 * 1952 * 1112 / 10e3)
    assert result.share(blend) == pytest.approx(blend.speed / 3000)


def test_a_frame_is_the_sum_of_its_ops() -> None:
    result = timed_result((1920, 1080))
    inside = [case for case in CASES if case.part == GLUE]
    launches = sum(case.work(Sizes((1920, 1080))).launches for case in inside)
    assert result.a_frame(GLUE) == (10 * len(inside), launches)
    result.timings.pop(next(i for i, timing in enumerate(result.timings) if timing.case.part == GLUE))
    assert result.a_frame(GLUE) == (0, 0), "a part of a frame is no frame"


def test_bars_stand_where_they_were_set() -> None:
    bars = {bar.what: bar for bar in timed_result((1920, 1080)).bars()}
    assert bars["blend"].limit == 0.6
    assert bars["glue of a frame"].met
    assert bars.keys() == {case.name for case in CASES if case.memory_bound} | {
        f"{part} of a frame" for part in (GLUE, FLOW)
    }
    slow = {bar.what: bar.met for bar in timed_result((1920, 1080), 1000).bars()}
    assert not any(slow.values())
    large = timed_result((3840, 2160)).bars()
    assert {bar.limit for bar in large} == {0.8}
    assert timed_result((1280, 720)).bars() == []


# ---- the command ----


def run(**changes: Any) -> None:
    settings: dict[str, Any] = {"size": ["158x102"], "only": "", "floor": False, "as_json": None}
    kernels.main(**(settings | changes))


def test_the_command_shows_and_writes(clock: Clock, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(only="mix", as_json=str(tmp_path / "kernels.json"))
    report = json.loads((tmp_path / "kernels.json").read_text())
    assert report["schema"] == kernels.SCHEMA
    assert report["settings"]["device"] == "Fake (sm_90)"
    assert report["versions"]["cupy"] == "14.0"
    (size,) = report["sizes"]
    (op,) = size["ops"]
    assert op["op"] == "mix of 4 styles"
    assert len(op["microseconds"]["trials"]) == 4
    assert op["share_of_copy"] > 0
    assert size["a_frame"]["glue"] == {"microseconds": 0, "launches": 0}
    shown = capsys.readouterr().out
    assert "mix of 4 styles" in shown
    assert "Fake (sm_90)" in shown


def test_all_that_is_shown_of_a_size(capsys: pytest.CaptureFixture[str]) -> None:
    kernels.show(timed_result((1920, 1080)))
    shown = capsys.readouterr().out
    assert all(case.name in shown for case in CASES)
    assert "glue of a frame" in shown
    assert "≤ 300 us: met" in shown
    assert "≥ 0.6" in shown


def test_the_floor_needs_no_device(capsys: pytest.CaptureFixture[str]) -> None:
    run(floor=True, size=None)
    shown = capsys.readouterr().out
    assert shown.count("glue of a frame") == 2
    assert "22 x" not in shown
    assert f"{22 * 1952 * 1112 / 1e6:.1f}" in shown


def test_an_unknown_op_is_told() -> None:
    with pytest.raises(ConfigError, match="no op has 'wrap' in its name"):
        run(only="wrap")


def test_a_machine_without_a_device_is_told(emulated: FakeCupy) -> None:  # noqa: F811
    emulated.cuda.runtime.getDeviceCount = lambda: 0
    with pytest.raises(BackendUnavailable, match="no CUDA device"):
        run()

    def no_driver() -> Iterator[None]:
        raise RuntimeError("cudaErrorInsufficientDriver")

    emulated.cuda.runtime.getDeviceCount = no_driver
    with pytest.raises(BackendUnavailable, match="no CUDA device: cudaErrorInsufficientDriver"):
        run()


def test_a_machine_without_cupy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cupy", None)
    with pytest.raises(BackendUnavailable, match="CuPy is not installed") as told:
        run()
    assert told.value.exit_code == 7
