// Instance norm: the mean and the variance of each channel, and features brought to mean 0 and variance 1.
//
// Squares of large values must not cancel, so all is counted from the channel's first value, and a block takes
// squares about its own mean: it keeps its values in registers and reads memory once.  What blocks found is put
// together exactly (Chan, Golub and LeVeque 1983), in an order that does not change.

constexpr int THREADS = 256;
constexpr int EACH = 16;  // values of a thread, as many loads at once
constexpr int PART = THREADS * EACH;

// The channel's first value, the mean of a part, counted from that, and the sum of squares about the mean.
struct Part {
    float first, mean, squares;
};

template <class T>
__global__ void __launch_bounds__(THREADS)
part_statistics(const T* __restrict__ features, int size, Part* __restrict__ parts) {
    __shared__ float shared_mean;
    const T* channel = features + (size_t)blockIdx.y * size;
    const float first = load(channel[0]);
    const int start = blockIdx.x * PART, count = min(PART, size - start);
    float values[EACH], sum = 0;
#pragma unroll
    for (int i = 0; i < EACH; ++i) {
        const int at = i * THREADS + threadIdx.x;
        values[i] = at < count ? load(channel[start + at]) - first : 0;
        sum += values[i];
    }
    sum = block_sum<THREADS>(sum);
    if (threadIdx.x == 0) shared_mean = sum / count;
    __syncthreads();
    const float mean = shared_mean;
    float squares = 0;
#pragma unroll
    for (int i = 0; i < EACH; ++i) {
        const float off = i * THREADS + (int)threadIdx.x < count ? values[i] - mean : 0;
        squares += off * off;
    }
    squares = block_sum<THREADS>(squares);
    if (threadIdx.x == 0) parts[(size_t)blockIdx.y * gridDim.x + blockIdx.x] = {first, mean, squares};
}

// One block a channel.  `running` and `out` may be one array; `averages` says whether there is a `running`.
__global__ void __launch_bounds__(THREADS)
finish_statistics(const Part* __restrict__ parts, int part_count, int size, const float2* running, int averages,
                  float rate, float2* out) {
    __shared__ float shared_mean;
    const int channel = blockIdx.x;
    const Part* mine = parts + (size_t)channel * part_count;
    float sum = 0;
    for (int i = threadIdx.x; i < part_count; i += THREADS) sum += min(PART, size - i * PART) * mine[i].mean;
    sum = block_sum<THREADS>(sum);
    if (threadIdx.x == 0) shared_mean = sum / size;
    __syncthreads();
    const float mean = shared_mean;
    float squares = 0;
    for (int i = threadIdx.x; i < part_count; i += THREADS) {
        const float off = mine[i].mean - mean;
        squares += mine[i].squares + min(PART, size - i * PART) * off * off;
    }
    squares = block_sum<THREADS>(squares);
    if (threadIdx.x != 0) return;
    float2 found = make_float2(mine[0].first + mean, squares / size);
    if (averages) {
        const float2 before = running[channel];
        const bool known = isfinite(before.x) && isfinite(before.y);
        if (known && !(isfinite(found.x) && isfinite(found.y))) {
            found = before;
        } else if (known) {
            found.x = before.x + rate * (found.x - before.x);
            found.y = before.y + rate * (found.y - before.y);
        }
    }
    out[channel] = found;
}

// `features` and `out` may be one array.
template <class T>
__global__ void __launch_bounds__(THREADS)
apply(const T* features, int size, const float2* __restrict__ statistics, const float* __restrict__ weight,
      const float* __restrict__ bias, float epsilon, T* out) {
    const int channel = blockIdx.y, start = blockIdx.x * PART, count = min(PART, size - start);
    const float2 found = statistics[channel];
    const float scale = weight[channel] * rsqrtf(found.y + epsilon), shift = bias[channel];
    const T* from = features + (size_t)channel * size + start;
    T* to = out + (size_t)channel * size + start;
    float values[EACH];
#pragma unroll
    for (int i = 0; i < EACH; ++i) {
        const int at = i * THREADS + threadIdx.x;
        values[i] = at < count ? load(from[at]) : 0;
    }
#pragma unroll
    for (int i = 0; i < EACH; ++i) {
        const int at = i * THREADS + threadIdx.x;
        if (at < count) store(to + at, (values[i] - found.x) * scale + shift);
    }
}
