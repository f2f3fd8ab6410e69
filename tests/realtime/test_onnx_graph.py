"""What is worked out of an ONNX graph beforehand, and what goes wrong with files."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="this is about ONNX graphs")

from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info  # noqa: E402
from onnx.numpy_helper import from_array, to_array  # noqa: E402

from allaprima.realtime import onnx_graph  # noqa: E402
from allaprima.realtime.errors import BundleError  # noqa: E402
from allaprima.realtime.onnx_graph import FLOAT, HALF  # noqa: E402


def graph(nodes: list[Any], weights: dict[str, Any] | None = None, opset: int = 17) -> Any:
    """From ``x (1, 2, 4, w)`` to ``y``."""
    ends = [[make_tensor_value_info(name, FLOAT, sides)] for name, sides in (("x", [1, 2, 4, "w"]), ("y", None))]
    tensors = [from_array(np.asarray(value), name) for name, value in (weights or {}).items()]
    made = make_graph(nodes, "graph", *ends, tensors)
    return make_model(made, opset_imports=[make_opsetid("", opset)], ir_version=8)


def ops(model: Any) -> list[str]:
    return [node.op_type for node in model.graph.node]


def test_chains_of_constants_become_one_constant() -> None:
    nodes = [
        make_node("Constant", [], ["a"], value=from_array(np.float32([1, 2]))),
        make_node("Constant", [], ["shape"], value=from_array(np.array([1, 2, 1, 1]))),
        make_node("Reshape", ["a", "shape"], ["b"]),
        make_node("Mul", ["b", "c"], ["d"]),
        make_node("Add", ["x", "d"], ["y"]),
    ]
    model = graph(nodes, {"c": np.float32(3)})
    onnx_graph.simplify(model)
    assert ops(model) == ["Add"]
    (constant,) = model.graph.initializer
    assert to_array(constant).tolist() == [[[[3]], [[6]]]]


def test_a_node_of_two_constant_outputs_is_worked_out_whole() -> None:
    nodes = [make_node("Split", ["c"], ["a", "b"], axis=0), make_node("Sum", ["x", "a", "b"], ["y"])]
    model = graph(nodes, {"c": np.float32([1, 2])})
    onnx_graph.simplify(model)
    assert {weight.name: to_array(weight).tolist() for weight in model.graph.initializer} == {"a": [1], "b": [2]}


@pytest.mark.parametrize(
    "node",
    [
        make_node("RandomNormalLike", ["c"], ["a"]),
        make_node("RandomNormal", [], ["a"], shape=[1]),
        make_node("Twist", ["c"], ["a"], domain="elsewhere"),
        make_node("Expand", ["c", "large"], ["a"]),
        make_node("Relu", ["x"], ["a"]),
    ],
    ids=lambda node: node.op_type,
)
def test_what_is_no_constant_or_too_large_stays(node: Any) -> None:
    model = graph([node, make_node("Add", ["x", "a"], ["y"])], {"c": np.float32([1]), "large": np.array([1 << 20])})
    onnx_graph.simplify(model)
    assert ops(model) == [node.op_type, "Add"]


def test_what_nothing_reads_goes_and_identities_are_passed_by_but_for_the_last() -> None:
    nodes = [
        make_node("Identity", ["x"], ["a"]),
        make_node("Identity", ["a"], ["b"]),
        make_node("Relu", ["b"], ["c"]),
        make_node("Tanh", ["x"], ["unread"]),
        make_node("Identity", ["c"], ["y"]),
    ]
    model = graph(nodes, {"nobody": np.float32(1)})
    onnx_graph.simplify(model)
    assert [(n.op_type, list(n.input)) for n in model.graph.node] == [("Relu", ["x"]), ("Identity", ["c"])]
    assert not model.graph.initializer


@pytest.mark.parametrize(("cut", "sides"), [({}, None), ({"end": 3}, [1, 2, 4]), ({"start": 1, "end": -1}, [2, 4])])
def test_a_shape_is_folded_where_it_is_known(cut: dict[str, int], sides: list[int] | None) -> None:
    """The width is open, so only a part without it is."""
    nodes = [make_node("Shape", ["x"], ["shape"], **cut), make_node("Expand", ["c", "shape"], ["y"])]
    model = onnx_graph.inferred(graph(nodes, {"c": np.float32([1])}))
    onnx_graph.fold_shapes(model)
    assert ops(model)[0] == ("Constant" if sides else "Shape")
    if sides:
        assert onnx_graph.attributes(model.graph.node[0])["value"].tolist() == sides


def test_attributes_are_python_values() -> None:
    node = make_node("Any", [], ["y"], mode="linear", pads=[0, 1], epsilon=0.5, value=from_array(np.float32([2])))
    found = onnx_graph.attributes(node)
    assert (found["mode"], list(found["pads"]), found["epsilon"], found["value"].tolist()) == (
        "linear",
        [0, 1],
        0.5,
        [2],
    )


def test_types_and_shapes_are_told_of_every_tensor() -> None:
    nodes = [make_node("Cast", ["x"], ["a"], to=HALF), make_node("Mul", ["a", "c"], ["b"])]
    nodes.append(make_node("Cast", ["b"], ["y"], to=FLOAT))
    model = onnx_graph.inferred(graph(nodes, {"c": np.float16([2])}))
    assert onnx_graph.types(model) == {"x": FLOAT, "a": HALF, "b": HALF, "c": HALF, "y": FLOAT}
    assert onnx_graph.shapes(model) == {**dict.fromkeys("xaby", (1, 2, 4, "w")), "c": (1,)}


@pytest.mark.parametrize("content", [None, b"", b"not a net"])
def test_a_file_that_holds_no_net_is_an_error(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "net.onnx"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BundleError, match=r"net\.onnx|not valid") as told:
        onnx_graph.checked(onnx_graph.load(file), "not valid")
    assert told.value.hint


def test_an_op_without_a_counterpart_in_the_other_opset_is_an_error() -> None:
    model = graph([make_node("Mish", ["x"], ["y"])], opset=18)
    assert onnx_graph.converted(model, 18) is model
    with pytest.raises(BundleError, match="opset 18 cannot be brought to 17"):
        onnx_graph.converted(model, 17)
