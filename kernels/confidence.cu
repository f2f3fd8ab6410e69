// How far the flow of each pixel can be trusted.  One thread a pixel of the small picture.

constexpr int THREADS = 256;
constexpr float PHOTOMETRIC = 60 / (255.f * 255.f);  // for a difference in bytes

__device__ inline float length2(float x, float y) { return x * x + y * y; }

// 1 up to half the threshold, falling to 0 at the threshold.  What is not a number is not trusted.
__device__ inline float soft(float value, float threshold) { return __saturatef(2 - 2 * value / threshold); }

// Squared length of the flow's central difference between two neighbors.  Beyond the border the flow is mirrored
// about its outermost pixel, where the difference is therefore 0.
__device__ inline float slope2(const float2* __restrict__ at, int step, bool border) {
    return border ? 0 : 0.25f * length2(at[step].x - at[-step].x, at[step].y - at[-step].y);
}

template <class T>
__global__ void __launch_bounds__(THREADS)
confidence(const float2* __restrict__ backward, const float2* __restrict__ forward, const T* __restrict__ previous,
           const T* __restrict__ current, int width, int height, float* __restrict__ out) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    const size_t at = (size_t)y * width + x;
    const float2 back = backward[at];
    const float2 from = make_float2(x + back.x, y + back.y);
    const Taps<BILINEAR> across(from.x, width), down(from.y, height);

    const float2 there = sample(forward, width, across, down);
    const float square = length2(back.x, back.y);
    const float round_trip = length2(there.x + back.x, there.y + back.y);
    const float gradient = slope2(backward + at, 1, x == 0 || x == width - 1) +
                           slope2(backward + at, width, y == 0 || y == height - 1);
    const float change = sample(previous, width, across, down) - load(current[at]);
    const float trust = soft(round_trip, 0.01f * (length2(there.x, there.y) + square) + 0.5f) *
                        soft(gradient, 0.01f * square + 0.002f + 0.05f) * expf(-PHOTOMETRIC * change * change);
    const bool inside = from.x >= 0 && from.y >= 0 && from.x <= width - 1 && from.y <= height - 1;
    out[at] = inside ? trust : 0;
}
