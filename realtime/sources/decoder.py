"""The pictures of a video stream: by a hardware decoder while that goes well, else by FFmpeg's own."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

import av
from av.error import FFmpegError, InvalidDataError

from allaprima.realtime.backends.hardware import Hardware, Refused
from allaprima.realtime.sources.picture import obstacle
from allaprima.realtime.sources.tally import reason

DELAY = 64
"""Packets after which a picture has come out for sure: 16 may wait for others, 16 in threads, in two fields each."""
MOST_PACKETS, MOST_BYTES = 1200, 64_000_000
"""Remembered at most, for another decoder to take over in the middle."""

Pictures = list[av.VideoFrame]


@dataclass(slots=True)
class _Group:
    """Packets from one keyframe to the next."""

    packets: list[Any] = field(default_factory=list)
    bytes: int = 0
    errors: int = 0
    """That were told."""
    shown: Counter[int | None] = field(default_factory=Counter)
    """Times of the pictures that came out meanwhile."""


class Decoder:
    """Decodes the packets of ``video``, an input stream; not for use from two threads.

    With ``hardware`` the first picture is decoded twice: the software's shows what no header says reliably (turned
    pictures, odd sides, 4:4:4), and is given up for the hardware's where that will do.  A hardware decoder that fails,
    or gives anything else than the pictures it began with, is left for good: the packets since a keyframe that was
    shown are decoded once more in software, and what was shown already is left out.  ``size`` is what pictures would be
    scaled to; ``failed`` is told every error that cost a picture; ``notes`` get a sentence where the software decodes
    in the place of the hardware.
    """

    def __init__(
        self,
        video: Any,
        failed: Callable[[Exception], None],
        notes: list[str],
        size: tuple[int, int] | None = None,
        hardware: Hardware | None = None,
    ) -> None:
        self._video = video
        self._plain = video.codec_context
        self._failed = failed
        self._notes = notes
        self._size = size
        self._hardware = hardware
        self._fast: Any = None
        self._stored: tuple[int, int] | None = None
        self._groups = [] if hardware is None else [_Group()]
        self._shown: Counter[int | None] = Counter()
        self._again = 0
        """Pictures from here on that may have been shown before the software took over."""
        self._told = 0
        """Errors from here on that were told when the same packets were decoded before."""

    def decode(self, packet: Any) -> Pictures:
        """The pictures that this packet completes, in order of presentation; an empty one gives all that are left."""
        if self._hardware is None:
            return self._fresh(self._in_software(packet))
        self._remember(packet)
        return self._probe(packet, self._hardware) if self._fast is None else self._in_hardware(packet)

    # ---- the two ways ----

    def _in_software(self, packet: Any) -> Pictures:
        try:
            return list(self._plain.decode(packet))
        except EOFError:
            return []
        except (FFmpegError, OSError, ValueError) as error:
            self._blame(error)
            return []

    def _in_hardware(self, packet: Any) -> Pictures:
        try:
            pictures: Pictures = self._fast.decode(packet)
        except EOFError:
            return []
        except (FFmpegError, OSError, ValueError) as error:
            has_worked = any(group.shown for group in self._groups)
            if isinstance(error, InvalidDataError) and (has_worked or self._told):
                self._blame(error)  # the data are damaged
                return []
            return self._leave(reason(error))
        good = list(takewhile(self._expected, pictures))
        self._groups[-1].shown.update(picture.pts for picture in good)
        if len(good) < len(pictures):
            good += self._leave("the hardware does not take all of it")
        return good

    def _expected(self, picture: av.VideoFrame) -> bool:
        return Hardware.holds(picture) and (picture.width, picture.height) == self._stored

    # ---- from one to the other ----

    def _probe(self, packet: Any, hardware: Hardware) -> Pictures:
        pictures = self._in_software(packet)
        if not pictures:
            return []
        self._stored = (pictures[0].width, pictures[0].height)
        why = obstacle(pictures[0], self._size)
        if not why:
            try:
                self._fast = hardware.decoder(self._video)
            except Refused as error:
                why = str(error)
        if why:
            self._stay(why)
            self._groups = []
            return pictures
        self._told = sum(group.errors for group in self._groups)
        found = list(self._replayed())
        if self._fast is not None:
            self._told = 0
        return found

    def _replayed(self) -> Iterator[av.VideoFrame]:
        """What the hardware makes of the packets that only the software has seen."""
        for packet in self._kept():
            if self._fast is None:
                return  # it failed, and all of them were given to the software again
            yield from self._in_hardware(packet)

    def _leave(self, why: str) -> Pictures:
        packets = self._kept()
        self._shown = sum((group.shown for group in self._groups), Counter[int | None]())
        self._told = sum(group.errors for group in self._groups)
        self._again = len(packets)
        self._stay(why)
        self._plain.flush_buffers()
        self._groups = []
        return self._fresh(picture for packet in packets for picture in self._in_software(packet))

    def _stay(self, why: str) -> None:
        self._hardware = self._fast = None
        self._notes.append(f"the video is decoded in software: {why}")

    def _fresh(self, pictures: Iterable[av.VideoFrame]) -> Pictures:
        """Those that were not shown yet."""
        fresh: Pictures = []
        for picture in pictures:
            self._again -= 1
            if self._again >= 0 and self._shown[picture.pts]:
                self._shown[picture.pts] -= 1
            else:
                fresh.append(picture)
        return fresh

    # ---- what a change needs ----

    def _remember(self, packet: Any) -> None:
        """Keep what follows a keyframe that was shown: all pictures before it were shown, too."""
        groups = self._groups
        if packet.is_keyframe:
            groups.append(_Group())
        groups[-1].packets.append(packet)
        groups[-1].bytes += packet.size
        while len(groups) > 1 and sum(len(group.packets) for group in groups[1:]) > DELAY:
            del groups[0]
        packets, size = sum(len(group.packets) for group in groups), sum(group.bytes for group in groups)
        if packets > MOST_PACKETS or size > MOST_BYTES:
            self._groups = [_Group([packet], packet.size, shown=groups[-1].shown)]

    def _kept(self) -> list[Any]:
        return [packet for group in self._groups for packet in group.packets]

    def _blame(self, error: Exception) -> None:
        """Tell an error, unless it was told the first time."""
        if self._told and (self._again > 0 or self._fast is not None):
            self._told -= 1
            return
        self._failed(error)
        if self._groups:
            self._groups[-1].errors += 1
