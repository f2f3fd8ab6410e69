"""Rates by a clock that the test moves, and once for real."""

from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from allaprima.bench import ceilings
from allaprima.bench.ceilings import Probe, Probes, last_cache, measure, measured, rate
from allaprima.realtime.errors import BackendUnavailable, ConfigError


class Timed:
    """Work that takes the times it is given, the last of them again and again."""

    def __init__(self, *seconds: float) -> None:
        self.now, self.runs = 0.0, 0
        self._seconds = list(seconds)

    def run(self) -> None:
        self.now += self._seconds.pop(0) if len(self._seconds) > 1 else self._seconds[0]
        self.runs += 1

    def clock(self) -> float:
        return self.now


def test_a_rate_is_taken_after_the_warm_up() -> None:
    work = Timed(9.0, 0.01)
    found = rate(Probe(work.run, 3.0), 1.0, work.clock)
    assert found.trials == pytest.approx((300.0,) * 5)
    assert work.runs == 2 + 5 * 20  # a second's worth


def test_what_takes_long_is_done_three_times() -> None:
    work = Timed(1.0, 1.0, 1.0, 2.0, 4.0)
    found = rate(Probe(work.run, 8.0), 0.5, work.clock)
    assert found.trials == (8.0, 4.0, 2.0)
    assert found.median == 4


def test_the_quicker_of_two_products_is_the_ceiling() -> None:
    work = Timed(0.01)
    products = {"bf16": [Probe(work.run, 1.0), Probe(work.run, 7.0)], "f32": [Probe(work.run, 0.5)]}
    found = measured(Probes(Probe(work.run, 0.1), Probe(work.run, 0.4), products, 30.0), 1.0, work.clock)
    assert {name: trials.median for name, trials in found.gflop_s.items()} == pytest.approx({"bf16": 700, "f32": 50})
    assert found.copy_gb_s.median == pytest.approx(10)
    assert found.cache_gb_s is not None
    assert found.cache_gb_s.median == pytest.approx(40)
    assert found.cache_mb == 30


def test_this_machine_has_ceilings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, small in {"LEAST_COPIED": 8e6, "BEYOND": 0, "SIDE": 64, "MAP": (16, 16), "LAYERS": 2}.items():
        monkeypatch.setattr(ceilings, name, small)
    found = measure(("f32",), 0.05)
    assert set(found.gflop_s) == {"f32"}
    assert found.gflop_s["f32"].median > 0.05
    assert found.copy_gb_s.median > 0.1
    assert found.cache_gb_s is not None


def test_a_precision_that_nobody_paints_with_is_refused() -> None:
    with pytest.raises(ConfigError, match="int4"):
        measure(("int4",), 0.01)


def write_cache(root: Path, cpu: int, index: int, level: int, size: str, shared: str) -> None:
    folder = root / f"sys/devices/system/cpu/cpu{cpu}/cache/index{index}"
    folder.mkdir(parents=True)
    for name, text in (("level", level), ("size", size), ("shared_cpu_list", shared)):
        (folder / name).write_text(f"{text}\n")


def test_the_last_cache_is_counted_once_for_all_cores_that_share_it(tmp_path: Path) -> None:
    for cpu in range(4):
        write_cache(tmp_path, cpu, 2, 2, "1024K", str(cpu))
        write_cache(tmp_path, cpu, 3, 3, "16384K", "0-1" if cpu < 2 else "2-3")
    assert last_cache(tmp_path) == 2 * 16384 * 1024


def test_without_a_word_of_caches_none_is_known(tmp_path: Path) -> None:
    assert last_cache(tmp_path) is None


# ---- the card ----


class FakeCard:
    """What `ceilings` asks of CuPy, in NumPy; without cuBLAS where it is told so."""

    def __init__(self, cublas: bool = True) -> None:
        self.under_way = self.freed = False
        self.cublas = cublas
        properties = {"l2CacheSize": 50 * 2**20}
        runtime = SimpleNamespace(
            getDevice=lambda: 0, getDeviceProperties=lambda _: properties, deviceSynchronize=self._wait
        )
        self.cuda = SimpleNamespace(runtime=runtime)
        self.zeros, self.empty_like = np.zeros, np.empty_like
        pool = SimpleNamespace(free_all_blocks=lambda: setattr(self, "freed", True))
        self.get_default_memory_pool = lambda: pool
        self.random = SimpleNamespace(uniform=lambda a, b, shape, kind: np.ones(shape, kind))

    def _wait(self) -> None:
        self.under_way = False

    def copyto(self, target: Any, source: Any) -> None:
        self.under_way = True
        np.copyto(target, source)

    def matmul(self, a: Any, b: Any, out: Any) -> None:
        if not self.cublas:
            raise ImportError("libcublas.so.13")
        self.under_way = True
        np.matmul(a, b, out=out)


@pytest.fixture
def small_card(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, small in {"CARD_SIDE": 16, "CARD_COPIED": 4096, "CARD_NEAR": 64}.items():
        monkeypatch.setattr(ceilings, name, small)


@pytest.mark.usefixtures("small_card")
def test_a_card_has_ceilings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("allaprima.kernels.cuda.cupy", FakeCard)
    found = measure(("fp16", "f32"), 0.01, "cuda")
    assert set(found.gflop_s) == {"fp16", "f32"}
    assert found.cache_mb == pytest.approx(52.4, abs=0.1)


@pytest.mark.usefixtures("small_card")
def test_nothing_on_a_card_is_timed_before_it_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    card = FakeCard()
    monkeypatch.setattr("allaprima.kernels.cuda.cupy", lambda: card)
    with ceilings._card(("fp16",)) as probes:
        for probe in (probes.copy, probes.near, *probes.products["fp16"]):
            card.under_way = True
            probe.run()
            assert not card.under_way
    assert card.freed


@pytest.mark.usefixtures("small_card")
def test_without_cublas_torch_multiplies(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def rand(*shape: int, device: str, dtype: Any) -> Any:
        made.append((shape, device, dtype))
        return np.ones(shape, dtype)

    torch = ModuleType("torch")
    vars(torch).update(rand=rand, float16=np.float16, matmul=np.matmul, empty_like=np.empty_like)
    monkeypatch.setitem(ceilings.importlib.sys.modules, "torch", torch)
    monkeypatch.setattr("allaprima.kernels.cuda.cupy", lambda: FakeCard(cublas=False))
    assert measure(("fp16",), 0.01, "cuda").gflop_s["fp16"].median > 0
    assert made == [((16, 16), "cuda", np.float16)] * 2


@pytest.mark.usefixtures("small_card")
def test_where_nothing_multiplies_there_is_no_ceiling_for_products(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ceilings.importlib.sys.modules, "torch", None)
    monkeypatch.setattr("allaprima.kernels.cuda.cupy", lambda: FakeCard(cublas=False))
    found = measure(("fp16",), 0.01, "cuda")
    assert found.gflop_s == {}
    assert found.copy_gb_s.median > 0


def test_without_a_card_there_is_no_ceiling(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> Any:
        raise ImportError("no CuPy")

    monkeypatch.setattr("allaprima.kernels.cuda.cupy", absent)
    with pytest.raises(BackendUnavailable, match="no CuPy"):
        measure(("fp16",), 0.01, "cuda")


@pytest.mark.usefixtures("small_card")
def test_a_card_does_not_multiply_in_every_precision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("allaprima.kernels.cuda.cupy", FakeCard)
    with pytest.raises(ConfigError, match="int4"):
        measure(("int4",), 0.01, "cuda")
