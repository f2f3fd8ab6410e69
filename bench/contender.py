"""One contender in a process of its own, which works only when told: so that two can take turns.

    python -m allaprima.bench.contender MODULE:FUNCTION FOLDER

calls ``FUNCTION(Footage(FOLDER))``, which gives a `Ready`, and writes one line of JSON when it is warm.  For each
number that it reads it then works for so many seconds and writes what a frame took.  It ends when its input does.

All contenders find the same in the folder: `CLIP`, a file with real motion; `RGB`, its frames as bytes; of the network
of pytorch/examples `NET`, as ONNX, and `REFERENCE`, the first frame as PyTorch paints it; and in `OURS` how we paint.
"""

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import cycle
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from allaprima.bench import clips
from allaprima.realtime.errors import AllaprimaError
from allaprima.realtime.frame import Frame
from allaprima.realtime.rgb import Rgb

Picture = NDArray[np.uint8]

CLIP, RGB, NET, REFERENCE, OURS = "clip.mp4", "rgb.npy", "net.onnx", "reference.npy", "ours.json"
FRAMES = 8
"""Of the footage; it is played forwards and backwards, so that no frame comes twice in a row and none is a cut."""
READY_SECONDS, TRIAL_SECONDS = 240.0, 120.0
"""How long a contender may take until it is warm, and for one trial."""
OPTIONAL = {"torch": "PyTorch", "onnx": "onnx", "onnxruntime": "ONNX Runtime"}
"""Modules that nobody needs for ours, and which carry the name of their package; what people call them."""


class CannotRun(AllaprimaError):
    """Why there is no such contender here."""


@dataclass(frozen=True, slots=True)
class Ready:
    """Warm enough to be timed."""

    step: Callable[[int], object]
    """Does the frame of this index in the footage, until its result lies in the host's memory."""
    about: str
    """Version, device, precision and threads."""
    spared: Callable[[], float] = lambda: 0.0
    """Seconds spent so far on what does not count."""


@dataclass(frozen=True, slots=True)
class Ours:
    """How we paint; by default as we do without a word."""

    backend: str = "auto"
    style: str | None = None
    bundle: str | None = None
    precision: str | None = None


DEFAULT = Ours()


@dataclass(frozen=True)
class Footage:
    """The folder, as a contender finds it."""

    folder: Path

    @classmethod
    def render(cls, folder: Path, size: clips.Size, ours: Ours = DEFAULT) -> Self:
        (folder / OURS).write_text(json.dumps(asdict(ours)))
        clips.render(folder, size, FRAMES).rename(folder / CLIP)
        convert = Rgb()
        np.save(folder / RGB, np.stack([convert.array(frame) for frame in clips.frames_of(folder / CLIP)]))
        return cls(folder)

    @cached_property
    def frames(self) -> list[Frame]:
        return clips.frames_of(self.folder / CLIP)

    @cached_property
    def rgb(self) -> Picture:
        """``(FRAMES, H, W, 3)``."""
        return np.asarray(np.load(self.folder / RGB), np.uint8)

    @property
    def ours(self) -> Ours:
        return Ours(**json.loads((self.folder / OURS).read_text()))

    @property
    def net(self) -> Path:
        return self.folder / NET

    @property
    def reference(self) -> Picture:
        return np.asarray(np.load(self.folder / REFERENCE), np.uint8)


class Contender:
    """The process, as its owner sees it; raises `CannotRun` when it says that it cannot, ends or takes too long."""

    def __init__(self, opener: str, footage: Footage) -> None:
        self._log = footage.folder / f"{opener.rpartition(':')[2]}.log"
        words = [sys.executable, "-m", "allaprima.bench.contender", opener, str(footage.folder)]
        environment = os.environ | {"TORCHINDUCTOR_CACHE_DIR": str(footage.folder / "inductor")}
        pipe = subprocess.PIPE
        with self._log.open("w") as log:
            # A session of its own: compilers that it has started end with it.
            self._process = subprocess.Popen(
                words, stdin=pipe, stdout=pipe, stderr=log, text=True, env=environment, start_new_session=True
            )
        self.about = ""

    def __enter__(self) -> Self:
        try:
            self.about = self._answer(READY_SECONDS)["about"]
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def trial(self, seconds: float) -> float:
        """Milliseconds a frame, of as many as it does in that time, but one at least."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(f"{seconds}\n")
            self._process.stdin.flush()
        except OSError as error:
            raise CannotRun(self._how_it_ended()) from error
        return float(self._answer(TRIAL_SECONDS)["ms"])

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def close(self) -> None:
        """End it; what it is at is not waited for."""
        self._kill()
        self._process.communicate()

    def _kill(self) -> None:
        if self.alive and hasattr(os, "killpg"):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()

    def _answer(self, seconds: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        late = threading.Event()

        def end() -> None:
            late.set()
            self._kill()

        limit = threading.Timer(seconds, end)
        limit.start()
        try:
            line = self._process.stdout.readline()
        finally:
            limit.cancel()
        told: dict[str, Any] = json.loads(line or "{}")
        if line and "cannot" not in told:
            return told
        why = told.get("cannot") or (f"no answer within {seconds:g} s" if late.is_set() else self._how_it_ended())
        self.close()
        raise CannotRun(why)

    def _how_it_ended(self) -> str:
        code = self._process.wait()
        last = self._log.read_text(errors="replace").strip().splitlines()[-1:] or ["it said nothing"]
        return f"its process ended with {code}: {last[0]}"


def to_and_fro(count: int) -> Iterator[int]:
    """Indices of footage without an end, each beside the one before."""
    return cycle([*range(count), *range(count - 2, 0, -1)])


# ---- in the process ----


def serve(opener: str, footage: Footage, orders: Iterator[str], tell: Callable[[dict[str, Any]], None]) -> None:
    """Get ready, then one answer for each order; raises what the contender raises, after saying so."""
    try:
        module, _, function = opener.partition(":")
        ready: Ready = getattr(importlib.import_module(module), function)(footage)
        indices = to_and_fro(len(footage.frames))
        ready.step(next(indices))
        tell({"about": ready.about})
        for order in orders:
            tell({"ms": timed(ready, indices, float(order))})
    except Exception as error:
        tell({"cannot": reason(error)})
        raise


def timed(ready: Ready, indices: Iterator[int], seconds: float) -> float:
    """Milliseconds a frame of what counts; the last frame begins within ``seconds``."""
    spared, began, frames = ready.spared(), time.perf_counter(), 0
    while not frames or time.perf_counter() - began < seconds:
        ready.step(next(indices))
        frames += 1
    whole = time.perf_counter() - began
    return 1000 * (whole - (ready.spared() - spared)) / frames


def reason(error: Exception) -> str:
    """One line: what to install, or the first line of what it says."""
    if isinstance(error, ModuleNotFoundError) and error.name in OPTIONAL:
        return f"needs {OPTIONAL[error.name]}: pip install {error.name}"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if isinstance(error, AllaprimaError) and lines:
        return lines[0]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__


def main() -> None:
    opener, folder = sys.argv[1:]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a runtime prints is no answer

    def tell(told: dict[str, Any]) -> None:
        print(json.dumps(told), file=answers, flush=True)

    serve(opener, Footage(Path(folder)), iter(sys.stdin), tell)


if __name__ == "__main__":
    main()
