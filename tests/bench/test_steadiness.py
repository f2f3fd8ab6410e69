"""Means, bars and tables of figures made up."""

import json
from typing import Any

import pytest

from allaprima.bench import steadiness
from allaprima.bench.drift import Moment
from allaprima.bench.steadiness import NEVER, Found, Steadiness, ratio


def made_up(**changes: Any) -> Steadiness:
    """Two columns beside input and per frame; the default flickers half as much."""
    figures: dict[str, Any] = {"name": "walk", "frames": 12, "pairs": 11}
    figures |= {"e_warp": {"input": 0.0, "per frame": 0.04, "default": 0.01, "averaging": 0.04}}
    figures |= {"sharpness": {size: {"default": 0.9, "averaging": 0.5} for size in ("full", "half")}}
    figures |= {name: {"default": 0.01, "averaging": 0.02} for name in ("distance", "stale")}
    figures |= {"stripes": {"default": 0.9, "averaging": 0.4}, "blobs": {"default": 1.0, "averaging": 0.8}}
    return Steadiness(**(figures | changes))


@pytest.fixture
def found() -> Found:
    style_loss = {"per frame": 2.0, "default": 2.2, "averaging": 3.0}
    sharp = {"full": {"default": 1.0, "averaging": 1.0}, "half": {"default": 1.1, "averaging": 0.7}}
    still = {"input": 0.1, "per frame": 0.4, "default": 0.1, "averaging": 0.2}
    return Found(
        footage=[
            made_up(ghosting={"default": 0.03, "averaging": 0.04}, style_loss=style_loss),
            made_up(
                name="cut",
                sharpness=sharp,
                stripes={"default": 1.3, "averaging": 0.3},
                blobs={"default": 1.2, "averaging": 0.9},
                recovery={"default": 1, "averaging": NEVER},
                shimmer=still,
            ),
            made_up(
                name="pan", counted=False, e_warp=dict.fromkeys(still, 1.0), lag={"default": 0.0, "averaging": 0.6}
            ),
        ]
    )


def test_flicker_is_a_ratio_of_roots() -> None:
    assert made_up().flicker("default") == pytest.approx(0.5)
    assert made_up().style_ratio("default") is None
    assert ratio(0, 0) == 1
    assert ratio(1, 0) == float("inf")


def test_means_leave_the_pan_out_and_take_the_worst_recovery(found: Found) -> None:
    assert found.means("default") == pytest.approx(
        {"flicker": 0.5, "sharpness": 1.0, "least_sharpness": 0.9, "style_loss": 1.1, "ghosting": 0.03}
        | {"stale": 0.01, "stripes": 1.3, "blobs": 1.2, "shimmer": 0.25, "recovery": 1, "lag": 0.0}
    )
    assert found.means("averaging")["recovery"] == 12, "never, of twelve frames"
    assert found.means("averaging")["lag"] == 0.6


def test_bars_are_of_what_was_measured(found: Found) -> None:
    met = {bar.what: bar.met for bar in found.bars()}
    assert met == {
        steadiness.FLICKER: True,
        steadiness.SHARP: True,
        steadiness.LEAST_SHARP: True,
        steadiness.STYLE: False,
        steadiness.STRIPES: False,
        steadiness.BLOBS: True,
        steadiness.RECOVERY: True,
    }
    found.drift = [Moment(1, 0.8, 0, 0, 1, 1), Moment(60, 0.8, -0.03, 0.01, 9, 9)]
    drifted = {bar.what: bar for bar in found.bars()}[steadiness.DRIFT]
    assert drifted.measured == pytest.approx(3)
    assert not drifted.met
    assert len(Found([made_up()]).bars()) == 5


def test_json_has_every_figure_that_there_is(found: Found) -> None:
    found.true_pairs = {"whale": {"input": 0.0, "per frame": 0.04, "default": 0.01, "averaging": 0.09}}
    found.true_pairs["city"] = dict.fromkeys(found.columns, 0.01)
    found.drift = [Moment(1, 0.8, 0, 0, 1, 1), Moment(60, 0.6, 0, 0, 1, 1)]
    told = json.loads(json.dumps(found.as_json(), allow_nan=False))
    walk, cut, pan = told["footage"]
    assert walk["root_e_warp"]["per frame"] == 0.2
    assert walk["style_loss"]["default"] == 2.2
    assert cut["fine_stripes"] == {"default": 1.3, "averaging": 0.3}
    assert cut["blobs"] == {"default": 1.2, "averaging": 0.9}
    assert "ghosting" not in cut
    assert cut["frames_until_recovered_from_cut"]["averaging"] == NEVER
    assert [each["in_means"] for each in (walk, cut, pan)] == [True, True, False]
    assert told["means"]["default"]["flicker"] == 0.5
    assert told["true_flow"]["mean_root_e_warp"]["per frame"] == pytest.approx(0.15)
    assert told["drift"]["change"]["sharpness"] == pytest.approx(-0.25)
    assert len(told["bars"]) == 8


def test_tables_show_columns_and_say_what_was_missed(found: Found, capsys: pytest.CaptureFixture[str]) -> None:
    found.true_pairs = {"whale": dict.fromkeys(found.columns, 0.01)}
    found.drift = [Moment(1, 0.8, 0, 0, 1, 1), Moment(60, 0.6, 0, 0, 1, 1)]
    steadiness.show(found)
    told = capsys.readouterr().out
    for part in ("root of E_warp", "averaging", "11/11", "shimmer on cut", "averaging never", "1 pairs with true flow"):
        assert part in told
    assert told.count("MISSED") == 3
    lines = {line.split()[0]: line.split() for line in told.splitlines() if line.strip()}
    assert lines["averaging"][1:4] == ["1.00", "0.600", "0.500"]
