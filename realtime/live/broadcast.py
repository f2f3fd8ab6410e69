"""One painted stream, encoded once for all who watch it with the same codec.

The codec runs in a thread of its own, beside the engine.  Each watcher has a short mailbox of encoded pictures; one
that fell behind loses them and is let in again at the next keyframe, which is asked for then.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import median

from allaprima.realtime.frame import Frame
from allaprima.realtime.live.encoder import LiveH264, LiveVp8
from allaprima.realtime.live.stream import Stream
from allaprima.realtime.mailbox import Closed, Mailbox, OnFull
from allaprima.realtime.sinks.picture import even, to_av

CLOCK = 90_000
"""Ticks a second of video in RTP."""
BEHIND = 8
"""Encoded pictures that wait for a watcher's sender at most; usually there is one."""
IDLE = 0.25
"""Seconds after which the last picture is encoded once more for somebody who waits for a keyframe."""
FLOOR = 0.5
"""The worst line lowers everybody's bitrate at most to this share of the median of all lines."""
ALLOWANCE, REFILL = 4.0, 1.0
"""Keyframes that a watcher may ask for at once, and how many more each second."""
MOST_APART = 0.5
"""Seconds by which the source's clock may leave ours before it is taken for another clock."""
PATIENCE = 5.0
"""Seconds that the codec's thread has to end."""

Encoder = LiveH264 | LiveVp8
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Unit:
    """One encoded picture, cut into RTP payloads."""

    number: int
    payloads: list[bytes]
    timestamp: int
    """In ticks of `CLOCK`."""
    keyframe: bool
    captured: float
    size_bytes: int


class RtpClock:
    """RTP timestamps of frames: the source's own spacing where it makes sense, ours where it jumps."""

    def __init__(self) -> None:
        self._anchor: tuple[float, float, float] | None = None  # time of source, of capture, of RTP; seconds
        self._last = 0.0
        self._last_captured = 0.0

    def of(self, frame: Frame) -> int:
        source, captured = frame.time, frame.captured
        if self._anchor is not None:
            source0, captured0, rtp0 = self._anchor
            if abs((source - source0) - (captured - captured0)) > MOST_APART:
                self._anchor = None
        if self._anchor is None:
            step = max(captured - self._last_captured, 1 / 60) if self._last_captured else 0.0
            self._anchor = (source, captured, self._last + step)
        source0, _, rtp0 = self._anchor
        return self._tick(rtp0 + source - source0, captured)

    def again(self, now: float) -> int:
        """Of a frame that is sent once more."""
        return self._tick(self._last + max(now - self._last_captured, 0.0), now)

    def _tick(self, seconds: float, captured: float) -> int:
        self._last = max(seconds, self._last + 0.001) if self._last_captured else seconds
        self._last_captured = captured
        return round(self._last * CLOCK)


def common_bitrate(targets: Sequence[int]) -> int | None:
    """What all get: the least of the targets, but no less than `FLOOR` of their median; None without any."""
    return int(max(min(targets), FLOOR * median(targets))) if targets else None


class Watcher:
    """One viewer of a `Broadcast`: where its encoded pictures are, and what its line can take."""

    def __init__(self, broadcast: "Broadcast", wake: Callable[[], None]) -> None:
        self.broadcast = broadcast
        self.target: int | None = None
        """Bits a second that its receiver estimates; None before it said so."""
        self._units: Mailbox[Unit] = Mailbox(BEHIND, OnFull.DROP_OLDEST)
        self._wake = wake
        self._next: int | None = None
        self._allowance = ALLOWANCE
        self._asked = time.monotonic()

    def get(self) -> Unit | None:
        """The next picture that can be decoded after those before, or None.  Raises `Closed` at the stream's end."""
        while True:
            try:
                unit = self._units.get(timeout=0)
            except TimeoutError:
                return None
            if unit.keyframe or unit.number == self._next:
                self._next = unit.number + 1
                return unit
            self.request_keyframe()

    def request_keyframe(self) -> None:
        """The next picture shall be one; who asks all the time is heard once a second."""
        now = time.monotonic()
        self._allowance = min(ALLOWANCE, self._allowance + (now - self._asked) * REFILL)
        self._asked = now
        if self._allowance >= 1:
            self._allowance -= 1
            self.broadcast.request_keyframe()

    def offer(self, bitrate: int) -> None:
        """Its receiver takes so many bits a second."""
        self.target = bitrate
        self.broadcast.aim()

    def put(self, unit: Unit) -> None:
        """For the broadcast."""
        try:
            self._units.put(unit)
            self._wake()
        except (Closed, RuntimeError):  # it has left, or its event loop has
            return

    def close(self) -> None:
        """For the broadcast: nothing more comes."""
        self._units.abandon()
        try:
            self._wake()
        except RuntimeError:
            return


class Broadcast:
    """Encodes the frames of one stream for its watchers, as long as there are any."""

    def __init__(self, stream: Stream, make: Callable[[], Encoder]) -> None:
        self.stream = stream
        self._make = make
        self._encoder = make()
        self._lock = threading.Lock()
        self._watchers: tuple[Watcher, ...] = ()
        self._awake = threading.Event()
        self._keyframe = True
        self._stopped = False
        self._view = stream.subscribe(self._awake.set)
        self._view.viewers = 0
        self._clock = RtpClock()
        self._count = 0
        self._last: Frame | None = None
        self._last_time = 0.0
        self._thread = threading.Thread(target=self._main, name=f"encoder {stream.name}", daemon=True)
        self._thread.start()

    @property
    def encoder(self) -> Encoder:
        return self._encoder

    def join(self, wake: Callable[[], None]) -> Watcher:
        """A new watcher, which starts with a keyframe; ``wake`` is called in the codec's thread."""
        watcher = Watcher(self, wake)
        with self._lock:
            self._watchers += (watcher,)
            self._view.viewers = len(self._watchers)
        if self._view.closed:
            watcher.close()
        self.request_keyframe()
        return watcher

    def leave(self, watcher: Watcher) -> bool:
        """One watcher less; True when there is none left."""
        with self._lock:
            self._watchers = tuple(other for other in self._watchers if other is not watcher)
            self._view.viewers = len(self._watchers)
        watcher.close()
        self.aim()
        return not self._watchers

    def __len__(self) -> int:
        return len(self._watchers)

    def request_keyframe(self) -> None:
        """The next picture is a keyframe, for everybody."""
        self._keyframe = True
        self._awake.set()

    def aim(self) -> None:
        """Take the bitrate that suits the watchers there are."""
        bitrate = common_bitrate([w.target for w in self._watchers if w.target is not None])
        if bitrate is not None:
            self._encoder.target_bitrate = bitrate

    def close(self) -> None:
        """End the thread, `PATIENCE` seconds at most, and tell the watchers."""
        self._stopped = True
        self._awake.set()
        self.stream.unsubscribe(self._view)
        self._thread.join(PATIENCE)
        for watcher in self._watchers:
            watcher.close()

    def _main(self) -> None:
        while not self._stopped and not self._view.closed:
            self._awake.wait(IDLE)
            self._awake.clear()
            frame = self._view.get()
            now = time.monotonic()
            if frame is None and not (self._keyframe and self._last is not None and now - self._last_time >= IDLE):
                continue
            try:
                self._send(frame, now)
            except Exception as error:  # noqa: BLE001 (a thread's main: the next frame gets a new codec)
                logger.warning("stream %s: cannot encode: %s: %s", self.stream.name, type(error).__name__, error)
                self._encoder, self._keyframe = self._make(), True
                self.aim()
        for watcher in self._watchers:
            watcher.close()

    def _send(self, frame: Frame | None, now: float) -> None:
        stamp = self._clock.again(now) if frame is None else self._clock.of(frame)
        frame = frame or self._last
        assert frame is not None
        self._last = frame = frame.landed()
        self._last_time = now
        keyframe, self._keyframe = self._keyframe, False
        picture = to_av(frame, even(frame.size))
        picture.pts, picture.time_base = stamp, Fraction(1, CLOCK)
        began = time.perf_counter()
        payloads, timestamp = self._encoder.encode(picture, keyframe)
        self.stream.stages.add("encode", time.perf_counter() - began)
        if not payloads:
            return
        unit = Unit(self._count, payloads, timestamp, self._encoder.keyframe, frame.captured, sum(map(len, payloads)))
        self._count += 1
        for watcher in self._watchers:
            watcher.put(unit)
