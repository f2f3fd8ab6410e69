"""Everything that is to be known of a card, in one command on a machine that has little more than CuPy and torch.

    python bench/gpu_check.py NAME [--site FOLDER] [--only PART ...] [--again] [--limit SECONDS]

Runs its parts one after the other, each in a process of its own with a limit of time.  What is known after each lies
in `bench/results/gpu-check-NAME.json`, and as one page in `gpu-check-NAME.md`; the same command goes on where the last
one was stopped.  A part that cannot run says why.  ``--site`` is a folder of packages that were carried here.  Nothing
is imported in this process but Python's own library, and the package need not be installed.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = Path(__file__).resolve().parent / "results"
SCHEMA = "allaprima-gpu-check/1"
KEPT = 4000
"""Characters of what a failed part has said."""
PARTS = "allaprima.bench.gpu_parts"
MISSING = r"ModuleNotFoundError: No module named '(\w+)"

Told = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """One thing to find out."""

    name: str
    seconds: int
    """It may take."""
    words: Callable[[], list[str] | str]
    """The command after `python`; or why there is none."""
    read: Callable[[int, str], Told]
    """What its exit status and its output say."""


def parts() -> list[Part]:
    """All there are, what costs least first."""
    return [
        _own("environment", 60),
        _own("compiling", 300),
        Part("parity", 600, _pytest, read_pytest),
        _own("nets", 300),
        _own("likeness", 300),
        _own("backend", 600),
        _own("swapping", 120),
        _own("sessions", 180),
        _own("memory", 180),
        Part("kernels", 300, lambda: ["-m", "allaprima.bench.kernels", "--json", "-"], read_kernels),
        _own("decoding", 60),
        Part("sanitizer", 600, _sanitizer, read_sanitizer),
    ]


def _own(name: str, seconds: int) -> Part:
    return Part(name, seconds, lambda: ["-m", PARTS, name], read_own)


def _pytest() -> list[str]:
    files = sorted(map(str, (ROOT / "tests" / "kernels").glob("test_*_cuda.py")))
    return [
        "-m",
        "pytest",
        "-q",
        "-m",
        "needs_cuda",
        "-p",
        "no:cacheprovider",
        "--continue-on-collection-errors",
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
            sign, limit = bar["bar"].split()
            bars.append(
                (
                    f"{where}: {bar['what']}{bar['unit'] and ', ' + bar['unit']}",
                    bar["measured"],
                    float(limit),
                    sign == ">=",
                )
            )
    figures = {"x".join(map(str, size["size"])): size["a_frame"] for size in report["sizes"]}
    return {"state": "done", "figures": figures, "bars": bars}


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
    return {"state": "failed", "why": f"exit status {status}", "output": output[-KEPT:]}


# ---- running them ----


def run(part: Part, environment: dict[str, str], limit: int | None = None) -> Told:
    """Do one part; never raises for what the part does."""
    words = part.words()
    if isinstance(words, str):
        return {"state": "cannot", "why": words}
    command = words if Path(words[0]).is_absolute() else [sys.executable, *words]
    seconds, began = limit or part.seconds, time.monotonic()
    try:
        done = subprocess.run(
            command, env=environment, cwd=ROOT, timeout=seconds, check=False, text=True, errors="replace",
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        told = part.read(done.returncode, done.stdout)
    except subprocess.TimeoutExpired as error:
        said = error.stdout.decode(errors="replace") if isinstance(error.stdout, bytes) else error.stdout or ""
        told = {"state": "failed", "why": f"not done after {seconds} s", "output": said[-KEPT:]}
    return told | {"seconds": round(time.monotonic() - began, 1)}


def surroundings(link: Path, site: Sequence[str]) -> dict[str, str]:
    """The environment of the parts: the package under its name by way of ``link``, and carried packages."""
    (link / "allaprima").symlink_to(ROOT)
    paths = [str(link), *(str(Path(folder).resolve()) for folder in site), os.environ.get("PYTHONPATH", "")]
    found = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "REQUIRE_CUDA": "1"}
    return {**found, "PYTHONUNBUFFERED": "1"}


def main(words: Sequence[str] | None = None) -> int:
    """Gives 0 where nothing failed; a bar that was missed is no failure, but is told."""
    options = _options().parse_args(words)
    known = {part.name: part for part in parts()}
    if unknown := set(options.only) - known.keys():
        print(f"there is no part {', '.join(sorted(unknown))}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    target = options.results / f"gpu-check-{options.name}.json"
    report = _begun(target)
    with tempfile.TemporaryDirectory() as folder:
        environment = surroundings(Path(folder), options.site)
        for name in options.only or known:
            if report["parts"].get(name, {}).get("state") == "done" and not options.again:
                continue
            print(f"{name} ...", file=sys.stderr, flush=True)
            told = report["parts"][name] = run(known[name], environment, options.limit)
            print(f"  {told['state']}{': ' + told['why'] if 'why' in told else ''}", file=sys.stderr, flush=True)
            _save(target, json.dumps(report, indent=2) + "\n")
            _save(target.with_suffix(".md"), page(report))
    print(page(report))
    return int(any(told["state"] == "failed" for told in report["parts"].values()))


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Find out what there is to know of a card.")
    parser.add_argument("name", help="of the card or the machine; names the results")
    parser.add_argument("--site", action="append", default=[], help="a folder of packages; repeatable")
    parser.add_argument("--only", nargs="+", default=[], metavar="PART", help="these parts alone")
    parser.add_argument("--again", action="store_true", help="also what is done already")
    parser.add_argument("--limit", type=int, help="seconds for each part, instead of its own")
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
    lines = [f"# GPU check, {report['began']}", ""]
    bars, figures = [], []
    for name, told in report["parts"].items():
        lines.append(f"- {name}: {told['state']}" + (f" ({told['why']})" if "why" in told else ""))
        for what, measured, limit, at_least in told.get("bars", ()):
            met = measured >= limit if at_least else measured <= limit
            bars.append(
                f"| {what} | {measured:.4g} | {'>=' if at_least else '<='} {limit:g} | {'met' if met else 'MISSED'} |"
            )
        if told.get("figures"):
            figures += ["", f"## {name}", "", *_rows(told["figures"])]
    if bars:
        lines += ["", "| bar | measured | limit | |", "|---|---:|---:|---|", *bars]
    return "\n".join([*lines, *figures]) + "\n"


def _rows(figures: dict[str, Any], before: str = "") -> list[str]:
    rows = []
    for name, value in figures.items():
        if isinstance(value, dict):
            rows += _rows(value, f"{before}{name}: ")
        else:
            rows.append(f"- {before}{name} {value:.4g}" if isinstance(value, float) else f"- {before}{name} {value}")
    return rows


if __name__ == "__main__":
    sys.exit(main())
