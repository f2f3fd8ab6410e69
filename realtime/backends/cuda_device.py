"""The graphics card: whether it can paint, and what its failures are called."""

import contextlib
import os
from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

from allaprima.kernels.cuda import cupy
from allaprima.realtime import extras
from allaprima.realtime.errors import BackendError, DeviceLost, KernelError, OutOfDeviceMemory

DEVICE = 0
"""Among those that CUDA_VISIBLE_DEVICES leaves: one process paints on one card."""
OLDEST = (7, 5)
"""Compute capability that the kernels are compiled for: cards from 2018 on."""
NET_LIBRARIES = ("tensorrt", "torch")
"""One of them runs the nets."""
LEAST_MEMORY, MEMORY_EACH = 256 << 20, 120
"""Bytes that must be free: at all, and for each pixel of luma."""
OUT_OF_MEMORY = {2}
"""Numbers of CUDA's errors: cudaErrorMemoryAllocation."""
WRONG_KERNEL = {98, 209, 218, 222, 300, 700, 701, 702, 703, 714, 715, 716, 717, 718, 719}
"""Images that do not fit or do not load, launches that fail, addresses and instructions that are none."""


def probe(size: tuple[int, int] = (0, 0)) -> str | None:
    """Why pictures of ``size`` cannot be painted on the card; None if they can.  Opens nothing."""
    try:
        runtime = cupy().cuda.runtime
    except ImportError as error:
        return f"CuPy cannot be imported ({_first_line(error.__cause__ or error)}): {extras.command('cuda')}"
    try:
        count = runtime.getDeviceCount()
        if not count:
            return _none_visible("CUDA shows none")
        found = runtime.getDeviceProperties(DEVICE)
        free, _ = runtime.memGetInfo()
    except RuntimeError as error:  # no driver, one that is too old, no card, or one that has failed
        return _none_visible(_first_line(error))
    name, capability = _text(found["name"]), (int(found["major"]), int(found["minor"]))
    if capability < OLDEST:
        return f"{name} has compute capability {_dotted(capability)}, at least {_dotted(OLDEST)} is needed"
    needed = LEAST_MEMORY + MEMORY_EACH * size[0] * size[1]
    if free < needed:
        return f"{name} has {free >> 20} MiB of memory free, pictures of {size[0]}x{size[1]} need {needed >> 20}"
    if not any(map(_present, NET_LIBRARIES)):
        return f"neither TensorRT nor torch for CUDA is installed, which run the nets: {extras.command('tensorrt')}"
    return None


def _present(library: str) -> bool:
    """Torch for the CPU alone does not count."""
    return find_spec(library) is not None and not (library == "torch" and version("torch").endswith("+cpu"))


def device_name() -> str:
    """As its maker calls it."""
    return _text(cupy().cuda.runtime.getDeviceProperties(DEVICE)["name"])


@contextlib.contextmanager
def device_errors(doing: str) -> Iterator[None]:
    """CuPy's errors, and torch's, as ours; ``doing`` says in words what failed."""
    compiling = cupy().cuda.compiler.CompileException
    try:
        yield
    except BackendError:
        raise
    except (RuntimeError, MemoryError, compiling) as error:
        raise _translated(error, doing) from error


def _translated(error: BaseException, doing: str) -> BackendError:
    why = f"the card failed while {doing}: {_first_line(error)}"
    status = getattr(error, "status", None)
    if type(error).__name__ == "OutOfMemoryError" or isinstance(error, MemoryError) or status in OUT_OF_MEMORY:
        return OutOfDeviceMemory(why, "Close other programs on the card, or paint a smaller picture.")
    if type(error).__name__ in ("CompileException", "NVRTCError") or status in WRONG_KERNEL:
        return KernelError(why, "This is a bug: allaprima doctor says which versions to report.")
    return DeviceLost(why, "See nvidia-smi; start again, or paint with --backend cpu.")


@contextlib.contextmanager
def span(name: str) -> Iterator[None]:
    """A named range in Nsight's timeline; next to nothing without it."""
    nvtx: Any = cupy().cuda.nvtx
    nvtx.RangePush(name)
    try:
        yield
    finally:
        nvtx.RangePop()


def _none_visible(why: str) -> str:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return f"there is no NVIDIA card to use ({why}" + (
        f"; CUDA_VISIBLE_DEVICES={visible!r})" if visible is not None else ")"
    )


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")


def _text(name: Any) -> str:
    return name.decode() if isinstance(name, bytes) else str(name)


def _dotted(capability: tuple[int, int]) -> str:
    return f"{capability[0]}.{capability[1]}"
