"""The command line.  Heavy modules are loaded inside the commands, so that ``--help`` is quick."""

import json
import os
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from allaprima.realtime.cli_serve import serve
from allaprima.realtime.cli_styles import styles
from allaprima.realtime.config import KEYS, Config, load, sample
from allaprima.realtime.errors import AllaprimaError

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
app.command()(serve)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and give the exit code.  A known error is two lines, never a traceback."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    words = [word for word in words if word != "--debug"]
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


def _complain(message: str, hint: str, code: int) -> int:
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


def flag(field: str, metavar: str | None = None, short: str | None = None) -> Any:
    """The flag of a setting; its help is the setting's description."""
    setting, key = Config.model_fields[field], KEYS[field]
    long = f"--{key}/--no-{key}" if setting.annotation is bool else f"--{key}"
    names = [name for name in (short, long) if name]
    return typer.Option(*names, metavar=metavar, help=setting.description, show_default=False)


@app.command()
def run(
    context: typer.Context,
    source: Annotated[str, typer.Argument(metavar="IN", help="File, URL, camera:0, test:landscape.")],
    output: Annotated[str, typer.Argument(metavar="OUT", help="File, URL, window:, vcam:, null:.")],
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
    as_json: Annotated[bool | None, flag("as_json")] = None,
    quiet: Annotated[bool | None, flag("quiet", short="-q")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="TOML file with any of these settings.")
    ] = None,
) -> None:
    """Paint IN into OUT.

    allaprima run clip.mp4 out.mp4 --style starry-night
    """
    given = {name: value for name, value in context.params.items() if name in KEYS}
    try:
        settings = load(config, given)
        as_json = settings.as_json
        interrupted = _paint(source, output, settings)
    except AllaprimaError as error:
        if as_json:
            _print_json(_failure(error))
        raise
    except KeyboardInterrupt:
        if as_json:
            _print_json({"ok": False, "error": "stopped at once", "hint": "", "exit_code": STOPPED})
        print("stopped at once", file=sys.stderr)
        interrupted = True
    if interrupted:
        raise typer.Exit(STOPPED)


def _paint(source: str, output: str, settings: Config) -> bool:
    """Paint and tell; True when a signal ended it."""
    from allaprima.realtime import job, report, steering

    stop = steering.Stop()
    work = job.Job(source, output, settings, stop)
    try:
        with stop.on_signals(), report.display(settings.quiet) as on_frame:
            outcome = work.paint(on_frame)
    except job.Failed as error:
        if not settings.quiet and not settings.as_json:
            print(report.summary(error.outcome))
        raise
    if settings.as_json:
        _print_json(report.as_json(outcome))
    elif not settings.quiet:
        print(report.summary(outcome))
    return outcome.interrupted


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
