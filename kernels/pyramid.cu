// One level of a pyramid of two pictures, with its gradient: of the pictures themselves, or of the level before,
// whose 2 x 2 pixels become one.  blockIdx.z is the picture.

constexpr int THREADS = 256, BLOCK_X = 32, BLOCK_Y = 8;

// The level's pixel (x, y): the mean of the BY x BY pixels under it; past the border the edge repeats.
template <class T, int BY>
__device__ float mean(const T* __restrict__ picture, int width, int height, int x, int y) {
    if constexpr (BY == 1) {
        return load(picture[(size_t)y * width + x]);
    } else {
        const T* above = picture + (size_t)(2 * y) * width;
        const T* below = picture + (size_t)min(2 * y + 1, height - 1) * width;
        const int left = 2 * x, right = min(2 * x + 1, width - 1);
        return 0.25f * ((load(above[left]) + load(above[right])) + (load(below[left]) + load(below[right])));
    }
}

// Sobel needs the neighbors, so a block first fills a tile that is a pixel wider than itself on every side.
template <class T, int BY>
__global__ void __launch_bounds__(THREADS)
level(const T* __restrict__ previous, const T* __restrict__ current, int width, int height, float* __restrict__ gray,
      float2* __restrict__ gradient) {
    __shared__ float tile[BLOCK_Y + 2][BLOCK_X + 2];
    const T* picture = blockIdx.z == 0 ? previous : current;
    const int level_width = (width + BY - 1) / BY, level_height = (height + BY - 1) / BY;
    const int left = blockIdx.x * BLOCK_X - 1, top = blockIdx.y * BLOCK_Y - 1;
    for (int i = threadIdx.y * BLOCK_X + threadIdx.x; i < (BLOCK_X + 2) * (BLOCK_Y + 2); i += THREADS) {
        const int column = i % (BLOCK_X + 2), row = i / (BLOCK_X + 2);
        const int x = clamped(left + column, level_width), y = clamped(top + row, level_height);
        tile[row][column] = mean<T, BY>(picture, width, height, x, y);
    }
    __syncthreads();
    const int x = left + 1 + threadIdx.x, y = top + 1 + threadIdx.y;
    if (x >= level_width || y >= level_height) return;
    const float* above = &tile[threadIdx.y][threadIdx.x];
    const float* here = &tile[threadIdx.y + 1][threadIdx.x];
    const float* below = &tile[threadIdx.y + 2][threadIdx.x];
    const size_t at = ((size_t)blockIdx.z * level_height + y) * level_width + x;
    gray[at] = here[1];
    gradient[at] = make_float2(
        0.125f * ((above[2] - above[0]) + 2 * (here[2] - here[0]) + (below[2] - below[0])),
        0.125f * ((below[0] - above[0]) + 2 * (below[1] - above[1]) + (below[2] - above[2])));
}
