// Set a backward flow to exactly zero where rest explains the picture as well: between two noisy pictures of a
// still wall any flow is found, and history that is fetched along it wobbles.

constexpr int THREADS = 256, BLOCK_X = 32, BLOCK_Y = 16;
constexpr int REACH = 15;  // of the window that is judged, to each side
constexpr int WINDOW = 2 * REACH + 1, TILE_X = BLOCK_X + 2 * REACH, TILE_Y = BLOCK_Y + 2 * REACH;
constexpr int RUN = 4;  // neighbors whose sums one thread works out: from one to the next two values change
constexpr float RATIO = 1.3f, GAIN = 0.05f;

// Past the border the picture goes back as it came: 2 1 0 1 2.
__device__ inline int reflected(int index, int size) {
    if (index >= 0 && index < size) return index;
    if (size == 1) return 0;
    const int there_and_back = abs(index) % (2 * size - 2);
    return min(there_and_back, 2 * size - 2 - there_and_back);
}

// Mean of 3 x 3 bytes, a byte: noise is averaged over before rest and motion are judged.
__device__ inline float blurred(const unsigned char* __restrict__ picture, int width, int height, int x, int y) {
    float sum = 0;
#pragma unroll
    for (int j = -1; j <= 1; ++j) {
        const unsigned char* row = picture + (size_t)reflected(y + j, height) * width;
#pragma unroll
        for (int i = -1; i <= 1; ++i) sum += load(row[reflected(x + i, width)]);
    }
    return rintf(sum / 9);
}

// What is left of the current picture at each pixel by rest (x) and by the flow (y).  What has moved becomes bytes as
// well: between two pixels noise is less, and of two noisy pictures the one that moves would be preferred.
__global__ void __launch_bounds__(THREADS)
differences(const float2* __restrict__ flow, const unsigned char* __restrict__ previous,
            const unsigned char* __restrict__ current, int width, int height, float2* __restrict__ left) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    const float2 motion = flow[(size_t)y * width + x];
    const Taps<BILINEAR> across(x + motion.x, width), down(y + motion.y, height);
    float moved = 0;
#pragma unroll
    for (int j = 0; j < 2; ++j) {
#pragma unroll
        for (int i = 0; i < 2; ++i)
            moved += down.weight[j] * across.weight[i] * blurred(previous, width, height, across.at[i], down.at[j]);
    }
    const float now = blurred(current, width, height, x, y);
    left[(size_t)y * width + x] = make_float2(blurred(previous, width, height, x, y) - now, rintf(moved) - now);
}

// Over a window: the differences by rest and by the flow, and their squares.
struct alignas(16) Sums {
    float rest, moved, rest2, moved2;
};
__device__ inline Sums operator+(const Sums& a, const Sums& b) {
    return {a.rest + b.rest, a.moved + b.moved, a.rest2 + b.rest2, a.moved2 + b.moved2};
}
__device__ inline Sums operator-(const Sums& a, const Sums& b) {
    return {a.rest - b.rest, a.moved - b.moved, a.rest2 - b.rest2, a.moved2 - b.moved2};
}
__device__ inline Sums alone(float2 left) { return {left.x, left.y, left.x * left.x, left.y * left.y}; }

// Not the mean square, or a fade would look like noise.
__device__ inline float variance(float sum, float square) {
    constexpr float SHARE = 1.f / (WINDOW * WINDOW);
    return SHARE * square - SHARE * sum * (SHARE * sum);
}

// Sums over windows, along the rows of a tile and then down its columns.  Forward flow is handed on as it is, by the
// blocks of blockIdx.z 1.
__global__ void __launch_bounds__(THREADS)
rest(const float2* __restrict__ flow, const float2* __restrict__ left, int width, int height,
     float2* __restrict__ backward, float2* __restrict__ forward) {
    __shared__ float2 tile[TILE_Y][TILE_X + 1];  // one more than needed: lanes of a warp then use different banks
    __shared__ Sums rows[TILE_Y][BLOCK_X + 1];
    const int thread = threadIdx.x, first_x = blockIdx.x * BLOCK_X, first_y = blockIdx.y * BLOCK_Y;
    const size_t area = (size_t)width * height;
    if (blockIdx.z == 1) {
        for (int i = thread; i < BLOCK_X * BLOCK_Y; i += THREADS) {
            const int x = first_x + i % BLOCK_X, y = first_y + i / BLOCK_X;
            const size_t at = (size_t)y * width + x;
            if (x < width && y < height) forward[at] = flow[area + at];
        }
        return;
    }
    // Variance is the same about any value; about one near the mean, floats lose nothing to a change of light.
    const float2 about = left[(size_t)first_y * width + first_x];
    for (int i = thread; i < TILE_X * TILE_Y; i += THREADS) {
        const int column = i % TILE_X, row = i / TILE_X;
        const int x = reflected(first_x + column - REACH, width), y = reflected(first_y + row - REACH, height);
        const float2 value = left[(size_t)y * width + x];
        tile[row][column] = make_float2(value.x - about.x, value.y - about.y);
    }
    __syncthreads();
    for (int i = thread; i < TILE_Y * BLOCK_X / RUN; i += THREADS) {
        const int row = i % TILE_Y, column = i / TILE_Y * RUN;
        Sums sums = {};
        for (int k = 0; k < WINDOW; ++k) sums = sums + alone(tile[row][column + k]);
        for (int k = 0; k < RUN; ++k) {
            rows[row][column + k] = sums;
            if (k + 1 < RUN) sums = sums + alone(tile[row][column + k + WINDOW]) - alone(tile[row][column + k]);
        }
    }
    __syncthreads();
    for (int i = thread; i < BLOCK_X * BLOCK_Y / RUN; i += THREADS) {
        const int column = i % BLOCK_X, row = i / BLOCK_X * RUN, x = first_x + column;
        Sums sums = {};
        for (int k = 0; k < WINDOW; ++k) sums = sums + rows[row + k][column];
        for (int k = 0; k < RUN; ++k) {
            const int y = first_y + row + k;
            if (x < width && y < height) {
                const size_t at = (size_t)y * width + x;
                const float gain = variance(sums.rest, sums.rest2) - RATIO * variance(sums.moved, sums.moved2);
                const float share = __saturatef(gain / GAIN - 1);
                backward[at] = make_float2(share * flow[at].x, share * flow[at].y);
            }
            if (k + 1 < RUN) sums = sums + rows[row + k + WINDOW][column] - rows[row + k][column];
        }
    }
}
