"""Build engines in a child process, so that who paints never loads a builder and cancelling is ending the child.

The child is ``python -m allaprima.exporters.build_engine ORDER``.  It prints an event a line, as JSON: ``progress``
(``share`` in 0..1, ``doing``), ``note`` (``text``), and at the end ``done`` (``plan``, ``record``) or ``error``
(``error``, ``hint``, ``exit_code``).
"""

import atexit
import contextlib
import json
import logging
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from allaprima.realtime.bundle import Bundle
from allaprima.realtime.engine_key import Cells, Key, Machine, key_of
from allaprima.realtime.engines import EngineBusy, Engines
from allaprima.realtime.errors import BackendError, BackendUnavailable

LOG = logging.getLogger("allaprima.engines")
PROGRAM = "allaprima.exporters.build_engine"
"""The child's module; by its name only, since nothing here may import it."""
LEAST, USUAL, MOST = (64, 64), (1280, 720), (1920, 1920)
"""Sizes ``(width, height)`` of an engine for any size: the least, the usual, and the largest if none is asked for."""
MEMORY = 4 << 30
"""Bytes of the card that trying out ways to compute may take."""
MOST_WAITING = 8
"""Engines that may be asked for while one is built."""
CHECK_SECONDS = 0.5
"""Between two looks for an engine that another process may have built."""
GRACE_SECONDS = 5.0
"""For a child that is told to end."""
KEPT_LINES = 5
"""Of what a child says before it dies without a word in our form."""

Event = dict[str, Any]
RoadName = Literal["onnx", "torch-tensorrt"]
Precision = Literal["half", "norms-full", "full"]


class Order(BaseModel):
    """An engine to build."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bundle: Path
    cells: Cells | None
    """Size of the packed picture; None: any, up to ``most``."""
    most: Cells | None = None
    """Not set: that of pictures of `MOST`."""
    regions: int = 1
    precision: Precision = "half"
    road: RoadName = "onnx"
    memory: int = MEMORY
    """Bytes."""
    folder: Path
    """Of the engines."""
    again: bool = False
    """Build it even if it is there."""

    def key(self, machine: Machine) -> Key:
        return key_of(machine, Bundle(self.bundle, verify=False), self.cells, self.regions, self.precision)


class BuildFailed(BackendError):
    """What the child said it died of, with its own exit code."""

    def __init__(self, message: str, hint: str, exit_code: int) -> None:
        super().__init__(message, hint)
        self.exit_code = exit_code


class Child:
    """One build under way."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._process = subprocess.Popen(
            [sys.executable, "-m", PROGRAM, order.model_dump_json()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # a Ctrl-C at the terminal is for us, who then end it
        )

    def events(self) -> Iterator[Event]:
        """Its events as they come; raises `BuildFailed` for the last one if that is an error."""
        lines: deque[str] = deque(maxlen=KEPT_LINES)
        ended = False
        for line in self._process.stdout or ():
            event = _event(line)
            if event is None:
                lines.append(" ".join(line.split()))
                continue
            if event["event"] == "error":
                raise BuildFailed(event["error"], event["hint"], int(event["exit_code"]))
            ended = event["event"] == "done"
            yield event
        if not ended:
            code = self._process.wait()
            why = f"signal {-code}" if code < 0 else f"exit code {code}"
            said = " | ".join(line for line in lines if line)
            raise BuildFailed(f"building the engine ended with {why}{': ' if said else ''}{said}", "", 6)

    def stop(self) -> None:
        """End it; its events come to an end as well."""
        with contextlib.suppress(OSError):
            self._process.terminate()
        try:
            self._process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """End it, and clear away what it was writing."""
        self.stop()
        if self._process.stdout is not None:
            self._process.stdout.close()
        engines, number = Engines(self._order.folder), self._process.pid
        for stray in engines.folder.glob(f".*.{number}.part"):
            stray.unlink(missing_ok=True)
        for lock in engines.folder.glob("*.lock"):
            with contextlib.suppress(OSError, EngineBusy):
                if lock.read_text() == str(number):
                    with engines.building(lock.stem):
                        pass  # the dead one's lock goes with ours

    def __enter__(self) -> "Child":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def _event(line: str) -> Event | None:
    """None for a line that is no event, such as a library's own words."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("event"), str) else None


@cache
def shared() -> "Builds":
    """The builds of this process: the card is one, and streams of one size want the same engine."""
    found = Builds()
    atexit.register(found.close)
    return found


class Builds:
    """Engines built in the background of a running program, one after the other.

    A stream that found no engine asks for one, paints otherwise meanwhile, and moves over when it is `ready`.  All
    methods may be called from any thread, and `ready` for each frame.  Ways to compute are timed beside whatever
    paints on the card meanwhile, so an engine that was built in peace may be a little faster.
    """

    def __init__(self, engines: Engines | None = None) -> None:
        self._engines = engines or Engines()
        self._lock = threading.Lock()
        self._waiting: deque[tuple[Key, Order]] = deque(maxlen=MOST_WAITING)
        self._shares: dict[Key, float] = {}
        self._failures: dict[Key, str] = {}
        self._looked: dict[Key, float] = {}
        self._ready: set[Key] = set()
        self._child: Child | None = None
        self._thread: threading.Thread | None = None
        self._closed = False

    def want(self, bundle: Bundle, cells: Cells, regions: int = 1) -> Key | None:
        """Ask for an engine for packed pictures of this size, if it is not there; its key, for `ready`.

        None where nothing will come of it: no card, no TensorRT, or building it has failed before.
        """
        from allaprima.realtime.backends.nets.trt import machine

        try:
            key = key_of(machine(), bundle, cells, regions)
        except BackendUnavailable:
            return None
        return key if self.ready(key) or self.start(bundle.path, key) else None

    def start(self, bundle: Path, key: Key) -> bool:
        """Ask for an engine.  False where it failed before or too many wait: nothing will come of it."""
        wanted = {"bundle": bundle, "folder": self._engines.folder, "precision": key.precision}
        order = Order.model_validate(wanted | {"cells": key.cells, "regions": key.regions})
        with self._lock:
            if key in self._shares:
                return True
            if self._closed or key in self._failures or len(self._waiting) == MOST_WAITING:
                return False
            self._shares[key] = 0.0
            self._waiting.append((key, order))
            if self._thread is None:
                self._thread = threading.Thread(target=self._main, name="engines", daemon=True)
                self._thread.start()
        return True

    def ready(self, key: Key) -> bool:
        """Whether the engine is there, whoever built it.  Looks at the disk at most twice a second."""
        if key in self._ready:
            return True
        now = time.monotonic()
        with self._lock:
            if now - self._looked.get(key, -CHECK_SECONDS) < CHECK_SECONDS:
                return False
            self._looked[key] = now
        if self._engines.find(key) is None:
            return False
        self._ready.add(key)
        return True

    def share(self, key: Key) -> float | None:
        """How much of it is done, 0..1; None where it is neither waiting nor being built."""
        with self._lock:
            return self._shares.get(key)

    def failure(self, key: Key) -> str:
        """Why it could not be built; empty where it could, or may still."""
        with self._lock:
            return self._failures.get(key, "")

    def close(self) -> None:
        """End the child; what it did is dropped."""
        with self._lock:
            self._closed = True
            self._waiting.clear()
            child, thread = self._child, self._thread
        if child is not None:
            child.stop()
        if thread is not None:
            thread.join(2 * GRACE_SECONDS)

    def _main(self) -> None:
        while True:
            with self._lock:
                if self._closed or not self._waiting:
                    self._thread = None
                    return
                key, order = self._waiting.popleft()
            try:
                with Child(order) as child:
                    with self._lock:
                        self._child = child
                    for event in () if self._closed else child.events():
                        self._follow(key, event)
            except (BuildFailed, OSError) as error:  # OSError: no child could be started
                if not self._closed:
                    LOG.warning("the engine %s was not built: %s", key.name, error)
                    with self._lock:
                        self._failures[key] = str(error)
            finally:
                with self._lock:
                    self._child = None
                    self._shares.pop(key, None)
                    self._looked.pop(key, None)

    def _follow(self, key: Key, event: Event) -> None:
        if event["event"] == "progress":
            with self._lock:
                self._shares[key] = float(event["share"])
        elif event["event"] == "note":
            LOG.warning("the engine %s: %s", key.name, event["text"])
        else:
            LOG.info("the engine %s is ready", key.name)
