// The weighted sum of the filters of several styles.  One thread a filter, next to its neighbors' in every bank.

constexpr int THREADS = 256;

// A bank of weight 0 is not read: its memory may hold anything, so a graph can be captured with room for styles to come.
template <class T, class R>
__global__ void __launch_bounds__(THREADS)
mix(const T* __restrict__ banks, const float* __restrict__ weights, int styles, int filters, R* __restrict__ out) {
    const int filter = blockIdx.x * blockDim.x + threadIdx.x;
    if (filter >= filters) return;
    float sum = 0;
    for (int style = 0; style < styles; ++style) {
        const float weight = weights[style];
        if (weight != 0) sum += weight * load(banks[(size_t)style * filters + filter]);
    }
    store(out + filter, sum);
}
