"""The child process of a network sink: ``python -m allaprima.realtime.sinks.relay URL FORMAT``.

Copies the packets of a NUT stream on stdin to the address.  It is a process of its own because FFmpeg's
network calls hold Python's lock in PyAV 18: a stuck receiver would freeze the engine.
"""

import signal
import sys

import av

OPEN_SECONDS = 10
STUCK_SECONDS = 5
OPTIONS = {
    "flv": {"flvflags": "no_duration_filesize"},
    "rtsp": {"rtsp_transport": "tcp"},
    "mpegts": {"mpegts_flags": "resend_headers"},
}


def relay(url: str, format_name: str) -> None:
    """Until stdin ends."""
    quick = {"probesize": "1000000", "analyzeduration": "500000"}
    options = {"flush_packets": "1", "max_interleave_delta": "200000"} | OPTIONS.get(format_name, {})
    with (
        av.open("pipe:0", format="nut", container_options=quick) as source,
        av.open(url, "w", format=format_name, container_options=options) as target,
    ):
        streams = {stream.index: target.add_stream_from_template(stream, opaque=True) for stream in source.streams}
        _watch(OPEN_SECONDS)
        target.start_encoding()
        _watch(0)
        for packet in source.demux():
            if packet.size:
                packet.stream = streams[packet.stream_index]
                _watch(STUCK_SECONDS)
                target.mux_one(packet)
                _watch(0)
        _watch(STUCK_SECONDS)


def _watch(seconds: int) -> None:
    """Be killed by the alarm clock when the next call does not return: it needs no lock of Python's."""
    if hasattr(signal, "alarm"):
        signal.alarm(seconds)


def main() -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl-C is for the parent, which ends us in order
    try:
        relay(*sys.argv[1:3])
    except (av.FFmpegError, OSError, ValueError) as error:
        print(getattr(error, "strerror", None) or error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
