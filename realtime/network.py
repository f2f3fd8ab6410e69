"""A bundle's three nets as one ONNX graph, for the runtimes of a GPU: `joined`, `with_size`, `half`.

The graph has the inputs

* ``packed`` ``(1, 24, h, w)``: a packed picture (`kernels.reference.pack`), h and w a quarter of the padded luma's;
* ``strength`` ``(1, 1, 1, 1)`` in 0..1;
* ``KEY_0`` for every filter ``KEY`` of a style, and with two regions ``KEY_1``;
* with two regions ``mask_MAP`` ``(1, 1, mh, mw)`` in 0..1 for every feature map ``MAP`` of the encoder: where the
  second style goes, at that map's size;

and the output ``painted`` ``(1, 24, h, w)``.  No GPU is needed here, but the package onnx is: without it everything
raises `BackendUnavailable`.
"""

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from allaprima.realtime import onnx_graph
from allaprima.realtime.bundle import NETS, Bundle
from allaprima.realtime.errors import BundleError, ConfigError
from allaprima.realtime.onnx_graph import FLOAT, HALF, Model, Node, Sides, package

OPSET = 17
"""The oldest opset that comes out; nets of a newer one keep it."""
CHANNELS = 24
"""Of a packed picture."""
STATISTICS = frozenset(
    {"InstanceNormalization", "LayerNormalization", "GroupNormalization", "MeanVarianceNormalization"}
    | {"LpNormalization", "GlobalAveragePool", "ReduceMean", "ReduceSum", "ReduceSumSquare"}
    | {"ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp"}
)
"""Ops that sum over whole feature maps: in float16 such sums lose digits or overflow."""
FLOAT_INPUTS = {"Resize": (1, 2), "Upsample": (1,)}
"""Inputs that are no part of the picture and stay float32: regions and scales."""
EXPORT = "export the bundle again"


def joined(bundle: Bundle, regions: int = 1) -> Model:
    """Encoder, bank and decoder as one checked fp32 graph whose height and width are open.

    The features pass the bank once for each region (1 or 2), and the masks mix what comes out: ``a + mask (b - a)``,
    as `backends.graph` does it.  What depends on nothing but weights is worked out, what nothing depends on left out.
    Raises `BundleError` where the nets do not fit together, or hold what such a graph cannot: branches and loops.
    """
    nets = {net: onnx_graph.load(bundle.path / f"{net}.onnx") for net in NETS}
    opset = max(OPSET, *map(onnx_graph.opset_of, nets.values()))
    nets = {net: onnx_graph.converted(model, opset) for net, model in nets.items()}
    joiner = _Joiner(bundle)
    maps = joiner.attach(nets["encoder"], "encoder", {"packed": "packed"})
    found = [joiner.bank(nets["bank"], maps, index) for index in range(regions)]
    features = found[0] if regions == 1 else {name: joiner.mix(name, *(part[name] for part in found)) for name in maps}
    joiner.end_with(joiner.attach(nets["decoder"], "decoder", features), "packed", "painted")
    helper = package().helper
    graph = helper.make_graph(
        joiner.nodes,
        "allaprima",
        [helper.make_tensor_value_info(*item) for item in joiner.inputs(maps, regions)],
        [helper.make_tensor_value_info("painted", FLOAT, [1, CHANNELS, "h", "w"])],
        list(joiner.weights.values()),
    )
    version = max(8, *(model.ir_version for model in nets.values()))
    model = helper.make_model(
        graph, producer_name="allaprima", opset_imports=[helper.make_opsetid("", opset)], ir_version=version
    )
    onnx_graph.simplify(model)
    return onnx_graph.checked(model, f"the nets of {bundle.path} do not fit together")


class _Joiner:
    """Collects nodes and weights; what is inside a net gets the net's name in front, so that nothing collides."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.nodes: list[Node] = []
        self.weights: dict[str, Any] = {}

    def inputs(self, maps: Iterable[str], regions: int) -> Iterable[tuple[str, int, Sides]]:
        """The whole graph's inputs, whether anything reads them or not."""
        yield "packed", FLOAT, (1, CHANNELS, "h", "w")
        yield "strength", FLOAT, (1, 1, 1, 1)
        for index in range(regions):
            for key, shape in self.bundle.manifest.filters.items():
                yield f"{key}_{index}", FLOAT, tuple(shape)
        if regions > 1:
            for name in maps:
                yield f"mask_{name}", FLOAT, (1, 1, f"{name}_h", f"{name}_w")

    def bank(self, model: Model, maps: dict[str, str], index: int) -> dict[str, str]:
        filters = {key: f"{key}_{index}" for key in self.bundle.manifest.filters}
        found = self.attach(model, f"bank{index}", {"strength": "strength", **maps, **filters})
        if missing := [name for name in maps if f"{name}_out" not in found]:
            raise BundleError(f"the bank of {self.bundle.path} gives no {missing[0]}_out", EXPORT)
        return {name: found[f"{name}_out"] for name in maps}

    def mix(self, name: str, a: str, b: str) -> str:
        """``a + mask (b - a)``; `with_size` reads the map's size off the difference."""
        node, root = package().helper.make_node, f"regions/{name}"
        self.nodes += [
            node("Sub", [b, a], [_difference(name)]),
            node("Mul", [f"mask_{name}", _difference(name)], [f"{root}/share"]),
            node("Add", [a, f"{root}/share"], [root]),
        ]
        return root

    def attach(self, model: Model, prefix: str, inputs: dict[str, str]) -> dict[str, str]:
        """Put a net in, ``inputs`` in place of its own; gives the names of its outputs in the whole graph."""
        graph, net = model.graph, prefix.rstrip("01")
        names = {"": ""}
        names |= {weight.name: f"{net}/{weight.name}" for weight in graph.initializer}
        for weight in graph.initializer:  # those of the bank once for both regions
            copy = self.weights[names[weight.name]] = onnx_graph.copied(weight)
            copy.name = names[weight.name]
        for item in graph.input:
            if item.name not in names | inputs:
                raise BundleError(f"the {net} of {self.bundle.path} wants {item.name!r}, which nothing gives", EXPORT)
            names.setdefault(item.name, inputs.get(item.name, ""))
        for node in graph.node:
            if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
                raise BundleError(
                    f"the {net} of {self.bundle.path} branches or loops ({node.op_type}): no GPU runtime takes it",
                    "paint with it on the CPU, or export it without",
                )
            if unknown := [name for name in node.input if name not in names]:
                raise BundleError(f"the {net} of {self.bundle.path} reads {unknown[0]!r}, which nothing makes", EXPORT)
            names |= {name: f"{prefix}/{name}" for name in node.output if name}
            copy = onnx_graph.copied(node)
            copy.name = f"{prefix}/{node.name or node.output[0]}"
            copy.input[:] = [names[name] for name in node.input]
            copy.output[:] = [names[name] for name in node.output]
            self.nodes.append(copy)
        return {item.name: names[item.name] for item in graph.output if item.name in names}

    def end_with(self, outputs: dict[str, str], output: str, name: str) -> None:
        """Call one of the last net's outputs ``name``."""
        if output not in outputs:
            raise BundleError(f"the decoder of {self.bundle.path} gives no {output}", EXPORT)
        found = outputs[output]
        if not any(found in node.output for node in self.nodes):  # an input that comes out as it went in
            self.nodes.append(package().helper.make_node("Identity", [found], [name]))
            return
        for node in self.nodes:
            node.input[:] = [name if item == found else item for item in node.input]
            node.output[:] = [name if item == found else item for item in node.output]


def _difference(name: str) -> str:
    return f"regions/{name}/difference"


def with_size(model: Model, height: int, width: int) -> Model:
    """A copy of a `joined` graph, or of its `half`, for packed pictures ``(1, 24, height, width)`` only.

    Every tensor has its shape written down, and nothing is left that works shapes out.  Raises `ConfigError` for a
    size that the nets cannot paint.
    """
    sized = onnx_graph.copied(model)
    wrong, hint = f"these nets cannot paint a packed picture of {height} x {width}", "give sides that the bundle takes"
    if min(height, width) < 1:
        raise ConfigError(wrong, hint)
    for item in (*sized.graph.input, *sized.graph.output):
        if item.name in ("packed", "painted"):
            onnx_graph.set_sides(item, (1, CHANNELS, height, width))
    try:
        shapes = onnx_graph.shapes(onnx_graph.inferred(sized))
        for item in sized.graph.input:
            if item.name.startswith("mask_"):
                sides = shapes[_difference(item.name.removeprefix("mask_"))]
                onnx_graph.set_sides(item, (1, 1, *sides[2:]))
        sized = onnx_graph.inferred(sized)
        onnx_graph.fold_shapes(sized)
        onnx_graph.simplify(sized)
        return onnx_graph.inferred(sized)
    except package().shape_inference.InferenceError as error:
        raise ConfigError(f"{wrong}: {onnx_graph.first_line(error)}", hint) from error


def map_sizes(bundle: Bundle, cells: tuple[int, int]) -> dict[str, tuple[int, int]]:
    """Height and width of each feature map for a packed picture of ``cells`` ``(h, w)``, by name."""
    return dict(_map_sizes(bundle.path / "encoder.onnx", bundle.manifest.sha256["encoder"], cells))


@lru_cache(maxsize=64)
def _map_sizes(file: Path, digest: str, cells: tuple[int, int]) -> dict[str, tuple[int, int]]:
    """``digest`` tells another encoder at the same place from this one."""
    model = onnx_graph.load(file)
    for item in model.graph.input:
        if item.name == "packed":
            onnx_graph.set_sides(item, (1, CHANNELS, *cells))
    for item in model.graph.output:
        item.type.tensor_type.ClearField("shape")
    shapes = onnx_graph.shapes(onnx_graph.inferred(model))
    return {item.name: (int(shapes[item.name][2]), int(shapes[item.name][3])) for item in model.graph.output}


def half(model: Model, whole: bool = True) -> Model:
    """A copy whose inputs and output are float16, strongly typed: precision is in the graph, not in a builder's flags.

    Weights and arithmetic are float16; statistics (`STATISTICS`) are float32 between two casts, with the filters
    that scale them.  With ``whole`` false all that lies between inputs and output is float32: the way out where
    float16 paints visibly otherwise.  Weights beyond float16's range become its largest number.
    """
    types = onnx_graph.types(onnx_graph.inferred(model))
    halved = onnx_graph.copied(model)
    del halved.graph.value_info[:]
    for item in (*halved.graph.input, *halved.graph.output):
        if item.type.tensor_type.elem_type == FLOAT:
            item.type.tensor_type.elem_type = HALF
    _Typing(halved.graph, types, whole).write()
    halved = onnx_graph.checked(halved, "the graph in half precision is not a valid one")
    return onnx_graph.inferred(halved) if len(model.graph.value_info) else halved


class _Typing:
    """Writes the casts of `half` into a graph: one wherever a tensor is not kept in what a node computes in."""

    def __init__(self, graph: Any, types: dict[str, int], whole: bool) -> None:
        self.graph, self.types, self.whole = graph, types, whole
        self.ends = {item.name for item in (*graph.input, *graph.output)}
        self.weights = {weight.name: weight for weight in graph.initializer}
        self.used: dict[str, Any] = {}
        self.nodes: list[Node] = []
        self.made: set[str] = set()

    def write(self) -> None:
        for node in list(self.graph.node):
            kind = HALF if self.whole and node.op_type not in STATISTICS else FLOAT
            exempt = FLOAT_INPUTS.get(node.op_type, ())
            node.input[:] = [self._as(FLOAT if i in exempt else kind, name) for i, name in enumerate(node.input)]
            if kind == HALF:
                _retype(node)
            self.nodes.append(node)
            for index, name in enumerate(node.output):
                if self.types.get(name) == FLOAT and self._kept_in(name) != kind:
                    node.output[index] = f"{name}/computed"
                    self.nodes.append(_cast(node.output[index], name, self._kept_in(name)))
        del self.graph.node[:], self.graph.initializer[:]
        self.graph.node.extend(self.nodes)
        self.graph.initializer.extend(self.used.values())

    def _kept_in(self, name: str) -> int:
        return HALF if self.whole or name in self.ends else FLOAT

    def _as(self, kind: int, name: str) -> str:
        """The name under which a tensor is to be had in ``kind``; what is no float stays what it is."""
        floats = self.types.get(name) == FLOAT
        if weight := self.weights.get(name):
            wanted = f"{name}/half" if floats and kind == HALF else name
            self.used[wanted] = weight if wanted == name else _halved(weight, wanted)
            return wanted
        if not floats or self._kept_in(name) == kind:
            return name
        wanted = f"{name}/{'half' if kind == HALF else 'float'}"
        if wanted not in self.made:
            self.made.add(wanted)
            self.nodes.append(_cast(name, wanted, kind))
        return wanted


def _retype(node: Node) -> None:
    """Where attributes say that a node makes float32, they say float16."""
    for attribute in node.attribute:
        if attribute.name in ("to", "dtype") and attribute.i == FLOAT:
            attribute.i = HALF
        if attribute.HasField("t") and attribute.t.data_type == FLOAT:
            attribute.t.CopyFrom(_halved(attribute.t, attribute.t.name))


def _cast(source: str, target: str, kind: int) -> Node:
    return package().helper.make_node("Cast", [source], [target], name=f"{target}/cast", to=kind)


def _halved(tensor: Any, name: str) -> Any:
    helper, largest = package().numpy_helper, np.finfo(np.float16).max
    return helper.from_array(np.clip(helper.to_array(tensor), -largest, largest).astype(np.float16), name)
