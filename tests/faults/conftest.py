"""Clips with sound to do harm to, and eyes and ears for what came out."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from ..realtime.sources.clips import write_clip

RATE = 25


def busy(index: int) -> av.VideoFrame:
    """A picture that moves, and is not the one before."""
    y, x = np.mgrid[0:48, 0:64]
    luma = 128 + 60 * np.sin((x + 2 * index) / 5) * np.cos((y - index) / 4)
    picture = np.full((72, 64), 128, np.uint8)
    picture[:48] = luma.astype(np.uint8)
    return av.VideoFrame.from_ndarray(picture, "yuv420p")


@dataclass(frozen=True)
class Film:
    """What a file holds: times of its pictures in seconds, sound, decoded."""

    times: list[Fraction]
    samples: int
    sound: list[bytes]
    """Encoded, packet by packet."""
    sound_times: list[Fraction]


def watch(path: Path | str) -> Film:
    """All of it, decoded; raises what FFmpeg raises."""
    with av.open(str(path)) as container:
        times = [frame.pts * Fraction(frame.time_base) for frame in container.decode(video=0)]
    sound, sound_times, samples = [], [], 0
    with av.open(str(path)) as container:
        if container.streams.audio:
            for packet in container.demux(audio=0):
                if packet.size:
                    sound.append(bytes(packet))
                    sound_times.append(packet.pts * Fraction(packet.time_base))
                samples += sum(frame.samples for frame in packet.decode())
    return Film(times, samples, sound, sound_times)


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes a clip with sound; the same wishes give the same file, not to be changed."""
    folder = tmp_path_factory.mktemp("clips")
    made: dict[str, Path] = {}

    def make(name: str = "clip.mkv", frames: int = 50, **more: Any) -> Path:
        key = f"{len(made)}-{name}"
        wishes = {"audio": True, "make": busy, "options": {"g": "10", "bf": "2", "preset": "ultrafast"}} | more
        known = repr((name, frames, sorted(more.items())))
        if known not in made:
            made[known] = write_clip(folder / key, frames=frames, rate=RATE, **wishes)
        return made[known]

    return make
