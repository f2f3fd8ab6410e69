"""What a result of `allaprima bench` is: the schema of `bench/results/bench-*.json`, versioned and validated.

A figure that was not verified is not left out: its case says in `invalid` why it does not count.
"""

import json
import re
import statistics
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from allaprima.realtime.errors import ConfigError

SCHEMA = "allaprima-bench/1"
RESULTS = Path(__file__).resolve().parent / "results"
PATTERN = "bench-*.json"

Size = tuple[Annotated[int, Field(ge=16, le=16384)], Annotated[int, Field(ge=16, le=16384)]]
"""Width and height in pixels."""
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0)]
"""1 is all of it; more cannot be, except of the copy bandwidth by what stays in caches, and makes a case invalid."""


class Part(BaseModel):
    """Nothing unknown, nothing infinite, nothing changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Trials(Part):
    """What repeated trials gave; nothing is thrown away."""

    median: NotNegative
    min: NotNegative
    max: NotNegative
    trials: Annotated[tuple[NotNegative, ...], Field(min_length=1)]

    @classmethod
    def of(cls, values: Iterable[float]) -> "Trials":
        shown = tuple(round(float(value), 4) for value in values)
        return cls(median=round(statistics.median(shown), 4), min=min(shown), max=max(shown), trials=shown)

    @property
    def spread(self) -> float:
        """From the least to the most, as a share of the median."""
        return (self.max - self.min) / self.median if self.median else 0.0


class Machine(Part):
    cpu: str
    features: tuple[str, ...]
    """Instruction sets that decide how quickly nets run."""
    cores: Annotated[int, Field(ge=1)]
    memory_gb: Positive | None = None
    gpus: tuple[str, ...]
    system: str
    time: Annotated[str, Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")]


class Conditions(Part):
    """What the machine did besides while something was measured; None where it does not say."""

    other_load_cores: NotNegative | None = None
    """Cores that other programs took, on average."""
    stolen_cores: NotNegative | None = None
    """Cores that the host gave to others, on a virtual machine."""
    clock_mhz: tuple[Positive, Positive] | None = None
    """Least and most of all cores' clocks that were seen; of the card for a GPU."""
    temperature_c: tuple[float, float] | None = None
    throttled: bool | None = None
    watts: Positive | None = None
    watts_of: Literal["package", "gpu"] | None = None
    """RAPL's package, or the card by NVML."""


class Latency(Part):
    """Milliseconds from the time a live source had a frame until the sink had it painted."""

    p50: NotNegative
    p95: NotNegative
    p99: NotNegative


class Bound(Part):
    """A stage against the ceilings measured in the same run (Williams, Waterman and Patterson 2009)."""

    stage: str
    ms: NotNegative
    gflop: NotNegative
    """Floating-point operations a frame (a multiply-add is two), in 10^9."""
    megabytes: NotNegative
    """That must at least travel from and to memory a frame, in 10^6."""
    of_matrix_rate: Share
    of_copy_bandwidth: Share
    bound_by: Literal["matrix rate", "copy bandwidth", "neither"]
    """The nearer ceiling, if it is nearer than a quarter of it: else latency, threads, or code."""


class Case(Part):
    """One layer at one size."""

    layer: Literal["nets", "engine", "file", "live"]
    """The nets alone; upload to download; a file to a file; a live source to a sink."""
    size: Size
    backend: str
    precision: str
    style: str
    streams: Annotated[int, Field(ge=1)] = 1
    frames: Annotated[int, Field(ge=1)]
    """In each trial, of each stream."""
    fps: Trials
    """Of all streams together."""
    mpx_s: NotNegative
    """Millions of pixels a second, at the median; 0 in a case that could not be measured."""
    ms: Trials | None = None
    """A frame, wall time; None where stages overlap."""
    stages_ms: dict[str, Trials] = {}
    core_ms: Trials | None = None
    """Milliseconds of all cores together, a frame."""
    first_frame_s: Trials | None = None
    """From the start of the command to the first painted frame in a finished file."""
    first_start_s: Trials | None = None
    """The same of the first start ever: nothing lies in the cache."""
    latency_ms: Latency | None = None
    drops: Annotated[int, Field(ge=0)] | None = None
    """Of a live case, in all trials."""
    source_fps: Positive | None = None
    """Frames a second that the source of a live case gives."""
    effort: str | None = None
    """The governor's step at which most frames of a live case were painted."""
    painted_share: Annotated[float, Field(ge=0, le=1)] | None = None
    """Of the frames a live case has shown: those that the net has painted, not carried or let through."""
    rss_mb: Positive | None = None
    """Peak of the measured process."""
    vram_mb: Positive | None = None
    flicker: NotNegative | None = None
    """Root of E_warp (Lai et al. 2018) over that of painting frame by frame."""
    sharpness: NotNegative | None = None
    """At half size, over that of painting frame by frame."""
    bounds: tuple[Bound, ...] = ()
    conditions: Conditions
    invalid: tuple[str, ...] = ()
    """Why this case does not count; nothing here is what makes it valid."""


class Ceilings(Part):
    """What this machine can do at most, measured in the same run."""

    copy_gb_s: Trials
    """Memory to memory, bytes read and written, in 10^9 a second."""
    gflop_s: dict[str, Trials]
    """Matrix products by precision ("bf16", "f32", "fp16"), in 10^9 a second."""
    cache_gb_s: Trials | None = None
    """The same copy where all of it stays in the caches next to the cores."""
    cache_mb: Positive | None = None
    """Of the last cache before memory, in 10^6 bytes."""
    other_load_cores: NotNegative | None = None
    """Cores that other programs and the host took meanwhile."""


class Point(Part):
    x: Positive
    """Of what the scale runs over; pixels in millions."""
    ms: Positive
    """Wall time a frame of one stream."""
    fps: Positive
    """Of all streams together."""
    core_ms: NotNegative | None = None
    rss_mb: Positive | None = None
    invalid: tuple[str, ...] = ()


class Scale(Part):
    """The cost of more of one thing."""

    over: Literal["pixels", "streams", "styles", "channels"]
    layer: Literal["nets", "engine"]
    points: tuple[Point, ...]
    knee: Positive | None = None
    """The x from which on more costs clearly more than in proportion, or gains nothing; None where there is none."""
    says: str
    """The finding in one sentence."""


class Rival(Part):
    """What a user would pick instead, frame by frame on the same frames in the same run."""

    name: str
    """As the report shows it: "pytorch/examples in PyTorch, compiled"."""
    instead_of: Literal["nets", "engine", "temporal"]
    """What of ours it stands beside."""
    size: Size
    ms: Trials | None = None
    ours_ms: Trials | None = None
    times: Trials | None = None
    """Theirs over ours, of trials that took turns: above 1, ours is faster."""
    absent: str | None = None
    """Why it could not be measured."""
    about: str = ""
    """Versions, devices, precisions and threads of both."""
    note: str = ""
    """What is not alike."""


class Result(Part):
    """One run on one machine."""

    schema_: Annotated[Literal["allaprima-bench/1"], Field(alias="schema")] = SCHEMA
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    """Of the device, as the file is called: "xeon-amx-2core"."""
    machine: Machine
    versions: dict[str, str]
    settings: dict[str, str | float | int | bool]
    ceilings: Ceilings
    cases: tuple[Case, ...]
    scales: tuple[Scale, ...] = ()
    rivals: tuple[Rival, ...] = ()
    conditions: Conditions
    """Over the whole run."""
    seconds: Positive
    """That it took."""


def schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a result."""
    return Result.model_json_schema(by_alias=True, mode="validation")


def parse(text: str, origin: str) -> Result:
    """A result from JSON; raises `ConfigError` that names ``origin`` and the first field that is wrong."""
    try:
        return Result.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"]) or "the file"
        raise ConfigError(f"{origin}: {place}: {first['msg']}", "Write it with: allaprima bench --json FILE") from error


def read(file: Path) -> Result:
    try:
        return parse(file.read_text(encoding="utf-8"), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {file}: {error}") from error


def read_all(folder: Path = RESULTS) -> list[Result]:
    """Every result of the catalogue, by name; a file must carry the name of its device."""
    found = []
    for file in sorted(folder.glob(PATTERN)):
        result = read(file)
        if file.name != f"bench-{result.name}.json":
            raise ConfigError(f"{file} is of the device {result.name!r}", f"Call it bench-{result.name}.json")
        found.append(result)
    return found


def dump(result: Result) -> str:
    """As it stands in a file: unknowns left out, ends with a newline."""
    return json.dumps(result.model_dump(mode="json", by_alias=True, exclude_none=True), indent=1) + "\n"


def slug(text: str) -> str:
    """A device's name for a file: "Intel(R) Xeon(R), 2 cores" becomes "intel-xeon-2-cores"."""
    return re.sub(r"[^a-z0-9]+", "-", re.sub(r"\((r|tm)\)", " ", text.lower())).strip("-")[:63] or "unknown"
