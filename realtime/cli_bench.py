"""``allaprima bench``: how fast this machine paints, in figures that can be believed."""

import importlib
from pathlib import Path
from typing import Annotated

import typer


def bench(
    size: Annotated[
        list[str] | None, typer.Option(metavar="WxH", help="Repeatable. Not set: 360, 720, 1080 and 2160 lines.")
    ] = None,
    layer: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="nets, engine, file or live; repeatable. Not set: all.")
    ] = None,
    style: Annotated[
        str | None, typer.Option("--style", "-s", metavar="NAME", help="Not set: the first of the bundle.")
    ] = None,
    backend: Annotated[str, typer.Option(metavar="NAME", help="Device that paints: auto, cuda or cpu.")] = "auto",
    precision: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of the nets: bf16 or f32 on a CPU, fp16 on a card.")
    ] = None,
    streams: Annotated[
        str | None, typer.Option(metavar="N,N", help="Also so many streams at once, at the first size: 1,2,4,8.")
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, max=600, metavar="S", help="How long to measure each case.")
    ] = None,
    trials: Annotated[int, typer.Option(min=1, max=100, help="How often to measure each case; 3 are the least.")] = 3,
    scales: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help="Also what more costs: pixels, streams, styles, channels or all; repeatable."
        ),
    ] = None,
    against: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Also a rival beside it, or all of them; repeatable.")
    ] = None,
    bundle: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="The model bundle. Not set: the one that comes along.")
    ] = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Of this device in the result.")] = None,
    as_json: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write the result; - is standard output, for it alone.")
    ] = None,
    compare: Annotated[
        str | None, typer.Option(metavar="FILE", help="Tell what is faster or slower than in this result.")
    ] = None,
) -> None:
    """Measure how fast this machine paints; without flags the headline, in three minutes.

    allaprima bench --size 1280x720 --json result.json
    """
    cli = importlib.import_module("allaprima.bench.cli")  # what measures is no part of what is measured

    plan = cli.plan(
        sizes=size or (),
        layers=layer or (),
        style=style,
        backend=backend,
        precision=precision,
        bundle=bundle,
        streams=streams,
        seconds=seconds,
        trials=trials,
        scales=scales or (),
        against=against or (),
        name=name,
    )
    cli.main(plan, as_json, compare)
