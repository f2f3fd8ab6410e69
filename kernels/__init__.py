"""The ops of the engine.  `reference` holds each in NumPy and OpenCV; the CUDA twins stand beside it."""
