"""The command line.  Heavy modules are loaded inside the commands, so that ``--help`` is quick."""

import io
import json
import logging
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from allaprima.realtime import logs
from allaprima.realtime.cli_bench import bench
from allaprima.realtime.cli_engines import engines
from allaprima.realtime.cli_explain import explain
from allaprima.realtime.cli_flags import flag
from allaprima.realtime.cli_serve import serve
from allaprima.realtime.cli_styles import styles
from allaprima.realtime.config import KEYS, Config, load, sample
from allaprima.realtime.errors import AllaprimaError, ConfigError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from allaprima.realtime.show import Part

logger = logging.getLogger("allaprima.run")
STOPPED = 130
"""Exit code after Ctrl-C, as shells know it."""
UsageError: type[Any] = typer.BadParameter.__mro__[1]  # typer brings its own click, or an older one imports it

app = typer.Typer(
    help="Paint live video: steady neural style transfer with styles that change mid-stream.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.add_typer(styles, name="styles")
app.add_typer(engines, name="engines")
app.command()(serve)
app.command()(explain)
app.command()(bench)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and give the exit code.  A known error is two lines, never a traceback."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # names of files need not be UTF-8; JSON has the same escapes
    try:
        code = app(words, prog_name="allaprima", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except AllaprimaError as error:
        if debug:
            raise
        return _complain(str(error), error.hint, error.exit_code)
    except UsageError as error:
        return _usage(error)
    except (KeyboardInterrupt, typer.Abort):
        return STOPPED
    except BrokenPipeError:  # `allaprima styles | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    finally:
        logs.close()


def _complain(message: str, hint: str, code: int) -> int:
    if logs.as_objects():
        logs.failed(message, hint, code)
        return code
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    if hint:
        print(f"hint: {' '.join(hint.split())}", file=sys.stderr)
    return code


def _usage(error: Any) -> int:
    """What is wrong with the flags, in the same form as any other error."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return 2
    context = error.ctx
    command = context.command_path if context else "allaprima"
    return _complain(error.format_message(), f"See: {command} --help", 2)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"allaprima {version('allaprima')}")
        raise typer.Exit


@app.callback()
def common(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> None:
    """Paint live video: steady neural style transfer with styles that change mid-stream."""


@app.command()
def run(
    context: typer.Context,
    source: Annotated[str | None, typer.Argument(metavar="IN", help="File, URL, camera:0, test:landscape.")] = None,
    output: Annotated[str | None, typer.Argument(metavar="OUT", help="File, URL, window:, vcam:, null:.")] = None,
    style: Annotated[str | None, flag("style", "NAME", "-s")] = None,
    strength: Annotated[float | None, flag("strength", "0..1")] = None,
    steadiness: Annotated[float | None, flag("steadiness", "0..1")] = None,
    size: Annotated[str | None, flag("size", "WxH")] = None,
    start: Annotated[str | None, flag("start", "T")] = None,
    end: Annotated[str | None, flag("end", "T")] = None,
    frames: Annotated[int | None, flag("frames", "N")] = None,
    cue: Annotated[list[str] | None, flag("cue", "CUE")] = None,
    mask: Annotated[Path | None, flag("mask", "FILE")] = None,
    mask_style: Annotated[str | None, flag("mask_style", "NAME")] = None,
    codec: Annotated[str | None, flag("codec", "NAME")] = None,
    crf: Annotated[int | None, flag("crf", "N")] = None,
    bitrate: Annotated[str | None, flag("bitrate", "RATE")] = None,
    preset: Annotated[str | None, flag("preset", "NAME")] = None,
    overwrite: Annotated[bool | None, flag("overwrite")] = None,
    bundle: Annotated[Path | None, flag("bundle", "FOLDER")] = None,
    backend: Annotated[str | None, flag("backend", "NAME")] = None,
    hardware: Annotated[str | None, flag("hardware", "auto|off")] = None,
    as_json: Annotated[bool | None, flag("as_json")] = None,
    quiet: Annotated[bool | None, flag("quiet", short="-q")] = None,
    mode: Annotated[str | None, flag("mode", "live|complete")] = None,
    fps: Annotated[float | None, flag("fps", "N")] = None,
    max_latency: Annotated[float | None, flag("max_latency", "SECONDS")] = None,
    on_error: Annotated[str | None, flag("on_error", "fail|pass")] = None,
    reconnect: Annotated[float | None, flag("reconnect", "SECONDS")] = None,
    slate: Annotated[Path | None, flag("slate", "FILE")] = None,
    follow: Annotated[float | None, flag("follow", "SECONDS")] = None,
    resume: Annotated[bool | None, flag("resume")] = None,
    stats: Annotated[bool | None, flag("stats")] = None,
    trace: Annotated[Path | None, flag("trace", "FILE")] = None,
    trace_seconds: Annotated[float | None, flag("trace_seconds", "S")] = None,
    log: Annotated[str | None, flag("log", "FORMAT")] = None,
    log_level: Annotated[str | None, flag("log_level", "LEVEL")] = None,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="TOML file with these settings, or with [[stream]] tables too."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Start more live streams than this machine can paint at frame rate.")
    ] = False,
) -> None:
    """Paint IN into OUT, or all streams of a config.

    allaprima run clip.mp4 out.mp4 --style starry-night; allaprima run --config show.toml
    """
    given = {name: value for name, value in context.params.items() if name in KEYS}
    logs.setup(log or "text", log_level)
    try:
        if source is None and config is not None:
            from allaprima.realtime import show

            settings, streams = show.parts(config, given)
            as_json = settings.as_json
            logs.setup(settings.log, settings.log_level)
            interrupted = _paint_all(settings, streams, force)
        else:
            source, output = _needed("IN", source), _needed("OUT", output)
            settings = load(config, given)
            as_json = settings.as_json
            logs.setup(settings.log, settings.log_level)
            interrupted = _paint(source, output, settings)
    except AllaprimaError as error:
        if as_json:
            _print_json(_failure(error))
        raise
    except KeyboardInterrupt:
        if as_json:
            _print_json({"ok": False, "error": "stopped at once", "hint": "", "exit_code": STOPPED})
        print(logs.notice("stopped at once").decode().strip(), file=sys.stderr)
        interrupted = True
    if interrupted:
        raise typer.Exit(STOPPED)


def _paint(source: str, output: str, settings: Config) -> bool:
    """Paint and tell; True when a signal ended it."""
    from allaprima.realtime import job, report, stats, steering, trace

    trace.check(settings.trace, settings.trace_seconds)
    stop = steering.Stop()
    work = job.Job(source, output, settings, stop)
    about = {"stream": work.info.name, "style": str(work.stylizer.style)}
    logger.info("painting %s", work.info.name, extra=about)
    bar = not (settings.quiet or settings.stats or logs.as_objects())
    try:
        with (
            stop.on_signals(),
            report.display(not bar) as show,
            stats.of_run(settings.stats) as tell,
            trace.of_run(settings.trace, settings.trace_seconds, work.info.name, work.stylizer.stages) as note,
        ):
            outcome = work.paint(report.all_of(show, tell, note))
    except job.Failed as error:
        if not settings.quiet and not settings.as_json:
            print(report.summary(error.outcome))
        raise
    figures = {"frames": outcome.progress.painted, "fps": round(outcome.progress.fps, 2)}
    logger.info("stopped" if outcome.progress.stopped else "done", extra=about | {"figures": figures})
    if settings.as_json:
        _print_json(report.as_json(outcome))
    elif not settings.quiet:
        print(report.summary(outcome))
    return outcome.interrupted


def _paint_all(settings: Config, streams: "Sequence[Part]", force: bool) -> bool:
    """Paint all streams of a config and tell; True when a signal ended it.  Exits with the code of the worst."""
    from allaprima.realtime import show, steering

    stop = steering.Stop()
    with stop.on_signals():
        results = show.run(settings, streams, stop, force)
    if settings.as_json:
        _print_json(show.as_json(results))
    elif not settings.quiet:
        print(show.summary(results))
    worst = max(0 if result.error is None else result.exit_code for result in results)
    if worst:
        raise typer.Exit(worst)
    return stop.signalled


def _needed(name: str, given: str | None) -> str:
    if given is None:
        raise ConfigError(f"Missing argument {name!r}", "See: allaprima run --help")
    return given


def _failure(error: AllaprimaError) -> dict[str, Any]:
    from allaprima.realtime import job, report

    done = report.as_json(error.outcome) if isinstance(error, job.Failed) else {}
    return done | {"ok": False, "error": str(error), "hint": error.hint, "exit_code": error.exit_code}


def _print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False))


@app.command()
def config() -> None:
    """Print a sample config with all defaults.

    allaprima config > paint.toml; allaprima run IN OUT --config paint.toml
    """
    print(sample(), end="")


@app.command()
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    probe: Annotated[bool, typer.Option("--probe", help="Also paint for a second and time it.")] = False,
) -> None:
    """Show what this machine can do, and what would add what is missing."""
    from allaprima.realtime import doctor

    findings = doctor.examine(probe)
    if as_json:
        _print_json(doctor.as_json(findings))
    else:
        doctor.show(findings)
