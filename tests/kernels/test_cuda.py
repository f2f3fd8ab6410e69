"""What the wrappers have in common: texts, checks, and how CuPy is asked for."""

import re
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from allaprima.bench.registers import modules
from allaprima.kernels import cuda
from allaprima.kernels.cuda import Module, blocks, check, check_planes, output

from .fake_cupy import FakeCupy, FakeStream


@pytest.mark.parametrize("module", modules(), ids=lambda module: module.name)
def test_a_text_includes_nothing_but_the_halves(module: Module) -> None:
    """CuPy's cache looks at the text alone."""
    assert re.findall(r"#\s*include\s*(\S+)", module.source()) == ["<cuda_fp16.h>"]
    assert [line for line in module.source().splitlines() if line.startswith("#line")] == [
        '#line 1 "prelude.cuh"',
        f'#line 1 "{module.name}.cu"',
    ]


@pytest.mark.parametrize(
    ("size", "block", "expected"),
    [
        ((1, 1), (32, 8), (1, 1)),
        ((32, 8), (32, 8), (1, 1)),
        ((33, 9, 5), (32, 8, 1), (2, 2, 5)),
        ((257,), (256,), (2,)),
    ],
)
def test_blocks_cover_the_size(size: Any, block: Any, expected: Any) -> None:
    assert blocks(size, block) == expected


def test_without_cupy_a_call_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(ImportError, match=r"need CuPy.*install allaprima\[cuda\]"):
        check("planes", np.zeros(3), (3,), np.float64)


def test_each_text_is_compiled_once(emulated: FakeCupy, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    original = emulated.RawModule
    monkeypatch.setattr(emulated, "RawModule", lambda **kwargs: made.append(kwargs) or original(**kwargs))
    module = modules()[0]
    for expression in module.expressions[:2] * 2:
        cuda._kernel(module, expression)
    assert len(made) == 1


def test_a_stream_is_the_current_one_during_the_launch_and_the_allocation(emulated: FakeCupy) -> None:
    stream, seen = FakeStream(), []
    original = emulated.empty
    emulated.empty = lambda *args: seen.append(emulated.cuda.get_current_stream()) or original(*args)  # type: ignore
    output(None, (3,), np.float32, stream)
    output(None, (3,), np.float32, None)
    assert seen == [stream, None]


def test_arrays_that_fit_pass(emulated: FakeCupy) -> None:
    check("a", emulated.zeros((2, 3), np.float16), (2, None), "float32", "float16")
    assert check_planes("a", emulated.zeros((4, 5), np.uint8), "uint8") == (1, 4, 5)
    assert check_planes("a", emulated.zeros((3, 4, 5), np.uint8), "uint8") == (3, 4, 5)
    out = emulated.zeros((4, 5), np.uint8)
    assert output(out, (4, 5), np.uint8, None) is out


def test_what_is_wrong_is_said_with_the_name(emulated: FakeCupy, monkeypatch: pytest.MonkeyPatch) -> None:
    array = emulated.zeros((4, 6), np.float32)
    with pytest.raises(TypeError, match="flow must be a CuPy array, not ndarray"):
        check("flow", np.zeros((4, 6), np.float32), (4, 6), np.float32)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="flow must be a CuPy array, not NoneType"):
        check_planes("flow", None, np.float32)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"flow must have the shape \(4, 5\), not \(4, 6\)"):
        check("flow", array, (4, 5), np.float32)
    with pytest.raises(ValueError, match=r"shape \(any, any, any\), not \(24,\)"):
        check_planes("flow", array.reshape(24), np.float32)
    with pytest.raises(ValueError, match="flow is empty"):
        check("flow", emulated.zeros((0, 6), np.float32), (None, 6), np.float32)
    with pytest.raises(ValueError, match="flow must be C-contiguous"):
        check("flow", array[:, 1:], (4, 5), np.float32)
    monkeypatch.setattr(cuda, "LARGEST_PLANE", 23)
    with pytest.raises(ValueError, match="flow has planes of 24 elements, more than 23"):
        check_planes("flow", array, np.float32)
    array.device = SimpleNamespace(id=1)
    with pytest.raises(ValueError, match="flow is on device 1, but device 0 is the current one"):
        check("flow", array, (4, 6), np.float32)
