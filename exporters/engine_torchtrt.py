"""The second road: torch-tensorrt converts the joined graph, exported by torch, to a plan for the same runtime.

It knows ops that TensorRT's parser does not.  It builds for one size only, and tells nothing while it builds.
"""

import importlib
from typing import Any

from allaprima.exporters.engine import Built, Cancelled, Watch
from allaprima.realtime.backends.nets.trt import journal, tensorrt
from allaprima.realtime.builds import Order
from allaprima.realtime.bundle import Bundle
from allaprima.realtime.errors import BackendError, BackendUnavailable, ConfigError

OUTPUT = "output0"
"""What torch-tensorrt calls the first output."""


class TorchTensorRt:
    """``torch.export`` and `torch_tensorrt.dynamo.convert_exported_program_to_serialized_trt_engine`."""

    name = "torch-tensorrt"

    def build(self, order: Order, precision: str, watch: Watch) -> Built:
        """As `exporters.engine.Road`; raises `ConfigError` for an order of any size."""
        import torch

        from allaprima.realtime.backends.nets.torch_net import exportable

        if order.cells is None:
            raise ConfigError("torch-tensorrt builds engines for one size each", "Build it from ONNX.")
        tensorrt()
        convert = _converter()
        watch.progress(0.0, "exporting the nets from torch")
        module, example = exportable(Bundle(order.bundle), order.cells, order.regions, whole=precision == "half")
        example = {name: value.cuda() for name, value in example.items()}
        with torch.inference_mode():
            program = torch.export.export(module.cuda(), (), example)
        watch.progress(0.0, "building with torch-tensorrt, which does not say how far it is")
        try:
            plan = convert(
                program,
                arg_inputs=[],
                kwarg_inputs=example,
                require_full_compilation=True,
                truncate_double=True,
                disable_tf32=precision == "full",
                workspace_size=order.memory,
                cache_built_engines=False,
                reuse_cached_engines=False,
            )
        except (RuntimeError, ValueError, TypeError, AssertionError) as error:
            raise BackendError(
                f"torch-tensorrt cannot build the engine: {_first_line(error)}{journal().why()}",
                "Build it from ONNX: leave out --with.",
            ) from error
        if watch.cancelled:
            raise Cancelled("building was called off")
        return Built(bytes(plan), dict(zip(example, _placeholders(program), strict=True)), OUTPUT)


def _converter() -> Any:
    """Importing torch-tensorrt without TensorRT's libraries raises a bare Exception, so those were looked for."""
    try:
        dynamo = importlib.import_module("torch_tensorrt.dynamo")
    except (ImportError, OSError, RuntimeError) as error:
        raise BackendUnavailable(
            f"torch-tensorrt cannot be imported: {_first_line(error)}", "pip install 'allaprima[torchtrt]'"
        ) from error
    return dynamo.convert_exported_program_to_serialized_trt_engine


def _placeholders(program: Any) -> list[str]:
    """What the exported program calls its inputs, which the engine takes over, in their order."""
    return [str(name) for name in program.graph_signature.user_inputs]


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
