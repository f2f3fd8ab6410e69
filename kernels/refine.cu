// Variational refinement of a flow (Brox et al., ECCV 2004, with the normalized terms of Zimmer et al., IJCV 2011):
// gray levels and gradients stay as they are, and the flow is smooth.  A round makes the energy quadratic about
// the flow and sweeps over the pixels like a chess board's, the red ones and then the black ones.
//
// A block keeps the flow of a region in shared memory.  Beyond what it writes the region reaches so far that what
// is missing outside cannot have come in yet, so the result is that of sweeps over the whole picture.  A level
// that one region holds needs no such margin, and as many rounds as are wanted are one launch.
// blockIdx.z is the direction, as in search.cu.

constexpr int THREADS = 1024, REGION_X = 64, REGION_Y = 32;  // a red and a black pixel for each thread
constexpr int SWEEPS = 3, MARGIN = 2 * SWEEPS + 1;       // a pixel a half-sweep, and one for the differences
constexpr float RADIUS2 = 0.96f;                         // square of the spectral radius, for over-relaxation
constexpr float SMOOTH = 10, GRAY = 2.5f, GRADIENT = 5;  // weights: half of alpha, delta and gamma of OpenCV's DIS
constexpr float ROUND = 1e-6f;  // square of the difference below which a robust term is a parabola
constexpr float NOISE = 0.01f;  // square of the slope below which a normalized term says little
constexpr float TINY = 1e-6f;   // keeps the only pixel of a picture without slope where it is

// What the pictures want of the motion of a pixel: (xx xy; xy yy) motion = (x; y).
struct Linear {
    float xx, xy, yy, x, y;
};

class Pictures {  // of one direction
public:
    const int width, height;

    __device__ Pictures(const float* gray, const float2* gradient, int wide, int high)
        : width(wide),
          height(high),
          template_(gray + (1 - blockIdx.z) * (size_t)wide * high),
          target_(gray + blockIdx.z * (size_t)wide * high),
          slope_(gradient + (1 - blockIdx.z) * (size_t)wide * high),
          there_(gradient + blockIdx.z * (size_t)wide * high) {}

    // About a motion; nothing is wanted where it leads outside.
    __device__ Linear linearized(int x, int y, float2 motion) const {
        const float to_x = x + motion.x, to_y = y + motion.y;
        if (!(to_x >= 0 && to_y >= 0 && to_x <= width - 1 && to_y <= height - 1)) return {};
        const Taps<BILINEAR> across(to_x, width), down(to_y, height);
        const float2 slope = slope_at(x, y), moved = sample(there_, width, across, down);
        const float change = sample(target_, width, across, down) - template_[(size_t)y * width + x];
        const float2 turn = make_float2(moved.x - slope.x, moved.y - slope.y);
        const float gx = 0.5f * (moved.x + slope.x), gy = 0.5f * (moved.y + slope.y);
        const float2 right = slope_at(x + 1, y), left = slope_at(x - 1, y);
        const float xx = 0.5f * (right.x - left.x), xy = 0.5f * (right.y - left.y);
        const float yy = 0.5f * (slope_at(x, y + 1).y - slope_at(x, y - 1).y);

        float gray = 1 / (gx * gx + gy * gy + NOISE);
        gray *= GRAY * rsqrtf(gray * change * change + ROUND);
        float bent_x = 1 / (xx * xx + xy * xy + NOISE), bent_y = 1 / (xy * xy + yy * yy + NOISE);
        const float bent = GRADIENT * rsqrtf(bent_x * turn.x * turn.x + bent_y * turn.y * turn.y + ROUND);
        bent_x *= bent;
        bent_y *= bent;

        Linear wanted;
        wanted.xx = gray * gx * gx + bent_x * xx * xx + bent_y * xy * xy;
        wanted.xy = gray * gx * gy + bent_x * xx * xy + bent_y * xy * yy;
        wanted.yy = gray * gy * gy + bent_x * xy * xy + bent_y * yy * yy;
        wanted.x = wanted.xx * motion.x + wanted.xy * motion.y -
                   (gray * gx * change + bent_x * xx * turn.x + bent_y * xy * turn.y);
        wanted.y = wanted.xy * motion.x + wanted.yy * motion.y -
                   (gray * gy * change + bent_x * xy * turn.x + bent_y * yy * turn.y);
        return wanted;
    }

private:
    __device__ float2 slope_at(int x, int y) const {
        return slope_[(size_t)clamped(y, height) * width + clamped(x, width)];
    }

    const float *template_, *target_;
    const float2 *slope_, *there_;
};

// What the sweeps need of a pixel's equations, besides its ties to the neighbors.
struct Pixel {
    float xy, x, y, by_x, by_y;
};

__global__ void __launch_bounds__(THREADS)
refine(const float* __restrict__ gray, const float2* __restrict__ gradient, int width, int height,
       const float2* __restrict__ flow, int rounds, float2* __restrict__ better) {
    __shared__ float2 motion[REGION_Y][REGION_X];
    __shared__ float2 ties[REGION_Y][REGION_X];  // how strongly a pixel is held by its right and its lower neighbor
    const Pictures pictures(gray, gradient, width, height);
    const int margin = width <= REGION_X && height <= REGION_Y ? 0 : MARGIN;
    // The region's first pixel in the picture, and the last one of it that is inside.
    const int origin_x = blockIdx.x * (REGION_X - 2 * margin) - margin;
    const int origin_y = blockIdx.y * (REGION_Y - 2 * margin) - margin;
    const int last_column = min(REGION_X, width - origin_x) - 1, last_row = min(REGION_Y, height - origin_y) - 1;
    // This thread's pixels: a column, and two rows.
    const int column = threadIdx.x, x = origin_x + column;
    const int red = 2 * threadIdx.y + ((x + origin_y) & 1), black = red ^ 1;
    const int rows[] = {red, black};
    flow += (size_t)blockIdx.z * width * height;
    better += (size_t)blockIdx.z * width * height;
    const auto inside = [&](int row) {
        return x >= 0 && column <= last_column && origin_y + row >= 0 && row <= last_row;
    };
    // Past the border the motion goes on; past the region it is not known, and the margin is wide enough for that.
    const auto evenness = [&](int row, int at) {
        const float2 here = motion[row][at];
        const float2 right = motion[row][min(at + 1, last_column)], lower = motion[min(row + 1, last_row)][at];
        const float ux = right.x - here.x, vx = right.y - here.y, uy = lower.x - here.x, vy = lower.y - here.y;
        return 0.5f * SMOOTH * rsqrtf((ux * ux + vx * vx) + (uy * uy + vy * vy) + ROUND);
    };
    const auto tied = [&](int row) {
        float2 tie = make_float2(0, 0);
        if (!inside(row)) return tie;
        const float here = evenness(row, column);
        if (column < last_column) tie.x = here + evenness(row, column + 1);
        if (row < last_row) tie.y = here + evenness(row + 1, column);
        return tie;
    };
    const auto equations = [&](int row) -> Pixel {
        if (!inside(row)) return {};
        const Linear wanted = pictures.linearized(x, origin_y + row, motion[row][column]);
        const float left = column > 0 ? ties[row][column - 1].x : 0, upper = row > 0 ? ties[row - 1][column].y : 0;
        const float held = left + ties[row][column].x + upper + ties[row][column].y + TINY;
        return {wanted.xy, wanted.x, wanted.y, 1 / (wanted.xx + held), 1 / (wanted.yy + held)};
    };
    const auto relax = [&](int row, const Pixel& pixel, float relaxation) {
        if (!inside(row)) return;
        float2 here = motion[row][column], pull = make_float2(0, 0);
        const auto pulled = [&](float tie, float2 there) {
            pull.x += tie * there.x;
            pull.y += tie * there.y;
        };
        if (column > 0) pulled(ties[row][column - 1].x, motion[row][column - 1]);
        if (column < last_column) pulled(ties[row][column].x, motion[row][column + 1]);
        if (row > 0) pulled(ties[row - 1][column].y, motion[row - 1][column]);
        if (row < last_row) pulled(ties[row][column].y, motion[row + 1][column]);
        here.x += relaxation * ((pixel.x - pixel.xy * here.y + pull.x) * pixel.by_x - here.x);
        here.y += relaxation * ((pixel.y - pixel.xy * here.x + pull.y) * pixel.by_y - here.y);
        motion[row][column] = here;
    };

    for (const int row : rows)
        motion[row][column] = inside(row) ? flow[(size_t)(origin_y + row) * width + x] : make_float2(0, 0);
    for (int round = 0; round < rounds; ++round) {
        __syncthreads();
        ties[red][column] = tied(red);
        ties[black][column] = tied(black);
        __syncthreads();
        Pixel of_red, of_black = {};
#pragma unroll 1  // one after the other: there are no registers for what both load
        for (const int row : rows) {
            of_red = of_black;
            of_black = equations(row);
        }
        // What this is linear about was read by its own thread alone, so the sweeps may begin: over-relaxed by
        // Chebyshev's rule (Golub and Varga, 1961), which begins with none, or a noisy flow would be thrown about.
        float relaxation = 1, share = 0.5f;
#pragma unroll
        for (int half_sweep = 0; half_sweep < 2 * SWEEPS; ++half_sweep) {
            if (half_sweep % 2 == 0) {
                relax(red, of_red, relaxation);
            } else {
                relax(black, of_black, relaxation);
            }
            __syncthreads();
            relaxation = 1 / (1 - RADIUS2 * share);
            share = 0.25f * relaxation;
        }
    }
    if (column < margin || column >= REGION_X - margin) return;
    for (const int row : rows) {
        if (row < margin || row >= REGION_Y - margin || !inside(row)) continue;
        better[(size_t)(origin_y + row) * width + x] = motion[row][column];
    }
}
