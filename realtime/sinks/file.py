"""``out.mp4``: a video file, with the sound and the times of the source."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import av

from allaprima.realtime.backends.hardware import Hardware
from allaprima.realtime.errors import OutputExists, SinkError
from allaprima.realtime.frame import Frame, StreamInfo
from allaprima.realtime.sinks import codecs
from allaprima.realtime.sinks.base import OWN_CHOICE, EncoderOptions
from allaprima.realtime.sinks.mux import Muxer

DEFAULT = {"webm": "libvpx-vp9"}


class FileSink:
    """Writes beside the target under a temporary name and takes its place at the end."""

    def __init__(
        self, path: Path, info: StreamInfo, encoder: EncoderOptions = OWN_CHOICE, overwrite: bool = False,
        hardware: Hardware | None = None,
    ) -> None:  # fmt: skip
        self._path = Path(os.path.realpath(path))  # a link stays a link to the new file
        self._part = self._path.with_name(f".{self._path.name}.part")
        self._overwrite = overwrite
        extension = extension_of(path)
        plans = codecs.plans(encoder, DEFAULT.get(extension, "libx264"), hardware is not None)
        codecs.check_fits(plans[-1].encoder, extension)
        check_place(self._path, info.name, overwrite)
        self._muxer = Muxer(
            str(self._part), codecs.CONTAINERS[extension], info, *plans, options=container_options(extension, info),
            hardware=hardware,
        )  # fmt: skip
        self.notes = self._muxer.notes

    @property
    def on_device(self) -> bool:
        return self._muxer.on_device

    def __enter__(self) -> Self:
        with self._reported("open"):
            self._muxer.start()
        return self

    def write(self, frame: Frame) -> None:
        with self._reported("write"):
            self._muxer.write(frame)

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if exc_type is not None:
            self._discard()
            return
        if not self._muxer.frames:
            self._discard()
            raise SinkError(f"no frame came, so there is no {self._path.name}", "Is the source empty?")
        with self._reported("finish"):
            self._muxer.finish()
            if self._path.exists() and not self._overwrite:
                self._discard()
                raise existing(self._path)
            os.replace(self._part, self._path)

    @contextlib.contextmanager
    def _reported(self, verb: str) -> Iterator[None]:
        """Turn what FFmpeg and the system say into one SinkError, and leave nothing behind."""
        try:
            yield
        except (av.FFmpegError, OSError) as error:
            self._discard()
            reason = error.strerror or str(error)
            raise SinkError(f"cannot {verb} {self._path}: {reason}", hint_for(error)) from error

    def _discard(self) -> None:
        """Remove the half-written file, then close it: closing first would rewrite all of it."""
        with contextlib.suppress(OSError):
            self._part.unlink(missing_ok=True)
        with contextlib.suppress(av.FFmpegError, OSError):
            self._muxer.close()
        with contextlib.suppress(OSError):
            self._part.unlink(missing_ok=True)


def extension_of(path: Path) -> str:
    extension = path.suffix.lower().removeprefix(".")
    if extension not in codecs.CONTAINERS:
        what = f"the extension .{extension}" if extension else "a name without an extension"
        raise SinkError(
            f"{path}: {what} says no container", f"Known are {', '.join('.' + e for e in codecs.CONTAINERS)}."
        )
    return extension


def check_place(path: Path, source: str, overwrite: bool) -> None:
    """Everything that can be known before the work starts."""
    folder = path.parent
    if not folder.is_dir():
        raise SinkError(f"there is no folder {folder}", f"Make it first: mkdir -p {folder}")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise SinkError(f"no permission to write into {folder}", "Choose a folder of your own.")
    if not path.exists():
        return
    if not path.is_file():
        raise SinkError(f"{path} is not a regular file", "Choose another name.")
    if _same(source, path):
        raise SinkError(f"{path} is also the input", "Choose another name for the output.")
    if not overwrite:
        raise existing(path)


def existing(path: Path) -> OutputExists:
    return OutputExists(f"{path} exists", "Give --overwrite to replace it, or choose another name.")


def _same(source: str, path: Path) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return os.path.samefile(source.removeprefix("file:"), path)
    return False


def container_options(extension: str, info: StreamInfo) -> dict[str, str]:
    if codecs.CONTAINERS[extension] not in ("mp4", "mov"):
        # Sound may start a little before zero (the encoder's run-in); moving all times up is worse.
        return {"avoid_negative_ts": "disabled"}
    # The start time is kept in ticks of the movie, which are milliseconds unless told otherwise.
    scale = info.time_base.denominator
    while scale < 10_000:
        scale *= 2
    return {"movflags": "+faststart", "movie_timescale": str(scale)}


def hint_for(error: OSError | av.FFmpegError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "The disk is full: free some space, or write to another one."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return "Choose a folder of your own."
    return ""
