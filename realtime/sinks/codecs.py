"""Which encoder, with which options: the table of encoders and containers."""

import difflib
import os
import re
from dataclasses import dataclass, field, replace
from fractions import Fraction

import av
from av.codec.codec import Codec, UnknownCodecError

from allaprima.realtime.errors import ConfigError, SinkError
from allaprima.realtime.sinks.base import EncoderOptions

CONTAINERS = {"mp4": "mp4", "m4v": "mp4", "mov": "mov", "mkv": "matroska", "webm": "webm"}
"""File extension to FFmpeg's name of the container."""

X_PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")
NV_PRESETS = ("p1", "p2", "p3", "p4", "p5", "p6", "p7")


@dataclass(frozen=True, slots=True)
class Encoder:
    """One encoder of FFmpeg: how its knobs are called and what it can take."""

    name: str
    codec: str
    quality: str = "crf"
    """The option that holds the quality; empty when there is none."""
    quality_range: tuple[int, int] = (0, 51)
    default_quality: int | None = None
    preset: str = "preset"
    presets: tuple[str, ...] = ()
    default_preset: str | None = None
    options: dict[str, str] = field(default_factory=dict)
    live: dict[str, str] = field(default_factory=dict)
    """Options on top when delay matters more than size."""
    pix_fmt: str = "yuv420p"
    even: bool = True
    """It refuses an odd width or height."""
    smallest: int = 2
    lossless: bool = False
    color: tuple[int, int] | None = None
    """Matrix (0: any) and range, where the bitstream can say no other."""
    card: bool = False
    """It is the graphics card's own, and takes pictures that are there."""


def _nvenc(name: str, codec: str) -> Encoder:
    return Encoder(
        name, codec, "cq", (0, 51), 21, "preset", NV_PRESETS, "p4", {"rc": "vbr"},
        {"tune": "ull", "bf": "0", "delay": "0", "zerolatency": "1", "forced-idr": "1"}, smallest=146,
        card=True,
    )  # fmt: skip


ENCODERS = {
    encoder.name: encoder
    for encoder in (
        Encoder(
            "libx264", "h264", "crf", (0, 51), 18, "preset", X_PRESETS, "superfast", {},
            {"tune": "zerolatency", "bf": "0", "forced-idr": "1"},
        ),
        Encoder(
            "libx265", "hevc", "crf", (0, 51), 20, "preset", X_PRESETS, "ultrafast",
            {"x265-params": "log-level=error"}, {"tune": "zerolatency", "bf": "0", "forced-idr": "1"},
            smallest=16,
        ),
        Encoder(
            "libsvtav1", "av1", "crf", (0, 63), 30, "preset", tuple(map(str, range(14))), "9", {},
            {"svtav1-params": "pred-struct=1"}, smallest=64,
        ),
        Encoder(
            "libvpx-vp9", "vp9", "crf", (0, 63), 24, "cpu-used", tuple(map(str, range(9))), "8",
            {"deadline": "realtime", "row-mt": "1", "tile-columns": "2", "lag-in-frames": "0"},
            even=False,
        ),
        Encoder(
            "libvpx", "vp8", "crf", (4, 63), 10, "cpu-used", tuple(map(str, range(17))), "8",
            {"deadline": "realtime", "lag-in-frames": "0"}, even=False, color=(6, 1),
        ),
        Encoder(
            "ffv1", "ffv1", "", preset="", options={"level": "3", "g": "1", "slicecrc": "1"}, even=False,
            lossless=True,
        ),
        Encoder(
            "prores_ks", "prores", "", preset="profile",
            presets=("proxy", "lt", "standard", "hq"), default_preset="standard",
            options={"vendor": "apl0"}, pix_fmt="yuv422p10le", color=(0, 1),
        ),
        _nvenc("h264_nvenc", "h264"),
        _nvenc("hevc_nvenc", "hevc"),
        _nvenc("av1_nvenc", "av1"),
    )
}  # fmt: skip
SHORT = {encoder.codec: encoder.name for encoder in reversed(ENCODERS.values())}
"""Codec name to the encoder that is taken for it."""


@dataclass(frozen=True, slots=True)
class Plan:
    """An encoder with every option decided."""

    encoder: Encoder
    options: dict[str, str]
    bit_rate: int = 0


def encoder_named(name: str) -> Encoder:
    """The encoder for an encoder's or a codec's name; ConfigError names the closest ones."""
    wanted = SHORT.get(name.lower(), name.lower())
    if wanted in ENCODERS:
        return ENCODERS[wanted]
    if wanted in av.codecs_available:
        codec = _video_encoder(wanted)
        if codec is not None:
            return _other(codec)
    known = sorted({*SHORT, *ENCODERS})
    close = difflib.get_close_matches(name.lower(), known, 3, 0.5)
    hint = f"Did you mean {' or '.join(close)}?" if close else f"Known are {', '.join(known)}."
    raise ConfigError(f"there is no video encoder called {name!r}", hint)


def _video_encoder(name: str) -> Codec | None:
    try:
        codec = Codec(name, "w")
    except UnknownCodecError:
        return None
    return codec if codec.type == "video" else None


def _other(codec: Codec) -> Encoder:
    """An encoder outside the table: only its bit rate can be set."""
    formats = [entry.name for entry in codec.video_formats or ()]
    pix_fmt = "yuv420p" if "yuv420p" in formats or not formats else formats[0]
    return Encoder(codec.name, codec.canonical_name, "", preset="", pix_fmt=pix_fmt)


def bits_per_second(text: str) -> int:
    """``6M`` is 6,000,000."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([kKmM]?)", text.strip())
    value = int(float(match[1]) * {"": 1, "k": 1_000, "m": 1_000_000}[match[2].lower()]) if match else 0
    if not 1_000 <= value <= 2_000_000_000:
        raise ConfigError(f"the bit rate {text!r} is not usable", "Write it like 6M or 800k.")
    return value


def plan(wanted: EncoderOptions, default: str, *, live: bool = False, bit_rate: int = 0) -> Plan:
    """Settle every option, or ConfigError.

    ``bit_rate`` is what to aim at where the user asks for neither a quality nor a bit rate; 0 means
    the encoder's default quality.
    """
    encoder = encoder_named(wanted.codec or default)
    if wanted.crf is not None and wanted.bitrate is not None:
        raise ConfigError("crf and bitrate exclude each other", "Give one of them.")
    options = dict(encoder.options) | (encoder.live if live else {})
    options |= _preset(encoder, wanted.preset)
    if wanted.bitrate is not None:
        if encoder.lossless:
            raise ConfigError(f"{encoder.name} is lossless and takes no bit rate", "Leave it out.")
        bit_rate = bits_per_second(wanted.bitrate)
    if encoder.lossless or wanted.crf is not None:
        bit_rate = 0
    if bit_rate:
        return Plan(encoder, options, bit_rate)
    options |= _quality(encoder, wanted.crf)
    # VP8's quality is a floor under a bit rate, and 0 would mean 200 kbit/s.
    return Plan(encoder, options, 50_000_000 if encoder.name == "libvpx" else 0)


def plans(
    wanted: EncoderOptions, default: str, card: bool = False, *, live: bool = False, bit_rate: int = 0
) -> tuple[Plan, ...]:
    """What to try in turn: where the frames are on a ``card`` and the user leaves open which encoder it is, the
    card's own of that codec first.

    A quality or a preset leaves it open no longer: each encoder has a scale of its own.
    """
    usual = plan(wanted, default, live=live, bit_rate=bit_rate)
    if not card or wanted.codec in ENCODERS or wanted.crf is not None or wanted.preset is not None:
        return (usual,)
    own = [e.name for e in ENCODERS.values() if e.card and e.codec == usual.encoder.codec]
    return (*(plan(replace(wanted, codec=name), default, live=live, bit_rate=bit_rate) for name in own), usual)


def _preset(encoder: Encoder, wanted: str | None) -> dict[str, str]:
    if wanted is not None and wanted not in encoder.presets:
        known = ", ".join(encoder.presets)
        hint = f"It knows {known}." if known else "Leave it out."
        raise ConfigError(f"{encoder.name} has no preset {wanted!r}", hint)
    value = wanted or encoder.default_preset
    return {encoder.preset: value} if value else {}


def _quality(encoder: Encoder, crf: int | None) -> dict[str, str]:
    if not encoder.quality:
        if crf is None:
            return {}
        what = "is lossless" if encoder.lossless else "has no quality scale"
        raise ConfigError(f"{encoder.name} {what} and takes no crf", "Leave it out.")
    low, high = encoder.quality_range
    if crf is not None and not low <= crf <= high:
        raise ConfigError(f"crf {crf} is out of range for {encoder.name}", f"It goes from {low} (best) to {high}.")
    value = encoder.default_quality if crf is None else crf
    return {} if value is None else {encoder.quality: str(value)}


def holds(format_name: str) -> frozenset[str]:
    """Names of all codecs, encoders and decoders that a container can hold."""
    container = av.open(os.devnull, "w", format=format_name)  # opens no file before its header is written
    return frozenset(container.supported_codecs)


def check_fits(encoder: Encoder, extension: str) -> None:
    """SinkError when the container cannot hold the codec; names what would fit."""
    held = holds(CONTAINERS[extension])
    if encoder.name in held:
        return
    others = sorted({ext for ext in CONTAINERS if encoder.name in holds(CONTAINERS[ext])})
    codecs = sorted(codec for codec, name in SHORT.items() if name in held)
    where = f"{encoder.codec} goes into {', '.join(others) or 'none of the containers here'}"
    raise SinkError(f"{extension} cannot hold {encoder.codec}", f"{where}; {extension} holds {', '.join(codecs)}.")


def threads() -> int:
    """Half of the cores: the engine needs the rest."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, usable // 2)


def live_bit_rate(size: tuple[int, int], rate: Fraction | None) -> int:
    """6 Mbit/s for 1280x720 at 30 frames per second, in proportion to the picture's area, 0.5 to 20."""
    share = size[0] * size[1] / (1280 * 720) * (float(rate or 30) / 30) ** 0.5
    return int(min(max(6e6 * share, 5e5), 2e7))
