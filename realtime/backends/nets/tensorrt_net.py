"""Run the nets in TensorRT: a plan from the engine cache, CuPy's memory, CuPy's stream.

A plan is deserialised once and shared by all sessions of the process; each session has an execution context and
its buffers.  TensorRT tells failure by None and False, so every result is looked at.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from allaprima.kernels.cuda import Array, Stream, cupy
from allaprima.realtime.backends.nets.trt import journal, machine, tensorrt
from allaprima.realtime.bundle import Bundle
from allaprima.realtime.engine_key import PRECISIONS, Cells, Record, key_of
from allaprima.realtime.engines import REBUILD, Engines, NoEngine
from allaprima.realtime.errors import BackendError

LOG = logging.getLogger("allaprima.tensorrt")
NO_ROOM = "Close other programs on the card, or paint smaller pictures."


class Plan:
    """A deserialised engine, shared by sessions."""

    def __init__(self, content: bytes, record: Record) -> None:
        trt = tensorrt()
        self.record = record
        self.making = threading.Lock()
        runtime = trt.Runtime(journal().logger)
        engine = runtime.deserialize_cuda_engine(content)
        if engine is None:
            raise NoEngine(f"TensorRT does not take the engine {record.key.name}{journal().why()}", REBUILD)
        self.engine = engine
        self._runtime = runtime  # behind the engine: attributes go in the order in which they came
        self.names: dict[str, str] = {}
        """Our names of the inputs, and ``painted``, to the engine's."""
        there = {engine.get_tensor_name(i): i for i in range(engine.num_io_tensors)}
        wanted = {**record.inputs, "painted": record.output}
        if set(wanted.values()) != there.keys():
            strange = sorted(set(wanted.values()) ^ there.keys())
            raise NoEngine(f"the engine {record.key.name} has other inputs than its record: {strange}")
        for ours, name in wanted.items():
            mode = trt.TensorIOMode.OUTPUT if ours == "painted" else trt.TensorIOMode.INPUT
            if engine.get_tensor_mode(name) != mode or engine.get_tensor_dtype(name) != trt.DataType.HALF:
                raise NoEngine(f"{name} of the engine {record.key.name} is no fp16 {mode.name.lower()}")
            self.names[ours] = name


class Session:
    """A net at one size on one stream; a `Runtime` of `realtime.backends.nets`.

    ``shapes`` are those of the inputs.  Buffers are made here, once; only their contents change.
    """

    name = "tensorrt"

    def __init__(self, plan: Plan, shapes: Mapping[str, tuple[int, ...]], stream: Stream) -> None:
        """Raises `NoEngine` for an engine that does not take ``shapes``, `BackendError` without room on the card."""
        name = plan.record.key.name
        if shapes.keys() != plan.record.inputs.keys():
            raise NoEngine(f"the engine {name} takes {sorted(plan.record.inputs)}, not {sorted(shapes)}", REBUILD)
        self.exact = plan.record.range is None
        """Built for this very size, not for any."""
        self._plan: Plan | None = plan
        self._stream = stream
        with plan.making:  # the engine's own bookkeeping is not for several threads
            context = plan.engine.create_execution_context()
        if context is None:
            raise BackendError(f"TensorRT makes no context{journal().why()}", NO_ROOM)
        self._context: Any = context
        for ours, shape in shapes.items():
            if not context.set_input_shape(plan.names[ours], shape):
                raise NoEngine(f"the engine {name} takes no {ours} of {shape}{journal().why()}", REBUILD)
        size = tuple(context.get_tensor_shape(plan.names["painted"]))
        if min(size) < 0:
            raise NoEngine(f"the engine {name} cannot tell the size of its picture: {size}", REBUILD)
        try:
            with stream:
                self.inputs: Mapping[str, Array] = {n: cupy().zeros(s, np.float16) for n, s in shapes.items()}
                self.painted: Array = cupy().zeros(size, np.float16)
            for ours, array in {**self.inputs, "painted": self.painted}.items():
                if not context.set_tensor_address(plan.names[ours], array.data.ptr):
                    raise BackendError(f"TensorRT does not take the memory of {ours}{journal().why()}")
            self.enqueue()  # what TensorRT loads at the first run cannot be captured
            stream.synchronize()
        except (RuntimeError, MemoryError) as error:  # CuPy's
            raise BackendError(f"the net cannot be made ready on the card: {error}", NO_ROOM) from error

    def enqueue(self) -> None:
        """Paint ``inputs`` into ``painted``, on the stream; comes back at once."""
        if self._plan is None:
            raise BackendError("the net is closed")
        context = self._context
        if not context.execute_async_v3(self._stream.ptr):
            raise BackendError(f"TensorRT cannot run the net{journal().why()}")

    def capture(self, body: Callable[[], None]) -> Callable[[], None]:
        """``body``, which may enqueue this and launch kernels on the stream, as one CUDA graph; gives its launch.

        Its kernels must have run before, and its arrays stay where they are.  The net itself ran when it was opened.
        """
        stream = self._stream
        with stream:
            stream.begin_capture()
            try:
                body()
            except BaseException:
                with suppress(RuntimeError):  # what went wrong is in the error on its way
                    stream.end_capture()
                raise
            graph = stream.end_capture()
        graph.upload(stream)

        def launch() -> None:
            if self._plan is None:
                raise BackendError("the net is closed")
            graph.launch(stream)

        return launch

    def close(self) -> None:
        """Waits for what is under way.  Captured graphs cannot be launched any more."""
        if self._plan is None:
            return
        try:
            self._stream.synchronize()
        finally:
            self._context = None  # before the engine it came from
            self._plan = None


_PLANS: "WeakValueDictionary[tuple[int, str], Plan]" = WeakValueDictionary()
_LOADING = threading.Lock()


def load(engines: Engines, file: Path) -> Plan:
    """The plan in a file, deserialised once for all sessions on the current device.  Raises `NoEngine`."""
    content, record = engines.load(file)
    name = (int(cupy().cuda.runtime.getDevice()), record.sha256)
    with _LOADING:
        plan = _PLANS.get(name)
        if plan is None:
            plan = _PLANS[name] = Plan(content, record)
    return plan


def open_tensorrt(
    bundle: Bundle, cells: Cells, stream: Stream, region: bool = False, engines: Engines | None = None
) -> Session:
    """A session for packed pictures of ``cells`` ``(h, w)``: the engine for this size, or one for any size;
    built in fp16 if there is one, or with more in fp32.

    Raises `BackendUnavailable` where TensorRT cannot be used; `NoEngine`, with the key to build, where there is
    no engine that fits this machine.
    """
    engines = engines or Engines()
    key = key_of(machine(), bundle, cells, 2 if region else 1)
    shapes = input_shapes(bundle, cells, key.regions)
    why: NoEngine | None = None
    for size, precision in product((cells, None), PRECISIONS):
        candidate = key.model_copy(update={"cells": size, "precision": precision})
        file = engines.find(candidate)
        if file is None:
            continue
        try:
            plan = load(engines, file)
            if plan.record.covers(cells):
                if size is None:
                    LOG.info("no engine for %s yet: the one for any size paints", key.name)
                return Session(plan, shapes, stream)
        except NoEngine as error:  # damaged, or refused
            LOG.warning("%s", error)
            why = why or error
    raise NoEngine(str(why), why.hint, key) if why else engines.missing(key)


def input_shapes(bundle: Bundle, cells: Cells, regions: int) -> dict[str, tuple[int, ...]]:
    """The inputs of the joined net (`realtime.network.joined`) for packed pictures of ``cells``, by name."""
    shapes: dict[str, tuple[int, ...]] = {"packed": (1, 24, *cells), "strength": (1, 1, 1, 1)}
    for index in range(regions):
        shapes |= {f"{key}_{index}": tuple(shape) for key, shape in bundle.manifest.filters.items()}
    if regions > 1:
        from allaprima.realtime.network import map_sizes  # wants the package onnx

        shapes |= {f"mask_{name}": (1, 1, *size) for name, size in map_sizes(bundle, cells).items()}
    return shapes
