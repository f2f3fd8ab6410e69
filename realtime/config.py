"""What a run can be told: defaults, under one TOML file, under the flags of the command line."""

import difflib
import json
import math
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from allaprima.realtime.errors import ConfigError

TIME = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d*)?)")
SIZE = re.compile(r"(\d{1,6})\s*[xX]\s*(\d{1,6})")


def parse_time(value: str | float) -> float:
    """Seconds of ``12.5``, ``"1:02"`` or ``"00:01:02.250"``."""
    match = TIME.fullmatch(str(value).strip())
    hours, minutes, seconds = (float(part or 0) for part in match.groups()) if match else (0, 0, -1)
    if match is None or (match[1] and minutes >= 60) or (match[2] and seconds >= 60):
        raise ConfigError(f"{value!r} is not a time", "Write seconds (12.5) or [HH:]MM:SS[.mmm] (01:02.250).")
    return round(3600 * hours + 60 * minutes + seconds, 6)


def parse_size(value: str) -> tuple[int, int]:
    """Width and height of ``"1280x720"``."""
    match = SIZE.fullmatch(str(value).strip())
    if match is None:
        raise ConfigError(f"{value!r} is not a size", "Write WIDTHxHEIGHT, for example 1280x720.")
    return int(match[1]), int(match[2])


def share(key: str) -> BeforeValidator:
    """Lets numbers from 0 to 1 through."""

    def check(value: Any) -> Any:
        if isinstance(value, int | float) and not 0 <= value <= 1:
            raise ConfigError(f"{key} must be between 0 and 1, not {value:g}", "0 is none of it, 1 is all of it.")
        return value

    return BeforeValidator(check)


def above_0(key: str) -> BeforeValidator:
    """Lets numbers above 0 through."""

    def check(value: Any) -> Any:
        if isinstance(value, int | float) and not 0 < value < math.inf:
            raise ConfigError(f"{key} must be above 0, not {value:g}")
        return value

    return BeforeValidator(check)


def at_least_0(key: str) -> BeforeValidator:
    """Lets 0, numbers above it and ``inf`` through."""

    def check(value: Any) -> Any:
        if isinstance(value, int | float) and not value >= 0:
            raise ConfigError(f"{key} must be 0 or more, not {value:g}")
        return value

    return BeforeValidator(check)


Share = float | None
Time = Annotated[float, BeforeValidator(parse_time)] | None
Size = Annotated[tuple[int, int], BeforeValidator(parse_size)] | None
Text = Annotated[str, BeforeValidator(lambda value: str(value) if type(value) is int else value)] | None


def setting(default: Any, text: str, example: Any = None, key: str | None = None) -> Any:
    """A key of the file, and a flag.  ``example`` is shown where the default is "not set"."""
    return Field(default, alias=key, description=text, examples=[example])


class Config(BaseModel):
    """All settings of ``allaprima run``.  A key of the TOML file is the flag without its dashes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    style: str | None = setting(
        None,
        'Style, or a mix: "a:0.7,b:0.3". Not set: the first of the bundle.',
        "starry-night:0.7,great-wave:0.3",
    )
    strength: Annotated[Share, share("strength")] = setting(
        None, "How strongly to paint, 0 (the input) to 1. Not set: what the style recommends.", 0.8
    )
    steadiness: Annotated[Share, share("steadiness")] = setting(
        None, "How steady over time, 0 to 1. Not set: what the style recommends.", 0.6
    )
    size: Size = setting(None, "Paint at WxH. Not set: the size of the input.", "1280x720")
    start: Time = setting(None, "Begin at this time: seconds or [HH:]MM:SS[.mmm].", "00:00:05", "from")
    end: Time = setting(None, "End before this time.", "00:01:30", "to")
    frames: int | None = setting(None, "Paint no more than so many frames.", 300)
    cue: tuple[str, ...] = setting(
        (),
        "Change the style at a time: TIME=STYLE[:FADE], FADE like 2s, 500ms or 48f; or a CSV file with the "
        "columns time,style,fade. Times count from the first painted frame. Repeatable.",
        ["00:00:10=great-wave:2s"],
    )
    mask: Path | None = setting(None, "Picture or video whose white parts get the style of --mask-style.", "mask.png")
    mask_style: str | None = setting(
        None, "Style where the mask is white; none leaves the input there.", "udnie", "mask-style"
    )
    codec: str | None = setting(
        None, "h264, hevc, av1, vp9, ffv1 (lossless), prores, ..., or an encoder's name.", "h264"
    )
    crf: int | None = setting(None, "Quality on the encoder's scale; smaller looks better.", 18)
    bitrate: Text = setting(None, "Bits per second instead of a quality: 6M, 800k.", "6M")
    preset: Text = setting(None, "The encoder's preset.", "superfast")
    overwrite: bool = setting(False, "Replace the output if it exists.")
    bundle: Path | None = setting(
        None, "Folder of the model bundle. Not set: the one that comes along.", "bundles/mine"
    )
    backend: str = setting("auto", "Device that paints: auto, cuda or cpu.")
    hardware: Literal["auto", "off"] = setting(
        "auto", "auto decodes and encodes on the card that paints, where it can; off never does."
    )
    as_json: bool = setting(
        False, "Print one JSON object at the end, and nothing else, on standard output.", key="json"
    )
    quiet: bool = setting(False, "Show no progress and no summary.")
    mode: Literal["live", "complete"] | None = setting(
        None,
        "live: hold the frame rate, with less effort or fewer frames where the machine is too slow; complete: paint "
        "every frame in full. Not set: live for live inputs, complete for files.",
        "live",
    )
    fps: Annotated[float | None, above_0("fps")] = setting(
        None, "Frames a second that are held in mode live. Not set: those of the input.", 30.0
    )
    max_latency: Annotated[float | None, above_0("max-latency")] = setting(
        None, "Seconds after which a frame of mode live is too old to be painted.", 0.2, "max-latency"
    )
    on_error: Literal["fail", "pass"] | None = setting(
        None,
        "Where painting fails (an error, an even or frozen picture, a device that hangs): pass lets the frame through "
        "unpainted and tries again, fail ends the run. Not set: pass in mode live, fail in mode complete.",
        "pass",
        "on-error",
    )
    reconnect: Annotated[float | None, at_least_0("reconnect")] = setting(
        None,
        "Seconds to wait for a live input or a receiver that goes away; 0 does not wait, inf always does. Not set: "
        "inf for receivers, and for inputs of live outputs; 0 for inputs that are recorded.",
        60.0,
    )
    slate: Path | None = setting(
        None, "Picture to show while a live input is away. Not set: the last frame stays.", "slate.png"
    )
    follow: Annotated[float | None, above_0("follow")] = setting(
        None, "The input file is still being written: it ends when it has not grown for so many seconds.", 10.0
    )
    resume: bool = setting(
        False, "Keep what is painted if the run is cut off, and go on from there when it is started again."
    )
    stats: bool = setting(False, "Tell once a second on standard error how it goes, in place of the bar; also with -q.")
    trace: Path | None = setting(
        None, "Write what every thread did to this file, for ui.perfetto.dev or chrome://tracing.", "trace.json"
    )
    trace_seconds: float = setting(30.0, "How far back the trace goes, seconds.", key="trace-seconds")
    log: str = setting("text", "Logs on standard error: text, or json with one object a line.")
    log_level: str | None = setting(
        None, "debug, info, warning or error. Not set: warning for text, info for json.", "info", "log-level"
    )


KEYS = {name: field.alias or name for name, field in Config.model_fields.items()}
"""Name of the field to the key in the file."""
STREAMS = "stream"
"""Key of the tables that make a file a config of several streams."""


def load(file: Path | None, flags: Mapping[str, Any]) -> Config:
    """Defaults < ``file`` < ``flags``.  A flag (named like its field) that is None or empty was not given."""
    settings = read(file) if file else {}
    settings |= {KEYS[name]: value for name, value in flags.items() if value is not None and value != []}
    return validated(settings, str(file or ""))


def validated(settings: Mapping[str, Any], where: str) -> Config:
    """The settings, by their keys in a file.  Raises `ConfigError` for one that cannot be; ``where`` is named in it."""
    for key in settings:
        if key not in KEYS.values():
            raise _unknown(where, key)
    try:
        return Config.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        key, problem = str(first["loc"][0]), first["msg"]
        place = f"{where}: " if where else ""
        raise ConfigError(f"{place}{key}: {problem}", "See: allaprima config") from error


def read(file: Path) -> dict[str, Any]:
    """What a TOML file says, unchecked.  Raises `ConfigError`."""
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(
            f"cannot read the config {file}: {error.strerror}", "Print a sample: allaprima config"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{file} is not TOML: {error}", "Print a sample: allaprima config") from error


def _unknown(where: str, key: str) -> ConfigError:
    if key == STREAMS:
        return ConfigError(f"{where} has [[stream]] tables", "Leave IN and OUT out to paint them.")
    near = difflib.get_close_matches(key, KEYS.values(), 1, 0.5)
    hint = f"Did you mean {near[0]}?" if near else f"Known are {', '.join(KEYS.values())}."
    return ConfigError(f"{where}: unknown key {key!r}", hint)


HEAD = """\
# Settings of `allaprima run`; give this file with --config.  Flags win over it.
# A line that begins with "#" and a key is not set: remove the "#" to set it.
#
# A file for several streams ends in a table for each, with in, out and any of these settings; it is started without
# IN and OUT.  "name" is what it is called, "most-fps" how many frames a second it may take.
#   [[stream]]
#   in = "camera:0"
#   out = "window:"
"""


def sample() -> str:
    """A TOML file with every key: the defaults, and where the default is "not set", an example."""
    lines = [HEAD]
    for name, field in Config.model_fields.items():
        unset = field.default is None
        value = (field.examples or [None])[0] if unset else field.default
        lines.append(f"# {field.description}\n{'#' if unset else ''}{KEYS[name]} = {json.dumps(value)}\n")
    return "\n".join(lines)
