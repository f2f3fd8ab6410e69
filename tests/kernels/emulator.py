"""Run the kernels' text on the CPU: g++ builds it behind `tests/cuda_on_cpu.h`, and memory has guards.

An array ends where pages begin that may not be touched, or begins behind such pages; what is left of its own pages
is filled with a canary.  Both placements are wanted, since a kernel may read on either side.
"""

import ctypes
import hashlib
import mmap
import os
import re
import shutil
import subprocess
import sys
import weakref
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

Placement = Literal["end", "start"]

ROOT = Path(__file__).resolve().parents[2]
HEADER = ROOT / "tests" / "cuda_on_cpu.h"
CACHE = ROOT / "build" / "emulated"
OLDEST = 12
SANITIZERS = "bounds,alignment,null,shift,integer-divide-by-zero,signed-integer-overflow,float-cast-overflow"
FLAGS = (
    "-x c++ -std=c++17 -O1 -march=native -ffp-contract=off -fPIC -fvisibility=hidden -fno-gnu-unique -U_FORTIFY_SOURCE "
    f"-fno-exceptions -Wall -Wextra -Werror -Wno-unknown-pragmas -fsanitize={SANITIZERS} -fno-sanitize-recover=all"
).split()
LARGEST_GRID = (2**31 - 1, 65535, 65535)
LARGEST_BLOCK = (1024, 1024, 64)
DYNAMIC = re.compile(r"\bextern\s+__shared__\s+(?:__align__\(\d+\)\s+)?([\w ]+?)\s*(\w+)\s*\[\s*\]")
DYNAMIC_SHARED = 48 << 10
"""Bytes that a block may have without asking."""
PAGE = mmap.PAGESIZE
GUARD = 1 << 30
"""Bytes of addresses, not of memory, on each side of an array: what is far beside it is beside nothing else."""
CANARY = 0xA5


class KernelFault(AssertionError):
    """A kernel did what would go wrong on a device, or was called in a way that would."""


# ---- building ----


@cache
def why_not() -> str | None:
    """What is missing to build kernels."""
    if sys.platform != "linux":
        return "the emulated kernels need Linux"
    if shutil.which("g++") is None:
        return "g++, which builds the emulated kernels, is not installed"
    version = subprocess.run(["g++", "-dumpversion"], capture_output=True, text=True, check=True).stdout.strip()
    too_old = int(version.partition(".")[0]) < OLDEST
    return f"g++ {version} is too old to build the emulated kernels (half floats: {OLDEST})" if too_old else None


@cache
def _identity() -> bytes:
    """What -march=native means here: the cache may be carried to another machine."""
    command = ["g++", "-march=native", "-Q", "--help=target,optimizers", "--version"]
    return subprocess.run(command, capture_output=True, check=True).stdout


def build(code: str, expressions: tuple[str, ...]) -> Path:
    """The shared library of these kernels, built unless it is in the cache."""
    table = ",\n".join(f"    cuda_on_cpu::kernel_of(&{e}, {_bound(code, e)})" for e in expressions)
    dynamic = set(DYNAMIC.findall(code))
    room, at = "", "{}"
    for kind, name in dynamic:
        room = f"alignas(16) thread_local {kind} {name}[{DYNAMIC_SHARED} / sizeof({kind})];"
        at = f"{{reinterpret_cast<char*>({name}), sizeof {name}}}"
    if len(dynamic) > 1:
        raise KernelFault(f"dynamic shared memory goes by several names: {dynamic}")
    text = f"""{code}
#line 1 "the end of the emulated text"
{room}
static const cuda_on_cpu::Kernel table[] = {{
{table}
}};
extern "C" __attribute__((visibility("default"))) int describe(int kernel, int* out) {{
    return table[kernel].describe(out);
}}
extern "C" __attribute__((visibility("default"))) int bound(int kernel) {{ return table[kernel].bound; }}
extern "C" __attribute__((visibility("default")))
int launch(int kernel, const cuda_on_cpu::Launch* launch, cuda_on_cpu::Report* report) {{
    cuda_on_cpu::dynamic = {at};
    return cuda_on_cpu::launch(table[kernel], *launch, *report);
}}
"""
    key = hashlib.sha256(b"\0".join([_identity(), " ".join(FLAGS).encode(), HEADER.read_bytes(), text.encode()]))
    library = CACHE / f"{key.hexdigest()[:24]}.so"
    if not library.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        stem = library.with_suffix(f".{os.getpid()}")
        source, compiled, linked = (stem.with_suffix(stem.suffix + end) for end in (".cpp", ".o", ".so"))
        source.write_text(text)
        # Linked by itself: the driver would add the sanitizer's library, whose part the header plays.
        for command in (
            [*FLAGS, "-include", HEADER, "-c", source, "-o", compiled],
            ["-shared", compiled, "-o", linked],
        ):
            done = subprocess.run(["g++", *command], capture_output=True, text=True)
            if done.returncode:
                raise KernelFault(f"g++ cannot build the kernels:\n{done.stderr}")
        linked.replace(library)
        source.unlink()
        compiled.unlink()
    return library


def _bound(code: str, expression: str) -> str:
    """What ``__launch_bounds__`` says of the kernel: an expression of constants."""
    name = expression.partition("<")[0]
    found = re.search(rf"__launch_bounds__\(([^(),]+)(?:,[^()]*)?\)\s+(?:void\s+)?{name}\s*\(", code)
    if not found:
        raise KernelFault(f"{name} has no __launch_bounds__")
    return found[1]


# ---- memory ----


class Memory:
    """``size`` bytes between guards that may not be touched; poisoned, and given back with the object."""

    living: ClassVar["weakref.WeakSet[Memory]"] = weakref.WeakSet()

    def __init__(self, size: int, placement: Placement, poison: int) -> None:
        room = -(-max(size, 1) // PAGE) * PAGE
        self._length = room + 2 * GUARD
        self._base = _reserve(self._length)
        start = self._base + GUARD
        if _libc().mprotect(ctypes.c_void_p(start), ctypes.c_size_t(room), mmap.PROT_READ | mmap.PROT_WRITE):
            raise OSError(ctypes.get_errno(), "mprotect")
        owner = (ctypes.c_ubyte * room).from_address(start)
        weakref.finalize(owner, _libc().munmap, ctypes.c_void_p(self._base), ctypes.c_size_t(self._length))
        before = room - size if placement == "end" else 0
        self.address = start + before
        self.size = size
        pages = np.frombuffer(owner, np.uint8)
        pages[:] = CANARY
        self._slack = (pages[:before], pages[before + size :])
        self.bytes: NDArray[np.uint8] = pages[before : before + size]
        self.bytes[:] = poison
        self.host = False
        """Whether it stands for memory of the host, pinned."""
        Memory.living.add(self)

    def overwritten(self) -> str | None:
        """On which side the canary is gone; it is put back."""
        for slack, side in zip(self._slack, ("before", "behind"), strict=True):
            if (slack != CANARY).any():
                slack[:] = CANARY
                return side
        return None

    def holds(self, address: int, size: int) -> bool:
        return self.address <= address and address + size <= self.address + self.size

    def guards(self, address: int) -> bool:
        return self._base <= address < self._base + self._length


@cache
def _libc() -> Any:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    return libc


def _reserve(length: int) -> int:
    """Addresses that nothing may touch yet."""
    no_reserve = 0x4000  # Linux's MAP_NORESERVE, which mmap does not have before Python 3.12
    address = _libc().mmap(None, length, 0, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | no_reserve, -1, 0)
    if address in (None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), "mmap")
    return int(address)


# ---- running ----


class _Launch(ctypes.Structure):
    _fields_ = [
        ("grid", ctypes.c_uint * 3),
        ("block", ctypes.c_uint * 3),
        ("backwards", ctypes.c_int),
        ("shared", ctypes.c_uint),
        ("args", ctypes.POINTER(ctypes.c_void_p)),
    ]


class _Report(ctypes.Structure):
    _fields_ = [
        ("thread", ctypes.c_uint * 3),
        ("block", ctypes.c_uint * 3),
        ("address", ctypes.c_void_p),
        ("writes", ctypes.c_int),
        ("text", ctypes.c_char * 256),
    ]


class Library:
    """The kernels of one text."""

    def __init__(self, code: str, expressions: tuple[str, ...]) -> None:
        # Loaded so that the GIL is kept: the emulator has one set of threads, fibers and signal handlers.
        self._library = ctypes.PyDLL(str(build(code, expressions)))
        self._kernels = {expression: self._parameters(i) for i, expression in enumerate(expressions)}

    def _parameters(self, index: int) -> tuple[int, list[tuple[str, int, str, int]]]:
        numbers = (ctypes.c_int * 256)()
        count = self._library.describe(index, numbers)
        rows = (numbers[4 * i : 4 * i + 4] for i in range(count))
        return index, [(chr(kind), size, chr(pointee), step) for kind, size, pointee, step in rows]

    def launch(
        self,
        expression: str,
        grid: tuple[int, ...],
        block: tuple[int, ...],
        args: tuple[Any, ...],
        *,
        shared: int = 0,
        backwards: bool = False,
    ) -> None:
        """Run one kernel; ``args`` are NumPy arrays in guarded memory, scalars, or None for a null pointer."""
        if expression not in self._kernels:
            raise KernelFault(f"{expression} is not among the name expressions {tuple(self._kernels)}")
        index, parameters = self._kernels[expression]
        grid, block = ((*size, 1, 1)[:3] for size in (grid, block))
        self._check_size(expression, grid, block, self._library.bound(index))
        if shared > DYNAMIC_SHARED:
            raise KernelFault(f"{expression}: {shared} bytes of dynamic shared memory are more than a block may have")
        if len(args) != len(parameters):
            raise KernelFault(f"{expression} has {len(parameters)} parameters, {len(args)} arguments were given")
        values = [
            _packed(f"{expression}: argument {i}", value, *parameter)
            for i, (value, parameter) in enumerate(zip(args, parameters, strict=True))
        ]
        pointers = (ctypes.c_void_p * len(values))(*(value.ctypes.data for value in values))
        report = _Report()
        launch = _Launch((ctypes.c_uint * 3)(*grid), (ctypes.c_uint * 3)(*block), backwards, shared, pointers)
        failed = self._library.launch(index, ctypes.byref(launch), ctypes.byref(report))
        where = f"{expression}, thread {tuple(report.thread)} of block {tuple(report.block)}"
        if failed and report.address is not None:
            raise KernelFault(f"{where}: {_fault(report.address, report.writes, args)}")
        if failed:
            raise KernelFault(f"{where}: {report.text.decode() or 'a null pointer'}")
        for memory in list(Memory.living):
            if side := memory.overwritten():
                raise KernelFault(f"{expression} wrote just {side} {_which(memory, args)}")

    def _check_size(self, expression: str, grid: tuple[int, ...], block: tuple[int, ...], bound: int) -> None:
        for what, size, largest in (("grid", grid, LARGEST_GRID), ("block", block, LARGEST_BLOCK)):
            if not all(type(n) is int and 1 <= n <= most for n, most in zip(size, largest, strict=True)):
                raise KernelFault(f"{expression}: a {what} of {size} cannot be launched")
        if np.prod(block) > bound:
            raise KernelFault(f"{expression}: a block of {block}, where __launch_bounds__ allows {bound} threads")


def _packed(name: str, value: Any, kind: str, size: int, pointee: str, step: int) -> NDArray[Any]:
    """The bytes that CuPy would pass, if they are what the parameter takes."""
    if kind == "p":
        if value is None:
            return np.zeros(1, np.uint64)
        if not isinstance(value, np.ndarray):
            raise KernelFault(f"{name} is a pointer, {value!r} is no array")
        address = value.ctypes.data
        if not any(memory.holds(address, value.nbytes) for memory in Memory.living):
            raise KernelFault(f"{name} is not in the device's memory")
        is_like = pointee == "V" or (value.dtype.kind, value.itemsize) == (pointee, step)
        if not is_like:
            raise KernelFault(f"{name} points to {pointee}{step}, the array is {value.dtype}")
        return np.array([address], np.uint64)
    if isinstance(value, np.ndarray):
        raise KernelFault(f"{name} is an array, but the parameter is no pointer")
    plain = {bool: np.bool_, int: np.int64, float: np.float64}.get(type(value))
    packed = np.asarray(value if plain is None else plain(value))
    if packed.itemsize != size or (kind != packed.dtype.kind and {kind, packed.dtype.kind} != {"i", "u"}):
        raise KernelFault(f"{name} is {packed.dtype} ({value!r}), the parameter is {kind}{size}")
    aligned = np.zeros(-(-size // 16) * 2, np.uint64)
    aligned.view(np.uint8)[:size] = np.frombuffer(packed.tobytes(), np.uint8)
    return aligned


def _which(memory: Memory, args: tuple[Any, ...]) -> str:
    for i, value in enumerate(args):
        if isinstance(value, np.ndarray) and memory.holds(value.ctypes.data, value.nbytes):
            return f"argument {i} ({value.dtype} {value.shape})"
    return "an array that is no argument"


def _fault(address: int, writes: int, args: tuple[Any, ...]) -> str:
    """In words, from the array whose guard it was."""
    verb = {1: "wrote", 0: "read"}.get(writes, "touched")
    if address < PAGE:
        return f"{verb} through a null pointer"
    for memory in Memory.living:
        if memory.guards(address):
            behind = address - (memory.address + memory.size)
            place = f"{behind} bytes behind the end of" if behind >= 0 else f"{memory.address - address} bytes before"
            return f"{verb} {place} {_which(memory, args)}"
    return f"{verb} the address {address:#x}, far from every array (or used up its stack)"
