// Fetch each pixel's history along the backward flow.  One thread a pixel, for all its channels: the position
// and the weights are worked out once.

constexpr int THREADS = 256;
constexpr int BLOCKS = 4;  // on a multiprocessor at once: at most 64 registers, half of its threads at work

template <class T, Interpolation HOW>
__device__ void fetch(const T* __restrict__ planes, int width, int height, int channels, float2 from,
                      T* __restrict__ out, int x, int y, int out_width, int out_height) {
    const Taps<HOW> across(from.x, width), down(from.y, height);
    const size_t area = (size_t)width * height, out_area = (size_t)out_width * out_height;
    T* to = out + (size_t)y * out_width + x;
#pragma unroll 1  // the samples of one channel keep memory busy; more at once would spill
    for (int channel = 0; channel < channels; ++channel)
        store(to + channel * out_area, sample(planes + channel * area, width, across, down));
}

// At the positions `where`.
template <class T, Interpolation HOW>
__global__ void __launch_bounds__(THREADS, BLOCKS)
warp(const T* __restrict__ planes, int width, int height, int channels, const float2* __restrict__ where,
     T* __restrict__ out, int out_width, int out_height) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= out_width || y >= out_height) return;
    const float2 from = where[(size_t)y * out_width + x];
    fetch<T, HOW>(planes, width, height, channels, from, out, x, y, out_width, out_height);
}

// Along the flow of a small picture, so that no map of positions at full size is written and read.
template <class T, Interpolation HOW>
__global__ void __launch_bounds__(THREADS, BLOCKS)
warp_along(const T* __restrict__ planes, int width, int height, int channels, const float2* __restrict__ flow,
           int flow_width, int flow_height, float scale_x, float scale_y, T* __restrict__ out) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    const float2 from = position(flow, flow_width, flow_height, make_float2(scale_x, scale_y), x, y);
    fetch<T, HOW>(planes, width, height, channels, from, out, x, y, width, height);
}
