"""Shares, ratios and bars, from scores written by hand."""

import json
from typing import Any

import pytest

pytest.importorskip("torch", reason="scores need torch: pip install 'allaprima[train]'")

from allaprima.bench import grades
from allaprima.bench.critic import Score
from allaprima.bench.grades import Floor, Quality
from allaprima.bench.pictures import Mixing


def score(loss: float, nearest: str = "ink") -> Score:
    return Score(loss, 2 * loss, 4 * loss, nearest)


@pytest.fixture
def found() -> Quality:
    return Quality(
        photos={"ink": [score(0.2), score(0.6)], "wax": [score(0.3, "wax"), score(0.3, "oil")]},
        clips={"ink": [score(0.1, "wax")], "wax": [score(0.1, "oil")]},
        rivals={"ink": ("somebody's", [score(0.1), score(0.2)])},
        floors={"wax": [Floor(score(0.3), score(0.1), 2.5)]},
        mixings=[Mixing("ink", "wax", (1, 1, 1), True), Mixing("ink", "oil", (0.1, 0.1, 2.8), False)],
        identity=[27.0, 29.0, 40.0],
    )


def test_separation_counts_photos_and_clips_and_names_the_mistaken(found: Quality) -> None:
    share, mistaken = found.separation()
    assert share == 0.5
    assert mistaken == {"wax as oil": 2, "ink as wax": 1}


def test_ratios_are_taken_picture_by_picture(found: Quality) -> None:
    assert found.against("ink", "style").values == pytest.approx((2, 3))
    assert found.floors["wax"][0].over("content") == pytest.approx(3)


def test_bars_are_beside_the_medians_and_the_worst_mix(found: Quality) -> None:
    bars = {bar.what: (bar.measured, bar.met) for bar in found.bars()}
    assert bars[grades.SEPARATION] == (0.5, False)
    assert bars[grades.IDENTITY] == (29, True)
    assert bars[grades.JUMP] == (pytest.approx(2.8), True)
    found.mixings.append(Mixing("wax", "oil", (0, 0, 0, 7), True))
    assert found.bars()[2].met is False
    found.mixings, found.identity = [], []
    assert [bar.what for bar in found.bars()] == [grades.SEPARATION], "what was not measured has no bar"


def test_everything_is_in_the_json(found: Quality) -> None:
    told = json.loads(json.dumps(found.as_json()))
    assert told["photos"]["ink"]["style"]["trials"] == [0.2, 0.6]
    assert told["clips"]["wax"]["content"]["median"] == 0.4
    assert told["rivals"]["ink"]["rival"] == "somebody's"
    assert told["rivals"]["ink"]["ours_over_rival"]["gram"]["max"] == 3
    assert told["ours_over_optimised"]["wax"]["objective"]["median"] == 2.5
    assert told["separation"] == {"share": 0.5, "mistaken": {"wax as oil": 2, "ink as wax": 1}}
    assert told["mixing"][1] == {
        "from": "ink",
        "to": "oil",
        "steps": [0.1, 0.1, 2.8],
        "jump": 2.8,
        "always_nearer": False,
    }
    assert told["identity_psnr_db"]["min"] == 27


def test_tables_show_what_was_measured(found: Quality, capsys: pytest.CaptureFixture[str]) -> None:
    grades.show(found)
    shown = capsys.readouterr().out
    for words in ("somebody's", "optimised pixels", "≥ 28 dB: met", "≥ 0.95: MISSED", "wax as oil (2 x)", "ink to oil"):
        assert words in shown
    assert "mixes that only come nearer: 1 of 2" in shown
    few: Any = Quality(photos={"ink": [score(0.2)]})
    grades.show(few)
    shown = capsys.readouterr().out
    assert "mistaken: none" in shown
    assert "optimised" not in shown
