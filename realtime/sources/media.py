"""Files and network streams that FFmpeg reads: ``clip.mp4``, ``https://``, ``rtsp://``, ``udp://``."""

import contextlib
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import av
from av.error import FFmpegError, InvalidDataError
from av.stream import Disposition

from allaprima.realtime.errors import SourceError
from allaprima.realtime.sources import webp
from allaprima.realtime.sources.growing import Growing
from allaprima.realtime.sources.reader import Input, MediaSource
from allaprima.realtime.sources.request import Request, label
from allaprima.realtime.sources.tally import reason

NETWORK_TIMEOUT_SECONDS = 5
MICROSECONDS = 1_000_000

LIVE_SCHEMES = {"rtsp", "rtsps", "rtmp", "rtmps", "rtmpt", "udp", "rtp", "srtp", "srt"}
URL_SCHEMES = LIVE_SCHEMES | {"http", "https", "tcp", "tls"}

TOLERANT: dict[str, Any] = {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}
"""Tags in an old encoding must not keep a film from opening; PyAV 19 sees to that itself."""

NOT_VIDEO_FORMATS = {"tty", "bin", "idf", "xbin", "adf"}
"""Readers of FFmpeg that would show a text as a film of its letters."""

PICTURES_BESIDE = Disposition.attached_pic | Disposition.timed_thumbnails


def open_file(path: str, request: Request) -> MediaSource:
    """A file, or a numbered series of pictures (``frame%04d.png``)."""
    _check_file(path)
    if request.follow is not None:
        return _open_growing(path, request, request.follow)
    if webp.is_foreign(path):
        container = _open_first(path, {"": partial(webp.open_animation, path)})
    else:
        container = _open_first(path, {"": partial(_open, f"file:{path}")})
    return _source(container, path, request, live=False)


def open_url(uri: str, request: Request) -> MediaSource:
    scheme = uri.partition(":")[0].lower()
    # Who listens may wait as long as it takes for the first caller.
    listens = "listen" in urlsplit(uri).query and not request.again
    patience = None if listens else NETWORK_TIMEOUT_SECONDS
    timeout = (patience, NETWORK_TIMEOUT_SECONDS)
    ways = {how: partial(_open, uri, options=options, timeout=timeout) for how, options in _ways(scheme).items()}
    container = _open_first(label(uri), ways)
    live = scheme in LIVE_SCHEMES or not (container.duration or _is_picture(container))
    return _source(container, label(uri), request, live)


def file_path(uri: str) -> str:
    """The path in a ``file:`` URI."""
    path = uri.removeprefix("file:")
    if path.startswith("//"):
        path = path.removeprefix("//").removeprefix("localhost")
    return path if os.path.exists(path) else unquote(path)


def open_stream(file: Any, name: str, request: Request, **ends: Any) -> MediaSource:
    """A live stream read from an object with ``read``; ``ends`` are the hooks of `Input`."""
    container = _open_first(name, {"": partial(_open, file)})
    return _source(container, name, request, live=True, **ends)


def _open_growing(path: str, request: Request, patience: float) -> MediaSource:
    """A file that is read on as it is written."""
    with contextlib.ExitStack() as undo:
        file = undo.enter_context(Growing(path, patience))
        try:
            container = _open_first(path, {"": partial(_open, file)})
            source = _source(container, path, request, live=False, on_stop=file.stop, on_close=file.close)
        except SourceError as error:
            hint = "What grows must be readable from its beginning on: record mkv, ts, flv or fragmented mp4."
            raise SourceError(str(error), hint) from error
        undo.pop_all()
    return source


def _check_file(path: str) -> None:
    if "%" in path and not os.path.exists(path):
        return
    if os.path.isdir(path):
        raise SourceError(f"cannot open {path}: it is a directory", "Name a video file inside it.")
    if not os.path.exists(path):
        raise SourceError(f"cannot open {path}: no such file", _near(path))
    if not os.access(path, os.R_OK):
        raise SourceError(f"cannot open {path}: no permission to read it", f"Try: chmod +r {path}")
    if os.path.isfile(path) and not os.path.getsize(path):
        raise SourceError(f"cannot open {path}: the file is empty", "Was it copied or recorded to the end?")


def _near(path: str) -> str:
    """A hint for a missing file."""
    folder = Path(path).parent
    return "Check the name." if folder.is_dir() else f"There is no folder {folder} either."


def _ways(scheme: str) -> dict[str, dict[str, str]]:
    """Named sets of FFmpeg options to try in turn.

    There is no ``nobuffer``: it throws away what was read to learn the format, and with it the only key
    frame for seconds; what is buffered instead is decoded at once and dropped by the mailbox.
    """
    limit = str(NETWORK_TIMEOUT_SECONDS * MICROSECONDS)
    if scheme in ("rtsp", "rtsps"):
        return {way: {"rtsp_transport": way, "timeout": limit} for way in ("tcp", "udp")}
    if scheme == "udp":
        return {"": {"timeout": limit, "overrun_nonfatal": "1"}}
    if scheme in ("http", "https"):
        return {"": {"rw_timeout": limit, "reconnect": "1"}}
    return {"": {"rw_timeout": limit}}


def _open(file: Any, **wishes: Any) -> Any:
    return av.open(file, **TOLERANT, **wishes)


def _open_first(name: str, ways: Mapping[str, Callable[[], Any]]) -> Any:
    """The container of the first way that works, or one error that names them all."""
    failed, hint = list[str](), ""
    for how, attempt in ways.items():
        try:
            return attempt()
        except (FFmpegError, OSError, ValueError) as error:
            failed.append(f"{how}: {_why(error)}" if how else _why(error))
            hint = _hint(error)
    raise SourceError(f"cannot open {name}: {'; '.join(failed)}", hint)


def _why(error: Exception) -> str:
    if isinstance(error, InvalidDataError):
        return "not a media file FFmpeg knows"
    if isinstance(error, TimeoutError) or type(error).__name__ == "ExitError":
        return f"no answer within {NETWORK_TIMEOUT_SECONDS} s"
    return reason(error)


def _hint(error: Exception) -> str:
    if isinstance(error, InvalidDataError):
        return "If it is a video, it may have been cut off before its index was written."
    if type(error).__name__.startswith("Protocol"):
        return "This build of FFmpeg lacks that protocol."
    return "Check the address, and that the sender is running."


def _is_picture(container: Any) -> bool:
    name = container.format.name
    return name.endswith("_pipe") or name in ("gif", "image2", "apng")


def _source(container: Any, name: str, request: Request, live: bool, **ends: Any) -> MediaSource:
    with contextlib.ExitStack() as undo:
        undo.callback(container.close)
        video = _choose_video(container, name)
        side, notes = _choose_side(container, video)
        video.codec_context.thread_type = "SLICE" if live else "AUTO"  # frame threads hold pictures back
        source = MediaSource(Input(name, container, video, side, live, notes=notes, **ends), request)
        undo.pop_all()
    return source


def _choose_video(container: Any, name: str) -> Any:
    if container.format.name in NOT_VIDEO_FORMATS:
        raise SourceError(f"cannot open {name}: not a media file FFmpeg knows", "It looks like a text.")
    films = [s for s in container.streams.video if not s.disposition & PICTURES_BESIDE]
    if not films:
        found = ", ".join(_describe(s) for s in container.streams) or "no streams"
        raise SourceError(f"{name} has no video stream (it has: {found})", "Choose one with video.")
    known = [s for s in films if s.codec_context is not None]
    if not known:
        raise SourceError(f"{name}: unsupported video codec {_describe(films[0])}", "Convert it to H.264 first.")
    return max(known, key=lambda s: (bool(s.disposition & Disposition.default), s.width * s.height, -s.index))


def _choose_side(container: Any, video: Any) -> tuple[tuple[Any, ...], list[str]]:
    """The streams to copy, and a note for each that is not."""
    side, notes = [], []
    for stream in container.streams:
        if stream.type in ("audio", "subtitle") and stream.codec_context is not None:
            side.append(stream)
        elif stream.index != video.index:
            notes.append(f"stream {stream.index} ({_describe(stream)}) is skipped")
    return tuple(side), notes


def _describe(stream: Any) -> str:
    kind = "cover picture" if stream.type == "video" and stream.disposition & PICTURES_BESIDE else stream.type
    codec = stream.codec_context.name if stream.codec_context is not None else "of unknown kind"
    return f"{kind} {codec}"
