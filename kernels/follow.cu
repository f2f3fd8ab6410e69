// Motion over several frames, and what is believed of a picture that is only carried along it.

constexpr int THREADS = 256;

// The motion through one more frame: from here along `flow`, and from there on along the motion known before.  Where
// this frame's leads nowhere the picture stays where it was, and nothing is trusted.
__global__ void __launch_bounds__(THREADS)
follow(const float2* __restrict__ flow, const float* __restrict__ trust, const float2* __restrict__ before,
       const float* __restrict__ trust_before, const float* __restrict__ mean_trust, float lost, int width, int height,
       float2* __restrict__ whole, float* __restrict__ whole_trust) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    const size_t at = (size_t)y * width + x;
    if (*mean_trust < lost) {
        whole[at] = before[at];
        whole_trust[at] = 0;
        return;
    }
    const float2 step = flow[at];
    const Taps<BILINEAR> across(x + step.x, width), down(y + step.y, height);
    const float2 rest = sample(before, width, across, down);
    whole[at] = make_float2(step.x + rest.x, step.y + rest.y);
    whole_trust[at] = trust[at] * sample(trust_before, width, across, down);
}

// What `hold` and `crisp` go by where there is nothing but history: all of it as it is, and what has moved is worn by
// as much as it is trusted.
__global__ void __launch_bounds__(THREADS)
believe(const float2* __restrict__ flow, const float* __restrict__ trust, int area, int factor,
        float4* __restrict__ decided) {
    const int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= area) return;
    const float2 motion = flow[at];
    const float moved = fminf(factor * sqrtf(motion.x * motion.x + motion.y * motion.y), 1.f);
    decided[at] = make_float4(1, 1, 0, trust[at] * moved);
    decided[at + area] = decided[at + 2 * area] = make_float4(1, 1, 0, 0);
}
