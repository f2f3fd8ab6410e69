"""A bundle's joined graph to a TensorRT plan, through TensorRT's ONNX parser.

Everything here runs in the child process of `build_engine`: it needs a card, takes minutes, and may be ended at
any moment.  `Road` is what the two ways to a plan have in common; the other is in `engine_torchtrt`.

Precision lies in the graph (strongly typed), so one code serves TensorRT 10 and 11.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from allaprima.realtime.backends.nets.tensorrt_net import input_shapes
from allaprima.realtime.backends.nets.trt import journal, tensorrt, version
from allaprima.realtime.builds import LEAST, MOST, USUAL, Order
from allaprima.realtime.bundle import Bundle
from allaprima.realtime.engine_key import Cells, Machine, packed_size
from allaprima.realtime.engines import write_whole
from allaprima.realtime.errors import BackendError
from allaprima.realtime.network import half, joined, with_size

CONVOLUTIONS = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""What stays in fp16 where norms, and all else between convolutions, are in fp32."""
FLOAT, HALF = 1, 10
"""`onnx.TensorProto.FLOAT` and ``FLOAT16``."""


@dataclass(frozen=True, slots=True)
class Built:
    """A plan and what its inputs and its output are called."""

    plan: bytes
    inputs: dict[str, str]
    """Our names (`realtime.network.joined`) to the engine's."""
    output: str


class Watch(Protocol):
    """Who looks on while an engine is built."""

    @property
    def cancelled(self) -> bool:
        """Whether nobody wants it any more."""

    def progress(self, share: float, doing: str) -> None:
        """``share`` in 0..1 is done; ``doing`` is what is being done."""

    def note(self, text: str) -> None:
        """Something to know, in one sentence."""


class Road(Protocol):
    """A way from a bundle to a plan."""

    name: str

    def build(self, order: Order, precision: str, watch: Watch) -> Built:
        """Raises `BackendError` where TensorRT refuses the net or has no memory, `Cancelled` for one not wanted."""


class Cancelled(BackendError):
    """Building was called off."""


def sizes(order: Order) -> tuple[Cells, Cells, Cells]:
    """The least, the usual and the largest packed picture of an order; all the same where it is for one size."""
    if order.cells is not None:
        return order.cells, order.cells, order.cells
    most, usual = order.most or packed_size(MOST), packed_size(USUAL)
    return packed_size(LEAST), (min(usual[0], most[0]), min(usual[1], most[1])), most


class Onnx:
    """The default road: ``joined``, ``with_size``, ``half``, and TensorRT's parser."""

    name = "onnx"

    def __init__(self, folder: Path, machine: Machine) -> None:
        """``folder`` keeps the timing cache, which is of use to the next engine of the same ``machine``."""
        name = "-".join((machine.tensorrt, machine.capability, machine.driver.replace(" ", "-")))
        self._timings = folder / f"timing-{name}.cache"

    def build(self, order: Order, precision: str, watch: Watch) -> Built:
        watch.progress(0.0, "joining the nets")
        bundle = Bundle(order.bundle)
        model = graph(bundle, order, precision)
        trt = tensorrt()
        builder = trt.Builder(journal().logger)
        strongly = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        network = builder.create_network(strongly if version(trt) < (11,) else 0)
        parser = trt.OnnxParser(network, journal().logger)
        if not parser.parse(model.SerializeToString()):
            raise BackendError(f"TensorRT cannot take the net: {'; '.join(_refusals(parser))}{journal().why()}")
        config = self._config(trt, builder, order, precision, watch)
        if order.cells is None:
            _add_profile(builder, config, bundle, order)
        serialized = builder.build_serialized_network(network, config)
        if watch.cancelled:
            raise Cancelled("building was called off")
        if serialized is None:
            raise BackendError(
                f"TensorRT cannot build the engine{journal().why()}",
                "If memory is short: close other programs on the card, or give --memory a smaller number.",
            )
        self._keep_timings(config, watch)
        names = [item.name for item in model.graph.input]
        return Built(bytes(memoryview(serialized)), dict(zip(names, names, strict=True)), "painted")

    def _config(self, trt: Any, builder: Any, order: Order, precision: str, watch: Watch) -> Any:
        config = builder.create_builder_config()
        config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, order.memory)
        if precision == "full":
            config.clear_flag(trt.BuilderFlag.TF32)  # 10 bits of mantissa would be no more than fp16 has
        config.progress_monitor = monitor(trt, watch)
        cache = config.create_timing_cache(self._known_timings())
        if cache is None or not config.set_timing_cache(cache, False):
            watch.note("the timing cache does not fit and is made anew")
            config.set_timing_cache(config.create_timing_cache(b""), False)
        return config

    def _known_timings(self) -> bytes:
        try:
            return self._timings.read_bytes()
        except OSError:  # the first engine here
            return b""

    def _keep_timings(self, config: Any, watch: Watch) -> None:
        """Without them the next engine only takes longer: no reason to fail."""
        cache = config.get_timing_cache()
        serialized = None if cache is None else cache.serialize()
        try:
            if serialized is not None:
                write_whole(self._timings, bytes(memoryview(serialized)))
        except OSError as error:
            watch.note(f"the timing cache cannot be written: {error.strerror}")


def graph(bundle: Bundle, order: Order, precision: str) -> Any:
    """The ONNX model of an order: strongly typed, its inputs and its output fp16."""
    model = joined(bundle, order.regions)
    if order.cells is not None:
        model = with_size(model, *order.cells)
    if precision == "norms-full":
        return half(convolutions_in_half(model), whole=False)
    return half(model, whole=precision == "half")


def convolutions_in_half(model: Any) -> Any:
    """A copy in which convolutions compute in fp16 between casts, and everything else in fp32."""
    from onnx import ModelProto, helper, numpy_helper

    changed = ModelProto()
    changed.CopyFrom(model)
    weights = {weight.name: weight for weight in changed.graph.initializer}
    nodes: list[Any] = []
    made: set[str] = set()

    def as_half(name: str) -> str:
        target = f"{name}/in_half"
        if name and target not in made:
            made.add(target)
            if name in weights:
                values = numpy_helper.to_array(weights[name]).astype("float16")
                changed.graph.initializer.append(numpy_helper.from_array(values, target))
            else:
                nodes.append(helper.make_node("Cast", [name], [target], name=target, to=HALF))
        return target if name else ""

    for node in model.graph.node:
        copy = type(node)()
        copy.CopyFrom(node)
        if node.op_type in CONVOLUTIONS:
            copy.input[:] = [as_half(name) for name in node.input]
            copy.output[:] = [f"{node.output[0]}/from_half"]
        nodes.append(copy)
        if node.op_type in CONVOLUTIONS:
            cast = helper.make_node("Cast", [copy.output[0]], [node.output[0]], name=f"{node.name}/cast", to=FLOAT)
            nodes.append(cast)
    used = {name for node in nodes for name in node.input}
    kept = [weight for weight in changed.graph.initializer if weight.name in used]
    del changed.graph.node[:], changed.graph.initializer[:]
    changed.graph.node.extend(nodes)
    changed.graph.initializer.extend(kept)
    return changed


def _refusals(parser: Any) -> list[str]:
    """What the parser stumbled over: the node and the reason."""
    found = []
    for index in range(parser.num_errors):
        refusal = parser.get_error(index)
        place = refusal.node_name() or f"number {refusal.node()}"
        found.append(f"node {place} ({refusal.node_operator()}): {' '.join(refusal.desc().split())}")
    return found or ["it does not say why"]


def _add_profile(builder: Any, config: Any, bundle: Bundle, order: Order) -> None:
    """For an engine of any size: the shapes of each input at the three sizes."""
    profile = builder.create_optimization_profile()
    least, usual, most = (input_shapes(bundle, cells, order.regions) for cells in sizes(order))
    for name in least:
        profile.set_shape(name, least[name], usual[name], most[name])
    if config.add_optimization_profile(profile) < 0:
        raise BackendError(f"TensorRT does not take the range of sizes{journal().why()}")


def monitor(trt: Any, watch: Watch) -> Any:
    """An `IProgressMonitor` that adds nested phases up to one share and stops the build when nobody looks on."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._phases: dict[str, list[Any]] = {}
            """Phase to its parent, its steps, and how many are done."""

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._phases[phase_name] = [parent_phase, max(num_steps, 1), 0]
            self._tell(phase_name)

        def step_complete(self, phase_name: str, step: int) -> bool:
            if phase_name in self._phases:
                self._phases[phase_name][2] = step + 1
                self._tell(phase_name)
            return not watch.cancelled

        def phase_finish(self, phase_name: str) -> None:
            self._phases.pop(phase_name, None)

        def _tell(self, phase: str) -> None:
            share, name = 0.0, phase
            for _ in range(len(self._phases)):
                parent, steps, done = self._phases[name]
                share = min((done + share) / steps, 1.0)
                if parent not in self._phases:
                    break
                name = parent
            watch.progress(share, phase)

    return Monitor()
