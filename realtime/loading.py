"""What a stream has on its device.  Nets that can wait are loaded in a thread of their own."""

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from allaprima.realtime.backends import Backend, Effort, Net
from allaprima.realtime.bundle import Bundle
from allaprima.realtime.frame import Color

FADE_FRAMES, LEAST_FADE_FRAMES = 8, 4
"""Frames of the fade between nets of two scales, and how many of them are painted at least: 6 to 24 % are left then."""
Key = tuple[bool, float]
"""Whether there is a region with a style of its own, and the scale."""


class Nets:
    """The nets of one stream, by region and scale.  Any thread may ask.  What a load raises comes out of `get`."""

    def __init__(self, backend: Backend, bundle: Bundle) -> None:
        self._backend, self._bundle = backend, bundle
        self._lock = threading.Lock()
        self._nets: dict[Key, Future[Net]] = {}

    def ready(self, region: bool, scale: float) -> bool:
        """Whether this net can be had at once, or there is no other to go on with; else it is loaded meanwhile."""
        key = (region, scale)
        with self._lock:
            if key not in self._nets and any(net.done() for net in self._nets.values()):
                loader = ThreadPoolExecutor(1, thread_name_prefix="net")
                self._nets[key] = loader.submit(self._backend.load_net, self._bundle, *key)
                loader.shutdown(wait=False)  # the thread ends when the net is there
            return key not in self._nets or self._nets[key].done()

    def get(self, region: bool, scale: float) -> Net:
        """The net, after loading it or waiting for it if need be."""
        key = (region, scale)
        with self._lock:
            found = self._nets.get(key)
        if found is None:
            found = Future()
            found.set_result(self._backend.load_net(self._bundle, *key))
            with self._lock:
                self._nets[key] = found
        return found.result()


@dataclass(slots=True)
class Device:
    """A backend open for one size and color, and all that lies on it: it goes when the stream gets another.

    ``seen`` belongs to `Stylizer.look`, ``left`` and ``region`` to `Stylizer.render`, the rest to `Stylizer.finish`.
    """

    format: tuple[tuple[int, int], Color]
    backend: Backend
    nets: Nets
    seen: Any = None
    left: int = 0
    """Frames still to be carried before the net paints again."""
    region: bool | None = None
    """Whether the net painted with a region last; None before it has painted."""
    painted: Any = None
    scale: float = 1.0
    """Of the net that painted last."""
    fading: int = 0
    """Painted frames for which what a net of another scale has painted still fades out."""

    def fades(self, effort: Effort, before: Any, painted: Any, motion: Any) -> bool:
        """Whether the picture before, of a net of another scale, fades out: the blend would drop it as unlike.

        A cut ends that.  To be asked once for each painted picture.
        """
        if effort.scale != self.scale:
            self.scale, self.fading = effort.scale, max(FADE_FRAMES // effort.every, LEAST_FADE_FRAMES)
        if not self.fading:
            return False
        if before is None or self.backend.flicker(before, painted, motion) is None:
            self.fading = 0
            return False
        self.fading -= 1
        return True
