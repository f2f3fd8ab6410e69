// Colors through a cube of colors, by tetrahedral interpolation.  One thread a pixel.

constexpr int THREADS = 256;

// What is stored for full scale.
template <class T>
constexpr float FULL = sizeof(T) == 1 ? 255.f : 1.f;

// The cell of the cube that a color lies in is cut into six tetrahedra along its gray diagonal.  In each of them
// the way from the darkest corner to the lightest takes the axes in the order of the color's distances along them,
// the longest first, and the result is a mean of the four corners on that way.
template <class T>
__global__ void __launch_bounds__(THREADS)
lut3d(const T* __restrict__ rgb, int area, const float* __restrict__ cube, int size, float strength,
      T* __restrict__ out) {
    const int pixel = blockIdx.x * blockDim.x + threadIdx.x;
    if (pixel >= area) return;
    const int steps[3] = {3 * size * size, 3 * size, 3};
    float color[3], t[3];
    int darkest = 0;
#pragma unroll
    for (int c = 0; c < 3; ++c) {
        color[c] = __saturatef(load(rgb[c * (size_t)area + pixel]) / FULL<T>);  // NaN becomes 0
        const float at = color[c] * (size - 1);
        const int cell = min((int)at, size - 2);
        t[c] = at - cell;
        darkest += cell * steps[c];
    }
    // Where two distances are the same either axis may come first: the corner between them has no weight.
    const int first = t[0] >= t[1] ? (t[0] >= t[2] ? steps[0] : steps[2]) : (t[1] >= t[2] ? steps[1] : steps[2]);
    const int last = t[0] < t[1] ? (t[0] < t[2] ? steps[0] : steps[2]) : (t[1] < t[2] ? steps[1] : steps[2]);
    const int lightest = darkest + steps[0] + steps[1] + steps[2];
    const int corners[4] = {darkest, darkest + first, lightest - last, lightest};
    const float longest = fmaxf(fmaxf(t[0], t[1]), t[2]), shortest = fminf(fminf(t[0], t[1]), t[2]);
    const float middle = fmaxf(fminf(t[0], t[1]), fminf(fmaxf(t[0], t[1]), t[2]));
    const float weights[4] = {1 - longest, longest - middle, middle - shortest, shortest};
#pragma unroll
    for (int c = 0; c < 3; ++c) {
        float found = 0;
#pragma unroll
        for (int i = 0; i < 4; ++i) found += weights[i] * cube[corners[i] + c];
        store(out + c * (size_t)area + pixel, (color[c] + strength * (found - color[c])) * FULL<T>);
    }
}
