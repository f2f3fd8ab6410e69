// What a picture that is shown says of itself.  Every sum is taken in two launches: a block writes what it found,
// one block puts that together, in an order that does not change.

constexpr int THREADS = 256;
constexpr float LARGEST = 3.402823466e38f;

// ---- flicker ----

constexpr int PIXELS = 4;  // of a thread

// Squared change along the motion where it can be trusted, and how many pixels that are.
template <class T>
__global__ void __launch_bounds__(THREADS)
part_flicker(const T* __restrict__ previous, const T* __restrict__ current, const float2* __restrict__ flow,
             const float* __restrict__ confidence, int width, int height, float least_trust,
             float2* __restrict__ parts) {
    float squares = 0, seen = 0;
#pragma unroll
    for (int i = 0; i < PIXELS; ++i) {
        const int at = (blockIdx.x * PIXELS + i) * THREADS + threadIdx.x;
        if (at >= width * height || !(confidence[at] >= least_trust)) continue;
        const float2 motion = flow[at];
        const Taps<BILINEAR> across(at % width + motion.x, width), down(at / width + motion.y, height);
        const float change = load(current[at]) - sample(previous, width, across, down);
        squares += change * change;
        ++seen;
    }
    squares = block_sum<THREADS>(squares);
    seen = block_sum<THREADS>(seen);
    if (threadIdx.x == 0) parts[blockIdx.x] = make_float2(squares, seen);
}

// out: the sum of squares, the pixels, and the mean in full scale squared, or NaN where too little was seen.
__global__ void __launch_bounds__(THREADS)
finish_flicker(const float2* __restrict__ parts, int part_count, int pixels, float least_seen, float full_scale,
               float* __restrict__ out) {
    float squares = 0, seen = 0;
    for (int i = threadIdx.x; i < part_count; i += THREADS) {
        squares += parts[i].x;
        seen += parts[i].y;
    }
    squares = block_sum<THREADS>(squares);
    seen = block_sum<THREADS>(seen);
    if (threadIdx.x != 0) return;
    out[0] = squares;
    out[1] = seen;
    out[2] = seen / pixels < least_seen ? nanf("") : squares / seen / (full_scale * full_scale);
}

// ---- health ----

constexpr int EACH = 16;  // values of a thread
constexpr int PART = THREADS * EACH;

// Of the finite values of a part: how many, their mean and the sum of squares about it, least and most; and the sum
// of the changes since the previous picture.  The mean is counted from the origin, the plane's first value, near
// which all values of an even plane are: so what is squared is small.
struct Part {
    float origin, count, mean, squares, least, most, change;
};

// In thread 0.
__device__ inline float block_least(float value) {
    __shared__ float leasts[THREADS / 32];
#pragma unroll
    for (int by = 16; by > 0; by /= 2) value = fminf(value, __shfl_down_sync(0xffffffffu, value, by));
    __syncthreads();  // the leasts of a call before may still be read
    if (threadIdx.x % 32 == 0) leasts[threadIdx.x / 32] = value;
    __syncthreads();
    if (threadIdx.x == 0)
        for (int i = 1; i < THREADS / 32; ++i) value = fminf(value, leasts[i]);
    return value;
}

__device__ inline bool is_finite(float value) { return fabsf(value) <= LARGEST; }

template <class T>
__global__ void __launch_bounds__(THREADS)
part_health(const T* __restrict__ picture, const T* __restrict__ previous, int compares, int size,
            Part* __restrict__ parts) {
    __shared__ float shared_mean;
    const T* plane = picture + (size_t)blockIdx.y * size;
    const T* before = previous + (size_t)blockIdx.y * size;
    const float first = load(plane[0]), origin = is_finite(first) ? first : 0;
    const int start = blockIdx.x * PART;
    float values[EACH], count = 0, sum = 0, change = 0, least = LARGEST, most = -LARGEST;
#pragma unroll
    for (int i = 0; i < EACH; ++i) {
        const int at = start + i * THREADS + threadIdx.x;
        const float value = at < size ? load(plane[at]) : nanf("");
        const float step = compares && at < size ? fabsf(value - load(before[at])) : 0;
        const bool finite = is_finite(value);
        values[i] = finite ? value - origin : nanf("");
        count += finite;
        sum += finite ? values[i] : 0;
        change += is_finite(step) ? step : 0;
        least = finite ? fminf(least, value) : least;
        most = finite ? fmaxf(most, value) : most;
    }
    count = block_sum<THREADS>(count);
    sum = block_sum<THREADS>(sum);
    if (threadIdx.x == 0) shared_mean = count > 0 ? sum / count : 0;
    __syncthreads();
    const float mean = shared_mean;
    float squares = 0;
#pragma unroll
    for (int i = 0; i < EACH; ++i) {
        const float off = values[i] - mean;
        squares += isnan(off) ? 0 : off * off;
    }
    squares = block_sum<THREADS>(squares);
    change = block_sum<THREADS>(change);
    least = block_least(least);
    most = -block_least(-most);
    if (threadIdx.x != 0) return;
    parts[(size_t)blockIdx.y * gridDim.x + blockIdx.x] = {origin, count, mean, squares, least, most, change};
}

// One block a plane.  out: least, most, mean and variance of what is finite, how many are not, mean change.
__global__ void __launch_bounds__(THREADS)
finish_health(const Part* __restrict__ parts, int part_count, int size, int compares, float* __restrict__ out) {
    __shared__ float shared_mean;
    const Part* mine = parts + (size_t)blockIdx.x * part_count;
    float count = 0, bad = 0, sum = 0, change = 0, least = LARGEST, most = -LARGEST;
    for (int i = threadIdx.x; i < part_count; i += THREADS) {
        count += mine[i].count;
        bad += min(PART, size - i * PART) - mine[i].count;
        sum += mine[i].count * mine[i].mean;
        change += mine[i].change;
        least = fminf(least, mine[i].least);
        most = fmaxf(most, mine[i].most);
    }
    count = block_sum<THREADS>(count);
    sum = block_sum<THREADS>(sum);
    if (threadIdx.x == 0) shared_mean = sum / count;
    __syncthreads();
    const float mean = shared_mean;
    float squares = 0;
    for (int i = threadIdx.x; i < part_count; i += THREADS) {
        const float off = mine[i].mean - mean;
        squares += mine[i].squares + mine[i].count * off * off;
    }
    squares = block_sum<THREADS>(squares);
    bad = block_sum<THREADS>(bad);
    change = block_sum<THREADS>(change);
    least = block_least(least);
    most = -block_least(-most);
    if (threadIdx.x != 0) return;
    float* figures = out + 6 * blockIdx.x;
    figures[0] = count > 0 ? least : nanf("");
    figures[1] = count > 0 ? most : nanf("");
    figures[2] = mine[0].origin + mean;  // of none 0 / 0, which is right
    figures[3] = squares / count;
    figures[4] = bad;
    figures[5] = compares ? change / size : nanf("");
}
