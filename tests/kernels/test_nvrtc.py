"""Every kernel compiles for every architecture, without warnings and without spills; no GPU is needed."""

import importlib.util

import pytest

from allaprima.bench.registers import ARCHITECTURES, DoesNotCompile, Usage, modules, table, usage
from allaprima.kernels.cuda import Module

LOCAL: dict[str, str] = {}
"""Kernels that use local memory, with the reason."""

needs_nvrtc = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("cuda", "nvidia")),
    reason="cuda-bindings, nvidia-cuda-nvrtc or nvidia-cuda-runtime is not installed",
)


@needs_nvrtc
@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_kernels_compile_and_keep_to_their_registers(module: Module, architecture: int) -> None:
    found = usage(module.source(), f"{module.name}.cu", module.expressions, architecture)
    assert {row.kernel for row in found} == set(module.expressions)
    assert [row for row in found if row.spilled] == []
    assert [row for row in found if row.stack and row.kernel.partition("<")[0] not in LOCAL] == []


@needs_nvrtc
@pytest.mark.parametrize("fault", ["int unused = 1;", "if (out = nullptr) return;", "return 1;", "undeclared();"])
def test_a_warning_is_an_error(fault: str) -> None:
    def kernel(body: str) -> str:
        return f"__global__ void kernel(float* out) {{ {body} *out = 1; }}"

    assert usage(kernel(""), "right.cu", ["kernel"], 90)[0].registers > 0
    with pytest.raises(DoesNotCompile, match=r"wrong\.cu"):
        usage(kernel(fault), "wrong.cu", ["kernel"], 90)


@needs_nvrtc
def test_spills_and_shared_memory_are_told() -> None:
    hungry = """
    template <int N> __global__ void __launch_bounds__(1024, 2) kernel(const float* from, float* to) {
        __shared__ float room[N];
        float many[N];
        for (int i = 0; i < N; ++i) many[i] = from[i * 7];
        room[threadIdx.x % N] = many[threadIdx.x % N];
        __syncthreads();
        for (int i = 0; i < N; ++i) to[i] = many[i] * many[(i * 31 + 7) % N] + room[i];
    }"""
    (row,) = usage(hungry, "hungry.cu", ["kernel<128>"], 90)
    assert row.shared == 512
    assert row.stack > 0


def test_every_text_has_a_module_of_kernels() -> None:
    assert [module.name for module in modules()] == sorted({module.name for module in modules()})
    for module in modules():
        assert len(set(module.expressions)) == len(module.expressions) > 0


def test_the_table_has_a_line_for_each_kernel() -> None:
    rows = [Usage("k.cu", "k<float>", a, 30 + a % 7, 64 * (a > 80), 0, 0) for a in ARCHITECTURES]
    head, _, line = table(rows).splitlines()
    assert head.count("sm_") == len(ARCHITECTURES)
    assert line == "| k.cu | `k<float>` | 35 | 33 | 32 | 35 | 36 | 32 | 31 | 64 | 0 | 0 |"
