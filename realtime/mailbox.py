"""The only queue in the project: bounded, counted, closed from either end."""

import threading
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Generic, TypeVar

T = TypeVar("T")


class OnFull(Enum):
    BLOCK = "block"
    """The sender waits: a file, where every frame counts."""
    DROP_OLDEST = "drop-oldest"
    """The oldest item goes: a live picture, where delay must not build up."""


class Closed(Exception):
    """The other end is gone; nothing more will come or be taken."""


class Mailbox(Generic[T]):
    """Hands items from one thread to another.

    ``merge(dropped, next)`` may save something of a dropped item (its audio packets, say) into the
    item behind it.
    """

    def __init__(self, size: int, on_full: OnFull = OnFull.BLOCK, merge: Callable[[T, T], T] | None = None) -> None:
        self.size = size
        self.on_full = on_full
        self.dropped = 0
        self._merge = merge
        self._items: deque[T] = deque()
        self._changed = threading.Condition(threading.RLock())
        self._closed = False
        self._error: BaseException | None = None

    def put(self, item: T) -> None:
        """Add an item.  Raises `Closed` when the receiver has gone."""
        with self._changed:
            while self.on_full is OnFull.BLOCK and len(self._items) >= self.size and not self._closed:
                self._changed.wait()
            if self._closed:
                raise Closed
            self._items.append(item)
            while len(self._items) > self.size:
                oldest = self._items.popleft()
                if self._merge is not None:
                    self._items[0] = self._merge(oldest, self._items[0])
                self.dropped += 1
            self._changed.notify_all()

    def get(self, timeout: float | None = None) -> T:
        """Take the oldest item, waiting for one.

        Raises `Closed` when it is empty and the sender is done, the sender's error when it failed, and
        `TimeoutError` after ``timeout`` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._items or self._closed, timeout):
                raise TimeoutError
            if self._items:
                item = self._items.popleft()
                self._changed.notify_all()
                return item
            if self._error is not None:
                raise self._error
            raise Closed

    def close(self, error: BaseException | None = None) -> None:
        """No more items.  What is inside can still be taken; then `get` raises ``error`` or `Closed`."""
        with self._changed:
            self._closed = True
            self._error = self._error or error
            self._changed.notify_all()

    def abandon(self) -> None:
        """The receiver leaves: throw the items away and let a waiting sender go."""
        with self._changed:
            self._items.clear()
            self.close()

    def __len__(self) -> int:
        return len(self._items)
