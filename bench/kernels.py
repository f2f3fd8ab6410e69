"""How fast the CUDA kernels are: each op against a copy of as many bytes, and all of a frame together.

    python -m allaprima.bench.kernels [--size 1920x1080] [--only warp] [--floor] [--json FILE]

An op is called on one set of arrays after the other, together larger than the cache, so that it finds nothing there.
Many such calls are one CUDA graph, which is how the engine launches them; its time, by the device's own clock,
divided by the calls is one value, and the median of many is shown.  Needs a GPU, except for ``--floor``.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer

from allaprima.bench import clips, table
from allaprima.bench.kernel_cases import CASES, FLOW, GLUE, OTHER, Call, Case, Inputs, Sizes, Work
from allaprima.bench.results import Bar, Spread, describe_machine, versions, write_json
from allaprima.kernels import cuda
from allaprima.realtime.config import parse_size
from allaprima.realtime.errors import BackendUnavailable, ConfigError

SCHEMA = "allaprima-bench-kernels/1"
SIZES = ("1920x1080", "3840x2160")
SHARE_BARS = {(1920, 1080): 0.6, (3840, 2160): 0.8}
"""Least share of the copy's speed, of an op that moves whole pictures and does little else."""
FLOW_BARS, GLUE_BARS = {(1920, 1080): 400.0}, {(1920, 1080): 300.0}
"""Microseconds of a frame."""
COPIED = 1 << 28
"""Bytes of the copy that others are compared with."""
OVER_CACHE = 2
"""How many times the cache the sets of arrays fill."""
FEWEST_SETS, MOST_SETS = 2, 256
ROOM = 0.5
"""Share of the device's memory that the sets may take."""
TRIALS, WARM_UP = 50, 5
LEAST_CALLS = 32
"""Of one graph: starting it takes a few microseconds."""
FLOOR_GBS = 3350.0
"""What ``--floor`` reckons with: the memory of an H100 SXM, as its maker states it."""
HINT = "install allaprima[cuda] on a machine with an NVIDIA GPU; --floor needs none"

Note = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Timing:
    """Of one op at one size."""

    case: Case
    us: Spread
    """Microseconds."""
    sets: int
    """Of arrays, used in turn."""
    work: Work

    @property
    def speed(self) -> float:
        """GB/s."""
        return self.work.bytes / self.us.median / 1e3

    def as_json(self) -> dict[str, Any]:
        found = {"op": self.case.name, "part": self.case.part, "microseconds": self.us.as_json(), "sets": self.sets}
        return found | self.work._asdict() | {"gb_per_s": round(self.speed, 1)}


@dataclass(slots=True)
class SizeResult:
    """All ops at one size, and the copy they are compared with."""

    size: clips.Size
    copy: Timing
    timings: list[Timing] = field(default_factory=list)

    def share(self, timing: Timing) -> float:
        return timing.speed / self.copy.speed

    def a_frame(self, part: str) -> tuple[float, int]:
        """Microseconds and launches of a part of the frame; 0 where not all its ops were timed."""
        found = [timing for timing in self.timings if timing.case.part == part]
        if len(found) < sum(case.part == part for case in CASES):
            return 0.0, 0
        return sum(timing.us.median for timing in found), sum(timing.work.launches for timing in found)

    def bars(self) -> list[Bar]:
        found = []
        if (least := SHARE_BARS.get(self.size)) is not None:
            found += [Bar(t.case.name, self.share(t), least, True) for t in self.timings if t.case.memory_bound]
        for part, limits in ((FLOW, FLOW_BARS), (GLUE, GLUE_BARS)):
            us, _ = self.a_frame(part)
            if us and self.size in limits:
                found.append(Bar(f"{part} of a frame", us, limits[self.size], False, " us"))
        return found

    def as_json(self) -> dict[str, Any]:
        sums = {part: self.a_frame(part) for part in (GLUE, FLOW)}
        return {
            "size": list(self.size),
            "copy": self.copy.as_json(),
            "ops": [timing.as_json() | {"share_of_copy": round(self.share(timing), 3)} for timing in self.timings],
            "a_frame": {
                part: {"microseconds": round(us, 2), "launches": launches} for part, (us, launches) in sums.items()
            },
            "bars": [bar.as_json() for bar in self.bars()],
        }


# ---- the device ----


@dataclass(frozen=True, slots=True)
class Device:
    """What the timing needs to know of it."""

    name: str
    driver: str
    runtime: str
    """Versions of CUDA."""
    cache: int
    memory: int
    """Bytes."""

    @classmethod
    def current(cls) -> "Device":
        """Raises `BackendUnavailable` where there is none."""
        try:
            runtime = cuda.cupy().cuda.runtime
            count = runtime.getDeviceCount()
        except ImportError as error:
            raise BackendUnavailable("CuPy is not installed", HINT) from error
        except RuntimeError as error:  # no driver, or one that is too old
            raise BackendUnavailable(f"no CUDA device: {error}", HINT) from error
        if not count:
            raise BackendUnavailable("no CUDA device", HINT)
        found = runtime.getDeviceProperties(runtime.getDevice())
        name = f"{found['name'].decode()} (sm_{found['major']}{found['minor']})"
        numbers = (runtime.driverGetVersion(), runtime.runtimeGetVersion())
        driver, version = (f"{number // 1000}.{number % 1000 // 10}" for number in numbers)
        return cls(name, driver, version, found["l2CacheSize"], found["totalGlobalMem"])


def set_count(size: int, device: Device) -> int:
    """How many sets of arrays of ``size`` bytes are taken in turn."""
    wanted = math.ceil(OVER_CACHE * device.cache / size) + 1
    fits = int(ROOM * device.memory / size)
    return max(FEWEST_SETS, min(wanted, fits, MOST_SETS))


def prepared(case: Case, sizes: Sizes, device: Device) -> list[Call]:
    """A call for each set of arrays."""
    inputs = Inputs()
    calls = [case.prepare(inputs, sizes)]
    return calls + [case.prepare(inputs.again(), sizes) for _ in range(set_count(inputs.bytes, device) - 1)]


def timed(calls: Sequence[Call]) -> Spread:
    """Microseconds of a call."""
    cp = cuda.cupy()
    stream = cp.cuda.Stream(non_blocking=True)
    for call in calls:  # compiles, which cannot be captured
        call(stream)
    stream.synchronize()
    rounds = math.ceil(LEAST_CALLS / len(calls))
    stream.begin_capture()
    for call in rounds * [*calls]:
        call(stream)
    graph = stream.end_capture()
    events = [(cp.cuda.Event(), cp.cuda.Event()) for _ in range(TRIALS)]
    for _ in range(WARM_UP):
        graph.launch(stream)
    for start, end in events:
        start.record(stream)
        graph.launch(stream)
        end.record(stream)
    stream.synchronize()
    return Spread.of(1e3 * cp.cuda.get_elapsed_time(start, end) / (rounds * len(calls)) for start, end in events)


def measure(case: Case, sizes: Sizes, device: Device) -> Timing:
    calls = prepared(case, sizes, device)
    return Timing(case, timed(calls), len(calls), case.work(sizes))


def measure_size(size: clips.Size, cases: Sequence[Case], device: Device, note: Note) -> SizeResult:
    sizes = Sizes(size)
    result = SizeResult(size, measure(COPY, sizes, device))
    for case in cases:
        note(f"{clips.text(size)}: {case.name}")
        result.timings.append(measure(case, sizes, device))
    return result


def _copy(inputs: Inputs, _: Sizes) -> Call:
    given, out = (inputs.empty((COPIED,), "uint8") for _ in range(2))
    on_device = 3  # cudaMemcpyDeviceToDevice
    copy = cuda.cupy().cuda.runtime.memcpyAsync
    return lambda stream: copy(out.data.ptr, given.data.ptr, COPIED, on_device, stream.ptr)


COPY = Case("copy", _copy, lambda _: Work(2 * COPIED, 0, 1))


# ---- the command ----


def chosen(only: str) -> list[Case]:
    """Those with ``only`` in their names."""
    found = [case for case in CASES if only in case.name]
    if not found:
        raise ConfigError(f"no op has {only!r} in its name", f"there are: {', '.join(case.name for case in CASES)}")
    return found


def show(result: SizeResult) -> None:
    beside = {bar.what: str(bar) for bar in result.bars()}
    columns = ("", "us", "min", "max", "MB", "GB/s", "of copy", "launches", "a frame", "bar")
    rows = [
        (
            timing.case.name,
            *(table.number(us) for us in (timing.us.median, timing.us.least, timing.us.most)),
            table.number(timing.work.bytes / 1e6),
            table.number(timing.speed),
            f"{result.share(timing):.0%}",
            str(timing.work.launches),
            timing.case.part if timing.case.part != OTHER else "",
            beside.get(timing.case.name, ""),
        )
        for timing in (result.copy, *result.timings)
    ]
    for part in (GLUE, FLOW):
        us, launches = result.a_frame(part)
        name = f"{part} of a frame"
        if us:
            rows.append((name, table.number(us), "", "", "", "", "", str(launches), "", beside.get(name, "")))
    table.plain(clips.text(result.size), columns, rows)


def show_floor(sizes: Sizes, cases: Sequence[Case]) -> None:
    """What each op must move and compute, and how long that takes at best."""
    rows = [_floor(case.name, case.work(sizes), case.part) for case in cases]
    for part in (GLUE, FLOW):
        works = [case.work(sizes) for case in cases if case.part == part]
        if works:
            rows.append(_floor(f"{part} of a frame", Work(*map(sum, zip(*works, strict=True)))))
    columns = ("", "MB", "MFLOP", "launches", f"us at {FLOOR_GBS:g} GB/s", "a frame")
    table.plain(f"{clips.text(sizes.picture)}, the least there is to do", columns, rows)


def _floor(name: str, work: Work, part: str = OTHER) -> tuple[str, ...]:
    moved, counted, took = (table.number(n) for n in (work.bytes / 1e6, work.flops / 1e6, work.bytes / FLOOR_GBS / 1e3))
    return name, moved, counted, str(work.launches), took, part if part != OTHER else ""


def main(
    size: Annotated[list[str] | None, typer.Option(help="WIDTHxHEIGHT of the video; repeatable.")] = None,
    only: Annotated[str, typer.Option(metavar="NAME", help="Ops with this in their name.")] = "",
    floor: Annotated[bool, typer.Option("--floor", help="Bytes and FLOPs only; needs no GPU.")] = False,
    as_json: Annotated[str | None, typer.Option("--json", metavar="FILE", help="- is stdout.")] = None,
) -> None:
    """Time every op, and what a frame takes besides the nets."""
    pictures, cases = [parse_size(text) for text in size or SIZES], chosen(only)
    if floor:
        for picture in pictures:
            show_floor(Sizes(picture), cases)
        return
    device = Device.current()
    report = {
        "schema": SCHEMA,
        "machine": describe_machine(),
        "versions": versions() | {"cupy": cuda.cupy().__version__},
        "settings": {"device": device.name, "trials": TRIALS, "driver": device.driver, "runtime": device.runtime},
    }
    results = [measure_size(picture, cases, device, table.note) for picture in pictures]
    report["sizes"] = [result.as_json() for result in results]
    if as_json != "-":
        table.heading(report)
        for result in results:
            show(result)
    write_json(report, as_json)


if __name__ == "__main__":
    table.run(main)
