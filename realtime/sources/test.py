"""``test:NAME``: a made-up scene as an input, for trying things out and for measuring."""

import threading
import time
from collections.abc import Callable, Generator, Iterator
from fractions import Fraction
from itertools import count
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl

import av
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from allaprima.realtime.errors import SourceError
from allaprima.realtime.frame import Color, Frame, Plane, StreamInfo
from allaprima.realtime.sources import scenes
from allaprima.realtime.sources.picture import view
from allaprima.realtime.sources.request import Request, seconds

SIZE = (1280, 720)
RATE = Fraction(30)
FRAMES = 300
BT709 = Color(1, 1, 1, 1)


class TestSource:
    """Frames of a scene; ``live`` ones come by the clock, others as fast as they are taken."""

    __test__ = False  # not a test of pytest's

    def __init__(self, name: str, scene: Any, first: int, past: int | None, live: bool) -> None:
        self.lost = 0
        self.notes: list[str] = []
        self._scene = scene
        self._range = (first, past)
        self._stopped = threading.Event()
        self._scaler = VideoReformatter()
        rate = Fraction(scene.rate)
        self.info = StreamInfo(
            name=name,
            size=tuple(scene.size),
            time_base=1 / rate,
            rate=rate,
            live=live,
            color=BT709,
            frames=None if past is None else past - first,
        )
        self._frames = self._play()

    def __enter__(self) -> "TestSource":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._frames.close()

    def __iter__(self) -> Iterator[Frame]:
        return self._frames

    def stop(self) -> None:
        self._stopped.set()

    def _play(self) -> Generator[Frame, None, None]:
        first, past = self._range
        begin = time.monotonic()
        for index in count() if past is None else range(past - first):
            if self.info.live:
                self._stopped.wait(begin + float(index * self.info.time_base) - time.monotonic())
            if self._stopped.is_set():
                return
            yield Frame(
                planes=self._planes(first + index),
                size=self.info.size,
                pts=index,
                time_base=self.info.time_base,
                index=index,
                color=BT709,
                captured=time.monotonic(),
                duration=1,
            )

    def _planes(self, index: int) -> tuple[Plane, ...]:
        picture = av.VideoFrame.from_ndarray(self._scene.frame(index), format="rgb24")
        painted = self._scaler.reformat(
            picture,
            format="yuv420p",
            dst_colorspace=Colorspace.ITU709,
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.MPEG,
            interpolation=Interpolation.BICUBIC,
        )
        return tuple(view(plane) for plane in painted.planes)


def open_test(uri: str, request: Request) -> TestSource:
    name, _, query = uri.partition(":")[2].partition("?")
    wishes = _wishes(uri, query)
    size: tuple[int, int] = request.size or wishes.get("size", SIZE)
    Request(size)  # refuses impossible sizes in the URI as well
    rate, live = wishes.get("rate", RATE), wishes.get("live", False)
    try:
        scene = scenes.open_scene(name, size, rate)
    except (KeyError, ValueError) as error:
        raise SourceError(
            f"cannot open {uri}: there is no scene {name!r}", f"Scenes: {', '.join(scenes.SCENES)}."
        ) from error
    first, past = _part(request, rate, wishes.get("frames", None if live else FRAMES))
    if past is not None and past <= first:
        raise SourceError(f"{uri}: there is nothing at {request.start} s", "Choose an earlier start.")
    return TestSource(uri, scene, first, past, live)


def _part(request: Request, rate: Fraction, length: int | None) -> tuple[int, int | None]:
    """First frame and the one past the last, of those at ``start <= time < end``."""
    first = -(-seconds(request.start or 0) * rate // 1)
    limits = [] if length is None or request.frames else [length]
    if request.end is not None:
        limits.append(-(-seconds(request.end) * rate // 1))
    if request.frames is not None:
        limits.append(first + request.frames)
    return first, min(limits, default=None)


def _size(text: str) -> tuple[int, int]:
    width, height = text.lower().split("x")
    return int(width), int(height)


def _rate(text: str) -> Fraction:
    rate = Fraction(text)
    if not 0 < rate <= 1000:
        raise ValueError(text)
    return rate


def _flag(text: str) -> bool:
    return {"1": True, "0": False, "yes": True, "no": False, "true": True, "false": False}[text.lower()]


def _frames(text: str) -> int:
    if int(text) < 1:
        raise ValueError(text)
    return int(text)


READERS: dict[str, Callable[[str], Any]] = {"size": _size, "rate": _rate, "frames": _frames, "live": _flag}


def _wishes(uri: str, query: str) -> dict[str, Any]:
    """What stands behind the question mark."""
    wishes = {}
    for key, text in parse_qsl(query, keep_blank_values=True):
        try:
            wishes[key] = READERS[key](text)
        except (KeyError, ValueError, ZeroDivisionError) as error:
            raise SourceError(
                f"cannot open {uri}: cannot read {key}={text}",
                "For example: test:landscape?size=1280x720&rate=30&frames=300&live=1",
            ) from error
    return wishes
