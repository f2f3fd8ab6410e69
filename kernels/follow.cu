// Motion over several frames, and what is believed of a picture that is only carried along it.

constexpr int THREADS = 256;
constexpr float EASED = 0.5f;
constexpr float OTHER = 60 / (255.f * 255.f);  // for differences in bytes

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

// How much of what was carried is shown, once more, of the next picture that is painted: nothing if the motion is lost on
// the whole way, or no history counts, or where it differs from what is painted, plane by plane and smoothed.
__global__ void __launch_bounds__(THREADS)
easing(const float* __restrict__ trust, const float* __restrict__ differences, int area,
       const float* __restrict__ mean_trust, float lost, const float* __restrict__ weight, float* __restrict__ share) {
    const int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= area) return;
    const bool known = *weight > 0 && *mean_trust >= lost;
    const float y = differences[at], u = differences[at + area], v = differences[at + 2 * area];
    share[at] = known ? EASED * trust[at] * expf(-OTHER * (y * y + u * u + v * v)) : 0;
}

// Planes of what is shown of a painted picture: from what is held that share of the way to what was carried, in its
// place.  blockIdx.z is the plane.  The ratios are of the small picture's sides to the large one's.
__global__ void __launch_bounds__(THREADS)
ease(const float* __restrict__ held, int width, int height, const float* __restrict__ share, int small_width,
     int small_height, float ratio_x, float ratio_y, float* carried) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    const Taps<BILINEAR> small_x((x + 0.5f) * ratio_x - 0.5f, small_width);
    const Taps<BILINEAR> small_y((y + 0.5f) * ratio_y - 0.5f, small_height);
    const size_t at = ((size_t)blockIdx.z * height + y) * width + x;
    carried[at] = held[at] + sample(share, small_width, small_x, small_y) * (carried[at] - held[at]);
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
