"""``python -m allaprima.exporters.build_engine ORDER``: build one engine, compare it with fp32, keep it.

The child process of `realtime.builds`, which says what ORDER is and what is printed.  It may be killed at any
moment: what is kept is written in one step at the end.
"""

import hashlib
import json
import logging
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from allaprima.exporters.engine import Cancelled, Onnx, Road, sizes
from allaprima.exporters.engine_torchtrt import TorchTensorRt
from allaprima.exporters.parity import LEAST_PSNR, Feeds, Map, Parity, compare
from allaprima.kernels.cuda import cupy
from allaprima.realtime.backends.nets.tensorrt_net import Plan, Session, input_shapes
from allaprima.realtime.backends.nets.trt import machine
from allaprima.realtime.builds import Order
from allaprima.realtime.bundle import Bundle
from allaprima.realtime.engine_key import PRECISIONS, Cells, Key, Record
from allaprima.realtime.engines import EngineBusy, Engines, NoEngine
from allaprima.realtime.errors import AllaprimaError, BackendError

WAIT_SECONDS = 1.0
"""Between two looks whether another process has finished the same engine."""
LONGEST_WAIT = 3600.0
"""Seconds after which another process's build is no longer waited for."""


class Printer:
    """A `Watch` that prints events.  When nobody reads them any more, nobody wants the engine."""

    def __init__(self) -> None:
        self.cancelled = False
        self._last = (-1, "")

    def progress(self, share: float, doing: str) -> None:
        now = (round(1000 * share), doing)
        if now != self._last:
            self._last = now
            self.say("progress", share=now[0] / 1000, doing=doing)

    def note(self, text: str) -> None:
        self.say("note", text=text)

    def say(self, event: str, **more: Any) -> None:
        try:
            print(json.dumps({"event": event, **more}) + "\n", end="", flush=True)  # one write: threads log between
        except OSError:
            self.cancelled = True


def build(order: Order, watch: Printer) -> tuple[Path, Record]:
    """Build what ``order`` wants, unless it is there or another process is at it, whose engine is waited for.

    Raises any `AllaprimaError`; nothing is left behind then.
    """
    key = order.key(machine())
    engines = Engines(order.folder)
    began, again = time.monotonic(), order.again
    while True:
        try:
            with engines.building(key.name):
                if not again and (found := _there(engines, key, watch)) is not None:
                    return found
                return _build(order, key, engines, watch)
        except EngineBusy as error:
            if time.monotonic() - began > LONGEST_WAIT or watch.cancelled:
                raise
            again = False  # what the other one builds is new enough
            watch.progress(0.0, f"process {error.pid} builds it; waiting")
            time.sleep(WAIT_SECONDS)


def _there(engines: Engines, key: Key, watch: Printer) -> tuple[Path, Record] | None:
    """The engine, if it is there and whole."""
    plan = engines.find(key)
    if plan is None:
        return None
    try:
        _, record = engines.load(plan)
    except NoEngine as error:
        watch.note(f"{error}; it is built anew")
        return None
    watch.note("it is there already")
    return plan, record


def _build(order: Order, key: Key, engines: Engines, watch: Printer) -> tuple[Path, Record]:
    """Down the precisions, from the one asked for, until the engine paints what it should."""
    began = time.monotonic()
    bundle = Bundle(order.bundle)
    road: Road = Onnx(order.folder, key) if order.road == "onnx" else TorchTensorRt()
    for precision in PRECISIONS[PRECISIONS.index(order.precision) :]:
        built = road.build(order, precision, watch)
        record = Record(
            key=key,
            sha256=hashlib.sha256(built.plan).hexdigest(),
            bytes=len(built.plan),
            road=road.name,
            precision=precision,
            psnr=0.0,
            compared=0,
            bundle=str(order.bundle.resolve()),
            inputs=built.inputs,
            output=built.output,
            range=sizes(order) if order.cells is None else None,
        )
        watch.progress(1.0, "comparing with fp32")
        found = _compared(built.plan, record, bundle, order)
        if found.ok:
            spent = round(time.monotonic() - began, 1)
            record = record.model_copy(
                update={"psnr": min(found.psnr, 200.0), "compared": found.compared, "seconds": spent}
            )
            return engines.publish(built.plan, record), record
        watch.note(
            f"in precision {precision!r} the engine is {found.psnr:.1f} dB from fp32 in {found.style}, "
            f"{LEAST_PSNR:g} are wanted"
        )
    raise BackendError(
        "no precision paints what the nets paint in fp32; the engine is not kept",
        "Paint with the other runtime, and report TensorRT's version and the card.",
    )


def _compared(plan: bytes, record: Record, bundle: Bundle, order: Order) -> Parity:
    """The worst of all sizes; an engine for any size is tried at the usual one and at the least."""
    loaded = Plan(plan, record)
    least, usual, _ = sizes(order)
    rows = [_compared_at(loaded, bundle, cells, order.regions) for cells in dict.fromkeys((usual, least))]
    worst = min(rows, key=lambda row: row.psnr if row.psnr == row.psnr else -np.inf)
    return Parity(worst.psnr, worst.style, sum(row.compared for row in rows))


def _compared_at(plan: Plan, bundle: Bundle, cells: Cells, regions: int) -> Parity:
    stream = cupy().cuda.Stream(non_blocking=True)
    session = Session(plan, input_shapes(bundle, cells, regions), stream)

    def paint(feeds: Feeds) -> Map:
        try:
            with stream:
                for name, array in session.inputs.items():
                    array.set(feeds[name].astype(np.float16))  # type: ignore[attr-defined]
            session.enqueue()
            stream.synchronize()
            return np.asarray(session.painted.get(), np.float32)  # type: ignore[attr-defined]
        except (RuntimeError, MemoryError) as error:  # CuPy's
            raise BackendError(f"the engine was built and fails at its first picture: {error}") from error

    try:
        return compare(paint, bundle, cells, regions)
    finally:
        session.close()


def main(words: list[str]) -> int:
    """The exit code: 0, or that of the error that was printed."""
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s", stream=sys.stdout)
    watch = Printer()
    try:
        plan, record = build(Order.model_validate_json(words[0]), watch)
    except Cancelled:
        return 130
    except AllaprimaError as error:
        watch.say("error", error=str(error), hint=error.hint, exit_code=error.exit_code)
        return error.exit_code
    watch.say("done", plan=str(plan), record=record.model_dump(mode="json"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
