// Compare the new picture with its history, on the small picture that the flow was measured on, and decide what of
// it is held.
//
// A cell is a pixel of chroma and 2 x 2 of luma; a pixel of the small picture is `factor` pixels of luma wide.

constexpr int THREADS = 256;

// What is compared: new minus history in each plane, and the squares of fine detail.
enum Map { LUMA, CHROMA_U, CHROMA_V, FRESH_DETAIL, OLD_DETAIL, CHANGED_DETAIL, MAPS };

// Where the picture mirrored about its outermost pixels has this one: 2 1 | 0 1 2 | 1 0.
__device__ inline int reflected(int index, int size) {
    if (index >= 0 && index < size) return index;
    const int period = max(2 * (size - 1), 1);
    index = abs(index) % period;
    return index < size ? index : period - index;
}

// ---- compare ----

constexpr int CELLS_X = 32, CELLS_Y = 16;  // of a block; the outer ones are there for their neighbors only
typedef float Cells[CELLS_Y][CELLS_X];

__device__ inline float laplacian(const Cells& cells, int x, int y) {
    return cells[y - 1][x] + cells[y + 1][x] + cells[y][x - 1] + cells[y][x + 1] - 4 * cells[y][x];
}

// A block is as many threads wide as its cells have pixels of luma, and that is twice their pixels of chroma.
// The size is that of chroma.
template <class T>
__global__ void __launch_bounds__(THREADS)
compare(const T* __restrict__ luma, const T* __restrict__ chroma, const float* __restrict__ old_luma,
        const float* __restrict__ old_chroma, int width, int height, int factor, float* __restrict__ out) {
    __shared__ Cells fresh, old, difference[2];
    const int small_width = 2 * width / factor, small_height = 2 * height / factor;
    const size_t small_area = (size_t)small_width * small_height;
    const int left = blockIdx.x * (CELLS_X - 2) - 1, top = blockIdx.y * (CELLS_Y - 2) - 1;

    for (int row = threadIdx.y; row < CELLS_Y; row += blockDim.y) {
        const int cell_y = reflected(top + row, height);
        const int x = 2 * reflected(left + (int)threadIdx.x / 2, width) + threadIdx.x % 2;
        float now = 0, before = 0;
        for (int y = 2 * cell_y; y < 2 * cell_y + 2; ++y) {
            const size_t at = (size_t)y * 2 * width + x;
            const float pixel = load(luma[at]), history = old_luma[at];
            if (factor == 1)  // finer than cells; a pixel that two blocks know they write alike
                out[LUMA * small_area + at] = pixel - history;
            now += pixel;
            before += history;
        }
        now += __shfl_xor_sync(0xffffffffu, now, 1);
        before += __shfl_xor_sync(0xffffffffu, before, 1);
        if (threadIdx.x % 2 == 0) {
            fresh[row][threadIdx.x / 2] = now / 4;
            old[row][threadIdx.x / 2] = before / 4;
        }
        const int plane = threadIdx.x / CELLS_X, column = threadIdx.x % CELLS_X;
        const size_t at = ((size_t)plane * height + cell_y) * width + reflected(left + column, width);
        difference[plane][row][column] = load(chroma[at]) - old_chroma[at];
    }
    __syncthreads();

    const int side = max(factor / 2, 1);  // cells across a small pixel
    const int tile_width = 2 * (CELLS_X - 2) / factor, tile_height = 2 * (CELLS_Y - 2) / factor;
    for (int i = threadIdx.y * blockDim.x + threadIdx.x; i < tile_width * tile_height; i += THREADS) {
        const int in_x = i % tile_width, in_y = i / tile_width;
        const int x = blockIdx.x * tile_width + in_x, y = blockIdx.y * tile_height + in_y;
        if (x >= small_width || y >= small_height) continue;
        float sums[MAPS] = {};
        for (int row = 1 + in_y * factor / 2; row < 1 + in_y * factor / 2 + side; ++row) {
#pragma unroll 1  // at most two: more at once would spill
            for (int column = 1 + in_x * factor / 2; column < 1 + in_x * factor / 2 + side; ++column) {
                const float now = laplacian(fresh, column, row), before = laplacian(old, column, row);
                sums[LUMA] += fresh[row][column] - old[row][column];
                sums[CHROMA_U] += difference[0][row][column];
                sums[CHROMA_V] += difference[1][row][column];
                sums[FRESH_DETAIL] += now * now;
                sums[OLD_DETAIL] += before * before;
                sums[CHANGED_DETAIL] += (now - before) * (now - before);
            }
        }
#pragma unroll
        for (int map = 0; map < MAPS; ++map)
            if (factor > 1 || map > LUMA)
                out[map * small_area + (size_t)y * small_width + x] = sums[map] / (side * side);
    }
}

// ---- smooth ----

constexpr float DEVIATION = 1.5f;
constexpr int TILE = 32, RADIUS = 6, SIDE = TILE + 2 * RADIUS;
constexpr int AT_ONCE = 4, PADDING = AT_ONCE - 1;
static_assert(TILE * TILE == AT_ONCE * THREADS, "one round of the second pass");

// Four results in a row: each value is read once for all of them.  The weights have zeros around them.
__device__ inline void four(const float* from, int step, const float* weights, float (&sums)[AT_ONCE]) {
#pragma unroll
    for (int i = 0; i < AT_ONCE; ++i) sums[i] = 0;
#pragma unroll
    for (int k = 0; k < 2 * RADIUS + AT_ONCE; ++k) {
        const float value = from[k * step];
#pragma unroll
        for (int i = 0; i < AT_ONCE; ++i) sums[i] += weights[PADDING + k - i] * value;
    }
}

// A Gaussian, one block for a tile of one map: along x, then along y.  The border is mirrored.
__global__ void __launch_bounds__(THREADS)
smooth(const float* __restrict__ maps, int width, int height, float* __restrict__ out) {
    __shared__ float tile[SIDE][SIDE + 1], across[SIDE][TILE + 1];  // odd: rows side by side are in different banks
    __shared__ float weights[2 * RADIUS + 1 + 2 * PADDING];
    const int thread = threadIdx.y * blockDim.x + threadIdx.x;
    const size_t start = (size_t)blockIdx.z * width * height;
    const int left = blockIdx.x * TILE, top = blockIdx.y * TILE;

    if (thread < 2 * RADIUS + 1 + 2 * PADDING) {
        const int distance = thread - PADDING - RADIUS;
        const float steep = -0.5f / (DEVIATION * DEVIATION);
        float sum = 0;
        for (int i = -RADIUS; i <= RADIUS; ++i) sum += expf(steep * i * i);
        weights[thread] = abs(distance) > RADIUS ? 0 : expf(steep * distance * distance) / sum;
    }
    for (int y = threadIdx.y; y < SIDE; y += blockDim.y) {
        const float* row = maps + start + (size_t)reflected(top + y - RADIUS, height) * width;
        for (int x = threadIdx.x; x < SIDE; x += blockDim.x) tile[y][x] = row[reflected(left + x - RADIUS, width)];
    }
    __syncthreads();
    float sums[AT_ONCE];
    for (int i = thread; i < SIDE * (TILE / AT_ONCE); i += THREADS) {
        const int x = i / SIDE * AT_ONCE, y = i % SIDE;
        four(&tile[y][x], 1, weights, sums);
#pragma unroll
        for (int k = 0; k < AT_ONCE; ++k) across[y][x + k] = sums[k];
    }
    __syncthreads();
    const int x = threadIdx.x, y = threadIdx.y * AT_ONCE;
    four(&across[y][x], TILE + 1, weights, sums);
#pragma unroll
    for (int k = 0; k < AT_ONCE; ++k)
        if (left + x < width && top + y + k < height) out[start + (size_t)(top + y + k) * width + left + x] = sums[k];
}

// ---- decide ----

constexpr float UNLIKE = 600 / (255.f * 255.f);  // for differences in bytes
constexpr float LIFT = 0.2f;   // share of what brightness and color are off that is made good in each frame
constexpr float NOISE = 4.f;   // detail, in squared bytes, that is no stroke but rounding
constexpr float STEP = 0.2f;   // most that contrast is changed by in one frame

// For y, u and v: x is the share that is held, y the gain of contrast, z the level to add, w how worn it is.
__global__ void __launch_bounds__(THREADS)
decide(const float* __restrict__ maps, const float2* __restrict__ flow, const float* __restrict__ trust,
       const float* __restrict__ weight, int area, int factor, float4* __restrict__ out) {
    const int at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= area) return;
    float value[MAPS];
#pragma unroll
    for (int map = 0; map < MAPS; ++map) value[map] = maps[(size_t)map * area + at];
    const float y = value[LUMA], u = value[CHROMA_U], v = value[CHROMA_V];
    const float fresh = value[FRESH_DETAIL] + NOISE, old = value[OLD_DETAIL] + NOISE;

    // Trusted, and like the new picture; half trust would be a blur of two textures, so it becomes none or all.
    const float like = expf(-UNLIKE * (y * y + u * u + v * v));
    const float share = *weight * __saturatef(2 * trust[at] * like - 0.5f);
    // What the history's contrast is off, and half of the detail that its blend with the new picture will lose.
    const float lost = (1 - *weight) / 2 * value[CHANGED_DETAIL] / fresh;
    const float gain = fminf(fmaxf(sqrtf(fresh / old) * (1 + lost), 1 - STEP), 1 + STEP);
    const float2 motion = flow[at];
    const float worn = share * fminf(factor * sqrtf(motion.x * motion.x + motion.y * motion.y), 1.f);
    out[at] = make_float4(share, gain, LIFT * y, worn);
    out[(size_t)area + at] = make_float4(share, 1, LIFT * u, 0);
    out[(size_t)2 * area + at] = make_float4(share, 1, LIFT * v, 0);
}
