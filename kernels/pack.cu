// Codes to packed pictures, and back.  A packed picture has 24 planes, of cells of 4x4 pixels: 16 of luma, 4 of Cb,
// 4 of Cr.
//
// One thread has the upper or the lower half of a cell, 4x2 pixels and their two samples of chroma, sites: colors
// mix inside of it only.  Its neighbors in the warp have the halves left and right of it, so each of its 12 planes
// is written or read in one piece.
//
// From color space to color space luma changes with its own chroma, and chroma with itself: gray stays gray.  So
// `a_b` below, what a takes of b, has no `u_y` and `v_y`.

constexpr int THREADS = 256;

// Where the planes of a half begin: 8 of luma one after the other; 2 of Cb, and 4 planes later 2 of Cr.
__device__ inline size_t luma_of(int half, size_t area) { return 8 * half * area; }
__device__ inline size_t chroma_of(int half, size_t area) { return (16 + 2 * half) * area; }

template <class T, class Out>
__global__ void __launch_bounds__(THREADS)
pack(const T* __restrict__ luma, int pitch, const T* __restrict__ u, const T* __restrict__ v, int chroma_pitch,
     int step, int width, int height, int margin, float y_y, float y_u, float y_v, float u_u, float u_v, float v_u,
     float v_v, float middle, float zero, Out* __restrict__ packed, int cells_x, int cells_y) {
    const int cell_x = blockIdx.x * blockDim.x + threadIdx.x, half_y = blockIdx.y * blockDim.y + threadIdx.y;
    if (cell_x >= cells_x || half_y >= 2 * cells_y) return;
    const int left = 4 * cell_x - margin, top = 2 * half_y - margin, half = half_y % 2;
    const size_t area = (size_t)cells_x * cells_y;
    Out* to = packed + (size_t)(half_y / 2) * cells_x + cell_x;

    const int row = clamped(top / 2, (height + 1) / 2) * chroma_pitch;
    float add[2];  // to the luma of each sample of chroma
#pragma unroll
    for (int site = 0; site < 2; ++site) {
        const int at = row + clamped(left / 2 + site, (width + 1) / 2) * step;
        const float cb = load(u[at]) / UNIT<T> - zero, cr = load(v[at]) / UNIT<T> - zero;
        add[site] = y_u * cb + y_v * cr;
        Out* chroma = to + chroma_of(half, area) + site * area;
        store(chroma, u_u * cb + u_v * cr);
        store(chroma + 4 * area, v_u * cb + v_v * cr);
    }
#pragma unroll
    for (int j = 0; j < 2; ++j) {
        const int line = clamped(top + j, height) * pitch;
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            const float code = load(luma[line + clamped(left + i, width)]) / UNIT<T>;
            store(to + luma_of(half, area) + (4 * j + i) * area, y_y * (code - middle) + add[i / 2]);
        }
    }
}

template <class T>
struct alignas(4 * sizeof(T)) Four {
    T at[4];
};

// To the nearest code, halves upwards.
template <class T>
__device__ void store_code(T* to, float code, float least, float most) {
    store(to, floorf(fminf(fmaxf(code + 0.5f, least), most)) * UNIT<T>);
}

template <class T, class In>
__global__ void __launch_bounds__(THREADS)
unpack(const In* __restrict__ packed, int cells_x, int cells_y, int margin, float y_y, float y_u, float y_v, float u_u,
       float u_v, float v_u, float v_v, float middle, float zero, float least, float white, float top_chroma,
       T* __restrict__ luma, int pitch, T* __restrict__ u, T* __restrict__ v, int chroma_pitch, int step, int width,
       int height) {
    const int cell_x = blockIdx.x * blockDim.x + threadIdx.x, half_y = blockIdx.y * blockDim.y + threadIdx.y;
    if (cell_x >= cells_x || half_y >= 2 * cells_y) return;
    const int left = 4 * cell_x - margin, top = 2 * half_y - margin, half = half_y % 2;
    if (left < 0 || left >= width || top < 0 || top >= height) return;
    const size_t area = (size_t)cells_x * cells_y;
    const In* from = packed + (size_t)(half_y / 2) * cells_x + cell_x;

    float ys[8], add[2];  // everything is read before a branch holds it up
#pragma unroll
    for (int i = 0; i < 8; ++i) ys[i] = y_y * load(from[luma_of(half, area) + i * area]);
#pragma unroll
    for (int site = 0; site < 2; ++site) {
        const In* chroma = from + chroma_of(half, area) + site * area;
        const float cb = load(chroma[0]), cr = load(chroma[4 * area]);
        add[site] = middle + y_u * cb + y_v * cr;
        const int x = left / 2 + site;
        if (x >= (width + 1) / 2) continue;
        const int at = top / 2 * chroma_pitch + x * step;
        store_code(u + at, zero + u_u * cb + u_v * cr, least, top_chroma);
        store_code(v + at, zero + v_u * cb + v_v * cr, least, top_chroma);
    }
#pragma unroll
    for (int j = 0; j < 2; ++j) {
        if (top + j >= height) return;
        Four<T> four;
#pragma unroll
        for (int i = 0; i < 4; ++i) store_code(&four.at[i], add[i / 2] + ys[4 * j + i], least, white);
        T* to = luma + (top + j) * pitch + left;
        if (left + 4 <= width && (size_t)to % sizeof four == 0) {
            *reinterpret_cast<Four<T>*>(to) = four;
        } else {
#pragma unroll
            for (int i = 0; i < 4; ++i)
                if (left + i < width) to[i] = four.at[i];
        }
    }
}
