import json
from pathlib import Path

import pytest

from allaprima.bench.results import Bar, OtherLoad, Spread, describe_machine, slope, versions, write_json


def test_a_spread_keeps_every_trial() -> None:
    spread = Spread.of([3, 1, 2])
    assert (spread.median, spread.least, spread.most) == (2, 1, 3)
    assert spread.as_json() == {"median": 2, "min": 1, "max": 3, "trials": [3, 1, 2]}


@pytest.mark.parametrize(
    ("measured", "at_least", "met"), [(20, True, True), (19.9, True, False), (20, False, True), (21, False, False)]
)
def test_a_bar_is_met_or_missed(measured: float, at_least: bool, met: bool) -> None:
    bar = Bar("speed", measured, 20, at_least, " fps")
    assert bar.met is met
    assert ("met" if met else "MISSED") in str(bar)
    assert bar.as_json()["met"] is met


def test_slope_of_a_line() -> None:
    assert slope([0, 1, 2, 3], [5, 7, 9, 11]) == pytest.approx(2)
    assert slope([1], [4]) == 0
    assert slope([2, 2], [1, 9]) == 0


def test_other_load_is_not_negative_and_not_more_than_the_machine() -> None:
    with OtherLoad() as other:
        sum(range(100_000))
    assert other.cores is None or other.cores >= 0


def test_the_machine_and_the_versions_can_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = {"machine": describe_machine(), "versions": versions()}
    write_json(report, str(tmp_path / "report.json"))
    assert json.loads((tmp_path / "report.json").read_text()) == report
    assert report["versions"]["numpy"]
    assert report["machine"]["cores"] >= 1
    write_json(report, "-")
    assert json.loads(capsys.readouterr().out) == report
    write_json(report, None)
    assert not capsys.readouterr().out
