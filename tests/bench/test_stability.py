import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from allaprima.bench import clips, stability
from allaprima.realtime.errors import ConfigError

SIZE = (64, 48)


def test_a_scene_comes_with_its_exact_motion() -> None:
    footage = stability.scene_footage("landscape", SIZE, 4)
    assert footage.cut is None
    assert list(stability.pairs(footage)) == [1, 2, 3]
    shown = stability.pictures(footage.frames)
    assert stability.mean_e_warp(shown, footage) < 0.002
    still = stability.Footage("still", footage.frames, [(0 * flow, hidden) for flow, hidden in footage.motion])
    assert stability.mean_e_warp(shown, footage) < stability.mean_e_warp(shown, still)


def test_a_cut_is_in_the_middle_and_no_pair() -> None:
    footage = stability.scene_footage("cut", SIZE, 6)
    assert footage.cut == 3
    assert list(stability.pairs(footage)) == [1, 2, 4, 5]


def test_a_measured_scene_has_every_figure(capsys: pytest.CaptureFixture[str]) -> None:
    result = stability.measure(stability.scene_footage("still-noise", SIZE, stability.SETTLE_FRAMES + 3))
    found = json.loads(json.dumps(result.as_json()))
    assert set(found["e_warp"]) == set(found["shimmer"]) == set(stability.COLUMNS)
    assert found["root_e_warp"]["input"] == pytest.approx(found["e_warp"]["input"] ** 0.5, rel=1e-4)
    assert found["shimmer"]["default"] < found["shimmer"]["per frame"]
    assert found["distance_to_per_frame"] > 0
    assert result.strip is not None
    assert result.strip.shape[1] == 1600
    stability.show([result])
    assert "shimmer on test:still-noise" in capsys.readouterr().out


def test_recovery_from_a_cut_is_counted() -> None:
    result = stability.measure(stability.scene_footage("cut", SIZE, 12))
    assert result.recovery in range(-1, 6)


def test_motion_of_a_clip_is_estimated_and_checked(tmp_path: Path) -> None:
    clip = clips.render(tmp_path, (128, 96), 4)
    footage = stability.clip_footage(clip, 3)
    assert len(footage.frames) == len(footage.motion) == 3
    assert footage.motion[0][1].all()
    assert 0.2 < 1 - footage.motion[1][1].mean() <= 1
    assert np.isfinite(stability.mean_e_warp(stability.pictures(footage.frames), footage))


def test_the_command_writes_tables_json_and_strips(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stability, "SCENES", ("landscape",))
    stability.main("64x48", 12, None, None, tmp_path / "strips", str(tmp_path / "stability.json"))
    report = json.loads((tmp_path / "stability.json").read_text())
    assert report["schema"] == stability.SCHEMA
    assert [each["name"] for each in report["footage"]] == ["test:landscape"]
    assert cv2.imread(str(tmp_path / "strips" / "test-landscape.png")).shape[1] == 1600
    assert "root of E_warp" in capsys.readouterr().out


def test_a_folder_without_clips_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no clip"):
        list(stability.footages(SIZE, 2, tmp_path))
