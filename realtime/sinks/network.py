"""``rtmp://``, ``rtsp://``, ``srt://``, ``udp://``, ``tcp://``, ``http://`` and ``whip:``: a live stream."""

import contextlib
import shutil
import subprocess
import sys
from types import TracebackType
from typing import Self

import av

from allaprima.realtime.backends.hardware import Hardware
from allaprima.realtime.errors import SinkError
from allaprima.realtime.frame import Frame, StreamInfo
from allaprima.realtime.sinks import codecs
from allaprima.realtime.sinks.base import OWN_CHOICE, EncoderOptions
from allaprima.realtime.sinks.mux import Muxer
from allaprima.realtime.sinks.pace import Pace
from allaprima.realtime.sinks.pipe import ChildPipe
from allaprima.realtime.sources.request import label

FORMATS = {
    "rtmp": "flv", "rtmps": "flv", "rtsp": "rtsp", "srt": "mpegts", "udp": "mpegts", "tcp": "mpegts",
    "http": "mpegts", "https": "mpegts", "whip": "whip", "whips": "whip",
}  # fmt: skip
"""Scheme to FFmpeg's name of the format that goes there."""
CODECS = {
    "flv": ("h264", "hevc", "av1"),
    "rtsp": ("h264", "hevc", "vp8", "vp9"),
    "mpegts": ("h264", "hevc"),
    "whip": ("h264",),
}


class NetworkSink:
    """Encodes here with little delay; a child process sends (see `relay`)."""

    steady = True

    def __init__(
        self, uri: str, info: StreamInfo, encoder: EncoderOptions = OWN_CHOICE, hardware: Hardware | None = None
    ) -> None:
        scheme = uri.partition(":")[0].lower()
        format_name = FORMATS[scheme]
        bit_rate = codecs.live_bit_rate(info.size, info.rate)
        plans = codecs.plans(encoder, "libx264", hardware is not None, live=True, bit_rate=bit_rate)
        codec = plans[-1].encoder.codec
        if codec not in CODECS[format_name]:
            raise SinkError(f"{scheme} cannot carry {codec}", f"It carries {', '.join(CODECS[format_name])}.")
        for plan in plans if format_name == "whip" else ():
            if plan.encoder.name in ("libx264", "h264_nvenc"):
                plan.options["profile"] = "baseline"  # browsers promise no more
        self._pace = Pace(info)
        self._pipe = ChildPipe(_command(scheme, address(uri), format_name), label(uri))
        self._muxer = Muxer(
            self._pipe, "nut", info, *plans, live=True, held=format_name,
            options={"flush_packets": "1", "max_interleave_delta": "200000"}, hardware=hardware,
        )  # fmt: skip
        self.notes = self._muxer.notes

    @property
    def on_device(self) -> bool:
        return self._muxer.on_device

    def __enter__(self) -> Self:
        self._pipe.start()
        return self

    def write(self, frame: Frame) -> None:
        """May wait for the network; SinkError when the child has died or is stuck."""
        self._pace.wait(frame)
        if not self._pipe.alive:
            raise self._pipe.death()
        self._muxer.write(frame)

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        self._pipe.hurry()
        try:
            if exc_type is None and self._muxer.frames:
                self._muxer.finish()
        except av.FFmpegError as error:
            raise SinkError(f"cannot end the stream to {self._pipe.where}: {error.strerror}") from error
        finally:
            code = self._pipe.end()
            with contextlib.suppress(SinkError, av.FFmpegError):  # told already
                self._muxer.close()  # after the pipe: what a container thrown away still writes goes nowhere
        if exc_type is None and code:
            raise self._pipe.death()


def address(uri: str) -> str:
    """The address as FFmpeg wants it."""
    scheme, _, rest = uri.partition(":")
    if scheme.lower() in ("whip", "whips"):
        return rest if rest.startswith("http") else f"https:{rest}"
    if scheme.lower() == "udp" and "pkt_size" not in uri:
        return f"{uri}{'&' if '?' in uri else '?'}pkt_size=1316"  # seven packets of MPEG-TS
    return uri


def _command(scheme: str, url: str, format_name: str) -> list[str]:
    if scheme != "srt":
        return [sys.executable, "-m", "allaprima.realtime.sinks.relay", url, format_name]
    ffmpeg = shutil.which("ffmpeg")
    hint = "Install an ffmpeg with libsrt (sudo apt install ffmpeg), or send with rtmp:// or udp://."
    if ffmpeg is None:
        raise SinkError("srt:// needs the program ffmpeg, which is not installed", hint)
    asked = [ffmpeg, "-hide_banner", "-protocols"]
    if "srt" not in subprocess.run(asked, capture_output=True, text=True, check=False).stdout.split():
        raise SinkError(f"the installed {ffmpeg} cannot speak srt", hint)
    quick = ["-probesize", "1000000", "-analyzeduration", "500000"]
    return [
        ffmpeg, "-hide_banner", "-loglevel", "error", "-nostdin", *quick, "-f", "nut", "-i", "pipe:0",
        "-map", "0", "-c", "copy", "-flush_packets", "1", "-f", format_name, url,
    ]  # fmt: skip
