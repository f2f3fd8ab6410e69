"""Plans are found, shared, run, captured and let go in the right order, on the fake TensorRT and the fake CuPy."""

import gc
import hashlib
import logging
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from allaprima.exporters.engine import Onnx, sizes
from allaprima.realtime.backends.nets import Runtime, open_runtime
from allaprima.realtime.backends.nets.tensorrt_net import Session, open_tensorrt
from allaprima.realtime.backends.nets.trt import machine
from allaprima.realtime.builds import Order
from allaprima.realtime.bundle import Bundle
from allaprima.realtime.engine_key import Record
from allaprima.realtime.engines import Engines, NoEngine
from allaprima.realtime.errors import BackendError, BackendUnavailable, EngineMissing

from .... import fake_tensorrt, tiny

CELLS, LARGER = (12, 16), (28, 32)
SHIFT = tiny.shift(0.25)


class Watch:
    cancelled = False

    def progress(self, share: float, doing: str) -> None: ...

    def note(self, text: str) -> None: ...


@pytest.fixture(params=fake_tensorrt.VERSIONS)
def card(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    return fake_tensorrt.install(monkeypatch, request.param)


@pytest.fixture
def one(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A card, where the release does not matter."""
    return fake_tensorrt.install(monkeypatch)


class Shop:
    """Builds engines into a folder, without the comparison."""

    def __init__(self, bundle: Path, folder: Path) -> None:
        self.bundle, self.engines = Bundle(bundle), Engines(folder)

    def build(self, cells: Any = CELLS, regions: int = 1, precision: str = "half", **changed: Any) -> Path:
        order = Order(bundle=self.bundle.path, cells=cells, most=(40, 40), regions=regions, folder=self.engines.folder)
        built = Onnx(order.folder, machine()).build(order, precision, Watch())
        key = order.key(machine()).model_copy(update={"precision": precision, **changed})
        known = {"key": key, "sha256": hashlib.sha256(built.plan).hexdigest(), "bytes": len(built.plan)}
        known |= {"road": "onnx", "precision": precision, "psnr": 60.0, "compared": 1, "bundle": "", "seconds": 0.0}
        known |= {"inputs": built.inputs, "output": built.output}
        known["range"] = None if cells else sizes(order)
        return self.engines.publish(built.plan, Record.model_validate(known))

    def open(self, card: SimpleNamespace, cells: Any = CELLS, region: bool = False) -> tuple[Session, Any]:
        stream = card.cupy.cuda.Stream(non_blocking=True)
        return open_tensorrt(self.bundle, cells, stream, region, self.engines), stream


@pytest.fixture
def shop(tiny_bundle: Path, tmp_path: Path) -> Shop:
    (tmp_path / "engines").mkdir()
    return Shop(tiny_bundle, tmp_path / "engines")


def feed(session: Session, seed: int = 0, strength: float = 1.0, shift: Any = SHIFT) -> Any:
    """Fill the inputs; what is to come out."""
    picture = np.random.default_rng(seed).uniform(-1, 1, session.painted.shape).astype(np.float16)
    session.inputs["packed"].set(picture)  # type: ignore[attr-defined]
    session.inputs["strength"].fill(strength)  # type: ignore[attr-defined]
    session.inputs["shift_0"].set(shift)  # type: ignore[attr-defined]
    return picture.astype(np.float32) + strength * shift


def painted(session: Session) -> Any:
    return session.painted.get()  # type: ignore[attr-defined]


def test_it_paints_and_is_a_runtime(card: SimpleNamespace, shop: Shop) -> None:
    shop.build()
    session, _ = shop.open(card)
    runtime: Runtime = session
    assert (runtime.name, session.exact) == ("tensorrt", True)
    assert {name: array.dtype for name, array in session.inputs.items()} == dict.fromkeys(
        ("packed", "strength", "shift_0"), np.dtype(np.float16)
    )
    expected = feed(session)
    session.enqueue()
    assert np.abs(painted(session) - expected).max() < 0.01


def test_a_mask_says_where_the_second_style_goes(card: SimpleNamespace, shop: Shop) -> None:
    shop.build(regions=2)
    session, _ = shop.open(card, region=True)
    expected = feed(session)
    session.inputs["shift_1"].set(tiny.shift(-0.25))  # type: ignore[attr-defined]
    mask = np.zeros((1, 1, *CELLS), np.float16)
    mask[..., 8:] = 1
    session.inputs["mask_fine"].set(mask)  # type: ignore[attr-defined]
    session.enqueue()
    expected[..., 8:] -= 0.5 * (SHIFT != 0)
    assert np.abs(painted(session) - expected).max() < 0.01


def test_a_captured_graph_paints_what_the_inputs_hold_when_it_is_launched(card: SimpleNamespace, shop: Shop) -> None:
    shop.build()
    session, stream = shop.open(card)
    copy = card.cupy.zeros(session.painted.shape, np.float16)

    def body() -> None:
        session.enqueue()
        with stream:
            copy[...] = session.painted

    with card.cupy.no_allocation():
        launch = session.capture(body)
        assert not copy.get().any(), "what is captured does not run"
        for seed, shift in enumerate((SHIFT, tiny.shift(-0.5, 0.25))):
            expected = feed(session, seed, 0.5, shift)
            launch()
            stream.synchronize()
            assert np.abs(copy.get() - expected).max() < 0.01
    assert stream.capture is None


def test_an_error_while_capturing_ends_the_capture(card: SimpleNamespace, shop: Shop) -> None:
    shop.build()
    session, stream = shop.open(card)

    def body() -> None:
        session.enqueue()
        raise BackendError("torn")

    with pytest.raises(BackendError, match="torn"):
        session.capture(body)
    assert not stream.is_capturing()
    feed(session)
    session.enqueue()


def test_one_plan_serves_all_sessions_and_goes_with_the_last(card: SimpleNamespace, shop: Shop) -> None:
    shop.build()
    first, _ = shop.open(card)
    second, _ = shop.open(card)
    kinds = sorted(type(thing).__name__ for thing in card.trt.living)
    assert kinds == ["Context", "Context", "Engine", "Runtime"]
    feed(first, 1, 0.0)
    expected = feed(second, 2)
    first.enqueue()
    second.enqueue()
    assert np.abs(painted(second) - expected).max() < 0.01
    first.close()
    gc.collect()
    assert sorted(type(thing).__name__ for thing in card.trt.living) == ["Context", "Engine", "Runtime"]
    second.enqueue()
    second.close()
    second.close()
    gc.collect()
    assert list(card.trt.living) == []


def test_the_plan_is_loaded_once_though_several_threads_want_it(one: SimpleNamespace, shop: Shop) -> None:
    shop.build()
    sessions: list[Session] = []
    threads = [threading.Thread(target=lambda: sessions.append(shop.open(one)[0])) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sessions) == 4
    assert sum(type(thing).__name__ == "Engine" for thing in one.trt.living) == 1


def test_closed_it_neither_runs_nor_launches(one: SimpleNamespace, shop: Shop) -> None:
    shop.build()
    session, _ = shop.open(one)
    launch = session.capture(session.enqueue)
    session.close()
    with pytest.raises(BackendError, match="closed"):
        session.enqueue()
    with pytest.raises(BackendError, match="closed"):
        launch()


def test_without_an_engine_the_key_to_build_is_given(one: SimpleNamespace, shop: Shop) -> None:
    with pytest.raises(NoEngine) as caught:
        shop.open(one)
    assert caught.value.key is not None
    assert (caught.value.key.cells, caught.value.key.precision) == (CELLS, "half")


def test_the_nets_open_in_tensorrt_once_there_is_an_engine(
    one: SimpleNamespace, shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLAPRIMA_HOME", str(tmp_path))
    stream = one.cupy.cuda.Stream(non_blocking=True)
    with pytest.raises(EngineMissing):
        open_runtime(shop.bundle, CELLS, stream, wanted="tensorrt")
    shop.build()
    assert open_runtime(shop.bundle, CELLS, stream).name == "tensorrt"


def test_an_engine_for_any_size_serves_until_there_is_one_for_this(
    one: SimpleNamespace, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    shop.build(None)
    with caplog.at_level(logging.INFO, "allaprima.tensorrt"):
        session, _ = shop.open(one, LARGER)
    assert not session.exact
    assert "any size" in caplog.text
    expected = feed(session)
    session.enqueue()
    assert np.abs(painted(session) - expected).max() < 0.01
    with pytest.raises(NoEngine, match="no TensorRT engine for"):
        shop.open(one, (44, 28))
    shop.build(LARGER)
    assert shop.open(one, LARGER)[0].exact


def test_one_that_was_built_in_fp32_is_taken_where_there_is_no_other(one: SimpleNamespace, shop: Shop) -> None:
    path = shop.build(precision="full")
    session, _ = shop.open(one)
    assert session.exact
    assert "full" in path.name


def test_a_damaged_engine_is_named_and_another_serves(
    one: SimpleNamespace, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    path = shop.build(LARGER)
    shop.build(None)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert not shop.open(one, LARGER)[0].exact
    assert "hash differs" in caplog.text


@pytest.mark.parametrize("what", ["other card", "other release", "damaged inside", "refused"])
def test_a_plan_that_tensorrt_refuses_is_a_missing_engine(
    one: SimpleNamespace, shop: Shop, what: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even where the record says that all is well."""
    path = shop.build()
    if what == "other card":
        one.trt.gpu = "Another"
    elif what == "refused":
        one.trt.faults.add("reject")
    else:
        record = shop.engines.load(path)[1]
        old, new = (b"A fake", b"B fake") if what == "other release" else (b"encoder", b"Encoder")
        content = path.read_bytes().replace(old, new)
        changed = record.model_copy(update={"sha256": hashlib.sha256(content).hexdigest()})
        shop.engines.publish(content, changed)
    with pytest.raises(NoEngine, match=r"TensorRT does not take the engine .*Error Code") as caught:
        shop.open(one)
    assert caught.value.key is not None


def test_an_engine_with_other_inputs_than_its_record_is_refused(one: SimpleNamespace, shop: Shop) -> None:
    path = shop.build()
    content, record = shop.engines.load(path)
    shop.engines.publish(content, record.model_copy(update={"inputs": {"packed": "packed"}}))
    with pytest.raises(NoEngine, match=r"other inputs .*shift_0"):
        shop.open(one)
    shop.engines.publish(
        content, record.model_copy(update={"inputs": record.inputs | {"packed": "painted"}, "output": "packed"})
    )
    with pytest.raises(NoEngine, match="no fp16"):
        shop.open(one)


def test_a_card_without_room_is_an_error(one: SimpleNamespace, shop: Shop) -> None:
    shop.build()
    one.trt.faults.add("no context")
    with pytest.raises(BackendError, match="no context") as caught:
        shop.open(one)
    assert not isinstance(caught.value, BackendUnavailable)
    assert caught.value.hint


@pytest.mark.parametrize("call", ["set_input_shape", "set_tensor_address", "execute_async_v3"])
def test_every_call_that_can_fail_is_looked_at(
    one: SimpleNamespace, shop: Shop, call: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.build()
    monkeypatch.setattr(fake_tensorrt.Context, call, lambda self, *words: False)
    with pytest.raises(NoEngine if call == "set_input_shape" else BackendError):
        shop.open(one)


@pytest.mark.parametrize("error", [MemoryError("Out of memory allocating 512 bytes"), RuntimeError("cudaErrorIllegal")])
def test_what_cupy_raises_is_an_error_of_ours(
    one: SimpleNamespace, shop: Shop, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*words: Any) -> Any:
        raise error

    shop.build()
    monkeypatch.setattr(one.cupy, "zeros", fail)
    with pytest.raises(BackendError, match=str(error)) as caught:
        shop.open(one)
    assert caught.value.hint


def test_a_lost_device_is_closed_all_the_same(one: SimpleNamespace, shop: Shop) -> None:
    shop.build()
    session, _ = shop.open(one)
    one.cupy.failure.append(one.cupy.cuda.runtime.CUDARuntimeError(700, "an illegal memory access"))
    with pytest.raises(RuntimeError, match="illegal"):
        session.close()
    session.close()
    gc.collect()
    assert list(one.trt.living) == []
