"""What the machine can carry: the arithmetic, and a measurement with the tiny bundle."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from allaprima.realtime import capacity
from allaprima.realtime.backends import FULL, Effort
from allaprima.realtime.capacity import SIZE, USUAL_RATE, Capacity, Cost, probe, refusal
from allaprima.realtime.errors import BundleError

COST = Cost(full=0.10, least=0.02)
"""Seconds a megapixel."""


def test_a_load_grows_with_pixels_and_frames() -> None:
    assert COST.load((1000, 1000), 30) == pytest.approx(0.6)
    assert COST.load((500, 1000), 15) == pytest.approx(0.15)


@pytest.mark.parametrize(
    ("running", "new", "fits"),
    [
        ([], 0.5, True),
        ([], 99.0, True),  # the first is never refused
        ([0.5], 0.5, True),
        ([0.5], 0.51, False),
        ([0.3, 0.3], 0.3, True),
        ([0.3, 0.3, 0.3], 0.3, False),
    ],
)
def test_who_fits(running: list[float], new: float, fits: bool) -> None:
    assert (refusal(running, new) == "") is fits


def test_a_refusal_says_how_much_it_would_be() -> None:
    said = refusal([0.5, 0.5], 0.5)
    assert "cannot paint 3 such streams" in said
    assert "150%" in said


def test_one_more_is_expected_to_be_like_those_there_are() -> None:
    room = Capacity(COST)
    loads = room.loads([((1000, 1000), 20.0), ((1000, 500), 20.0)])
    assert loads == pytest.approx([0.4, 0.2])
    assert room.following(loads) == pytest.approx(0.3)
    assert room.refusal(loads) == ""
    assert room.refusal([0.4, 0.4]) != ""
    assert room.refused == 1


def test_a_stream_that_has_shown_nothing_counts_as_a_small_one() -> None:
    room, usual = Capacity(COST), COST.load(SIZE, USUAL_RATE)
    assert room.loads([(None, 0.0)]) == [usual]
    assert room.following([]) == usual


def test_before_it_is_measured_nobody_is_refused() -> None:
    room = Capacity()
    assert room.loads([((4000, 4000), 60.0)] * 9) == []
    assert room.refusal(room.loads([((4000, 4000), 60.0)])) == ""
    assert room.following([]) == 0


# ---- measuring ----


class Painter:
    """A stylizer whose frames take as long as they should, by a clock of its own."""

    device = "cpu"
    efforts = (FULL, Effort(every=2))

    def __init__(self, clock: SimpleNamespace, spent: dict[int, float], settle: int = 0) -> None:
        self._clock, self._spent, self._settle = clock, spent, settle
        self.effort = FULL

    @property
    def settled(self) -> bool:
        self._settle -= 1
        return self._settle < 0

    def __call__(self, frame: Any) -> Any:
        self._clock.wall += self._spent[self.effort.every]
        self._clock.used += 1.5 * self._spent[self.effort.every]  # one and a half of two cores
        return SimpleNamespace(landed=lambda: frame)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    now = SimpleNamespace(wall=0.0, used=0.0)
    fake = SimpleNamespace(perf_counter=lambda: now.wall, process_time=lambda: now.used)
    monkeypatch.setattr(capacity, "time", fake)
    monkeypatch.setattr(capacity, "cores", lambda: 2)
    return now


def made(monkeypatch: pytest.MonkeyPatch, painter: Painter) -> Painter:
    monkeypatch.setattr(capacity, "Stylizer", lambda **_: painter)
    return painter


AREA = SIZE[0] * SIZE[1] / 1e6


def test_on_the_processors_it_is_their_share_that_counts(clock: Any, monkeypatch: Any) -> None:
    made(monkeypatch, Painter(clock, {1: 0.040, 2: 0.010}))
    cost = probe()
    assert cost is not None
    assert cost.full == pytest.approx(0.75 * 0.040 / AREA)
    assert cost.least == pytest.approx(0.75 * 0.010 / AREA)


def test_on_a_device_it_is_the_time(clock: Any, monkeypatch: Any) -> None:
    made(monkeypatch, Painter(clock, {1: 0.040, 2: 0.010})).device = "other"
    cost = probe()
    assert cost is not None
    assert (cost.full, cost.least) == pytest.approx((0.040 / AREA, 0.010 / AREA))


def test_it_waits_for_the_net_of_an_effort_but_not_for_ever(clock: Any, monkeypatch: Any) -> None:
    made(monkeypatch, Painter(clock, {1: 0.040, 2: 0.010}, settle=50))
    assert probe() is not None
    made(monkeypatch, Painter(clock, {1: 0.040, 2: 0.010}, settle=10**6))
    assert probe() is None


def test_a_slow_machine_is_not_kept_for_long(clock: Any, monkeypatch: Any) -> None:
    made(monkeypatch, Painter(clock, {1: 2.0, 2: 1.0}))
    cost = probe()
    assert cost is not None
    assert cost.full == pytest.approx(0.75 * 2.0 / AREA)
    assert clock.wall < 30


def test_as_soon_as_it_is_not_alone_it_ends(clock: Any, monkeypatch: Any) -> None:
    made(monkeypatch, Painter(clock, {1: 0.040, 2: 0.010}))
    for number in (0, 5, 20):
        left = iter([True] * number + [False] * 100)
        assert probe(alone=lambda left=left: next(left)) is None


def test_the_tiny_bundle_costs_little_but_not_nothing(tiny_bundle: Path) -> None:
    cost = probe(tiny_bundle)
    assert cost is not None
    assert 0 < cost.least <= cost.full < 5


def test_a_damaged_bundle_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BundleError):
        probe(tmp_path)
