// CUDA C++ on the CPU: what g++ needs to build a kernel of ours as ordinary functions and to run it.
//
// Blocks run one after the other, and so do the threads of a block, each until it ends or has to wait at a
// barrier or a shuffle.  A waiting thread keeps its stack (a fiber) and the next one starts on another, so a
// kernel without barriers is a plain loop on one stack.  The order of blocks and threads can be turned round, which
// shows a missing barrier that one order hides.  Reports instead of undefined behavior:
//   an address in a guard page, an index beyond a local or shared array, a misaligned vector, a float that no
//   int can hold, a signed overflow, threads of a block at different barriers.
// Shared memory is poisoned with NaN before each block.  Floats flush denormals, as under CuPy.
#pragma once

#include <link.h>
#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>
#ifdef __SSE__
#include <xmmintrin.h>
#endif

#include <type_traits>
#include <utility>

// ---- the words of the language ----

#define __global__
#define __device__
#define __host__
#define __constant__ static
#define __shared__ thread_local  // not static: all of a module's lies together and can be found, see shared_memory()
#define __restrict__ __restrict
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)  // the emulator compares it with the blocks that are launched
#define __align__(n) __attribute__((aligned(n)))

struct uint3 {
    unsigned x, y, z;
};
struct dim3 {
    unsigned x = 1, y = 1, z = 1;
};
static uint3 threadIdx, blockIdx;
static dim3 blockDim, gridDim;
constexpr int warpSize = 32;

#define VECTORS_OF(T, name, a1, a2, a4)                                                     \
    struct alignas(a1) name##1 { T x; };                                                    \
    struct alignas(a2) name##2 { T x, y; };                                                 \
    struct name##3 { T x, y, z; };                                                          \
    struct alignas(a4) name##4 { T x, y, z, w; };                                           \
    inline name##1 make_##name##1(T x) { return {x}; }                                      \
    inline name##2 make_##name##2(T x, T y) { return {x, y}; }                              \
    inline name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; }                      \
    inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
VECTORS_OF(signed char, char, 1, 2, 4)
VECTORS_OF(unsigned char, uchar, 1, 2, 4)
VECTORS_OF(short, short, 2, 4, 8)
VECTORS_OF(unsigned short, ushort, 2, 4, 8)
VECTORS_OF(int, int, 4, 8, 16)
VECTORS_OF(float, float, 4, 8, 16)
#undef VECTORS_OF
struct alignas(8) uint2 {
    unsigned x, y;
};
struct alignas(16) uint4 {
    unsigned x, y, z, w;
};
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

typedef _Float16 __half;
typedef _Float16 half;
struct alignas(4) __half2 {
    __half x, y;
};
typedef __half2 half2;

inline float __half2float(__half h) { return float(h); }
inline __half __float2half(float f) { return __half(f); }
inline __half __float2half_rn(float f) { return __half(f); }
inline __half2 __floats2half2_rn(float x, float y) { return {__half(x), __half(y)}; }
inline __half2 __halves2half2(__half x, __half y) { return {x, y}; }
inline float2 __half22float2(__half2 h) { return {float(h.x), float(h.y)}; }
inline __half __low2half(__half2 h) { return h.x; }
inline __half __high2half(__half2 h) { return h.y; }
inline float __low2float(__half2 h) { return float(h.x); }
inline float __high2float(__half2 h) { return float(h.y); }
inline __half __ushort_as_half(unsigned short bits) {
    __half h;
    memcpy(&h, &bits, 2);
    return h;
}
inline unsigned short __half_as_ushort(__half h) {
    unsigned short bits;
    memcpy(&bits, &h, 2);
    return bits;
}

#define MIN_MAX(T)                                          \
    inline T min(T a, T b) { return b < a ? b : a; }        \
    inline T max(T a, T b) { return a < b ? b : a; }
MIN_MAX(int)
MIN_MAX(unsigned)
MIN_MAX(long long)
MIN_MAX(unsigned long long)
#undef MIN_MAX
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }

inline float rsqrtf(float x) { return 1 / sqrtf(x); }
inline float __saturatef(float x) { return fminf(fmaxf(x, 0.f), 1.f); }  // NaN becomes 0, as on the device
inline float __fdividef(float a, float b) { return a / b; }
inline float __frcp_rn(float x) { return 1 / x; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fsub_rn(float a, float b) { return a - b; }
inline float __fmul_rn(float a, float b) { return a * b; }
inline float __fdiv_rn(float a, float b) { return a / b; }
inline float __expf(float x) { return expf(x); }
inline float __exp2f(float x) { return exp2f(x); }
inline float __logf(float x) { return logf(x); }
inline float __log2f(float x) { return log2f(x); }
inline float __powf(float x, float y) { return powf(x, y); }
inline float __sinf(float x) { return sinf(x); }
inline float __cosf(float x) { return cosf(x); }

inline int cuda_on_cpu_int(float x) {  // the device's conversions end at the ends of int, and NaN is 0
    return x != x ? 0 : x <= -2147483648.f ? INT32_MIN : x >= 2147483648.f ? INT32_MAX : int(x);
}
inline unsigned cuda_on_cpu_unsigned(float x) { return !(x > 0) ? 0 : x >= 4294967296.f ? UINT32_MAX : unsigned(x); }
inline int __float2int_rn(float x) { return cuda_on_cpu_int(rintf(x)); }
inline int __float2int_rz(float x) { return cuda_on_cpu_int(truncf(x)); }
inline int __float2int_rd(float x) { return cuda_on_cpu_int(floorf(x)); }
inline int __float2int_ru(float x) { return cuda_on_cpu_int(ceilf(x)); }
inline unsigned __float2uint_rn(float x) { return cuda_on_cpu_unsigned(rintf(x)); }
inline unsigned __float2uint_rz(float x) { return cuda_on_cpu_unsigned(truncf(x)); }
inline float __int2float_rn(int x) { return float(x); }
inline float __uint2float_rn(unsigned x) { return float(x); }

template <class To, class From>
inline To cuda_on_cpu_bits(From from) {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}
inline int __float_as_int(float x) { return cuda_on_cpu_bits<int>(x); }
inline unsigned __float_as_uint(float x) { return cuda_on_cpu_bits<unsigned>(x); }
inline float __int_as_float(int x) { return cuda_on_cpu_bits<float>(x); }
inline float __uint_as_float(unsigned x) { return cuda_on_cpu_bits<float>(x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(unsigned(x)); }
template <class T>
inline T __ldg(const T* from) {
    return *from;
}

// Threads run one at a time, so atomics are plain.
template <class T, class U>
inline T cuda_on_cpu_exchange(T* at, U value) {
    T old = *at;
    *at = T(value);
    return old;
}
#define ATOMICS_OF(T)                                                                          \
    inline T atomicAdd(T* at, T value) { return cuda_on_cpu_exchange(at, *at + value); }       \
    inline T atomicExch(T* at, T value) { return cuda_on_cpu_exchange(at, value); }
ATOMICS_OF(int)
ATOMICS_OF(unsigned)
ATOMICS_OF(unsigned long long)
ATOMICS_OF(float)
#undef ATOMICS_OF
#define INTEGER_ATOMICS_OF(T)                                                                  \
    inline T atomicMax(T* at, T value) { return cuda_on_cpu_exchange(at, max(*at, value)); }   \
    inline T atomicMin(T* at, T value) { return cuda_on_cpu_exchange(at, min(*at, value)); }   \
    inline T atomicOr(T* at, T value) { return cuda_on_cpu_exchange(at, *at | value); }        \
    inline T atomicAnd(T* at, T value) { return cuda_on_cpu_exchange(at, *at & value); }       \
    inline T atomicCAS(T* at, T wanted, T value) { return cuda_on_cpu_exchange(at, *at == wanted ? value : *at); }
INTEGER_ATOMICS_OF(int)
INTEGER_ATOMICS_OF(unsigned)
INTEGER_ATOMICS_OF(unsigned long long)
#undef INTEGER_ATOMICS_OF
inline int atomicSub(int* at, int value) { return atomicAdd(at, -value); }
inline unsigned atomicInc(unsigned* at, unsigned last) { return cuda_on_cpu_exchange(at, *at >= last ? 0 : *at + 1); }
inline void __threadfence() {}
inline void __threadfence_block() {}

// ---- how it runs ----

namespace cuda_on_cpu {

struct Report {
    unsigned thread[3], block[3];
    const void* address;  // where an access faulted; 0 if text says what happened
    int writes;           // 1 it wrote, 0 it read, -1 not known
    char text[256];
};

struct Launch {
    unsigned grid[3], block[3];
    int backwards;    // blocks and threads run from the last to the first
    unsigned shared;  // bytes of dynamic shared memory
    void** args;
};

struct Kernel {
    void (*function)();
    void (*call)(void (*)(), void**);
    int (*describe)(int*);
    int bound;  // threads of a block, at most
};

struct Place {
    const char* file;
    int line;
};

struct Fiber {
    ucontext_t start;
    jmp_buf here;
    char* stack;
    bool begun;
};

struct Shared {
    char* start;
    size_t size;
};

enum class Wait { NO, BLOCK, WARP };

struct Thread {
    bool done;
    Wait wait;
    Fiber* fiber;  // while it waits
    Place place;
    unsigned mask, votes;
    uint64_t offered, received;
    int source;  // lane whose offer it receives
};

constexpr int LIMIT = 1024;        // threads of a block
constexpr unsigned PATIENCE = 60;  // seconds
constexpr size_t STACK = 128 << 10, GUARD = 4096;

static const Kernel* kernel;
static const Launch* launched;
static Report* report;
static sigjmp_buf escape;
static volatile sig_atomic_t running;

static Thread threads[LIMIT];
static Fiber fibers[LIMIT];
static Fiber* idle[LIMIT];
static Fiber* current;
static jmp_buf scheduler;
static Shared dynamic;  // the room for dynamic shared memory; a launch has some of it
static int idle_count, count, started, alive, now;
static thread_local char anchor;  // in shared memory

[[noreturn]] inline void give_up() {
    memcpy(report->thread, &threadIdx, sizeof report->thread);
    memcpy(report->block, &blockIdx, sizeof report->block);
    siglongjmp(escape, 1);
}

[[noreturn]] __attribute__((format(printf, 1, 2))) inline void fail(const char* format, ...) {
    va_list values;
    va_start(values, format);
    vsnprintf(report->text, sizeof report->text, format, values);
    va_end(values);
    give_up();
}

inline void on_fault(int number, siginfo_t* info, void* context) {
    if (!running) {  // not a kernel's: let it fault again, the default way
        signal(number, SIG_DFL);
        return;
    }
    if (number == SIGALRM) fail("not at its end after %u seconds", PATIENCE);
    report->address = info->si_addr;
    report->writes = -1;
#ifdef __x86_64__
    report->writes = (static_cast<ucontext_t*>(context)->uc_mcontext.gregs[REG_ERR] & 2) != 0;
#else
    (void)context;
#endif
    give_up();
}

// ---- fibers ----

inline void enter(int thread) {
    now = thread;
    const unsigned i = unsigned(thread);
    threadIdx = {i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y};
}

inline int in_order(int i, int of) { return launched->backwards ? of - 1 - i : i; }

// What every fiber does: run threads that have not started, and hand itself back.
inline void fiber_main() {
    for (;;) {
        while (started < count) {
            enter(in_order(started++, count));
            kernel->call(kernel->function, launched->args);
            threads[now].done = true;
            --alive;
        }
        idle[idle_count++] = current;
        if (!_setjmp(current->here)) _longjmp(scheduler, 1);
    }
}

__attribute__((noinline)) inline void resume(Fiber* fiber) {
    current = fiber;
    if (_setjmp(scheduler)) return;
    if (fiber->begun) _longjmp(fiber->here, 1);
    if (!fiber->stack) {
        void* memory = mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) fail("no memory for the stack of a thread");
        mprotect(memory, GUARD, PROT_NONE);
        fiber->stack = static_cast<char*>(memory);
    }
    fiber->begun = true;
    getcontext(&fiber->start);
    fiber->start.uc_stack.ss_sp = fiber->stack;
    fiber->start.uc_stack.ss_size = STACK;
    fiber->start.uc_link = nullptr;
    makecontext(&fiber->start, fiber_main, 0);
    setcontext(&fiber->start);
}

__attribute__((noinline)) inline void wait(Wait what, Place place, unsigned mask = 0) {
    Thread& me = threads[now];
    me.wait = what;
    me.place = place;
    me.mask = mask;
    me.fiber = current;
    if (!_setjmp(current->here)) _longjmp(scheduler, 1);
}

inline void go_on(int thread) {
    enter(thread);
    resume(threads[thread].fiber);
}

[[noreturn]] inline void fail_apart(const char* what, int a, int b) {
    enter(a);
    fail("%s: at %s:%d and %s:%d", what, threads[a].place.file, threads[a].place.line, threads[b].place.file,
         threads[b].place.line);
}

inline bool same(const Place& a, const Place& b) { return a.line == b.line && !strcmp(a.file, b.file); }

// Let the lanes go on that wait for each other in the warp from thread `first` on and are all there.
inline bool release_warp(int first) {
    const int lanes = min(warpSize, count - first);
    bool any = false;
    for (int lane = 0; lane < lanes; ++lane) {
        Thread& me = threads[first + lane];
        if (me.wait != Wait::WARP) continue;
        if (!(me.mask >> lane & 1))
            fail_apart("a mask leaves out the lane that calls with it", first + lane, first + lane);
        unsigned there = 0, votes = 0;
        bool complete = true;
        for (int other = 0; other < lanes && complete; ++other) {
            Thread& peer = threads[first + other];
            if (!(me.mask >> other & 1) || peer.done) continue;
            complete = peer.wait == Wait::WARP && peer.mask == me.mask;
            if (complete && !same(peer.place, me.place))
                fail_apart("lanes of a warp wait at different places", first + lane, first + other);
            there |= 1u << other;
            votes |= unsigned(peer.offered != 0) << other;
        }
        if (!complete) continue;
        any = true;
        for (int other = 0; other < lanes; ++other) {
            if (!(there >> other & 1)) continue;
            Thread& peer = threads[first + other];
            // What an absent lane would have sent is undefined: NaN.
            const bool sent = peer.source < lanes && (there >> peer.source & 1);
            peer.received = sent ? threads[first + peer.source].offered : ~uint64_t(0);
            peer.votes = votes;
        }
        for (int other = 0; other < lanes; ++other)
            if (there >> other & 1) threads[first + other].wait = Wait::NO;
        for (int i = 0; i < lanes; ++i) {
            const int other = in_order(i, lanes);
            if (there >> other & 1) go_on(first + other);
        }
    }
    return any;
}

inline void release_block() {
    int first = 0;
    while (threads[first].done) ++first;
    for (int i = first; i < count; ++i) {  // threads that have ended count as arrived, as on the device
        if (threads[i].done) continue;
        if (threads[i].wait != Wait::BLOCK || !same(threads[i].place, threads[first].place))
            fail_apart("threads of a block wait at different places", first, i);
    }
    for (int i = 0; i < count; ++i) threads[i].wait = Wait::NO;
    for (int i = 0; i < count; ++i) {
        const int thread = in_order(i, count);
        if (!threads[thread].done) go_on(thread);
    }
}

inline void run_block() {
    memset(threads, 0, sizeof(Thread) * size_t(count));
    started = 0;
    alive = count;
    while (started < count) resume(idle[--idle_count]);
    const int warps = (count + warpSize - 1) / warpSize;
    while (alive) {
        bool any = false;
        for (int i = 0; i < warps; ++i)
            while (release_warp(in_order(i, warps) * warpSize)) any = true;
        if (!any && alive) release_block();
    }
}

// ---- launching ----

// All that is thread-local is shared memory, and lies in one piece.
inline int find_shared(dl_phdr_info* info, size_t, void* result) {
    for (int i = 0; i < info->dlpi_phnum; ++i) {
        char* start = static_cast<char*>(info->dlpi_tls_data);
        const size_t size = info->dlpi_phdr[i].p_memsz;
        if (info->dlpi_phdr[i].p_type == PT_TLS && start && start <= &anchor && &anchor < start + size) {
            *static_cast<Shared*>(result) = {start, size};
            return 1;
        }
    }
    return 0;
}

inline void run_grid() {
    Shared shared = {};
    anchor = 0;  // makes the memory be there
    if (!dl_iterate_phdr(find_shared, &shared)) fail("the emulator cannot find its shared memory");
    const uint64_t blocks = uint64_t(gridDim.x) * gridDim.y * gridDim.z;
    for (uint64_t i = 0; i < blocks; ++i) {
        const uint64_t block = launched->backwards ? blocks - 1 - i : i;
        blockIdx = {unsigned(block % gridDim.x), unsigned(block / gridDim.x % gridDim.y),
                    unsigned(block / gridDim.x / gridDim.y)};
        memset(shared.start, 0xff, shared.size);
        run_block();
        for (size_t at = launched->shared; at < dynamic.size; ++at)
            if (dynamic.start[at] != char(0xff)) fail("wrote behind the dynamic shared memory");
    }
}

class Guarded {  // signals and the floating-point mode, as long as a kernel runs
public:
    Guarded() {
        static char stack[64 << 10];  // for faults by a full stack
        stack_t mine = {stack, 0, sizeof stack};
        sigaltstack(&mine, &stack_);
        struct sigaction action = {};
        action.sa_sigaction = on_fault;
        action.sa_flags = SA_SIGINFO | SA_ONSTACK;
        for (int i = 0; i < 3; ++i) sigaction(SIGNALS[i], &action, &before_[i]);
        alarm(PATIENCE);
#ifdef __SSE__
        mode_ = _mm_getcsr();
        _mm_setcsr(mode_ | 0x8040);  // denormals are zero, going in and coming out
#endif
        running = 1;
    }
    ~Guarded() {
        alarm(0);
        running = 0;
#ifdef __SSE__
        _mm_setcsr(mode_);
#endif
        for (int i = 0; i < 3; ++i) sigaction(SIGNALS[i], &before_[i], nullptr);
        sigaltstack(&stack_, nullptr);
    }

private:
    static constexpr int SIGNALS[3] = {SIGSEGV, SIGBUS, SIGALRM};
    struct sigaction before_[3];
    stack_t stack_;
    unsigned mode_ = 0;
};

// 0 if the kernel ran to its end.
inline int launch(const Kernel& chosen, const Launch& wanted, Report& result) {
    const Guarded guarded;
    kernel = &chosen;
    launched = &wanted;
    report = &result;
    gridDim = {wanted.grid[0], wanted.grid[1], wanted.grid[2]};
    blockDim = {wanted.block[0], wanted.block[1], wanted.block[2]};
    count = int(blockDim.x * blockDim.y * blockDim.z);
    idle_count = 0;
    for (int i = LIMIT - 1; i >= 0; --i) {
        fibers[i].begun = false;  // a launch that failed has left them anywhere
        idle[idle_count++] = &fibers[i];
    }
    if (sigsetjmp(escape, 1)) return 1;
    run_grid();
    return 0;
}

template <class T>
constexpr void describe(int*& out) {
    const auto kind = [](auto* type) {
        using U = std::remove_cv_t<std::remove_pointer_t<decltype(type)>>;
        if (std::is_same_v<U, bool>) return 'b';
        if (std::is_floating_point_v<U> || std::is_same_v<U, __half>) return 'f';
        if (std::is_integral_v<U>) return std::is_signed_v<U> ? 'i' : 'u';
        return 'V';  // a struct
    };
    using Pointee = std::remove_pointer_t<T>;
    *out++ = std::is_pointer_v<T> ? 'p' : kind(static_cast<T*>(nullptr));
    *out++ = int(sizeof(T));
    *out++ = std::is_pointer_v<T> ? kind(static_cast<Pointee*>(nullptr)) : 0;
    *out++ = std::is_pointer_v<T> ? int(sizeof(Pointee)) : 0;
}

template <class... A, size_t... I>
void unpack(void (*function)(A...), void** args, std::index_sequence<I...>) {
    function(*static_cast<A*>(args[I])...);
}

// The kernel with what is known of its parameters: four numbers each, see describe().
template <class... A>
Kernel kernel_of(void (*function)(A...), int bound) {
    using Function = void (*)(A...);
    return {reinterpret_cast<void (*)()>(function),
            [](void (*f)(), void** args) {
                unpack(reinterpret_cast<Function>(f), args, std::index_sequence_for<A...>{});
            },
            []([[maybe_unused]] int* out) {
                (describe<A>(out), ...);
                return int(sizeof...(A));
            },
            bound};
}

// ---- what g++'s sanitizer calls where behavior is undefined; the data all begin with the place ----

#define UNDEFINED(name, text)                                                                                 \
    [[noreturn]] __attribute__((used, visibility("default"))) void undefined_##name(const Place* at)          \
        __asm__("__ubsan_handle_" #name "_abort");                                                            \
    void undefined_##name(const Place* at) { fail("%s at %s:%d", text, at->file, at->line); }
UNDEFINED(out_of_bounds, "an index beyond a local or shared array")
UNDEFINED(type_mismatch_v1, "a misaligned address, or null,")
UNDEFINED(float_cast_overflow, "a float that the integer type cannot hold")
UNDEFINED(shift_out_of_bounds, "a shift by too much")
UNDEFINED(divrem_overflow, "an integer division by zero")
UNDEFINED(add_overflow, "an int overflow (+)")
UNDEFINED(sub_overflow, "an int overflow (-)")
UNDEFINED(mul_overflow, "an int overflow (*)")
UNDEFINED(negate_overflow, "an int overflow (-)")
#undef UNDEFINED

}  // namespace cuda_on_cpu

// ---- barriers and what lanes of a warp tell each other ----

#define HERE const char *file = __builtin_FILE(), int line = __builtin_LINE()

inline void __syncthreads(HERE) { cuda_on_cpu::wait(cuda_on_cpu::Wait::BLOCK, {file, line}); }
inline void __syncwarp(unsigned mask = 0xffffffff, HERE) {
    cuda_on_cpu::wait(cuda_on_cpu::Wait::WARP, {file, line}, mask);
}

template <class T>
T cuda_on_cpu_shuffle(unsigned mask, T value, int source, const char* file, int line) {
    static_assert(sizeof(T) <= 8 && std::is_trivially_copyable_v<T>);
    cuda_on_cpu::Thread& me = cuda_on_cpu::threads[cuda_on_cpu::now];
    memcpy(&me.offered, &value, sizeof value);
    me.source = source;
    cuda_on_cpu::wait(cuda_on_cpu::Wait::WARP, {file, line}, mask);
    memcpy(&value, &me.received, sizeof value);
    return value;
}
inline int cuda_on_cpu_lane() { return cuda_on_cpu::now % warpSize; }

template <class T>
T __shfl_sync(unsigned mask, T value, int source, int width = warpSize, HERE) {
    const int lane = cuda_on_cpu_lane();
    return cuda_on_cpu_shuffle(mask, value, (lane & -width) + (source & (width - 1)), file, line);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = warpSize, HERE) {
    const int lane = cuda_on_cpu_lane(), source = lane - int(by);
    return cuda_on_cpu_shuffle(mask, value, source < (lane & -width) ? lane : source, file, line);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = warpSize, HERE) {
    const int lane = cuda_on_cpu_lane(), source = lane + int(by);
    return cuda_on_cpu_shuffle(mask, value, source >= (lane & -width) + width ? lane : source, file, line);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int with, int width = warpSize, HERE) {
    const int lane = cuda_on_cpu_lane(), source = lane ^ with;
    return cuda_on_cpu_shuffle(mask, value, source >= (lane & -width) + width ? lane : source, file, line);
}
inline unsigned __ballot_sync(unsigned mask, int predicate, HERE) {
    cuda_on_cpu_shuffle(mask, predicate, cuda_on_cpu_lane(), file, line);
    return cuda_on_cpu::threads[cuda_on_cpu::now].votes;
}
inline int __any_sync(unsigned mask, int predicate, HERE) { return __ballot_sync(mask, predicate, file, line) != 0; }
inline int __all_sync(unsigned mask, int predicate, HERE) {
    cuda_on_cpu_shuffle(mask, int(!predicate), cuda_on_cpu_lane(), file, line);
    return cuda_on_cpu::threads[cuda_on_cpu::now].votes == 0;
}
#undef HERE
