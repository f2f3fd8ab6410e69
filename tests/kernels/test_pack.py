"""Packing is what the joined graph of the CPU does, and what the nets were trained with."""

from typing import Any

import numpy as np
import openvino as ov
import openvino.opset13 as op
import pytest

from allaprima.kernels.reference.color import BT709, encoding
from allaprima.kernels.reference.pack import legal, normal, pack, unpack
from allaprima.kernels.surface import FORMATS
from allaprima.realtime.backends import graph
from allaprima.realtime.backends.cpu import MARGIN, Canvas, _pad
from allaprima.realtime.frame import Color

from .surfaces import STANDARDS, codes

COLORS = [Color(matrix=matrix, range=1 + full) for matrix in (1, 6, 7, 9) for full in (False, True)]


def stream(color: Color) -> tuple[tuple[float, float], bool]:
    return color.coefficients(720), color.full_range


def run(outputs: list[Any], parameters: list[Any], values: list[Any]) -> list[Any]:
    """A small graph of OpenVINO's, in single precision."""
    model = ov.Model([op.result(output) for output in outputs], parameters, "test")
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = compiled(values)
    return [found[output][0] for output in compiled.outputs]


@pytest.mark.parametrize("color", COLORS, ids=str)
def test_levels_and_matrix_are_the_graphs(color: Color) -> None:
    middle, luma, chroma = graph.levels(color)
    matrix, zeros = normal(*stream(color))
    np.testing.assert_allclose(zeros, [middle, 128, 128])
    np.testing.assert_allclose(matrix * [luma, chroma, chroma], graph.to_bt709(color, 720), atol=1e-12)
    np.testing.assert_allclose(matrix[1:, 0], 0, atol=1e-12)  # gray is gray: what pack relies on


@pytest.mark.parametrize("color", COLORS, ids=str)
def test_pack_is_the_graphs(color: Color) -> None:
    planes = codes((22, 13), "yuv420p")
    height, width = Canvas((22, 13)).shapes[0]
    shapes = ((height, width), *[(height // 2, width // 2)] * 2)
    y, u, v = (_pad(plane, shape, m) for plane, shape, m in zip(planes, shapes, (MARGIN, 8, 8), strict=True))
    inputs = [op.parameter([1, 1, *plane.shape], ov.Type.u8) for plane in (y, u, v)]
    (expected,) = run([graph._pack(*inputs, color, 720)], inputs, [plane[None, None] for plane in (y, u, v)])
    packed = pack(planes, *stream(color), dtype="float32")
    assert packed.shape == (24, height // 4, width // 4)
    np.testing.assert_allclose(packed, expected, atol=2e-6)
    np.testing.assert_array_equal(pack((y, u, v), *stream(color), margin=0, dtype="float32"), packed)


@pytest.mark.parametrize("color", COLORS, ids=str)
def test_unpack_is_the_graphs(color: Color) -> None:
    packed = np.random.default_rng(0).uniform(-1.2, 1.2, (24, 12, 14)).astype(np.float32)
    input_ = op.parameter([1, *packed.shape], ov.Type.f32)
    expected = [plane[0] for plane in run(graph._unpack(input_, color, 720), [input_], [packed[None]])]
    whole = unpack(packed, (56, 48), *stream(color), margin=0, format="yuv420p")
    for plane, wanted in zip(whole, expected, strict=True):
        difference = np.abs(plane.astype(int) - wanted)
        assert difference.max() <= 1, "a half may be rounded either way in single precision"
        assert (difference > 0).sum() <= 1
    cut = unpack(packed, (21, 15), *stream(color), format="yuv420p")
    for plane, all_, margin in zip(cut, whole, (16, 8, 8), strict=True):
        np.testing.assert_array_equal(plane, all_[margin:, margin:][: len(plane), : plane.shape[1]])


def test_pack_is_what_the_nets_were_trained_with() -> None:
    torch = pytest.importorskip("torch")
    from allaprima.exporters import networks

    y, u, v = codes((16, 8), "yuv420p")
    luma, chroma = (y - 125.5) / 109.5, np.stack([u, v], 0).astype(np.float64) / 112 - 128 / 112
    expected = networks.pack(torch.from_numpy(luma)[None, None], torch.from_numpy(chroma)[None])[0].numpy()
    np.testing.assert_allclose(pack((y, u, v), margin=0, dtype="float64"), expected, atol=1e-12)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("format", FORMATS)
def test_black_is_minus_one_and_white_is_one(format: str, full: bool) -> None:
    bits = 10 if format == "p010" else 8
    unit = 64 if format == "p010" else 1
    black, luma, zero = encoding(BT709, full, bits)[1][0], 2**bits - 1 if full else 219 << bits - 8, 1 << bits - 1
    for coefficients in STANDARDS.values():
        for level, expected in ((0, -1), (1, 1)):
            y, *chroma = (np.full_like(plane, zero * unit) for plane in codes((8, 8), format))
            y[:] = (black + level * luma) * unit
            packed = pack((y, *chroma), coefficients, full, margin=0, dtype="float64")
            np.testing.assert_allclose(packed[:16], expected, atol=1e-12)
            np.testing.assert_allclose(packed[16:], 0, atol=1e-12)


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("coefficients", STANDARDS.values(), ids=STANDARDS)
def test_there_and_back_is_the_same_in_the_legal_range(coefficients: Any, format: str, full: bool) -> None:
    """Through halves too: their steps are a quarter of a code of 8 bits, half of one of 10."""
    unit, bits = (64, 10) if format == "p010" else (1, 8)
    least, white, top = legal(full, bits)
    y, *chroma = planes = codes((33, 21), format)
    legal_planes = [y.clip(least * unit, white * unit), *(plane.clip(least * unit, top * unit) for plane in chroma)]
    for dtype, most in (("float32", 0), ("float16", 0 if bits == 8 else 1)):
        again = unpack(pack(planes, coefficients, full, dtype=dtype), (33, 21), coefficients, full, format=format)
        for plane, given, wanted in zip(again, planes, legal_planes, strict=True):
            assert plane.dtype == given.dtype
            assert np.abs(plane - wanted).max() <= most * unit


def test_halves_are_rounded_upwards_and_nan_is_black() -> None:
    packed = np.zeros((24, 1, 1))
    packed[0], packed[1], packed[2], packed[3] = np.nan, 9, -9, 1 / 219
    y, u, v = unpack(packed, (4, 4), margin=0, format="yuv420p")
    assert y[0].tolist() == [16, 235, 16, 126]
    assert y[1:].ravel().tolist() == [126] * 12  # 125.5
    assert u.ravel().tolist() == v.ravel().tolist() == [128] * 4
