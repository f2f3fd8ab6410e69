"""Colors through a cube of colors, a 3D look-up table, on the device."""

from allaprima.kernels.cuda import TYPES, Array, Module, Stream, blocks, check, check_planes, floats, ints, output

BLOCK = (256,)
DTYPES = ("float16", "float32", "uint8")

MODULE = Module("lut3d", tuple(f"lut3d<{TYPES[dtype]}>" for dtype in DTYPES))


def lut3d(rgb: Array, cube: Array, strength: float = 1.0, *, out: Array | None = None, stream: Stream = None) -> Array:
    """Planar RGB ``(3, H, W)`` through ``cube`` ``(N, N, N, 3)`` float32, N at least 2.

    ``cube[r, g, b]`` is the RGB that the color ``(r, g, b) / (N - 1)`` becomes; between, interpolation is
    tetrahedral.  A ``.cube`` file lists red fastest: ``rows.reshape(N, N, N, 3).transpose(2, 1, 0, 3)``, made
    contiguous.  ``strength`` 0..1 mixes with the color as it was.

    ``rgb`` is float16 or float32 in 0..1, clamped (NaN counts as 0), or uint8; the result has its shape and dtype
    and must not overlap it.  Raises TypeError and ValueError for arrays that do not fit.
    """
    check("rgb", rgb, (3, None, None), *DTYPES)
    _, height, width = check_planes("rgb", rgb, *DTYPES)
    check("cube", cube, (None, None, None, 3), "float32")
    size = cube.shape[0]
    check("cube", cube, (size, size, size, 3), "float32")
    if size == 1:
        raise ValueError("cube must have at least 2 colors along each side")
    out = output(out, rgb.shape, rgb.dtype, stream)
    MODULE.launch(
        f"lut3d<{TYPES[rgb.dtype.name]}>",
        blocks((height * width,), BLOCK),
        BLOCK,
        (rgb, *ints(height * width), cube, *ints(size), *floats(strength), out),
        stream,
    )
    return out
