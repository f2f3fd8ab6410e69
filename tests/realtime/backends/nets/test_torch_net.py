"""The joined graph in torch against OpenVINO, in float16 against float32, and what is asked of a card."""

import inspect
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the torch runtime needs torch")
onnx = pytest.importorskip("onnx", reason="the torch runtime needs onnx")

from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info  # noqa: E402

from allaprima.kernels.reference import pack  # noqa: E402
from allaprima.realtime import onnx_graph  # noqa: E402
from allaprima.realtime.backends.nets import torch_net  # noqa: E402
from allaprima.realtime.backends.nets.torch_net import Graph, exportable, open_torch  # noqa: E402
from allaprima.realtime.bundle import Bundle, shipped_bundle  # noqa: E402
from allaprima.realtime.errors import BackendError, BackendUnavailable, OutOfDeviceMemory  # noqa: E402
from allaprima.realtime.network import half, joined, map_sizes, with_size  # noqa: E402
from allaprima.realtime.onnx_graph import FLOAT, HALF  # noqa: E402
from allaprima.realtime.sources import open_source  # noqa: E402

from .... import nets  # noqa: E402

SIZE = (120, 80)
STYLES = [{"starry-night": 0.7, "udnie": 0.3}, {"great-wave": 1.0}]


@pytest.fixture(scope="module")
def shipped() -> Bundle:
    return Bundle(shipped_bundle())


@pytest.fixture(scope="module")
def packed() -> Any:
    """A landscape, packed."""
    with open_source(f"test:landscape?size={SIZE[0]}x{SIZE[1]}") as source:
        return pack.pack(next(iter(source)).planes, dtype="float32")


def half_and_half(bundle: Bundle, cells: Any) -> dict[str, Any]:
    return {
        name: np.repeat(np.float32([[0, 1]]), size[1] // 2, 1).repeat(size[0], 0)
        for name, size in map_sizes(bundle, cells).items()
    }


def paint(graph: Graph, given: dict[str, Any], dtype: Any) -> Any:
    with torch.inference_mode():
        return graph(**{name: torch.from_numpy(value).to(dtype) for name, value in given.items()}).float().numpy()


# ---- the graph ----


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("regions", [1, 2])
def test_in_float32_torch_paints_what_openvino_paints(shipped: Bundle, packed: Any, regions: int, fused: bool) -> None:
    cells = packed.shape[1:]
    model = with_size(joined(shipped, regions), *cells)
    masks = half_and_half(shipped, cells) if regions == 2 else None
    given = nets.inputs(shipped, packed, STYLES[:regions], 0.8, masks)
    found = paint(Graph(model, fused), given, torch.float32)
    np.testing.assert_allclose(found, nets.in_openvino(model, given), atol=2e-5)


@pytest.mark.parametrize(
    ("styles", "strength"), [(STYLES[:1], 1.0), (STYLES[1:], 0.5), ([{"the-scream": 1.0}], 1.0), (STYLES, 1.0)]
)
def test_in_float16_it_looks_the_same(shipped: Bundle, packed: Any, styles: Any, strength: float) -> None:
    cells = packed.shape[1:]
    masks = half_and_half(shipped, cells) if len(styles) == 2 else None
    given = nets.inputs(shipped, packed, styles, strength, masks)
    model = with_size(joined(shipped, len(styles)), *cells)
    wanted = nets.in_openvino(model, given)
    for whole, least in ((True, 50), (False, 55)):
        found = paint(Graph(half(model, whole)), given, torch.float16)
        planes = [pack.unpack(picture[0], SIZE, format="yuv420p") for picture in (found, wanted)]
        pixels = [np.concatenate([plane.ravel() for plane in picture]) for picture in planes]
        assert nets.decibels(*pixels, peak=255) > least


def norm_graph(sides: tuple[int, ...]) -> Any:
    """A norm of float16, its statistics in float32 between casts."""
    nodes = [
        make_node("Cast", ["packed"], ["a"], to=FLOAT),
        make_node("Cast", ["scale"], ["b"], to=FLOAT),
        make_node("InstanceNormalization", ["a", "b", "b"], ["c"]),
        make_node("Cast", ["c"], ["y"], to=HALF),
    ]
    ins = [make_tensor_value_info("packed", HALF, sides), make_tensor_value_info("scale", HALF, sides[1:2])]
    made = make_graph(nodes, "g", ins, [make_tensor_value_info("y", HALF, sides)])
    return onnx_graph.inferred(make_model(made, opset_imports=[make_opsetid("", 17)], ir_version=8))


@pytest.mark.parametrize("fused", [True, False])
def test_statistics_are_taken_in_float32(fused: bool) -> None:
    """Sums of these squares are a thousand times what float16 can hold."""
    x = np.random.default_rng(0).normal(60, 5, (1, 2, 64, 64)).astype(np.float16)
    graph = Graph(norm_graph(x.shape), fused)
    assert len(graph._steps) == (2 if fused else 4), "the casts of the picture are left out"
    found = paint(graph, {"packed": x, "scale": np.float16([1, 2])}, torch.float16)
    exact = x.astype(np.float64)
    mean, deviation = exact.mean((2, 3), keepdims=True), exact.std((2, 3), keepdims=True)
    scale = np.array([1, 2]).reshape(1, 2, 1, 1)
    np.testing.assert_allclose(found, (exact - mean) / deviation * scale + scale, atol=0.01)


def test_casts_stay_where_others_read_the_norm_in_float32(shipped: Bundle) -> None:
    model = half(with_size(joined(shipped), 8, 8))
    norm = next(node for node in model.graph.node if node.op_type == "InstanceNormalization")
    model.graph.node.append(make_node("Relu", [norm.output[0]], ["also"]))
    model.graph.output.append(make_tensor_value_info("also", FLOAT, [1, 48, 8, 8]))
    inner = [step for step in Graph(onnx_graph.inferred(model))._steps if step.output == norm.output[0]]
    assert len(inner) == 1


def test_norms_get_their_picture_channels_last_and_whole(shipped: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a slice of channels, torch's kernel for any strides would read one number in 64."""
    whole = []
    norm = torch.batch_norm

    def watched(x: Any, *more: Any) -> Any:
        whole.append(x.is_contiguous(memory_format=torch.channels_last))
        return norm(x, *more)

    monkeypatch.setattr(torch, "batch_norm", watched)
    graph = Graph(half(with_size(joined(shipped), 8, 8)))
    graph(**{name: torch.zeros(sides, dtype=torch.float16) for name, sides in graph.inputs.items()})
    assert whole == [True] * 6


def test_a_relu_overwrites_only_what_nothing_else_reads() -> None:
    nodes = [
        make_node("Add", ["packed", "packed"], ["a"]),
        make_node("Relu", ["a"], ["b"]),
        make_node("Relu", ["packed"], ["c"]),
        make_node("Sub", ["a", "b"], ["d"]),
        make_node("Relu", ["d"], ["e"]),
        make_node("Add", ["e", "c"], ["y"]),
    ]
    ends = [[make_tensor_value_info(name, FLOAT, [1, 1, 2, 2])] for name in ("packed", "y")]
    made = make_model(make_graph(nodes, "g", *ends), opset_imports=[make_opsetid("", 17)], ir_version=8)
    graph = Graph(onnx_graph.inferred(made))
    assert [step.output for step in graph._steps if step.run is torch.relu_] == ["e"]
    x = torch.tensor([[[[-1.0, 2.0], [3.0, -4.0]]]])
    assert graph(packed=x).tolist() == [[[[0, 2], [3, 0]]]]
    assert x[0, 0, 1, 1] == -4


def test_no_more_is_kept_than_is_still_to_be_read(shipped: Bundle) -> None:
    alive = most = 0
    for step in Graph(half(with_size(joined(shipped, 2), 8, 8)))._steps:
        alive += 1 - len(step.over)
        most = max(most, alive)
    assert alive == 1
    assert most <= 8


def test_exported_it_computes_the_same_by_the_same_names(shipped: Bundle, packed: Any) -> None:
    cells = packed.shape[1:]
    module, example = exportable(shipped, cells, regions=2)
    program = torch.export.export(module, (), example)
    assert list(program.graph_signature.user_inputs) == list(example)
    given = nets.inputs(shipped, packed, STYLES, 1.0, half_and_half(shipped, cells))
    tensors = {name: torch.from_numpy(value).half() for name, value in given.items()}
    assert {name: t.shape for name, t in tensors.items()} == {name: t.shape for name, t in example.items()}
    torch.testing.assert_close(program.module()(**tensors), module(**tensors), rtol=0, atol=0)


# ---- the runtime ----


class FakeStream:
    """A `cupy.cuda.Stream`."""

    ptr = 4711

    def __enter__(self) -> None:
        pass

    def __exit__(self, *error: object) -> None:
        pass


class Card:
    """Stands for `torch.cuda`: what was asked of streams and graphs is written down, and computed at once."""

    def __init__(self) -> None:
        self.current: list[Any] = []
        self.log: list[str] = []
        self.capturing = False
        self.overlap = False

    def is_available(self) -> bool:
        return True

    def init(self) -> None:
        pass

    def ExternalStream(self, pointer: int, device: Any) -> Any:
        return SimpleNamespace(pointer=pointer, synchronize=lambda: self.log.append("wait"))

    @contextmanager
    def stream(self, stream: Any) -> Iterator[None]:
        self.current.append(stream.pointer)
        yield
        self.current.pop()

    def graph_pool_handle(self) -> tuple[int, int]:
        return (0, 1)

    def CUDAGraph(self) -> Any:
        replay, reset = (lambda: self.log.append(f"replay on {self.current[-1]}")), (lambda: self.log.append("reset"))
        return SimpleNamespace(replay=replay, reset=reset)

    @contextmanager
    def graph(self, graph: Any, pool: Any, stream: Any, capture_error_mode: str) -> Iterator[None]:
        self.overlap |= self.capturing
        self.capturing = True
        self.log.append(f"capture on {stream.pointer}, {capture_error_mode}, {pool}")
        with self.stream(stream):
            yield
        self.log.append("captured")
        self.capturing = False

    def empty_cache(self) -> None:
        self.log.append("empty")


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Card:
    card = Card()
    monkeypatch.setattr(torch_net.torch, "cuda", card)
    monkeypatch.setattr(torch_net, "_device", lambda: torch.device("cpu"))
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(zeros=np.zeros))
    return card


@pytest.mark.parametrize("region", [False, True])
def test_the_runtime_paints_what_lies_in_its_inputs(shipped: Bundle, packed: Any, card: Card, region: bool) -> None:
    cells, regions = packed.shape[1:], 1 + region
    runtime = open_torch(shipped, cells, FakeStream(), region)
    assert (runtime.name, runtime.painted.shape, runtime.painted.dtype) == ("torch", (1, 24, *cells), np.float16)
    assert {array.dtype for array in runtime.inputs.values()} == {np.dtype(np.float16)}
    model = with_size(joined(shipped, regions), *cells)
    masks = half_and_half(shipped, cells) if region else None
    for styles in (STYLES, STYLES[::-1]):  # a swap: other contents at the same addresses
        given = nets.inputs(shipped, packed, styles[:regions], 1.0, masks)
        assert given.keys() == runtime.inputs.keys()
        for name, value in given.items():
            np.copyto(runtime.inputs[name], value)
        runtime.enqueue()
        assert nets.decibels(runtime.painted, nets.in_openvino(model, given), peak=2) > 60


def test_everything_runs_on_the_stream_it_was_given(shipped: Bundle, card: Card, monkeypatch: Any) -> None:
    places = []
    forward = Graph.forward
    monkeypatch.setattr(Graph, "forward", lambda *a, **k: places.append(list(card.current)) or forward(*a, **k))
    open_torch(shipped, (8, 8), FakeStream()).enqueue()
    assert places == [[4711]] * (torch_net.WARM_RUNS + 1)


def test_opening_runs_the_nets_and_lets_cudnn_choose(shipped: Bundle, card: Card) -> None:
    open_torch(shipped, (8, 8), FakeStream())
    assert card.log == ["wait"]
    assert torch.backends.cudnn.benchmark


def test_a_capture_is_warm_private_to_its_thread_and_launched_on_the_stream(shipped: Bundle, card: Card) -> None:
    runtime = open_torch(shipped, (8, 8), FakeStream())
    card.log.clear()

    def body() -> None:
        card.log.append(f"body on {card.current[-1]}")
        runtime.enqueue()

    launches = [runtime.capture(body), runtime.capture(body)]
    once = ["wait", "capture on 4711, thread_local, (0, 1)", "body on 4711", "captured"]
    assert card.log == once * 2
    card.log.clear()
    for launch in launches:
        launch()
    assert card.log == ["replay on 4711"] * 2
    runtime.close()
    assert card.log[2:] == ["wait", "reset", "reset", "empty"]


def test_one_graph_is_captured_at_a_time_in_a_process(shipped: Bundle, card: Card) -> None:
    runtimes = [open_torch(shipped, (8, 8), FakeStream()) for _ in range(4)]
    threads = [threading.Thread(target=r.capture, args=(lambda r=r: r.enqueue(),)) for r in runtimes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert card.log.count("captured") == 4
    assert not card.overlap


@pytest.mark.parametrize(
    ("error", "kind", "says"),
    [
        (RuntimeError("CUDA error: no kernel image is available\nmore"), BackendUnavailable, "no kernel image"),
        (torch.OutOfMemoryError("out of memory"), OutOfDeviceMemory, "too little memory"),
    ],
)
def test_a_card_that_cannot_run_the_nets_is_told_of(
    shipped: Bundle, card: Card, monkeypatch: Any, error: Exception, kind: type[BackendError], says: str
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr(Graph, "forward", fail)
    with pytest.raises(kind, match=says) as told:
        open_torch(shipped, (8, 8), FakeStream())
    assert "\n" not in str(told.value)
    assert told.value.hint


def test_the_card_is_cupys_current_one(monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = SimpleNamespace(getDevice=lambda: 3)
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(cuda=SimpleNamespace(runtime=runtime)))
    assert torch_net._device() == torch.device("cuda", 3)


def test_without_a_card_it_is_unavailable(shipped: Bundle, card: Card, monkeypatch: Any) -> None:
    monkeypatch.setattr(Card, "is_available", lambda self: False)
    with pytest.raises(BackendUnavailable, match="no NVIDIA card"):
        open_torch(shipped, (8, 8), FakeStream())


def test_the_names_used_of_torch_are_there() -> None:
    """The fake above must promise no more than torch does."""
    asked = {
        torch.cuda.graph.__init__: {"pool", "stream", "capture_error_mode"},
        torch.cuda.ExternalStream.__new__: {"stream_ptr", "device"},
        torch.cuda.stream: {"stream"},
    }
    for function, names in asked.items():
        assert names <= inspect.signature(function).parameters.keys()
    assert all(callable(getattr(torch.cuda, name)) for name in ("graph_pool_handle", "empty_cache", "init"))
    assert callable(torch.cuda.CUDAGraph.replay)
    assert callable(torch.cuda.CUDAGraph.reset)
    assert issubclass(torch.OutOfMemoryError, RuntimeError)
    assert isinstance(torch.backends.cudnn.benchmark, bool)


@pytest.mark.needs_cuda
@pytest.mark.parametrize("region", [False, True])
def test_on_a_card_it_paints_the_same_captured_or_not(shipped: Bundle, packed: Any, region: bool) -> None:
    import cupy

    cells, regions = packed.shape[1:], 1 + region
    stream = cupy.cuda.Stream(non_blocking=True)
    runtime = open_torch(shipped, cells, stream, region)
    masks = half_and_half(shipped, cells) if region else None
    model = with_size(joined(shipped, regions), *cells)
    launch = runtime.capture(runtime.enqueue)
    for styles in (STYLES, STYLES[::-1]):
        given = nets.inputs(shipped, packed, styles[:regions], 1.0, masks)
        with stream:
            for name, value in given.items():
                runtime.inputs[name].set(value.astype(np.float16))
        wanted = nets.in_openvino(model, given)
        for run in (runtime.enqueue, launch):
            with stream:
                runtime.painted.fill(0)
            run()
            stream.synchronize()
            assert nets.decibels(runtime.painted.get(), wanted, peak=2) > 60
    runtime.close()
