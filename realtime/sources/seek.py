"""Seeking so that every frame from a given time on can be decoded."""

from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import chain
from typing import Any

from av.error import FFmpegError

from allaprima.realtime.sources.timeline import fraction

MARGINS_SECONDS = (1, 10)
"""How far before the wanted time to land; seeking goes by decoding time and is not exact everywhere."""


def seek_before(
    packets: Iterator[Any], container: Any, video: Any, first: Fraction | int, demux: Callable[[], Iterator[Any]]
) -> Iterator[Any]:
    """Packets that begin with a video keyframe shown at ``first`` or before, or the unmoved ``packets``."""
    tick = fraction(video.time_base)
    begin = video.start_time
    if tick is None or begin is None:
        return packets
    for margin in MARGINS_SECONDS:
        target = int(first - margin / tick)
        if target <= begin:
            break
        try:
            container.seek(target, stream=video)
        except (FFmpegError, OSError):
            break
        found = _from_keyframe(demux(), video, first)
        if found is not None:
            return found
    return _rewound(packets, container, video, demux)


def _from_keyframe(packets: Iterator[Any], video: Any, first: Fraction | int) -> Iterator[Any] | None:
    skipped = []
    for packet in packets:
        if packet.stream_index == video.index and packet.is_keyframe:
            if packet.pts is None or packet.pts > first:
                return None
            return chain(skipped, [packet], packets)
        if packet.stream_index != video.index:
            skipped.append(packet)
        elif not packet.size:
            return None
    return None


def _rewound(packets: Iterator[Any], container: Any, video: Any, demux: Callable[[], Iterator[Any]]) -> Iterator[Any]:
    """From the very beginning, whatever was tried before."""
    try:
        container.seek(video.start_time, stream=video)
    except (FFmpegError, OSError):
        return packets
    return demux()
