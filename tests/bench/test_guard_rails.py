"""What a frame's parts cost beside each other stays where it is, and one that costs three times as much is seen."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from allaprima.bench import guard
from allaprima.bench.guard import RAILS, Finding, Parts, Rail
from allaprima.realtime.backends.cpu import CpuBackend
from allaprima.realtime.errors import ConfigError

THRICE = 3
NAMES = [rail.name for rail in RAILS]


@pytest.fixture(scope="module")
def parts() -> Parts:
    return Parts()


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "SECONDS", 0.7)


# ---- the guard itself ----


def test_every_part_costs_what_it_did(parts: Parts) -> None:
    """Left once, a rail is measured again: only what slips twice fails."""
    assert [str(each) for each in guard.check(RAILS, parts) if each.outside] == []


@pytest.mark.parametrize("verb", ["motion", "warp_blend", "carry"])
def test_a_part_that_got_slower_is_seen(verb: str, parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once more than three times, for what noise there is."""
    once: Callable[..., Any] = getattr(CpuBackend, verb)

    def often(*args: Any) -> Any:
        return [once(*args) for _ in range(THRICE + 1)][-1]

    _ = parts.motions, parts.painted  # made at the usual speed
    monkeypatch.setattr(CpuBackend, verb, often)
    (found,) = guard.check(guard.chosen([{"warp_blend": "blend"}.get(verb, verb)]), parts)
    assert found.outside, str(found)


@pytest.mark.parametrize("rail", RAILS, ids=NAMES)
def test_bounds_let_noise_through_and_three_times_not(rail: Rail) -> None:
    assert 2.5 * rail.found <= rail.most < THRICE * rail.found
    assert 0 < rail.least <= rail.found / 2.5


# ---- how it measures, with a clock of its own ----


@dataclass
class Toy:
    """Two works that take what they are told, on a clock that nothing else moves."""

    guarded: Iterator[float]
    other: float = 10.0
    now: float = 0.0
    done: list[str] = field(default_factory=list)

    def rail(self) -> Rail:
        return Rail("toy", "one toy against another", 1.0, 2.5, 0.4, self.open, lambda: self.now)

    def open(self, _: Parts) -> tuple[guard.Work, guard.Work]:
        return lambda: self.work("guarded", next(self.guarded)), lambda: self.work("other", self.other)

    def work(self, name: str, seconds: float) -> None:
        self.done.append(name)
        self.now += seconds


def always(seconds: float) -> Iterator[float]:
    while True:
        yield seconds


def test_works_take_turns_and_the_quickest_counts(parts: Parts) -> None:
    noisy = Toy(iter([99, 99, *[40, 12, 55] * 20]))  # the first two warm up
    assert guard.measure(noisy.rail(), parts).ratio == pytest.approx(1.2)
    assert noisy.done == ["guarded", "other"] * (len(noisy.done) // 2)
    assert len(noisy.done) // 2 == guard.WARM_UP + guard.TURNS


def test_three_times_is_told_with_how_much(parts: Parts) -> None:
    found = guard.measure(Toy(always(30)).rail(), parts)
    assert found.outside
    assert str(found) == "toy (one toy against another): 3.000, 3.0 times what it was; within 0.4 to 2.5"
    assert guard.measure(Toy(always(10)).rail(), parts, slower=THRICE).ratio == pytest.approx(3)
    shrunk = guard.measure(Toy(always(2)).rail(), parts)
    assert shrunk.outside
    assert "1/5.0 of what it was" in str(shrunk)


def test_a_busy_moment_is_no_slip_but_one_that_lasts_is(parts: Parts) -> None:
    once = guard.WARM_UP + guard.TURNS
    moment = Toy(iter([30.0] * once + [10.0] * once))
    assert [each.outside for each in guard.check([moment.rail()], parts)] == [False]
    assert [each.outside for each in guard.check([Toy(always(30)).rail()], parts)] == [True]


def test_a_slow_machine_gets_fewer_turns(parts: Parts, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "SECONDS", -1.0)
    toy = Toy(always(10))
    guard.measure(toy.rail(), parts)
    assert len(toy.done) // 2 == guard.WARM_UP + guard.LEAST_TURNS


# ---- the command ----


def test_the_command_shows_ratios_and_names_what_slipped(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = Toy(always(10)).rail(), replace(Toy(always(30)).rail(), name="bad")
    monkeypatch.setattr(guard, "RAILS", (good, bad))
    guard.main(only=["toy"])
    with pytest.raises(guard.Slipped, match="outside, twice: bad"):
        guard.main()
    shown = capsys.readouterr()
    assert "OUTSIDE" in shown.out
    assert str(Finding(bad, 3.0)) in shown.err


def test_an_unknown_rail_is_named() -> None:
    with pytest.raises(ConfigError, match="'brakes'") as error:
        guard.chosen(["nets", "brakes"])
    assert all(name in error.value.hint for name in NAMES)
    assert [rail.name for rail in guard.chosen(["swap", "bank"])] == ["bank", "swap"]
