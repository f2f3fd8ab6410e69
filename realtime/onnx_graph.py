"""What the rest needs of ONNX graphs: read, check, infer shapes and types, work constants out beforehand.

The package onnx is no part of the base install; `package` loads it when first wanted.
"""

import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from allaprima.realtime.bundle import REINSTALL
from allaprima.realtime.errors import BackendUnavailable, BundleError

Model = Any
"""An `onnx.ModelProto`."""
Node = Any
"""An `onnx.NodeProto`."""
Sides = tuple[int | str, ...]
"""A shape; names and "" stand for open sides."""

FLOAT, HALF = 1, 10
"""`onnx.TensorProto.FLOAT` and ``FLOAT16``."""
RANDOM = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"}
)
LARGEST_CONSTANT = 1 << 20
"""Bytes that working a node out beforehand may add to the graph."""


def package() -> Any:
    """The package onnx with the parts used here.  Raises `BackendUnavailable` without it."""
    try:
        onnx = importlib.import_module("onnx")
        for part in ("reference", "shape_inference", "version_converter"):
            importlib.import_module(f"onnx.{part}")
    except ImportError as error:
        raise BackendUnavailable(f"nets cannot be put together for a GPU: {error}", "pip install onnx") from error
    return onnx


def load(file: Path) -> Model:
    """The model in a file.  Raises `BundleError` where there is none."""
    onnx = package()
    damaged: Any = importlib.import_module("google.protobuf.message").DecodeError
    try:
        return onnx.load(file)
    except (OSError, ValueError, damaged) as error:
        raise BundleError(f"{file} cannot be read: {first_line(error)}", REINSTALL) from error


def copied(model: Model) -> Model:
    copy = type(model)()
    copy.CopyFrom(model)
    return copy


def opset_of(model: Model) -> int:
    return max((int(item.version) for item in model.opset_import if item.domain in ("", "ai.onnx")), default=1)


def converted(model: Model, opset: int) -> Model:
    """The model in another opset.  Raises `BundleError` where its ops have no counterpart there."""
    if opset_of(model) == opset:
        return model
    try:
        return package().version_converter.convert_version(model, opset)
    except RuntimeError as error:
        wrong = f"a net of opset {opset_of(model)} cannot be brought to {opset}: {first_line(error)}"
        raise BundleError(wrong, "export the bundle's nets with one opset") from error


def checked(model: Model, wrong: str) -> Model:
    """The model itself, found valid, shapes and types included; else `BundleError`, beginning with ``wrong``."""
    onnx = package()
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise BundleError(f"{wrong}: {first_line(error)}", "export the bundle again") from error
    return model


def inferred(model: Model) -> Model:
    """A copy that says of every tensor what its type and shape are; onnx's ``InferenceError`` where they clash."""
    return package().shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)


def types(model: Model) -> dict[str, int]:
    """Element type of every tensor of an `inferred` model, by name."""
    found = {item.name: int(item.type.tensor_type.elem_type) for item in _values(model)}
    return found | {weight.name: int(weight.data_type) for weight in model.graph.initializer}


def shapes(model: Model) -> dict[str, Sides]:
    """Shape of every tensor of an `inferred` model whose rank is known, by name."""
    found = {
        item.name: tuple(
            int(side.dim_value) if side.HasField("dim_value") else str(side.dim_param)
            for side in item.type.tensor_type.shape.dim
        )
        for item in _values(model)
        if item.type.tensor_type.HasField("shape")
    }
    return found | {weight.name: tuple(weight.dims) for weight in model.graph.initializer}


def set_sides(item: Any, sides: Sides) -> None:
    """Give an input or output another shape."""
    kind = item.type.tensor_type.elem_type
    item.CopyFrom(package().helper.make_tensor_value_info(item.name, kind, sides))


def attributes(node: Node) -> dict[str, Any]:
    """A node's attributes as Python values, tensors as arrays."""
    onnx = package()
    found = {item.name: onnx.helper.get_attribute_value(item) for item in node.attribute}
    return {
        name: value.decode()
        if isinstance(value, bytes)
        else onnx.numpy_helper.to_array(value)
        if isinstance(value, onnx.TensorProto)
        else value
        for name, value in found.items()
    }


def simplify(model: Model) -> None:
    """Work out what depends on constants only, pass by what does nothing, drop what nothing depends on."""
    graph, opset = model.graph, opset_of(model)
    constants = {weight.name: weight for weight in graph.initializer}
    ends = {item.name for item in graph.output}
    same: dict[str, str] = {}
    nodes: list[Node] = []
    for node in graph.node:
        node.input[:] = [same.get(name, name) for name in node.input]
        if ends & set(node.output):
            nodes.append(node)
        elif node.op_type == "Identity":
            same[node.output[0]] = node.input[0]
        elif found := _worked_out(node, constants, opset):
            constants |= found
        else:
            nodes.append(node)
    wanted, kept = set(ends), []
    for node in reversed(nodes):
        if wanted & set(node.output):
            wanted |= set(node.input)
            kept.append(node)
    del graph.node[:], graph.initializer[:]
    graph.node.extend(reversed(kept))
    graph.initializer.extend(tensor for name, tensor in constants.items() if name in wanted)


def fold_shapes(model: Model) -> None:
    """In an `inferred` model, ``Shape`` of what has a known shape becomes a constant."""
    onnx, known = package(), shapes(model)
    for node in model.graph.node:
        if node.op_type == "Shape":
            cut = attributes(node)
            sides = known.get(node.input[0], ())[cut.get("start", 0) : cut.get("end")]
            if sides and all(isinstance(side, int) for side in sides):
                tensor = onnx.numpy_helper.from_array(np.array(sides, np.int64))
                node.CopyFrom(onnx.helper.make_node("Constant", [], list(node.output), value=tensor))


def first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _values(model: Model) -> Iterator[Any]:
    yield from (*model.graph.input, *model.graph.output, *model.graph.value_info)


def _worked_out(node: Node, constants: dict[str, Any], opset: int) -> dict[str, Any]:
    """What a node makes of constants alone, as tensors by name; nothing where it wants more, or makes too much."""
    given = [name for name in node.input if name]
    alone = node.op_type == "Constant" or (given and all(name in constants for name in given))
    if not alone or node.domain or node.op_type in RANDOM:
        return {}
    onnx = package()
    outputs = [onnx.helper.make_empty_tensor_value_info(name) for name in node.output]
    graph = onnx.helper.make_graph([node], "constants", [], outputs, [constants[name] for name in dict.fromkeys(given)])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)])
    try:
        values = [np.asarray(value) for value in onnx.reference.ReferenceEvaluator(model).run(None, {})]
    except NotImplementedError:
        return {}
    if node.op_type != "Constant" and sum(value.nbytes for value in values) > LARGEST_CONSTANT:
        return {}
    return {name: onnx.numpy_helper.from_array(value, name) for name, value in zip(node.output, values, strict=True)}
