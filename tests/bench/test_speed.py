"""That figures are gathered, named and judged rightly; never how large a time is."""

import json
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest

from allaprima.bench import clips, command, endurance, engine, speed, table
from allaprima.bench.painted import NotPainted
from allaprima.bench.results import Spread
from allaprima.realtime.frame import Frame
from allaprima.realtime.stylizer import Stylizer

SIZE = (64, 48)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clips.render(tmp_path_factory.mktemp("clips"), SIZE, 8)


def watched(memory: Sequence[tuple[float, int]] = (), **answer: float) -> command.Watched:
    given = {"frames": 11, "seconds": 3.0, "first_frame_seconds": 1.0, "fps": 3.6} | answer
    return command.Watched(10.0, given, 300_000_000, tuple(memory), 6.0, 0.0)


def test_a_clip_is_rendered_once(clip: Path) -> None:
    stamp = clip.stat().st_mtime_ns
    assert clips.render(clip.parent, SIZE, 8) == clip
    assert clip.stat().st_mtime_ns == stamp
    assert len(clips.frames_of(clip)) == 8
    assert len(clips.frames_of(clip, 3)) == 3


def test_a_clip_is_repeated_to_any_length(clip: Path, tmp_path: Path) -> None:
    long = clips.repeat(clip, 19, tmp_path)
    with av.open(str(long)) as container:
        stamps = [float(picture.pts * picture.time_base) for picture in container.decode(video=0)]
    assert len(stamps) == 19
    assert np.allclose(np.diff(stamps), 1 / 30)


def test_steady_speed_leaves_out_the_start() -> None:
    assert watched().steady_fps == pytest.approx(5)


def test_the_command_is_watched_from_outside(clip: Path, tmp_path: Path) -> None:
    run = command.paint(str(clip), str(tmp_path / "out.mp4"))
    assert run.answer["frames"] == 8
    assert run.seconds > run.answer["first_frame_seconds"] > 0
    assert run.cpu_seconds > 0
    assert run.peak is None or run.peak > 10_000_000
    assert {"decode", "net", "encode"} <= set(run.answer["stage_ms"])


def test_a_command_that_fails_has_no_figures(tmp_path: Path) -> None:
    with pytest.raises(command.CommandFailed, match="no such file"):
        command.paint(str(tmp_path / "nothing.mp4"), "null:")


def test_the_engine_is_timed_by_stage(clip: Path) -> None:
    trial = engine.measure(clips.frames_of(clip), Stylizer())
    assert list(trial.stages) == ["upload", "motion", "net", "blend", "finish"]
    assert 0 < trial.besides_nets < 1
    assert trial.cores > 0
    assert 0 < trial.quickest <= trial.whole


def test_an_engine_that_does_not_paint_has_no_time(clip: Path) -> None:
    stylizer = Stylizer()
    stylizer.bypass = True
    with pytest.raises(NotPainted, match="is the input"):
        engine.measure(clips.frames_of(clip), stylizer)


def test_bars_stand_beside_the_medians() -> None:
    result = speed.SizeResult((1280, 720), 120)
    result.figures = {
        "file to file (fps)": Spread.of([25, 19, 21]),
        "besides the nets (share)": Spread.of([0.4]),
        "first frame (s)": Spread.of([1.5]),
    }
    found = {bar.what: bar.met for bar in speed.bars(result)}
    assert found == {"file to file (fps)": True, "besides the nets (share)": False, "first frame (s)": True}
    result.size = (320, 180)
    assert "file to file (fps)" not in {bar.what for bar in speed.bars(result)}


def test_a_result_is_shown_and_written(capsys: pytest.CaptureFixture[str]) -> None:
    result = speed.SizeResult((1280, 720), 120, {"file to file (fps)": Spread.of([1, 2, 3])})
    result.stages = {"net": Spread.of([4, 5, 6])}
    result.other_load = 1.3
    result.bars = speed.bars(result)
    assert json.loads(json.dumps(result.as_json()))["bars"][0]["met"] is False
    speed.show([result])
    shown = capsys.readouterr().out
    assert "≥ 20: MISSED" in shown
    assert "took 1.3 cores" in shown


def test_growth_is_the_slope_after_settling() -> None:
    settling = [(k / 10, 50_000_000 + 4_000_000 * k) for k in range(20)]
    leaking = [(2 + k / 10, 200_000_000 + 1_000_000 * k) for k in range(80)]
    run = endurance.summarize("null:", watched([*settling, *leaking], frames=1000))
    assert run.growth_mb == pytest.approx(100)  # 10 MB a second over 10 s and 1,000 frames
    assert [bar.met for bar in run.bars] == [True, False]
    flat = endurance.summarize("null:", watched([(second, 7) for second, _ in settling], frames=1000))
    assert flat.growth_mb == 0


def test_a_long_run_goes_into_nothing_and_into_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = endurance.measure(SIZE, 12, tmp_path, lambda note: None)
    assert [(run.output, run.frames) for run in runs] == [("null:", 12), ("file", 12)]
    endurance.show(runs)
    assert "growth" in capsys.readouterr().out


def test_numbers_show_three_figures() -> None:
    assert [table.number(value) for value in (1234.5, 12.34, 1.234, 0.1234)] == ["1234", "12.3", "1.23", "0.123"]


def test_the_painted_frames_are_of_the_right_kind(clip: Path) -> None:
    assert all(isinstance(frame, Frame) for frame in clips.frames_of(clip))


def test_the_rival_paints_as_many_frames_as_it_gets(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    assert speed.paint_with_pytorch(clips.render(tmp_path, SIZE, 3), tmp_path / "rival.mp4") > 0
