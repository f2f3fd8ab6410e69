"""Where to begin reading so that every frame from there on can be decoded."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import chain
from typing import Any

from av.error import FFmpegError

from allaprima.realtime.sources.timeline import fraction

MARGINS_SECONDS = (1, 10)
"""How far before the wanted time to land; seeking goes by decoding time and is not exact everywhere."""
REWIND_SECONDS = 3600
"""Far enough before the first timestamp that every demuxer goes to the first byte."""

KEY_WAIT_PACKETS = 300
"""A live stream without a key frame for so long refreshes itself in some other way."""

Packets = Iterator[Any]


def seek_before(container: Any, video: Any, first: Fraction | int, demux: Callable[[], Packets]) -> Packets:
    """Packets that begin with a video keyframe shown at ``first`` or before, if need be from the beginning.

    ``demux`` reads from where the container stands; nothing may have been read yet.
    """
    tick, begin = fraction(video.time_base), video.start_time
    if tick is None or begin is None:
        return demux()
    targets = [int(first - margin / tick) for margin in MARGINS_SECONDS]
    targets = [target for target in targets if target > begin]
    if not targets:
        return demux()
    for target in [*targets, begin - int(REWIND_SECONDS / tick)]:
        found = _land(container, video, target, first, demux)
        if found is not None:
            return found
    return demux()


def _land(
    container: Any, video: Any, target: int, first: Fraction | int, demux: Callable[[], Packets]
) -> Packets | None:
    try:
        container.seek(target, stream=video)
    except (FFmpegError, OSError):
        return None
    return _from_keyframe(demux(), video, first)


def _from_keyframe(packets: Packets, video: Any, first: Fraction | int) -> Packets | None:
    beside: list[Any] = []
    for packet in packets:
        if packet.stream.index != video.index:
            beside.append(packet)
        elif packet.is_keyframe:
            early = packet.pts is not None and packet.pts <= first
            return chain(beside, [packet], packets) if early else None
    return None


def from_first_key(packets: Packets, video: Any) -> Packets:
    """A live stream joined in the middle, without the pictures that lean on what was missed."""
    waiting = KEY_WAIT_PACKETS
    for packet in packets:
        if waiting and packet.stream.index == video.index and packet.size:
            waiting = 0 if packet.is_keyframe else waiting - 1
            if waiting:
                continue
        yield packet
