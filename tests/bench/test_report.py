import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from allaprima.bench import catalogue, plots, report
from allaprima.bench.catalogue import RESULTS, Result, dump
from allaprima.bench.report import README, blocks, differences, fill, judged, texts, write
from allaprima.bench.shown import REFERENCE
from allaprima.realtime import cli
from allaprima.realtime.errors import ConfigError

from . import made_up

EMPTY = "".join(
    f"<!-- bench: {name} -->\n<!-- end -->\n" for name in ("speed", "plots", "rivals", "stability", "quality")
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A checkout with one result, with the figures of steadiness and paint that the project has."""
    folder = tmp_path / "bench/results"
    folder.mkdir(parents=True)
    (tmp_path / "README.md").write_text(f"# Here\n{EMPTY}\nThe end.\n")
    for name in ("stability", "quality"):
        shutil.copy(RESULTS / f"{name}-{REFERENCE}.json", folder)
    (folder / "bench-made-up.json").write_text(dump(made_up.result()))
    return folder


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """PNGs that carry their mark and show nothing: drawing takes seconds."""

    def draw(result: Result) -> dict[str, bytes]:
        names = [plots.file_name(name, mode) for name in plots.available(result) for mode in plots.MODES]
        return dict.fromkeys(names, b"PNG" + plots.mark(result))

    monkeypatch.setattr(plots, "draw", draw)


# ---- what stands in the project ----


def test_the_projects_own_texts_are_what_its_results_say() -> None:
    """On failure: python -m allaprima.bench.report."""
    results = [judged(result) for result in catalogue.read_all()]
    for file in differences(results, RESULTS, README):
        made = texts(results, RESULTS, README).get(file)
        assert made is not None, f"{file.name}: run python -m allaprima.bench.report"
        assert file.read_text(encoding="utf-8").splitlines() == made.splitlines(), (
            "run python -m allaprima.bench.report"
        )


def test_the_schema_on_disk_is_that_of_the_code() -> None:
    assert json.loads((RESULTS / "schema.json").read_text(encoding="utf-8")) == catalogue.schema()


def test_the_command_that_makes_a_result_can_be_typed() -> None:
    """It is parsed by the command itself, which is not run."""
    told = (README.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (line,) = [line for line in told.splitlines() if line.startswith("allaprima bench ")]
    command: Any = get_command(cli.app).commands["bench"]
    context = command.make_context("allaprima bench", shlex.split(line)[2:])
    assert str(context.params["as_json"]) == "bench/results/bench-NAME.json"


# ---- writing and checking ----


@pytest.mark.usefixtures("undrawn")
def test_what_was_written_differs_in_nothing(place: Path) -> None:
    readme, results = place.parent.parent / "README.md", [made_up.result()]
    pictures = {f"{name}-{mode}.png" for name in plots.PLOTS for mode in plots.MODES}
    written = write(results, place, readme)
    assert {file.name for file in written} == {"README.md", "index.html", "schema.json", *pictures}
    assert differences(results, place, readme) == []
    assert write(results, place, readme) == []
    assert not [file for file in place.parent.parent.rglob("*") if file.name.endswith(".part")]
    told = readme.read_text(encoding="utf-8")
    assert told.startswith("# Here\n<!-- bench: speed -->\nPrinted by")
    assert told.endswith("<!-- end -->\n\nThe end.\n")
    assert 'srcset="bench/results/plots/fps-dark.png"' in told
    assert "Steadiness, by" in told
    assert "The paint, by" in told


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("name", ["README.md", "bench/results/index.html", "bench/results/schema.json"])
def test_a_text_that_was_changed_by_hand_is_named(place: Path, name: str) -> None:
    root, results = place.parent.parent, [made_up.result()]
    write(results, place, root / "README.md")
    changed = root / name
    changed.write_text(changed.read_text(encoding="utf-8").replace("1", "2"))
    assert differences(results, place, root / "README.md") == [changed]
    assert write(results, place, root / "README.md") == [changed]
    assert differences(results, place, root / "README.md") == []


@pytest.mark.usefixtures("undrawn")
def test_plots_of_other_data_and_without_data_are_named(place: Path) -> None:
    readme = place.parent.parent / "README.md"
    write([made_up.result()], place, readme)
    other = [made_up.result(lambda found: found.update(rivals=[], seconds=1.0))]
    names = {file.name for file in differences(other, place, readme) if file.suffix == ".png"}
    assert names == {f"{name}-{mode}.png" for name in plots.PLOTS for mode in plots.MODES}
    write(other, place, readme)
    assert not (place / "plots/rivals-dark.png").exists()
    (place / "plots/fps-dark.png").unlink()
    assert differences(other, place, readme) == [place / "plots/fps-dark.png"]


def test_the_command_writes_nothing_when_it_checks(place: Path) -> None:
    readme = place.parent.parent / "README.md"
    before = readme.read_text(encoding="utf-8")
    words = ["--check", "--folder", str(place), "--readme", str(readme)]
    done = subprocess.run(
        [sys.executable, "-m", "allaprima.bench.report", *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stderr
    assert "error: not what the results say: README.md, bench/results/index.html" in done.stderr
    assert "Traceback" not in done.stderr
    assert readme.read_text(encoding="utf-8") == before
    assert not (place / "index.html").exists()


def test_without_a_result_the_readme_claims_no_speed(place: Path) -> None:
    made = blocks([], place, place.parent.parent / "README.md")
    assert made["speed"].startswith("Nothing is measured yet")
    assert made["rivals"] == made["plots"] == ""


# ---- trust ----


def test_a_case_is_judged_again_whatever_its_file_says() -> None:
    def forge(found: made_up.Json) -> None:
        case = made_up.case(found, "engine")
        case["fps"] = {"median": 4008, "min": 4000, "max": 4010, "trials": [4000, 4008, 4010]}
        case["invalid"] = []

    honest, forged = judged(made_up.result()), judged(made_up.result(forge))
    assert honest == made_up.result()
    (case,) = [case for case in forged.cases if case.invalid and case.layer == "engine"]
    assert case.fps.median == 4008
    assert case.invalid
    readme = Path("README.md").resolve()
    assert "4008" not in "".join(blocks([forged], readme.parent / "none", readme).values())


def test_a_reason_is_said_once() -> None:
    def busy(found: made_up.Json) -> None:
        made_up.case(found, "nets")["conditions"] = {"other_load_cores": 1.9}

    once = judged(made_up.result(busy))
    assert judged(once) == once != made_up.result(busy)


# ---- blocks ----


def test_only_what_stands_between_the_marks_is_changed() -> None:
    text = "a\n<!-- bench: x -->\nold\n\n| old |\n<!-- end -->\nb <!-- end -->\n<!-- bench: y -->\n<!-- end -->\n"
    filled = "a\n<!-- bench: x -->\n1\n2\n<!-- end -->\nb <!-- end -->\n<!-- bench: y -->\n<!-- end -->\n"
    assert fill(text, {"x": "1\n2", "y": ""}) == filled
    assert fill(filled, {"x": "1\n2", "y": ""}) == filled
    assert fill(filled, {"x": r"\1", "y": "z"}).count(r"\1") == 1


def test_a_block_that_is_not_there_or_unknown_is_an_error() -> None:
    for made in ({}, {"x": "", "y": ""}, {"y": ""}):
        with pytest.raises(ConfigError, match=r"README[.]md has the blocks \['x'\]"):
            fill("<!-- bench: x -->\n<!-- end -->\n", made)


def test_what_cannot_be_read_is_a_users_error(place: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        texts([], place, place.parent.parent / "none.md")
    (place / f"quality-{REFERENCE}.json").write_text("{")
    with pytest.raises(ConfigError, match="is no JSON"):
        blocks([], place, place.parent.parent / "README.md")


def test_all_of_the_blocks_have_a_teller() -> None:
    assert set(report.TOLD_BY) < {match["name"] for match in report.BLOCK.finditer(README.read_text(encoding="utf-8"))}
