"""Whether TensorRT's ONNX parser takes a graph, told without TensorRT.

From the operator support matrix of onnx-tensorrt (``docs/operators.md``) for TensorRT 10.15, the oldest release that
is used here.  A convolution's kernel may be an input of the whole, as long as its shape is fixed: the parser has a
road of its own for that (``convMultiInput``).
"""

from collections.abc import Iterator
from typing import Any

from allaprima.realtime import onnx_graph
from allaprima.realtime.errors import BundleError
from allaprima.realtime.onnx_graph import FLOAT, HALF, Model, Node

OPSETS = range(9, 25)
_MATRIX = """
    Abs Acos Acosh Add ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization Cast CastLike Ceil Celu Clip
    Concat Constant ConstantOfShape Conv ConvTranspose Cos Cosh CumSum DeformConv DepthToSpace Div Dropout Einsum Elu
    Equal Erf Exp Expand EyeLike Flatten Floor Gather GatherElements GatherND Gelu Gemm GlobalAveragePool GlobalLpPool
    GlobalMaxPool Greater GreaterOrEqual GridSample GroupNormalization HardSigmoid HardSwish Hardmax Identity
    InstanceNormalization IsInf IsNaN LRN LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax LpNormalization
    LpPool MatMul Max MaxPool Mean MeanVarianceNormalization Min Mish Mod Mul Neg OneHot PRelu Pad Pow RMSNormalization
    Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum
    ReduceSumSquare Relu Reshape Resize ReverseSequence RoiAlign Round ScatterElements ScatterND Selu Shape Shrink
    Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub Sum Tan Tanh
    ThresholdedRelu Tile TopK Transpose Trilu Unsqueeze Upsample Where
"""
OPS = frozenset(_MATRIX.split())
"""Ops that the parser takes in float32 and in float16, but for control flow, recurrent and random ones."""
TYPES = {FLOAT: "float32", HALF: "float16", 6: "int32", 7: "int64", 9: "bool"}
"""ONNX's types that tensors between ops may have there."""
AXES = {"Slice": 3, "Squeeze": 1, "Unsqueeze": 1, "CumSum": 1}
"""The input of an op that must be known when the engine is built; of reductions it is the first."""
COORDINATES = frozenset({"half_pixel", "pytorch_half_pixel", "tf_half_pixel_for_nn", "asymmetric", "align_corners"})


def problems(model: Model) -> list[str]:
    """What in a graph the parser would refuse, a line each; empty where it takes all.

    ``model`` is a `network.joined` one, in any precision, with or without a size.  That types fit, which a strongly
    typed network wants as well, is part of ONNX's own check.
    """
    try:
        model = onnx_graph.inferred(model)
    except onnx_graph.package().shape_inference.InferenceError as error:
        return [f"types or shapes do not fit: {onnx_graph.first_line(error)}"]
    opset = onnx_graph.opset_of(model)
    found = [] if opset in OPSETS else [f"opset {opset} is not one of {OPSETS[0]} to {OPSETS[-1]}"]
    types, shapes = onnx_graph.types(model), onnx_graph.shapes(model)
    constants = {weight.name for weight in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Constant":
            constants |= set(node.output)
        found += [
            f"{node.op_type} ({node.name or node.output[0]}): {problem}"
            for problem in _problems(node, types, shapes, constants)
        ]
    return found


def require(model: Model) -> None:
    """Raise `BundleError` with the first of a graph's `problems`, if there is one."""
    if found := problems(model):
        more = f", and {len(found) - 1} more" if len(found) > 1 else ""
        raise BundleError(f"TensorRT does not take these nets: {found[0]}{more}", "paint with torch or on the CPU")


def _problems(node: Node, types: dict[str, int], shapes: dict[str, Any], constants: set[str]) -> Iterator[str]:
    kind = node.op_type
    if node.domain not in ("", "ai.onnx") or kind not in OPS:
        yield "the parser does not know it"
        return
    if strange := {types[name] for name in (*node.input, *node.output) if name in types} - TYPES.keys():
        yield f"nothing is computed in ONNX's type {min(strange)}"
    axes = 1 if kind.startswith("Reduce") else AXES.get(kind, len(node.input))
    if axes < len(node.input) and node.input[axes] and node.input[axes] not in constants:
        yield "its axes are worked out while it runs"
    attributes = onnx_graph.attributes(node)
    window = attributes.get("kernel_shape", ())
    if kind in ("Conv", "ConvTranspose"):
        window = shapes[node.input[1]][2:]
        if not all(isinstance(side, int) for side in shapes[node.input[1]]):
            yield "the shape of its kernel is open"
    if (window or kind.endswith("Conv")) and len(window) not in (2, 3):
        yield "only windows of two or three axes are taken"
    if kind.endswith("Pool") and any(step != 1 for step in attributes.get("dilations", ())):
        yield "its windows are dilated"
    if kind in ("MaxPool", "LayerNormalization") and len([name for name in node.output if name]) > 1:
        yield "it has more than one output"
    if kind == "Resize" and not (
        attributes.get("mode", "nearest") in ("nearest", "linear")
        and attributes.get("coordinate_transformation_mode", "half_pixel") in COORDINATES
        and attributes.get("keep_aspect_ratio_policy", "stretch") == "stretch"
        and not attributes.get("antialias", 0)
    ):
        yield f"not in this mode: {attributes}"
