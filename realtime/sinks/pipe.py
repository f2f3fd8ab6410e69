"""A child process that is fed through its stdin, and never waited for without end."""

import contextlib
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Sequence

from allaprima.realtime.errors import SinkError

STUCK_SECONDS = 12.0
"""Longer than the relay waits for its receiver: then the relay says what is wrong."""
EXIT_SECONDS = 3.0


class ChildPipe:
    """Looks like a file opened for writing, as PyAV wants it.  `start` before the first byte."""

    def __init__(self, command: Sequence[str], where: str) -> None:
        """``where`` names the receiver in errors."""
        self.where = where
        self._command = command
        self._child: subprocess.Popen[bytes] | None = None
        self._patience = STUCK_SECONDS
        self._last_words = ""

    def start(self) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 (closed in `end`)
        try:
            self._child = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=self._log, bufsize=0
            )
        except OSError as error:
            self._log.close()
            raise SinkError(f"cannot start {self._command[0]}: {error.strerror}") from error
        assert self._child.stdin is not None
        if os.name == "posix":
            os.set_blocking(self._child.stdin.fileno(), False)

    def write(self, data: bytes) -> int:
        """Wait while the child is busy; SinkError when it is stuck or gone."""
        if self._child is None or self._child.stdin is None or self._child.stdin.closed:
            return len(data)  # a container that is thrown away still wants to write its end
        file, rest = self._child.stdin.fileno(), memoryview(data)
        deadline = time.monotonic() + self._patience
        while rest:
            try:
                rest = rest[os.write(file, rest) :]
            except BlockingIOError:
                if not select.select([], [file], [], max(0.0, deadline - time.monotonic()))[1]:
                    raise SinkError(f"{self.where} takes no data", "Is the receiver alive?") from None
            except BrokenPipeError:
                raise self.death() from None
        return len(data)

    @property
    def alive(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def death(self) -> SinkError:
        """Why the child is gone, in its own last words."""
        code = self.end()
        reason = self._last_words or f"the relay ended with code {code}"
        if code == -getattr(signal, "SIGALRM", 0):
            reason = "it does not answer"
        return SinkError(f"cannot send to {self.where}: {reason}", "Check the address and the receiver.")

    def hurry(self) -> None:
        """The end is near: later writes wait only briefly."""
        self._patience = EXIT_SECONDS / 3

    def end(self) -> int | None:
        """Close stdin and see the child out, by force if need be.  Gives its exit code."""
        child = self._child
        if child is None or child.stdin is None or child.stdin.closed:
            return child.returncode if child else None
        child.stdin.close()
        _wait(child, EXIT_SECONDS)
        for stop in (child.terminate, child.kill):
            if child.poll() is None:
                stop()
                _wait(child, 0.5)
        self._log.seek(0)
        lines = self._log.read().decode(errors="replace").strip().splitlines()
        self._last_words = lines[-1].strip() if lines else ""
        self._log.close()
        return child.returncode


def _wait(child: subprocess.Popen[bytes], seconds: float) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        child.wait(seconds)
