"""Frames that a device painted are brought to the host by who encodes them, and by nobody else."""

import threading
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

pytest.importorskip("aiortc")

from allaprima.realtime.frame import Frame, Plane
from allaprima.realtime.live.broadcast import Broadcast
from allaprima.realtime.live.encoder import LiveH264
from allaprima.realtime.live.stream import Stream
from allaprima.realtime.live.view import View
from allaprima.realtime.metrics import Stages

from .calls import SIZE

pytestmark = pytest.mark.usefixtures("no_thread_left")


class Painted(Stream):
    """A stream of which only what a `Broadcast` uses is there."""

    def __init__(self) -> None:
        self.name, self.stages = "test", Stages()
        self.view: View | None = None

    def subscribe(self, wake: Callable[[], None]) -> View:
        self.view = View(wake)
        return self.view

    def unsubscribe(self, view: View) -> None:
        view.close()


def floating(landed_by: list[str]) -> Frame:
    """A frame whose planes can only be had by landing it."""
    width, height = SIZE

    def landing() -> tuple[Plane, ...]:
        landed_by.append(threading.current_thread().name)
        return tuple(np.full(shape, 90, np.uint8) for shape in ((height, width), *2 * [(height // 2, width // 2)]))

    nowhere: tuple[Any, ...] = ("on", "a device")
    return Frame(nowhere, SIZE, 0, Fraction(1, 30), format="nv12", landing=landing, captured=time.monotonic())


def test_a_frame_is_landed_once_and_where_it_is_encoded() -> None:
    stream, landed_by = Painted(), list[str]()
    broadcast = Broadcast(stream, LiveH264)
    came = threading.Event()
    watcher = broadcast.join(came.set)
    assert stream.view is not None
    try:
        stream.view.put(floating(landed_by))
        assert came.wait(10)
        assert watcher.get() is not None
        came.clear()
        watcher.request_keyframe()  # the same picture once more
        assert came.wait(10)
        again = watcher.get()
        assert again is not None
        assert again.keyframe
    finally:
        broadcast.close()
    assert landed_by == ["encoder test"]


def test_a_frame_that_nobody_looks_at_is_not_landed() -> None:
    landed_by: list[str] = []
    view = View(lambda: None)
    for _ in range(3):
        view.put(floating(landed_by))
    view.close()
    assert landed_by == []
