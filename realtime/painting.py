"""The engine's place in a run: painting that raises what fails, and painting that lets it through."""

import threading
from types import TracebackType

from allaprima.realtime.errors import BackendError, SourceError
from allaprima.realtime.failsafe import Eye, FailSafe
from allaprima.realtime.frame import Frame
from allaprima.realtime.mailbox import Closed, Mailbox
from allaprima.realtime.outlets import Outlets
from allaprima.realtime.stylizer import Rendered, Seen, Stylizer

FINISH_QUEUE = 2
PATIENCE = 10.0
"""Seconds the last step may take to end after an error."""


class Strict:
    """Paints, and raises what painting raises; the last step of a file in a thread of its own."""

    passed = failures = 0
    problem = ""

    def __init__(self, stylizer: Stylizer, outlets: Outlets, live: bool) -> None:
        self._stylizer = stylizer
        self._outlets = outlets
        self._eye = Eye()
        self._mailbox: Mailbox[Rendered] = Mailbox(FINISH_QUEUE)
        self._error: BaseException | None = None
        self._thread = None if live else threading.Thread(target=self._main, name="finisher", daemon=True)

    def __enter__(self) -> "Strict":
        if self._thread is not None:
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread is None:
            return
        if error is None or isinstance(error, SourceError):
            self._mailbox.close()  # what was painted is kept
        else:
            self._mailbox.abandon()
        self._thread.join(None if error is None else PATIENCE)
        if self._error is not None and error is None:
            raise self._error

    def put(self, item: Frame | Seen) -> bool:
        """Paint a frame; tells whether it was painted."""
        seen = item if isinstance(item, Seen) else self._stylizer.look(item)
        rendered = self._stylizer.render(seen)
        if reason := self._eye.broken(rendered):
            raise BackendError(f"frame {seen.frame.index}: {reason}", "Let such frames through: --on-error pass")
        if self._thread is None:
            self._finish(rendered)
            return True
        try:
            self._mailbox.put(rendered)
        except Closed:
            raise (self._error or Closed()) from None
        return True

    def _finish(self, rendered: Rendered) -> None:
        self._outlets.put(self._stylizer.finish(rendered))

    def _main(self) -> None:
        try:
            while True:
                try:
                    rendered = self._mailbox.get()
                except Closed:
                    break
                self._finish(rendered)
        except BaseException as error:  # noqa: BLE001 (a thread's main: raised again in the engine)
            self._error = error
        finally:
            self._mailbox.abandon()


class Forgiving(FailSafe):
    """Paints, and lets through what cannot be painted."""

    def __init__(self, stylizer: Stylizer, outlets: Outlets, name: str) -> None:
        super().__init__(stylizer, name)
        self._outlets = outlets

    def __enter__(self) -> "Forgiving":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def put(self, item: Frame | Seen) -> bool:
        if isinstance(item, Seen):
            self._outlets.put(item.frame)
            return False
        passed = self.passed
        self._outlets.put(self(item))
        return self.passed == passed
