"""Encoder, bank and decoder joined into one OpenVINO graph, from YUV bytes to YUV bytes.

Color never needs a pass of its own: a byte is scaled while it is repacked, and the matrix of the stream
(BT.601, BT.2020) to the nets' BT.709 is a 24x24 product at quarter size.
"""

from typing import Any

import numpy as np
import openvino as ov
import openvino.opset13 as op
from numpy.typing import NDArray

from allaprima.realtime.bundle import NETS, Bundle
from allaprima.realtime.frame import Color

Map = NDArray[np.float32]


Output = Any
"""An OpenVINO node's output."""


Sizes = dict[str, tuple[int, int]]
"""Height and width of each feature map that an encoder gives, by name."""


def join(core: Any, bundle: Bundle, shape: tuple[int, int], color: Color, regions: int) -> tuple[Any, Sizes]:
    """One `ov.Model` that paints a picture whose padded luma plane has ``shape`` ``(height, width)``.

    Inputs: ``y u v`` (bytes), ``strength``, the filters of each region as ``NAME_0`` (and ``NAME_1``), and
    with two regions ``mask_MAP`` for every feature map ``MAP`` of the encoder.  Outputs: ``y_out u_out v_out``.
    """
    joiner = _Joiner(core, bundle, shape, color)
    return joiner.model(regions), joiner.sizes


class _Joiner:
    def __init__(self, core: Any, bundle: Bundle, shape: tuple[int, int], color: Color) -> None:
        self._nets = {net: core.read_model(bundle.path / f"{net}.onnx") for net in NETS}
        self._shape, self._color = shape, color
        self.sizes: Sizes = {}
        self._parameters: list[Any] = []

    def model(self, regions: int) -> Any:
        height, width = self._shape
        y = self._parameter("y", [1, 1, height, width], ov.Type.u8)
        u, v = (self._parameter(name, [1, 1, height // 2, width // 2], ov.Type.u8) for name in "uv")
        packed = _pack(y, u, v, self._color, height)
        features = _attach(self._nets["encoder"], {"packed": packed})
        self.sizes = {part: (_dims(value)[2], _dims(value)[3]) for part, value in features.items()}
        packed = _attach(self._nets["decoder"], self._painted(features, regions))["packed"]
        planes = _unpack(packed, self._color, height)
        results = [self._result(f"{name}_out", plane) for name, plane in zip("yuv", planes, strict=True)]
        return ov.Model(results, self._parameters, "allaprima")

    def _painted(self, features: dict[str, Output], regions: int) -> dict[str, Output]:
        """Features through the bank, once for each region, put together by the mask."""
        strength = self._parameter("strength", [1, 1, 1, 1])
        found = [self._bank(features, strength, index) for index in range(regions)]
        if regions == 1:
            return found[0]
        both = {}
        for part, size in self.sizes.items():
            mask = self._parameter(f"mask_{part}", [1, 1, *size])
            both[part] = _mix(found[0][part], found[1][part], mask)
        return both

    def _bank(self, features: dict[str, Output], strength: Any, index: int) -> dict[str, Output]:
        bank = self._nets["bank"].clone()
        filters = {
            name: self._parameter(f"{name}_{index}", _dims(item))
            for item in bank.inputs
            if (name := item.get_any_name()) not in (*self.sizes, "strength")
        }
        found = _attach(bank, {**features, "strength": strength, **filters})
        return {part: found[f"{part}_out"] for part in self.sizes}

    def _parameter(self, name: str, dims: list[int], kind: Any = ov.Type.f32) -> Any:
        node = op.parameter(dims, kind, name=name)
        node.output(0).tensor.set_names({name})
        self._parameters.append(node)
        return node

    def _result(self, name: str, value: Any) -> Any:
        node = op.result(value)
        node.output(0).tensor.set_names({name})
        return node


def _dims(value: Any) -> list[int]:
    return [dimension.get_length() for dimension in value.get_partial_shape()]


def _mix(a: Any, b: Any, t: Any) -> Output:
    return op.add(a, op.multiply(t, op.subtract(b, a))).output(0)


def _attach(model: Any, inputs: dict[str, Any]) -> dict[str, Output]:
    """Put ``inputs`` in place of a model's parameters, by name; gives what it computes, by name."""
    outputs = {name: value.output(0) if hasattr(value, "output") else value for name, value in inputs.items()}
    model.reshape({name: value.get_partial_shape() for name, value in outputs.items()})
    found = {item.get_any_name(): item.get_node().input_value(0) for item in model.outputs}
    for item in model.inputs:
        item.replace(outputs[item.get_any_name()])
    return found


def levels(color: Color) -> tuple[float, float, float]:
    """``(middle, luma, chroma)``: byte = middle + luma * y, byte = 128 + chroma * c for y, c in -1..1."""
    return (127.5, 127.5, 127.5) if color.full_range else (125.5, 109.5, 112.0)


def to_bt709(color: Color, height: int) -> NDArray[np.float64]:
    """3x3 matrix from this color's normalised ``(y, u, v)`` to BT.709's (H.273 equations 38-40)."""

    def rgb_to_yuv(kr: float, kb: float) -> NDArray[np.float64]:
        y = np.array([kr, 1 - kr - kb, kb])
        # y spans -1..1 here, twice its usual unit; u and v span -1..1 as well.
        return np.stack([2 * y, (np.array([0, 0, 1]) - y) / (1 - kb), (np.array([1, 0, 0]) - y) / (1 - kr)])

    return rgb_to_yuv(0.2126, 0.0722) @ np.linalg.inv(rgb_to_yuv(*color.coefficients(height)))


def packed_matrix(matrix: NDArray[np.float64]) -> Map:
    """The 24x24 matrix that does to a packed picture what a 3x3 matrix does to ``(y, u, v)``.

    Chroma sees the mean of its four luma samples; luma sees its own chroma sample.
    """
    full = np.zeros((24, 24))
    for row in range(4):
        for column in range(4):
            i, site = row * 4 + column, (row // 2) * 2 + column // 2
            full[i, i] = matrix[0, 0]
            for c in (1, 2):
                full[i, 12 + 4 * c + site] = matrix[0, c]
                full[12 + 4 * c + site, i] = matrix[c, 0] / 4
    for c in (1, 2):
        for d in (1, 2):
            for site in range(4):
                full[12 + 4 * c + site, 12 + 4 * d + site] = matrix[c, d]
    return full.astype(np.float32)


def _recolor(packed: Any, matrix: NDArray[Any]) -> Any:
    if np.allclose(matrix, np.eye(3), atol=1e-6):
        return packed
    weight = op.constant(packed_matrix(matrix)[:, :, None, None])
    return op.convolution(packed, weight, [1, 1], [0, 0], [0, 0], [1, 1])


def _pack(y: Any, u: Any, v: Any, color: Color, height: int) -> Any:
    middle, luma, chroma = levels(color)

    def normal(plane: Any, zero: float, unit: float, block: int) -> Any:
        split = op.space_to_depth(plane, "depth_first", block)
        return op.multiply(op.subtract(op.convert(split, "f32"), np.float32(zero)), np.float32(1 / unit))

    packed = op.concat([normal(y, middle, luma, 4), normal(u, 128, chroma, 2), normal(v, 128, chroma, 2)], 1)
    return _recolor(packed, to_bt709(color, height))


def _unpack(packed: Any, color: Color, height: int) -> list[Any]:
    middle, luma, chroma = levels(color)
    back = _recolor(packed, np.linalg.inv(to_bt709(color, height)))
    parts = op.variadic_split(back, op.constant(1), op.constant([16, 4, 4]))
    black, white = (0.0, 255.0) if color.full_range else (16.0, 235.0)

    def bytes_(index: int, zero: float, unit: float, block: int, top: float) -> Any:
        scaled = op.add(op.multiply(parts.output(index), np.float32(unit)), np.float32(zero + 0.5))
        return op.depth_to_space(op.convert(op.clamp(scaled, black, top + 0.5), "u8"), "depth_first", block)

    top = 255.0 if color.full_range else 240.0
    return [bytes_(0, middle, luma, 4, white), bytes_(1, 128, chroma, 2, top), bytes_(2, 128, chroma, 2, top)]
