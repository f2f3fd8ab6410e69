"""The default road to a plan: graph, network, profile, timing cache, progress."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import openvino as ov
import pytest

from allaprima.exporters.engine import Built, Cancelled, Onnx, convolutions_in_half, graph, monitor, sizes
from allaprima.realtime.backends.nets.trt import machine
from allaprima.realtime.builds import Order
from allaprima.realtime.bundle import Bundle, shipped_bundle
from allaprima.realtime.engine_key import packed_size
from allaprima.realtime.errors import BackendError
from allaprima.realtime.network import half, joined

from .. import fake_tensorrt

CELLS = (12, 16)
FLOAT, HALF = onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16


class Watch:
    """Remembers, and calls the build off at a share."""

    def __init__(self, end: float = 2.0) -> None:
        self.shares: list[float] = []
        self.notes: list[str] = []
        self._end = end

    @property
    def cancelled(self) -> bool:
        return bool(self.shares) and self.shares[-1] >= self._end

    def progress(self, share: float, doing: str) -> None:
        self.shares.append(share)

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture(params=fake_tensorrt.VERSIONS)
def card(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    return fake_tensorrt.install(monkeypatch, request.param)


@pytest.fixture
def order(tiny_bundle: Path, tmp_path: Path) -> Order:
    return Order(bundle=tiny_bundle, cells=CELLS, folder=tmp_path, memory=123 << 20)


def run(order: Order, precision: str = "half", watch: Watch | None = None) -> Built:
    return Onnx(order.folder, machine()).build(order, precision, watch or Watch())


def test_a_plan_keeps_the_names_of_the_graph(card: SimpleNamespace, order: Order) -> None:
    built = run(order)
    assert built.plan.startswith(fake_tensorrt.MAGIC)
    assert built.inputs == {name: name for name in ("packed", "strength", "shift_0")}
    assert built.output == "painted"
    assert card.trt.built[0].pools == {card.trt.MemoryPoolType.WORKSPACE: 123 << 20}


@pytest.mark.parametrize(("precision", "tf32"), [("half", True), ("norms-full", True), ("full", False)])
def test_everything_in_fp32_is_not_in_tf32(card: SimpleNamespace, order: Order, precision: str, tf32: bool) -> None:
    run(order, precision)
    assert card.trt.built[0].tf32 is tf32


def test_an_engine_for_any_size_has_a_profile(card: SimpleNamespace, order: Order) -> None:
    run(order.model_copy(update={"cells": None, "most": (40, 60), "regions": 2}))
    (profile,) = card.trt.built[0].profiles
    least = packed_size((64, 64))
    assert profile.shapes["packed"] == [(1, 24, *least), (1, 24, 40, 60), (1, 24, 40, 60)]
    assert profile.shapes["mask_deep"][1] == (1, 1, 20, 30)
    assert profile.shapes["shift_1"] == [(1, 24, 1, 1)] * 3


def test_the_usual_size_is_not_beyond_the_largest(order: Order) -> None:
    usual = packed_size((1280, 720))
    assert sizes(order.model_copy(update={"cells": None, "most": (400, 500)}))[1] == usual
    assert sizes(order.model_copy(update={"cells": None, "most": (400, 100)}))[1] == (usual[0], 100)
    assert sizes(order) == (CELLS, CELLS, CELLS)


def test_timings_are_kept_for_the_next_engine_of_the_same_machine(card: SimpleNamespace, order: Order) -> None:
    run(order)
    (cache,) = order.folder.glob("timing-*.cache")
    assert card.trt.__version__ in cache.name
    first = cache.read_bytes()
    run(order)
    assert cache.read_bytes() == first + b"."


def test_timings_that_do_not_fit_are_made_anew(card: SimpleNamespace, order: Order) -> None:
    run(order)
    (cache,) = order.folder.glob("timing-*.cache")
    cache.write_bytes(b"of another release")
    watch = Watch()
    run(order, watch=watch)
    assert watch.notes == ["the timing cache does not fit and is made anew"]
    assert cache.read_bytes().startswith(card.trt.__version__.encode())


def test_timings_that_cannot_be_written_cost_time_only(card: SimpleNamespace, order: Order) -> None:
    watch = Watch()
    run(order.model_copy(update={"folder": order.folder / "missing"}), watch=watch)
    assert watch.notes == ["the timing cache cannot be written: No such file or directory"]


def test_a_build_can_be_called_off(card: SimpleNamespace, order: Order) -> None:
    watch = Watch(0.5)
    with pytest.raises(Cancelled):
        run(order, watch=watch)
    assert watch.shares[-1] == 0.5
    assert list(order.folder.iterdir()) == []


def test_a_net_that_is_refused_is_named_by_node_and_reason(monkeypatch: pytest.MonkeyPatch, order: Order) -> None:
    fake_tensorrt.install(monkeypatch, fake_tensorrt.VERSIONS[0], "parser")
    with pytest.raises(BackendError, match=r"node encoder/\S+ \(AveragePool\): No importer registered"):
        run(order)


def test_nested_phases_add_up_to_one_share(card: SimpleNamespace) -> None:
    watch = Watch()
    told = monitor(card.trt, watch)
    told.phase_start("all", None, 2)
    assert told.step_complete("all", 0)
    told.phase_start("part", "all", 2)
    assert told.step_complete("part", 0)
    told.phase_start("bit", "part", 4)
    assert told.step_complete("bit", 1)
    told.phase_finish("bit")
    assert told.step_complete("unknown", 1)
    told.phase_finish("part")
    told.phase_start("of its own", "a phase nobody began", 0)
    assert watch.shares == [0, 0.5, 0.5, 0.75, 0.75, 0.875, 0]


# ---- precision ----


def kinds(model: Any) -> dict[str, set[int]]:
    """Types that the ops of a graph compute in, by op."""
    model = onnx.shape_inference.infer_shapes(model)
    types = {item.name: item.type.tensor_type.elem_type for item in (*model.graph.value_info, *model.graph.input)}
    types |= {item.name: item.data_type for item in model.graph.initializer}
    found: dict[str, set[int]] = {}
    for node in model.graph.node:
        found.setdefault(node.op_type, set()).add(types[node.input[0]])
    return found


@pytest.mark.parametrize(
    ("precision", "convolutions", "others"), [("half", HALF, HALF), ("norms-full", HALF, FLOAT), ("full", FLOAT, FLOAT)]
)
@pytest.mark.parametrize("regions", [1, 2])
def test_the_shipped_nets_are_typed_as_asked_and_taken_by_the_parser(
    card: SimpleNamespace, order: Order, precision: str, convolutions: int, others: int, regions: int
) -> None:
    order = order.model_copy(update={"bundle": shipped_bundle(), "regions": regions})
    model = graph(Bundle(order.bundle), order, precision)
    assert {item.type.tensor_type.elem_type for item in (*model.graph.input, *model.graph.output)} == {HALF}
    found = kinds(model)
    assert found["Conv"] == {convolutions}
    assert found["Relu"] == {others}
    assert found["InstanceNormalization"] == {FLOAT}
    run(order, precision)


def test_convolutions_in_half_paint_the_same(tiny_bundle: Path) -> None:
    model = joined(Bundle(tiny_bundle))
    changed = half(convolutions_in_half(model), whole=False)
    onnx.checker.check_model(changed, full_check=True)
    random = np.random.default_rng(0)
    feeds = {"packed": random.uniform(-1, 1, (1, 24, 8, 8)), "strength": np.ones((1, 1, 1, 1))}
    feeds["shift_0"] = random.uniform(-0.3, 0.3, (1, 24, 1, 1))
    core = ov.Core()
    found = []
    for each, dtype in ((model, np.float32), (changed, np.float16)):
        net = core.compile_model(core.read_model(each.SerializeToString()), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        found.append(net({name: value.astype(dtype) for name, value in feeds.items()})[net.output(0)])
    assert np.abs(found[0] - found[1]).max() < 0.01
