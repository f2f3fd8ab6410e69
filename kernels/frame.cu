// A frame on its way into the engine and out of it: codes of the stream on one side, on the other the engine's own
// picture, which is padded and planar and has bytes.

constexpr int THREADS = 256;

// A code of the stream in units of 8 bits.
template <class T>
__device__ inline float eight(T code) {
    return load(code) / (UNIT<T> * (sizeof(T) == 1 ? 1.f : 4.f));
}

// a + t (b - a) as OpenCV rounds it: ties to even.
__device__ inline float mixed(float a, float b, float t) { return rintf(fminf(fmaxf(a + t * (b - a), 0.f), 255.f)); }

// The mean over factor x factor pixels of padded luma.  Of four a half is rounded upwards, of sixteen to even: so does
// OpenCV, and the flow of both engines begins with the same bytes.
template <class T>
__global__ void __launch_bounds__(THREADS)
gray(const T* __restrict__ luma, int pitch, int width, int height, int margin, int factor,
     unsigned char* __restrict__ small, int small_width, int small_height) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= small_width || y >= small_height) return;
    const int left = x * factor - margin, top = y * factor - margin;
    float sum = 0;
    for (int j = 0; j < factor; ++j) {
        const T* row = luma + (size_t)clamped(top + j, height) * pitch;
        for (int i = 0; i < factor; ++i) sum += eight(row[clamped(left + i, width)]);
    }
    const float mean = sum / (factor * factor);
    store(small + (size_t)y * small_width + x, factor == 2 ? floorf(mean + 0.5f) : mean);
}

// Give an even picture back what it was before it was painted.  `figures` are the meter's of the small picture; a
// thread has 2x2 pixels and their sample of chroma.
template <class T>
__global__ void __launch_bounds__(THREADS)
temper(const T* __restrict__ luma, int pitch, const T* __restrict__ u, const T* __restrict__ v, int chroma_pitch,
       int step, int width, int height, int margin, const float* __restrict__ figures, float even,
       unsigned char* __restrict__ painted, unsigned char* __restrict__ chroma, int half_width, int half_height) {
    const float share = fminf(fmaxf((sqrtf(figures[3]) - even) / even, 0.f), 1.f);
    if (share == 1) return;  // as nearly always
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= half_width || y >= half_height) return;
    const size_t area = (size_t)half_width * half_height, at = (size_t)y * half_width + x;
    const int from_x = clamped(x - margin / 2, (width + 1) / 2), from_y = clamped(y - margin / 2, (height + 1) / 2);
    const size_t from = (size_t)from_y * chroma_pitch + (size_t)from_x * step;
    store(chroma + at, mixed(eight(u[from]), load(chroma[at]), share));
    store(chroma + area + at, mixed(eight(v[from]), load(chroma[area + at]), share));
#pragma unroll
    for (int j = 0; j < 2; ++j) {
        const T* row = luma + (size_t)clamped(2 * y + j - margin, height) * pitch;
        unsigned char* to = painted + (size_t)(2 * y + j) * 2 * half_width + 2 * x;
#pragma unroll
        for (int i = 0; i < 2; ++i)
            store(to + i, mixed(eight(row[clamped(2 * x + i - margin, width)]), load(to[i]), share));
    }
}

// What is seen of a pixel: of the engine's picture where the mask is 0, and as large a share of it as is wanted.
__device__ inline float seen(float ours, float given, float mask, float share) {
    return mixed(given, mixed(ours, given, mask), share);
}

// Cut the margin off and lay the picture into a surface.  A thread has 2x2 pixels and their sample of chroma.
template <class T>
__global__ void __launch_bounds__(THREADS)
present(const unsigned char* __restrict__ shown, const unsigned char* __restrict__ chroma, int half_width,
        int half_height, int margin, const T* __restrict__ luma, int pitch, const T* __restrict__ u,
        const T* __restrict__ v, int chroma_pitch, int step, int width, int height, const float* __restrict__ mask,
        int masked, const float* __restrict__ shares, unsigned char* __restrict__ out, int out_pitch,
        unsigned char* __restrict__ out_u, unsigned char* __restrict__ out_v, int out_chroma_pitch, int out_step) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (2 * x >= width || 2 * y >= height) return;
    const float share = *shares;
    const bool plain = share == 1 && !masked;
    const size_t area = (size_t)half_width * half_height;
    const size_t at = (size_t)(y + margin / 2) * half_width + x + margin / 2;
    float covered = 0;  // by the mask, of the four pixels
#pragma unroll
    for (int j = 0; j < 2; ++j) {
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            const int column = min(2 * x + i, width - 1), row = min(2 * y + j, height - 1);
            const float cover = masked ? mask[(size_t)row * width + column] : 0;
            covered += cover;
            if (2 * x + i >= width || 2 * y + j >= height) continue;
            float value = load(shown[(size_t)(row + margin) * 2 * half_width + column + margin]);
            if (!plain) value = seen(value, eight(luma[(size_t)row * pitch + column]), cover, share);
            store(out + (size_t)row * out_pitch + column, value);
        }
    }
    float cb = load(chroma[at]), cr = load(chroma[area + at]);
    if (!plain) {
        const size_t from = (size_t)y * chroma_pitch + (size_t)x * step;
        cb = seen(cb, eight(u[from]), covered / 4, share);
        cr = seen(cr, eight(v[from]), covered / 4, share);
    }
    const size_t to = (size_t)y * out_chroma_pitch + (size_t)x * out_step;
    store(out_u + to, cb);
    store(out_v + to, cr);
}
