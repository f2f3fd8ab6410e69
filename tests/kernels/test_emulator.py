"""The emulator itself: it must run what is right, and fail where a device would misbehave."""

import re
from typing import Any

import numpy as np
import pytest

from allaprima.kernels.cuda import OPTIONS

from .emulator import KernelFault
from .fake_cupy import FakeArray, FakeCupy

KERNELS = """
__global__ void __launch_bounds__(64) copy(const float* __restrict__ from, float* __restrict__ to, int n) {
    const int i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i < n) to[i] = from[i];
}
__global__ void __launch_bounds__(64) careless(const float* from, float* to, int first) {
    const int i = first + blockIdx.x * blockDim.x + threadIdx.x;
    to[i] = from[i];
}
__global__ void __launch_bounds__(64) just_beside(float* to, int at) { to[at] = 1; }

template <bool BARRIER>
__global__ void __launch_bounds__(64) turned(const float* from, float* to) {
    __shared__ float tile[64];
    const int i = threadIdx.x;
    tile[i] = from[i];
    if (BARRIER) __syncthreads();
    to[i] = tile[63 - i];
}
__global__ void __launch_bounds__(64) unwritten(float* to) {
    __shared__ float tile[2][64];
    const int i = threadIdx.x;
    tile[0][i] = 1;
    __syncthreads();
    to[i] = tile[1][i];
}
__global__ void __launch_bounds__(256) sums(const float* from, float* to, int n) {
    __shared__ float warps[8];
    const int i = blockIdx.x * blockDim.x + threadIdx.x, lane = threadIdx.x % 32;
    float value = i < n ? from[i] : 0;
    for (int by = 16; by; by /= 2) value += __shfl_down_sync(0xffffffffu, value, by);
    if (lane == 0) warps[threadIdx.x / 32] = value;
    __syncthreads();
    if (threadIdx.x == 0) {
        float sum = 0;
        for (int w = 0; w < 8; ++w) sum += warps[w];
        atomicAdd(to, sum);
    }
}
__global__ void __launch_bounds__(32) lanes(int* to) {
    const int lane = threadIdx.x;
    int* mine = to + 8 * lane;
    mine[0] = __shfl_xor_sync(0xffffffffu, lane, 1);
    mine[1] = __shfl_up_sync(0xffffffffu, lane, 3);
    mine[2] = __shfl_down_sync(0xffffffffu, lane, 3, 8);
    mine[3] = __shfl_sync(0xffffffffu, lane, 5, 16);
    mine[4] = (int)__ballot_sync(0xffffffffu, lane % 3 == 0);
    mine[5] = __any_sync(0xffffffffu, lane == 7);
    mine[6] = __all_sync(0xffffffffu, lane != 7);
    mine[7] = lane < 16 ? __shfl_xor_sync(0x0000ffffu, lane, 2) : __shfl_xor_sync(0xffff0000u, lane, 4);
}
__global__ void __launch_bounds__(64) half_a_warp(float* to) {
    if (threadIdx.x >= 16) return;
    to[threadIdx.x] = __shfl_xor_sync(0xffffffffu, (float)threadIdx.x, 16);
}
__global__ void __launch_bounds__(64) early(float* to) {
    if (threadIdx.x % 2) return;
    __syncthreads();
    to[threadIdx.x] = 1;
}
__global__ void __launch_bounds__(64) apart() {
    if (threadIdx.x < 32) {
        __syncthreads();
    } else {
        __syncthreads();
    }
}
__global__ void __launch_bounds__(64) stuck() {
    if (threadIdx.x == 5) __syncthreads();
    else __syncwarp();
}
__global__ void __launch_bounds__(32) left_out(int* to) {
    *to = __shfl_sync(0x7fffffffu, 1, 0);
}
__global__ void __launch_bounds__(32) index(float* to, int at) {
    __shared__ float tile[32];
    tile[threadIdx.x + at] = 0;
    __syncthreads();
    to[threadIdx.x] = tile[threadIdx.x];
}
__global__ void __launch_bounds__(32) wide(const unsigned char* from, int* to) {
    *to = reinterpret_cast<const uchar4*>(from)->x;
}
__global__ void __launch_bounds__(32) whole(float value, int* to) { *to = (int)value; }
__global__ void __launch_bounds__(32) times(int value, int* to) { *to = value * value; }
__global__ void __launch_bounds__(32) divide(int value, int* to) { *to = 1 / value; }
__global__ void __launch_bounds__(32) shift(int value, int* to) { *to = 1 << value; }
__global__ void __launch_bounds__(32) order(int* to) { *to = blockIdx.x * 32 + threadIdx.x; }
__global__ void __launch_bounds__(32) tiny(float value, float* to) { *to = value * 0.5f; }
struct Pair { int a; float b; };
__global__ void __launch_bounds__(32) scalars(int i, float f, bool b, __half h, Pair pair, float* to) {
    to[0] = i; to[1] = f; to[2] = b; to[3] = __half2float(h); to[4] = pair.a; to[5] = pair.b;
}
__global__ void __launch_bounds__(32) dynamic(float* to, int n) {
    extern __shared__ float room[];
    for (int i = threadIdx.x; i < n; i += blockDim.x) room[i] = i;
    __syncthreads();
    to[threadIdx.x] = room[threadIdx.x];
}
"""
NAMES = (
    "turned<true>",
    "turned<false>",
    *re.findall(r"^__global__ .*\) (\w+)\(", KERNELS.replace(" turned", ""), re.M),
)


@pytest.fixture
def run(emulated: FakeCupy) -> Any:
    module = emulated.RawModule(code=KERNELS, options=OPTIONS, name_expressions=NAMES)

    def launch(name: str, *args: Any, grid: Any = (1,), block: Any = (32,), shared: int = 0) -> None:
        module.get_function(name)(grid, block, args, shared_mem=shared)

    return launch


@pytest.fixture
def floats(emulated: FakeCupy) -> FakeArray:
    return emulated.asarray(np.arange(64, dtype=np.float32))


# ---- what is right ----


def test_a_kernel_runs_over_its_grid_and_is_counted(emulated: FakeCupy, run: Any) -> None:
    values = np.random.default_rng(0).random(150).astype(np.float32)
    out = emulated.empty(150, np.float32)
    run("copy", emulated.asarray(values), out, np.int32(150), grid=(3,), block=(64,))
    np.testing.assert_array_equal(out.get(), values)
    assert [launched[:3] for launched in emulated.launches] == [("copy", (3,), (64,))]


def test_threads_wait_for_each_other(emulated: FakeCupy, run: Any, floats: FakeArray) -> None:
    out = emulated.empty(64, np.float32)
    run("turned<true>", floats, out, block=(64,))
    np.testing.assert_array_equal(out.get(), np.arange(64)[::-1])


def test_shuffles_and_atomics_sum_up(emulated: FakeCupy, run: Any) -> None:
    out = emulated.zeros(1, np.float32)
    run("sums", emulated.ones(1000, np.float32), out, np.int32(1000), grid=(4,), block=(256,))
    assert out.get() == 1000


def test_lanes_get_what_the_device_gives_them(emulated: FakeCupy, run: Any) -> None:
    out = emulated.empty((32, 8), np.int32)
    run("lanes", out)
    lane = np.arange(32)
    thirds = int(sum(1 << i for i in range(0, 32, 3)))
    expected = [
        lane ^ 1,
        np.where(lane < 3, lane, lane - 3),
        np.where(lane % 8 >= 5, lane, lane + 3),
        np.where(lane < 16, 5, 21),
        np.full(32, thirds - (1 << 32) if thirds >= 1 << 31 else thirds),
        np.ones(32),
        np.zeros(32),
        np.where(lane < 16, lane ^ 2, lane ^ 4),
    ]
    np.testing.assert_array_equal(out.get().T, expected)


def test_threads_that_have_ended_are_not_waited_for(emulated: FakeCupy, run: Any) -> None:
    out = emulated.zeros(64, np.float32)
    run("early", out, block=(64,))
    np.testing.assert_array_equal(out.get(), np.arange(64) % 2 == 0)


def test_blocks_and_threads_run_in_both_orders(emulated: FakeCupy, run: Any) -> None:
    last = emulated.empty(1, np.int32)
    run("order", last, grid=(3,))
    assert last.get() == (95 if emulated.placement == "end" else 0)


def test_scalars_and_structs_are_passed_by_value(emulated: FakeCupy, run: Any) -> None:
    out = emulated.empty(6, np.float32)
    pair = np.array((7, 0.25), [("a", np.int32), ("b", np.float32)])[()]
    run("scalars", np.int32(-3), np.float32(0.5), True, np.float16(1.5), pair, out)
    np.testing.assert_array_equal(out.get(), [-3, 0.5, 1, 1.5, 7, 0.25])


def test_denormal_floats_are_flushed_as_under_cupy(emulated: FakeCupy, run: Any) -> None:
    out = emulated.empty(1, np.float32)
    run("tiny", np.float32(np.finfo(np.float32).tiny), out)
    assert out.get() == 0
    assert np.float32(np.finfo(np.float32).tiny) * np.float32(0.5) > 0, "the mode must not outlive the launch"


def test_dynamic_shared_memory(emulated: FakeCupy, run: Any) -> None:
    out = emulated.empty(32, np.float32)
    run("dynamic", out, np.int32(40), shared=160)
    np.testing.assert_array_equal(out.get(), np.arange(32))
    with pytest.raises(KernelFault, match="wrote behind the dynamic shared memory"):
        run("dynamic", out, np.int32(41), shared=160)
    with pytest.raises(KernelFault, match="more than a block may have"):
        run("dynamic", out, np.int32(1), shared=48 * 1024 + 1)


# ---- what is wrong ----


def test_reading_behind_an_array_fails(emulated: FakeCupy, run: Any, floats: FakeArray) -> None:
    page = emulated.empty(1024, np.float32)
    if emulated.placement == "start":  # at the end of the page there, too
        floats = emulated.zeros(1024, np.float32)
    first = floats.size - 31
    with pytest.raises(KernelFault, match=r"thread .* of block .* read 0 bytes behind the end of argument 0 \(float32"):
        run("careless", floats, page, np.int32(first))
    run("careless", floats, page, np.int32(floats.size - 32))


def test_writing_before_an_array_fails(emulated: FakeCupy, run: Any) -> None:
    out = emulated.empty(1024, np.float32)
    with pytest.raises(KernelFault, match=r"wrote 4 bytes before argument 0 \(float32 \(1024,\)\)"):
        run("just_beside", out, np.int32(-1))
    with pytest.raises(KernelFault, match="wrote 0 bytes behind the end of argument 0"):
        run("just_beside", out, np.int32(1024))


def test_writing_into_the_rest_of_a_page_fails(emulated: FakeCupy, run: Any) -> None:
    out = emulated.empty(3, np.float32)
    at = 3 if emulated.placement == "start" else -1
    with pytest.raises(KernelFault, match=r"wrote just (before|behind) argument 0"):
        run("just_beside", out, np.int32(at))
    run("just_beside", out, np.int32(0))


def test_none_is_no_null_pointer(run: Any) -> None:
    """CuPy 13 makes 0xffffffff of None (cupy issue 9046)."""
    with pytest.raises(KernelFault, match="argument 0 is None"):
        run("just_beside", None, np.int32(0))


def test_the_process_lives_on_after_a_fault(emulated: FakeCupy, run: Any, floats: FakeArray) -> None:
    out = emulated.empty(64, np.float32)
    for _ in range(3):
        with pytest.raises(KernelFault):
            run("stuck", block=(64,))
        with pytest.raises(KernelFault):
            run("just_beside", out, np.int32(10**8))
        run("turned<true>", floats, out, block=(64,))
        np.testing.assert_array_equal(out.get(), np.arange(64)[::-1])


def test_a_missing_barrier_shows(emulated: FakeCupy, run: Any, floats: FakeArray) -> None:
    out = emulated.empty(64, np.float32)
    run("turned<false>", floats, out, block=(64,))
    assert np.isnan(out.get()).any()


def test_shared_memory_that_nobody_wrote_is_nan(emulated: FakeCupy, run: Any) -> None:
    out = emulated.empty(64, np.float32)
    run("unwritten", out, block=(64,))
    assert np.isnan(out.get()).all()


def test_a_lane_that_has_ended_sends_nan(emulated: FakeCupy, run: Any) -> None:
    out = emulated.zeros(16, np.float32)
    run("half_a_warp", out)
    assert np.isnan(out.get()).all()


@pytest.mark.parametrize("name", ["apart", "stuck"])
def test_barriers_in_branches_are_reported_with_their_places(run: Any, name: str) -> None:
    with pytest.raises(KernelFault, match=r"wait at different places: at \S+:\d+ and \S+:\d+"):
        run(name, block=(64,))


def test_a_lane_must_be_in_its_own_mask(emulated: FakeCupy, run: Any) -> None:
    with pytest.raises(KernelFault, match=r"thread \(31, 0, 0\) .* leaves out the lane"):
        run("left_out", emulated.empty(1, np.int32))


def test_an_index_beyond_a_shared_array_fails(emulated: FakeCupy, run: Any) -> None:
    out = emulated.empty(32, np.float32)
    run("index", out, np.int32(0))
    for at in (-1, 1):
        with pytest.raises(KernelFault, match="an index beyond a local or shared array at"):
            run("index", out, np.int32(at))


def test_a_misaligned_vector_fails(emulated: FakeCupy, run: Any) -> None:
    out = emulated.empty(1, np.int32)
    run("wide", emulated.zeros(8, np.uint8), out)
    with pytest.raises(KernelFault, match="misaligned"):
        run("wide", emulated.zeros(8, np.uint8)[1:], out)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("whole", np.float32(2e9), np.float32(3e9)),
        ("whole", np.float32(0), np.float32(np.nan)),
        ("times", np.int32(46340), np.int32(46341)),
        ("divide", np.int32(1), np.int32(0)),
        ("shift", np.int32(31), np.int32(32)),
    ],
)
def test_undefined_arithmetic_fails(emulated: FakeCupy, run: Any, name: str, good: Any, bad: Any) -> None:
    out = emulated.empty(1, np.int32)
    run(name, good, out)
    with pytest.raises(KernelFault, match=r" at \S+:\d+"):
        run(name, bad, out)


@pytest.mark.parametrize("count", [64, 64.0, np.int64(64), np.float32(64), np.uint8(64)])
def test_a_scalar_of_another_type_fails(run: Any, floats: FakeArray, count: Any) -> None:
    with pytest.raises(KernelFault, match=r"argument 2 is .*, the parameter is i4"):
        run("copy", floats, floats, count)


def test_arrays_must_fit_their_parameters(emulated: FakeCupy, run: Any, floats: FakeArray) -> None:
    with pytest.raises(KernelFault, match="argument 0 points to f4, the array is float16"):
        run("copy", emulated.zeros(64, np.float16), floats, np.int32(1))
    with pytest.raises(KernelFault, match="argument 0 is a NumPy array"):
        run("copy", np.zeros(64, np.float32), floats, np.int32(1))
    with pytest.raises(KernelFault, match="3 parameters, 2 arguments"):
        run("copy", floats, floats)
    with pytest.raises(KernelFault, match="argument 2 is an array, but"):
        run("copy", floats, floats, floats)
    with pytest.raises(KernelFault, match="argument 1 is a pointer"):
        run("copy", floats, np.int32(1), np.int32(1))


@pytest.mark.parametrize(
    ("grid", "block"),
    [((0,), (32,)), ((1,), (65,)), ((1, 65536), (32,)), ((1,), (1, 1, 65)), ((1.0,), (32,)), ((1,), (8, 16))],
)
def test_sizes_that_no_device_takes_fail(run: Any, floats: FakeArray, grid: Any, block: Any) -> None:
    with pytest.raises(KernelFault):
        run("copy", floats, floats, np.int32(1), grid=grid, block=block)


def test_code_that_does_not_build_says_why(emulated: FakeCupy) -> None:
    code = "__global__ void __launch_bounds__(32) broken(int n) { int unused = 1; }"
    with pytest.raises(KernelFault, match="unused"):
        emulated.RawModule(code=code, options=OPTIONS, name_expressions=("broken",))
    with pytest.raises(KernelFault, match="bare has no __launch_bounds__"):
        emulated.RawModule(code="__global__ void bare() {}", options=OPTIONS, name_expressions=("bare",))


# ---- the fake ----


def test_new_memory_is_poisoned(emulated: FakeCupy) -> None:
    assert np.isnan(emulated.empty(5, np.float32).get()).all()
    assert np.isnan(emulated.empty(5, np.float16).get()).all()
    assert (emulated.empty(5, np.uint8).get() == 0xCD).all()


def test_arrays_lie_where_they_should(emulated: FakeCupy) -> None:
    for size in (1, 7, 4096, 5000):
        array = emulated.empty(size, np.uint8)
        edge = array.data.ptr if emulated.placement == "start" else array.data.ptr + size
        assert edge % 4096 == 0


def test_an_array_does_not_turn_into_numpys_unasked(floats: FakeArray) -> None:
    with pytest.raises(TypeError, match="Implicit conversion"):
        np.asarray(floats)
    assert floats[3].get() == 3
    assert floats[3].shape == ()
    assert (floats[2:5].get() == [2, 3, 4]).all()


def test_memory_outlives_the_array_as_long_as_a_view_does(emulated: FakeCupy) -> None:
    part = emulated.asarray(np.arange(6, dtype=np.float32)).reshape(2, 3)[1]
    assert (part.get() == [3, 4, 5]).all()
