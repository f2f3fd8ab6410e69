"""What a publisher sends, on its way in: packets put in order, decoded pictures as frames, sound left as it is."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import av
from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from aiortc.rtcrtpreceiver import TimestampMapper

from allaprima.realtime.frame import Color, Frame
from allaprima.realtime.sources.picture import PictureReader, color_of

CAPACITY = 512
"""Packets that may be out of order."""
REMEMBERED = 128
"""Pictures whose time of arrival is kept while they are decoded."""
MOST_PIXELS = 4096 * 2304
"""Larger pictures are dropped: one of 8K alone would hold up everybody for a second."""
BT601, LIMITED, UNSPECIFIED = 6, 1, 2


class PromptBuffer(JitterBuffer):
    """aiortc's buffer of video packets, except that a picture goes on with its own last packet, which is marked, and
    does not wait for the first of the next: a whole frame less delay.  Remembers when pictures arrived.
    """

    def __init__(self) -> None:
        super().__init__(CAPACITY, is_video=True)
        self._first: deque[tuple[int, float]] = deque(maxlen=REMEMBERED)
        self._given: deque[tuple[int, float]] = deque(maxlen=REMEMBERED)
        self._times = TimestampMapper()

    def add(self, packet: Any) -> tuple[bool, JitterFrame | None]:
        if not self._first or self._first[-1][0] != packet.timestamp:
            self._first.append((packet.timestamp, time.monotonic()))
        lost, frame = super().add(packet)
        frame = frame or self._marked()
        if frame is not None:
            arrived = next((at for stamp, at in self._first if stamp == frame.timestamp), time.monotonic())
            self._given.append((self._times.map(frame.timestamp), arrived))
        return lost, frame

    def arrival(self, pts: int) -> float:
        """`time.monotonic()` of the first packet of the picture with this time; of now if that is forgotten."""
        return next((at for stamp, at in reversed(self._given) if stamp == pts), time.monotonic())

    def _marked(self) -> JitterFrame | None:
        """The oldest picture, if all of it is there up to its marked packet."""
        origin = self._origin
        if origin is None:
            return None
        parts: list[bytes] = []
        stamp: int | None = None
        for count in range(self.capacity):
            packet: Any = self._packets[(origin + count) % self.capacity]
            if packet is None or (stamp is not None and packet.timestamp != stamp):
                return None
            stamp = packet.timestamp
            parts.append(packet._data)
            if packet.marker:
                self.remove(count + 1)
                return JitterFrame(b"".join(parts), packet.timestamp)
        return None


class SoundBuffer(JitterBuffer):
    """Hands on each packet of sound as it comes, and keeps it from the decoder."""

    def __init__(self, put: Callable[[int, bytes], None]) -> None:
        super().__init__(16)
        self._put = put

    def add(self, packet: Any) -> tuple[bool, JitterFrame | None]:
        if packet._data:
            self._put(packet.timestamp, packet._data)
        return False, None


class Intake:
    """Makes frames of decoded pictures, which may change their size from one to the next."""

    def __init__(self) -> None:
        self._reader: PictureReader | None = None
        self._shape: tuple[int, int] = (0, 0)
        self._count = 0

    def frame(self, picture: av.VideoFrame, captured: float) -> Frame | None:
        """None for a picture that is too large, or has no time.

        What the peer does not say of its colors is taken to be what cameras send: BT.601, limited range.
        """
        shape = (picture.width, picture.height)
        if shape[0] * shape[1] > MOST_PIXELS:
            return None
        if self._reader is None or shape != self._shape:
            self._reader, self._shape = PictureReader(picture), shape
        planes = self._reader.planes(picture)
        time_base, pts = picture.time_base, picture.pts
        if time_base is None or pts is None:
            return None
        frame = Frame(planes, self._reader.size, pts, time_base, self._count, _color(picture), captured=captured)
        self._count += 1
        return frame


def _color(picture: av.VideoFrame) -> Color:
    said = color_of(picture)
    known = (BT601 if tag == UNSPECIFIED else tag for tag in (said.matrix, said.primaries, said.transfer))
    return replace(Color(*known), range=said.range or LIMITED)


async def pump(track: MediaStreamTrack, put: Callable[[Frame], None], buffer: PromptBuffer | None = None) -> None:
    """Take every picture off the track as soon as it is decoded, until it ends.

    aiortc keeps pictures without end for who does not take them; ``put`` keeps only the newest and never waits.
    """
    intake = Intake()
    while True:
        try:
            picture = await track.recv()
        except MediaStreamError:
            return
        if isinstance(picture, av.VideoFrame):
            captured = time.monotonic() if buffer is None or picture.pts is None else buffer.arrival(picture.pts)
            frame = intake.frame(picture, captured)
            if frame is not None:
                put(frame)
