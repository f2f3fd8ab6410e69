"""Shares of the ceilings, and which of them bounds a stage."""

import pytest

from allaprima.bench import roofline
from allaprima.bench.catalogue import Ceilings, Trials
from allaprima.bench.roofline import bound, bounds
from allaprima.bench.work import Work, net_work, stage_work
from allaprima.realtime.bundle import Bundle, shipped_bundle

CEILINGS = Ceilings(copy_gb_s=Trials.of([8, 9, 10]), gflop_s={"bf16": Trials.of([800, 900, 1000])})


@pytest.mark.parametrize(
    ("work", "matrix", "copy", "by"),
    [
        (Work(50, 0.1), 0.5, 0.001, "matrix rate"),
        (Work(10, 600), 0.1, 0.6, "copy bandwidth"),
        (Work(90, 8000), 0.9, 8.0, "copy bandwidth"),
        (Work(10, 240), 0.1, 0.24, "neither"),
        (Work(10, 250), 0.1, 0.25, "copy bandwidth"),
        (Work(24, 200), 0.24, 0.2, "neither"),
        (Work(25, 200), 0.25, 0.2, "matrix rate"),
        (Work(0, 0), 0, 0, "neither"),
    ],
)
def test_the_nearer_ceiling_bounds(work: Work, matrix: float, copy: float, by: str) -> None:
    found = bound("net", 100, work, "bf16", CEILINGS)
    assert found.of_matrix_rate == pytest.approx(matrix, abs=1e-3)
    assert found.of_copy_bandwidth == pytest.approx(copy, abs=1e-3)
    assert (found.stage, found.ms, found.bound_by) == ("net", 100, by)


def test_what_took_no_time_or_has_no_ceiling_has_no_share() -> None:
    assert bound("finish", 0, Work(1, 1), "bf16", CEILINGS).bound_by == "neither"
    other = bound("net", 100, Work(50, 0.1), "fp16", CEILINGS)
    assert (other.of_matrix_rate, other.bound_by) == (0, "neither")


def test_every_stage_has_its_bound_in_order() -> None:
    bundle = Bundle(shipped_bundle(), verify=False)
    stages = {"upload": 1.0, "motion": 15.0, "net": 47.0, "blend": 31.0, "finish": 0.05}
    found = bounds(stages, (640, 360), bundle, "bf16", CEILINGS)
    assert {each.stage: each.ms for each in found} == stages
    assert [each.stage for each in found] == list(stages)
    assert found[2].gflop == pytest.approx(net_work(bundle, (640, 360), "bf16").gflop, abs=1e-3)
    assert found[3].megabytes == pytest.approx(stage_work("blend", (640, 360)).megabytes, abs=1e-3)


def test_a_cache_that_holds_the_maps_spares_their_way() -> None:
    bundle = Bundle(shipped_bundle(), verify=False)
    cached = CEILINGS.model_copy(update={"cache_mb": 100.0})
    without, with_it = (bounds({"net": 10.0}, (640, 360), bundle, "bf16", each)[0] for each in (CEILINGS, cached))
    assert with_it.megabytes < without.megabytes / 5
    assert roofline.cache_of(cached) == 100_000_000
