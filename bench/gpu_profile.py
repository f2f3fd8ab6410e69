"""Where a frame's time goes on a card: each kernel and copy of it, for `bench.gpu_check`.

By CUPTI, which torch's profiler brings along and which sees every kernel of the process, ours and those inside CUDA
graphs; where that is not to be had, by an event before and after each of our launches, kernel by kernel.
"""

import json
import statistics
import tempfile
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from allaprima.bench.gpu_painter import Found, Painter, Size, frames, paced, summed, text

FRAMES, WARM_UP = 40, 20
SHOWN = 14
"""Kernels that are named, those that take longest; of all there are sums."""
KINDS = {"kernel": "kernels", "gpu_memcpy": "copies", "gpu_memset": "copies"}
"""Of events in the trace, as Kineto calls what ran on the card."""

Row = tuple[str, str, float, float]
"""What it is ("ours", "nets", "copies"), its name, microseconds and calls in a frame."""


def profile(size: Size = (1920, 1080), count: int = FRAMES) -> Found:
    """Of a frame from host memory to host memory."""
    pictures = frames(size)
    painter = Painter(size)
    paced(painter, pictures, WARM_UP)
    ms = summed(paced(painter, pictures, count))["p50_ms"]
    rows, busy = traced(lambda: paced(painter, pictures, count), count)
    painter.backend.close()
    how = "CUPTI, by torch's profiler"
    if not rows:
        how, rows, busy = (
            "events around launches, one by one: torch's profiler saw nothing",
            launched(size, count),
            None,
        )
    shown: dict[str, Any] = {"by": how, "frame, ms": ms}
    if busy is not None:
        shown["the card is busy, share"] = busy
    for kind in dict.fromkeys(kind for kind, *_ in rows):
        shown[f"{kind}, us"] = sum(us for each, _, us, _ in rows if each == kind)
    slowest = sorted(rows, key=lambda row: -row[2])[:SHOWN]
    kernels = {f"{kind}: {name}": {"us": us, "calls": calls} for kind, name, us, calls in slowest}
    return Found({text(size): shown, "slowest": kernels})


# ---- CUPTI ----


def traced(work: Callable[[], Any], count: int) -> tuple[list[Row], float | None]:
    """What ran on the card while ``count`` frames were painted; nothing where nobody can tell."""
    try:
        from torch.profiler import ProfilerActivity
        from torch.profiler import profile as record
    except ImportError:
        return [], None
    with warnings.catch_warnings(), tempfile.TemporaryDirectory() as folder:
        warnings.simplefilter("ignore")  # of a torch without CUDA, which then sees nothing
        file = Path(folder) / "trace.json"
        try:
            with record(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
                work()
            seen.export_chrome_trace(str(file))
            found = json.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, RuntimeError):  # CUPTI that may not be used, a trace of nothing
            return [], None
    return summed_up(found.get("traceEvents", []), count)


def summed_up(events: Iterable[Mapping[str, Any]], count: int) -> tuple[list[Row], float | None]:
    """By name, in a frame; and the share of the time from the first to the last in which the card did anything."""
    ours = own_names()
    totals: dict[tuple[str, str], list[float]] = {}
    spans = []
    for event in events:
        kind = KINDS.get(str(event.get("cat")))
        if kind is None or event.get("ph") != "X":
            continue
        name = short(str(event["name"]))
        kind = kind if kind == "copies" else "ours" if name.partition("<")[0] in ours else "nets"
        total = totals.setdefault((kind, name), [0.0, 0.0])
        total[0] += event["dur"]
        total[1] += 1
        spans.append((event["ts"], event["ts"] + event["dur"]))
    rows = [(*key, us / count, calls / count) for key, (us, calls) in totals.items()]
    return rows, share_busy(spans)


def share_busy(spans: Iterable[tuple[float, float]]) -> float | None:
    """Of the time from the first start to the last end; what overlaps counts once."""
    ordered = sorted(spans)
    if not ordered:
        return None
    busy, until = 0.0, ordered[0][0]
    for start, end in ordered:
        busy += max(end - max(start, until), 0.0)
        until = max(until, end)
    return busy / (until - ordered[0][0]) if until > ordered[0][0] else None


def short(name: str) -> str:
    """A kernel's name without what C++ puts around it: ``void warp<float, 1>(...)`` becomes ``warp<float, 1>``."""
    name = name.removeprefix("void ").removeprefix("(anonymous namespace)::")
    depth = 0
    for at, letter in enumerate(name):
        depth += (letter == "<") - (letter == ">")
        if letter == "(" and not depth and at:
            name = name[:at].rstrip()
            break
    return name if len(name) <= 60 else name[:57] + "..."


def own_names() -> set[str]:
    """What our kernels are called."""
    from allaprima.bench.registers import modules

    return {expression.partition("<")[0] for module in modules() for expression in module.expressions}


# ---- events ----


def launched(size: Size, count: int) -> list[Row]:
    """Each launch between two events; a short kernel seems longer than it is by the gap between launches."""
    from allaprima.kernels.cuda import Module, cupy

    cp = cupy()
    painter, pictures, launch = Painter(size, graphs=False), frames(size), Module.launch
    paced(painter, pictures, WARM_UP)
    runtime = painter.net.runtime
    enqueue, taken = runtime.enqueue, []

    def between(kind: str, name: str, stream: Any, work: Callable[[], Any]) -> None:
        start, end = cp.cuda.Event(), cp.cuda.Event()
        start.record(stream)
        work()
        end.record(stream)
        taken.append((kind, name, start, end))

    def timed(
        self: Any, expression: str, grid: Any, block: Any, args: Any, stream: Any = None, shared: int = 0
    ) -> None:
        between("ours", expression, stream, lambda: launch(self, expression, grid, block, args, stream, shared))

    Module.launch = timed  # type: ignore[method-assign]
    runtime.enqueue = lambda: between("nets", runtime.name, painter.backend._main, enqueue)
    try:
        paced(painter, pictures, count)
    finally:
        Module.launch = launch  # type: ignore[method-assign]
        runtime.enqueue = enqueue
    spent: dict[tuple[str, str], list[float]] = {}
    for kind, name, start, end in taken:
        spent.setdefault((kind, name), []).append(1e3 * cp.cuda.get_elapsed_time(start, end))
    painter.backend.close()
    return [(*key, statistics.median(us) * len(us) / count, len(us) / count) for key, us in spent.items()]
