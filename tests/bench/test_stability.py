"""The columns, what is measured of them, and the command."""

import functools
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

from allaprima.bench import clips, drift, footage, quality, stability, steadiness
from allaprima.bench.footage import Footage
from allaprima.bench.stability import Plan
from allaprima.realtime.errors import ConfigError

SIZE = (64, 48)


@pytest.fixture
def plan(own_bundle: Path, tiny: ModuleType) -> Plan:
    """A style that brightens, with history by default."""
    tiny.add_style(own_bundle, "steady", 0.25, steadiness=0.85)
    return Plan("steady", own_bundle)


def test_the_columns_are_the_input_our_two_and_what_others_do(plan: Plan) -> None:
    some = footage.scene_footage("still-noise", SIZE, 4)
    shown = stability.shown_by_column(some, plan)
    assert list(shown) == ["input", "per frame", "default", "averaging", "holding", "warping"]
    assert {len(reel) for reel in shown.values()} == {4}
    assert shown["per frame"][1].mean() > shown["input"][1].mean() + 0.05
    mean = (shown["per frame"][1] + shown["per frame"][0]) / 2
    assert np.abs(shown["averaging"][1] - mean).max() < 0.01
    assert not np.array_equal(shown["default"].bytes[3], shown["per frame"].bytes[3])
    assert list(stability.shown_by_column(some, Plan(plan.style, plan.bundle, rivals=False))) == list(shown)[:3]


def test_a_still_has_shimmer(plan: Plan) -> None:
    some = footage.scene_footage("still-noise", SIZE, stability.SETTLE_FRAMES + 3)
    result = stability.measure(some, plan)
    assert result.shimmer is not None
    assert set(result.shimmer) == set(result.e_warp)
    assert result.shimmer["default"] < 0.7 * result.shimmer["per frame"]
    assert result.flicker("default") < 0.7
    assert result.ghosting is result.recovery is result.lag is None
    assert (
        set(result.stale)
        == set(result.distance)
        == set(result.sharpness["half"])
        == set(result.stripes)
        == set(result.blobs)
        == {"default", *list(result.e_warp)[3:]}
    )
    assert result.strip is not None
    assert result.strip.shape[1] == 1600


def test_recovery_from_a_cut_is_counted(plan: Plan) -> None:
    result = stability.measure(footage.scene_footage("cut", SIZE, 12), plan)
    assert result.recovery is not None
    assert result.recovery["default"] <= 1
    assert result.recovery["averaging"] > 1
    assert result.ghosting is not None
    assert result.ghosting["averaging"] > 0


def test_lag_is_measured_on_the_pan_which_counts_nowhere_else(plan: Plan) -> None:
    result = stability.measure(footage.pan_footage(SIZE, 8), plan)
    assert result.lag is not None
    assert 0.2 < result.lag["averaging"] < 1.2
    assert result.lag["default"] == pytest.approx(0, abs=0.1)
    assert not result.counted


def test_footage_without_a_pair_is_told(plan: Plan) -> None:
    some = footage.scene_footage("landscape", SIZE, 1)
    with pytest.raises(ConfigError, match="no two frames"):
        stability.mean_e_warp(footage.pictures(some.frames), some)


def test_moments_of_drift_are_whole_seconds() -> None:
    assert stability.whole_seconds("1, 10,60") == [1, 10, 60]
    for text in ("0,1", "1.5", "", "-3"):
        with pytest.raises(ConfigError, match="whole seconds"):
            stability.whole_seconds(text)


def run(plan: Plan, **changes: Any) -> None:
    settings: dict[str, Any] = {"size": "64x48", "frames": 12, "style": plan.style, "bundle": plan.bundle}
    settings |= dict.fromkeys(("clips_", "flow", "data", "strips", "page_", "as_json"))
    settings |= {"rivals": True, "drift_": False, "drift_seconds": "1,2"}
    stability.main(**(settings | changes))


@pytest.fixture
def one_scene(monkeypatch: pytest.MonkeyPatch) -> Footage:
    scene = footage.scene_footage("landscape", SIZE, 4)
    monkeypatch.setattr(stability, "footages", lambda size, frames, clips: [scene])
    return scene


@pytest.mark.usefixtures("one_scene")
def test_the_command_writes_tables_json_and_strips(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(drift, "measure", functools.partial(drift.measure, size=SIZE))
    run(plan, strips=tmp_path / "strips", as_json=str(tmp_path / "stability.json"), drift_=True, flow=tmp_path)
    report = json.loads((tmp_path / "stability.json").read_text())
    assert report["schema"] == "allaprima-bench-stability/2"
    assert report["settings"]["style"] == "steady"
    assert report["settings"]["steadiness"] == 0.85
    assert [each["name"] for each in report["footage"]] == ["test:landscape"]
    assert [moment["second"] for moment in report["drift"]["moments"]] == [1, 2]
    assert "style_loss" not in report["footage"][0]
    assert "true_flow" not in report
    assert cv2.imread(str(tmp_path / "strips" / "test-landscape.png")).shape[1] == 1600
    told = capsys.readouterr()
    assert "root of E_warp" in told.out
    assert "no flow" in told.err


@pytest.mark.usefixtures("one_scene")
def test_pairs_with_true_flow_are_a_line_of_their_own(
    plan: Plan, one_scene: Footage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pair = Footage("whale", one_scene.frames[:2], one_scene.motion[:2])
    monkeypatch.setattr(stability, "true_pairs", lambda folder: [pair])
    run(plan, flow=tmp_path, rivals=False, as_json="-")
    report = json.loads(capsys.readouterr().out)
    assert set(report["true_flow"]["root_e_warp"]["whale"]) == {"input", "per frame", "default"}
    assert report["true_flow"]["history"] == "one frame deep"


@pytest.mark.usefixtures("one_scene")
def test_a_page_has_the_columns_side_by_side_and_the_strip(plan: Plan, tmp_path: Path) -> None:
    run(plan, page_=tmp_path / "page", rivals=False)
    assert len(list(clips.luma(tmp_path / "page/test-landscape.mp4"))) == 4
    text = (tmp_path / "page/index.html").read_text()
    assert 'src="test-landscape.mp4"' in text
    assert 'src="test-landscape.png"' in text


@pytest.mark.usefixtures("one_scene")
def test_style_loss_needs_the_data_and_a_known_artwork(
    quality_data: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("torch", reason="style is judged with torch: pip install 'allaprima[train]'")
    monkeypatch.setattr(quality, "CONFIG", quality_data.config)
    run(Plan("bright", quality_data.bundle), data=quality_data.folder, as_json="-")
    report = json.loads(capsys.readouterr().out)
    losses = report["footage"][0]["style_loss"]
    assert set(losses) == {"per frame", "default", "averaging", "holding", "warping"}
    assert losses["default"] == losses["per frame"], "this style has no history"
    assert report["means"]["default"]["style_loss"] == 1
    assert steadiness.STYLE in {bar["what"] for bar in report["bars"]}
    assert stability.open_plan("unknown", quality_data.bundle, True, quality_data.folder).critic is None
    assert "names no artwork for unknown" in capsys.readouterr().err
