"""From an order to a plan that paints what the nets paint, on the fake TensorRT."""

import errno
import json
import os
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from allaprima.exporters import build_engine
from allaprima.exporters.build_engine import Printer, build, main
from allaprima.exporters.parity import compare
from allaprima.realtime.backends.nets.tensorrt_net import open_tensorrt
from allaprima.realtime.builds import Child, Order
from allaprima.realtime.bundle import Bundle, shipped_bundle
from allaprima.realtime.engine_key import packed_size
from allaprima.realtime.engines import Engines
from allaprima.realtime.errors import BackendError, SinkError

from .. import fake_tensorrt

CELLS = (12, 16)


@pytest.fixture(params=fake_tensorrt.VERSIONS)
def card(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    return fake_tensorrt.install(monkeypatch, request.param)


@pytest.fixture
def one(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A card, where the release does not matter."""
    return fake_tensorrt.install(monkeypatch)


@pytest.fixture
def order(tiny_bundle: Path, tmp_path: Path) -> Order:
    return Order(bundle=tiny_bundle, cells=CELLS, folder=tmp_path / "engines")


def events(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_what_was_built_paints_what_the_nets_paint(
    card: SimpleNamespace, order: Order, capsys: pytest.CaptureFixture[str], tiny: Any
) -> None:
    _, record = build(order, Printer())
    assert record.psnr > 60
    assert (record.precision, record.road, record.compared) == ("half", "onnx", 8)
    stream = card.cupy.cuda.Stream(non_blocking=True)
    session = open_tensorrt(Bundle(order.bundle), CELLS, stream, engines=Engines(order.folder))
    picture = np.random.default_rng(1).uniform(-1, 1, (1, 24, *CELLS)).astype(np.float16)
    session.inputs["packed"].set(picture)
    session.inputs["strength"].fill(1)
    session.inputs["shift_0"].set(tiny.shift(0.25))
    session.enqueue()
    assert np.abs(session.painted.get() - (picture + tiny.shift(0.25).astype(np.float32))).max() < 0.01
    shares = [event["share"] for event in events(capsys) if event["event"] == "progress"]
    assert shares == sorted(shares)
    assert shares[-1] == 1


def test_an_engine_for_any_size_is_compared_at_two_sizes(card: SimpleNamespace, order: Order) -> None:
    most = packed_size((96, 80))
    _, record = build(order.model_copy(update={"cells": None, "most": most}), Printer())
    assert record.range == (packed_size((64, 64)), most, most)
    assert record.compared == 16


def test_two_regions_are_compared_with_masks(one: SimpleNamespace, order: Order) -> None:
    _, record = build(order.model_copy(update={"regions": 2}), Printer())
    assert {"mask_deep", "mask_fine", "shift_0", "shift_1"} < record.inputs.keys()
    assert record.psnr > 60


def test_what_paints_wrongly_is_built_again_with_more_in_fp32_and_said_aloud(
    monkeypatch: pytest.MonkeyPatch, order: Order, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_tensorrt.install(monkeypatch, "11.4.0.106", "wrong half")
    plan, record = build(order, Printer())
    assert (record.key.precision, record.precision) == ("half", "full")
    notes = [event["text"] for event in events(capsys) if event["event"] == "note"]
    assert ["'half'" in notes[0], "'norms-full'" in notes[1], len(notes)] == [True, True, 2]
    assert "dB" in notes[0]
    assert Engines(order.folder).find(record.key) == plan


def test_an_engine_that_never_paints_right_is_not_kept(monkeypatch: pytest.MonkeyPatch, order: Order) -> None:
    fake_tensorrt.install(monkeypatch, "10.16.1.11", "wrong")
    with pytest.raises(BackendError, match="no precision"):
        build(order, Printer())
    assert sorted(file.suffix for file in order.folder.iterdir()) == [".cache"]


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        ("parser", "node .* No importer registered"),
        ("oom", "OutOfMemory"),
        ("reject", "does not take"),
        ("no context", "no context"),
    ],
)
def test_failures_name_the_reason_and_leave_nothing(
    fault: str, says: str, monkeypatch: pytest.MonkeyPatch, order: Order, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_tensorrt.install(monkeypatch, "10.16.1.11", fault)
    assert main([order.model_dump_json()]) != 0
    last = events(capsys)[-1]
    assert last["event"] == "error"
    assert re.search(says, last["error"])
    assert [file for file in order.folder.glob("*") if file.suffix != ".cache"] == []


def test_a_full_disk_is_an_error_and_leaves_nothing(
    one: SimpleNamespace, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = Path.write_bytes

    def full(self: Path, content: Any) -> int:
        if ".plan." in self.name:
            write(self, content[:10])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(self, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(SinkError, match="No space left"):
        build(order, Printer())
    assert [file for file in order.folder.iterdir() if file.suffix != ".cache"] == []


def test_what_is_there_is_not_built_again_unless_it_is_asked_for(one: SimpleNamespace, order: Order) -> None:
    first, _ = build(order, Printer())
    again, _ = build(order, Printer())
    assert (again, len(one.trt.built)) == (first, 1)
    build(order.model_copy(update={"again": True}), Printer())
    assert len(one.trt.built) == 2


@pytest.mark.parametrize("how", ["cut", "a bit"])
def test_a_damaged_engine_is_built_again(one: SimpleNamespace, order: Order, how: str) -> None:
    plan, record = build(order, Printer())
    content = plan.read_bytes()
    plan.write_bytes(content[:-1] + bytes([content[-1] ^ 1] * (how == "a bit")))
    build(order, Printer())
    assert Engines(order.folder).load(plan)[1].sha256 == record.sha256


@pytest.mark.parametrize("again", [False, True])
def test_who_finds_another_builder_waits_and_takes_its_engine(
    one: SimpleNamespace,
    order: Order,
    again: bool,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    engines, key = Engines(order.folder), order.key(build_engine.machine())
    _, record = build(order, Printer())
    content = engines.path(key).read_bytes()
    engines.remove(engines.path(key))
    other = engines.building(key.name)
    other.__enter__()

    def wait(seconds: float) -> None:
        engines.publish(content, record)
        other.__exit__(None, None, None)

    monkeypatch.setattr(build_engine.time, "sleep", wait)
    assert build(order.model_copy(update={"again": again}), Printer()) == (engines.path(key), record)
    assert len(one.trt.built) == 1
    said = events(capsys)
    assert f"process {os.getpid()} builds it; waiting" in [event.get("doing") for event in said]
    assert said[-1]["text"] == "it is there already"


def test_a_card_that_fails_while_comparing_is_an_error_of_ours(
    one: SimpleNamespace, order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compare(paint: Any, *rest: Any) -> Any:
        one.cupy.failure.append(one.cupy.cuda.runtime.CUDARuntimeError(700, "an illegal memory access"))
        return paint({name: np.zeros(1, np.float32) for name in ("packed", "strength", "shift_0")})

    monkeypatch.setattr(build_engine, "compare", compare)
    monkeypatch.setattr(build_engine.Session, "close", lambda self: None)
    monkeypatch.setattr(one.cupy.ndarray, "set", lambda self, values: None)
    with pytest.raises(BackendError, match=r"fails at its first picture: .*illegal"):
        build(order, Printer())


def test_it_stops_when_nobody_reads_on(one: SimpleNamespace, order: Order, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*words: Any, **how: Any) -> None:
        raise BrokenPipeError

    monkeypatch.setattr("builtins.print", broken)
    assert main([order.model_dump_json()]) == 130
    assert one.trt.built == []
    assert list(order.folder.iterdir()) == []


def test_the_last_event_tells_where_the_engine_is(
    one: SimpleNamespace, order: Order, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([order.model_dump_json()]) == 0
    last = events(capsys)[-1]
    assert last["event"] == "done"
    assert Path(last["plan"]).is_file()
    assert last["record"]["psnr"] > 60


@pytest.mark.needs_cuda
@pytest.mark.parametrize("cells", [packed_size((320, 180)), None])
def test_on_a_card(cells: tuple[int, int] | None, tmp_path: Path) -> None:
    """The real TensorRT: built by the real child, loaded, captured, and compared with the nets in fp32."""
    pytest.importorskip("tensorrt", reason="TensorRT is not installed")
    cupy = pytest.importorskip("cupy")
    order = Order(bundle=shipped_bundle(), cells=cells, folder=tmp_path)
    with Child(order) as child:
        *_, last = child.events()
    assert last["record"]["psnr"] > 40
    bundle, stream = Bundle(order.bundle), cupy.cuda.Stream(non_blocking=True)
    at = packed_size((320, 180))
    session = open_tensorrt(bundle, at, stream, engines=Engines(tmp_path))
    launch = session.capture(session.enqueue)

    def paint(feeds: Any) -> Any:
        for name, array in session.inputs.items():
            array.set(feeds[name].astype(np.float16), stream=stream)
        launch()
        stream.synchronize()
        return session.painted.get().astype(np.float32)

    assert compare(paint, bundle, at).ok
    session.close()
