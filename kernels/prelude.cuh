// What every kernel begins with; `cuda.py` puts it before each .cu text.

#if defined(__CUDACC_RTC__) || defined(__CUDACC__)
#include <cuda_fp16.h>
#endif

// ---- values: stored as bytes, 16-bit words, halves or floats, worked on as floats ----

__device__ inline float load(unsigned char value) { return value; }
__device__ inline float load(unsigned short value) { return value; }
__device__ inline float load(__half value) { return __half2float(value); }
__device__ inline float load(float value) { return value; }

// Integers are rounded to the nearest and clamped; NaN becomes 0.
__device__ inline void store(unsigned char* to, float value) {
    *to = (unsigned char)__float2int_rn(fminf(fmaxf(value, 0.f), 255.f));
}
__device__ inline void store(unsigned short* to, float value) {
    *to = (unsigned short)__float2int_rn(fminf(fmaxf(value, 0.f), 65535.f));
}
__device__ inline void store(__half* to, float value) { *to = __float2half_rn(value); }
__device__ inline void store(float* to, float value) { *to = value; }

// What is stored for a code of video of 1: codes of 10 bits stand in the high bits of 16.
template <class T>
constexpr float UNIT = sizeof(T) == 1 ? 1.f : 64.f;

__device__ inline int clamped(int index, int size) { return min(max(index, 0), size - 1); }

// ---- sampling between pixels; the border repeats ----

enum Interpolation { BILINEAR, BICUBIC, CATMULL_ROM };

// The samples around a position along one axis, and their weights (Keys 1981 for the cubic ones).
template <Interpolation HOW>
struct Taps {
    static constexpr int COUNT = HOW == BILINEAR ? 2 : 4;
    int at[COUNT];
    float weight[COUNT];

    __device__ Taps(float position, int size) {
        // Farther out every sample is the border's; and what is not a number must not become an index.
        position = fminf(fmaxf(position, -1.f), (float)size);
        const float whole = floorf(position);
        const float t = position - whole;
        if constexpr (HOW == BILINEAR) {
            weight[0] = 1 - t;
            weight[1] = t;
        } else {
            const float a = HOW == BICUBIC ? -0.75f : -0.5f;
            const float u = 1 - t;
            weight[0] = a * t * u * u;
            weight[1] = ((a + 2) * t - (a + 3)) * t * t + 1;
            weight[2] = ((a + 2) * u - (a + 3)) * u * u + 1;
            weight[3] = a * u * t * t;
        }
#pragma unroll
        for (int i = 0; i < COUNT; ++i) at[i] = clamped((int)whole + i - (COUNT / 2 - 1), size);
    }
};

// The value of a plane whose rows are `pitch` elements apart.
template <class T, Interpolation HOW>
__device__ float sample(const T* __restrict__ plane, int pitch, const Taps<HOW>& x, const Taps<HOW>& y) {
    float sum = 0;
#pragma unroll
    for (int j = 0; j < y.COUNT; ++j) {
        const int row = y.at[j] * pitch;  // 64 bits here would cost a register for each sample
        float line = 0;
#pragma unroll
        for (int i = 0; i < x.COUNT; ++i) line += x.weight[i] * load(plane[row + x.at[i]]);
        sum += y.weight[j] * line;
    }
    return sum;
}

// The vector of a field.
__device__ inline float2 sample(const float2* __restrict__ field, int pitch, const Taps<BILINEAR>& x,
                                const Taps<BILINEAR>& y) {
    float2 sum = make_float2(0, 0);
#pragma unroll
    for (int j = 0; j < 2; ++j) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            const float2 value = field[(size_t)y.at[j] * pitch + x.at[i]];
            const float weight = y.weight[j] * x.weight[i];
            sum.x += weight * value.x;
            sum.y += weight * value.y;
        }
    }
    return sum;
}

// Where the pixel (x, y) of a plane was in the plane before: along a backward flow (height, width) that was
// measured on a picture `scale` times as small, in its pixels.  The flow is enlarged bilinearly; beyond its border
// it goes on as it is there.
__device__ inline float2 position(const float2* __restrict__ flow, int width, int height, float2 scale, int x,
                                  int y) {
    const Taps<BILINEAR> across((x + 0.5f) / scale.x - 0.5f, width), down((y + 0.5f) / scale.y - 0.5f, height);
    const float2 motion = sample(flow, width, across, down);
    return make_float2(x + scale.x * motion.x, y + scale.y * motion.y);
}

// ---- sums over threads ----

// In lane 0; all 32 lanes must call it.
__device__ inline float warp_sum(float value) {
#pragma unroll
    for (int by = 16; by > 0; by /= 2) value += __shfl_down_sync(0xffffffffu, value, by);
    return value;
}

// In thread 0; all threads of the block, which has THREADS of them, must call it.
template <int THREADS>
__device__ float block_sum(float value) {
    static_assert(THREADS % 32 == 0, "whole warps");
    __shared__ float sums[THREADS / 32];
    const int thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
    value = warp_sum(value);
    __syncthreads();  // the sums of a call before may still be read
    if (thread % 32 == 0) sums[thread / 32] = value;
    __syncthreads();
    return thread < 32 ? warp_sum(thread < THREADS / 32 ? sums[thread] : 0.f) : 0.f;
}
