"""Each layer's case, here and from a child process; a child that fails is a case that does not count."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from allaprima.bench import cases, clips, files, live
from allaprima.bench.cases import Spec
from allaprima.bench.catalogue import Case
from allaprima.realtime.backends import cpu

SIZE = (256, 144)
"""In smaller ones the scene hardly moves from pixel to pixel."""


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path) -> Spec:
    clip = clips.render(tmp_path_factory.mktemp("clips"), SIZE, 30)
    return Spec("nets", SIZE, str(clip), "cpu", "f32", "bright", 0.1, 1, str(tiny_bundle))


@pytest.fixture(autouse=True)
def _precision_is_put_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "best_precision", lambda: "f32")


def test_a_spec_survives_json(spec: Spec) -> None:
    assert Spec.parse(json.dumps(asdict(spec))) == spec
    assert str(spec) == "256x144 nets"


@pytest.mark.parametrize("layer", ["nets", "engine"])
def test_a_case_in_memory(spec: Spec, layer: cases.Layer) -> None:
    case = cases.measure(replace(spec, layer=layer, beside=True))
    assert (case.layer, case.size, case.precision, case.style) == (layer, SIZE, "f32", "bright")
    assert case.mpx_s == pytest.approx(case.fps.median * 256 * 144 / 1e6, abs=0.001)
    assert case.ms is not None
    assert case.ms.median > 0
    assert case.stages_ms["net"].median > 0
    beside = (case.flicker, case.sharpness)
    assert beside == ((1.0, 1.0) if layer == "engine" else (None, None))  # the tiny styles ask for steadiness 0


def test_a_case_of_a_file(spec: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def measured(clip: Path, folder: Path, flags: list[str], *rest: object) -> files.Files:
        asked.append(flags)
        stages = {"decode": [1.0, 1.1], "encode": [0.0, 0.0]}
        return files.Files(20, [9.0, 11.0], stages, [], [1.2, 1.4], 2.5, 300.5)

    monkeypatch.setattr(files, "files", measured)
    case = cases.measure(replace(spec, layer="file"))
    assert asked == [["--style", "bright", "--backend", "cpu", "--bundle", str(spec.bundle)]]
    assert case.ms is None  # stages overlap
    assert case.core_ms is None
    assert set(case.stages_ms) == {"decode"}
    assert (case.fps.median, case.frames, case.rss_mb) == (10.0, 20, 300.5)
    assert case.first_frame_s is not None
    assert case.first_frame_s.median == pytest.approx(1.3)
    assert case.first_start_s is not None
    assert case.first_start_s.median == 2.5


def test_a_live_case(spec: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "SETTLING", 0.2)
    monkeypatch.setattr(live, "SHORTEST", 0.3)
    case = cases.measure(replace(spec, layer="live"))
    assert case.latency_ms is not None
    assert case.latency_ms.p50 <= case.latency_ms.p99
    assert case.source_fps == live.RATE
    assert case.drops is not None
    assert case.painted_share is not None
    assert case.effort


def test_a_case_from_a_child(spec: Spec) -> None:
    case = cases.measured(spec, 120)
    assert case.invalid == ()
    assert case.fps.median > 0
    assert case.rss_mb is None or case.rss_mb > 10


def test_a_child_that_does_not_paint_is_a_case_that_does_not_count(spec: Spec) -> None:
    case = cases.measured(replace(spec, style="plain"), 120)
    assert case.fps.median == case.mpx_s == 0
    assert len(case.invalid) == 1
    assert "is the input" in case.invalid[0]
    assert Case.model_validate_json(case.model_dump_json()) == case


def test_a_child_that_takes_too_long_or_talks_nonsense(spec: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cases.measured(spec, 0.01).invalid == ("it was not done after 0 s",)
    monkeypatch.setattr(cases, "finished", lambda words, limit: "Segmentation fault")
    assert "valid" in cases.measured(spec, 1).invalid[0]


def test_the_child_prints_the_case_alone(spec: Spec, capsys: pytest.CaptureFixture[str]) -> None:
    assert cases.main([json.dumps(asdict(spec))]) == 0
    assert Case.model_validate_json(capsys.readouterr().out).layer == "nets"
    assert cases.main([json.dumps(asdict(replace(spec, style="none")))]) == 8
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "no style called 'none'" in captured.err
