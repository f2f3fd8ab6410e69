"""Every op in torch against OpenVINO's, and what each cannot do."""

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the torch runtime needs torch")
onnx = pytest.importorskip("onnx", reason="the torch runtime needs onnx")

from onnx.helper import (  # noqa: E402
    make_empty_tensor_value_info,
    make_graph,
    make_model,
    make_node,
    make_opsetid,
    make_tensor_value_info,
)
from onnx.numpy_helper import from_array  # noqa: E402

from allaprima.realtime import onnx_graph  # noqa: E402
from allaprima.realtime.backends.nets.torch_net import Graph  # noqa: E402
from allaprima.realtime.backends.nets.torch_ops import OPS  # noqa: E402
from allaprima.realtime.errors import BackendUnavailable  # noqa: E402
from allaprima.realtime.onnx_graph import FLOAT, HALF  # noqa: E402

from .... import nets  # noqa: E402

RNG = np.random.default_rng(0)
SIDES = (1, 8, 6, 10)
K3 = RNG.normal(size=(4, 8, 3, 3)).astype(np.float32)
K2 = RNG.normal(size=(8, 3, 2, 2)).astype(np.float32)
C8 = RNG.normal(size=8).astype(np.float32)
MAP = RNG.uniform(0.2, 1, SIDES).astype(np.float32)


def graph(kind: str, *constants: Any, opset: int = 17, **attributes: Any) -> Any:
    """One op on ``packed`` and constants; None leaves an input out."""
    weights = [from_array(np.asarray(c), f"c{i}") for i, c in enumerate(constants) if c is not None]
    names = ["packed", *(f"c{i}" if c is not None else "" for i, c in enumerate(constants))]
    ends = [make_tensor_value_info("packed", FLOAT, SIDES)], [make_empty_tensor_value_info("y")]
    made = make_graph([make_node(kind, names, ["y"], **attributes)], "graph", *ends, weights)
    return onnx_graph.inferred(make_model(made, opset_imports=[make_opsetid("", opset)], ir_version=8))


def ints(*values: int) -> Any:
    return np.array(values, np.int64)


CASES = {
    "same padding": graph("Conv", K3, C8[:4], pads=[1, 1, 1, 1]),
    "uneven padding": graph("Conv", K3, pads=[0, 1, 2, 1], strides=[2, 1]),
    "dilated": graph("Conv", K3, dilations=[2, 2], pads=[2, 2, 2, 2]),
    "grouped": graph("Conv", K3[:, :2], group=4),
    "upward": graph("ConvTranspose", K2, C8[:3], strides=[2, 2]),
    "upward, grouped": graph("ConvTranspose", K2, group=8, strides=[2, 2], output_padding=[1, 0]),
    "mean pool": graph("AveragePool", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
    "mean pool, padding counts": graph("AveragePool", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
    "max pool": graph("MaxPool", kernel_shape=[2, 2], strides=[2, 2]),
    "norm": graph("InstanceNormalization", C8, C8[::-1].copy(), epsilon=1e-3),
    "global mean": graph("GlobalAveragePool"),
    "mean, by attribute": graph("ReduceMean", axes=[1], keepdims=0),
    "mean, by input": graph("ReduceMean", ints(2, 3), opset=18),
    "mean of all": graph("ReduceMean"),
    "relu": graph("Relu"),
    "leaky": graph("LeakyRelu", alpha=0.2),
    "slopes": graph("PRelu", C8.reshape(8, 1, 1)),
    "sigmoid": graph("Sigmoid"),
    "tanh": graph("Tanh"),
    "clip": graph("Clip", np.float32(-0.3), np.float32(0.4)),
    "clip above": graph("Clip", None, np.float32(0.4)),
    "add": graph("Add", MAP),
    "sub": graph("Sub", C8.reshape(8, 1, 1)),
    "mul": graph("Mul", np.float32(3)),
    "div": graph("Div", MAP),
    "pow": graph("Pow", np.float32(2)),
    "exp": graph("Exp"),
    "neg": graph("Neg"),
    "abs": graph("Abs"),
    "slice": graph("Slice", ints(1, -4), ints(2**63 - 1, 9), ints(2, 3), ints(2, 1)),
    "slice of the first axes": graph("Slice", ints(0, 3), ints(1, 7)),
    "reshape": graph("Reshape", ints(0, 2, 4, -1, 5)),
    "flatten": graph("Flatten", axis=2),
    "squeeze": graph("Squeeze", ints(0)),
    "unsqueeze": graph("Unsqueeze", ints(3)),
    "transpose": graph("Transpose", perm=[0, 2, 3, 1]),
    "transpose all": graph("Transpose"),
    "concat": graph("Concat", MAP, axis=1),
    "pad": graph("Pad", ints(0, 0, 1, 2, 0, 0, 3, 0), np.float32(0.5)),
    "pad by reflection": graph("Pad", ints(0, 0, 1, 2, 0, 0, 3, 0), mode="reflect"),
    "pad by edge": graph("Pad", ints(0, 0, 1, 2, 0, 0, 3, 0), mode="edge"),
    "depth to space": graph("DepthToSpace", blocksize=2),
    "pixel shuffle": graph("DepthToSpace", blocksize=2, mode="CRD"),
    "space to depth": graph("SpaceToDepth", blocksize=2),
    "nearest": graph("Resize", None, np.float32([1, 1, 2, 3]), mode="nearest",
                     coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
    "nearest, by sizes": graph("Resize", None, None, ints(1, 8, 12, 40), mode="nearest"),
    "linear": graph("Resize", None, np.float32([1, 1, 1.5, 2]), mode="linear"),
    "linear, corners": graph("Resize", None, None, ints(1, 8, 11, 7), mode="linear",
                             coordinate_transformation_mode="align_corners"),
    "to whole numbers": graph("Cast", to=onnx.TensorProto.INT32),
    "identity": graph("Identity"),
}  # fmt: skip


def given() -> Any:
    return np.random.default_rng(1).normal(size=SIDES).astype(np.float32)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("name", CASES)
def test_an_op_does_what_it_does_in_openvino(name: str, fused: bool) -> None:
    model, packed = CASES[name], given()
    found = Graph(model, fused)(packed=torch.from_numpy(packed)).numpy()
    wanted = nets.in_openvino(model, {"packed": packed})
    assert found.shape == wanted.shape
    assert (found.dtype == np.int32) == (name == "to whole numbers")
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=5e-6)


def test_square_roots_too() -> None:
    model = graph("Sqrt")
    found = Graph(model)(packed=torch.from_numpy(MAP))
    np.testing.assert_allclose(found.numpy(), np.sqrt(MAP), rtol=1e-6)


def test_no_op_is_left_untried() -> None:
    tried = {node.op_type for model in CASES.values() for node in model.graph.node}
    assert OPS.keys() - tried == {"Sqrt"}


@pytest.mark.parametrize("kind", ["float32", "float16"])
def test_casts_go_both_ways(kind: str) -> None:
    there, back = (HALF, FLOAT) if kind == "float32" else (FLOAT, HALF)
    nodes = [make_node("Cast", ["packed"], ["a"], to=there), make_node("Cast", ["a"], ["y"], to=back)]
    ends = [make_tensor_value_info("packed", back, SIDES)], [make_tensor_value_info("y", back, SIDES)]
    made = make_model(make_graph(nodes, "g", *ends), opset_imports=[make_opsetid("", 17)], ir_version=8)
    packed = given().astype(kind)
    found = Graph(onnx_graph.inferred(made))(packed=torch.from_numpy(packed))
    np.testing.assert_array_equal(found.numpy(), packed.astype(np.float16).astype(kind))


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (graph("Erf"), "does not know the op Erf"),
        (graph("Conv", K3, auto_pad="SAME_UPPER"), "auto_pad SAME_UPPER"),
        (graph("ConvTranspose", K2, pads=[0, 1, 1, 0]), "uneven padding"),
        (graph("AveragePool", kernel_shape=[2, 2], pads=[0, 0, 1, 1]), "uneven"),
        (graph("MaxPool", kernel_shape=[4, 4], ceil_mode=1), "rounded up"),
        (graph("Slice", ints(5), ints(1), ints(2), ints(-1)), "negative step"),
        (graph("Pad", ints(0, 1, 0, 0, 0, 1, 0, 0)), "axes other than"),
        (graph("Resize", None, np.float32([1, 1, 2, 2]), mode="cubic"), "cubic, half_pixel"),
        (graph("Resize", None, np.float32([1, 1, 1.5, 1.5])), "by no whole factor"),
        (graph("Resize", None, np.float32([1, 1, 1.25, 1]), mode="linear"), "do not come out even"),
        (graph("Cast", to=onnx.TensorProto.DOUBLE), "to type 11"),
    ],
)
def test_what_it_cannot_do_is_named(model: Any, says: str) -> None:
    with pytest.raises(BackendUnavailable, match=says) as told:
        Graph(model)
    assert told.value.hint


def test_what_is_worked_out_while_it_runs_is_named() -> None:
    nodes = [make_node("ReduceMean", ["packed"], ["mean"], keepdims=0), make_node("Clip", ["packed", "mean"], ["y"])]
    ends = [make_tensor_value_info("packed", FLOAT, SIDES)], [make_tensor_value_info("y", FLOAT, SIDES)]
    made = make_model(make_graph(nodes, "g", *ends), opset_imports=[make_opsetid("", 17)], ir_version=8)
    with pytest.raises(BackendUnavailable, match="input 1 is worked out while it runs"):
        Graph(onnx_graph.inferred(made))


def test_a_graph_of_open_size_is_refused() -> None:
    ends = [make_tensor_value_info("packed", FLOAT, ["n", 8])], [make_empty_tensor_value_info("y")]
    made = make_graph([make_node("Relu", ["packed"], ["y"])], "g", *ends)
    with pytest.raises(BackendUnavailable, match="the shape of packed is open"):
        Graph(onnx_graph.inferred(make_model(made, opset_imports=[make_opsetid("", 17)], ir_version=8)))
