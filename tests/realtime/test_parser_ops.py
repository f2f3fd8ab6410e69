"""What TensorRT's parser would take, and what it would refuse and why."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="this is about ONNX graphs")

from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info  # noqa: E402
from onnx.numpy_helper import from_array  # noqa: E402

from allaprima.realtime import parser_ops  # noqa: E402
from allaprima.realtime.bundle import Bundle, shipped_bundle  # noqa: E402
from allaprima.realtime.errors import BundleError  # noqa: E402
from allaprima.realtime.network import half, joined, with_size  # noqa: E402
from allaprima.realtime.onnx_graph import FLOAT  # noqa: E402


@pytest.mark.parametrize("regions", [1, 2])
@pytest.mark.parametrize("which", ["shipped", "tiny"])
def test_the_parser_takes_our_bundles_in_every_precision(tiny_bundle: Path, which: str, regions: int) -> None:
    model = joined(Bundle(tiny_bundle if which == "tiny" else shipped_bundle()), regions)
    for form in (model, half(model), half(model, whole=False), with_size(half(model), 24, 32)):
        assert parser_ops.problems(form) == []
        parser_ops.require(form)


def graph(*nodes: Any, opset: int = 17, **weights: Any) -> Any:
    """From ``x (1, 2, 8, 8)``, an int64 ``i (1)`` and a kernel ``k (2, 2, n, 3)`` to ``y``."""
    shapes = {"x": [1, 2, 8, 8], "k": [2, 2, "n", 3]}
    ins = [make_tensor_value_info(name, FLOAT, sides) for name, sides in shapes.items()]
    ins.append(make_tensor_value_info("i", onnx.TensorProto.INT64, [1]))
    tensors = [from_array(np.asarray(value), name) for name, value in weights.items()]
    made = make_graph(list(nodes), "graph", ins, [make_tensor_value_info("y", FLOAT, None)], tensors)
    domains = [make_opsetid("", opset), make_opsetid("elsewhere", 1)]
    return make_model(made, opset_imports=domains, ir_version=8)


SCALES = np.float32([1, 1, 2, 2])


@pytest.mark.parametrize(
    ("model", "says"),
    [
        (graph(make_node("Twist", ["x"], ["y"], domain="elsewhere")), ["does not know it"]),
        (graph(make_node("Det", ["x"], ["y"])), ["does not know it"]),
        (graph(make_node("Conv", ["x", "k"], ["y"])), ["shape of its kernel is open"]),
        (graph(make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], dilations=[2, 2])), ["dilated"]),
        (graph(make_node("MaxPool", ["x"], ["y", "z"], kernel_shape=[2, 2])), ["more than one output"]),
        (graph(make_node("Resize", ["x", "", "s"], ["y"], mode="cubic"), s=SCALES), ["not in this mode"]),
        (graph(make_node("Resize", ["x", "", "s"], ["y"], antialias=1), s=SCALES, opset=18), ["not in this mode"]),
        (
            graph(
                make_node("Squeeze", ["x", "a"], ["b"]),
                make_node("Conv", ["b", "w"], ["y"]),
                a=np.array([0]),
                w=np.zeros((4, 8, 3), np.float32),
            ),
            ["windows of two or three axes"],
        ),
        (graph(make_node("Add", ["x", "h"], ["y"]), h=np.float16([1])), ["types or shapes do not fit"]),
        (graph(make_node("Slice", ["x", "n", "n", "i"], ["y"]), n=np.array([1])), ["axes are worked out"]),
        (graph(make_node("ReduceSum", ["x", "i"], ["y"])), ["axes are worked out"]),
        (graph(make_node("Cast", ["x"], ["a"], to=11), make_node("Cast", ["a"], ["y"], to=FLOAT)), ["type 11"] * 2),
        (graph(make_node("Relu", ["x"], ["y"]), opset=8), ["opset 8 is not one of 9 to 24"]),
        (graph(make_node("Relu", ["x"], ["y"])), []),
        (graph(make_node("Squeeze", ["x", "a"], ["y"]), a=np.array([0])), []),
        (graph(make_node("Conv", ["x", "w"], ["y"]), w=np.zeros((2, 2, 3, 3), np.float32)), []),
    ],
)
def test_what_it_would_refuse_is_named(model: Any, says: list[str]) -> None:
    found = parser_ops.problems(model)
    assert len(found) == len(says), found
    assert all(part in problem for part, problem in zip(says, found, strict=True)), found


def test_requiring_says_the_first_and_how_many_more() -> None:
    model = graph(
        make_node("Twist", ["x"], ["a"], domain="elsewhere"), make_node("Twist", ["a"], ["y"], domain="elsewhere")
    )
    with pytest.raises(BundleError, match=r"Twist \(a\): the parser does not know it, and 1 more"):
        parser_ops.require(model)
