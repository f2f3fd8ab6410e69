"""Streams, events and graphs of the fake CuPy: what is enqueued runs at once, or in any order that a device may take.

Work is a node that knows the nodes it must follow: the one before it on its stream, and those of events waited for.
With an `Order` nothing runs until somebody waits; then nodes run in a random order that respects this and nothing
else, so a wait that was forgotten shows as wrong pixels.
"""

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from .emulator import KernelFault


class CUDARuntimeError(RuntimeError):
    """`cupy.cuda.runtime.CUDARuntimeError`."""

    def __init__(self, status: int, text: str = "an error") -> None:
        super().__init__(f"cudaError{status}: {text}")
        self.status = status


@dataclass(eq=False)
class Node:
    """Something a device does once."""

    run: Callable[[], None]
    after: list["Node"] = field(default_factory=list)
    done: bool = False


class Order:
    """What waits to run.  ``seed`` None: everything as late as can be; else at random."""

    current: "Order | None" = None

    def __init__(self, seed: int | None) -> None:
        self._random = None if seed is None else random.Random(seed)
        self.waiting: list[Node] = []
        self._lock = threading.RLock()

    def add(self, node: Node) -> None:
        with self._lock:
            self.waiting.append(node)

    def finish(self, node: Node) -> None:
        """Run until this is done."""
        with self._lock:
            wanted = None if self._random else _ancestors(node)
            while not node.done:
                ready = [one for one in self.waiting if all(before.done for before in one.after)]
                ready = ready if wanted is None else [one for one in ready if one in wanted]
                self._run(self._random.choice(ready) if self._random else ready[0])

    def drain(self) -> None:
        """Run all there is."""
        while self.waiting:
            self.finish(self.waiting[-1])

    def _run(self, node: Node) -> None:
        self.waiting.remove(node)
        node.done, node.after = True, []
        node.run()


def _ancestors(node: Node) -> set[Node]:
    found, left = {node}, [node]
    while left:
        for before in left.pop().after:
            if before not in found and not before.done:
                found.add(before)
                left.append(before)
    return found


@dataclass
class Capture:
    """A graph in the making."""

    origin: "FakeStream"
    nodes: list[Node] = field(default_factory=list)
    streams: set["FakeStream"] = field(default_factory=set)
    thread: int = field(default_factory=threading.get_ident)


class FakeEvent:
    """`cupy.cuda.Event`."""

    def __init__(self, block: bool = False, disable_timing: bool = False, interprocess: bool = False) -> None:
        self.node: Node | None = None
        self.capture: Capture | None = None

    def record(self, stream: "FakeStream | None" = None) -> None:
        stream = stream or current()
        self.capture, self.node = stream.capture, stream.mark()

    @property
    def done(self) -> bool:
        return self.node is None or self.node.done

    def synchronize(self) -> None:
        _raise_failure()
        assert self.capture is None, "an event that was captured cannot be waited for"
        if self.node is not None:
            _wait(self.node)


class FakeGraph:
    """`cupy.cuda.Graph`: the captured nodes, which run again with the addresses they were captured with."""

    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = nodes
        self.uploaded = False

    def upload(self, stream: Any = None) -> None:
        self.uploaded = True

    def launch(self, stream: "FakeStream | None" = None) -> None:
        stream = stream or current()
        first = stream.mark()
        copies: dict[Node, Node] = {}
        for node in self.nodes:
            copies[node] = Node(node.run, [first, *(copies[before] for before in node.after if before in copies)])
            _issue(copies[node])
        last = Node(lambda: None, [first, *copies.values()])
        _issue(last)
        stream.last = last


class FakeStream:
    """`cupy.cuda.Stream`."""

    null: "FakeStream"

    def __init__(self, non_blocking: bool = False) -> None:
        self.ptr = id(self)
        self.last: Node | None = None
        self.waits: list[Node] = []
        self.capture: Capture | None = None
        self._suspended: tuple[Node | None, list[Node]] = (None, [])
        ALL[self.ptr] = self

    def __enter__(self) -> "FakeStream":
        _stack().append(self)
        return self

    def __exit__(self, *error: object) -> None:
        _stack().pop()

    def enqueue(self, run: Callable[[], None]) -> None:
        """What the device does when the stream gets to it."""
        _raise_failure()
        node = Node(run, self._before())
        if self.capture is None:
            _issue(node)
        else:
            self.capture.nodes.append(node)
        self.last = node

    def _before(self) -> list[Node]:
        before, self.waits = [*self.waits, *([self.last] if self.last else [])], []
        return before

    def mark(self) -> Node:
        """A node that is done when all before it is."""
        self.enqueue(lambda: None)
        assert self.last is not None
        return self.last

    def record(self, event: FakeEvent | None = None) -> FakeEvent:
        event = event or FakeEvent()
        event.record(self)
        return event

    def wait_event(self, event: FakeEvent) -> None:
        if event.node is None:
            return
        if event.capture is not self.capture:
            if event.capture is None or self.capture is not None:
                raise KernelFault("a capture depends on work outside of it")
            self._suspend(event.capture)
            event.capture.streams.add(self)
        self.waits.append(event.node)

    def synchronize(self) -> None:
        _raise_failure()
        if self.capture is not None:
            raise KernelFault("a stream that is captured cannot be waited for")
        _wait(self.mark())

    def is_capturing(self) -> bool:
        return self.capture is not None

    def begin_capture(self, mode: Any = None) -> None:
        if self is FakeStream.null:
            raise KernelFault("the default stream cannot be captured")
        assert self.capture is None
        self._suspend(Capture(self))

    def _suspend(self, capture: Capture) -> None:
        self._suspended = self.last, self.waits
        self.capture, self.last, self.waits = capture, None, []

    def _resume(self) -> None:
        self.last, self.waits = self._suspended
        self.capture = None

    def end_capture(self) -> FakeGraph:
        capture = self.capture
        assert capture is not None
        assert capture.origin is self
        joined = _ancestors(Node(lambda: None, self._before()))
        for stream in capture.streams:
            loose = stream.last is not None and stream.last not in joined
            stream._resume()
            if loose:
                raise KernelFault("a captured stream was not joined")
        self._resume()
        return FakeGraph(capture.nodes)


ALL: dict[int, FakeStream] = {}
"""Streams by their pointers."""
FAILURE: list[Exception] = []
"""What the device fails with from now on, if anything."""
_LOCAL = threading.local()
FakeStream.null = FakeStream()


def current() -> FakeStream:
    """Of this thread."""
    return _stack()[-1] if _stack() else FakeStream.null


def explicit() -> FakeStream | None:
    """Of this thread, if one was chosen."""
    return _stack()[-1] if _stack() else None


def capturing() -> bool:
    """Whether this thread is; others may go on meanwhile."""
    captures = [stream.capture for stream in list(ALL.values())]
    return any(capture is not None and capture.thread == threading.get_ident() for capture in captures)


def reset() -> None:
    """Forget streams and failures."""
    ALL.clear()
    FAILURE.clear()
    Order.current = None
    FakeStream.null = FakeStream()


def _stack() -> list[FakeStream]:
    if not hasattr(_LOCAL, "stack"):
        _LOCAL.stack = []
    found: list[FakeStream] = _LOCAL.stack
    return found


def _issue(node: Node) -> None:
    if Order.current is None:
        node.done, node.after = True, []
        node.run()
    else:
        Order.current.add(node)


def _wait(node: Node) -> None:
    if Order.current is not None and not node.done:
        Order.current.finish(node)


def _raise_failure() -> None:
    if FAILURE:
        raise FAILURE[0]
