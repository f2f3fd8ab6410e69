"""Built TensorRT engines on disk: found, loaded, written, locked.

Beside each ``NAME.plan`` lies its record ``NAME.json``.  A plan without a record that says the same is never loaded.
Nothing here needs a card or TensorRT.
"""

import contextlib
import hashlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_dir
from pydantic import ValidationError

from allaprima.realtime.engine_key import FORMAT, Key, Record, differences, picture_size
from allaprima.realtime.errors import BackendError, EngineMissing, SinkError

REBUILD = "Build it: allaprima engines build --size WIDTHxHEIGHT"
TRIES = 100
"""For a lock file that others take and remove at the same time."""


class NoEngine(EngineMissing):
    """There is no engine to load for ``key``; the message says what comes closest and how it differs."""

    def __init__(self, message: str, hint: str = "", key: Key | None = None) -> None:
        super().__init__(message, hint)
        self.key = key


class EngineBusy(BackendError):
    """Another process is building this engine; ``pid`` is its number, 0 where it cannot be told."""

    def __init__(self, name: str, pid: int) -> None:
        super().__init__(f"process {pid} is building the engine {name}", "Wait for it.")
        self.pid = pid


@dataclass(frozen=True, slots=True)
class Entry:
    """A plan in the folder, sound or not."""

    path: Path
    record: Record | None
    problem: str
    bytes: int
    used: float
    """When it was last loaded or built, seconds since 1970."""


def engines_folder() -> Path:
    """``$ALLAPRIMA_HOME/engines``, or in the user's cache."""
    return Path(os.environ.get("ALLAPRIMA_HOME") or user_cache_dir("allaprima")) / "engines"


class Engines:
    """The engines in one folder.  Several processes may use it at once."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder or engines_folder()

    def path(self, key: Key) -> Path:
        """Where the plan is, or would be."""
        return self.folder / f"{key.name}.plan"

    def find(self, key: Key) -> Path | None:
        """The plan for exactly this key, if there is one with a record; its contents are not read."""
        entry = self._entry(self.path(key))
        return None if entry.record is None else entry.path

    def load(self, plan: Path) -> tuple[bytes, Record]:
        """The plan's bytes, checked against the record's hash.  Raises `NoEngine` for what is damaged."""
        entry = self._entry(plan)
        if entry.record is None:
            raise NoEngine(f"the engine {plan.stem} is damaged: {entry.problem}", REBUILD)
        try:
            content = plan.read_bytes()
        except OSError as error:
            raise NoEngine(f"the engine {plan.stem} cannot be read: {error.strerror}", REBUILD) from error
        if hashlib.sha256(content).hexdigest() != entry.record.sha256:
            raise NoEngine(f"the engine {plan.stem} is damaged: its hash differs from its record's", REBUILD)
        with contextlib.suppress(OSError):
            os.utime(plan)  # `prune --older-than` counts from the last use
        return content, entry.record

    def entries(self) -> list[Entry]:
        """All plans, by name."""
        return [self._entry(plan) for plan in sorted(self.folder.glob("*.plan"))]

    def missing(self, key: Key) -> NoEngine:
        """The error for an engine that is not there: what comes closest, and which part of its key differs."""
        fields = ("precision", "tensorrt", "driver", "capability", "gpu", "graph", "model")
        size = "any size" if key.cells is None else "{}x{}".format(*picture_size(key.cells))
        message = f"there is no TensorRT engine for {size}{' with a region' if key.regions > 1 else ''}"
        records = [entry.record for entry in self.entries() if entry.record is not None]
        alike = [record.key for record in records if (record.key.cells, record.key.regions) == (key.cells, key.regions)]
        found = min(alike, key=lambda other: len(differences(other, key, fields)), default=None)
        broken = self._entry(self.path(key)).problem if self.path(key).exists() else ""
        if broken:
            message += f"; {key.name} is damaged: {broken}"
        elif found is not None:
            message += f"; {found.name} was built for {', '.join(differences(found, key, fields))}"
        hint = REBUILD if key.cells is None else f"Build it: allaprima engines build --size {size}"
        return NoEngine(message, hint, key)

    def publish(self, plan: bytes, record: Record) -> Path:
        """Write plan and record, the record last: killed at any point, what is there is whole or not believed.

        Raises `SinkError` where it cannot be written.
        """
        target = self.path(record.key)
        sidecar = target.with_suffix(".json")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            sidecar.unlink(missing_ok=True)
            write_whole(target, plan)
            write_whole(sidecar, record.model_dump_json(indent=1).encode())
        except OSError as error:
            raise SinkError(
                f"cannot write the engine {target}: {error.strerror}",
                "Make room, remove engines with: allaprima engines prune --all, or set ALLAPRIMA_HOME.",
            ) from error
        return target

    def remove(self, plan: Path) -> None:
        """The record first, so that nobody finds half of it."""
        plan.with_suffix(".json").unlink(missing_ok=True)
        plan.unlink(missing_ok=True)

    def strays(self, name: str = "*") -> list[Path]:
        """Leavings of processes that were killed while they wrote; only for who holds the lock."""
        return sorted(self.folder.glob(f".{name}.*.part"))

    @contextlib.contextmanager
    def building(self, name: str) -> Iterator[None]:
        """Hold the lock of one engine's name; raises `EngineBusy` while another process does.

        The system drops the lock with the process, so none is ever stale.
        """
        file = self.folder / f"{name}.lock"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            number = _locked(file)
        except OSError as error:
            raise SinkError(
                f"cannot lock {file}: {error.strerror}", "Set ALLAPRIMA_HOME to a folder of your own."
            ) from error
        try:
            for stray in self.strays(name):
                stray.unlink(missing_ok=True)
            yield
        finally:
            with contextlib.suppress(OSError):  # Windows does not remove an open file; it is empty
                file.unlink()
            os.close(number)

    def _entry(self, plan: Path) -> Entry:
        try:
            found = plan.stat()
        except OSError:
            return Entry(plan, None, "it is missing", 0, 0.0)
        size, used = found.st_size, found.st_mtime
        try:
            record = Record.model_validate_json(plan.with_suffix(".json").read_bytes())
        except FileNotFoundError:
            return Entry(plan, None, "it has no record", size, used)
        except (OSError, ValidationError):
            return Entry(plan, None, "its record cannot be read", size, used)
        if record.format != FORMAT:
            problem = f"its record has format {record.format}, not {FORMAT}"
        elif record.key.name != plan.stem:
            problem = "its record is another engine's"
        elif record.bytes != size:
            problem = f"it has {size} bytes, its record says {record.bytes}"
        else:
            return Entry(plan, record, "", size, used)
        return Entry(plan, None, problem, size, used)


def write_whole(file: Path, content: bytes) -> None:
    """A reader sees the old file or the whole new one."""
    part = file.with_name(f".{file.name}.{os.getpid()}.part")
    try:
        part.write_bytes(content)
        os.replace(part, file)
    finally:
        with contextlib.suppress(OSError):
            part.unlink()


def _locked(file: Path) -> int:
    """The open lock file, with our number in it."""
    for _ in range(TRIES):
        number = os.open(file, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            _lock(number)
        except (BlockingIOError, PermissionError):  # as Linux and macOS say it, and Windows
            digits = os.read(number, 20).strip()
            os.close(number)
            raise EngineBusy(file.stem, int(digits) if digits.isdigit() else 0) from None
        with contextlib.suppress(FileNotFoundError):
            if os.fstat(number).st_ino == file.stat().st_ino:
                os.ftruncate(number, 0)
                os.write(number, str(os.getpid()).encode())
                return number
        os.close(number)  # who held it removed the file in between: take the new one
    raise EngineBusy(file.stem, 0)


if sys.platform == "win32":

    def _lock(number: int) -> None:
        import msvcrt

        os.lseek(number, 1 << 20, os.SEEK_SET)  # beyond the digits: what is locked cannot be read
        msvcrt.locking(number, msvcrt.LK_NBLCK, 1)
        os.lseek(number, 0, os.SEEK_SET)

else:

    def _lock(number: int) -> None:
        import fcntl

        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
