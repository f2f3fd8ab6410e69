"""What runs the nets on a GPU: one interface, `Runtime`, and two files that have it.

TensorRT serves where it is installed and an engine is built, torch elsewhere.  Neither is imported before it is
opened, and torch never where TensorRT serves.
"""

import importlib
import logging
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from allaprima.kernels.cuda import Array, Stream
from allaprima.realtime.bundle import Bundle
from allaprima.realtime.errors import BackendUnavailable, ConfigError, EngineMissing

RUNTIMES = ("auto", "tensorrt", "torch")

_log = logging.getLogger("allaprima.nets")


class Runtime(Protocol):
    """Encoder, bank and decoder at one size, ready to run on one stream.

    The caller writes into ``inputs`` and reads ``painted``, on the stream given at opening; their contents change from
    run to run (a swap of styles writes other filters), their addresses never do.
    """

    name: str
    """``tensorrt`` or ``torch``."""
    inputs: Mapping[str, Array]
    """The inputs of `allaprima.realtime.network`, float16, C-contiguous, on the device."""
    painted: Array
    """``(1, 24, h, w)`` float16, filled by `enqueue`."""

    def enqueue(self) -> None:
        """Paint, asynchronously; may be captured."""

    def capture(self, body: Callable[[], None]) -> Callable[[], None]:
        """Capture ``body``, kernels and `enqueue`, as one CUDA graph on the stream; gives what launches it.

        The kernels must have run before: loading one is not to be captured.
        """

    def close(self) -> None: ...


def open_runtime(
    bundle: Bundle, cells: tuple[int, int], stream: Stream, region: bool = False, wanted: str = "auto"
) -> Runtime:
    """A runtime for packed pictures of ``cells`` ``(h, w)``, with ``region`` for two styles and masks.

    ``auto`` takes TensorRT where an engine is ready, else torch, and logs which and why; an explicit choice never
    falls back.  ``stream`` is a `cupy.cuda.Stream` that is not the default one.

    Raises `ConfigError` for an unknown name, `EngineMissing` where TensorRT was asked for and no engine is built,
    `BackendUnavailable` where the one asked for, or with ``auto`` neither, can be used.
    """
    if wanted not in RUNTIMES:
        raise ConfigError(f"unknown net runtime {wanted!r}", f"choose one of {', '.join(RUNTIMES)}")
    if wanted == "torch":
        return _torch(bundle, cells, stream, region)
    try:
        runtime = _tensorrt(bundle, cells, stream, region)
    except (EngineMissing, BackendUnavailable) as error:
        if wanted == "tensorrt":
            raise
        why = str(error)
    else:
        _log.info("the nets run in TensorRT")
        return runtime
    try:
        runtime = _torch(bundle, cells, stream, region)
    except BackendUnavailable as error:
        raise BackendUnavailable(f"nothing here runs the nets: {why}; {error}", error.hint) from error
    _log.info("the nets run in torch, not in TensorRT: %s", why)
    return runtime


def _tensorrt(bundle: Bundle, cells: tuple[int, int], stream: Stream, region: bool) -> Runtime:
    from allaprima.realtime.backends.nets.tensorrt_net import open_tensorrt

    return open_tensorrt(bundle, cells, stream, region)


def _torch(bundle: Bundle, cells: tuple[int, int], stream: Stream, region: bool) -> Runtime:
    try:
        torch_net: Any = importlib.import_module("allaprima.realtime.backends.nets.torch_net")
    except (ImportError, OSError) as error:  # OSError: its libraries do not load
        raise BackendUnavailable(f"torch cannot be imported: {error}", "pip install torch onnx") from error
    runtime: Runtime = torch_net.open_torch(bundle, cells, stream, region)
    return runtime
