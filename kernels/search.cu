// Inverse search of patches and their densification (Kroeger et al., ECCV 2016), with no order among patches.
//
// Eight lanes share a patch, a row of it each, so sums over the patch are three shuffles.  A patch is compared by
// the variance of its difference, so that light which changes evenly does not count.  blockIdx.z is the direction:
// 0 looks for the current picture in the previous one, 1 the other way round.

constexpr int THREADS = 128;
constexpr int PATCH = 8, STRIDE = 4, DESCENTS = 4;
constexpr int WIDE = 5, WIDE_STEP = 3;  // the square of motions that the smallest level is searched through
constexpr float MARGIN = 0.5f * PATCH * PATCH;  // by which a candidate must cost less: half a squared gray level each
constexpr float FLAT = 1e-6f;  // least determinant of a Hessian that has an inverse, as a share of its trace squared

__device__ inline int patches_along(int side) { return (max(side - PATCH, 0) + STRIDE - 1) / STRIDE + 1; }

// The first pixel of a patch; the last patch ends with the picture.
__device__ inline int origin(int index, int side) { return min(index * STRIDE, max(side - PATCH, 0)); }

__device__ inline float mixed(float a, float b, float t) { return a + t * (b - a); }

__device__ inline float sum_of_lanes(float value) {
#pragma unroll
    for (int by = PATCH / 2; by > 0; by /= 2) value += __shfl_xor_sync(0xffffffffu, value, by);
    return value;
}

struct Trial {
    float2 motion;
    float cost;
    float2 step;  // of Gauss and Newton: the next motion is `motion - step`
};

// What a lane knows of its patch.  All lanes of the warp must call its functions together.
class Patch {
public:
    int column, row;  // in the grid of patches
    int x, y;         // first pixel
    bool writes;      // one lane does; none where there are more threads than patches need

    __device__ Patch(const float* gray, const float2* gradient, int width, int height)
        : target_(gray + (size_t)blockIdx.z * width * height), width_(width), height_(height) {
        const int columns = patches_along(width), count = columns * patches_along(height);
        const int index = (blockIdx.x * THREADS + threadIdx.x) / PATCH;
        writes = threadIdx.x % PATCH == 0 && index < count;
        column = min(index, count - 1) % columns;
        row = min(index, count - 1) / columns;
        x = origin(column, width);
        y = origin(row, height);
        line_ = y + threadIdx.x % PATCH;
        const size_t line = ((size_t)(1 - blockIdx.z) * height + min(line_, height - 1)) * width;
        float sum_x = 0, sum_y = 0;
#pragma unroll
        for (int i = 0; i < PATCH; ++i) {
            const size_t at = line + min(x + i, width - 1);
            template_[i] = gray[at];
            slope_[i] = gradient[at];
            sum_x += slope_[i].x;
            sum_y += slope_[i].y;
        }
        const float mean_x = sum_of_lanes(sum_x) / (PATCH * PATCH), mean_y = sum_of_lanes(sum_y) / (PATCH * PATCH);
        float xx = 0, xy = 0, yy = 0;
#pragma unroll
        for (int i = 0; i < PATCH; ++i) {
            slope_[i] = make_float2(slope_[i].x - mean_x, slope_[i].y - mean_y);
            xx += slope_[i].x * slope_[i].x;
            xy += slope_[i].x * slope_[i].y;
            yy += slope_[i].y * slope_[i].y;
        }
        xx = sum_of_lanes(xx), xy = sum_of_lanes(xy), yy = sum_of_lanes(yy);
        // A patch without texture, or with an edge alone, has no inverse and stays where it starts.
        const float determinant = xx * yy - xy * xy, trace = xx + yy;
        const float scale = determinant > FLAT * trace * trace ? 1 / determinant : 0;
        inverse_xx_ = scale * yy;
        inverse_xy_ = -scale * xy;
        inverse_yy_ = scale * xx;
    }

    __device__ Trial trial(float2 motion) const {
        // At least one pixel of the patch stays inside; and what is not a number must not become an index.
        motion.x = fminf(fmaxf(motion.x, 1.f - PATCH - x), width_ - 1.f - x);
        motion.y = fminf(fmaxf(motion.y, 1.f - PATCH - y), height_ - 1.f - y);
        const float whole_x = floorf(motion.x), whole_y = floorf(motion.y);
        const float tx = motion.x - whole_x, ty = motion.y - whole_y;
        const int left = x + (int)whole_x, top = line_ + (int)whole_y;
        const float* above = target_ + (size_t)clamped(top, height_) * width_;
        const float* below = target_ + (size_t)clamped(top + 1, height_) * width_;
        float sum = 0, square = 0, along_x = 0, along_y = 0;
        int at = clamped(left, width_);
        float before = mixed(above[at], below[at], ty);
#pragma unroll
        for (int i = 0; i < PATCH; ++i) {
            at = clamped(left + i + 1, width_);
            const float after = mixed(above[at], below[at], ty);
            const float difference = mixed(before, after, tx) - template_[i];
            sum += difference;
            square += difference * difference;
            along_x += difference * slope_[i].x;
            along_y += difference * slope_[i].y;
            before = after;
        }
        sum = sum_of_lanes(sum), square = sum_of_lanes(square);
        along_x = sum_of_lanes(along_x), along_y = sum_of_lanes(along_y);
        const float2 step = make_float2(inverse_xx_ * along_x + inverse_xy_ * along_y,
                                        inverse_xy_ * along_x + inverse_yy_ * along_y);
        return {motion, square - sum * sum / (PATCH * PATCH), step};
    }

    // The best of so many candidates, and from there downhill.  A candidate must be clearly better than the one
    // before, or noise would choose; a step that does not help is halved; none leads farther than a patch away.
    template <class Candidates>
    __device__ float2 descended(int count, Candidates candidate) const {
        Trial best = trial(candidate(0));
        for (int k = 1; k < count; ++k) {
            const Trial next = trial(candidate(k));
            if (next.cost + MARGIN < best.cost) best = next;
        }
        const float2 start = best.motion;
        for (int k = 0; k < DESCENTS; ++k) {
            const Trial next = trial(make_float2(best.motion.x - best.step.x, best.motion.y - best.step.y));
            const float away_x = next.motion.x - start.x, away_y = next.motion.y - start.y;
            if (next.cost < best.cost && away_x * away_x + away_y * away_y <= PATCH * PATCH) {
                best = next;
            } else {
                best.step.x *= 0.5f;
                best.step.y *= 0.5f;
            }
        }
        return best.motion;
    }

private:
    const float* target_;
    const int width_, height_;
    int line_;  // of the template that is this lane's
    float template_[PATCH];
    float2 slope_[PATCH];  // less its mean over the patch
    float inverse_xx_, inverse_xy_, inverse_yy_;  // of the Hessian
};

__device__ inline size_t patch_at(int column, int row, int width, int height) {
    return ((size_t)blockIdx.z * patches_along(height) + row) * patches_along(width) + column;
}

// The first, then its left, right, upper and lower neighbor.
__device__ inline int neighbor_x(int k) { return (k == 2) - (k == 1); }
__device__ inline int neighbor_y(int k) { return (k == 4) - (k == 3); }

// The flow of another level, whose pixels are `scale` to one of this, at a point of this level, in its pixels.
// Points are counted from the picture's corner, so that they scale; pixels from the middle of the first.
__device__ inline float2 elsewhere(const float2* flow, int width, int height, float x, float y, float scale) {
    const Taps<BILINEAR> across(x * scale - 0.5f, width), down(y * scale - 0.5f, height);
    const float2 found = sample(flow + (size_t)blockIdx.z * width * height, width, across, down);
    return make_float2(found.x / scale, found.y / scale);
}

// ---- the kernels: where a patch begins ----

__global__ void __launch_bounds__(THREADS)
search_widely(const float* __restrict__ gray, const float2* __restrict__ gradient, int width, int height,
              float2* __restrict__ motion) {
    const Patch patch(gray, gradient, width, height);
    const float2 found = patch.descended(WIDE * WIDE, [](int k) {
        k = (k + WIDE * WIDE / 2) % (WIDE * WIDE);  // rest first
        return make_float2(WIDE_STEP * (k % WIDE - WIDE / 2), WIDE_STEP * (k / WIDE - WIDE / 2));
    });
    if (patch.writes) motion[patch_at(patch.column, patch.row, width, height)] = found;
}

// With what the smaller level found in the middle of the patch and a patch to each side, and, if `scale` is not 0,
// what the last flow says in its middle, `scale` of whose pixels make one of this level.
__global__ void __launch_bounds__(THREADS)
search(const float* __restrict__ gray, const float2* __restrict__ gradient, int width, int height,
       const float2* __restrict__ coarse, int coarse_width, int coarse_height, const float2* __restrict__ last,
       int last_width, int last_height, int scale, float2* __restrict__ motion) {
    const Patch patch(gray, gradient, width, height);
    const float x = patch.x + 0.5f * PATCH, y = patch.y + 0.5f * PATCH;
    const float2 found = patch.descended(scale == 0 ? 5 : 6, [&](int k) {
        if (k == 5) return elsewhere(last, last_width, last_height, x, y, scale);
        const float to_x = x + PATCH * neighbor_x(k), to_y = y + PATCH * neighbor_y(k);
        return elsewhere(coarse, coarse_width, coarse_height, to_x, to_y, 0.5f);
    });
    if (patch.writes) motion[patch_at(patch.column, patch.row, width, height)] = found;
}

// With what it has found, and what its four neighbors have.
__global__ void __launch_bounds__(THREADS)
propagate(const float* __restrict__ gray, const float2* __restrict__ gradient, int width, int height,
          const float2* __restrict__ motion, float2* __restrict__ better) {
    const Patch patch(gray, gradient, width, height);
    const float2 found = patch.descended(5, [&](int k) {
        const int column = clamped(patch.column + neighbor_x(k), patches_along(width));
        const int row = clamped(patch.row + neighbor_y(k), patches_along(height));
        return motion[patch_at(column, row, width, height)];
    });
    if (patch.writes) better[patch_at(patch.column, patch.row, width, height)] = found;
}

// ---- from patches to pixels ----

// The patches that cover a pixel, from the first to the last.
__device__ inline int first_over(int at) { return max(at - PATCH + STRIDE, 0) / STRIDE; }
__device__ inline int last_over(int at, int side) {
    return at >= side - PATCH ? patches_along(side) - 1 : at / STRIDE;
}

// Their mean, each weighted by how well it matches at this pixel.
__global__ void __launch_bounds__(THREADS)
densify(const float* __restrict__ gray, int width, int height, const float2* __restrict__ motion,
        float2* __restrict__ flow) {
    const int x = blockIdx.x * blockDim.x + threadIdx.x, y = blockIdx.y * blockDim.y + threadIdx.y;
    if (x >= width || y >= height) return;
    const size_t area = (size_t)width * height, at = (size_t)y * width + x;
    const float* target = gray + blockIdx.z * area;
    const float own = gray[(1 - blockIdx.z) * area + at];
    float total = 0;
    float2 sum = make_float2(0, 0);
    for (int row = first_over(y); row <= last_over(y, height); ++row) {
        for (int column = first_over(x); column <= last_over(x, width); ++column) {
            const float2 moved = motion[patch_at(column, row, width, height)];
            const Taps<BILINEAR> across(x + moved.x, width), down(y + moved.y, height);
            const float weight = 1 / fmaxf(1.f, fabsf(sample(target, width, across, down) - own));
            total += weight;
            sum.x += weight * moved.x;
            sum.y += weight * moved.y;
        }
    }
    flow[blockIdx.z * area + at] = make_float2(sum.x / total, sum.y / total);
}
