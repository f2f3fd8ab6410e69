"""Media made here: frames with a moving edge, and one recording with sound whose beeps are at known times."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from allaprima.realtime.frame import Color, Frame, StreamInfo
from allaprima.realtime.sinks import EncoderOptions, open_sink

BEEPS_SECONDS = (0.4, 0.8)
TICK = Fraction(1, 25)


def picture(index: int, size: tuple[int, int]) -> tuple[np.ndarray, ...]:
    width, height = size
    chroma = ((height + 1) // 2, (width + 1) // 2)
    luma = np.full((height, width), 40 + 5 * (index % 30), np.uint8)
    luma[:, : 1 + index % width] = 200
    rng = np.random.default_rng(index)
    return luma, rng.integers(90, 160, chroma, np.uint8), np.full(chroma, 150, np.uint8)


class Studio:
    """Writes through a sink and reads back."""

    beeps = BEEPS_SECONDS

    def info(self, size: tuple[int, int] = (64, 48), time_base: Fraction = TICK, **more: Any) -> StreamInfo:
        given: Any = {"name": "synthetic", "rate": Fraction(25)} | more
        return StreamInfo(size=size, time_base=time_base, **given)

    def frame(self, index: int, pts: int, info: StreamInfo, **more: Any) -> Frame:
        return Frame(picture(index, info.size), info.size, pts, info.time_base, index, info.color, **more)

    def write(
        self, path: Path, stamps: Sequence[int], info: StreamInfo, overwrite: bool = False, **encoder: Any
    ) -> Any:
        with open_sink(str(path), info, encoder=EncoderOptions(**encoder), overwrite=overwrite) as sink:
            for index, pts in enumerate(stamps):
                sink.write(self.frame(index, pts, info, duration=1))
        return sink

    def copy(self, source: Path, target: Path, **encoder: Any) -> Any:
        """The recording through a sink, packets and all."""
        with av.open(str(source)) as container:
            video = container.streams.video[0]
            sides = tuple(s for s in container.streams if s.type in ("audio", "subtitle"))
            base = Fraction(video.time_base.numerator, video.time_base.denominator)
            info = self.info((64, 48), base, side_streams=sides, name=str(source))
            waiting: list[Any] = []
            with open_sink(str(target), info, encoder=EncoderOptions(**encoder)) as sink:
                for packet in container.demux([video, *sides]):
                    if packet.stream_index != video.index:
                        waiting += [packet] if packet.size else []
                        continue
                    for shown in packet.decode():
                        frame = self.frame(0, shown.pts, info, duration=shown.duration, side=tuple(waiting))
                        waiting.clear()
                        sink.write(frame)
        return sink

    def times(self, path: Path) -> list[Fraction]:
        with av.open(str(path)) as container:
            return [f.pts * Fraction(f.time_base.numerator, f.time_base.denominator) for f in container.decode(video=0)]

    def packets(self, path: Path, kind: str) -> list[bytes]:
        with av.open(str(path)) as container:
            return [bytes(p) for p in container.demux(**{kind: 0}) if p.size]

    def heard(self, path: Path) -> list[float]:
        """When each beep begins."""
        starts: list[float] = []
        last = -1.0
        with av.open(str(path)) as container:
            for f in container.decode(audio=0):
                samples = f.to_ndarray().astype(np.float32)
                samples = samples[0] if len(samples) > 1 else samples[0, :: f.layout.nb_channels]
                full = {"s16": 2**15, "s32": 2**31}.get(f.format.name[:3], 1)
                for k in np.flatnonzero(np.abs(samples) > 0.2 * full):
                    now = float(f.pts * f.time_base) + k / f.sample_rate
                    if now - last > 0.1:
                        starts.append(now)
                    last = now
        return starts


@pytest.fixture
def studio() -> Studio:
    return Studio()


@pytest.fixture
def hdr() -> Color:
    return Color(matrix=9, primaries=9, transfer=16, range=2)


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Makes a second of video with sound, in a codec and container of choice; made once each."""
    folder = tmp_path_factory.mktemp("recordings")

    def make(name: str = "aac.mp4", codec: str = "aac", rate: int = 48000) -> Path:
        path = folder / name
        if not path.exists():
            _record(path, codec, rate)
        return path

    return make


def _record(path: Path, codec: str, rate: int) -> None:
    sound = np.zeros((2, rate), np.float32)
    for beep in BEEPS_SECONDS:
        start = round(beep * rate)
        sound[:, start : start + 400] = 0.8 * np.sin(np.arange(400) * 0.6)
    with av.open(str(path), "w") as container:
        video: Any = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio: Any = container.add_stream(codec, rate=rate)
        audio.layout = "stereo"
        for index in range(25):
            shown = av.VideoFrame(64, 48, "yuv420p")
            for plane, value in zip(shown.planes, (50 + index, 128, 128), strict=True):
                plane.update(bytes([value]) * plane.buffer_size)
            shown.pts, shown.time_base = index, Fraction(1, 25)
            container.mux(video.encode(shown))
        for start in range(0, rate, 1024):
            piece = np.ascontiguousarray(sound[:, start : start + 1024])
            heard = av.AudioFrame.from_ndarray(piece, format="fltp", layout="stereo")
            heard.sample_rate, heard.pts, heard.time_base = rate, start, Fraction(1, rate)
            container.mux(audio.encode(heard))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
