"""Memory that is used again and again: pinned on the host, and on the device.

A slot is lent; it is free again when nobody holds the loan, nor an array made of it.  Its event says when the device
is done with it.
"""

import threading
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from allaprima.kernels.cuda import cupy

Bytes = NDArray[np.uint8]

SPARE = 2
"""Slots that a pool has at least before it takes one again on which the device may still be at work."""


class Slot(Protocol):
    """Memory, and the event after which it may be written."""

    event: Any


S = TypeVar("S", bound=Slot)


class Loan(Generic[S]):
    """A slot in use."""

    def __init__(self, slot: S, free: list[S]) -> None:
        self.slot = slot
        self._free = free

    def __del__(self) -> None:
        self._free.append(self.slot)


class Pool(Generic[S]):
    """Slots of one kind, made when they are missed and kept for good.  Any thread may take one."""

    def __init__(self, make: Callable[[], S]) -> None:
        self._make = make
        self._free: list[S] = []
        self._lock = threading.Lock()
        self.made = 0

    def take(self) -> Loan[S]:
        """A slot that nobody holds; the device may still be at work on it, until its event."""
        with self._lock:
            for index, slot in enumerate(self._free):
                if slot.event.done:
                    return Loan(self._free.pop(index), self._free)
            if self._free and self.made >= SPARE:
                return Loan(self._free.pop(0), self._free)
            self.made += 1
        return Loan(self._make(), self._free)


class Pinned:
    """Host memory that the device copies from and to by itself."""

    def __init__(self, size: int) -> None:
        self.bytes: Bytes = np.frombuffer(cupy().cuda.alloc_pinned_memory(size), np.uint8, size)
        self.event = new_event(block=True)

    @property
    def address(self) -> int:
        return int(self.bytes.ctypes.data)


class OnDevice:
    """Memory of the device; ``ready`` is when it has been filled."""

    def __init__(self, size: int, stream: Any) -> None:
        with stream:
            self.bytes = cupy().empty(size, np.uint8)
        self.event, self.ready = new_event(), new_event()

    @property
    def address(self) -> int:
        return int(self.bytes.data.ptr)


def new_event(block: bool = False) -> Any:
    """``block`` lets a thread that waits for it sleep instead of asking again and again."""
    return cupy().cuda.Event(block=block, disable_timing=True)


def lent_host(loan: Loan[Pinned]) -> Bytes:
    """The slot's bytes; the array and all its views keep the loan."""
    return np.asarray(_Lent(loan))


class _Lent:
    """What NumPy keeps alive as the base of an array."""

    def __init__(self, loan: Loan[Pinned]) -> None:
        self._loan = loan
        data = (loan.slot.address, False)
        self.__array_interface__ = {"shape": loan.slot.bytes.shape, "typestr": "|u1", "data": data, "version": 3}


def lent_device(loan: Loan[OnDevice]) -> Any:
    """The slot's bytes as a CuPy array, which keeps the loan, as do all its views."""
    slot = loan.slot
    memory = cupy().cuda.UnownedMemory(slot.address, slot.bytes.nbytes, loan, 0)
    return cupy().ndarray(slot.bytes.shape, np.uint8, cupy().cuda.MemoryPointer(memory, 0))


def copy(to: int, source: int, size: int, kind: str, stream: Any) -> None:
    """Enqueue a copy of ``size`` bytes between two addresses; ``kind`` is "HostToDevice" and the like."""
    runtime = cupy().cuda.runtime
    runtime.memcpyAsync(to, source, size, getattr(runtime, f"memcpy{kind}"), stream.ptr)
