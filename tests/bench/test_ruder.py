"""The reference holds on to the past exactly where it may, and is else the frame-by-frame optimisation."""

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="optimising needs torch: pip install 'allaprima[train]'")

from allaprima.bench import clips, critic, ruder
from allaprima.bench.coherence import outside
from allaprima.bench.critic import Critic
from allaprima.bench.footage import Footage, as_bytes, pictures
from allaprima.bench.quality import LOSS_NETWORK
from allaprima.bench.ruder import Past
from allaprima.realtime.errors import ConfigError
from allaprima.realtime.rgb import Rgb

SIZE = (48, 32)
SHIFT_PX, NOISE_LEVELS, STEPS = 3, 12, 8


@pytest.fixture
def judge(quality_data: Any) -> Critic:
    return Critic(quality_data.folder / LOSS_NETWORK, critic.read_config(quality_data.config, quality_data.folder))


@pytest.fixture
def footage(tiny: ModuleType) -> Footage:
    """A texture that goes three pixels to the right each frame, under noise that is new each time; exact motion."""
    rng, rgb = np.random.default_rng(3), Rgb()
    still = np.stack([tiny.texture(SIZE, channel, 60, 190) for channel in range(3)], 2).astype(float)
    frames = [
        rgb.frame(as_bytes((np.roll(still, SHIFT_PX * t, 1) + rng.normal(0, NOISE_LEVELS, still.shape)) / 255))
        for t in range(3)
    ]
    flow = np.zeros((*SIZE[::-1], 2), np.float32)
    flow[..., 0] = -SHIFT_PX
    hidden = np.ones(SIZE[::-1], bool)
    return Footage("noisy", frames, [(flow, hidden), (flow, outside(flow)), (flow, outside(flow))])


def photo(footage: Footage, index: int = 0) -> Any:
    return pictures(footage.frames).bytes[index]


def same(picture: Any, other: Any) -> bool:
    return bool(np.array_equal(picture, ruder.as_floats(other)))


def test_the_past_makes_it_steadier_than_frame_by_frame_from_other_starts(judge: Critic, footage: Footage) -> None:
    alone = [ruder.as_floats(judge.optimise(photo(footage, t), "bright", STEPS)) for t in range(3)]
    made = ruder.paint(footage, "bright", judge, STEPS)
    assert [picture.dtype for picture in made] == [np.float32] * 3
    assert {picture.shape for picture in made} == {(*SIZE[::-1], 3)}
    assert 0 <= min(picture.min() for picture in made) <= max(picture.max() for picture in made) <= 1
    assert ruder.root_e_warp(made, footage) < 0.5 * ruder.root_e_warp(alone, footage)


def test_it_is_the_loss_that_holds_and_not_the_start_alone(judge: Critic, footage: Footage) -> None:
    weights = (0, ruder.WEIGHT, 10 * ruder.WEIGHT)
    none, some, much = (
        ruder.root_e_warp(ruder.paint(footage, "brighter", judge, 40, weight), footage) for weight in weights
    )
    assert some < 0.8 * none
    assert much < 0.5 * none


def test_without_trust_it_is_the_optimisation_of_one_picture(judge: Critic, footage: Footage) -> None:
    given = photo(footage)
    past = Past(ruder.as_floats(given), np.zeros(SIZE[::-1], bool))
    made = ruder.optimise(given, past, "bright", judge, STEPS)
    assert np.array_equal(np.rint(made * 255).astype(np.uint8), judge.optimise(given, "bright", STEPS))
    assert not same(made, given)


def test_only_what_is_trusted_is_held(judge: Critic, footage: Footage) -> None:
    trusted = np.zeros(SIZE[::-1], bool)
    trusted[:, :24] = True
    past = Past(1 - ruder.as_floats(photo(footage)), trusted)
    away = np.abs(ruder.optimise(photo(footage), past, "bright", judge, 40, 10 * ruder.WEIGHT) - past.warped)
    assert away[:, 24:].mean() > 2 * away[:, :24].mean() > 0


def test_another_shot_begins_anew(judge: Critic, footage: Footage) -> None:
    flow, hidden = footage.motion[1]
    cut = Footage("cut", footage.frames[:2], [footage.motion[0], (flow, np.ones_like(hidden))])
    made = ruder.paint(cut, "bright", judge, 2)
    assert all(same(made[t], judge.optimise(photo(footage, t), "bright", 2)) for t in (0, 1))
    with pytest.raises(ConfigError, match="no two frames"):
        ruder.root_e_warp(made, cut)


def test_ratios_are_against_the_same_painter() -> None:
    alone = ruder.Way([], 0.5, root_e_warp=0.04, sharpness=0.02, style=0.3, content=0.5)
    told = ruder.Way([], 9, root_e_warp=0.01, sharpness=0.015, style=0.2, content=0.4).as_json(alone)
    assert (told["root_e_warp_ratio"], told["sharpness_half_ratio"]) == (0.25, 0.75)
    assert (told["style_loss"], told["content_loss"], told["seconds_a_frame"]) == (0.2, 0.4, 9)
    assert set(ruder.ALONE) == {ruder.PER_FRAME, ruder.DEFAULT, ruder.GATYS, ruder.RUDER}
    assert ruder.ALONE[ruder.RUDER] == ruder.GATYS != ruder.ALONE[ruder.DEFAULT]


def test_a_clip_is_scaled_and_its_motion_found_at_that_size(tmp_path: Path) -> None:
    footage = ruder.clip_footage(str(clips.render(tmp_path, (192, 128), 4)), (96, 64), 3)
    assert [frame.size for frame in footage.frames] == [(96, 64)] * 3
    assert [flow.shape for flow, _ in footage.motion] == [(64, 96, 2)] * 3
    assert footage.motion[0][1].all()
    shown = list(pictures(footage.frames))
    still = Footage("still", footage.frames, [(0 * flow, hidden) for flow, hidden in footage.motion])
    assert ruder.root_e_warp(shown, footage) < ruder.root_e_warp(shown, still)


def run(data: Any, clip: Path, **changes: Any) -> None:
    settings: dict[str, Any] = {"style": "brighter", "frames": 3, "size": "64x48", "iterations": 2}
    settings |= {"bundle": data.bundle, "config": data.config, "as_json": None, "strip": None}
    ruder.main(str(clip), data.folder, **(settings | changes))


def test_a_run_tells_all_four_ways(quality_data: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip = clips.render(tmp_path, (64, 48), 4)
    run(quality_data, clip, as_json=str(tmp_path / "ruder.json"), strip=tmp_path / "ruder.png")
    told = json.loads((tmp_path / "ruder.json").read_text())
    assert told["schema"] == ruder.SCHEMA
    assert told["settings"]["temporal_weight"] == ruder.WEIGHT
    assert (told["settings"]["frames"], told["settings"]["pairs"]) == (3, 2)
    assert list(told["ways"]) == list(ruder.ALONE)
    assert all(min(way.values()) > 0 for way in told["ways"].values())
    assert told["ways"][ruder.GATYS]["root_e_warp_ratio"] == 1
    assert cv2.imread(str(tmp_path / "ruder.png")).shape[1] == 1600
    shown = capsys.readouterr().out
    assert all(name in shown for name in ruder.ALONE)


def test_a_style_without_artwork_is_told(quality_data: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no artwork for 'unknown'"):
        run(quality_data, tmp_path / "none.mp4", style="unknown")
