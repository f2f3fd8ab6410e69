import json
from pathlib import Path
from typing import Any

import pytest

from allaprima.bench import catalogue
from allaprima.bench.catalogue import Trials, dump, parse, read, read_all, slug
from allaprima.realtime.errors import ConfigError

from . import made_up


def test_what_is_written_is_read_again() -> None:
    result = made_up.result()
    assert parse(dump(result), "here") == result
    assert dump(parse(dump(result), "here")) == dump(result)
    assert '"schema": "allaprima-bench/1"' in dump(result)
    assert "null" not in dump(result)
    assert dump(result).endswith("}\n")


def _set(*place: Any, to: Any) -> made_up.Change:
    def change(found: dict[str, Any]) -> None:
        inner: Any = found
        for step in place[:-1]:
            inner = inner[step]
        inner[place[-1]] = to

    return change


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (_set("surprise", to=1), "surprise"),
        (_set("cases", 0, "surprise", to=1), "cases.0.surprise"),
        (_set("schema", to="allaprima-bench/2"), "schema"),
        (_set("name", to="Xeon/../x"), "name"),
        (_set("cases", 1, "layer", to="kernel"), "cases.1.layer"),
        (_set("cases", 0, "fps", "median", to=float("nan")), "cases.0.fps.median"),
        (_set("cases", 0, "fps", "max", to=float("inf")), "cases.0.fps.max"),
        (_set("cases", 0, "fps", "trials", to=[]), "cases.0.fps.trials"),
        (_set("cases", 0, "fps", "min", to=-1), "cases.0.fps.min"),
        (_set("cases", 0, "size", to=[0, 360]), "cases.0.size.0"),
        (_set("machine", "time", to="yesterday"), "machine.time"),
        (_set("seconds", to=0), "seconds"),
        (lambda found: found.pop("ceilings"), "ceilings"),
    ],
)
def test_what_is_wrong_is_named(change: made_up.Change, named: str) -> None:
    with pytest.raises(ConfigError, match=rf"^made up: {named.replace('.', r'[.]')}: ") as caught:
        made_up.result(change)
    assert "allaprima bench --json" in caught.value.hint


def test_what_is_no_json_is_a_users_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the file: Invalid JSON"):
        parse("{", "here")
    with pytest.raises(ConfigError, match="cannot read"):
        read(tmp_path / "none.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="cannot read"):
        read(tmp_path / "binary.json")


def test_the_catalogue_is_read_by_name(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / f"bench-{name}.json").write_text(dump(made_up.result(_set("name", to=name))))
    (tmp_path / "stability-a.json").write_text("{}")
    assert [result.name for result in read_all(tmp_path)] == ["a", "b"]
    assert read_all(tmp_path / "none") == []


def test_a_file_carries_the_name_of_its_device(tmp_path: Path) -> None:
    (tmp_path / "bench-mine.json").write_text(dump(made_up.result()))
    with pytest.raises(ConfigError, match="'made-up'") as caught:
        read_all(tmp_path)
    assert caught.value.hint == "Call it bench-made-up.json"


def test_trials_keep_all() -> None:
    trials = Trials.of([3, 1, 2.00004])
    assert (trials.median, trials.min, trials.max, trials.trials) == (2.0, 1.0, 3.0, (3.0, 1.0, 2.0))
    assert trials.spread == 1.0
    assert Trials.of([0, 0]).spread == 0


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("Intel(R) Xeon(R), 2 cores", "intel-xeon-2-cores"),
        ("NVIDIA H100 80GB HBM3", "nvidia-h100-80gb-hbm3"),
        ("../../etc", "etc"),
        ("(TM)", "unknown"),
        ("x" * 99, "x" * 63),
    ],
)
def test_any_device_has_a_name_for_a_file(text: str, name: str) -> None:
    assert slug(text) == name
    assert made_up.result(_set("name", to=slug(text))).name == name


def test_the_schema_knows_every_field_and_no_other() -> None:
    schema = json.loads(json.dumps(catalogue.schema()))
    assert schema["properties"].keys() == made_up.raw().keys()
    assert schema["additionalProperties"] is False
    assert {part["additionalProperties"] for part in schema["$defs"].values()} == {False}
