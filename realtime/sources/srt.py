"""``srt://``: received by an installed ``ffmpeg`` and read from its output.

PyAV's wheels are built without libsrt.  The child only repacks, so pictures and sound stay as sent.
"""

import contextlib
import os
import shutil
import subprocess
from collections import deque
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

from allaprima.realtime.errors import SourceError
from allaprima.realtime.sources import media
from allaprima.realtime.sources.reader import MediaSource
from allaprima.realtime.sources.request import Request, label

ASK_SECONDS = 10
END_SECONDS = 2
TIMEOUT_MICROSECONDS = 5_000_000

HINT = "Check the address and the sender; to be called instead of calling, add ?mode=listener."
INSTALL = "Install ffmpeg with libsrt (apt or brew install ffmpeg), or send RTMP, RTSP or UDP instead."


def open_srt(uri: str, request: Request) -> MediaSource:
    with contextlib.ExitStack() as undo:
        child = Child(command(find_ffmpeg(uri), uri))
        undo.callback(child.close)
        try:
            source = media.open_stream(child, label(uri), request, on_stop=child.terminate, on_close=child.close)
        except SourceError as error:
            child.close()  # what it said is whole then
            raise SourceError(f"cannot open {label(uri)}: {child.said() or error}", HINT) from error
        undo.pop_all()
    return source


def find_ffmpeg(uri: str) -> str:
    """The path of an ffmpeg that speaks SRT."""
    program = shutil.which("ffmpeg")
    if program is None:
        raise SourceError(f"cannot open {label(uri)}: SRT needs the program ffmpeg, which is not installed", INSTALL)
    try:
        answer = subprocess.run(
            [program, "-hide_banner", "-protocols"],
            capture_output=True,
            text=True,
            timeout=ASK_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SourceError(f"cannot open {label(uri)}: {program} does not run ({error})", INSTALL) from error
    if "srt" not in answer.stdout.split():
        raise SourceError(f"cannot open {label(uri)}: {program} was built without SRT", INSTALL)
    return program


def command(program: str, uri: str) -> list[str]:
    query = parse_qs(urlsplit(uri).query)
    patience = [] if {"timeout", "mode"} & query.keys() else ["-timeout", str(TIMEOUT_MICROSECONDS)]
    quiet = [program, "-hide_banner", "-nostdin", "-loglevel", "error"]
    repack = ["-map", "0:v", "-map", "0:a?", "-map", "0:s?", "-c", "copy", "-copyts", "-ignore_unknown"]
    return [*quiet, *patience, "-i", uri, *repack, "-flush_packets", "1", "-f", "mpegts", "pipe:1"]


class Child:
    """A program whose output is read like a file.  It never outlives `close`."""

    def __init__(self, words: list[str]) -> None:
        self._process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )
        self._complaints: deque[str] = deque(maxlen=20)
        complaints: Any = self._process.stderr
        os.set_blocking(complaints.fileno(), False)

    def read(self, size: int) -> bytes:
        """What has come, at least a byte; empty at the end."""
        self._listen()
        out: Any = self._process.stdout
        data: bytes = out.read(size)
        return data

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def said(self) -> str:
        """The last thing the program complained of."""
        return self._complaints[-1] if self._complaints else ""

    def terminate(self) -> None:
        if self._process.poll() is None:
            self._process.terminate()

    def close(self) -> None:
        """End the program: politely, then by force."""
        self.terminate()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listen()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def __enter__(self) -> "Child":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _listen(self) -> None:
        """Empty the complaint pipe, so that the program never waits for us to read it."""
        pipe = self._process.stderr
        if pipe is None or pipe.closed:
            return
        data = pipe.read(65536)
        lines = (data or b"").decode(errors="replace").splitlines()
        self._complaints.extend(line.strip() for line in lines if line.strip())
