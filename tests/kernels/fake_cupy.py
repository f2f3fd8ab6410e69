"""The part of CuPy that the wrappers use, on the emulator.

Strict where the real one is: no conversion to NumPy unasked, ints are 64 bits, kernels take its own arrays only.
Uninitialised memory is NaN, or 0xCD in integers.  What is enqueued keeps no memory alive, and what is captured runs
again with the same addresses.
"""

import ctypes
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np

from . import fake_streams
from .emulator import KernelFault, Library, Memory, Placement
from .fake_streams import CUDARuntimeError, FakeEvent, FakeGraph, FakeStream, Order

_library = cache(Library)


class Launched(NamedTuple):
    """One launch of a kernel."""

    kernel: str
    grid: tuple[int, ...]
    block: tuple[int, ...]
    stream: Any


class Copied(NamedTuple):
    """One copy of memory; ``kind`` is "to device", "to host" or "on device"."""

    kind: str
    size: int
    stream: Any


class FakeArray:
    """`cupy.ndarray`: an array in guarded memory."""

    _empty: Callable[..., "FakeArray"]

    def __init__(self, shape: Any, dtype: Any, memptr: "FakePointer") -> None:
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        memory = memptr.memory
        start = memptr.ptr - memory.address
        values = memory.bytes[start : start + int(np.prod(shape)) * np.dtype(dtype).itemsize].view(dtype).reshape(shape)
        self._set(values, memory, memptr.owner)

    def _set(self, values: Any, memory: Memory, owner: Any) -> None:
        self._values = values
        self._memory, self._owner = memory, owner  # kept alive by every view
        self.device = SimpleNamespace(id=0)

    @classmethod
    def of(cls, values: Any, memory: Memory, owner: Any = None) -> "FakeArray":
        array = cls.__new__(cls)
        array._set(values, memory, owner)
        return array

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
        fake_streams.current().synchronize()
        return self._values.copy()

    def set(self, values: Any) -> None:
        assert (values.shape, values.dtype) == (self.shape, self.dtype)
        self[...] = values
        fake_streams.current().synchronize()

    def copy(self) -> "FakeArray":
        found = self._empty(self.shape, self.dtype)
        found[...] = self
        return found

    def fill(self, value: Any) -> None:
        self[...] = value

    def view(self, dtype: Any) -> "FakeArray":
        return FakeArray.of(self._values.view(dtype), self._memory, self._owner)

    def reshape(self, *shape: Any) -> "FakeArray":
        values = self._values.view()
        values.shape = shape[0] if isinstance(shape[0], tuple) else shape  # never a copy outside guarded memory
        return FakeArray.of(values, self._memory, self._owner)

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, index: Any) -> "FakeArray":
        index = index if isinstance(index, tuple) else (index,)
        if not any(part is Ellipsis for part in index):
            index = (*index, ...)  # an element is an array, too
        return FakeArray.of(self._values[index], self._memory, self._owner)

    def __setitem__(self, index: Any, value: Any) -> None:
        target = Place(self[index])
        source = Place(value) if isinstance(value, FakeArray) else None

        def run() -> None:
            target()[...] = value if source is None else source()

        fake_streams.current().enqueue(run)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`.")


class Place:
    """Where an array lies, without holding on to it."""

    def __init__(self, array: FakeArray) -> None:
        self._memory = weakref.ref(array._memory)
        self._offset = array._values.ctypes.data - array._memory.address
        self._shape, self._strides, self._dtype = array.shape, array.strides, array.dtype

    def __call__(self) -> Any:
        memory = self._memory()
        if memory is None:
            raise KernelFault("memory was given back while work on it was still to come")
        if 0 in self._shape:
            return np.empty(self._shape, self._dtype)
        return np.ndarray(self._shape, self._dtype, memory.bytes, self._offset, self._strides)


class FakePointer:
    """`cupy.cuda.MemoryPointer` into a `cupy.cuda.UnownedMemory`, which keeps its owner alive."""

    def __init__(self, memory: Any, offset: int) -> None:
        address, size, self.owner = memory
        (self.memory,) = [one for one in list(Memory.living) if one.holds(address, size)]
        self.ptr = address + offset


class FakeCupy:
    """Stands for the module; ``launches`` says what ran, ``allocations`` how many arrays were made.

    With an ``order`` nothing runs before somebody waits for it.  What is put into ``failure`` is what the device
    fails with from then on.
    """

    ndarray = FakeArray
    float16, float32, uint8, uint16, int32 = np.float16, np.float32, np.uint8, np.uint16, np.int32
    uint32, uint64, int64, float64 = np.uint32, np.uint64, np.int64, np.float64

    def __init__(self, placement: Placement, order: Order | None = None) -> None:
        fake_streams.reset()
        Order.current = order
        self.launches: list[Launched] = []
        self.copies: list[Copied] = []
        self.allocations = 0
        self.placement = placement
        FakeArray._empty = staticmethod(self.empty)
        self.memory = (60 << 30, 80 << 30)
        """Bytes that are free, and all."""
        self.properties = {"name": b"A fake", "major": 9, "minor": 0, "multiProcessorCount": 132}
        self.devices = 1
        self.failure = fake_streams.FAILURE
        self.cuda = SimpleNamespace(
            Stream=FakeStream,
            Event=FakeEvent,
            Graph=FakeGraph,
            Device=lambda *number: SimpleNamespace(id=0, synchronize=lambda: None, use=lambda: None),
            runtime=SimpleNamespace(
                getDevice=lambda: 0,
                getDeviceCount=self._count,
                getDeviceProperties=lambda device: self.properties,
                memGetInfo=lambda: self.memory,
                memcpyAsync=self._copy,
                memcpyHostToDevice=1,
                memcpyDeviceToHost=2,
                memcpyDeviceToDevice=3,
                CUDARuntimeError=CUDARuntimeError,
            ),
            memory=SimpleNamespace(OutOfMemoryError=OutOfMemoryError),
            compiler=SimpleNamespace(CompileException=CompileException),
            get_current_stream=fake_streams.explicit,
            alloc_pinned_memory=self._pinned,
            UnownedMemory=lambda ptr, size, owner, device_id=-1: (ptr, size, owner),
            MemoryPointer=FakePointer,
            nvtx=SimpleNamespace(RangePush=lambda name: None, RangePop=lambda: None),
        )

    def _count(self) -> int:
        if not self.devices:
            raise CUDARuntimeError(100, "no CUDA-capable device is detected")
        return self.devices

    def _pinned(self, size: int) -> Any:
        """Memory of the host that copies need not wait for: behind guards, poisoned."""
        if fake_streams.capturing():
            raise KernelFault("memory was pinned during a capture")
        memory = Memory(size, self.placement, 0xCD)
        memory.host = True
        self.allocations += 1
        kind = type("Pinned", (ctypes.c_ubyte * size,), {})
        pinned = kind.from_address(memory.address)
        pinned.ptr, pinned.memory = memory.address, memory
        return pinned

    def _copy(self, to: int, source: int, size: int, kind: int, stream: int) -> None:
        """``cudaMemcpyAsync``; host memory must be pinned, or the call would wait."""
        hosts = {1: (False, True), 2: (True, False), 3: (False, False)}[kind]
        places = []
        for address, on_host in zip((to, source), hosts, strict=True):
            found = [one for one in list(Memory.living) if one.holds(address, size)]
            if not found or found[0].host != on_host:
                raise KernelFault(
                    f"a copy of {size} bytes touches what is no {'pinned' if on_host else 'device'} memory"
                )
            places.append(Place(FakeArray.of(found[0].bytes[address - found[0].address :][:size], found[0])))
        where = fake_streams.ALL[stream] if stream else FakeStream.null

        def run() -> None:
            places[0]()[...] = places[1]()
            self.copies.append(Copied(("to device", "to host", "on device")[kind - 1], size, where))

        where.enqueue(run)

    @staticmethod
    def get_default_memory_pool() -> Any:
        return SimpleNamespace(free_all_blocks=lambda: None)

    @contextmanager
    def no_allocation(self) -> Iterator[None]:
        """Fails where an array is made."""
        before = self.allocations
        yield
        assert self.allocations == before, "memory was allocated"

    def empty(self, shape: Any, dtype: Any = np.float64) -> FakeArray:
        if fake_streams.capturing():
            raise KernelFault("memory was allocated during a capture")
        dtype = np.dtype(dtype)
        shape = (shape,) if isinstance(shape, int | np.integer) else tuple(shape)
        memory = Memory(int(np.prod(shape)) * dtype.itemsize, self.placement, 0xFF if dtype.kind == "f" else 0xCD)
        self.allocations += 1
        return FakeArray.of(memory.bytes.view(dtype).reshape(shape), memory)

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
        array.set(values)
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
            chosen = fake_streams.explicit()

            def run() -> None:
                there = tuple(value() if isinstance(value, Place) else value for value in values)
                library.launch(name, grid, block, there, shared=shared_mem, backwards=self.placement == "start")
                self.launches.append(Launched(name, grid, block, chosen))

            fake_streams.current().enqueue(run)

        return launch


class OutOfMemoryError(MemoryError):
    """`cupy.cuda.memory.OutOfMemoryError`."""


class CompileException(Exception):
    """`cupy.cuda.compiler.CompileException`."""


def _on_device(kernel: str, index: int, value: Any) -> Any:
    if isinstance(value, FakeArray):
        return Place(value)
    if isinstance(value, np.ndarray):
        raise KernelFault(f"{kernel}: argument {index} is a NumPy array, not a CuPy one")
    if value is None:
        raise KernelFault(f"{kernel}: argument {index} is None, of which CuPy makes a wild pointer")
    return value
