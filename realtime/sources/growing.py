"""A file that is still being written, read like ``tail -f``."""

import os
import threading
import time
from types import TracebackType

LOOK_SECONDS = 0.05


class Growing:
    """Looks like a pipe: `read` waits at the end of the file until there is more.

    It ends when nothing was added for ``patience`` seconds, when the file is taken away, or after `stop`.
    """

    def __init__(self, path: str, patience: float) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115 (closed in `close`)
        self._path = path
        self._patience = patience
        self._stopped = threading.Event()

    def read(self, size: int) -> bytes:
        """What there is, at least a byte; empty at the end."""
        began = time.monotonic()
        while not self._stopped.is_set():
            data = self._file.read(size)
            if data:
                return data
            if time.monotonic() - began >= self._patience or not os.path.exists(self._path):
                return b""
            self._stopped.wait(LOOK_SECONDS)
        return b""

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def stop(self) -> None:
        self._stopped.set()

    def close(self) -> None:
        self._file.close()

    def __enter__(self) -> "Growing":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
