"""Where painted frames go.  `open_sink` finds the kind by the URI."""

import re
from pathlib import Path

from allaprima.realtime.backends.hardware import Hardware
from allaprima.realtime.errors import SinkError
from allaprima.realtime.frame import StreamInfo
from allaprima.realtime.sinks.base import OWN_CHOICE, Controls, EncoderOptions, Sink

__all__ = ["Controls", "EncoderOptions", "Sink", "open_sink"]

NETWORK = ("rtmp", "rtmps", "rtsp", "srt", "udp", "tcp", "http", "https", "whip", "whips")


def open_sink(
    uri: str,
    info: StreamInfo,
    *,
    encoder: EncoderOptions = OWN_CHOICE,
    overwrite: bool = False,
    controls: Controls | None = None,
    hardware: Hardware | None = None,
) -> Sink:
    """The sink for a file name, ``window:``, ``vcam:``, ``null:`` or a network address.

    Everything that can be checked is checked here; nothing is written before ``__enter__``.  Call it
    while the source is open: the side streams' parameters are copied from it.  With ``hardware`` a file or
    network sink may take frames on its device.
    """
    match = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", uri)  # one letter is a drive, not a scheme
    scheme, rest = (match[1].lower(), uri[match.end() :]) if match else ("file", uri)
    if scheme == "null":
        from allaprima.realtime.sinks.null import NullSink

        return NullSink()
    if scheme == "window":
        from allaprima.realtime.sinks.window import WindowSink

        return WindowSink(info, controls)
    if scheme == "vcam":
        from allaprima.realtime.sinks.vcam import VirtualCameraSink

        return VirtualCameraSink(rest, info)
    if scheme in NETWORK:
        from allaprima.realtime.sinks.network import NetworkSink

        return NetworkSink(uri, info, encoder, hardware)
    if scheme == "file":
        from allaprima.realtime.sinks.file import FileSink

        return FileSink(Path(rest.removeprefix("//") if match else rest), info, encoder, overwrite, hardware)
    raise SinkError(
        f"no sink is called {scheme}:",
        f"Known are a file name, window:, vcam:, null: and {'://, '.join(NETWORK)}://.",
    )
