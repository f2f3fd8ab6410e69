"""The nets of the cuda backend: a runtime of `nets`, what its inputs hold, and the better one that is on its way."""

import logging
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from allaprima.realtime.backends.cuda_memory import Pinned, copy
from allaprima.realtime.backends.cuda_tokens import Painted, Uploaded
from allaprima.realtime.backends.layout import MARGIN, Layout
from allaprima.realtime.bundle import Filters
from allaprima.realtime.errors import AllaprimaError

Half = NDArray[np.float16]

_log = logging.getLogger(__name__)


class Upgrade:
    """A runtime that is better than the one that paints, once its engine is built: opened by a thread of its own.

    ``ready`` says whether the engine is there, ``open`` opens it.
    """

    def __init__(self, ready: Callable[[], bool], open: Callable[[], Any]) -> None:
        self._ready, self._open = ready, open
        self._opened: Future[Any] | None = None

    def take(self) -> Any:
        """The runtime, once, when it is open; else None, at once.  One that does not open is logged and forgotten."""
        if self._opened is None and self._ready():
            opener = ThreadPoolExecutor(1, thread_name_prefix="engine")
            self._opened = opener.submit(self._open)
            opener.shutdown(wait=False)
        if self._opened is None or not self._opened.done():
            return None
        opened, self._opened, self._ready = self._opened, None, lambda: False
        try:
            return opened.result()
        except AllaprimaError as error:
            _log.warning("the nets stay where they are: %s", error)
            return None


@dataclass(slots=True)
class _Written:
    """An input of the nets and what was last written to it; the host's array stays as it is while it is known."""

    array: Any
    value: Half | None = None


class CudaNet:
    """The nets at one size: a runtime, and what its inputs hold."""

    def __init__(self, layout: Layout, runtime: Any, flights: int, upgrade: Upgrade | None = None) -> None:
        self.upgrade = upgrade
        self._layout = layout
        self.move(runtime)
        self._staging = [
            {name: Pinned(written.array.nbytes) for name, written in self._inputs.items()} for _ in range(flights)
        ]
        self._known: dict[str, tuple[NDArray[Any], Half]] = {}
        self._mask: tuple[Any, dict[str, Half]] = None, {}

    def move(self, runtime: Any) -> None:
        """Paint with this runtime from now on; it has all inputs, and nobody has written to them."""
        self.runtime = runtime
        self._inputs = {name: _Written(array) for name, array in runtime.inputs.items() if name != "packed"}

    def paint(
        self, picture: Uploaded, filters: Filters, strength: float, region: tuple[Any, Filters] | None = None
    ) -> Painted:
        """Note what the picture is to be painted with, as it is now: filters fade in place."""
        inputs = {"strength": self._half("strength", np.full((1, 1, 1, 1), strength, np.float32))}
        for index, each in enumerate((filters,) if region is None else (filters, region[1])):
            inputs |= {f"{key}_{index}": self._half(f"{key}_{index}", value) for key, value in each.items()}
        if region is not None:
            inputs |= self._masks(region[0])
        return Painted(picture, self, inputs)

    def _half(self, name: str, value: NDArray[Any]) -> Half:
        """A copy of its own, the same one as long as nothing has changed."""
        known = self._known.get(name)
        if known is None or not np.array_equal(known[0], value):
            known = self._known[name] = value.copy(), np.ascontiguousarray(value, np.float16)
        return known[1]

    def _masks(self, mask: NDArray[np.float32]) -> dict[str, Half]:
        """As large as each map of features; a mask is set whole and does not change afterwards."""
        if self._mask[0] is not mask:
            (width, height), (shown_width, shown_height) = self._layout.padded, self._layout.size
            below, right = height - MARGIN - shown_height, width - MARGIN - shown_width
            full = cv2.copyMakeBorder(mask, MARGIN, below, MARGIN, right, cv2.BORDER_REPLICATE)
            found = {}
            for name, written in self._inputs.items():
                if name.startswith("mask_"):
                    *_, rows, columns = written.array.shape
                    small = cv2.resize(full, (columns, rows), interpolation=cv2.INTER_AREA)
                    found[name] = np.ascontiguousarray(small[None, None], np.float16)
            self._mask = mask, found
        return self._mask[1]

    def write(self, inputs: dict[str, Half], flight: int, stream: Any) -> None:
        """Bring to the device what is not there yet."""
        for name, value in inputs.items():
            written = self._inputs[name]
            if written.value is value:
                continue
            staging = self._staging[flight][name]
            np.copyto(staging.bytes.view(np.float16).reshape(value.shape), value)
            copy(written.array.data.ptr, staging.address, value.nbytes, "HostToDevice", stream)
            written.value = value

    def forget(self) -> None:
        """What is on the device is not known any more."""
        for written in self._inputs.values():
            written.value = None
