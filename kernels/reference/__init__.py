"""Each op in NumPy and OpenCV: the CPU backend's arithmetic and the oracle for the CUDA kernels.

Flow here is always *backward*: ``flow[y, x] = (dx, dy)`` in pixels of its own grid, and the point seen
at ``p`` in the current picture was at ``p + flow[p]`` in the previous one.  Backward flow is what a
warp needs: every pixel of the new picture asks where its history is.
"""
