"""The part of CuPy that the wrappers use, on the emulator.

Strict where the real one is: no conversion to NumPy unasked, ints are 64 bits, kernels take its own arrays only.
Uninitialised memory is NaN, or 0xCD in integers.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from types import SimpleNamespace
from typing import Any, ClassVar, NamedTuple

import numpy as np

from .emulator import KernelFault, Library, Memory, Placement

_library = cache(Library)


class Launched(NamedTuple):
    """One launch of a kernel."""

    kernel: str
    grid: tuple[int, ...]
    block: tuple[int, ...]
    stream: Any


class FakeArray:
    """`cupy.ndarray`: an array in guarded memory."""

    def __init__(self, values: Any, memory: Memory) -> None:
        self._values = values
        self._memory = memory  # kept alive by every view
        self.device = SimpleNamespace(id=0)

    shape = property(lambda self: self._values.shape)
    dtype = property(lambda self: self._values.dtype)
    ndim = property(lambda self: self._values.ndim)
    size = property(lambda self: self._values.size)
    nbytes = property(lambda self: self._values.nbytes)
    itemsize = property(lambda self: self._values.itemsize)
    strides = property(lambda self: self._values.strides)
    flags = property(lambda self: self._values.flags)
    data = property(lambda self: SimpleNamespace(ptr=self._values.ctypes.data))

    def get(self) -> Any:
        return self._values.copy()

    def set(self, values: Any) -> None:
        assert (values.shape, values.dtype) == (self.shape, self.dtype)
        self._values[...] = values

    def fill(self, value: Any) -> None:
        self._values.fill(value)

    def view(self, dtype: Any) -> "FakeArray":
        return FakeArray(self._values.view(dtype), self._memory)

    def reshape(self, *shape: Any) -> "FakeArray":
        values = self._values.view()
        values.shape = shape[0] if isinstance(shape[0], tuple) else shape  # never a copy outside guarded memory
        return FakeArray(values, self._memory)

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, index: Any) -> "FakeArray":
        index = index if isinstance(index, tuple) else (index,)
        if not any(part is Ellipsis for part in index):
            index = (*index, ...)  # an element is an array, too
        return FakeArray(self._values[index], self._memory)

    def __setitem__(self, index: Any, value: Any) -> None:
        self._values[index] = value._values if isinstance(value, FakeArray) else value

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`.")


class FakeStream:
    """`cupy.cuda.Stream`: all work is done when the call returns, but it is known which one it went to."""

    current: ClassVar["list[FakeStream]"] = []

    def __init__(self, non_blocking: bool = False) -> None:
        self.ptr = id(self)

    def __enter__(self) -> "FakeStream":
        FakeStream.current.append(self)
        return self

    def __exit__(self, *error: object) -> None:
        FakeStream.current.pop()

    def synchronize(self) -> None:
        """Nothing is outstanding."""


class FakeCupy:
    """Stands for the module; ``launches`` says what ran, ``allocations`` how many arrays were made."""

    ndarray = FakeArray
    float16, float32, uint8, uint16, int32 = np.float16, np.float32, np.uint8, np.uint16, np.int32
    uint32, uint64, int64, float64 = np.uint32, np.uint64, np.int64, np.float64

    def __init__(self, placement: Placement) -> None:
        self.launches: list[Launched] = []
        self.allocations = 0
        self.placement = placement
        self.cuda = SimpleNamespace(
            Stream=FakeStream,
            Device=lambda *number: SimpleNamespace(id=0, synchronize=lambda: None),
            runtime=SimpleNamespace(getDevice=lambda: 0),
            get_current_stream=lambda: FakeStream.current[-1] if FakeStream.current else None,
        )

    @contextmanager
    def no_allocation(self) -> Iterator[None]:
        """Fails where an array is made."""
        before = self.allocations
        yield
        assert self.allocations == before, "memory was allocated"

    def empty(self, shape: Any, dtype: Any = np.float64) -> FakeArray:
        dtype = np.dtype(dtype)
        shape = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
        memory = Memory(int(np.prod(shape)) * dtype.itemsize, self.placement, 0xFF if dtype.kind == "f" else 0xCD)
        self.allocations += 1
        return FakeArray(memory.bytes.view(dtype).reshape(shape), memory)

    def zeros(self, shape: Any, dtype: Any = np.float64) -> FakeArray:
        return self.full(shape, 0, dtype)

    def ones(self, shape: Any, dtype: Any = np.float64) -> FakeArray:
        return self.full(shape, 1, dtype)

    def full(self, shape: Any, value: Any, dtype: Any = None) -> FakeArray:
        array = self.empty(shape, np.asarray(value).dtype if dtype is None else dtype)
        array.fill(value)
        return array

    def empty_like(self, like: FakeArray, dtype: Any = None) -> FakeArray:
        return self.empty(like.shape, like.dtype if dtype is None else dtype)

    def zeros_like(self, like: FakeArray, dtype: Any = None) -> FakeArray:
        return self.zeros(like.shape, like.dtype if dtype is None else dtype)

    def asarray(self, values: Any, dtype: Any = None) -> FakeArray:
        if isinstance(values, FakeArray):
            if dtype in (None, values.dtype):
                return values
            values = values._values
        values = np.asarray(values, dtype)
        array = self.empty(values.shape, values.dtype)
        array._values[...] = values
        return array

    array = asarray
    ascontiguousarray = asarray

    def asnumpy(self, array: FakeArray) -> Any:
        return array.get()

    def RawModule(
        self, *, code: str, options: tuple[str, ...] = (), backend: str = "nvrtc", name_expressions: Any = None
    ) -> Any:
        assert backend == "nvrtc"
        assert "--std=c++17" in options
        library = _library(code, tuple(name_expressions))
        return SimpleNamespace(get_function=lambda name: self._function(library, name))

    def _function(self, library: Library, name: str) -> Callable[..., None]:
        def launch(grid: tuple[int, ...], block: tuple[int, ...], args: tuple[Any, ...], shared_mem: int = 0) -> None:
            values = tuple(_on_device(name, i, value) for i, value in enumerate(args))
            library.launch(name, grid, block, values, shared=shared_mem, backwards=self.placement == "start")
            self.launches.append(Launched(name, grid, block, self.cuda.get_current_stream()))

        return launch


def _on_device(kernel: str, index: int, value: Any) -> Any:
    if isinstance(value, FakeArray):
        return value._values
    if isinstance(value, np.ndarray):
        raise KernelFault(f"{kernel}: argument {index} is a NumPy array, not a CuPy one")
    if value is None:
        raise KernelFault(f"{kernel}: argument {index} is None, of which CuPy makes a wild pointer")
    return value
