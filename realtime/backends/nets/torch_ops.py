"""ONNX ops in torch: for each op a function that reads a node of a graph of fixed size and gives what it does.

Everything that is no tensor (axes, sizes, pads) is read once, when the graph is built; what then runs are calls into
torch with constants of Python.  Pictures have four axes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from allaprima.realtime.errors import BackendUnavailable

Run = Callable[..., Tensor]


@dataclass(frozen=True)
class Op:
    """A node, with what is known of it before anything runs."""

    kind: str
    attributes: dict[str, Any]
    inputs: tuple[str, ...]
    """Their names, "" for those left out."""
    constants: tuple[NDArray[Any] | None, ...]
    """Values of the inputs that are constants, None for the others."""
    sides: tuple[tuple[int, ...], ...]
    """Shapes of the inputs."""
    out: tuple[int, ...]
    """Shape of the output."""
    fused: bool
    """Norms in one call into torch, instead of arithmetic that any exporter knows."""
    in_place: bool
    """Nothing else reads the first input, and it is memory of its own."""

    def constant(self, index: int) -> NDArray[Any] | None:
        """An input that must be known beforehand; None where it is left out."""
        if index >= len(self.inputs) or not self.inputs[index]:
            return None
        if self.constants[index] is None:
            raise self.unknown(f"input {index} is worked out while it runs")
        return self.constants[index]

    def ints(self, index: int, attribute: str = "", default: list[int] | None = None) -> list[int]:
        """The same as integers; older opsets have some as an attribute."""
        found = self.attributes.get(attribute, self.constant(index))
        if found is None:
            found = default
        if found is None:
            raise self.unknown(f"input {index} is left out")
        return [int(value) for value in np.ravel(found)]

    def number(self, index: int) -> float | None:
        found = self.constant(index)
        return None if found is None else float(found)

    def unknown(self, what: str) -> BackendUnavailable:
        return BackendUnavailable(
            f"the torch runtime cannot do this {self.kind}: {what}", "paint with TensorRT or on the CPU"
        )


# ---- convolutions and pools ----


def _window(op: Op, kernel: tuple[int, ...]) -> tuple[dict[str, Any], list[int]]:
    """Stride, padding and dilation for torch, and what must be padded before because the sides differ."""
    if len(kernel) != 2:
        raise op.unknown(f"a window of {len(kernel)} axes")
    if op.attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise op.unknown(f"auto_pad {op.attributes['auto_pad']}")
    top, left, bottom, right = op.attributes.get("pads", [0, 0, 0, 0])
    window = {name: tuple(op.attributes.get(f"{name}s", (1, 1))) for name in ("stride", "dilation")}
    if (top, left) == (bottom, right):
        return window | {"padding": (top, left)}, []
    return window | {"padding": (0, 0)}, [left, right, top, bottom]


def _conv(op: Op) -> Run:
    window, before = _window(op, op.sides[1][2:])
    groups = op.attributes.get("group", 1)

    def run(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return F.conv2d(F.pad(x, before) if before else x, weight, bias, groups=groups, **window)

    return run


def _conv_transpose(op: Op) -> Run:
    window, before = _window(op, op.sides[1][2:])
    if before or "output_shape" in op.attributes:
        raise op.unknown("uneven padding")
    window |= {"groups": op.attributes.get("group", 1)}
    window |= {"output_padding": tuple(op.attributes.get("output_padding", (0, 0)))}
    return lambda x, weight, bias=None: F.conv_transpose2d(x, weight, bias, **window)


def _pool(op: Op) -> Run:
    kernel = tuple(op.attributes["kernel_shape"])
    window, before = _window(op, kernel)
    dilation = window.pop("dilation")
    if before or dilation != (1, 1) or op.attributes.get("ceil_mode", 0):  # runtimes differ in the last
        raise op.unknown("windows that are uneven, dilated or rounded up")
    if op.kind == "MaxPool":
        return lambda x: F.max_pool2d(x, kernel, **window)
    count = bool(op.attributes.get("count_include_pad", 0))
    return lambda x: F.avg_pool2d(x, kernel, count_include_pad=count, **window)


def _instance_norm(op: Op) -> Run:
    """Statistics in float32 also of float16, to which `scale` and `bias` are float32 then."""
    epsilon = op.attributes.get("epsilon", 1e-5)
    if op.sides[0][0] != 1:
        raise op.unknown("more than one picture")
    if op.fused:  # of one picture, batch norm is instance norm; unlike that, it takes channels-last as it is

        def fused(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
            x = x.contiguous(memory_format=torch.channels_last)  # a slice of channels is not
            # Without cuDNN, whose kernel for channels-last warns of overflow; torch's own is Welford's method.
            return torch.batch_norm(x, scale, bias, None, None, True, 0.0, epsilon, False)

        return fused

    def run(x: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        centered = x - x.mean((2, 3), keepdim=True)
        variance = (centered * centered).mean((2, 3), keepdim=True)
        return centered * (torch.rsqrt(variance + epsilon) * scale.view(1, -1, 1, 1)) + bias.view(1, -1, 1, 1)

    return run


# ---- shapes ----


def _slice(op: Op) -> Run:
    rank = len(op.sides[0])
    starts, ends = op.ints(1, "starts"), op.ints(2, "ends")
    axes = op.ints(3, "axes", list(range(len(starts))))
    steps = op.ints(4, "", [1] * len(starts))
    if min(steps) < 1:
        raise op.unknown("a negative step")
    parts = [slice(None)] * rank
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        parts[axis] = slice(start, end, step)
    index = tuple(parts)
    return lambda x: x[index]


def _reshape(op: Op) -> Run:
    return lambda x: x.reshape(op.out)


def _transpose(op: Op) -> Run:
    order = op.attributes.get("perm", list(reversed(range(len(op.out)))))
    return lambda x: x.permute(order)


def _concat(op: Op) -> Run:
    axis = op.attributes["axis"]
    return lambda *parts: torch.cat(parts, axis)


def _pad(op: Op) -> Run:
    pads, mode = op.ints(1, "pads"), op.attributes.get("mode", "constant")
    modes = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}
    if mode not in modes or len(op.sides) > 3:
        raise op.unknown(f"mode {mode}, or axes")
    rank = len(pads) // 2
    if any(pads[axis] or pads[rank + axis] for axis in range(rank - 2)):
        raise op.unknown("axes other than height and width")
    sides = [pads[rank - 1], pads[2 * rank - 1], pads[rank - 2], pads[2 * rank - 2]]
    value = op.number(2) or 0.0
    return lambda x: F.pad(x, sides, modes[mode], value if mode == "constant" else None)


def _depth_to_space(op: Op) -> Run:
    block = op.attributes["blocksize"]
    n, _, h, w = op.sides[0]
    if op.attributes.get("mode", "DCR") == "CRD":
        return lambda x: F.pixel_shuffle(x, block)
    return lambda x: x.reshape(n, block, block, -1, h, w).permute(0, 3, 4, 1, 5, 2).reshape(op.out)


def _space_to_depth(op: Op) -> Run:
    block = op.attributes["blocksize"]
    n, c, h, w = op.sides[0]
    split = (n, c, h // block, block, w // block, block)
    return lambda x: x.reshape(split).permute(0, 3, 5, 1, 2, 4).reshape(op.out)


SAME_NEAREST = {
    ("asymmetric", "floor"),
    ("half_pixel", "round_prefer_floor"),
    ("half_pixel", "round_prefer_ceil"),
    ("pytorch_half_pixel", "round_prefer_floor"),
    ("pytorch_half_pixel", "round_prefer_ceil"),
}
"""Ways to say "every pixel so many times", which differ for other factors only."""


def _resize(op: Op) -> Run:
    mode = op.attributes.get("mode", "nearest")
    where = op.attributes.get("coordinate_transformation_mode", "half_pixel")
    before, size = op.sides[0], op.out[2:]
    scales = op.constant(2)
    exact = scales is None or not scales.size or np.array_equal(np.array(before) * scales, op.out)
    if op.out[:2] != before[:2] or not exact or op.attributes.get("antialias", 0):
        raise op.unknown("sides that do not come out even")
    if mode == "nearest":
        nearest = op.attributes.get("nearest_mode", "round_prefer_floor")
        if (where, nearest) not in SAME_NEAREST or any(new % old for new, old in zip(size, before[2:], strict=True)):
            raise op.unknown(f"{where}, {nearest}, by no whole factor")
        return lambda x: F.interpolate(x, size, mode="nearest")
    if mode != "linear" or where not in ("half_pixel", "pytorch_half_pixel", "align_corners"):
        raise op.unknown(f"{mode}, {where}")
    corners = where == "align_corners"
    return lambda x: F.interpolate(x, size, mode="bilinear", align_corners=corners)


# ---- the rest ----


def _cast(op: Op) -> Run:
    kinds = {1: torch.float32, 10: torch.float16, 6: torch.int32, 7: torch.int64, 9: torch.bool}
    if op.attributes["to"] not in kinds:
        raise op.unknown(f"to type {op.attributes['to']}")
    kind = kinds[op.attributes["to"]]
    return lambda x: x.to(kind)


def _clip(op: Op) -> Run:
    least, most = op.number(1), op.number(2)
    return lambda x: torch.clamp(x, least, most)


def _mean(op: Op) -> Run:
    axes = [2, 3] if op.kind == "GlobalAveragePool" else op.ints(1, "axes", list(range(len(op.sides[0]))))
    keep = bool(op.attributes.get("keepdims", 1))
    return lambda x: x.mean(axes, keepdim=keep)


def _leaky(op: Op) -> Run:
    slope = op.attributes.get("alpha", 0.01)
    return lambda x: F.leaky_relu(x, slope)


def _plain(run: Run) -> Callable[[Op], Run]:
    return lambda op: run


OPS: dict[str, Callable[[Op], Run]] = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "AveragePool": _pool,
    "MaxPool": _pool,
    "InstanceNormalization": _instance_norm,
    "GlobalAveragePool": _mean,
    "ReduceMean": _mean,
    "Relu": lambda op: torch.relu_ if op.in_place else torch.relu,
    "LeakyRelu": _leaky,
    "PRelu": _plain(lambda x, slope: torch.where(x < 0, slope * x, x)),
    "Sigmoid": _plain(torch.sigmoid),
    "Tanh": _plain(torch.tanh),
    "Clip": _clip,
    "Add": _plain(torch.add),
    "Sub": _plain(torch.sub),
    "Mul": _plain(torch.mul),
    "Div": _plain(torch.div),
    "Pow": _plain(torch.pow),
    "Sqrt": _plain(torch.sqrt),
    "Exp": _plain(torch.exp),
    "Neg": _plain(torch.neg),
    "Abs": _plain(torch.abs),
    "Slice": _slice,
    "Reshape": _reshape,
    "Flatten": _reshape,
    "Squeeze": _reshape,
    "Unsqueeze": _reshape,
    "Transpose": _transpose,
    "Concat": _concat,
    "Pad": _pad,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "Resize": _resize,
    "Cast": _cast,
    "Identity": _plain(lambda x: x),
}
FIRST_ONLY = frozenset({"Slice", "Reshape", "Squeeze", "Unsqueeze", "Pad", "Resize", "Clip", "ReduceMean"})
"""Ops whose other inputs are read beforehand."""
FRESH = frozenset({"Conv", "ConvTranspose", "InstanceNormalization", "Add", "Sub", "Mul"})
"""Ops that write into memory of their own, which a ReLU behind them may overwrite."""
