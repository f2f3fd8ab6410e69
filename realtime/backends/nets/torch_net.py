"""Run the nets in torch: the joined graph op by op, in float16 and channels-last, on CuPy's stream.

For GPUs where TensorRT is not installed.  Every op is a call into cuDNN or a kernel of torch's; captured as one CUDA
graph, nothing of Python is left between them.
"""

# mypy: allow-subclassing-any, allow-untyped-calls
# The first where torch is not installed, the second where it is.

import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.dlpack import from_dlpack

from allaprima.kernels.cuda import Array, Stream, cupy
from allaprima.realtime import network, onnx_graph
from allaprima.realtime.backends.nets.torch_ops import FIRST_ONLY, FRESH, OPS, Op, Run
from allaprima.realtime.bundle import Bundle
from allaprima.realtime.errors import BackendUnavailable, OutOfDeviceMemory
from allaprima.realtime.onnx_graph import FLOAT, HALF, Model, Node

WARM_RUNS = 3
"""Before a capture: cuDNN tries its algorithms, which a capture forbids, and the allocator settles."""
_CAPTURING = threading.Lock()
"""Torch captures one graph at a time in a process."""


@dataclass(frozen=True, slots=True)
class _Step:
    run: Run
    inputs: tuple[str, ...]
    output: str
    over: tuple[str, ...]
    """What nothing reads after this step: its memory is free for the next."""


class Graph(nn.Module):
    """A `network.with_size` graph as a module: inputs by their names, the painted picture comes back.

    Types are those of the graph: a `network.half` computes in float16, with norms whose statistics are float32.
    Without ``fused`` norms are written out in plain arithmetic, for exporters.  Raises `BackendUnavailable` for an op
    that it does not know.
    """

    def __init__(self, model: Model, fused: bool = True) -> None:
        super().__init__()
        model = onnx_graph.copied(model)
        if fused:
            _without_casts(model)
        shapes = onnx_graph.shapes(model)
        self.inputs = {item.name: _fixed(shapes, item.name) for item in model.graph.input}
        """Shape of each input."""
        self._output = model.graph.output[0].name
        self._constants: dict[str, str] = {}
        self._steps = self._plan(model, fused)

    def forward(self, **inputs: Tensor) -> Tensor:
        values = {name: getattr(self, buffer) for name, buffer in self._constants.items()}
        values |= inputs
        values["packed"] = inputs["packed"].contiguous(memory_format=torch.channels_last)
        for step in self._steps:
            found = step.run(*(values[name] for name in step.inputs))
            for name in step.over:
                del values[name]
            values[step.output] = found
        painted: Tensor = values[self._output]
        return painted

    def _plan(self, model: Model, fused: bool) -> list[_Step]:
        to_array = onnx_graph.package().numpy_helper.to_array
        constants = {weight.name: to_array(weight) for weight in model.graph.initializer}
        shapes = onnx_graph.shapes(model)
        nodes = list(model.graph.node)
        readers = Counter(name for node in nodes for name in node.input)
        made_by = {name: node.op_type for node in nodes for name in node.output}
        steps: list[_Step] = []
        last: set[str] = {self._output}
        for node in reversed(nodes):  # from the end, so that the first reader met is the last to run
            if node.op_type not in OPS or node.domain or len(node.output) != 1:
                raise BackendUnavailable(
                    f"the torch runtime does not know the op {node.op_type}", "paint with TensorRT or on the CPU"
                )
            first = node.input[0]
            op = Op(
                node.op_type,
                onnx_graph.attributes(node),
                tuple(node.input),
                tuple(constants.get(name) for name in node.input),
                tuple(_fixed(shapes, name) for name in node.input),
                _fixed(shapes, node.output[0]),
                fused,
                readers[first] == 1 and made_by.get(first) in FRESH,
            )
            used = tuple(name for name in node.input[: 1 if node.op_type in FIRST_ONLY else None] if name)
            over = tuple(dict.fromkeys(name for name in used if name not in last and name in made_by))
            last |= set(used)
            steps.insert(0, _Step(OPS[node.op_type](op), used, node.output[0], over))
            for name in used:
                if name in constants:
                    self._keep(name, constants[name])
        return steps

    def _keep(self, name: str, value: Any) -> None:
        if name not in self._constants:
            tensor = torch.from_numpy(np.array(value))
            if tensor.ndim == 4:
                tensor = tensor.contiguous(memory_format=torch.channels_last)
            self._constants[name] = f"constant{len(self._constants)}"
            self.register_buffer(self._constants[name], tensor)


def _fixed(shapes: Mapping[str, onnx_graph.Sides], name: str) -> tuple[int, ...]:
    sides = shapes.get(name, ("",)) if name else ()
    if not all(isinstance(side, int) for side in sides):
        raise BackendUnavailable(f"the shape of {name} is open", "export the bundle's nets with fixed shapes inside")
    return tuple(int(side) for side in sides)


def _without_casts(model: Model) -> None:
    """Norms take float16 and give it, where their only reader casts: torch computes statistics in float32 anyway."""
    nodes: list[Node] = list(model.graph.node)
    types = onnx_graph.types(model)
    readers: dict[str, list[Node]] = {}
    for node in nodes:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    makers = {name: node for node in nodes for name in node.output}
    for norm in nodes:
        if norm.op_type != "InstanceNormalization":
            continue
        before, after = makers.get(norm.input[0]), readers.get(norm.output[0], [])
        if before is None or not _casts(before, FLOAT) or types[before.input[0]] != HALF:
            continue
        if len(after) == 1 and _casts(after[0], HALF):
            norm.input[0] = before.input[0]
            norm.output[0], after[0].input[0] = after[0].output[0], ""
    kept = [node for node in nodes if node.op_type != "Cast" or node.input[0]]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    onnx_graph.simplify(model)  # drops the casts before, which nothing reads any more


def _casts(node: Node, kind: int) -> bool:
    return bool(node.op_type == "Cast" and onnx_graph.attributes(node)["to"] == kind)


def exportable(
    bundle: Bundle, cells: tuple[int, int], regions: int = 1, whole: bool = True
) -> tuple[Graph, dict[str, Tensor]]:
    """The nets as a module in plain arithmetic, and an input for each of its names, for `torch.export.export`.

    ``torch.export.export(module, (), example)``; ``whole`` as in `network.half`.
    """
    model = network.with_size(network.half(network.joined(bundle, regions), whole), *cells)
    module = Graph(model, fused=False).eval()
    return module, {name: torch.zeros(sides, dtype=torch.float16) for name, sides in module.inputs.items()}


class TorchRuntime:
    """`allaprima.realtime.backends.nets.Runtime` on torch."""

    name = "torch"

    def __init__(self, graph: Graph, stream: Stream, device: torch.device) -> None:
        self._stream = torch.cuda.ExternalStream(stream.ptr, device)
        self._pool = torch.cuda.graph_pool_handle()
        self._graph = graph.to(device).eval()
        self._captured: list[torch.cuda.CUDAGraph] = []
        with stream:
            self.inputs: Mapping[str, Array] = {n: cupy().zeros(sides, np.float16) for n, sides in graph.inputs.items()}
            self.painted: Array = cupy().zeros(graph.inputs["packed"], np.float16)
        with self._here():
            self._given = {name: from_dlpack(array) for name, array in self.inputs.items()}
            self._target = from_dlpack(self.painted)

    def enqueue(self) -> None:
        with self._here(), torch.inference_mode():
            self._target.copy_(self._graph(**self._given))

    def capture(self, body: Callable[[], None]) -> Callable[[], None]:
        """Capture ``body``, which calls `enqueue`, on the stream; its own kernels must have run before.

        Other threads may go on using the device meanwhile.  What the nets need between their ops stays theirs.
        """
        graph = torch.cuda.CUDAGraph()
        with _CAPTURING:
            self.warm()  # in this thread: cuDNN's choices are kept by thread
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
                body()
        self._captured.append(graph)

        def launch() -> None:
            with self._here():
                graph.replay()

        return launch

    def warm(self) -> None:
        """Run a few times and wait."""
        for _ in range(WARM_RUNS):
            self.enqueue()
        self._stream.synchronize()

    def close(self) -> None:
        self._stream.synchronize()
        for graph in self._captured:
            graph.reset()  # whoever still holds its launch must not hold its memory
        self._captured.clear()
        torch.cuda.empty_cache()

    def _here(self) -> AbstractContextManager[Any]:
        here: AbstractContextManager[Any] = torch.cuda.stream(self._stream)
        return here


def open_torch(bundle: Bundle, cells: tuple[int, int], stream: Stream, region: bool = False) -> TorchRuntime:
    """The nets in torch for packed pictures of ``cells`` ``(h, w)``, run once and ready.

    Turns cuDNN's search for the fastest algorithms on, for the whole process.  Raises `BackendUnavailable` without a
    card that torch can use or for nets with ops that are not known here, `OutOfDeviceMemory`.
    """
    if not torch.cuda.is_available():
        raise BackendUnavailable("the torch here finds no NVIDIA card to use", "pip install torch, built for CUDA")
    torch.cuda.init()  # before a stream that is not torch's own
    torch.backends.cudnn.benchmark = True
    model = network.with_size(network.half(network.joined(bundle, 2 if region else 1)), *cells)
    graph, elsewhere = Graph(model), "paint with TensorRT or on the CPU"
    try:
        runtime = TorchRuntime(graph, stream, _device())
        runtime.warm()
    except torch.OutOfMemoryError as error:
        raise OutOfDeviceMemory("the card has too little memory left for the nets", "paint smaller pictures") from error
    except RuntimeError as error:  # this torch was not built for this card, say
        raise BackendUnavailable(f"torch cannot run the nets: {onnx_graph.first_line(error)}", elsewhere) from error
    return runtime


def _device() -> torch.device:
    """The card that CuPy's arrays are made on."""
    return torch.device("cuda", cupy().cuda.runtime.getDevice())
