"""The part of TensorRT that we use, in Python: engines are the parsed ONNX in OpenVINO, memory is the fake CuPy's.

Strict where the real one is: typed strictly, shapes and addresses before a run, None and False where it fails, plans
of another release, card or content refused, phases told to the monitor.  `FakeTensorRt(version)` stands for the
module; what is in ``faults`` goes wrong.
"""

import hashlib
import json
import os
import sys
import weakref
from enum import IntEnum
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import onnx
import openvino as ov
import pytest

from .kernels import fake_streams
from .kernels.emulator import KernelFault, Memory, why_not

VERSIONS = ("10.16.1.11", "11.4.0.106")
MAGIC = b"FAKEPLAN"
SUPPORTED = (
    "Add AveragePool Cast Clip Concat Constant Conv ConvTranspose DepthToSpace Div Equal Expand Flatten Gather "
    "GlobalAveragePool Identity InstanceNormalization LeakyRelu MatMul Mul Pad Pow Range ReduceMean Relu Reshape "
    "Resize Shape Sigmoid Slice SpaceToDepth Split Sqrt Squeeze Sub Tanh Transpose Unsqueeze Where"
)
"""Ops that TensorRT's ONNX parser lists for 10.x and 11.x, as far as nets of ours may want them."""
PHASES = (("Building Engine", None, 3), ("Selecting tactics", "Building Engine", 4))
ENV = "ALLAPRIMA_FAKE_TENSORRT"
"""For a child: ``VERSION[,FAULT...]``."""


class Severity(IntEnum):
    INTERNAL_ERROR, ERROR, WARNING, INFO, VERBOSE = range(5)


class ILogger:
    Severity = Severity

    def __init__(self) -> None:
        self.ready = True  # a subclass that forgets to call this crashes the real one

    def log(self, severity: Severity, msg: str) -> None:
        raise NotImplementedError


class IProgressMonitor:
    def __init__(self) -> None:
        self.ready = True


class TensorIOMode(IntEnum):
    NONE, INPUT, OUTPUT = range(3)


class DataType(IntEnum):
    FLOAT, HALF = range(2)


class FakeTensorRt(ModuleType):
    """``version`` decides whether strong typing is a flag (10) or the only way (11)."""

    def __init__(self, version: str = "10.16.1.11", faults: tuple[str, ...] = (), gpu: str = "A fake") -> None:
        super().__init__("tensorrt")
        self.__spec__ = ModuleSpec("tensorrt", None)  # torch looks for it
        self.__version__ = version
        self.faults, self.gpu = set(faults), gpu
        self.living: weakref.WeakSet[Any] = weakref.WeakSet()
        """Runtimes, engines and contexts."""
        self.built: list[Any] = []
        """Configs of the engines that were built."""
        self.ILogger, self.IProgressMonitor = ILogger, IProgressMonitor
        self.TensorIOMode, self.DataType = TensorIOMode, DataType
        self.NetworkDefinitionCreationFlag = IntEnum("NetworkDefinitionCreationFlag", {"STRONGLY_TYPED": 1})
        self.BuilderFlag = IntEnum("BuilderFlag", {"TF32": 7, **({} if self.major >= 11 else {"FP16": 0})})
        self.MemoryPoolType = IntEnum("MemoryPoolType", {"WORKSPACE": 0})
        self.Builder = lambda logger: Builder(self, logger)
        self.OnnxParser = lambda network, logger: OnnxParser(self, network, logger)
        self.Runtime = lambda logger: Runtime(self, logger)

    @property
    def major(self) -> int:
        return int(self.__version__.split(".")[0])


# ---- building ----


class Builder:
    def __init__(self, trt: FakeTensorRt, logger: ILogger) -> None:
        assert logger.ready
        self._trt, self._logger = trt, logger

    def create_network(self, flags: int = 0) -> SimpleNamespace:
        return SimpleNamespace(strong=self._trt.major >= 11 or bool(flags & 1 << 1), model=None)

    def create_builder_config(self) -> "Config":
        return Config(self._trt)

    def create_optimization_profile(self) -> "Profile":
        return Profile()

    def build_serialized_network(self, network: Any, config: "Config") -> Any:
        assert network.model is not None, "nothing was parsed"
        assert network.strong, "a half net in a weakly typed network runs in whatever TensorRT likes"
        if "oom" in self._trt.faults:
            return self._fails("Error Code 2: OutOfMemory (Requested size was 5368709120 bytes.)")
        ranges: dict[str, Any] = {}
        for item in network.model.graph.input:
            sides = tuple(
                side.dim_value if side.HasField("dim_value") else -1 for side in item.type.tensor_type.shape.dim
            )
            ranges[item.name] = [sides] * 3
            if -1 in sides:
                if not config.profiles or item.name not in config.profiles[0].shapes:
                    return self._fails(f"Error Code 4: {item.name} has dynamic dimensions but no optimization profile")
                ranges[item.name] = config.profiles[0].shapes[item.name]
        if not self._go_through(config.progress_monitor):
            return None
        self._trt.built.append(config)
        content = network.model.SerializeToString()
        head = {"version": self._trt.__version__, "gpu": self._trt.gpu, "ranges": ranges}
        if "wrong" in self._trt.faults or ("wrong half" in self._trt.faults and config.tf32):
            head["noise"] = 0.2
        text = json.dumps(head | {"sha256": hashlib.sha256(content).hexdigest()}).encode()
        return memoryview(MAGIC + len(text).to_bytes(4, "little") + text + content)

    def _fails(self, why: str) -> None:
        self._logger.log(Severity.ERROR, why)

    def _go_through(self, monitor: Any) -> bool:
        """Phase within phase, as a build does; False where the monitor wants no more."""
        if monitor is None:
            return True
        assert monitor.ready
        (outer, none, steps), (inner, _, small) = PHASES
        monitor.phase_start(outer, none, steps)
        for step in range(steps):
            monitor.phase_start(inner, outer, small)
            going = all(monitor.step_complete(inner, tactic) for tactic in range(small))
            monitor.phase_finish(inner)
            if not going or not monitor.step_complete(outer, step):
                self._logger.log(Severity.WARNING, "the build was cancelled")
                monitor.phase_finish(outer)
                return False
        monitor.phase_finish(outer)
        return True


class Profile:
    def __init__(self) -> None:
        self.shapes: dict[str, Any] = {}

    def set_shape(self, input: str, min: Any, opt: Any, max: Any) -> None:
        if not all(a <= b <= c for a, b, c in zip(min, opt, max, strict=True)):
            raise ValueError("Shape provided for min is greater than max")
        self.shapes[input] = [min, opt, max]


class Config:
    def __init__(self, trt: FakeTensorRt) -> None:
        self._trt = trt
        self.progress_monitor: Any = None
        self.profiles: list[Profile] = []
        self.pools: dict[Any, int] = {}
        self.tf32 = True
        self._timings: Any = None

    def set_memory_pool_limit(self, pool: Any, pool_size: int) -> None:
        self.pools[pool] = pool_size

    def clear_flag(self, flag: Any) -> None:
        assert flag == self._trt.BuilderFlag.TF32
        self.tf32 = False

    def add_optimization_profile(self, profile: Profile) -> int:
        self.profiles.append(profile)
        return len(self.profiles) - 1

    def create_timing_cache(self, serialized_timing_cache: bytes) -> Any:
        return SimpleNamespace(content=bytes(serialized_timing_cache), serialize=lambda: memoryview(self._learned()))

    def set_timing_cache(self, cache: Any, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch, "timings of another card would be taken for this one's"
        if cache.content and not cache.content.startswith(self._trt.__version__.encode()):
            return False
        self._timings = cache
        return True

    def get_timing_cache(self) -> Any:
        return self._timings

    def _learned(self) -> bytes:
        return (self._timings.content or self._trt.__version__.encode()) + b"."


class OnnxParser:
    def __init__(self, trt: FakeTensorRt, network: Any, logger: ILogger) -> None:
        self._trt, self._network, self._logger = trt, network, logger
        self._errors: list[Any] = []

    num_errors = property(lambda self: len(self._errors))

    def get_error(self, index: int) -> Any:
        return self._errors[index]

    def parse(self, model: bytes) -> bool:
        parsed = onnx.ModelProto.FromString(model)
        onnx.checker.check_model(parsed, full_check=True)  # types of all edges: a Conv of two types is refused
        for number, node in enumerate(parsed.graph.node):
            if node.op_type not in SUPPORTED.split() or "parser" in self._trt.faults:
                self._refuse(number, node, "No importer registered for op: " + node.op_type)
                return False
        self._network.model = parsed
        return True

    def _refuse(self, number: int, node: Any, why: str) -> None:
        said = {"desc": why, "node": number, "node_name": node.name, "node_operator": node.op_type}
        self._errors.append(SimpleNamespace(**{name: lambda value=value: value for name, value in said.items()}))


# ---- running ----


class Runtime:
    def __init__(self, trt: FakeTensorRt, logger: ILogger) -> None:
        assert logger.ready
        self._trt, self._logger = trt, logger
        trt.living.add(self)

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> Any:
        content = bytes(serialized_engine)
        length = int.from_bytes(content[8:12], "little")
        if not content.startswith(MAGIC):
            return self._fails("Error Code 1: Serialization (magic tag does not match)")
        head, body = json.loads(content[12 : 12 + length]), content[12 + length :]
        if head["version"] != self._trt.__version__ or "reject" in self._trt.faults:
            return self._fails(f"Error Code 6: The engine plan file is from {head['version']}")
        if head["gpu"] != self._trt.gpu:
            return self._fails("Error Code 6: the engine was made for another device")
        if hashlib.sha256(body).hexdigest() != head["sha256"]:
            return self._fails("Error Code 1: Serialization (checksum)")
        return Engine(self._trt, self, onnx.ModelProto.FromString(body), head)

    def _fails(self, why: str) -> None:
        self._logger.log(Severity.ERROR, why)


class Engine:
    def __init__(self, trt: FakeTensorRt, runtime: Runtime, model: Any, head: dict[str, Any]) -> None:
        self._trt, self._runtime = trt, weakref.ref(runtime)
        self.ranges = {name: [tuple(shape) for shape in shapes] for name, shapes in head["ranges"].items()}
        self.model, self.noise = model, head.get("noise", 0.0)
        self.inputs = [item.name for item in model.graph.input]
        self.outputs = [item.name for item in model.graph.output]
        self.types = {i.name: i.type.tensor_type.elem_type for i in (*model.graph.input, *model.graph.output)}
        trt.living.add(self)

    num_io_tensors = property(lambda self: len(self.inputs) + len(self.outputs))

    def get_tensor_name(self, index: int) -> str:
        return [*self.inputs, *self.outputs][index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name in self.inputs else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        return DataType.HALF if self.types[name] == onnx.TensorProto.FLOAT16 else DataType.FLOAT

    def create_execution_context(self) -> Any:
        assert self._runtime() is not None, "the runtime went before its engine"
        return None if "no context" in self._trt.faults else Context(self._trt, self)


class Context:
    def __init__(self, trt: FakeTensorRt, engine: Engine) -> None:
        self._trt, self._engine = trt, weakref.ref(engine)
        self._ranges, self._types = engine.ranges, engine.types
        self._inputs, (self._output,) = engine.inputs, engine.outputs
        self._shapes = {name: shapes[0] for name, shapes in engine.ranges.items() if len(set(shapes)) == 1}
        self._addresses: dict[str, int] = {}
        self._net: Any = None
        self._warm = False
        trt.living.add(self)

    def _alive(self) -> Engine:
        engine = self._engine()
        assert engine is not None, "the engine went before its context"
        return engine

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        assert isinstance(shape, tuple)
        self._alive()
        if name not in self._ranges:
            return False
        least, _, most = self._ranges[name]
        if len(shape) != len(least) or not all(a <= b <= c for a, b, c in zip(least, shape, most, strict=True)):
            return False
        self._shapes[name], self._net = shape, None
        return True

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        if name in self._inputs:
            return self._shapes[name]
        if self._shapes.keys() != self._ranges.keys():
            return (-1, 24, -1, -1)
        return tuple(self._compiled().output(0).shape)

    def set_tensor_address(self, name: str, memory: int) -> bool:
        assert isinstance(memory, int)
        if name not in self._types:
            return False
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        self._alive()
        if self._addresses.keys() != self._types.keys() or self._shapes.keys() != self._ranges.keys():
            return False
        stream = fake_streams.ALL[stream_handle]
        assert stream is not fake_streams.FakeStream.null, "the default stream waits for everything"
        if stream.capture is not None and not self._warm:
            raise KernelFault("the first run loads code, which cannot be captured")
        self._warm = True
        net, noise = self._compiled(), self._alive().noise
        feeds = {name: (self._addresses[name], self._shapes[name]) for name in self._inputs}
        target = (self._addresses[self._output], self.get_tensor_shape(self._output))
        alive = weakref.ref(self)

        def run() -> None:
            assert alive() is not None, "a context went while it had work to do"
            found = net({name: _memory(*place) for name, place in feeds.items()})[net.output(0)]
            random = np.random.default_rng(0).normal(0, noise, found.shape) if noise else 0
            _memory(*target)[...] = found + random

        stream.enqueue(run)
        return True

    def _compiled(self) -> Any:
        if self._net is None:
            core = ov.Core()
            model = core.read_model(self._alive().model.SerializeToString())
            model.reshape({name: list(shape) for name, shape in self._shapes.items()})
            self._net = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        return self._net


def _memory(address: int, shape: tuple[int, ...]) -> Any:
    """fp16 at an address of the fake CuPy's; faults where there is none any more."""
    size = 2 * int(np.prod(shape))
    (memory,) = [one for one in list(Memory.living) if one.holds(address, size)] or [None]
    if memory is None:
        raise KernelFault(f"{size} bytes at an address that is no array's")
    start = address - memory.address
    return memory.bytes[start : start + size].view(np.float16).reshape(shape)


# ---- standing in ----


def install(patch: pytest.MonkeyPatch, version: str = VERSIONS[0], *faults: str) -> SimpleNamespace:
    """Fakes of ``tensorrt`` and ``cupy`` for the rest of a test."""
    if reason := why_not():
        pytest.skip(reason)
    from allaprima.realtime.backends.nets import tensorrt_net, trt

    here = SimpleNamespace(trt=FakeTensorRt(version, faults), cupy=fake_cupy())
    patch.setitem(sys.modules, "tensorrt", here.trt)
    patch.setitem(sys.modules, "cupy", here.cupy)
    patch.setattr(trt, "DRIVER", Path("no driver of this machine"))
    patch.setattr(tensorrt_net, "_PLANS", weakref.WeakValueDictionary())
    trt.journal.cache_clear()
    return here


def for_children(patch: pytest.MonkeyPatch, folder: Path, version: str = VERSIONS[0], *faults: str) -> None:
    """The same for child processes; ``folder`` is where modules are written."""
    if reason := why_not():
        pytest.skip(reason)
    root = Path(__file__).parent.parent
    patch.setenv("PYTHONPATH", os.pathsep.join((str(write_modules(folder)), str(root))))
    patch.setenv(ENV, ",".join((version, *faults)))


def write_modules(folder: Path) -> Path:
    """Modules ``tensorrt`` and ``cupy`` that are the fakes; for PYTHONPATH, with the repository's root."""
    folder.mkdir(exist_ok=True)
    for module, make in (("tensorrt", "child"), ("cupy", "fake_cupy")):
        lines = f"import sys\nfrom tests.fake_tensorrt import {make}\nsys.modules[__name__] = {make}()\n"
        (folder / f"{module}.py").write_text(lines)
    return folder


def child() -> FakeTensorRt:
    version, *faults = os.environ[ENV].split(",")
    return FakeTensorRt(version, tuple(faults))


def fake_cupy() -> Any:
    """The fake CuPy with the driver's number."""
    from .kernels.fake_cupy import FakeCupy

    fake = FakeCupy("end")
    fake.cuda.runtime.driverGetVersion = lambda: 13000
    return fake
