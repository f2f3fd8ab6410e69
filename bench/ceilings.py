"""What a machine can do at most: bytes copied and matrices multiplied a second, measured by what paints on it."""

import importlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from allaprima.bench.catalogue import Ceilings, Trials
from allaprima.bench.conditions import Watch
from allaprima.realtime import machine
from allaprima.realtime.errors import BackendUnavailable, ConfigError

TRIALS, FEWEST_TRIALS = 5, 3
LEAST_COPIED = 256e6
"""Bytes of both arrays together, at least; at most an eighth of the memory."""
BEYOND = 2.0
"""Times the last cache that both arrays together are."""
NEAR_BYTES = 1 << 19
"""Of each of the two arrays of a core that stay within its own cache."""
NEAR_TIMES = 50
SIDE, PRODUCTS = 1024, 3
"""Of the square matrices on a processor, one product after the other."""
CHANNELS, MAP, LAYERS = 64, (90, 160), 8
"""Of the 3x3 convolutions on a processor: the nets' kind, of a map that stays in the cache."""
CARD_SIDE, CARD_COPIED, CARD_NEAR = 8192, 1 << 30, 1 << 22

Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Probe:
    """Work to be timed: ``run`` does it and comes back when it is done."""

    run: Callable[[], object]
    amount: float
    """In 10^9, of bytes read and written or of operations."""


@dataclass(frozen=True, slots=True)
class Probes:
    """All that is measured of one device."""

    copy: Probe
    near: Probe
    products: Mapping[str, Sequence[Probe]]
    """By precision; the quickest of them counts."""
    cache_mb: float | None


def measure(precisions: Sequence[str], seconds: float = 2.0, backend: str = "cpu") -> Ceilings:
    """Ceilings of this machine for some precisions, several trials each, in about ``seconds`` and a second to start.

    A processor copies with NumPy, a thread for each core, and multiplies in OpenVINO with the precision set as
    `backends.cpu` sets it: products of matrices and 3x3 convolutions, of which the quicker counts.  The backend
    ``cuda`` copies on the card and multiplies by CuPy's library, or by torch where that is not installed; without
    either there is no ceiling for products.  Raises `ConfigError` for an unknown precision and `BackendUnavailable`
    where the device cannot be used.
    """
    with (_card if backend == "cuda" else _processor)(precisions) as probes:
        return measured(probes, seconds)


def measured(probes: Probes, seconds: float, clock: Clock = time.perf_counter) -> Ceilings:
    """The probes' rates, each in its share of ``seconds``."""
    share = seconds / (2 + sum(map(len, probes.products.values())))
    with Watch() as watch:
        copy, near = (rate(probe, share, clock) for probe in (probes.copy, probes.near))
        products = {
            precision: max((rate(probe, share, clock) for probe in some), key=lambda trials: trials.median)
            for precision, some in probes.products.items()
            if some
        }
    others, stolen = watch.conditions().other_load_cores, watch.conditions().stolen_cores
    return Ceilings(
        copy_gb_s=copy,
        gflop_s=products,
        cache_gb_s=near,
        cache_mb=probes.cache_mb,
        other_load_cores=None if others is None or stolen is None else others + stolen,
    )


def rate(probe: Probe, seconds: float, clock: Clock = time.perf_counter) -> Trials:
    """What is done a second, by trials after a warm-up, in about ``seconds``: fewer trials where once takes long."""
    probe.run()
    began = clock()
    probe.run()
    once = max(clock() - began, 1e-9)
    trials = TRIALS if TRIALS * once <= seconds else FEWEST_TRIALS
    times = max(1, round(seconds / once / trials))
    found = []
    for _ in range(trials):
        began = clock()
        for _ in range(times):
            probe.run()
        found.append(times * probe.amount / max(clock() - began, 1e-9))
    return Trials.of(found)


# ---- the processor ----


@contextmanager
def _processor(precisions: Sequence[str]) -> Iterator[Probes]:
    products = {precision: _multiplying(precision) for precision in precisions}
    cores, cache = machine.cores(), last_cache()
    with ThreadPoolExecutor(cores, "copy") as threads:
        most = (machine.memory() or 8e9) / 8
        size = int(min(max(LEAST_COPIED, BEYOND * (cache or 0)), most) / 2 / cores)
        far, near = ([_pair(each) for _ in range(cores)] for each in (size, NEAR_BYTES))

        def copy() -> None:
            list(threads.map(lambda pair: np.copyto(*pair), far))

        def copy_near() -> None:
            list(threads.map(_copy_often, near))

        yield Probes(
            Probe(copy, sum(2 * target.nbytes for target, _ in far) / 1e9),
            Probe(copy_near, sum(2 * target.nbytes for target, _ in near) * NEAR_TIMES / 1e9),
            products,
            None if cache is None else cache / 1e6,
        )


def _pair(size: int) -> tuple[Any, Any]:
    return np.zeros(size, np.uint8), np.ones(size, np.uint8)


def _copy_often(pair: tuple[Any, Any]) -> None:
    for _ in range(NEAR_TIMES):
        np.copyto(*pair)


def _multiplying(precision: str) -> list[Probe]:
    import openvino as ov
    import openvino.opset13 as op

    if precision not in ("bf16", "f32"):
        raise ConfigError(f"a processor has no ceiling for {precision!r}", "It is measured for bf16 and f32.")
    draw = np.random.default_rng(0)

    def weights(*shape: int) -> Any:
        inputs = math.prod(shape) / shape[0]
        return op.constant(draw.uniform(-1, 1, shape).astype(np.float32) * math.sqrt(3 / inputs))

    def products(value: Any) -> Any:
        for _ in range(PRODUCTS):
            value = op.matmul(value, weights(SIDE, SIDE), False, False)
        return value

    def convolutions(value: Any) -> Any:
        for _ in range(LAYERS):
            value = op.convolution(value, weights(CHANNELS, CHANNELS, 3, 3), [1, 1], [1, 1], [1, 1], [1, 1])
        return value

    def probe(shape: list[int], chain: Callable[[Any], Any], flop: float) -> Probe:
        given = op.parameter(shape, np.float32)
        model = ov.Model([op.result(chain(given))], [given], "ceiling")
        options = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
        request = ov.Core().compile_model(model, "CPU", options).create_infer_request()
        request.set_input_tensor(ov.Tensor(draw.uniform(-1, 1, shape).astype(np.float32)))
        return Probe(request.infer, flop / 1e9)

    return [
        probe([SIDE, SIDE], products, 2.0 * PRODUCTS * SIDE**3),
        probe([1, CHANNELS, *MAP], convolutions, 2.0 * LAYERS * CHANNELS**2 * 9 * math.prod(MAP)),
    ]


def last_cache(root: Path = Path("/")) -> float | None:
    """Bytes of the last caches before memory of all cores together; None where the system does not say (Linux does)."""
    found: dict[int, dict[str, int]] = {}
    for folder in (root / "sys/devices/system/cpu").glob("cpu[0-9]*/cache/index[0-9]*"):
        try:
            level, shared, size = ((folder / name).read_text().strip() for name in ("level", "shared_cpu_list", "size"))
            found.setdefault(int(level), {})[shared] = 1024 * int(size.removesuffix("K"))
        except (OSError, ValueError):
            continue
    return float(sum(found[max(found)].values())) if found else None


# ---- the card ----


@contextmanager
def _card(precisions: Sequence[str]) -> Iterator[Probes]:
    from allaprima.kernels.cuda import cupy

    try:
        cp = cupy()
        device = cp.cuda.runtime.getDevice()
        cache = float(cp.cuda.runtime.getDeviceProperties(device)["l2CacheSize"])
        far, near = ([cp.zeros(size, np.uint8) for _ in range(2)] for size in (CARD_COPIED, CARD_NEAR))
    except (ImportError, RuntimeError) as error:
        raise BackendUnavailable(f"the card's ceilings cannot be measured: {error}") from error
    wait = cp.cuda.runtime.deviceSynchronize

    def copy() -> None:
        cp.copyto(*far)
        wait()

    def copy_near() -> None:
        for _ in range(NEAR_TIMES):
            cp.copyto(*near)
        wait()

    yield Probes(
        Probe(copy, 2 * CARD_COPIED / 1e9),
        Probe(copy_near, 2 * NEAR_TIMES * CARD_NEAR / 1e9),
        {precision: _multiplying_on_card(precision, cp, wait) for precision in precisions},
        cache / 1e6,
    )
    far.clear()
    cp.get_default_memory_pool().free_all_blocks()  # what is measured next wants the card to itself


def _multiplying_on_card(precision: str, cp: Any, wait: Callable[[], object]) -> list[Probe]:
    kind = {"fp16": "float16", "f32": "float32"}.get(precision)
    if kind is None:
        raise ConfigError(f"a card has no ceiling for {precision!r}", "It is measured for fp16 and f32.")
    try:
        a, b = (cp.random.uniform(-1, 1, (CARD_SIDE, CARD_SIDE), np.float32).astype(kind) for _ in range(2))
        multiply, made = cp.matmul, cp.empty_like(a)
        multiply(a, b, out=made)
    except (ImportError, OSError, RuntimeError):  # CuPy finds no cuBLAS, or no cuRAND
        try:
            torch = importlib.import_module("torch")
        except ImportError:
            return []
        a, b = (torch.rand(CARD_SIDE, CARD_SIDE, device="cuda", dtype=getattr(torch, kind)) - 0.5 for _ in range(2))
        multiply, made = torch.matmul, torch.empty_like(a)

    def run() -> None:
        multiply(a, b, out=made)
        wait()

    return [Probe(run, 2.0 * CARD_SIDE**3 / 1e9)]
