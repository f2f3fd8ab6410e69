"""What is behind `allaprima bench`: its flags to a plan, and the result to where it is wanted."""

from collections.abc import Sequence
from pathlib import Path
from typing import get_args

from allaprima.bench import catalogue, headline, headline_table, table
from allaprima.bench.cases import LAYERS
from allaprima.bench.catalogue import Scale
from allaprima.bench.headline import Plan
from allaprima.bench.rivals import chosen
from allaprima.realtime.config import parse_size
from allaprima.realtime.errors import ConfigError

STDOUT = "-"
ALL = "all"
SCALES: tuple[str, ...] = get_args(Scale.model_fields["over"].annotation)
SMALLEST, LARGEST = 16, 16384
"""Sides in pixels, as the catalogue has them."""


def plan(
    *,
    sizes: Sequence[str],
    layers: Sequence[str],
    style: str | None,
    backend: str,
    precision: str | None,
    bundle: Path | None,
    streams: str | None,
    seconds: float | None,
    trials: int,
    scales: Sequence[str],
    against: Sequence[str],
    name: str | None,
) -> Plan:
    """What the flags ask for.  Raises `ConfigError` for the first that cannot be.

    Without sizes, layers and seconds it is the headline, which ends within three minutes.
    """
    wanted = list(dict.fromkeys(map(_size, sizes)))
    if against:
        chosen(against)
    if name is not None and name != catalogue.slug(name):
        raise ConfigError(f"{name!r} cannot name a device", f"For example: --name {catalogue.slug(name)}")
    return Plan(
        sizes=wanted or headline.SIZES,
        layers=[layer for layer in LAYERS if layer in _known("layer", layers, LAYERS)] or LAYERS,
        style=style,
        backend=backend,
        precision=precision,
        bundle=bundle,
        seconds=seconds or headline.SECONDS,
        trials=trials,
        streams=_counts(streams),
        scales=_known("scale", SCALES if ALL in scales else scales, SCALES),
        against=tuple(against) or None,
        name=name,
        budget=None if wanted or layers or seconds else headline.BUDGET,
    )


def _size(text: str) -> tuple[int, int]:
    size = parse_size(text)
    if not all(SMALLEST <= side <= LARGEST for side in size):
        raise ConfigError(f"{text}: sides go from {SMALLEST} to {LARGEST} pixels", "For example: --size 1280x720")
    if size[0] % 2 or size[1] % 2:
        raise ConfigError(f"{text}: a file of H.264 has even sides", "For example: --size 1280x720")
    return size


def _known(what: str, given: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Each once."""
    for name in given:
        if name not in known:
            raise ConfigError(f"there is no {what} called {name!r}", f"There are {', '.join(known)}.")
    return tuple(dict.fromkeys(given))


def _counts(text: str | None) -> tuple[int, ...]:
    """Numbers of streams, from "1,2,4,8"."""
    words = [] if text is None else text.split(",")
    if not all(word.strip().isdecimal() and int(word) for word in words):
        raise ConfigError(f"{text!r} are no numbers of streams", "For example: --streams 1,2,4,8")
    return tuple(int(word) for word in words)


def main(plan: Plan, as_json: str | None, other: str | None) -> None:
    """Measure and tell.  Raises for whatever cannot be, the place of the JSON included, before anything is measured."""
    target = None if as_json in (None, STDOUT) else Path(as_json)
    if target is not None:
        _check(target)
    before = None if other is None else catalogue.read(Path(other))
    result = headline.run(plan, table.note)
    text = catalogue.dump(result)
    catalogue.parse(text, "this result")
    if target is not None:
        write(target, text)
    with table.aside(as_json == STDOUT):
        headline_table.show(result)
        if before is not None:
            headline_table.compared(result, before, str(other))
    if as_json == STDOUT:
        print(text, end="")


def write(target: Path, text: str) -> None:
    """All of it or nothing."""
    partial = target.with_name(f".{target.name}.part")
    try:
        partial.write_text(text, encoding="utf-8")
        partial.replace(target)
    except OSError as error:
        raise ConfigError(f"cannot write {target}: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)


def _check(target: Path) -> None:
    if target.is_dir():
        raise ConfigError(f"{target} is a folder", "Give the name of a file, or - for standard output.")
    if not target.absolute().parent.is_dir():
        raise ConfigError(f"there is no folder {target.parent}", "Make it first.")
