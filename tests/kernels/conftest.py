"""The fixture `cupy`: the emulator behind a fake of CuPy, in two placements of memory, or a device."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from allaprima.kernels import cuda

from .emulator import Placement, why_not
from .fake_cupy import FakeCupy


@contextmanager
def _installed(placement: Placement) -> Iterator[FakeCupy]:
    if reason := why_not():
        pytest.skip(reason)
    fake = FakeCupy(placement)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "cupy", fake)
        _forget_kernels()
        yield fake
    _forget_kernels()


def _forget_kernels() -> None:
    cuda._kernel.cache_clear()
    cuda._raw_module.cache_clear()


@pytest.fixture(params=["end", "start"])
def emulated(request: pytest.FixtureRequest) -> Iterator[FakeCupy]:
    """The fake alone, for what only it can tell: launches, allocations.

    With "end" arrays end where memory does, and blocks and threads run from the first to the last; with "start" arrays
    begin there, and they run from the last to the first.
    """
    with _installed(request.param) as fake:
        yield fake


@pytest.fixture(params=["end", "start", pytest.param("device", marks=pytest.mark.needs_cuda)])
def cupy(request: pytest.FixtureRequest) -> Iterator[Any]:
    """A `cupy` to run kernels with: emulated twice, and on a device under ``-m needs_cuda``."""
    if request.param == "device":
        yield importlib.import_module("cupy")
    else:
        with _installed(request.param) as fake:
            yield fake
