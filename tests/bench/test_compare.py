from collections.abc import Sequence

import pytest

from allaprima.bench import compare
from allaprima.bench.catalogue import Case, Ceilings, Conditions, Machine, Result, Trials

MACHINE = Machine(cpu="A", features=("AVX2",), cores=2, gpus=(), system="linux 6", time="2026-11-22T00:00:00Z")
CEILINGS = Ceilings(copy_gb_s=Trials.of([10]), gflop_s={"f32": Trials.of([100])})


def case(fps: Sequence[float], layer: str = "engine", **more: object) -> Case:
    given = {"size": (64, 48), "backend": "cpu", "precision": "f32", "style": "bright", "frames": 9, "mpx_s": 1.0}
    given |= {"layer": layer, "fps": Trials.of(fps), "conditions": Conditions()}
    return Case.model_validate(given | more)


def result(*cases: Case, other_load: float = 0.0, **machine: object) -> Result:
    return Result(
        name="a",
        machine=MACHINE.model_copy(update=machine),
        versions={"numpy": "2"},
        settings={},
        ceilings=CEILINGS,
        cases=cases,
        conditions=Conditions(other_load_cores=other_load),
        seconds=1,
    )


@pytest.mark.parametrize(
    ("now", "before", "verdict"),
    [
        ([20, 20.2, 19.8], [10, 10.1, 9.9], "faster"),
        ([10, 10.1, 9.9], [20, 20.2, 19.8], "slower"),
        ([10, 10.1, 9.9], [10.2, 10.0, 9.8], "same within noise"),
        ([10, 14, 7], [12, 8, 16], "same within noise"),  # medians a fifth apart, but so are the trials
        ([10.2, 10.2, 10.2], [10, 10, 10], "same within noise"),  # two runs are never so alike
        ([12], [10], "faster"),  # one trial each: nothing is known of noise but its least
    ],
)
def test_three_verdicts(now: Sequence[float], before: Sequence[float], verdict: str) -> None:
    (found,) = compare.compare(result(case(now)), result(case(before)))
    assert found.verdict == verdict
    assert found.ratio is not None
    assert found.low is not None
    assert found.high is not None
    assert found.low < found.ratio < found.high


def test_noise_is_that_of_student() -> None:
    """Logarithms 0 and ±0.1 thrice: a variance of 0.01, an error of 0.0816 and 4 degrees of freedom."""
    trials = Trials.of([1.0, 1.10517, 0.90484])
    assert compare.noise(trials, trials) == pytest.approx(1.456, abs=0.002)
    assert compare.noise(Trials.of([1, 1, 1]), Trials.of([1, 1, 1])) == 1 + compare.LEAST_NOISE


def test_what_does_not_count_or_is_not_there_is_not_compared() -> None:
    now = result(case([1]), case([1], "nets"), case([1], "file", invalid=("too hot",)))
    before = result(case([1], invalid=("too few",)), case([1], "file"), case([1], "nets", style="dark"))
    found = compare.compare(now, before)
    assert [each.verdict for each in found] == ["not compared"] * 3
    assert [each.why for each in found] == [
        "invalid before: too few",
        "the other result does not have it",
        "invalid now: too hot",
    ]
    assert [row[1] for row in compare.rows(found)] == ["-"] * 3


def test_machines_versions_and_load_are_told_apart() -> None:
    now, before = result(), result(cpu="B", features=(), time="2026-11-23T00:00:00Z", other_load=1.5)
    before = before.model_copy(update={"versions": {"numpy": "1", "torch": "2"}})
    assert compare.warnings(now, now) == []
    assert compare.warnings(now, before) == [
        "the machine's cpu differs: A now, B before",
        "the machine's features differs: AVX2 now, none before",
        "the version of numpy differs: 2 now, 1 before",
        "the version of torch differs: none now, 2 before",
        "before, other programs took 1.5 cores meanwhile",
    ]


def test_rows_are_for_people() -> None:
    (row,) = compare.rows(compare.compare(result(case([20, 20, 20])), result(case([10, 10, 10]))))
    assert row == ("64x48 engine", "2.00", "1.94 to 2.06", "faster")
