"""What is measured, in which order, and what comes of it; no child is started here."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from allaprima.bench import catalogue, headline, moving
from allaprima.bench.cases import Spec
from allaprima.bench.catalogue import Case, Scale
from allaprima.bench.contender import Ours
from allaprima.bench.headline import Plan
from allaprima.realtime.errors import AllaprimaError, ConfigError, UnknownStyle

from .test_compare import CEILINGS, case

SIZES = ((64, 48), (96, 64))


@pytest.fixture
def plan(tiny_bundle: Path) -> Plan:
    return Plan(sizes=SIZES, style="bright", backend="cpu", bundle=tiny_bundle, seconds=0.2)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What children would have been asked; each case is a plausible one."""
    found: list[Any] = []

    def measured(spec: Spec, limit: float) -> Case:
        found.append(spec)
        assert 25 <= limit <= headline.LIMIT
        assert Path(spec.clip).is_file()
        fps = [20.0, 20.5, 21.0]
        mpx = 20.5 * spec.size[0] * spec.size[1] / 1e6
        return case(fps, spec.layer, size=spec.size, mpx_s=mpx, precision=spec.precision)

    def scale(spec: Any, limit: float, note: Any) -> list[Scale]:
        found.append(spec)
        return [Scale(over=spec.over, layer="engine", points=(), says="nothing")]

    monkeypatch.setattr(headline, "measured", measured)
    monkeypatch.setattr(headline.scaled, "measured", scale)
    monkeypatch.setattr(headline.ceilings, "measure", lambda *_: CEILINGS)
    monkeypatch.setattr(moving, "MOST_FRAMES", 2)
    monkeypatch.setattr(moving, "LEAST_FRAMES", 2)
    return found


def test_every_layer_at_every_size(plan: Plan, asked: list[Any]) -> None:
    notes: list[str] = []
    result = headline.run(plan, notes.append)
    order = [(size, layer) for size in SIZES for layer in ("nets", "engine", "file", "live")]
    assert [(case.size, case.layer) for case in result.cases] == order
    assert [(spec.size, spec.layer) for spec in asked] == order
    assert {spec.style for spec in asked} == {"bright"}
    assert [(spec.size, spec.layer) for spec in asked if spec.beside] == [(SIZES[0], "engine")]
    assert all(str(size) in "".join(notes) for size in ("64x48", "96x64"))
    assert result.settings["style"] == "bright"
    assert result.settings["backend"] == "cpu"
    assert result.seconds > 0
    assert not Path(asked[0].clip).exists()
    assert catalogue.parse(catalogue.dump(result), "it") == result


def test_a_case_gets_its_bounds_and_its_judgement(plan: Plan, asked: list[Any]) -> None:
    stages = {"net": catalogue.Trials.of([1.0])}
    setup = headline.setup(plan)
    found = headline.judged(case([20, 20, 20], stages_ms=stages, mpx_s=0.0614), setup.bundle, CEILINGS)
    assert [bound.stage for bound in found.bounds] == ["net"]
    assert found.invalid == ()
    assert headline.judged(case([20.0], mpx_s=0.0614), setup.bundle, CEILINGS).invalid
    broken = case([0], mpx_s=0, invalid=("it crashed",))
    assert headline.judged(broken, setup.bundle, CEILINGS) == broken


def test_what_does_not_fit_the_time_is_left_out_and_says_so(
    plan: Plan, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = SimpleNamespace(monotonic=iter(range(0, 10_000, 100)).__next__)
    monkeypatch.setattr(headline, "time", clock)
    result = headline.run(replace(plan, budget=250.0), lambda note: None)
    assert [(spec.size, spec.layer) for spec in asked] == [(SIZES[0], "nets"), (SIZES[0], "engine")]
    left = result.cases[2:]
    assert len(left) == 6
    assert all("not measured: the run had used its 250 seconds" in case.invalid[0] for case in left)


def test_scales_and_rivals_come_last(plan: Plan, asked: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    wanted: list[Any] = []

    def rivals(size: Any, trials: int, note: Any, only: Any, paint: Any) -> list[catalogue.Rival]:
        wanted.append((size, trials, only, paint))
        return [catalogue.Rival(name="other", instead_of="nets", size=size, absent="not here")]

    monkeypatch.setattr(headline.rivals, "measure", rivals)
    some = replace(plan, layers=("nets",), sizes=SIZES[:1], scales=("pixels",), streams=(1, 3), against=("numpy",))
    result = headline.run(some, lambda note: None)
    assert [scale.over for scale in result.scales] == ["pixels", "streams"]
    assert asked[-1].streams == (1, 3)
    assert asked[-1].size == SIZES[0]
    ours = Ours("cpu", "bright", str(plan.bundle), result.settings["precision"])
    assert wanted == [(SIZES[0], 3, ("numpy",), ours)]
    assert result.rivals[0].absent == "not here"


def test_what_fails_beside_the_children_does_not_end_the_run(
    plan: Plan, asked: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise AllaprimaError("no room")

    notes: list[str] = []
    monkeypatch.setattr(headline.rivals, "measure", fails)
    monkeypatch.setattr(moving, "clip", fails)
    result = headline.run(replace(plan, layers=("nets",), against=("numpy",)), notes.append)
    assert [case.invalid for case in result.cases] == [("no input could be made: no room",)] * 2
    assert asked == []
    assert result.rivals == ()
    assert "rivals: left out, no room" in notes


@pytest.mark.parametrize(
    ("wish", "error"),
    [
        ({"style": "none"}, UnknownStyle),
        ({"precision": "int4"}, ConfigError),
        ({"backend": "abacus"}, ConfigError),
        ({"against": ("photoshop",)}, ConfigError),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_measured(
    plan: Plan, asked: list[Any], wish: dict[str, Any], error: type[AllaprimaError]
) -> None:
    with pytest.raises(error):
        headline.run(replace(plan, **wish), lambda note: None)
    assert asked == []


def test_a_device_is_called_after_its_card_or_its_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    found = headline.described()
    for gpus, name in (((), f"a-{found.cores}-cores"), (("NVIDIA H200, driver 1, 2 MiB",), "nvidia-h200")):
        monkeypatch.setattr(
            headline, "described", lambda gpus=gpus: found.model_copy(update={"cpu": "A", "gpus": gpus})
        )
        assert headline.device_name() == name
