"""Whether a card can paint, and what its failures are called."""

import importlib
import importlib.util
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from allaprima.realtime.backends import cuda_device
from allaprima.realtime.backends.cuda_device import device_errors, device_name, probe, span
from allaprima.realtime.errors import BackendUnavailable, DeviceLost, KernelError, OutOfDeviceMemory

from ...kernels.fake_cupy import CompileException, FakeCupy
from ...kernels.fake_streams import CUDARuntimeError
from .cuda_rig import card


@pytest.fixture
def fake() -> Iterator[FakeCupy]:
    with card() as found:
        yield found


def test_a_card_that_can_paint(fake: FakeCupy) -> None:
    assert probe((3840, 2160)) is None
    assert device_name() == "A fake"
    assert fake.allocations == 0


def test_without_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    assert "CuPy cannot be imported" in str(probe())
    assert "pip install 'allaprima[cuda]'" in str(probe())


def test_without_a_card_or_a_driver(fake: FakeCupy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    fake.devices = 0
    assert probe() == "there is no NVIDIA card to use (cudaError100: no CUDA-capable device is detected)"
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert "; CUDA_VISIBLE_DEVICES='')" in str(probe())


def test_too_old_too_full_or_without_nets(fake: FakeCupy, monkeypatch: pytest.MonkeyPatch) -> None:
    fake.properties |= {"major": 7, "minor": 0}
    assert probe() == "A fake has compute capability 7.0, at least 7.5 is needed"
    fake.properties |= {"minor": 5}
    assert probe() is None
    fake.memory = (300 << 20, 8 << 30)
    assert probe((320, 240)) is None
    assert "300 MiB of memory free, pictures of 1920x1080 need 493" in str(probe((1920, 1080)))
    monkeypatch.setattr(cuda_device, "NET_LIBRARIES", ("no_such_library",))
    assert str(probe()).startswith("neither TensorRT nor torch for CUDA is installed")


def test_torch_for_the_cpu_runs_nothing_on_a_card(fake: FakeCupy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cuda_device, "NET_LIBRARIES", ("torch",))
    monkeypatch.setattr(cuda_device, "find_spec", lambda name: name)
    for build, good in (("2.13.0+cpu", False), ("2.13.0+cu130", True), ("2.13.0", True)):
        monkeypatch.setattr(cuda_device, "version", lambda name, build=build: build)
        assert (probe() is None) == good


class NvrtcOutOfMemory(RuntimeError):
    pass


NvrtcOutOfMemory.__name__ = "OutOfMemoryError"  # torch's is a RuntimeError of this name


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (CUDARuntimeError(719), KernelError),
        (CompileException("a line\nand more"), KernelError),
        (NvrtcOutOfMemory("tried to allocate"), OutOfDeviceMemory),
        (MemoryError(), OutOfDeviceMemory),
        (CUDARuntimeError(999), DeviceLost),
        (RuntimeError("cuDNN error"), DeviceLost),
    ],
)
def test_errors_have_our_names(fake: FakeCupy, error: Exception, expected: Any) -> None:
    with (
        pytest.raises(expected, match="the card failed while it was tested: ") as caught,
        device_errors("it was tested"),
    ):
        raise error
    assert caught.value.__cause__ is error
    assert caught.value.hint
    assert "\n" not in str(caught.value)


def test_our_own_errors_and_mistakes_stay_what_they_are(fake: FakeCupy) -> None:
    for error in (BackendUnavailable("no"), ValueError("no"), TypeError("no")):
        with pytest.raises(type(error), match="no"), device_errors("it was tested"):
            raise error


def test_a_span_ends_also_when_something_fails(fake: FakeCupy, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(fake.cuda.nvtx, "RangePush", said.append)
    monkeypatch.setattr(fake.cuda.nvtx, "RangePop", lambda: said.append("."))
    with pytest.raises(KeyError), span("frame"):
        raise KeyError
    assert said == ["frame", "."]


@pytest.mark.skipif(importlib.util.find_spec("cupy") is None, reason="CuPy is not installed")
def test_cupy_has_all_that_we_call() -> None:
    """No card is needed for that."""
    cuda: Any = importlib.import_module("cupy").cuda
    for where, names in {
        cuda: "Stream Event Graph MemoryPointer UnownedMemory alloc_pinned_memory nvtx",
        cuda.runtime: "memcpyAsync memGetInfo getDeviceCount getDeviceProperties CUDARuntimeError",
        cuda.nvtx: "RangePush RangePop",
        cuda.Stream: "null record wait_event synchronize begin_capture end_capture",
        cuda.Event: "record synchronize done",
        cuda.Graph: "launch",
        cuda.compiler: "CompileException",
        cuda.memory: "OutOfMemoryError",
    }.items():
        assert [name for name in names.split() if not hasattr(where, name)] == []
    kinds = [getattr(cuda.runtime, f"memcpy{kind}") for kind in ("HostToDevice", "DeviceToHost", "DeviceToDevice")]
    assert kinds == [1, 2, 3]
