"""``allaprima doctor``: what this machine can do, and the command that adds what it cannot."""

import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from importlib.metadata import version
from typing import Any

from allaprima.realtime import extras, machine
from allaprima.realtime.errors import AllaprimaError

PICTURE = (256, 256)
"""Pixels of the frame that each encoder is tried with; hardware refuses smaller ones."""
DECODERS = ("h264", "hevc", "av1", "libdav1d", "vp9", "vp8", "mpeg2video", "mpeg4", "prores", "mjpeg", "ffv1")
PROBE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    topic: str
    name: str
    good: bool | None
    """None: a fact, neither good nor bad."""
    says: str
    fix: str = ""
    """The command or step that would make it good."""


Check = Callable[[], Iterator[Finding]]


def examine(probe: bool = False) -> list[Finding]:
    """Look at everything; a check that fails is itself a finding."""
    checks: dict[str, Check] = {
        "system": _system,
        "painting": _painting,
        "graphics": _graphics,
        "encoders": _encoders,
        "decoders": _decoders,
        "devices": _devices,
        "extras": _extras,
        "models": _bundle,
    }
    if probe:
        checks["speed"] = _speed
    return [finding for topic, check in checks.items() for finding in _safely(topic, check)]


def _safely(topic: str, check: Check) -> list[Finding]:
    found: list[Finding] = []
    try:
        found.extend(check())
    except AllaprimaError as error:
        found.append(Finding(topic, topic, False, str(error), error.hint))
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        found.append(
            Finding(topic, topic, False, f"cannot be examined: {why}", "pip install --force-reinstall allaprima")
        )
    return found


def _fact(topic: str, name: str, says: str) -> Finding:
    return Finding(topic, name, None, says)


def _system() -> Iterator[Finding]:
    yield _fact("system", "allaprima", version("allaprima"))
    yield _fact("system", "python", f"{platform.python_version()} ({sys.executable})")
    yield _fact("system", "os", f"{platform.platform()}")
    features = machine.cpu_features()
    yield _fact("system", "cpu", machine.processor() + (f" ({', '.join(features)})" if features else ""))
    yield _fact("system", "cores", f"{machine.cores()} of {os.cpu_count()}")
    memory = machine.memory()
    yield _fact("system", "memory", "unknown" if memory is None else f"{memory / 2**30:.1f} GiB")


def _painting() -> Iterator[Finding]:
    import openvino

    from allaprima.realtime.backends.cpu import best_precision

    yield _fact("painting", "openvino", f"{openvino.__version__.partition('-')[0]}")
    yield _fact("painting", "devices", ", ".join(openvino.Core().available_devices) or "none")
    precision = best_precision()
    says = "native" if precision == "bf16" else "this CPU has no bf16; nets take about four times as long"
    yield _fact("painting", "precision", f"{precision} ({says})")


def _graphics() -> Iterator[Finding]:
    from allaprima.realtime.backends.cuda_device import device_name, probe

    cards = machine.gpus()
    yield from (_fact("graphics", f"gpu {number}", card) for number, card in enumerate(cards))
    if not cards:
        yield _fact("graphics", "nvidia", "no card or no driver (nvidia-smi does not answer); the CPU paints")
        return
    for extra in ("cuda", "tensorrt"):
        yield _extra("graphics", extra)
    reason = probe()
    fix = "" if reason is None else "mend that, or paint with --backend cpu"
    yield Finding("graphics", "paints", reason is None, reason or f"{device_name()}, with --backend auto or cuda", fix)


def _encoders() -> Iterator[Finding]:
    from allaprima.realtime.sinks.codecs import ENCODERS

    os.environ.setdefault("SVT_LOG", "1")  # SVT-AV1 prints thirty lines unless told: errors only
    for name, encoder in ENCODERS.items():
        problem = _try_encoder(name, encoder.pix_fmt, encoder.options)
        fix = (
            "an NVIDIA card with NVENC and its driver; H.264 is encoded by libx264 meanwhile" if "nvenc" in name else ""
        )
        yield Finding("encoders", name, not problem, problem or encoder.codec, fix if problem else "")


def _try_encoder(name: str, pix_fmt: str, options: dict[str, str]) -> str:
    """Encode one frame; what went wrong, if anything."""
    import av

    from allaprima.realtime.sinks.priority import usual_priority

    try:
        context: Any = av.CodecContext.create(name, "w")
        context.width, context.height = PICTURE
        context.pix_fmt, context.time_base, context.framerate = pix_fmt, Fraction(1, 30), Fraction(30)
        context.thread_count, context.options = 1, dict(options)
        with usual_priority():
            context.open()
        frame = av.VideoFrame(*PICTURE, pix_fmt)
        frame.pts = 0
        context.encode(frame)
        context.encode(None)
    except (av.FFmpegError, OSError, ValueError) as error:
        return f"does not open: {getattr(error, 'strerror', None) or error}"
    return ""


def _decoders() -> Iterator[Finding]:
    import av
    from av.codec.codec import UnknownCodecError
    from av.codec.hwaccel import hwdevices_available

    missing: list[str] = []
    for name in DECODERS:
        try:
            av.CodecContext.create(name, "r")
        except (UnknownCodecError, av.FFmpegError, ValueError):
            missing.append(name)
    present = [name for name in DECODERS if name not in missing]
    yield Finding(
        "decoders",
        "in software",
        not missing,
        ", ".join(present),
        f"missing: {', '.join(missing)}" if missing else "",
    )
    yield _fact("decoders", "in hardware", f"FFmpeg is built for {', '.join(hwdevices_available()) or 'none'}")


def _devices() -> Iterator[Finding]:
    from allaprima.realtime.sources.camera import list_cameras

    cameras = list_cameras()
    yield from (_fact("devices", "camera", name) for name in cameras)
    if not cameras:
        yield _fact("devices", "cameras", "none found")
    srt = machine.ffmpeg_srt()
    says = {
        None: "srt:// needs the program ffmpeg",
        False: "the installed ffmpeg has no SRT",
        True: "ffmpeg with SRT",
    }
    yield Finding("devices", "srt", srt is True, says[srt], "" if srt else "sudo apt install ffmpeg")


def _extras() -> Iterator[Finding]:
    yield from (_extra("extras", extra) for extra in extras.MODULES)


def _extra(topic: str, extra: str) -> Finding:
    if extras.present(extra):
        return Finding(topic, extra, True, extras.versions(extra))
    return Finding(topic, extra, False, f"not installed: {extras.PURPOSE[extra]}", extras.command(extra))


def _bundle() -> Iterator[Finding]:
    from allaprima.realtime import shelf
    from allaprima.realtime.bundle import shipped_bundle

    bundle = shelf.open_bundle(shipped_bundle())
    bad = [verdict for verdict in shelf.verify(bundle) if verdict.problem]
    yield Finding(
        "models", bundle.manifest.name, not bad,
        f"version {bundle.manifest.version}, {len(bundle.style_files())} styles in {bundle.path}",
        "allaprima styles verify" if bad else "",
    )  # fmt: skip
    yield _fact("models", "your styles", f"{bundle.user_styles}")


def _speed() -> Iterator[Finding]:
    """Paint a still for a second, without video decoding and encoding."""
    from allaprima.realtime.sources import open_source
    from allaprima.realtime.stylizer import Stylizer

    for size in ((640, 360), (1280, 720)):
        stylizer = Stylizer()
        with open_source("test:landscape", size=size, frames=2) as source:
            frames = list(source)
        for frame in frames:
            stylizer(frame)
        spent: list[float] = []
        while sum(spent) < PROBE_SECONDS / 2:
            began = time.perf_counter()
            stylizer(frames[len(spent) % 2])
            spent.append(time.perf_counter() - began)
        rate = 1 / statistics.median(spent)
        yield _fact("speed", f"{size[0]}x{size[1]}", f"{rate:.0f} frames a second, without decoding and encoding")


def as_json(findings: list[Finding]) -> dict[str, Any]:
    """By topic, then by name."""
    topics: dict[str, Any] = {}
    for finding in findings:
        entry = {"good": finding.good, "says": finding.says, "fix": finding.fix or None}
        topics.setdefault(finding.topic, {})[finding.name] = entry
    return topics


def show(findings: list[Finding]) -> None:
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True, markup=False)
    topic = ""
    for finding in findings:
        if finding.topic != topic:
            topic = finding.topic
            console.print(f"{topic}", style="bold")
        mark, color = {True: ("+", "green"), False: ("-", "red"), None: (" ", "")}[finding.good]
        console.print(f"  {mark} {finding.name:14} {finding.says}", style=color)
        if finding.fix:
            console.print(f"    {'':14} -> {finding.fix}", style="yellow")
