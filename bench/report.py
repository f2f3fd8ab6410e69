"""What the catalogue says, for readers: the README's figures, the plots, the page and the schema.

    python -m allaprima.bench.report [--check]

Reads ``bench/results/bench-*.json`` and what `bench/stability.py` and `bench/quality.py` wrote beside them.  In the
README it fills what stands between ``<!-- bench: NAME -->`` and ``<!-- end -->``.  The same results give the same
text, so a test can compare.
"""

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from allaprima.bench import catalogue, measured, plots, site, table
from allaprima.bench.catalogue import RESULTS, Result
from allaprima.bench.shown import REFERENCE, reference
from allaprima.bench.trust import judge
from allaprima.realtime.errors import AllaprimaError, ConfigError, SinkError

README = RESULTS.parent.parent / "README.md"
PLOTS = "plots"
"""The folder of the PNGs, beside the results."""
BLOCK = re.compile(r"<!-- bench: (?P<name>[a-z-]+) -->\n(?:.*?\n)??<!-- end -->", re.DOTALL)
TOLD_BY: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "stability": measured.steadiness,
    "quality": measured.paint,
}
"""Blocks of other scripts' figures, by the names of their files."""


class Differs(AllaprimaError):
    """What is written is not what the results say."""


def judged(result: Result) -> Result:
    """With all that speaks against each case by today's rules: a file's own word, that it counts, is not enough."""
    cores = result.machine.cores
    cases = [
        case.model_copy(update={"invalid": tuple(dict.fromkeys((*case.invalid, *judge(case, result.ceilings, cores))))})
        for case in result.cases
    ]
    return result.model_copy(update={"cases": tuple(cases)})


# ---- texts ----


def texts(results: Sequence[Result], folder: Path, readme: Path) -> dict[Path, str]:
    """What each file that is made of words should hold."""
    return {
        readme: fill(_read(readme), blocks(results, folder, readme)),
        folder / "index.html": site.page(results),
        folder / "schema.json": json.dumps(catalogue.schema(), indent=1) + "\n",
    }


def blocks(results: Sequence[Result], folder: Path, readme: Path) -> dict[str, str]:
    """The Markdown of each of the README's blocks."""
    first = reference(results)
    place = Path(os.path.relpath(folder / PLOTS, readme.parent)).as_posix()
    found = {
        "speed": measured.headline(results),
        "rivals": measured.rivals(results),
        "plots": plots.markdown(first, place),
    }
    for name, tell in TOLD_BY.items():
        file = folder / f"{name}-{REFERENCE}.json"
        found[name] = tell(_json(file)) if file.exists() else ""
    return found


def fill(readme: str, made: Mapping[str, str]) -> str:
    """The README with its blocks filled; it must have those of ``made`` and no others, else `ConfigError`."""
    there = [match["name"] for match in BLOCK.finditer(readme)]
    if sorted(there) != sorted(made):
        message = f"README.md has the blocks {sorted(there)}, and figures are for {sorted(made)}"
        raise ConfigError(message, "A block is two lines, <!-- bench: NAME --> and <!-- end -->.")

    def filled(match: re.Match[str]) -> str:
        return "\n".join(filter(None, [f"<!-- bench: {match['name']} -->", made[match["name"]], "<!-- end -->"]))

    return BLOCK.sub(filled, readme)


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {file}: {error}", "Run it from the project's own folder.") from error


def _json(file: Path) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = json.loads(_read(file))
    except ValueError as error:
        raise ConfigError(f"{file} is no JSON: {error}") from error
    return found


# ---- files ----


def differences(results: Sequence[Result], folder: Path, readme: Path) -> list[Path]:
    """The files that are not what the results say; plots are told by the mark they carry, not by their pixels."""
    found = [file for file, text in texts(results, folder, readme).items() if not file.exists() or _read(file) != text]
    wanted = set(_pictures(results, folder))
    first = reference(results)
    found += [
        file for file in sorted(wanted) if not file.exists() or (first and plots.mark(first) not in file.read_bytes())
    ]
    return found + sorted(set((folder / PLOTS).glob("*.png")) - wanted)


def _pictures(results: Sequence[Result], folder: Path) -> Iterable[Path]:
    for name in plots.available(reference(results)):
        for mode in plots.MODES:
            yield folder / PLOTS / plots.file_name(name, mode)


def write(results: Sequence[Result], folder: Path, readme: Path) -> list[Path]:
    """Write what differs, take away plots without data, and return the files."""
    changed = differences(results, folder, readme)
    if any(file.suffix == ".png" for file in changed):
        first = reference(results)
        drawn = plots.draw(first) if first else {}
        for file in set((folder / PLOTS).glob("*.png")) - set(_pictures(results, folder)):
            file.unlink()
        for name, data in drawn.items():
            _write(folder / PLOTS / name, data)
    for file, text in texts(results, folder, readme).items():
        if file in changed:
            _write(file, text.encode())
    return changed


def _write(file: Path, data: bytes) -> None:
    part = file.with_name(f".{file.name}.part")
    try:
        file.parent.mkdir(exist_ok=True)
        part.write_bytes(data)
        part.replace(file)
    except OSError as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        raise SinkError(f"cannot write {file}: {error.strerror}") from error


def main(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; say what differs.")] = False,
    folder: Annotated[Path, typer.Option(help="Of the results.", show_default=False)] = RESULTS,
    readme: Annotated[Path, typer.Option(help="To fill.", show_default=False)] = README,
) -> None:
    """Make README figures, plots, page and schema from the results."""
    folder, readme = folder.resolve(), readme.resolve()
    results = [judged(result) for result in catalogue.read_all(folder)]
    if not check:
        for file in write(results, folder, readme):
            table.note(f"{'wrote' if file.exists() else 'removed'} {file}")
    elif found := differences(results, folder, readme):
        told = ", ".join(os.path.relpath(file, readme.parent) for file in found)
        raise Differs(f"not what the results say: {told}", "python -m allaprima.bench.report")


if __name__ == "__main__":
    table.run(main)
