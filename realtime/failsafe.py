"""The picture never stops: where painting fails the input goes through unpainted, and painting comes back by itself."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from allaprima.realtime.errors import BackendError
from allaprima.realtime.frame import Frame
from allaprima.realtime.mailbox import Closed, Mailbox, OnFull
from allaprima.realtime.stylizer import Rendered, Stylizer

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
"""Seconds without painting after an error; each error soon after the last doubles them."""
SOUND = 10.0
"""Seconds of painting after which an error counts as the first again."""
LATE, LATE_TIMES = 1.0, 4
"""A frame that takes so many seconds, and so many times as long as usual, goes through unpainted meanwhile."""
OPENING, RETURNING = 10.0, 0.2
"""Seconds that the stream waits for the first frame of an engine: of the first one, and of one opened again."""
HUNG, LOADING = 20.0, 120.0
"""Seconds after which a call counts as lost: with all loaded, and with nets that may still have to be."""
MOST_HUNG = 3
"""Threads that hang in a device; no more are risked until one of them comes back."""
PATIENCE = 2.0
"""Seconds that threads have to end."""
TELL_SECONDS = 1.0

EVEN, PICTURED = 1.0, 12.0
"""A painted luma that deviates less than the one, from an input that deviates more than the other, is no painting."""
MOVED = 2.0
"""Levels by which blocks of the input change, on the mean, when something clearly moves."""
FROZEN_FRAMES = 3
BLOCK = 8

logger = logging.getLogger(__name__)

Samples = NDArray[np.uint8]


class Eye:
    """Tells by some ten thousand pixels whether the net paints, or only seems to.

    It looks at what the net gives, before history is blended in: a net is a function of one picture, so what it
    paints cannot stay the same to the bit while its input moves, whatever the scene.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """What comes next has nothing to do with what was."""
        self._painted: Samples | None = None
        self._blocks: NDArray[np.float32] | None = None
        self._frozen = 0

    def broken(self, rendered: Rendered) -> str:
        """Why the picture is not to be shown; empty when it is sound or nothing can be said."""
        seen = rendered.seen
        if seen.device is None or rendered.painted is None or rendered.strength == 0:
            return ""
        sample = seen.device.backend.sample
        given, painted = sample(seen.picture), sample(rendered.painted)
        return "" if given is None or painted is None else self.judge(given, painted)

    def judge(self, given: Samples, painted: Samples) -> str:
        """The same for samples ``(h, w)`` uint8 of the input and of what was painted of it."""
        if painted.std() < EVEN and given.std() > PICTURED:
            return f"the net paints nothing but {painted.mean():.0f}"
        blocks = _blocks(given)
        if self._painted is None or self._blocks is None or not np.array_equal(painted, self._painted):
            self._painted, self._blocks, self._frozen = painted.copy(), blocks, 0
            return ""
        moved = self._blocks.shape == blocks.shape and float(np.abs(blocks - self._blocks).mean()) > MOVED
        self._frozen = self._frozen + 1 if moved else 0
        return "the painted picture is frozen" if self._frozen >= FROZEN_FRAMES else ""


def _blocks(samples: Samples) -> NDArray[np.float32]:
    """Means of squares, in which a camera's noise is gone and motion is not."""
    height, width = (side - side % BLOCK or side for side in samples.shape)
    rows, columns = max(1, height // BLOCK), max(1, width // BLOCK)
    squares = samples[:height, :width].reshape(rows, height // rows, columns, width // columns)
    return np.asarray(squares.mean((1, 3), dtype=np.float32))


@dataclass(frozen=True, slots=True)
class _Answer:
    """A painted frame, or why there is none: in words, since the error itself would hold the engine that failed."""

    painted: Frame | None = None
    problem: str = ""


class _Painter:
    """A stylizer in a thread of its own: whoever waits for an answer may stop waiting."""

    def __init__(self, stylizer: Stylizer, name: str) -> None:
        self._stylizer = stylizer
        self._eye = Eye()
        self._inbox: Mailbox[Frame] = Mailbox(1)
        self._answers: Mailbox[_Answer] = Mailbox(1, OnFull.DROP_OLDEST)
        self.thread = threading.Thread(target=self._main, name=name, daemon=True)
        self.thread.start()

    def ask(self, frame: Frame) -> None:
        self._inbox.put(frame)

    def answer(self, timeout: float) -> _Answer | None:
        """None when there is none yet."""
        try:
            return self._answers.get(timeout)
        except TimeoutError:
            return None

    def dismiss(self) -> None:
        """It ends with the call it is in; what that gives is thrown away."""
        self._inbox.abandon()
        self._answers.abandon()

    def _main(self) -> None:
        while True:
            try:
                frame = self._inbox.get()
            except Closed:
                return
            try:
                answer = _Answer(self._paint(frame))
            except Exception as error:  # noqa: BLE001 (a thread's main: told to who asked, and the stream goes on)
                answer = _Answer(problem=f"{type(error).__name__}: {error}")
            try:
                self._answers.put(answer)
            except Closed:
                return

    def _paint(self, frame: Frame) -> Frame:
        rendered = self._stylizer.render(self._stylizer.look(frame))
        if reason := self._eye.broken(rendered):
            raise BackendError(reason)
        return self._stylizer.finish(rendered)


class FailSafe:
    """Paints the frames of one stream through ``stylizer`` and raises nothing that painting may raise.

    An error lets that very frame through unpainted; so does a picture that is even or frozen, and a call that
    does not come back in time.  Painting is tried again with a renewed engine after a pause that doubles from
    `FIRST_PAUSE` to `LONGEST_PAUSE`; a change of style tries at once.  To be called from one thread.
    """

    def __init__(
        self, stylizer: Stylizer, name: str = "stream", *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.problem = ""
        """Why the last frame is not painted; empty when it is."""
        self.failures = 0
        """How often painting failed."""
        self.passed = 0
        """Frames that went through unpainted because of it."""
        self._stylizer = stylizer
        self._name = name
        self._clock = clock
        self._painter: _Painter | None = None
        self._hung: list[threading.Thread] = []
        self._asked: float | None = None
        self._usual: float | None = None
        self._fresh = True
        self._row, self._failed, self._retry = 0, float("-inf"), float("-inf")
        self._style: Any = None
        self._told = float("-inf")

    def __call__(self, frame: Frame) -> Frame:
        """The painted frame, or ``frame`` itself."""
        if self._clock() < self._retry and self._stylizer.style is self._style:
            return self._pass(frame)
        painter = self._engine()
        if painter is None:
            return self._pass(frame)
        answer = None if self._asked is None else self._answer(painter, 0)  # of an older frame: too late for that one
        if self._asked is None and (answer is None or not answer.problem):
            self._asked = self._clock()
            painter.ask(frame)
            answer = self._answer(painter, self._patience())
        if answer is None:
            return self._wait_on(frame)
        if answer.painted is None:
            self._stumble(answer.problem)
            return self._pass(frame)
        if self.problem:
            self._tell("painting again")
        self.problem = ""
        return answer.painted

    def close(self) -> None:
        """End the threads; one that hangs is left to itself after `PATIENCE` seconds."""
        threads = self._hung
        if self._painter is not None:
            self._painter.dismiss()
            threads = [*threads, self._painter.thread]
        until = time.monotonic() + PATIENCE
        for thread in threads:
            thread.join(max(0.0, until - time.monotonic()))

    def _engine(self) -> _Painter | None:
        """Who paints; None while too many hang."""
        if self._painter is None:
            self._hung = [thread for thread in self._hung if thread.is_alive()]
            if len(self._hung) >= MOST_HUNG:
                self._stumble(f"{len(self._hung)} calls have not come back from the device")
                return None
            if self.failures:
                self._stylizer.renew()
            self._fresh = True
            self._painter = _Painter(self._stylizer, f"painter {self._name}")
        return self._painter

    def _answer(self, painter: _Painter, timeout: float) -> _Answer | None:
        answer = painter.answer(timeout)
        if answer is None:
            return None
        spent = self._clock() - (self._asked or 0.0)
        if not self._fresh:
            self._usual = spent if self._usual is None else 0.9 * self._usual + 0.1 * spent
        self._asked, self._fresh = None, False
        return answer

    def _patience(self) -> float:
        if self._fresh:
            return RETURNING if self.failures else OPENING
        return max(LATE, LATE_TIMES * (self._usual or 0.0))

    def _wait_on(self, frame: Frame) -> Frame:
        """No answer yet: the stream goes on, and the engine is given up when it takes far too long."""
        spent = self._clock() - (self._asked or 0.0)
        if spent > max(LOADING if self._fresh else HUNG, 5 * LATE_TIMES * (self._usual or 0.0)):
            self._stumble(f"the engine has not come back for {spent:.0f} s")
        elif not self.problem:
            self.problem = "the engine is late"
            self._tell(f"{self.problem}; unpainted until it comes back")
        return self._pass(frame)

    def _pass(self, frame: Frame) -> Frame:
        self.passed += 1
        return frame

    def _stumble(self, reason: str) -> None:
        now = self._clock()
        self.failures += 1
        self._row = 1 if now - self._failed > LONGEST_PAUSE + SOUND else self._row + 1
        pause = min(FIRST_PAUSE * 2 ** (self._row - 1), LONGEST_PAUSE)
        self._failed, self._retry, self._style = now, now + pause, self._stylizer.style
        self.problem = reason
        self._tell(f"{reason}; unpainted for {pause:g} s")
        if self._painter is not None:
            self._painter.dismiss()
            self._hung.append(self._painter.thread)
            self._painter, self._asked = None, None

    def _tell(self, text: str) -> None:
        if self._clock() - self._told >= TELL_SECONDS:
            self._told = self._clock()
            logger.warning("%s: %s", self._name, text)
