"""The live streams of a server, by name, and the most there may be."""

import re
import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from allaprima.realtime.capacity import Capacity
from allaprima.realtime.errors import AllaprimaError, ConfigError
from allaprima.realtime.live.control import Change, State

if TYPE_CHECKING:
    from allaprima.realtime.live.stream import Stream

NAME = re.compile(r"[a-z0-9-]{1,40}")
RESERVED = frozenset({"v1", "offer", "static", "healthz", "readyz", "metrics", "whip", "whep", "api", "favicon"})
"""Names that are, or may become, addresses of something else."""
REMEMBERED = 64
"""Named streams whose settings outlive them."""


class Full(AllaprimaError):
    """There are as many streams as there may be."""


class Taken(AllaprimaError):
    """There is a stream of that name."""


class Hub:
    """Opens and closes streams.  Any thread may call.

    ``make(name)`` gives a new stream; ``most`` is how many may be open at a time, and ``capacity`` says whether the
    machine can paint one more.  A stream opened by a name keeps its settings when it is closed and opened again: a
    publisher that comes back finds its style.
    """

    def __init__(self, make: "Callable[[str], Stream]", most: int = 8, capacity: Capacity | None = None) -> None:
        if most < 1:
            raise ConfigError(f"there must be room for a session, not for {most}")
        self.most = most
        self.capacity = capacity or Capacity()
        self._make = make
        self._lock = threading.Lock()
        self._streams: dict[str, Stream | None] = {}  # None while one is being made
        self._private: set[str] = set()
        self._states: dict[str, State] = {}
        self._closed = False

    def open(self, name: str | None = None) -> "Stream":
        """A new stream; without a name it gets one that nobody can guess, and is private.

        Takes as long as a model takes to load: not for an event loop.  Raises `Full`, `Taken` and `ConfigError`.
        """
        wanted = secrets.token_hex(16) if name is None else check_name(name)
        loads = self.loads()
        with self._lock:
            if self._closed:
                raise Full("the server is going down")
            if wanted in self._streams:
                raise Taken(f"there is a stream called {wanted!r} already", "Stop it first, or take another name.")
            if len(self._streams) >= self.most:
                raise Full(
                    f"all {self.most} sessions are taken", "Try again later, or start with a higher --max-sessions."
                )
            if reason := self.capacity.refusal(loads):
                raise Full(reason, "Try again later, or send a smaller picture.")
            self._streams[wanted] = None
            before = self._states.get(wanted)
        stream: Stream | None = None
        try:
            stream = self._make(wanted)
            if before is not None:
                with suppress(AllaprimaError):  # its style is gone: it starts like a new one
                    for change in settings(before):
                        stream.apply(change)
        finally:
            late = self._register(wanted, stream, name is None)
        assert stream is not None
        if late:
            stream.close()
            raise Full("the server is going down")
        return stream

    def _register(self, name: str, stream: "Stream | None", private: bool) -> bool:
        """Enter a stream that was made, or give its place back; True when the hub was closed meanwhile."""
        with self._lock:
            if stream is None or self._closed:
                self._streams.pop(name, None)
                return self._closed
            self._streams[name] = stream
            if private:
                self._private.add(name)
            return False

    def get(self, name: str) -> "Stream | None":
        with self._lock:
            return self._streams.get(name)

    def is_private(self, name: str) -> bool:
        """Whether the name is a secret shared with the stream's owner."""
        with self._lock:
            return name in self._private

    def streams(self) -> "list[Stream]":
        with self._lock:
            return [stream for stream in self._streams.values() if stream is not None]

    def loads(self) -> list[float]:
        """What the streams take of the machine at the least effort, a share each; nothing before that is known."""
        if self.capacity.cost is None:
            return []
        figures = [stream.stats() for stream in self.streams()]
        return self.capacity.loads([(stats.size, stats.fps_in) for stats in figures])

    def __len__(self) -> int:
        with self._lock:
            return len(self._streams)

    def close(self, name: str) -> None:
        """End a stream and free its place; one that is gone already is no error."""
        with self._lock:
            stream = self._streams.get(name)
            if stream is None:
                return
            private = name in self._private
        state = stream.state
        try:
            stream.close()
        finally:
            with self._lock:
                if self._streams.get(name) is stream:
                    del self._streams[name]
                    self._private.discard(name)
                if not private:
                    self._states.pop(name, None)
                    self._states[name] = state
                    for oldest in list(self._states)[:-REMEMBERED]:
                        del self._states[oldest]

    def close_all(self) -> None:
        """End all streams; none can be opened any more."""
        with self._lock:
            self._closed = True
        for stream in self.streams():
            self.close(stream.name)


def check_name(name: str) -> str:
    """The name, if a stream can have it.  Raises `ConfigError`."""
    if not NAME.fullmatch(name) or name in RESERVED:
        raise ConfigError("that cannot be the name of a stream", "Up to 40 small letters, digits and dashes.")
    return name


def settings(state: State) -> tuple[Change, Change]:
    """The changes that set a stream to ``state`` without a cross-fade."""
    knobs = {"strength": state.strength, "steadiness": state.steadiness, "bypass": state.bypass}
    return Change.of({"mix": state.mix, "transition": 0.0} | knobs), Change(transition=state.transition)
