"""That scales are measured, checked and told; never how large a time is."""

import json
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from allaprima.bench import scales, subjects
from allaprima.bench.catalogue import Point, Scale
from allaprima.bench.subjects import Clip, Crowd, Subject, Viewer, swinging
from allaprima.realtime.bundle import Bundle
from allaprima.realtime.errors import AllaprimaError, ConfigError
from allaprima.realtime.stylizer import Stylizer

SIZE = (64, 48)


@pytest.fixture
def bundle(tmp_path: Path, tiny: ModuleType) -> Path:
    return tiny.write_bundle(tmp_path / "bundle", {"bright": (0.25, 0.0), "dark": (-0.25, 0.0)})


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch, tiny: ModuleType) -> None:
    monkeypatch.setattr(subjects, "rendered", lambda: tuple(tiny.frame(SIZE, seed) for seed in range(3)))
    monkeypatch.setattr(subjects, "WARM_UP", 1)
    monkeypatch.setattr(scales, "TRIALS", 2)
    monkeypatch.setattr(scales, "ROUNDS", 2)


def measure(name: str, bundle: Path, notes: list[str] | None = None, streams: Sequence[int] = (1, 2)) -> list[Scale]:
    notes = [] if notes is None else notes
    return scales.measure([name], SIZE, 0.02, notes.append, streams, backend="cpu", bundle=bundle)


def points(*ms: float, invalid: Sequence[int] = ()) -> list[Point]:
    return [
        Point(x=2**n, ms=each, fps=1000 / each, invalid=("is empty",) if n in invalid else ())
        for n, each in enumerate(ms)
    ]


# ---- the scales ----


def test_pixels(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scales, "SIZES", ((64, 48), (96, 64), (128, 96)))
    nets, engine = measure("pixels", bundle)
    assert [(scale.over, scale.layer) for scale in (nets, engine)] == [("pixels", "nets"), ("pixels", "engine")]
    assert [point.x for point in engine.points] == [64 * 48 / 1e6, 96 * 64 / 1e6, 128 * 96 / 1e6]
    assert all(whole.ms > part.ms for whole, part in zip(engine.points, nets.points, strict=True))
    assert all(point.core_ms and not point.invalid for point in engine.points)
    assert "cost grows at most in proportion to pixels up to" in engine.says


def test_slow_points_have_fewer_trials(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scales, "ENOUGH", 1)
    slow, quick = (Subject(x, Stylizer(bundle=bundle, backend="cpu"), subjects.scene(SIZE)) for x in (1, 2))
    slow.spent = 60.0
    plan = scales.Plan(SIZE, 1.0, (), "cpu", slow.stylizer.bundle, lambda note: None)
    scales.take_turns(plan, "pixels", [slow, quick])
    assert (len(slow.trials), len(quick.trials)) == (1, 2)


def test_streams_share_one_process(bundle: Path, no_thread_left: None) -> None:
    notes: list[str] = []
    (scale,) = measure("streams", bundle, notes, (2, 1, 2))
    assert [(point.x, point.invalid) for point in scale.points] == [(1, ()), (2, ())]
    one, two = scale.points
    assert two.fps == pytest.approx(2000 / two.ms, rel=1e-3)
    assert (one.rss_mb is None) == (two.rss_mb is None)
    assert "2 streams paint" in scale.says
    assert notes[0] == "streams: 1, trial 1 of 2"


def test_styles_fill_the_bank_and_the_mix(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scales, "STYLES", (1, 3))
    mixes: list[str] = []
    monkeypatch.setattr(
        Stylizer, "set_style", lambda self, style, fade: mixes.append(f"{style} {len(self.bank.names())}")
    )
    (scale,) = measure("styles", bundle)
    assert [point.x for point in scale.points] == [1, 3]
    assert mixes[:2] == ["style-000:1 1", "style-000:1,style-001:2,style-002:3 3"]
    assert mixes[3] == "style-000:1,style-001:1,style-002:1 3", "a fade always has somewhere to go"
    assert "a frame with 3 styles in the bank and in the mix costs" in scale.says


def test_channels(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("onnx")
    monkeypatch.setattr(scales, "CHANNELS", (8, 16))
    (scale,) = measure("channels", bundle)
    assert (scale.layer, [point.x for point in scale.points]) == ("nets", [8, 16])
    assert "with 16" in scale.says


def test_without_torch_channels_are_left_out_and_why_is_told(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("allaprima.exporters.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    notes: list[str] = []
    assert measure("channels", bundle, notes) == []
    assert notes == ["channels: left out, nets of other widths are built with torch, which is not installed"]


@pytest.mark.parametrize("streams", [(), (0, 1)])
def test_what_cannot_be_is_told_before_anything_is_measured(bundle: Path, streams: Sequence[int]) -> None:
    with pytest.raises(ConfigError, match="above 0"):
        measure("streams", bundle, streams=streams)
    with pytest.raises(ConfigError, match="'colors'") as raised:
        measure("colors", bundle)
    assert "channels" in raised.value.hint


# ---- what is painted wrongly ----


def test_a_point_that_was_not_painted_is_invalid_and_does_not_count(bundle: Path) -> None:
    subject = Subject(1, Stylizer(bundle=bundle, backend="cpu"), subjects.scene(SIZE))
    subject.stylizer.bypass = True
    subject.measure(0.01)
    assert subject.problem == "frame 0 is the input"
    told = scales.told("pixels", "engine", points(10, 20, 200, invalid=[2]), lambda points, at: f"{len(points)} {at}")
    assert (told.knee, told.says, len(told.points)) == (None, "2 None", 3)
    assert "too few" in scales.told("pixels", "engine", points(10, 20, invalid=[1]), lambda *_: "").says


def test_a_stream_that_shows_its_input_makes_its_crowd_invalid(bundle: Path) -> None:
    stylizers = [Stylizer(bundle=bundle, backend="cpu") for _ in range(2)]
    stylizers[1].strength = 0
    crowd = Crowd(stylizers, subjects.scene(SIZE))
    crowd.measure(0.01)
    assert crowd.point().invalid == ("frame 0 is the input",)


def test_what_a_stream_dies_of_is_raised(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Stylizer, frame: Any) -> None:
        raise AllaprimaError("the card is gone")

    monkeypatch.setattr(Stylizer, "look", refuse)
    with pytest.raises(AllaprimaError, match="the card is gone"):
        Crowd([Stylizer(bundle=bundle, backend="cpu")], subjects.scene(SIZE)).measure(0.01)


def test_the_quickest_trial_counts() -> None:
    trials = [subjects.Trial(12, 6, 20), subjects.Trial(10, 8, 18)]
    subject = Subject(4, None, [], trials)  # type: ignore[arg-type]
    assert (subject.point("engine").ms, subject.point("nets").ms, subject.point("engine").core_ms) == (10, 8, 18)


# ---- inputs ----


def test_a_clip_ends_when_its_time_is_over_but_not_before_there_is_something_to_see(tiny: ModuleType) -> None:
    frames = [tiny.frame(SIZE, seed) for seed in range(3)]
    taken = list(Clip(frames, 0))
    assert [frame.index for frame in taken] == list(range(subjects.LEAST + 1))
    assert [np.array_equal(a.planes[0], b.planes[0]) for a, b in zip(taken, [*frames, frames[1]], strict=False)] == [
        True
    ] * 4
    stopped = Clip(frames, 60)
    threading.Timer(0.05, stopped.stop).start()
    assert len(list(stopped)) <= subjects.MOST
    assert [swinging(index, 3) for index in range(6)] == [0, 1, 2, 1, 0, 1]


def test_a_viewer_counts_from_its_first_frame_to_its_last() -> None:
    viewer = Viewer()
    viewer.times = [10.0, 10.5, 11.0]
    assert viewer.fps == 2


def test_a_bank_of_any_size_is_made_of_the_styles_there_are(bundle: Path, tmp_path: Path) -> None:
    found = scales.bank_of(Bundle(bundle), 5, tmp_path / "bank")
    assert len(found.style_files()) == 5
    assert found.load_style(found.style_files()["style-004"])


# ---- the findings ----


def test_findings_carry_their_figures() -> None:
    names = {1: "320x180", 2: "640x360", 4: "1280x720"}
    say = scales._pixels_say
    assert say(points(20, 20, 40), None, names) == (
        "cost grows at most in proportion to pixels up to 1280x720 (10 ms a megapixel at best); "
        "at 320x180 2.0 times as much, for what does not depend on size"
    )
    assert say(points(10, 20, 60), 2, names) == (
        "cost grows at most in proportion to pixels up to 640x360 (10 ms a megapixel at best); "
        "at 1280x720 a pixel costs 1.5 times as much"
    )
    assert scales._channels_say(points(1, 4, 16), 1).startswith("cost grows with the channels to the power of 2.0, by")
    assert "costs 1.10 times what it costs with 1, and clearly more from 2 on" in scales._flat(points(10, 10, 11), 2)
    held = [Point(x=x, ms=1, fps=10 * x, rss_mb=100 + 20 * x) for x in (1, 4)]
    assert scales._streams_say(held, 1) == (
        "4 streams paint 40 frames a second together, 1 10: from 1 on, more streams gain nothing; each takes 20 MB"
    )


def test_the_command_prints_json_alone(bundle: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = Scale(over="pixels", layer="nets", points=tuple(points(10, 20, 60)), knee=2, says="so it is")
    asked: list[Any] = []
    monkeypatch.setattr(scales, "measure", lambda *args, **more: asked.append((args, more)) or [found])
    app = scales.typer.Typer()
    app.command()(scales.main)
    told = CliRunner().invoke(app, ["--over", "pixels", "--size", "96x64", "--streams", "1,3", "--json", "-"])
    assert [Scale.model_validate(each) for each in json.loads(told.stdout)] == [found]
    assert asked[0][0][:2] == (["pixels"], (96, 64))
    assert asked[0][0][4] == [1, 3]
    target = tmp_path / "scales.json"
    assert CliRunner().invoke(app, ["--json", str(target)]).exit_code == 0
    assert json.loads(target.read_text())[0]["knee"] == 2
    wrong = CliRunner().invoke(app, ["--streams", "one"])
    assert isinstance(wrong.exception, ConfigError)
