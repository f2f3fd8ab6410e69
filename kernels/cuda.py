"""Load CUDA kernels and launch them: what the wrappers have in common.

Each op is a text ``NAME.cu`` of templates, compiled by CuPy (NVRTC) for the device at its first launch and kept
in CuPy's cache on disk.  CuPy is imported by the first call, so the wrappers can be imported without it.

Arrays are CuPy's, C-contiguous, on the current device.  Their memory may begin anywhere that the dtype allows.
"""

import importlib
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike

OPTIONS = ("--std=c++17",)
"""For NVRTC; CuPy adds the architecture, its include paths and ``-ftz=true``."""
TYPES = {"float16": "__half", "float32": "float", "uint8": "unsigned char", "uint16": "unsigned short"}
"""The C++ type of each dtype that planes may have."""

LARGEST_PLANE = 2**31 - 1
"""Elements of a plane: the kernels count them in an int."""


class Array(Protocol):
    """A `cupy.ndarray`: what the wrappers use of it."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def flags(self) -> Any: ...
    @property
    def device(self) -> Any: ...


Stream = Any
"""A `cupy.cuda.Stream`, or None for the current one."""


@dataclass(frozen=True)
class Module:
    """The kernels in ``NAME.cu``: ``expressions`` are the instantiations there are, as ``warp<float, BICUBIC>``."""

    name: str
    expressions: tuple[str, ...]

    def source(self) -> str:
        """The text that is compiled.  Nothing is included: CuPy's cache does not look into included files."""
        here = files("allaprima.kernels")
        parts = (f'#line 1 "{name}"\n{(here / name).read_text("utf-8")}' for name in ("prelude.cuh", f"{self.name}.cu"))
        return "".join(parts)

    def launch(
        self,
        expression: str,
        grid: tuple[int, ...],
        block: tuple[int, ...],
        args: tuple[Any, ...],
        stream: Stream = None,
        shared: int = 0,
    ) -> None:
        """Run one kernel.  Scalars in ``args`` must be NumPy's: a Python int would go as 64 bits.

        ``grid`` is in blocks, ``block`` in threads, both as ``(x, y, z)`` or shorter; ``shared`` are bytes of
        dynamic shared memory for each block.
        """
        kernel = _kernel(self, expression)
        with _on(stream):
            kernel(grid, block, args, shared_mem=shared)


def cupy() -> Any:
    """The module CuPy; an ImportError says how to get it."""
    try:
        return importlib.import_module("cupy")
    except ImportError as error:
        hint = "install allaprima[cuda] (CUDA 13) or allaprima[cuda12]"
        raise ImportError(f"the CUDA kernels need CuPy, which cannot be imported ({error}): {hint}") from error


def _on(stream: Stream) -> AbstractContextManager[Any]:
    return nullcontext() if stream is None else stream


@cache
def _raw_module(module: Module) -> Any:
    return cupy().RawModule(code=module.source(), options=OPTIONS, name_expressions=module.expressions)


@cache
def _kernel(module: Module, expression: str) -> Any:
    """Compiled once for each device, which CuPy sees to."""
    return _raw_module(module).get_function(expression)


def blocks(size: tuple[int, ...], block: tuple[int, ...]) -> tuple[int, ...]:
    """How many blocks cover ``size``, both as ``(x, y)`` or ``(x, y, z)``."""
    return tuple(-(-length // threads) for length, threads in zip(size, block, strict=True))


def ints(*values: int) -> tuple[np.int32, ...]:
    """Arguments for parameters that are ``int``."""
    return tuple(np.int32(value) for value in values)


def floats(*values: float) -> tuple[np.float32, ...]:
    """Arguments for parameters that are ``float``."""
    return tuple(np.float32(value) for value in values)


def check(name: str, array: Array, shape: tuple[int | None, ...], *dtypes: DTypeLike) -> None:
    """Raise unless ``array`` is one that a kernel can take, of this shape (None: any length) and one of the dtypes."""
    if not isinstance(array, cupy().ndarray):
        raise TypeError(f"{name} must be a CuPy array, not {type(array).__name__}")
    if array.dtype not in [np.dtype(dtype) for dtype in dtypes]:
        wanted = " or ".join(np.dtype(dtype).name for dtype in dtypes)
        raise TypeError(f"{name} must be {wanted}, not {array.dtype}")
    fits = len(array.shape) == len(shape) and all(n in (None, m) for n, m in zip(shape, array.shape, strict=True))
    if not fits:
        wanted = ", ".join("any" if length is None else str(length) for length in shape)
        raise ValueError(f"{name} must have the shape ({wanted}), not {array.shape}")
    if 0 in array.shape:
        raise ValueError(f"{name} is empty: {array.shape}")
    if not array.flags.c_contiguous:
        raise ValueError(f"{name} must be C-contiguous")
    current = cupy().cuda.runtime.getDevice()
    if array.device.id != current:
        raise ValueError(f"{name} is on device {array.device.id}, but device {current} is the current one")


def check_planes(name: str, array: Array, *dtypes: DTypeLike) -> tuple[int, int, int]:
    """`check` for ``(H, W)`` or ``(C, H, W)``; gives ``(C, H, W)``."""
    ndim = len(getattr(array, "shape", ()))
    if ndim not in (2, 3):
        check(name, array, (None, None, None), *dtypes)  # says what is wrong
    check(name, array, (None,) * ndim, *dtypes)
    channels, height, width = (1, *array.shape)[-3:]
    if height * width > LARGEST_PLANE:
        raise ValueError(f"{name} has planes of {height * width} elements, more than {LARGEST_PLANE}")
    return channels, height, width


def output(out: Array | None, shape: tuple[int, ...], dtype: DTypeLike, stream: Stream) -> Array:
    """``out``, checked, or a new array of the stream's where it is None."""
    if out is None:
        with _on(stream):
            return cupy().empty(shape, dtype)  # type: ignore[no-any-return]
    check("out", out, shape, dtype)
    return out
