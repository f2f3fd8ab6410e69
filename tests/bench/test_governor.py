"""That the steps of the ladder and the live runs are measured rightly; never how large a time is."""

import json
from pathlib import Path

import numpy as np
import pytest

from allaprima.bench import clips, footage, governor
from allaprima.bench.governor import Watcher
from allaprima.realtime.backends import FULL, Effort
from allaprima.realtime.ladder import Ladder

SIZE = (64, 48)
EFFORTS = (FULL, Effort(every=2))


@pytest.fixture(scope="module")
def scene() -> footage.Footage:
    return footage.scene_footage("landscape", SIZE, 12)


def test_each_step_paints_the_same_frames_and_is_held_against_full_effort(scene: footage.Footage) -> None:
    rungs, reels = governor.climb(scene, EFFORTS)
    assert [rung.effort for rung in rungs] == list(EFFORTS)
    assert [len(reel) for reel in reels] == [12, 12]
    assert rungs[0].carried is None
    assert rungs[1].carried is not None
    for rung in rungs:
        assert rung.milliseconds > 0
        assert 0 < rung.flicker < 3
        assert 0 < rung.sharpness < 2
    assert "flicker_of_carried" in rungs[1].as_json()
    page = governor.sheet(rungs, reels, "steps")
    assert page.shape[1] == 2400


def test_a_step_takes_what_its_frames_take_on_average(scene: footage.Footage) -> None:
    reel = footage.pictures(scene.frames)
    times = [1000.0] * governor.WARM_UP_FRAMES + [30.0, 10.0] * 3
    rung = governor.judge(Effort(every=2), times, reel, scene, reel)
    assert rung.milliseconds == pytest.approx(20)
    assert rung.flicker == rung.carried == pytest.approx(1)
    assert rung.sharpness == pytest.approx(1)


def test_means_are_taken_step_by_step() -> None:
    rungs = [
        [governor.Rung(FULL, 10, 0.5, None, 1), governor.Rung(EFFORTS[1], 5, 0.75, 0.25, 0.5)],
        [governor.Rung(FULL, 30, 0.25, None, 1), governor.Rung(EFFORTS[1], 15, 0.25, 0.75, 0.5)],
    ]
    assert governor.means(rungs) == [
        governor.Rung(FULL, 20, 0.375, None, 1),
        governor.Rung(EFFORTS[1], 10, 0.5, 0.5, 0.5),
    ]


def test_a_live_run_is_judged_by_what_came_out(scene: footage.Footage) -> None:
    run = governor.live(scene.frames, 60, 1.0, Ladder())
    assert run.fps > 0
    assert 0 < run.p50_ms <= run.p95_ms
    assert run.path[0] == (0.0, "full")
    assert governor.live(scene.frames, 60, 0.5, None).steps == 0
    watcher = Watcher()
    with watcher:
        watcher.write(scene.frames[0])
    assert len(watcher.seen) == 1


def test_the_command_writes_what_it_found(
    scene: footage.Footage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(governor, "open_backend", lambda *_: type("Fake", (), {"efforts": EFFORTS}))
    report, sheet = tmp_path / "g.json", tmp_path / "g.png"
    governor.main("64x48", 60, 1.0, 12, None, sheet, True, str(report))
    found = json.loads(report.read_text())
    assert found["schema"] == governor.SCHEMA
    assert [rung["step"] for rung in found["rungs"]["test:landscape"]] == ["full", "net every 2nd frame"]
    assert set(found["live"]) == {"without", "with"}
    assert sheet.stat().st_size > 1000
    shown = capsys.readouterr().out
    assert "net every 2nd frame" in shown
    assert "with:" in shown
    assert np.isfinite(found["live"]["with"]["fps"])


def test_the_steps_of_clips_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(governor, "open_backend", lambda *_: type("Fake", (), {"efforts": EFFORTS}))
    clips.render(tmp_path, (64, 48), 12)
    governor.main("64x48", 60, 1.0, 12, tmp_path, None, False, str(tmp_path / "g.json"))
    found = json.loads((tmp_path / "g.json").read_text())
    assert list(found["rungs"]) == ["test:landscape", "landscape-64x48-12", "mean of the clips"]
    assert found["rungs"]["mean of the clips"] == found["rungs"]["landscape-64x48-12"]
    assert found["live"] == {}
    assert "once settled" not in capsys.readouterr().out
