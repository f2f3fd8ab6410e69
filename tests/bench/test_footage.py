"""Motion that footage comes with, checked on its own pictures."""

from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from allaprima.bench import clips, footage
from allaprima.bench.coherence import e_warp
from allaprima.realtime.errors import ConfigError

SIZE = (64, 48)


def mean_error(some: footage.Footage, scale: float = 1) -> float:
    """Mean E_warp, along the motion or ``scale`` of it."""
    shown, errors = footage.pictures(some.frames), []
    for t in footage.pairs(some):
        flow, hidden = some.motion[t]
        errors.append(e_warp(shown[t], shown[t - 1], np.float32(scale) * flow, hidden))
    return float(np.mean(errors))


def test_a_scene_comes_with_its_exact_motion() -> None:
    some = footage.scene_footage("landscape", SIZE, 4)
    assert some.cut is None
    assert list(footage.pairs(some)) == [1, 2, 3]
    assert mean_error(some) < 0.002
    assert mean_error(some) < mean_error(some, 0)


def test_a_cut_is_in_the_middle_and_no_pair() -> None:
    some = footage.scene_footage("cut", SIZE, 6)
    assert some.cut == 3
    assert list(footage.pairs(some)) == [1, 2, 4, 5]


def test_a_pan_moves_exactly() -> None:
    some = footage.pan_footage(SIZE, 4)
    assert some.pan
    assert len(some.frames) == len(some.motion) == 4
    assert mean_error(some) < 1e-4
    assert mean_error(some, 0) > 0.01
    assert some.motion[1][1][:, -footage.PAN_PX :].all(), "came in from outside"


def test_motion_of_a_clip_is_estimated_and_checked(tmp_path: Path) -> None:
    some = footage.clip_footage(clips.render(tmp_path, (128, 96), 4), 3)
    assert len(some.frames) == len(some.motion) == 3
    assert some.rate == 30
    assert some.motion[0][1].all()
    assert 0.2 < 1 - some.motion[1][1].mean() <= 1
    assert mean_error(some) < 0.01


@pytest.fixture
def flows(tmp_path: Path, tiny: ModuleType) -> Path:
    """A pair that moves 5 to the right and 2 down from the first picture to the second, as Sintel writes it."""
    folder = tmp_path / "flow/walk"
    folder.mkdir(parents=True)
    first = np.repeat(tiny.texture(SIZE)[..., None], 3, 2)
    cv2.imwrite(str(folder / "frame_0009.png"), first)
    cv2.imwrite(str(folder / "frame_0010.png"), np.roll(first, (2, 5), (0, 1)))
    flow = np.full((*first.shape[:2], 2), (5, 2), np.float32)
    flow[:4] = 2e9
    cv2.writeOpticalFlow(str(folder / "frame_0009.flo"), flow)
    mask = np.zeros(first.shape[:2], np.uint8)
    mask[:, :6] = 255
    cv2.imwrite(str(folder / "occlusions_frame_0009.png"), mask)
    return folder


def test_a_pair_with_true_flow_is_played_the_other_way_round(flows: Path) -> None:
    (some,) = footage.true_pairs(flows.parent)
    assert some.name == "walk"
    assert list(footage.pairs(some)) == [1]
    assert mean_error(some) < 1e-4
    assert mean_error(some, -1) > 0.01
    hidden = some.motion[1][1]
    assert hidden[:4].all(), "unknown"
    assert hidden[:, :6].all(), "occluded"
    assert hidden[:, -5:].all(), "outside"
    assert not hidden[4:-2, 6:-5].any()


def test_a_pair_without_its_pictures_is_told(flows: Path) -> None:
    (flows / "frame_0010.png").unlink()
    with pytest.raises(ConfigError, match=r"no picture frame\*0010.png"):
        list(footage.true_pairs(flows))
    (flows / "frame_0009.flo").write_bytes(b"no flow")
    with pytest.raises(ConfigError, match="not a flow file"):
        list(footage.true_pairs(flows))


def test_a_folder_without_footage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(footage, "SCENES", ())
    assert list(footage.true_pairs(tmp_path / "away")) == []
    with pytest.raises(ConfigError, match="no clip"):
        list(footage.footages(SIZE, 2, tmp_path))


def test_a_reel_gives_floats_of_the_bytes_it_keeps() -> None:
    picture = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    reel = footage.Reel([picture, picture + 1])
    assert reel[1].dtype == np.float32
    assert reel[1].max() == np.float32(24 / 255)
    assert reel[1:].bytes[0] is reel.bytes[1]
    assert len(reel) == len(list(reel)) == 2
    assert np.array_equal(footage.as_bytes(reel[0]), picture)
