"""What every kernel has from the prelude: rounding, and sums over threads."""

from importlib.resources import files
from typing import Any

import numpy as np
import pytest

from allaprima.kernels.cuda import OPTIONS, TYPES

CODE = (
    (files("allaprima.kernels") / "prelude.cuh").read_text("utf-8")
    + """
template <class T>
__global__ void __launch_bounds__(64) round_trip(const float* from, T* to, float* back, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    store(to + i, from[i]);
    back[i] = load(to[i]);
}
template <int THREADS>
__global__ void __launch_bounds__(1024) sums(const float* from, float* to) {
    const int thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
    const float value = from[blockIdx.x * THREADS + thread];
    const float sum = block_sum<THREADS>(value), squares = block_sum<THREADS>(value * value);
    if (thread == 0) {
        to[2 * blockIdx.x] = sum;
        to[2 * blockIdx.x + 1] = squares;
    }
}
"""
)
VALUES = [-np.inf, -1e9, -0.6, -0.5, 0, 0.4, 0.5, 1.5, 2.5, 254.5, 254.6, 300, 65534.6, 65536, 1e9, np.inf, np.nan]


@pytest.fixture
def kernel(cupy: Any) -> Any:
    names = (*(f"round_trip<{kind}>" for kind in TYPES.values()), "sums<32>", "sums<96>", "sums<1024>")
    return cupy.RawModule(code=CODE, options=OPTIONS, name_expressions=names).get_function


@pytest.mark.parametrize("dtype", TYPES)
def test_values_are_rounded_to_the_nearest_and_clamped(cupy: Any, kernel: Any, dtype: str) -> None:
    values = np.float32(VALUES)
    stored, back = cupy.empty(len(VALUES), dtype), cupy.empty(len(VALUES), np.float32)
    args = (cupy.asarray(values), stored, back, np.int32(len(VALUES)))
    kernel(f"round_trip<{TYPES[dtype]}>")((1,), (64,), args)
    if np.dtype(dtype).kind == "u":
        expected = np.nan_to_num(np.clip(np.rint(values), 0, np.iinfo(dtype).max)).astype(dtype)
    else:
        with np.errstate(over="ignore"):
            expected = values.astype(dtype)
    np.testing.assert_array_equal(stored.get(), expected)
    np.testing.assert_array_equal(back.get(), expected.astype(np.float32))


@pytest.mark.parametrize("block", [(32,), (8, 12), (32, 8, 4)])
def test_a_block_sums_up_again_and_again(cupy: Any, kernel: Any, block: tuple[int, ...]) -> None:
    threads = int(np.prod(block))
    values = np.random.default_rng(0).integers(0, 100, (3, threads)).astype(np.float32)  # whole: sums are exact
    out = cupy.empty((3, 2), np.float32)
    kernel(f"sums<{threads}>")((3,), block, (cupy.asarray(values), out))
    np.testing.assert_array_equal(out.get(), np.stack([values.sum(1), (values * values).sum(1)], 1))
