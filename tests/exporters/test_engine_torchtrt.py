"""The second road: what torch exports goes to torch-tensorrt with the right inputs.

torch-tensorrt itself is a stand-in that takes its arguments apart and gives the ONNX graph's plan instead;
`test_engine_contract.py` holds the call against the real one.
"""

import importlib
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import onnx
import pytest

torch = pytest.importorskip("torch")

from allaprima.exporters import build_engine  # noqa: E402
from allaprima.exporters.build_engine import Printer  # noqa: E402
from allaprima.exporters.engine import Cancelled, graph  # noqa: E402
from allaprima.exporters.engine_torchtrt import TorchTensorRt  # noqa: E402
from allaprima.realtime.builds import Order  # noqa: E402
from allaprima.realtime.bundle import Bundle  # noqa: E402
from allaprima.realtime.errors import BackendError, BackendUnavailable, ConfigError  # noqa: E402

from .. import fake_tensorrt  # noqa: E402

CELLS = (12, 16)


class StandIn(ModuleType):
    """``torch_tensorrt.dynamo``."""

    def __init__(self, order: Order, card: SimpleNamespace) -> None:
        super().__init__("torch_tensorrt.dynamo")
        self._order, self._card = order, card
        self.given: dict[str, Any] = {}
        self.program: Any = None
        self.error: Exception | None = None

    def convert_exported_program_to_serialized_trt_engine(
        self, program: Any, *, arg_inputs: Any, kwarg_inputs: Any, **options: Any
    ) -> bytes:
        if self.error:
            raise self.error
        self.program, self.given = program, options
        found = program.module()(*arg_inputs, **kwarg_inputs)
        assert found.shape == kwarg_inputs["packed"].shape
        assert {value.dtype for value in (found, *kwarg_inputs.values())} == {torch.float16}
        model = graph(Bundle(self._order.bundle), self._order, "half")
        for node in model.graph.node:
            node.output[:] = ["output0" if name == "painted" else name for name in node.output]
        model.graph.output[0].name = "output0"
        trt = self._card.trt
        network = SimpleNamespace(model=onnx.ModelProto.FromString(model.SerializeToString()), strong=True)
        logger = fake_tensorrt.ILogger()
        return bytes(trt.Builder(logger).build_serialized_network(network, fake_tensorrt.Config(trt)))


@pytest.fixture
def order(tiny_bundle: Path, tmp_path: Path) -> Order:
    return Order(bundle=tiny_bundle, cells=CELLS, folder=tmp_path, road="torch-tensorrt", memory=123)


@pytest.fixture
def dynamo(order: Order, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    importlib.import_module("torch._dynamo")  # which looks for the real cupy
    card = fake_tensorrt.install(monkeypatch, "10.16.1.11")
    stand_in = StandIn(order, card)
    monkeypatch.setitem(sys.modules, "torch_tensorrt", ModuleType("torch_tensorrt"))
    monkeypatch.setitem(sys.modules, "torch_tensorrt.dynamo", stand_in)
    monkeypatch.setattr(torch.Tensor, "cuda", lambda self: self)
    monkeypatch.setattr(torch.nn.Module, "cuda", lambda self: self)
    return stand_in


@pytest.mark.parametrize("regions", [1, 2])
def test_its_plan_runs_in_the_same_runtime(dynamo: StandIn, order: Order, regions: int) -> None:
    dynamo._order = order = order.model_copy(update={"regions": regions})
    _, record = build_engine.build(order, Printer())
    assert (record.road, record.output) == ("torch-tensorrt", "output0")
    assert record.inputs["packed"] == "packed"
    assert record.psnr > 60
    assert dynamo.given["workspace_size"] == 123
    assert dynamo.given["require_full_compilation"] is True


def test_everything_in_fp32_is_so_in_the_exported_program(dynamo: StandIn, order: Order) -> None:
    for precision, kinds in (("half", torch.float16), ("full", torch.float32)):
        TorchTensorRt().build(order, precision, Printer())
        nodes = [node for node in dynamo.program.graph.nodes if "add" in str(node.target)]
        assert {node.meta["val"].dtype for node in nodes} == {kinds}
        assert dynamo.given["disable_tf32"] is (precision == "full")


def test_it_builds_for_one_size_only(dynamo: StandIn, order: Order) -> None:
    with pytest.raises(ConfigError, match="one size each"):
        TorchTensorRt().build(order.model_copy(update={"cells": None, "most": (40, 40)}), "half", Printer())


def test_its_errors_are_ours(dynamo: StandIn, order: Order) -> None:
    dynamo.error = RuntimeError("no converter for aten.odd\nsecond line")
    with pytest.raises(BackendError, match=r"no converter for aten\.odd$"):
        TorchTensorRt().build(order, "half", Printer())


def test_it_can_be_called_off(dynamo: StandIn, order: Order) -> None:
    watch = Printer()
    watch.cancelled = True
    with pytest.raises(Cancelled):
        TorchTensorRt().build(order, "half", watch)


def test_without_it_the_extra_is_named(dynamo: StandIn, order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch_tensorrt.dynamo", None)
    with pytest.raises(BackendUnavailable) as caught:
        TorchTensorRt().build(order, "half", Printer())
    assert "torchtrt" in caught.value.hint
