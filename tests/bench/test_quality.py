"""The whole run on a few tiny pictures, and what it says when something is missing."""

import itertools
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="quality is judged with torch: pip install 'allaprima[train]'")

from allaprima.bench import checkpoints, clips, grades, quality
from allaprima.bench.pictures import Given, Painter
from allaprima.realtime.errors import ConfigError, SinkError, UnknownStyle


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, quality_data: Any) -> Any:
    """The data with a clip and a rival that paints everything white; sizes to fit."""
    clips.render(quality_data.folder / "clips", (64, 48), 6)
    (quality_data.folder / "checkpoints").mkdir()
    (quality_data.folder / "checkpoints/white.bin").touch()
    monkeypatch.setattr(checkpoints, "SHARED", {"brighter": ("white", "white.bin"), "bright": ("lost", "lost.bin")})
    monkeypatch.setattr(checkpoints, "load", lambda path: lambda rgb: rgb * 0 + 255)
    monkeypatch.setattr(quality, "IDENTITY_SIZE", (64, 48))
    monkeypatch.setattr(quality, "FLOOR_SIDE", 32)
    monkeypatch.setattr(quality, "SHEET_SIZE", (64, 48))
    return quality_data


def run(data: Any, **changes: Any) -> None:
    settings: dict[str, Any] = {"bundle": data.bundle, "config": data.config, "styles": None, "photos": 2}
    settings |= {"clip_frames": 1, "gatys": 1, "iterations": 2, "as_json": None, "sheet_": None, "sheet_photos": False}
    quality.main(data.folder, **(settings | changes))


def test_a_run_has_every_figure(small: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(small, as_json=str(tmp_path / "quality.json"), sheet_=tmp_path / "sheet.png")
    told = json.loads((tmp_path / "quality.json").read_text())
    assert told["schema"] == quality.SCHEMA
    assert told["machine"]["cores"] > 0
    assert told["settings"]["photos"] == 2
    assert told["settings"]["style_weight"] == 4
    assert list(told["photos"]) == list(told["clips"]) == ["bright", "brighter"]
    assert len(told["photos"]["bright"]["style"]["trials"]) == 2
    assert len(told["clips"]["bright"]["style"]["trials"]) == 1
    assert set(told["rivals"]) == {"brighter"}
    assert told["rivals"]["brighter"]["ours_over_rival"]["style"]["max"] < 1, "white is like nothing"
    assert len(told["ours_over_optimised"]["bright"]["objective"]["trials"]) == 1
    assert len(told["mixing"]) == 1
    assert told["identity_psnr_db"]["min"] > 35, "these nets pass the picture through"
    assert len(told["identity_psnr_db"]["trials"]) == quality.IDENTITY_FRAMES
    assert {bar["what"] for bar in told["bars"]} == {grades.SEPARATION, grades.IDENTITY, grades.JUMP}
    assert cv2.imread(str(tmp_path / "sheet.png")).shape[1] == 1360
    shown = capsys.readouterr()
    assert "own artwork" in shown.out
    assert "unknown: left out" in shown.err
    assert "bright: no checkpoint of lost" in shown.err


def test_photos_painted_as_their_artwork_are_nearest_to_it(small: Any, capsys: pytest.CaptureFixture[str]) -> None:
    run(small, photos=1, clip_frames=0, gatys=0, as_json="-")
    told = json.loads(capsys.readouterr().out)
    assert told["separation"] == {"share": 1, "mistaken": {}}
    assert told["photos"]["bright"]["gram"]["median"] < 0.05
    assert told["clips"] == told["ours_over_optimised"] == {}


def test_a_run_does_without_clips_and_checkpoints(quality_data: Any, capsys: pytest.CaptureFixture[str]) -> None:
    (quality_data.folder / "clips").rmdir()
    run(quality_data, photos=1, gatys=0, styles="bright", as_json="-")
    told = json.loads(capsys.readouterr().out)
    assert told["rivals"] == told["clips"] == {}
    assert told["identity_psnr_db"] is None
    assert told["mixing"] == []


def test_what_cannot_be_measured_is_told(quality_data: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownStyle, match="nothing"):
        run(quality_data, styles="bright,nothing")
    with pytest.raises(ConfigError, match="no style to measure"):
        run(quality_data, styles="unknown")
    with pytest.raises(ConfigError, match="no folder"):
        quality.open_critic(quality_data.config, tmp_path / "away")
    with pytest.raises(ConfigError, match="cannot be read"):
        quality.open_critic(tmp_path / "none.toml", quality_data.folder)
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "allaprima.bench.critic")
    monkeypatch.delattr("allaprima.bench.critic", raising=False)
    with pytest.raises(ConfigError, match="torch is not installed"):
        quality.open_critic(quality_data.config, quality_data.folder)


def test_a_sheet_shows_the_projects_own_scenes_or_the_given_photos(
    small: Any, tiny: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[list[Given]] = []
    monkeypatch.setattr(quality, "sheet", lambda painter, given, styles: shown.append(given))
    monkeypatch.setattr(quality, "write_sheet", lambda path, rgb: None)
    few = {"photos": 1, "clip_frames": 0, "gatys": 0, "sheet_": Path("x.png")}
    run(small, **few)
    run(small, **few, sheet_photos=True)
    assert [len(given) for given in shown] == [len(quality.SHEET_MOMENTS), 1]
    assert shown[1][0].rgb.max() <= 150, "the photo's own levels"
    pictures = [given.rgb.astype(int) for given in shown[0]]
    assert all(np.abs(a - b).mean() > 5 for a, b in itertools.pairwise(pictures)), "three looks"


def test_a_sheet_has_a_row_for_the_input_and_each_style(small: Any, tmp_path: Path) -> None:
    given = quality.scenes()
    one = quality.sheet(Painter(small.bundle), given, ["bright"])
    two = quality.sheet(Painter(small.bundle), given, ["bright", "brighter"])
    assert two.shape[0] > one.shape[0]
    quality.write_sheet(tmp_path / "sheet.jpg", one)
    assert (tmp_path / "sheet.jpg").read_bytes()[:2] == b"\xff\xd8"
    with pytest.raises(SinkError, match="cannot write"):
        quality.write_sheet(tmp_path / "none" / "sheet.jpg", one)
