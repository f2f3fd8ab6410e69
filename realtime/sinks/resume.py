"""``--resume``: a film in parts that survive the program, joined without being encoded again.

Each run writes one part into a folder beside the target, as NUT: it holds any codec and any times exactly, and plays
as far as it was written when the program is killed.  The next run finds how many frames are safe, adds a part with
the rest, and writes the target from all parts.  Sound comes from the last one, which has all of it.
"""

import contextlib
import heapq
import json
import os
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from math import ceil
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av

from allaprima.realtime.errors import SinkError
from allaprima.realtime.frame import Frame, StreamInfo
from allaprima.realtime.sinks import codecs
from allaprima.realtime.sinks.base import OWN_CHOICE, EncoderOptions
from allaprima.realtime.sinks.file import DEFAULT, check_place, container_options, existing, extension_of, hint_for
from allaprima.realtime.sinks.mux import FILE_TAGS, Muxer, Tail
from allaprima.realtime.sinks.side import STRICT, SideStreams, own_tags
from allaprima.realtime.sources.timeline import fraction

LATER = 20
"""Seconds by which a part's times are later, at least: NUT has none below zero, films do."""
STATE = "film.json"
GROUP_SECONDS = 1
"""From key frame to key frame: what is lost at most when the program is killed."""
AT_ONCE = {"flush_packets": "1", "max_interleave_delta": "200000"}
"""A picture waits for sound of its time for 0.2 s at most, and then lies on the disk."""
WHOLE, BEGUN = ".nut", ".begun"
"""Ends of the names of parts that were closed in order, and of those that were not (yet)."""


class ResumableFile:
    """Writes what is missing of a film; `done` frames are there already and only their sound is taken.

    Every frame of the film must be written, from the first one on.  Raises `SinkError` for parts that another run
    has left: of another input, or with other settings.
    """

    def __init__(
        self, uri: str, info: StreamInfo, encoder: EncoderOptions = OWN_CHOICE, overwrite: bool = False,
        settings: dict[str, str] | None = None, stop: threading.Event | None = None,
    ) -> None:  # fmt: skip
        """``settings`` are what must be alike in all runs; with ``stop`` set at the end the film is left unfinished."""
        self._path = Path(os.path.realpath(file_of(uri)))
        self._info, self._overwrite, self._stop = info, overwrite, stop
        self._format = codecs.CONTAINERS[extension := extension_of(self._path)]
        self._options = container_options(extension, info)
        check_place(self._path, info.name, overwrite)
        plan = codecs.plan(encoder, DEFAULT.get(extension, "libx264"))
        codecs.check_fits(plan.encoder, extension)
        plan = replace(plan, options=_groups(plan, info))
        self._folder = self._path.with_name(f".{self._path.name}.parts")
        self._state = _state(info, plan, settings or {})
        self._check_state()
        left = sorted([*self._folder.glob(f"*{WHOLE}"), *self._folder.glob(f"*{BEGUN}")])
        self._parts = [part for path in left if (part := Part.of(path)).frames]
        self.done = sum(part.frames for part in self._parts)
        """Frames that need not be painted again."""
        self._shift = info.time_base * ceil(LATER / info.time_base)
        self._own = self._folder / f"{1 + max((int(path.stem) for path in left), default=0):04}{BEGUN}"
        self._muxer = Muxer(str(self._own), "nut", info, plan, options=AT_ONCE)
        self._muxer.move(self._shift)
        self.notes = self._muxer.notes
        self._count = 0
        self._first: Frame | None = None
        self._last: Frame | None = None

    def _check_state(self) -> None:
        try:
            found = json.loads((self._folder / STATE).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return
        except (OSError, ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            found = {}
        if other := sorted(key for key in self._state if found.get(key) != self._state[key]):
            raise SinkError(
                f"cannot go on with {self._path.name}: {', '.join(other)} changed since",
                f"Delete {self._folder} to begin anew, or leave out --resume.",
            )

    def __enter__(self) -> Self:
        with self._reported("open"):
            self._folder.mkdir(exist_ok=True)
            new = self._folder / f"{STATE}.new"
            new.write_text(json.dumps(self._state, indent=1), encoding="utf-8")
            new.replace(self._folder / STATE)
            self._muxer.start()
        return self

    def write(self, frame: Frame) -> None:
        if self._first is None:
            self._first = frame
        self._last = frame
        self._count += 1
        with self._reported("write"):
            if self._count <= self.done:
                self._muxer.write_side(frame)
            else:
                self._muxer.write(frame)

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        if exc_type is not None:
            with contextlib.suppress(av.FFmpegError, OSError):
                self._close_part()
            return
        with self._reported("finish"):
            self._close_part()
            if self._stop is not None and self._stop.is_set():
                frames = max(self.done, self._count)
                self.notes.append(f"{frames} frames are kept; start it again with --resume to go on")
                return
            if not self._count:
                raise SinkError(f"no frame came, so there is no {self._path.name}", "Is the source empty?")
            self._join()

    def _close_part(self) -> None:
        self._muxer.finish()
        self._own = self._own.rename(self._own.with_suffix(WHOLE))

    def _join(self) -> None:
        """Write the target from all parts, and take them away."""
        parts = [part for part in [*self._parts, Part(self._own, self._muxer.frames)] if part.frames]
        target = self._path.with_name(f".{self._path.name}.part")
        try:
            with contextlib.ExitStack() as opened:
                film = [(opened.enter_context(av.open(str(part.path))), part.frames) for part in parts]
                sound = opened.enter_context(av.open(str(self._own)))
                out = av.open(str(target), "w", format=self._format, container_options=self._options)
                self._fill(opened.enter_context(out), film, self._stamps(parts), sound)
            if self._path.exists() and not self._overwrite:
                raise existing(self._path)
            os.replace(target, self._path)
        finally:
            target.unlink(missing_ok=True)
        shutil.rmtree(self._folder)

    def _fill(self, out: Any, film: list[tuple[Any, int]], stamps: list[int], sound: Any) -> None:
        assert self._first is not None
        out.metadata.update(own_tags(self._info.metadata, FILE_TAGS))
        first = film[0][0].streams.video[0]
        video = out.add_stream_from_template(first, opaque=True)
        video.time_base = self._info.time_base
        if self._format in STRICT and first.codec_context.name == "hevc":
            video.codec_context.codec_tag = "hvc1"
        side = SideStreams(out, [s for s in sound.streams if s.type != "video"], self._format)
        side.shift = self._start - self._shift
        self.notes += [note for note in side.notes if note not in self.notes]
        tail = Tail(self._format in STRICT)
        sounds = (p for packet in _side_packets(sound) for p in side.convert([packet]))
        for packet in heapq.merge(tail.pass_on(self._pictures(film, stamps, video)), sounds, key=_when):
            out.mux_one(packet)
        for packet in [*side.flush(), *tail.last()]:
            out.mux_one(packet)

    @property
    def _start(self) -> Fraction:
        """What is added to all times so that the film does not start before zero, which no container can say."""
        return Fraction(0) if self._first is None else max(-self._first.pts * self._first.time_base, Fraction(0))

    def _stamps(self, parts: list["Part"]) -> list[int]:
        """When each picture is shown, in ticks of the stream, in order of decoding."""
        tick, found = self._info.time_base, []
        for part in parts:
            with av.open(str(part.path)) as container:
                for packet in _pictures_of(container, part.frames):
                    at = (packet.pts or 0) * (fraction(packet.time_base) or tick)
                    found.append(round((at - self._shift + self._start) / tick))
        return found

    def _pictures(self, film: list[tuple[Any, int]], stamps: list[int], stream: Any) -> Iterator[Any]:
        """The encoded pictures of all parts, in order of decoding, their times as they were given."""
        tick, last = self._info.time_base, self._last
        assert last is not None
        step = max(1, round(1 / (self._info.rate * tick))) if self._info.rate else 1
        end = max(stamps)
        packets = (packet for container, count in film for packet in _pictures_of(container, count))
        for packet, pts, dts in zip(packets, stamps, decoding_times(stamps, step), strict=True):
            packet.pts, packet.dts, packet.time_base, packet.stream = pts, dts, tick, stream
            packet.duration = round(last.duration * last.time_base / tick) if pts == end else step
            yield packet

    @contextlib.contextmanager
    def _reported(self, verb: str) -> Iterator[None]:
        """Turn what FFmpeg and the system say into one SinkError; parts stay."""
        try:
            yield
        except (av.FFmpegError, OSError) as error:
            reason = error.strerror or str(error)
            raise SinkError(f"cannot {verb} {self._path}: {reason}", hint_for(error)) from error


class Part:
    """What one run has left: a file whose first ``frames`` pictures are good."""

    def __init__(self, path: Path, frames: int) -> None:
        self.path = path
        self.frames = frames

    @classmethod
    def of(cls, path: Path) -> "Part":
        """One that was cut off is good up to its last key frame: the group behind it may lack pictures that are
        decoded late and shown early.
        """
        whole = count = 0
        with contextlib.suppress(av.FFmpegError, OSError, UnicodeDecodeError), av.open(str(path)) as container:
            for packet in container.demux(video=0):
                if packet.size:
                    whole = count if packet.is_keyframe else whole
                    count += 1
        return cls(path, count if path.suffix == WHOLE else whole)


def _groups(plan: codecs.Plan, info: StreamInfo) -> dict[str, str]:
    """The options, with short groups of pictures, none of which leans on a later group."""
    groups = {"g": str(round(GROUP_SECONDS * (info.rate or 30)))} | plan.options
    if plan.encoder.name == "libx265":
        groups["x265-params"] += ":open-gop=0"
    return groups


def decoding_times(stamps: list[int], step: int) -> list[int]:
    """When each picture has to be decoded, given when it is shown, both in order of decoding: strictly rising, never
    after it is shown, and no earlier than that needs.
    """
    shown = sorted(stamps)
    rank = {stamp: number for number, stamp in enumerate(shown)}
    depth = max(number - rank[stamp] for number, stamp in enumerate(stamps))
    before = [shown[0] - step * (depth - number) for number in range(depth)]
    return [*before, *shown][: len(stamps)]


def _pictures_of(container: Any, count: int) -> Iterator[Any]:
    for number, packet in enumerate(p for p in container.demux(video=0) if p.size):
        if number == count:
            return
        yield packet


def _side_packets(container: Any) -> Iterator[Any]:
    streams = [stream for stream in container.streams if stream.type != "video"]
    return (packet for packet in container.demux(*streams) if packet.size) if streams else iter(())


def _when(packet: Any) -> Fraction:
    tick = fraction(packet.time_base)
    return Fraction(0) if tick is None or packet.dts is None else packet.dts * tick


def _state(info: StreamInfo, plan: codecs.Plan, settings: dict[str, str]) -> dict[str, str]:
    state = settings | {"input": info.name, "picture size": str(info.size), "time base": str(info.time_base)}
    state["encoder"] = f"{plan.encoder.name} {sorted(plan.options.items())} {plan.bit_rate}"
    with contextlib.suppress(OSError):
        about = os.stat(info.name)
        state["content of the input"] = f"{about.st_size} bytes of {about.st_mtime_ns}"
    return state


def is_file(uri: str) -> bool:
    """Whether an output is a file: a plain name, one letter before the colon being a drive, or ``file:``."""
    head, colon, _ = uri.partition(":")
    return not colon or len(head) < 2 or not head[0].isalpha() or head.lower() == "file" or "/" in head


def file_of(uri: str) -> Path:
    """The path that an output names.  Raises `SinkError` for one that is no file."""
    if not is_file(uri):
        raise SinkError(
            f"--resume needs a file as the output, not {uri.partition(':')[0]}:", "Name an mp4 or mkv file."
        )
    return Path(uri.removeprefix("file:").removeprefix("//") if uri.lower().startswith("file:") else uri)
