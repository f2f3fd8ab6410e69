"""A result that nobody measured: `made_up.json`, and the same with parts changed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from allaprima.bench.catalogue import Result, parse

FILE = Path(__file__).with_name("made_up.json")
Json = dict[str, Any]
Change = Callable[[Json], object]


def raw() -> Json:
    """As it stands in the file."""
    found: Json = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def result(*changes: Change) -> Result:
    """The made-up result after ``changes`` to its JSON."""
    found = raw()
    for change in changes:
        change(found)
    return parse(json.dumps(found), "made up")


def case(found: Json, layer: str, size: tuple[int, int] = (1280, 720)) -> Json:
    """The JSON of one of its cases."""
    cases: list[Json] = found["cases"]
    (only,) = [each for each in cases if (each["layer"], tuple(each["size"])) == (layer, size)]
    return only


def refuse(layer: str, size: tuple[int, int] = (1280, 720), why: str = "too busy") -> Change:
    return lambda found: case(found, layer, size).update(invalid=[why])
