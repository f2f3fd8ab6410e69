"""Figures that come from the device when they are there."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from allaprima.kernels.reference.meter import FIGURES
from allaprima.realtime.backends.cuda_meters import FROZEN_FRAMES, Meters
from allaprima.realtime.backends.cuda_step import CHANGED, FIGURE_COUNT, GIVEN, PAINTED, SHOWN

SOUND = (0, 255, 120, 900, 0, 4)


def flight(given: Any = SOUND, shown: Any = SOUND, bad: float = 0, flicker: float = 0.01, **more: Any) -> Any:
    figures = np.zeros(FIGURE_COUNT, np.float32)
    figures[GIVEN], figures[SHOWN] = given, shown
    figures[PAINTED].reshape(-1, len(FIGURES))[3, FIGURES.index("bad")] = bad
    figures[CHANGED] = 1, 1, flicker
    samples = np.full((2, 2, 2), len(more), np.uint8)
    basic = {"landed": SimpleNamespace(done=True), "measured": True, "painted": True}
    return SimpleNamespace(**basic | {"figures": figures, "samples": samples} | more)


def test_figures_are_looked_at_in_order_and_not_before_they_are_there() -> None:
    meters, late = Meters(), flight(flicker=0.5, landed=SimpleNamespace(done=False))
    for one in (flight(flicker=0.25), late, flight(flicker=0.125)):
        meters.expect(one)
    assert meters.flicker() == 0.25
    assert meters.flicker() is None
    late.landed.done = True
    assert meters.flicker() == 0.125, "the last"


@pytest.mark.parametrize("of", [{"measured": False}, {"flicker": float("nan")}])
def test_what_could_not_be_compared_is_no_flicker(of: dict[str, Any]) -> None:
    meters = Meters()
    meters.expect(flight(**of))
    assert meters.flicker() is None


BLACK, EVEN, STILL = (16, 18, 16, 1, 0, 1), (90, 92, 91, 1, 0, 4), (0, 255, 120, 900, 0, 0)


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        ({}, None),
        ({"bad": 2}, "the net gives what is not a number"),
        ({"shown": BLACK}, "the painted picture is black"),
        ({"shown": BLACK, "given": EVEN}, None),
        ({"shown": STILL, "given": STILL}, None),
    ],
)
def test_a_picture_is_sound_or_not(of: dict[str, Any], expected: str | None) -> None:
    meters = Meters()
    for _ in range(FROZEN_FRAMES):
        meters.expect(flight(**of))
    assert meters.health() == expected
    meters.expect(flight())
    assert meters.health() is None


def test_frozen_is_what_stays_while_the_input_moves() -> None:
    meters = Meters()
    for count in range(1, FROZEN_FRAMES + 1):
        meters.expect(flight(shown=STILL))
        assert meters.health() == ("the painted picture is frozen" if count == FROZEN_FRAMES else None)


def test_a_sample_is_of_a_painted_picture_and_stays() -> None:
    meters, first = Meters(), flight()
    assert meters.samples() is None
    meters.expect(first)
    found = meters.samples()
    first.samples[:] = 99
    meters.expect(flight(painted=False))
    np.testing.assert_array_equal(meters.samples(), found)
    assert found.max() == 0
