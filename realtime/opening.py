"""From settings to a source, a sink and the manner of a run that stand what may happen to them."""

import logging
import math
import re
import threading
from dataclasses import replace

import numpy as np

from allaprima.realtime.backends.hardware import Hardware
from allaprima.realtime.config import Config
from allaprima.realtime.errors import ConfigError
from allaprima.realtime.frame import Frame, StreamInfo
from allaprima.realtime.ladder import Ladder
from allaprima.realtime.pacing import cadence, on_grid
from allaprima.realtime.pipeline import Manner
from allaprima.realtime.sinks import NETWORK, Controls, EncoderOptions, Sink, open_sink
from allaprima.realtime.sinks.pace import Pace
from allaprima.realtime.sinks.picture import Converter
from allaprima.realtime.sinks.reconnect import Reconnecting as LastingSink
from allaprima.realtime.sinks.resume import ResumableFile, is_file
from allaprima.realtime.sources import Source, open_source
from allaprima.realtime.sources.reconnect import Reconnecting as LastingSource
from allaprima.realtime.sources.reconnect import recolored
from allaprima.realtime.sources.request import Request

STEADY = (*NETWORK, "vcam")
"""Outputs that get frames of a live source at equal steps of time."""
SHOWN = (*STEADY, "window")
"""Outputs that somebody watches now: they wait for an input that goes away."""

logger = logging.getLogger(__name__)


def source_of(uri: str, output: str, config: Config, card: Hardware | None) -> Source:
    """The input, opened; a live one is opened again when it goes away, for as long as is asked for."""
    request = Request(config.size, config.start, config.end, config.frames, card, follow=config.follow)
    source = _open(uri, request)
    default = math.inf if scheme_of(output) in SHOWN else 0.0
    patience = default if config.reconnect is None else config.reconnect
    if not source.info.live or uri.startswith("test:") or not patience:
        return source
    return LastingSource(source, lambda left: _open(uri, replace(left, hardware=card, again=True)), patience, request)


def _open(uri: str, request: Request) -> Source:
    return open_source(
        uri,
        size=request.size,
        start=request.start,
        end=request.end,
        frames=request.frames,
        hardware=request.hardware,
        again=request.again,
        follow=request.follow,
    )


def is_live(config: Config, info: StreamInfo) -> bool:
    """Whether frames may be dropped; `ConfigError` for settings that need it where it is not so."""
    live = info.live if config.mode is None else config.mode == "live"
    for name, value in (("--fps", config.fps), ("--max-latency", config.max_latency)):
        if value is not None and not live:
            raise ConfigError(f"{name} is for live streams, and {info.name} is a file", "Add --mode live.")
    if live and config.resume:
        raise ConfigError("--resume is for files that are painted in full", "Leave out --resume, or --mode live.")
    return live


def sink_of(
    output: str, info: StreamInfo, config: Config, controls: Controls | None, card: Hardware | None,
    stop: threading.Event,
) -> Sink:  # fmt: skip
    """The output, opened as far as it can be; a network one is connected again when its receiver goes away."""
    live, scheme = is_live(config, info), scheme_of(output)
    encoder = EncoderOptions(config.codec, config.crf, config.bitrate, config.preset)
    told = replace(info, live=live or info.live)
    if live and scheme in STEADY:
        told = on_grid(told, cadence(config.fps, info))
    if config.resume:
        return ResumableFile(output, told, encoder, config.overwrite, _fingerprint(config), stop)

    def make() -> Sink:
        return open_sink(output, told, encoder=encoder, overwrite=config.overwrite, controls=controls, hardware=card)

    patience = math.inf if config.reconnect is None else config.reconnect
    return LastingSink(make, patience, Pace(told)) if scheme in NETWORK and patience else make()


def manner_of(config: Config, info: StreamInfo, sink: Sink) -> Manner:
    """How the run goes about it."""
    live = is_live(config, info)
    return Manner(
        live=live,
        forgiving=None if config.on_error is None else config.on_error == "pass",
        fps=cadence(config.fps, info) if config.fps is not None else None,
        cadence=cadence(config.fps, info),
        max_latency=config.max_latency,
        slate=None if config.slate is None else _slate(str(config.slate), info),
        done=sink.done if isinstance(sink, ResumableFile) else 0,
        ladder=Ladder(config.fps, config.max_latency, info.name) if live else None,
    )


def scheme_of(uri: str) -> str:
    """The kind of an output; ``file`` for a plain name."""
    return "file" if is_file(uri) else re.split(":", uri, maxsplit=1)[0].lower()


def _slate(path: str, info: StreamInfo) -> Frame:
    with open_source(path, size=info.size) as source:
        frame = next(iter(source)).landed()
    frame = recolored(frame, info.color, Converter())
    return replace(frame, planes=tuple(np.array(plane) for plane in frame.planes), side=(), duration=0)


def _fingerprint(config: Config) -> dict[str, str]:
    """What must be alike for two runs to make one film."""
    film = ("size", "start", "end", "frames", "codec", "crf", "bitrate", "preset")
    painting = ("style", "strength", "steadiness", "cue", "mask", "mask_style", "bundle")
    return {name: str(getattr(config, name)) for name in (*film, *painting)}
