"""``allaprima explain``: what bounds a run, and the change that would help."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from allaprima.realtime import logs
from allaprima.realtime.cli_flags import flag
from allaprima.realtime.config import KEYS, load
from allaprima.realtime.errors import AllaprimaError

SECONDS = 10.0


def explain(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="IN", help="As for run.")],
    output: Annotated[str, typer.Argument(metavar="OUT", help="As for run; a file is not written.")],
    seconds: Annotated[float, typer.Option(min=0.5, max=600, metavar="S", help="How long to measure.")] = SECONDS,
    style: Annotated[str | None, flag("style", "NAME", "-s")] = None,
    strength: Annotated[float | None, flag("strength", "0..1")] = None,
    steadiness: Annotated[float | None, flag("steadiness", "0..1")] = None,
    size: Annotated[str | None, flag("size", "WxH")] = None,
    start: Annotated[str | None, flag("start", "T")] = None,
    end: Annotated[str | None, flag("end", "T")] = None,
    mask: Annotated[Path | None, flag("mask", "FILE")] = None,
    mask_style: Annotated[str | None, flag("mask_style", "NAME")] = None,
    codec: Annotated[str | None, flag("codec", "NAME")] = None,
    crf: Annotated[int | None, flag("crf", "N")] = None,
    bitrate: Annotated[str | None, flag("bitrate", "RATE")] = None,
    preset: Annotated[str | None, flag("preset", "NAME")] = None,
    mode: Annotated[str | None, flag("mode", "MODE")] = None,
    fps: Annotated[float | None, flag("fps", "N")] = None,
    bundle: Annotated[Path | None, flag("bundle", "FOLDER")] = None,
    backend: Annotated[str | None, flag("backend", "NAME")] = None,
    hardware: Annotated[str | None, flag("hardware", "auto|off")] = None,
    as_json: Annotated[bool | None, flag("as_json")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="TOML file with the settings of run.")
    ] = None,
) -> None:
    """Measure a run for ten seconds: what bounds it, and the change that would help.

    allaprima explain clip.mp4 out.mp4 --style starry-night
    """
    from allaprima.realtime import explain as measuring
    from allaprima.realtime import verdict as telling
    from allaprima.realtime.steering import Stop

    try:
        settings = load(config, {name: value for name, value in context.params.items() if name in KEYS})
        as_json = settings.as_json
        logs.setup(settings.log, settings.log_level)
        if not as_json and not settings.quiet:
            print(f"measuring for {seconds:g} s, then what might help", file=sys.stderr, flush=True)
        stop = Stop()
        with stop.on_signals():
            found = measuring.explain(source, output, settings, seconds, stop)
    except AllaprimaError as error:
        if as_json:
            told = {"ok": False, "error": str(error), "hint": error.hint, "exit_code": error.exit_code}
            print(json.dumps(told, ensure_ascii=False))
        raise
    print(json.dumps(telling.as_json(found), ensure_ascii=False) if as_json else telling.text(found))
