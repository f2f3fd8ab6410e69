"""TensorRT itself: the module, the cards it would run on, its log.

Names of TensorRT's objects are the same everywhere (``trt``, ``engine``, ``context``, ...): the tests check each use
against the real bindings by them.
"""

import importlib
import logging
from collections import deque
from functools import cache
from pathlib import Path
from typing import Any

from allaprima.kernels.cuda import cupy
from allaprima.realtime import extras
from allaprima.realtime.engine_key import Machine
from allaprima.realtime.errors import BackendUnavailable

LOG = logging.getLogger("allaprima.tensorrt")
OLDEST = (10, 15)
"""Release of TensorRT from which on every name we use is there."""
DRIVER = Path("/proc/driver/nvidia/version")
KEPT = 4
"""Errors of TensorRT's log that are repeated in ours."""


def tensorrt() -> Any:
    """The module, on a machine where it can be used.

    Raises `BackendUnavailable` without CuPy, a card or TensorRT.  The card is looked for first: without a driver
    TensorRT gives null objects, and the next call ends the process.
    """
    devices()
    try:
        trt = importlib.import_module("tensorrt")
    except (ImportError, OSError) as error:  # OSError: its libraries do not load
        raise BackendUnavailable(f"TensorRT cannot be imported: {error}", extras.command("tensorrt")) from error
    if version(trt)[:2] < OLDEST:
        raise BackendUnavailable(
            f"TensorRT {trt.__version__} is too old, at least {OLDEST[0]}.{OLDEST[1]} is needed",
            f"{extras.command('tensorrt')} --upgrade",
        )
    return trt


def version(trt: Any) -> tuple[int, ...]:
    return tuple(int(part) for part in trt.__version__.split(".") if part.isdigit())


def devices() -> int:
    """How many cards CUDA shows us, at least one.  Raises `BackendUnavailable`."""
    try:
        count = int(cupy().cuda.runtime.getDeviceCount())
    except ImportError as error:
        why = error.__cause__ or error
        raise BackendUnavailable(f"an NVIDIA card is used through CuPy: {why}", extras.command("cuda")) from error
    except RuntimeError as error:
        raise BackendUnavailable(f"there is no NVIDIA card to use: {error}", "See: allaprima doctor") from error
    if not count:
        raise BackendUnavailable("there is no NVIDIA card to use", "See: allaprima doctor")
    return count


def machine(device: int | None = None) -> Machine:
    """A card (by default the current one) with its driver, and TensorRT.  Raises `BackendUnavailable`."""
    trt = tensorrt()
    cuda = cupy().cuda.runtime
    found = cuda.getDeviceProperties(cuda.getDevice() if device is None else device)
    name = found["name"]
    return Machine(
        gpu=name.decode() if isinstance(name, bytes) else str(name),
        capability=f"{found['major']}.{found['minor']}",
        tensorrt=trt.__version__,
        driver=_driver(cuda),
    )


def machines() -> list[Machine]:
    """One for each card."""
    return [machine(device) for device in range(devices())]


def _driver(cuda: Any) -> str:
    """Its release (``580.65.06``); where the system does not tell, the newest CUDA that it knows."""
    try:
        words = DRIVER.read_text().splitlines()[0].split()
    except (OSError, IndexError):
        words = []
    releases = [word for word in words if word.count(".") and word.replace(".", "").isdigit()]
    return releases[0] if releases else f"CUDA {cuda.driverGetVersion()}"


class Journal:
    """What TensorRT says, on its way to `logging`; keeps the last errors, which say why a call gave None."""

    def __init__(self, trt: Any) -> None:
        severity = trt.ILogger.Severity
        levels = {
            severity.INTERNAL_ERROR: logging.CRITICAL,
            severity.ERROR: logging.ERROR,
            severity.WARNING: logging.WARNING,
            severity.INFO: logging.DEBUG,  # of TensorRT's own steps, thousands
        }
        errors: deque[str] = deque(maxlen=KEPT)

        class Logger(trt.ILogger):  # type: ignore[misc]
            def __init__(self) -> None:
                trt.ILogger.__init__(self)

            def log(self, severity: Any, msg: str) -> None:
                level = levels.get(severity, 0)
                if level >= logging.ERROR:
                    errors.append(msg)
                if level:
                    LOG.log(level, "%s", msg)

        self.logger = Logger()
        self._errors = errors

    def why(self) -> str:
        """The last errors, to be put behind a sentence (``": ..."``, or nothing); they are forgotten then."""
        found = "; ".join(" ".join(error.split()) for error in self._errors)
        self._errors.clear()
        return f": {found}" if found else ""


@cache
def journal() -> Journal:
    """One for the process: TensorRT keeps the first logger it is given."""
    return Journal(tensorrt())
