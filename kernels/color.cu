// Luma and chroma to RGB and back, with the equations of ITU-T H.273.  Chroma has half the size; its sample (i, j)
// lies at the pixel (2i + site_x, 2j + site_y).  Interleaved planes of chroma are two planes with a step of 2.

constexpr int THREADS = 256;

template <class T>
constexpr float LARGEST = sizeof(T) == 1 ? 255.f : 1023.f;

// ---- to RGB ----

struct Decoding {
    float luma, r_v, g_u, g_v, b_u, black, zero;
};

struct Rgb {
    float r, g, b;
};

// Gray is exact: without chroma all three are the same product.
__device__ inline Rgb decoded(const Decoding& by, float y, float u, float v) {
    y = by.luma * (y - by.black);
    u -= by.zero;
    v -= by.zero;
    return {__saturatef(y + by.r_v * v), __saturatef(y + (by.g_u * u + by.g_v * v)), __saturatef(y + by.b_u * u)};
}

// Along one axis of the picture: the two pixels of a cell, and the samples of chroma that they lie between.
struct Axis {
    int pixel[2];
    int sample[3];   // the first pixel's neighbor, the cell's own, the second pixel's neighbor
    float share[2];  // of the neighbors

    // `first` is even.  A pixel outside is the one at the edge.
    __device__ Axis(int first, int size, float site) {
        sample[1] = clamped(first, size) / 2;
#pragma unroll
        for (int i = 0; i < 2; ++i) {
            pixel[i] = clamped(first + i, size);
            const bool behind = pixel[i] > 2 * sample[1];
            sample[2 * i] = clamped(sample[1] + (behind ? 1 : -1), (size + 1) / 2);
            share[i] = behind ? (1 - site) / 2 : site / 2;
        }
    }
};

__device__ inline float mixed(float a, float b, float t) { return a + t * (b - a); }

template <class Out>
struct alignas(2 * sizeof(Out)) Pair {
    Out first, second;
};

// Two neighbors of a row, in one piece if all rows are aligned for it; else the second one may lie outside.
template <class Out>
__device__ void store_pair(Out* to, float first, float second, bool aligned, bool both) {
    Pair<Out> pair;
    store(&pair.first, first);
    store(&pair.second, second);
    if (aligned) {
        *reinterpret_cast<Pair<Out>*>(to) = pair;
    } else {
        to[0] = pair.first;
        if (both) to[1] = pair.second;
    }
}

// At its own size.  One thread a cell, which is 2x2 pixels and their sample of chroma; the eight samples around it
// are read as well.  The margin is even, so cells of the result are cells of the picture.
template <class T, class Out>
__global__ void __launch_bounds__(THREADS)
to_rgb(const T* __restrict__ luma, int pitch, const T* __restrict__ u, const T* __restrict__ v, int chroma_pitch,
       int step, int width, int height, float site_x, float site_y, float luma_scale, float r_v, float g_u, float g_v,
       float b_u, float black, float zero, int margin, Out* __restrict__ out, int out_width, int out_height) {
    const int out_x = 2 * (blockIdx.x * blockDim.x + threadIdx.x), out_y = 2 * (blockIdx.y * blockDim.y + threadIdx.y);
    if (out_x >= out_width || out_y >= out_height) return;
    const Decoding by = {luma_scale, r_v, g_u, g_v, b_u, black, zero};
    const Axis across(out_x - margin, width, site_x), down(out_y - margin, height, site_y);
    float ys[2][2], us[3][3], vs[3][3];
#pragma unroll
    for (int j = 0; j < 2; ++j) {
#pragma unroll
        for (int i = 0; i < 2; ++i) ys[j][i] = load(luma[down.pixel[j] * pitch + across.pixel[i]]) / UNIT<T>;
    }
#pragma unroll
    for (int j = 0; j < 3; ++j) {
#pragma unroll
        for (int i = 0; i < 3; ++i) {
            const int at = down.sample[j] * chroma_pitch + across.sample[i] * step;
            us[j][i] = load(u[at]) / UNIT<T>;
            vs[j][i] = load(v[at]) / UNIT<T>;
        }
    }
    const size_t area = (size_t)out_width * out_height;
    const bool aligned = out_width % 2 == 0 && (size_t)out % sizeof(Pair<Out>) == 0;
#pragma unroll
    for (int j = 0; j < 2; ++j) {
        if (out_y + j >= out_height) return;
        float u_line[3], v_line[3];
#pragma unroll
        for (int i = 0; i < 3; ++i) {
            u_line[i] = mixed(us[1][i], us[2 * j][i], down.share[j]);
            v_line[i] = mixed(vs[1][i], vs[2 * j][i], down.share[j]);
        }
        Rgb rgb[2];
#pragma unroll
        for (int i = 0; i < 2; ++i)
            rgb[i] = decoded(by, ys[j][i], mixed(u_line[1], u_line[2 * i], across.share[i]),
                             mixed(v_line[1], v_line[2 * i], across.share[i]));
        const bool both = out_x + 1 < out_width;
        Out* to = out + (size_t)(out_y + j) * out_width + out_x;
        store_pair(to, rgb[0].r, rgb[1].r, aligned, both);
        store_pair(to + area, rgb[0].g, rgb[1].g, aligned, both);
        store_pair(to + 2 * area, rgb[0].b, rgb[1].b, aligned, both);
    }
}

// At another size, `width_shown` x `height_shown`.  One thread a pixel: the mean of samples_x x samples_y bilinear
// samples, which lie evenly in the pixel's area.
template <class T, class Out>
__global__ void __launch_bounds__(THREADS)
to_rgb_resized(const T* __restrict__ luma, int pitch, const T* __restrict__ u, const T* __restrict__ v,
               int chroma_pitch, int step, int width, int height, float site_x, float site_y, float luma_scale,
               float r_v, float g_u, float g_v, float b_u, float black, float zero, int margin, int width_shown,
               int height_shown, int samples_x, int samples_y, Out* __restrict__ out, int out_width, int out_height) {
    const int out_x = blockIdx.x * blockDim.x + threadIdx.x, out_y = blockIdx.y * blockDim.y + threadIdx.y;
    if (out_x >= out_width || out_y >= out_height) return;
    const float scale_x = (float)width / width_shown, scale_y = (float)height / height_shown;
    const int left = clamped(out_x - margin, width_shown), top = clamped(out_y - margin, height_shown);
    float sum_y = 0, sum_u = 0, sum_v = 0;
    for (int j = 0; j < samples_y; ++j) {
        const float y = (top + (j + 0.5f) / samples_y) * scale_y - 0.5f;
        const Taps<BILINEAR> down(y, height), chroma_down((y - site_y) / 2, (height + 1) / 2);
        for (int i = 0; i < samples_x; ++i) {
            const float x = (left + (i + 0.5f) / samples_x) * scale_x - 0.5f;
            Taps<BILINEAR> chroma_across((x - site_x) / 2, (width + 1) / 2);
            chroma_across.at[0] *= step;
            chroma_across.at[1] *= step;
            sum_y += sample(luma, pitch, Taps<BILINEAR>(x, width), down);
            sum_u += sample(u, chroma_pitch, chroma_across, chroma_down);
            sum_v += sample(v, chroma_pitch, chroma_across, chroma_down);
        }
    }
    const float mean = 1 / (UNIT<T> * samples_x * samples_y);
    const Rgb rgb = decoded({luma_scale, r_v, g_u, g_v, b_u, black, zero}, mean * sum_y, mean * sum_u, mean * sum_v);
    const size_t area = (size_t)out_width * out_height;
    Out* to = out + (size_t)out_y * out_width + out_x;
    store(to, rgb.r);
    store(to + area, rgb.g);
    store(to + 2 * area, rgb.b);
}

// ---- from RGB ----

struct Row {
    float r, g, b, offset;
};

// The colors are clamped, so codes are in the legal range but for the half by which chroma of full range is above it.
template <class T>
__device__ void store_code(T* to, const Row& row, const Rgb& rgb) {
    const float code = rintf(row.offset + (row.r * rgb.r + row.g * rgb.g + row.b * rgb.b));
    store(to, fminf(code, LARGEST<T>) * UNIT<T>);
}

// One thread a cell: four pixels of luma, a sample of chroma.
template <class T, class In>
__global__ void __launch_bounds__(THREADS)
from_rgb(const In* __restrict__ rgb, int plane_pitch, int row_pitch, int width, int height, float site_x,
         float site_y, float y_r, float y_g, float y_b, float u_r, float u_g, float u_b, float v_r, float v_g,
         float v_b, float black, float zero, T* __restrict__ luma, int pitch, T* __restrict__ u, T* __restrict__ v,
         int chroma_pitch, int step) {
    const int cell_x = blockIdx.x * blockDim.x + threadIdx.x, cell_y = blockIdx.y * blockDim.y + threadIdx.y;
    if (2 * cell_x >= width || 2 * cell_y >= height) return;
    const float across[3] = {0.25f - site_x / 2, 0.5f, 0.25f + site_x / 2};
    const float down[3] = {0.25f - site_y / 2, 0.5f, 0.25f + site_y / 2};
    const In *red = rgb, *green = red + plane_pitch, *blue = green + plane_pitch;
    Rgb mean = {0, 0, 0};
#pragma unroll
    for (int j = 0; j < 3; ++j) {
        if (down[j] == 0) continue;
        const int y = 2 * cell_y + j - 1;
        const int row = clamped(y, height) * row_pitch;
#pragma unroll
        for (int i = 0; i < 3; ++i) {
            if (across[i] == 0) continue;
            const int x = 2 * cell_x + i - 1;
            const int at = row + clamped(x, width);
            const Rgb color = {__saturatef(load(red[at])), __saturatef(load(green[at])), __saturatef(load(blue[at]))};
            const float weight = down[j] * across[i];
            mean = {mean.r + weight * color.r, mean.g + weight * color.g, mean.b + weight * color.b};
            if (i > 0 && j > 0 && x < width && y < height)
                store_code(luma + y * pitch + x, {y_r, y_g, y_b, black}, color);
        }
    }
    const int at = cell_y * chroma_pitch + cell_x * step;
    store_code(u + at, {u_r, u_g, u_b, zero}, mean);
    store_code(v + at, {v_r, v_g, v_b, zero}, mean);
}
