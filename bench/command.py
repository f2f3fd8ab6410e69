"""The real command, watched from outside: when its first frame is there, and how much memory it takes."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from allaprima.bench.precision import CARD, offered
from allaprima.bench.results import OtherLoad
from allaprima.realtime.errors import AllaprimaError

LOOK_SECONDS = 0.05


class CommandFailed(AllaprimaError):
    """The command that was to be measured ended with an error."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A run of ``allaprima run`` that ended well."""

    seconds: float
    """From the start of the process to its answer: its output is finished by then."""
    answer: dict[str, Any]
    """What it printed with ``--json``."""
    peak: int | None
    """Bytes; None where the system does not say."""
    memory: tuple[tuple[float, int], ...] = field(repr=False)
    """Seconds and resident bytes, from start to end."""
    cpu_seconds: float
    """Of all cores together, start and end included: what other programs do hardly changes it."""
    other_load: float | None

    @property
    def steady_fps(self) -> float:
        """Frames after the first one, over the time they took until the output was finished."""
        seconds = self.answer["seconds"] - self.answer["first_frame_seconds"]
        return (self.answer["frames"] - 1) / seconds if seconds > 0 else 0.0


def paint(source: str, output: str, *flags: str, cache: Path | None = None, precision: str | None = None) -> Watched:
    """Run ``allaprima run SOURCE OUTPUT --json`` as a user would.

    ``cache`` takes the place of the user's cache folder: an empty one shows a first start.  With ``precision`` the
    nets run in that one, where it is not what the command takes by itself.
    """
    words = [*_program(precision), "run", source, output, "--json", "--overwrite", *flags]
    with OtherLoad() as other:
        began, used = time.perf_counter(), _children_seconds()
        process = subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=_environment(cache), text=True
        )
        with _Memory(process.pid) as memory:
            told, _ = process.communicate()
        seconds = time.perf_counter() - began
    try:
        answer = json.loads(told)
    except ValueError:
        answer = {"ok": False, "error": told.strip() or f"exit code {process.returncode}"}
    if process.returncode or not answer.get("ok"):
        raise CommandFailed(f"allaprima run {source} {output} failed: {answer.get('error')}")
    peak = memory.peak or answer.get("peak_memory_bytes")
    cpu_seconds = _children_seconds() - used
    return Watched(seconds, answer, peak, tuple(memory.samples), cpu_seconds, other.cores)


def _children_seconds() -> float:
    return sum(os.times()[2:4])


def _program(precision: str | None) -> Sequence[str]:
    if precision is not None and precision != CARD and precision != offered("cpu")[0]:
        return [sys.executable, "-m", "allaprima.bench.precision", precision]
    script = shutil.which("allaprima", path=sysconfig.get_path("scripts"))
    same = "import sys; from allaprima.realtime.cli import main; sys.exit(main())"
    return [script] if script else [sys.executable, "-c", same]


def _environment(cache: Path | None) -> dict[str, str]:
    if cache is None:
        return dict(os.environ)
    # As platformdirs finds it.  On macOS the cache lies under the home, and with it what the user has added.
    name = {"darwin": "HOME", "win32": "LOCALAPPDATA"}.get(sys.platform, "XDG_CACHE_HOME")
    return os.environ | {name: str(cache)}


class _Memory:
    """Samples another process's resident memory in a thread of its own (Linux)."""

    def __init__(self, pid: int) -> None:
        self.samples: list[tuple[float, int]] = []
        self.peak: int | None = None
        self._status = Path(f"/proc/{pid}/status")
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="memory", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        began = time.perf_counter()
        while not self._done.wait(LOOK_SECONDS):
            try:
                lines = self._status.read_text().splitlines()
            except OSError:
                return
            found = {key: value for key, _, value in (line.partition(":") for line in lines)}
            if "VmRSS" in found:
                self.samples.append((time.perf_counter() - began, _bytes(found["VmRSS"])))
                # Of this program alone; getrusage would also count what its parent held when it forked.
                self.peak = _bytes(found["VmHWM"])


def _bytes(text: str) -> int:
    return int(text.split()[0]) * 1024
