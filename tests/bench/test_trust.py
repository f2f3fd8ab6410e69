"""Each lie is refused in a sentence with its figures; what is barely possible is not."""

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from allaprima.bench import catalogue, trust
from allaprima.bench.catalogue import Bound, Case, Ceilings, Conditions, Latency, Trials
from allaprima.bench.trust import judge
from allaprima.realtime.bundle import Bundle

CORES = 4
HD = (1280, 720)
CEILINGS = Ceilings(
    copy_gb_s=Trials.of([18, 20, 19]), gflop_s={"bf16": Trials.of([1900, 2000, 1950])}, cache_mb=100, other_load_cores=0
)


def bounds(gflop: float = 30.0, megabytes: float = 10.0) -> tuple[Bound, ...]:
    shares = {"of_matrix_rate": 0.0, "of_copy_bandwidth": 0.0, "bound_by": "neither"}
    net = Bound(stage="net", ms=45, gflop=gflop, megabytes=megabytes, **shares)
    return net, Bound(stage="blend", ms=30, gflop=0, megabytes=10, **shares)


def case(fps: float | Sequence[float] | Trials = 20.0, **more: Any) -> Case:
    """An honest case of the engine at 1280x720, but for ``more``."""
    given = [0.98 * fps, fps, 1.02 * fps] if isinstance(fps, float | int) else fps
    trials = given if isinstance(given, Trials) else Trials.of(given)
    honest: dict[str, Any] = {
        "layer": "engine", "size": HD, "backend": "cpu", "precision": "bf16", "style": "udnie", "frames": 1000,
        "mpx_s": trials.median * 0.9216, "conditions": Conditions(), "bounds": bounds(),
    }  # fmt: skip
    return Case(**(honest | {"fps": trials} | more))


def live(fps: float = 20.0, **more: Any) -> Case:
    late = Latency(p50=60, p95=80, p99=90)
    return case(fps, **({"layer": "live", "source_fps": 30.0, "painted_share": 1.0, "latency_ms": late} | more))


def times(*ms: float) -> Trials:
    return Trials.of(ms)


def disturbed(**conditions: Any) -> Case:
    return case(conditions=Conditions(**conditions))


def test_an_honest_case_counts() -> None:
    assert judge(case(), CEILINGS, CORES) == ()
    assert judge(live(), CEILINGS, CORES) == ()


def test_the_catalogue_of_4008_frames_a_second_is_refused() -> None:
    """1280x720 on a machine like a good desktop's card, read off a display once."""
    card = Ceilings(copy_gb_s=Trials.of([900, 910, 905]), gflop_s={"fp16": Trials.of([80_000, 82_000, 81_000])})
    entry = case([4008.0], precision="fp16", backend="cuda", frames=60, bounds=(), mpx_s=4008 * 0.9216)
    why = judge(entry, card, CORES)
    assert why[0] == "measured 1 times, 3 are the least"
    assert why[1] == "a trial lasted 0.015 s, 0.25 s are the least"
    assert why[2].startswith("needs 134,")
    assert why[2].endswith(" GFLOP/s in fp16, this machine does 82,000 at most")
    believed = case([483.0, 490.0, 486.0], precision="fp16", backend="cuda", bounds=())
    assert judge(believed, card, CORES) == ()


REFUSED: list[tuple[Case, Case, str]] = [
    # refused, its near miss that is not, why
    (case([20, 20]), case([20, 20, 20]), "measured 2 times, 3 are the least"),
    (case(1.0, frames=3), case(1.0, frames=4), "3 frames in each trial, 4 are the least"),
    (case(50.0, frames=12), case(50.0, frames=13), "a trial lasted 0.235 s, 0.25 s are the least"),
    (
        case([15, 20, 26]), case([16, 20, 25]),
        "the trials lie too far apart: 15 to 26 fps, 55% of the median where 50% is the most",
    ),
    (
        case(mpx_s=27.65), case(mpx_s=18.6), "27.65 Mpx/s are not 20 fps of 1280x720, which make 18.43",
    ),
    (
        case(fps=Trials(median=20, min=19, max=21, trials=(19, 19, 21))), case(fps=Trials.of([19, 20, 21])),
        "the median, least and most fps are not those of the trials",
    ),
    (
        case(ms=Trials(median=5, min=50, max=52, trials=(50, 51, 52))), case(ms=times(50, 51, 52)),
        "the median, least and most ms are not those of the trials",
    ),
    (case(ms=times(64, 64, 64)), case(ms=times(62, 62, 62)), "20 fps, but a frame takes 64 ms, which allows 15.62"),
    (
        case(stages_ms={"net": times(45), "blend": times(20)}), case(stages_ms={"net": times(45), "blend": times(15)}),
        "20 fps, but the stages of a frame take 65 ms, which allows 15.38",
    ),
    (
        case(layer="file", stages_ms={"decode": times(10), "net": times(64)}),
        case(layer="file", stages_ms={"decode": times(60), "net": times(60)}),
        "20 fps, but the slowest stage takes 64 ms, which allows 15.62",
    ),
    (case(layer="file", drops=2), case(layer="file", drops=0), "2 frames were dropped where none may be"),
    (live(30.7), live(30.5), "30.7 fps of a source that gives 30"),
    (
        live(painted_share=0.0), live(painted_share=0.3),
        "only 0% of the frames were painted, 25% are the least",
    ),
    (live(painted_share=None), live(painted_share=1.0), "nobody counted how many of the frames were painted"),
    (
        live(latency_ms=Latency(p50=60, p95=50, p99=90)), live(latency_ms=Latency(p50=60, p95=60, p99=60)),
        "latencies of 60, 50 and 90 ms are no p50, p95 and p99",
    ),
    (disturbed(other_load_cores=2.1), disturbed(other_load_cores=1.9), "other programs took 2.1 of 4 cores meanwhile"),
    (disturbed(stolen_cores=2.5), disturbed(stolen_cores=2.0), "the host withheld 2.5 of 4 cores meanwhile"),
    (
        disturbed(throttled=True), disturbed(throttled=False),
        "the machine slowed itself down meanwhile, by heat or for want of power",
    ),
    (
        case(100.0, bounds=bounds(gflop=24)), case(100.0, bounds=bounds(gflop=20)),
        "needs 2,400 GFLOP/s in bf16, this machine does 2,000 at most",
    ),
    (
        case(bounds=bounds(megabytes=1200)), case(bounds=bounds(megabytes=1050)),
        "moves 24.2 GB/s, this machine copies 20.0 at most",
    ),
    (
        live(latency_ms=Latency(p50=12, p95=80, p99=90)), live(latency_ms=Latency(p50=14, p95=80, p99=90)),
        "a latency of 12 ms, but the nets of one frame alone take 13.64 at least",
    ),
    (
        case(precision="int8"), case(),
        "no ceiling was measured for int8, so nobody can say whether this is possible",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("refused", "near", "why"), REFUSED, ids=[why[:40] for *_, why in REFUSED])
def test_a_lie_is_refused_and_its_near_miss_is_not(refused: Case, near: Case, why: str) -> None:
    assert judge(refused, CEILINGS, CORES) == (why,)
    assert judge(near, CEILINGS, CORES) == ()


def test_no_frame_is_no_speed() -> None:
    assert judge(case(0.0), CEILINGS, CORES) == ("no frame came out",)


def test_several_streams_share_the_frames() -> None:
    together = case(40.0, streams=4, ms=times(100, 100, 100), stages_ms={"net": times(95, 95, 95)})
    assert judge(together, CEILINGS, CORES) == ()
    assert judge(case(40.0, streams=4, frames=4), CEILINGS, CORES) == ()  # a trial of 16 frames
    assert judge(live(100.0, streams=4, bounds=bounds(gflop=1)), CEILINGS, CORES) == ()
    assert "which allows 42.11" in judge(case(60.0, streams=4, stages_ms={"net": times(95)}), CEILINGS, CORES)[0]


def test_frames_that_were_not_painted_in_full_prove_nothing_of_the_nets() -> None:
    slow = CEILINGS.model_copy(update={"gflop_s": {"bf16": Trials.of([400, 400, 400])}})
    quick = {"latency_ms": Latency(p50=20, p95=80, p99=90)}
    assert len(judge(live(**quick, effort="full"), slow, CORES)) == 2
    assert len(judge(live(**quick, effort="flow at half size"), slow, CORES)) == 2
    assert judge(live(**quick, effort="net at 1/2"), slow, CORES) == ()
    assert judge(live(painted_share=0.5), slow, CORES) == ()


def test_what_is_small_may_stay_in_the_caches() -> None:
    small = case(bounds=bounds(megabytes=1500))
    assert judge(small, CEILINGS, CORES) == ("moves 30.2 GB/s, this machine copies 20.0 at most",)
    assert judge(small, CEILINGS.model_copy(update={"cache_gb_s": Trials.of([90, 95, 99])}), CORES) == ()


def test_ceilings_that_others_lowered_allow_for_more_or_do_not_count() -> None:
    quick = case(100.0, bounds=bounds(gflop=28))
    assert len(judge(quick, CEILINGS, CORES)) == 1
    assert judge(quick, CEILINGS.model_copy(update={"other_load_cores": 1.0}), CORES) == ()
    heavy = judge(case(), CEILINGS.model_copy(update={"other_load_cores": 2.5}), CORES)
    assert heavy == ("other programs took 2.5 of 4 cores while the ceilings were measured",)


def test_without_bounds_the_shipped_nets_are_assumed() -> None:
    why = judge(case(80.0, bounds=()), CEILINGS, CORES)
    assert len(why) == 1
    assert why[0].startswith("needs 2,69")
    assert judge(case(60.0, bounds=()), CEILINGS, CORES) == ()
    slow = CEILINGS.model_copy(update={"copy_gb_s": Trials.of([2, 2, 2])})
    assert judge(case(60.0, bounds=()), slow, CORES) == ()  # between norms all stays in the cache
    assert "moves 4.5 GB/s" in judge(case(60.0, bounds=()), slow.model_copy(update={"cache_mb": None}), CORES)[0]


def test_nets_of_another_bundle_need_what_they_need(tiny: ModuleType, tmp_path: Path) -> None:
    bundle = Bundle(tiny.write_bundle(tmp_path / "tiny"))
    quick = case(400.0, bounds=(), size=(64, 64), mpx_s=400 * 0.004096)
    few = CEILINGS.model_copy(update={"gflop_s": {"bf16": Trials.of([5, 5, 5])}})
    assert judge(quick, few, CORES, bundle) == ()
    assert judge(quick, few, CORES)[0].startswith("needs ")


def test_half_of_this_machine_is_the_bar_where_no_other_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trust.machine, "cores", lambda: 64)
    assert judge(disturbed(other_load_cores=30), CEILINGS) == ()


def test_every_bad_figure_is_told() -> None:
    bad = case([4000.0, 9000.0], mpx_s=1.0, drops=1, conditions=Conditions(throttled=True), frames=2)
    assert len(judge(bad, CEILINGS, CORES)) == 9


def test_the_results_that_are_kept_are_judged_as_they_say() -> None:
    """Nobody edits a figure afterwards: what was valid is valid, by the rules of today."""
    results = catalogue.read_all()
    if not results:
        pytest.skip("no result of allaprima bench is kept yet")
    for result in results:
        for kept in result.cases:
            if not kept.invalid:
                assert judge(kept, result.ceilings, result.machine.cores) == (), (
                    f"{result.name}: {kept.layer} {kept.size}"
                )
