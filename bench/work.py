"""What a frame asks for: floating-point operations, and bytes that must at least travel from and to memory."""

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from allaprima.realtime.backends.layout import Layout
from allaprima.realtime.bundle import Bundle
from allaprima.realtime.frame import Color

Shape = tuple[int, ...]
Size = tuple[int, int]
"""Width and height in pixels."""

BYTES = {"bf16": 2, "fp16": 2, "f32": 4}
"""Of a number, by precision."""
CONVOLUTIONS = {"Convolution": 1, "GroupConvolution": 2, "Conv": 1}
"""Leading sides of the filters that do not multiply a pixel's work: of output channels, and groups before them."""
NORMS = frozenset({"MVN", "InstanceNormalization", "BatchNormalization"})
NORM_FLOP = 5
"""A value: into the sum and the sum of squares (3), less the mean, times the deviation's reciprocal."""
ONE_FLOP = frozenset(
    {"Add", "Subtract", "Multiply", "Divide", "Sub", "Mul", "Div", "Relu", "Clamp", "Clip"}
    | {"Maximum", "Minimum", "Max", "Min", "Abs", "Negative", "Neg"}
)


@dataclass(frozen=True, slots=True)
class Work:
    """A frame of one stage."""

    gflop: float = 0.0
    """Floating-point operations, a multiply-add is two; in 10^9."""
    megabytes: float = 0.0
    """In 10^6."""


@dataclass(frozen=True, slots=True)
class Op:
    """A node of a graph, whoever runs it."""

    kind: str
    inputs: tuple[Shape, ...]
    output: Shape

    @property
    def flop(self) -> int:
        """What it takes; what only moves values takes none."""
        values = math.prod(self.output)
        if self.kind in CONVOLUTIONS:
            return 2 * values * math.prod(self.inputs[1][CONVOLUTIONS[self.kind] :])
        if self.kind == "MatMul":
            return 2 * values * self.inputs[0][-1]
        if self.kind in NORMS:
            return NORM_FLOP * values
        return values if self.kind in ONE_FLOP else 0


@dataclass(frozen=True, slots=True)
class Graph:
    """What is run for a picture, and the bytes of what goes in, of what comes out and of its weights."""

    ops: tuple[Op, ...]
    bytes: int


def net_work(bundle: Bundle, size: Size, precision: str, cache: int = 0) -> Work:
    """Encoder, bank and decoder for a picture of ``size``, with its margin, as they really run.

    ``fp16`` counts the graph that a card runs (`network.half`, from and to packed pictures), every other precision the
    one that OpenVINO runs, from and to bytes of a BT.709 stream, whose colors need no conversion.

    The bytes are the least that a program could do with that computes nothing twice: the picture in and out, each
    weight once, and what a norm holds up.  Convolutions between two norms can pass their values on within the chip,
    tile by tile; a norm gives its first value when it has seen the last, so what of its input does not fit into
    ``cache`` bytes is written and read again.
    """
    kind = "card" if precision == "fp16" else "cpu"
    graph = _graph(bundle.path, tuple(sorted(bundle.manifest.sha256.items())), size, kind, BYTES.get(precision, 4))
    held = [BYTES.get(precision, 4) * math.prod(op.output) for op in graph.ops if op.kind in NORMS]
    spilled = sum(2 * max(0, each - cache) for each in held)
    return Work(sum(op.flop for op in graph.ops) / 1e9, (graph.bytes + spilled) / 1e6)


@lru_cache(maxsize=32)
def _graph(path: Path, hashes: tuple[tuple[str, str], ...], size: Size, kind: str, each: int) -> Graph:
    """``hashes`` tell another bundle at the same place from this one."""
    bundle = Bundle(path, verify=False)
    return _on_card(bundle, size, each) if kind == "card" else _on_cpu(bundle, size, each)


def _on_cpu(bundle: Bundle, size: Size, each: int) -> Graph:
    import openvino as ov

    from allaprima.realtime.backends.graph import join

    width, height = Layout(size).padded
    model, _ = join(ov.Core(), bundle, (height, width), Color(matrix=1), 1)
    ops, weights = [], 0
    for node in model.get_ordered_ops():
        kind = str(node.get_type_name())
        if kind == "Constant":
            weights += math.prod(node.get_output_shape(0))
        elif kind not in ("Parameter", "Result"):
            inputs = tuple(tuple(item.get_shape()) for item in node.inputs())
            ops.append(Op(kind, inputs, tuple(node.get_output_shape(0))))
    ends = sum(math.prod(item.get_shape()) * item.get_element_type().size for item in (*model.inputs, *model.outputs))
    return Graph(tuple(ops), ends + each * weights)


def _on_card(bundle: Bundle, size: Size, each: int) -> Graph:
    from allaprima.realtime import network, onnx_graph

    model = network.with_size(network.joined(bundle), *Layout(size).cells)
    shapes: dict[str, Any] = onnx_graph.shapes(model)
    ops = tuple(
        Op(node.op_type, tuple(shapes.get(name, ()) for name in node.input), shapes.get(node.output[0], ()))
        for node in model.graph.node
    )
    ends = (*model.graph.input, *model.graph.output, *model.graph.initializer)
    return Graph(ops, each * sum(math.prod(shapes[item.name]) for item in ends))


def stage_work(stage: str, size: Size) -> Work:
    """A stage other than the nets, in bytes that its results cannot do without: arguments read, results written.

    Operations are 0: none of these stages multiplies matrices, and how much is done depends on the picture (what rests
    is copied).  Passes over intermediates in between are the program's choice and do not count; nor does what a card's
    stages move between host and device, which has a bus of its own.  A stage not listed here has no bytes.
    """
    layout = Layout(size)
    picture = 1.5 * math.prod(size)
    padded, small = 1.5 * math.prod(layout.padded), math.prod(layout.small)
    flow = 4 * 3 * small  # two components and the confidence
    return Work(
        megabytes={
            "decode": picture,
            "upload": picture + padded + small,
            "motion": 2 * small + flow,
            "blend": (1 + 1 + 4 + 4) * padded + flow,  # new and shown; history and what is carried on, in floats
            "encode": picture,
        }.get(stage, 0.0)
        / 1e6
    )
