"""Where the frames come from.

`open_source` takes ``clip.mp4``, ``frame%04d.png``, ``rtsp://`` ``rtmp://`` ``udp://`` ``rtp://`` ``tcp://``
``http(s)://`` (what FFmpeg reads), ``srt://HOST:PORT`` (through an installed ffmpeg), ``camera:0``,
``camera:/dev/video2`` and ``test:landscape?size=640x360&rate=30`` (a made-up scene whose motion is known).
"""

import difflib
import os
import re
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Protocol

from allaprima.realtime.backends.hardware import Hardware
from allaprima.realtime.errors import SourceError
from allaprima.realtime.frame import Frame, StreamInfo
from allaprima.realtime.sources import camera, media, srt, test
from allaprima.realtime.sources.request import Request, label

__all__ = ["SCHEMES", "Source", "open_source"]


class Source(Protocol):
    """Gives frames, once.  Iterate and close it in one thread; `stop` may come from any."""

    @property
    def info(self) -> StreamInfo:
        """What is known before the first frame."""

    @property
    def lost(self) -> int:
        """Frames that could not be decoded so far."""

    @property
    def notes(self) -> list[str]:
        """Sentences the user should read; more may come until the last frame."""

    def __enter__(self) -> "Source": ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def __iter__(self) -> Iterator[Frame]:
        """Raises `SourceLost` when a live stream goes away."""

    def stop(self) -> None:
        """Ask the iteration to end soon."""


Opener = Callable[[str, Request], Source]

OPENERS: dict[str, Opener] = {
    "file": lambda uri, request: media.open_file(media.file_path(uri), request),
    "camera": camera.open_camera,
    "test": test.open_test,
    "srt": srt.open_srt,
}
OPENERS |= {scheme: media.open_url for scheme in media.URL_SCHEMES if scheme not in OPENERS}

SCHEMES = tuple(sorted(OPENERS))

SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):")  # one letter before the colon is a drive of Windows


def open_source(
    uri: str,
    *,
    size: tuple[int, int] | None = None,
    start: float | None = None,
    end: float | None = None,
    frames: int | None = None,
    hardware: Hardware | None = None,
    again: bool = False,
    follow: float | None = None,
) -> Source:
    """Open an input and read its first frame.

    ``size``: width and height of the frames (files are scaled, cameras asked).  ``start`` and ``end``:
    seconds from the stream's beginning; what is kept then starts at 0.  ``frames``: no more than so many.
    With ``hardware`` frames may come on its device, where their stream lets them.
    ``again``: it was open before, so who listens does not wait for a caller without end.  ``follow``: the file
    is still being written, and ends when it has not grown for so many seconds.
    Raises `ConfigError` for impossible wishes, else `SourceError`.
    """
    request = Request(size, start, end, frames, hardware, again, follow)
    scheme = SCHEME.match(uri)
    if scheme is None or os.path.exists(uri):
        return media.open_file(uri, request)
    opener = OPENERS.get(scheme[1].lower())
    if opener is None:
        raise _unknown(uri, scheme[1])
    return opener(uri, request)


def _unknown(uri: str, scheme: str) -> SourceError:
    near = difflib.get_close_matches(scheme.lower(), SCHEMES)
    hint = f"Did you mean {': or '.join(near)}:?" if near else f"Known: {', '.join(SCHEMES)}."
    return SourceError(f"cannot open {label(uri)}: unknown kind of input {scheme}:", hint)
