"""Everything that is to be known of a card, in one command on a machine that has little more than CuPy and torch.

    python bench/gpu_check.py NAME [--site FOLDER] [--clip FILE] [--only PART ...] [--again] [--minutes 8]

Runs its parts one after the other, those worth most first, each in a process of its own with a limit of time, and all
within eight minutes: what is over by then is cut, and says so.  What is known after each part lies in
`bench/results/gpu-check-NAME.json`, and as one page in `gpu-check-NAME.md`; the same command goes on where the last
one ended.  A part that cannot run says why.  ``--site`` is a folder of packages, or of wheels, that were carried here,
``--clip`` a film to paint.  Nothing is imported in this process but Python's own library, and the package need not be
installed.
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results"
SCHEMA = "allaprima-gpu-check/1"
KEPT = 4000
"""Characters of what a failed part has said."""
PARTS = "allaprima.bench.gpu_parts"
COMMAND = "import sys; from allaprima.realtime.cli import main; sys.exit(main())"
SHORT = ("--size", "1280x720", "--size", "1920x1080", "--seconds", "1")
"""What of the headline is measured: on a fresh machine two sizes are enough."""
MISSING = r"No module named '?([\w.]+)"
MINUTES = 8.0
"""All parts together may take."""
TOO_SHORT = 5.0
"""Seconds with which no part is begun."""
CLIP = "GPU_CHECK_CLIP"
"""As in `gpu_painter`, which this process does not import."""
IN_A_LINE = 16
"""Figures of a line on the page; the JSON has all."""

Told = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """One thing to find out."""

    name: str
    seconds: float
    """It may take, and what those before it have left over."""
    words: Callable[[], list[str] | str]
    """The command after `python`; or why there is none."""
    read: Callable[[int, str], Told]
    """What its exit status and its output say."""


def parts() -> list[Part]:
    """All there are, what is worth most first: the limits of those up to the profile make `MINUTES`."""
    return [
        _own("environment", 20),
        Part("parity", 150, _pytest, read_pytest),
        _own("engine", 100),
        _own("runtimes", 40),
        _own("file", 60),
        Part(
            "headline", 80, lambda: ["-c", COMMAND, "bench", "--backend", "cuda", *SHORT, "--json", "-"], read_headline
        ),
        _own("profile", 30),
        _own("likeness", 60),
        _own("backend", 120),
        _own("nets", 60),
        Part("kernels", 120, lambda: ["-m", "allaprima.bench.kernels", "--json", "-"], read_kernels),
        _own("swapping", 40),
        _own("sessions", 60),
        _own("memory", 60),
        _own("decoding", 40),
        _own("compiling", 300),
        Part("sanitizer", 300, _sanitizer, read_sanitizer),
    ]


def _own(name: str, seconds: float) -> Part:
    return Part(name, seconds, lambda: ["-m", PARTS, name], read_own)


def _pytest() -> list[str]:
    files = sorted(map(str, (ROOT / "tests" / "kernels").glob("test_*_cuda.py")))
    return [
        *["-m", "pytest", "-q", "-m", "needs_cuda", "-p", "no:cacheprovider", "--continue-on-collection-errors"],
        *files,
    ]


def _sanitizer() -> list[str] | str:
    program = shutil.which("compute-sanitizer") or shutil.which("compute-sanitizer", path="/usr/local/cuda/bin")
    if program is None:
        return "compute-sanitizer is not installed"
    return [program, "--tool", "memcheck", "--error-exitcode", "9", sys.executable, "-m", PARTS, "sanitized"]


# ---- what the parts say ----


def read_own(status: int, output: str) -> Told:
    """The last line of `gpu_parts`."""
    try:
        told: Told = json.loads(output.strip().splitlines()[-1])
    except (ValueError, IndexError):
        return _failed(status, output)
    return told if status == 0 else _failed(status, output)


def read_pytest(status: int, output: str) -> Told:
    """How many tests passed and failed; files that need a package which is not here are left out, and named."""
    counts: Told = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|skipped|error)", output)}
    absent = re.findall(MISSING, output)
    if absent and counts.get("error") == len(re.findall(r"^ERROR ", output, re.MULTILINE)):
        counts["left out"] = f"{counts.pop('error')} files, which need {', '.join(sorted(set(absent)))}"
        status = 0 if not counts.get("failed") else status
    if status == 0 and counts.get("passed"):
        return {"state": "done", "figures": counts, "bars": [("kernel tests that fail", 0, 0, False)]}
    if "REQUIRE_CUDA=1, but" in output and not counts.get("passed"):
        return {"state": "cannot", "why": re.findall(r"REQUIRE_CUDA=1, but (.*)", output)[0]}
    return _failed(status, output) | {"figures": counts}


def read_kernels(status: int, output: str) -> Told:
    """The report of `bench.kernels`."""
    start = output.find("{")
    if status != 0 or start < 0:
        known = re.findall(r"(CuPy is not installed|no CUDA device.*)", output)
        return {"state": "cannot", "why": known[0]} if known else _failed(status, output)
    report = json.loads(output[start : output.rindex("}") + 1])
    bars = []
    for size in report["sizes"]:
        where = "x".join(map(str, size["size"]))
        for bar in size["bars"]:
            what, (sign, limit) = f"{where}: {bar['what']}{bar['unit'] and ', ' + bar['unit']}", bar["bar"].split()
            bars.append((what, bar["measured"], float(limit), sign == ">="))
    figures = {"x".join(map(str, size["size"])): size["a_frame"] for size in report["sizes"]}
    return {"state": "done", "figures": figures, "bars": bars}


def read_headline(status: int, output: str) -> Told:
    """The result of `allaprima bench`: its cases, and of those that do not count why."""
    lines = output.splitlines()
    if status != 0 or "{" not in lines or "}" not in lines:
        known = re.findall(r"^error: the cuda backend cannot start: (.*)", output, re.MULTILINE)
        return {"state": "cannot", "why": known[0]} if known else _failed(status, output)
    last = len(lines) - lines[::-1].index("}")
    first = last - lines[:last][::-1].index("{") - 1
    result = json.loads("\n".join(lines[first:last]))
    figures: Told = {}
    for case in result["cases"]:
        told = {"fps": case["fps"]["median"]}
        told |= {"invalid": "; ".join(case["invalid"])} if case.get("invalid") else {}
        figures["{} {}x{}".format(case["layer"], *case["size"])] = told
    return {"state": "done", "figures": figures, "result": result}


def read_sanitizer(status: int, output: str) -> Told:
    """How many errors memcheck saw."""
    cannot = [line for line in output.splitlines() if line.startswith('{"state": "cannot"')]
    if cannot:
        found: Told = json.loads(cannot[0])
        return found
    if refused := re.findall(r"Device not supported.*|Target application terminated before.*", output):
        return {"state": "cannot", "why": refused[0]}
    counted = re.findall(r"ERROR SUMMARY: (\d+) error", output)
    if not counted:
        return _failed(status, output)
    told: Told = {"state": "done", "figures": {}, "bars": [("errors of memcheck", int(counted[-1]), 0, False)]}
    return told


def _failed(status: int, output: str) -> Told:
    if absent := re.findall(MISSING, output):
        return {"state": "cannot", "why": f"{absent[-1]} is not installed"}
    if known := re.findall(r"^error: (.*)", output, re.MULTILINE):
        return {"state": "failed", "why": known[-1], "output": output[-KEPT:]}
    return {"state": "failed", "why": f"exit status {status}", "output": output[-KEPT:]}


# ---- running them ----


def run(part: Part, environment: dict[str, str], limit: float, last: bool = False) -> Told:
    """Do one part; never raises for what the part does.

    ``last`` says that the limit is the end of all the time there is: a part that reaches it is cut, and has not failed.
    """
    words = part.words()
    if isinstance(words, str):
        return {"state": "cannot", "why": words}
    command = words if Path(words[0]).is_absolute() else [sys.executable, *words]
    began = time.monotonic()
    process = subprocess.Popen(
        command, env=environment, cwd=ROOT, text=True, errors="replace", start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        output, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        _end(process)
        output, _ = process.communicate()
        state, why = ("cut", f"stopped after {limit:.0f} s: the time was over") if last else ("failed", "")
        told = {"state": state, "why": why or f"not done after {limit:.0f} s", "output": output[-KEPT:]}
    except BaseException:
        _end(process)
        raise
    else:
        try:
            told = part.read(process.returncode, output)
        except (ValueError, LookupError, TypeError) as error:  # what it says has another form
            told = _failed(process.returncode, f"{output}\n{type(error).__name__}: {error}")
    return told | {"seconds": round(time.monotonic() - began, 1)}


def _end(process: "subprocess.Popen[str]") -> None:
    """The part and what it has started."""
    if hasattr(os, "killpg"):
        os.killpg(process.pid, signal.SIGKILL)  # it leads a group of its own
    else:
        process.kill()


def surroundings(link: Path, options: argparse.Namespace) -> dict[str, str]:
    """The environment of the parts: the package under its name by way of ``link``, and carried packages."""
    (link / "allaprima").symlink_to(ROOT)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    known = link / f"allaprima-{project['version']}.dist-info"  # for who asks which version is installed
    known.mkdir()
    (known / "METADATA").write_text(f"Metadata-Version: 2.1\nName: allaprima\nVersion: {project['version']}\n")
    wheels = link / "wheels"
    for wheel in sorted(file for folder in options.site for file in Path(folder).glob("*.whl")):
        zipfile.ZipFile(wheel).extractall(wheels)
    carried = [str(Path(folder).resolve()) for folder in (wheels, *options.site)]
    paths = [str(link), *carried, os.environ.get("PYTHONPATH", "")]
    found = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "REQUIRE_CUDA": "1"}
    if options.clip is not None:
        found[CLIP] = str(options.clip.resolve())
    return {**found, "PYTHONUNBUFFERED": "1"}


def limits(todo: Sequence[Part], minutes: float, each: float | None = None) -> Iterator[tuple[Part, float, bool]]:
    """Each part, the seconds it may take from now on, and whether these are all that are left.

    A part may use what those before it have left over.  0 seconds: there is no time for it.
    """
    began = due = time.monotonic()
    end = began + 60 * minutes
    for part in todo:
        due += part.seconds if each is None else each
        now = time.monotonic()
        left = end - now
        wanted = max(due - now, part.seconds) if each is None else each
        yield part, (min(wanted, left) if left >= TOO_SHORT else 0.0), wanted >= left


def main(words: Sequence[str] | None = None) -> int:
    """Gives 0 where nothing failed; a bar that was missed and a part that was cut are no failures, but are told."""
    options = _options().parse_args(words)
    known = {part.name: part for part in parts()}
    if unknown := set(options.only) - known.keys():
        print(f"there is no part {', '.join(sorted(unknown))}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    target = options.results / f"gpu-check-{options.name}.json"
    report = _begun(target)
    todo = [part for name, part in known.items() if name in (options.only or known)]
    if not options.again:
        todo = [part for part in todo if _state(report, part) != "done"]
        todo.sort(key=lambda part: _state(report, part) in ("cannot", "failed"))  # what was never tried comes first
    with tempfile.TemporaryDirectory() as folder:
        environment = surroundings(Path(folder), options)
        for part, limit, last in limits(todo, options.minutes, options.limit):
            print(f"{part.name} ...", file=sys.stderr, flush=True)
            told: Told = {"state": "cut", "why": f"no time was left of {options.minutes:g} minutes"}
            told = run(part, environment, limit, last) if limit else told
            if told["state"] == "cut" and _state(report, part) == "done":
                continue  # asked for again, and known as it is
            report["parts"][part.name] = told
            report["parts"] = {name: report["parts"][name] for name in known if name in report["parts"]}
            print(f"  {told['state']}{': ' + told['why'] if 'why' in told else ''}", file=sys.stderr, flush=True)
            _save(target, json.dumps(report, indent=2) + "\n")
            _save(target.with_suffix(".md"), page(report))
    print(page(report))
    return int(any(told["state"] == "failed" for told in report["parts"].values()))


def _state(report: dict[str, Any], part: Part) -> str:
    return str(report["parts"].get(part.name, {}).get("state", ""))


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Find out what there is to know of a card.")
    parser.add_argument("name", help="of the card or the machine; names the results")
    parser.add_argument("--site", action="append", default=[], help="a folder of packages or of wheels; repeatable")
    parser.add_argument("--only", nargs="+", default=[], metavar="PART", help="these parts alone")
    parser.add_argument("--again", action="store_true", help="also what is done already")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="for all parts together (8)")
    parser.add_argument("--limit", type=float, help="seconds for each part, instead of its own")
    parser.add_argument("--clip", type=Path, help="a film, whose first frames are painted")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the folder that results go to")
    return parser


def _begun(target: Path) -> dict[str, Any]:
    """What is known already."""
    try:
        report = json.loads(target.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        report = {}
    if report.get("schema") == SCHEMA:
        return dict(report)
    return {"schema": SCHEMA, "began": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "parts": {}}


def _save(target: Path, text: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(f"{target.suffix}.part")
    partial.write_text(text, encoding="utf-8")
    partial.replace(target)


def page(report: dict[str, Any]) -> str:
    """One page for people: what ran, the bars, the figures."""
    parts = report["parts"]
    states = [told["state"] for told in parts.values()]
    counts = ", ".join(
        f"{states.count(state)} {state}" for state in ("done", "cut", "cannot", "failed") if state in states
    )
    seconds = sum(told.get("seconds", 0.0) for told in parts.values())
    lines = [f"# GPU check, {report['began']}", "", f"{counts or 'nothing was run'}; {seconds:.0f} s.", ""]
    bars, figures = [], []
    lines += _states(parts)
    for name, told in parts.items():
        for what, measured, limit, at_least in told.get("bars", ()):
            met = measured >= limit if at_least else measured <= limit
            bars.append(
                f"| {what} | {measured:.4g} | {'>=' if at_least else '<='} {limit:g} | {'met' if met else 'MISSED'} |"
            )
        if told.get("figures"):
            figures += ["", f"## {name}", "", *_rows(told["figures"])]
    if "cut" in states:
        lines += ["", "The same command goes on with what was cut."]
    if bars:
        lines += ["", "| bar | measured | limit | |", "|---|---:|---:|---|", *bars]
    return "\n".join([*lines, *figures]) + "\n"


def _states(parts: dict[str, Told]) -> list[str]:
    """How each part ended; those that cannot run for the same reason together."""
    rows: dict[str, list[str]] = {}
    for name, told in parts.items():
        took = f", {told['seconds']:.0f} s" if "seconds" in told and told["state"] != "cannot" else ""
        ended = f"{told['state']}{took}" + (f" ({told['why']})" if "why" in told else "")
        rows.setdefault(ended if "why" in told else name, []).append(f"{name}: {ended}")
    return [
        f"- {', '.join(each.partition(':')[0] for each in same)}{same[0].removeprefix(same[0].partition(':')[0])}"
        for same in rows.values()
    ]


def _rows(figures: dict[str, Any], before: str = "") -> list[str]:
    """A line for each group of figures."""
    leaves = [f"{name} {_number(value)}" for name, value in figures.items() if not isinstance(value, dict)]
    more = [f"and {len(leaves) - IN_A_LINE} more"] if len(leaves) > IN_A_LINE + 1 else []
    rows = [f"- {before}{', '.join([*leaves[:IN_A_LINE], *more] if more else leaves)}"] if leaves else []
    for name, value in figures.items():
        if isinstance(value, dict):
            rows += _rows(value, f"{before}{name}: ")
    return rows


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    sys.exit(main())
