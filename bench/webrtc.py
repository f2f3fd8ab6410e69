"""What a live stream costs on its way: delay from camera to screen, frames lost, bits, and picture quality.

    python -m allaprima.bench.webrtc [--size 640x360] [--seconds 20] [--swaps 20] [--bundle FOLDER] [--style S]
                                     [--browser | --no-browser] [--json FILE]

The server runs in this process, as ``allaprima serve`` starts it.  The camera's pictures carry a time code, which is
read where the camera is seen, on the server, and again where the painted video is seen.  In Chromium the camera is a
fake one that goes through the page; without a browser an aiortc peer in a process of its own stands in for it.
"""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allaprima.bench import table
from allaprima.bench.results import describe_machine, versions, write_json
from allaprima.realtime import extras
from allaprima.realtime.config import parse_size
from allaprima.realtime.errors import ConfigError
from allaprima.realtime.stylizer import Stylizer

if TYPE_CHECKING:  # they need the extra webrtc
    from allaprima.bench.calls import Result
    from allaprima.bench.sent import Sent

SCHEMA = "allaprima-bench-webrtc/2"


def as_json(result: "Result", qualities: "dict[str, Sent]") -> dict[str, Any]:
    return {
        "caller": result.caller,
        "delay_measured_with": result.code,
        "painted_size": list(result.size) if result.size else None,
        "stretches": {
            name: {what: round(value, 4) for what, value in figures.items()}
            for name, figures in result.stretches.items()
        },
        "quarters_ms": [{"p50": round(p50, 1), "p95": round(p95, 1)} for p50, p95 in result.quarters],
        "legs_ms": {name: {"p50": round(p50, 1), "p95": round(p95, 1)} for name, (p50, p95) in result.legs.items()},
        "stages_ms": {name: round(value, 3) for name, value in result.stages.items()},
        "bars": [bar.as_json() for bar in result.bars],
        "other_load_cores": None if result.other_load is None else round(result.other_load, 2),
        "quality": {
            name: {"psnr": one.psnr, "worst": one.worst, "kbps": one.kbps, "encode_ms": one.milliseconds}
            for name, one in qualities.items()
        },
    }


def show(result: "Result", qualities: "dict[str, Sent]") -> None:
    beside = {bar.what: str(bar) for bar in result.bars}
    names = dict.fromkeys(name for figures in result.stretches.values() for name in figures)
    rows = []
    for name in names:
        cells = (figures.get(name) for figures in result.stretches.values())
        rows.append((name, *("" if cell is None else table.number(cell) for cell in cells), beside.get(name, "")))
    table.plain(f"{result.caller}; delay with {result.code}", ("", *result.stretches, "bar"), rows)
    parts = {f"quarter {number}": part for number, part in enumerate(result.quarters, 1)}
    for title, spans in (("camera to screen over the painted stretch", parts), ("where the delay goes", result.legs)):
        rows = [(name, table.number(p50), table.number(p95)) for name, (p50, p95) in spans.items()]
        table.plain(title, ("ms", "p50", "p95"), rows)
    stages = [(name, table.number(value)) for name, value in result.stages.items()]
    table.plain("on the server, mean over the run", ("stage", "ms a frame"), stages)
    table.warn_of_load(result.other_load)
    quality_rows = [
        (name, *map(table.number, (one.psnr, one.worst, one.kbps, one.milliseconds))) for name, one in qualities.items()
    ]
    columns = ("encoder", "PSNR (dB)", "worst (dB)", "kbit/s", "encode (ms)")
    table.plain("painted pictures at 1280x720 as they arrive", columns, quality_rows)


def main(
    size: Annotated[str, typer.Option(help="WIDTHxHEIGHT of the camera.")] = "640x360",
    seconds: Annotated[float, typer.Option(min=1, help="Length of the painted stretch.")] = 20.0,
    swaps: Annotated[int, typer.Option(min=0, help="Changes of style, one a second.")] = 20,
    bundle: Annotated[Path | None, typer.Option(help="Folder of the model bundle.")] = None,
    style: Annotated[str | None, typer.Option("--style", "-s", help="Not set: the bundle's first.")] = None,
    browser: Annotated[bool | None, typer.Option("--browser/--no-browser", help="Not set: if there is one.")] = None,
    json_file: Annotated[str | None, typer.Option("--json", metavar="FILE", help="- is stdout.")] = None,
) -> None:
    """Measure a live stream on this machine, and print."""
    _require_extra()
    from allaprima.bench import calls, chromium, sent

    with_browser = chromium.BINARY is not None if browser is None else browser
    plan = calls.Plan(parse_size(size), seconds, swaps, style, bundle, with_browser)
    report: dict[str, Any] = {"schema": SCHEMA, "machine": describe_machine(), "versions": versions()}
    manifest = Stylizer(style, bundle=bundle).bundle.manifest
    report["settings"] = {
        "size": size,
        "seconds": seconds,
        "swaps": swaps,
        "style": style or "default",
        "bundle": f"{manifest.name} {manifest.version}",
    }
    result = asyncio.run(calls.measure(plan))
    table.note("picture quality")
    qualities = sent.qualities(style, bundle)
    report |= as_json(result, qualities)
    report["machine"]["load_average_after"] = describe_machine()["load_average"]
    if json_file != "-":
        table.heading(report)
        show(result, qualities)
        loads = (report["machine"]["load_average"], report["machine"]["load_average_after"])
        table.OUT.print(f"Load average of this machine: {loads[0]} before, {loads[1]} after.")
    write_json(report, json_file)


def _require_extra() -> None:
    if not extras.present("webrtc"):
        raise ConfigError("this benchmark needs the extra webrtc, which is not installed", extras.command("webrtc"))


if __name__ == "__main__":
    table.run(main)
