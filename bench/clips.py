"""Real files to measure on: scenes rendered once with the project's own sink, and joined to any length."""

import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

from allaprima.realtime import open_sink, open_source
from allaprima.realtime.errors import SourceError
from allaprima.realtime.frame import Frame

Size = tuple[int, int]


def text(size: Size) -> str:
    return f"{size[0]}x{size[1]}"


def render(folder: Path, size: Size, frames: int, scene: str = "landscape") -> Path:
    """An H.264 file of a moving scene."""
    path = folder / f"{scene}-{text(size)}-{frames}.mp4"
    if not path.exists():
        source = open_source(f"test:{scene}?size={text(size)}&frames={frames}")
        with source, open_sink(str(path), source.info) as sink:
            for frame in source:
                sink.write(frame)
    return path


def repeat(clip: Path, frames: int, folder: Path) -> Path:
    """The clip again and again until it has ``frames`` frames: its packets are copied, not encoded anew."""
    target = folder / f"{clip.stem}-to-{frames}{clip.suffix}"
    with av.open(str(target), "w") as long, av.open(str(clip)) as short:
        given: Any = short.streams.video[0]
        taken: Any = long.add_stream_from_template(given)
        written, shift = 0, 0
        while written < frames:
            end = 0
            short.seek(0)
            for packet in short.demux(given):
                if packet.pts is None or packet.dts is None or written == frames:
                    continue
                end = max(end, packet.pts + (packet.duration or 0))
                packet.pts += shift
                packet.dts += shift
                packet.stream = taken
                long.mux(packet)
                written += 1
            if not end:
                raise SourceError(f"{clip} holds no packets that could be repeated")
            shift += end
    return target


def frames_of(clip: Path | str, limit: int | None = None) -> list[Frame]:
    """Decoded frames, in memory."""
    with open_source(str(clip), frames=limit) as source:
        return list(source)


def luma(clip: Path) -> Iterator[Any]:
    """Luma planes ``(h, w)`` uint8 of a file, decoded by FFmpeg alone: an independent look at an output."""
    with av.open(str(clip)) as container:
        for picture in container.decode(video=0):
            yield picture.reformat(format="gray").to_ndarray()


def workplace() -> tempfile.TemporaryDirectory[str]:
    """A folder for clips and outputs that goes when the measuring is done."""
    return tempfile.TemporaryDirectory(prefix="allaprima-bench-")


def rate(clip: Path) -> Fraction:
    with open_source(str(clip), frames=1) as source:
        return Fraction(source.info.rate or 30)
