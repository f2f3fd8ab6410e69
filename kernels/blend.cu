// Carry the history along the motion and mix the new picture with it.

constexpr int THREADS = 256;
constexpr int BLOCKS = 4;  // on a multiprocessor at once: at most 64 registers, half of its threads at work
constexpr int EACH = 4;    // pixels of a thread where there is little to do for one: more loads on their way at once
constexpr float CRISP = 0.3f;

// All planes of a pixel have the same weight; blockIdx.y is the plane.
template <class T>
__global__ void __launch_bounds__(THREADS)
blend(const T* __restrict__ fresh, const T* __restrict__ history, const float* __restrict__ weight, int area,
      T* __restrict__ out) {
    const size_t plane = (size_t)blockIdx.y * area;
    const int first = blockIdx.x * EACH * THREADS + threadIdx.x;
#pragma unroll
    for (int i = 0; i < EACH; ++i) {
        const int at = first + i * THREADS;
        if (at >= area) return;
        const float now = load(fresh[plane + at]);
        store(out + plane + at, now + weight[at] * (load(history[plane + at]) - now));
    }
}

// The history along the flow of the small picture, as floats.  One thread a pixel, for all planes.  What rests is
// copied: most pictures rest for the greater part, and mostly whole warps of them.
template <class T>
__global__ void __launch_bounds__(THREADS, BLOCKS)
fetch(const T* __restrict__ history, int width, int height, int channels, const float2* __restrict__ flow,
      int small_width, int small_height, float scale_x, float scale_y, float* __restrict__ out) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    const float2 from = position(flow, small_width, small_height, make_float2(scale_x, scale_y), x, y);
    const bool rests = from.x == x && from.y == y;
    const Taps<BICUBIC> across(from.x, width), down(from.y, height);
    const size_t area = (size_t)width * height, at = (size_t)y * width + x;
#pragma unroll 1  // the samples of one plane keep memory busy; more at once would spill
    for (int channel = 0; channel < channels; ++channel) {
        const T* plane = history + channel * area;
        out[channel * area + at] = rests ? load(plane[at]) : sample(plane, width, across, down);
    }
}

// What was decided for a pixel of the small picture, as it is passed: x is the share that is held, y the gain of
// contrast, z the level to add, w how worn it is by being warped.
__device__ inline float4 enlarged(const float4* __restrict__ map, int width, const Taps<BILINEAR>& x,
                                  const Taps<BILINEAR>& y) {
    float4 sum = make_float4(0, 0, 0, 0);
#pragma unroll
    for (int j = 0; j < 2; ++j) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            const float4 value = map[(size_t)y.at[j] * width + x.at[i]];
            const float weight = y.weight[j] * x.weight[i];
            sum.x += weight * value.x;
            sum.y += weight * value.y;
            sum.z += weight * value.z;
            sum.w += weight * value.w;
        }
    }
    return sum;
}

// Along one axis of a picture mirrored about its outermost pixels: the one before and the one after.
__device__ inline int2 neighbors(int at, int size) {
    return make_int2(at > 0 ? at - 1 : min(1, size - 1), at < size - 1 ? at + 1 : max(size - 2, 0));
}

// A pixel of the history at half its size; the width is that of the half.
__device__ inline float halved(const float* __restrict__ history, int width, int x, int y) {
    const float* above = history + (size_t)4 * y * width + 2 * x;
    const float* below = above + 2 * width;
    return (above[0] + above[1] + below[0] + below[1]) / 4;
}

// The level of luma, at half its size: what was decided, and what the gain adds to the history's detail, which is what a
// pixel is off its neighbors: a Laplacian at this size, as it was measured.  Waves that are raised though they were not
// measured grow, for no warp wears them off, finer ones to a hatch and coarser ones to blobs.
__global__ void __launch_bounds__(THREADS)
raised(const float* __restrict__ history, int width, int height, const float4* __restrict__ decided, int small_width,
       int small_height, float ratio_x, float ratio_y, float* __restrict__ out) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    const Taps<BILINEAR> small_x((x + 0.5f) * ratio_x - 0.5f, small_width);
    const Taps<BILINEAR> small_y((y + 0.5f) * ratio_y - 0.5f, small_height);
    const float4 way = enlarged(decided, small_width, small_x, small_y);
    const int2 columns = neighbors(x, width), rows = neighbors(y, height);
    const float around = halved(history, width, columns.x, y) + halved(history, width, columns.y, y) +
                         halved(history, width, x, rows.x) + halved(history, width, x, rows.y);
    out[(size_t)y * width + x] = way.z + (way.y - 1) * (halved(history, width, x, y) - around / 4);
}

// blockIdx.z is the plane.  `held` may be the history.  The ratios are of the small picture's sides to the large one's.
// If it is leveled, the level at half the size stands for the one that was decided.
template <class T>
__global__ void __launch_bounds__(THREADS)
hold(const T* __restrict__ fresh, const float* history, int width, int height, const float4* __restrict__ decided,
     int small_width, int small_height, float ratio_x, float ratio_y, const float* __restrict__ level, int leveled,
     float low, float high, float* held, T* __restrict__ shown) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    const Taps<BILINEAR> small_x((x + 0.5f) * ratio_x - 0.5f, small_width);
    const Taps<BILINEAR> small_y((y + 0.5f) * ratio_y - 0.5f, small_height);
    decided += (size_t)blockIdx.z * small_width * small_height;
    float4 way = enlarged(decided, small_width, small_x, small_y);
    const size_t at = ((size_t)blockIdx.z * height + y) * width + x;
    if (leveled) {
        const Taps<BILINEAR> half_x(x / 2.f - 0.25f, width / 2), half_y(y / 2.f - 0.25f, height / 2);
        way.z = sample(level, width / 2, half_x, half_y);
    }
    const float now = load(fresh[at]);
    const float value = fminf(fmaxf(now + way.x * (history[at] + way.z - now), low), high);
    held[at] = value;
    store(shown + at, value);
}

// What is shown of a held plane: an unsharp mask with the 3 x 3 binomial, where it is worn.
// The picture is mirrored about its outermost pixels.
template <class T>
__global__ void __launch_bounds__(THREADS)
crisp(const float* __restrict__ held, int width, int height, const float4* __restrict__ decided, int small_width,
      int small_height, float ratio_x, float ratio_y, float low, float high, T* __restrict__ shown) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    const Taps<BILINEAR> small_x((x + 0.5f) * ratio_x - 0.5f, small_width);
    const Taps<BILINEAR> small_y((y + 0.5f) * ratio_y - 0.5f, small_height);
    const float worn = enlarged(decided, small_width, small_x, small_y).w;
    const size_t at = (size_t)y * width + x;
    float value = held[at];
    if (worn > 0) {
        const int2 columns = neighbors(x, width), lines = neighbors(y, height);
        const int rows[3] = {lines.x, y, lines.y};
        float soft = 0;
#pragma unroll
        for (int j = 0; j < 3; ++j) {
            const float* row = held + (size_t)rows[j] * width;
            soft += (j == 1 ? 0.5f : 0.25f) * (0.25f * (row[columns.x] + row[columns.y]) + 0.5f * row[x]);
        }
        value += CRISP * worn * (value - soft);
    }
    store(shown + at, fminf(fmaxf(value, low), high));
}
