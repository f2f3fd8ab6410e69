"""How much work goes into a frame: carried frames, nets at other scales, pass-through, and the fades between."""

import threading
import time
from dataclasses import replace
from itertools import pairwise
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from allaprima.realtime.backends import FULL, Effort
from allaprima.realtime.backends.cpu import CpuBackend
from allaprima.realtime.bundle import Bundle
from allaprima.realtime.frame import Frame
from allaprima.realtime.stylizer import (
    CHANGING,
    PASS_FADE_FRAMES,
    STEADINESS,
    Region,
    Stylizer,
    held,
)

from .painters import BRIGHT, DARK, Make, luma, mean_difference

NARROW = Effort(coarse=True, scale=0.5)
SECOND, THIRD = Effort(every=2), Effort(coarse=True, every=3)


class Calls:
    """How often the net painted, and at which scales."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.scales: list[float] = []
        real = CpuBackend.load_net

        def load_net(backend: CpuBackend, bundle: Bundle, region: bool = False, scale: float = 1.0) -> Any:
            net = real(backend, bundle, region, scale)

            def paint(*args: Any) -> Any:
                self.scales.append(scale)
                return net.paint(*args)

            return SimpleNamespace(paint=paint)

        monkeypatch.setattr(CpuBackend, "load_net", load_net)


def settle(stylizer: Stylizer, frame: Frame) -> None:
    """Frames until the effort is in force; nets are loaded meanwhile."""
    until = time.monotonic() + 20
    while not stylizer.settled and time.monotonic() < until:
        stylizer(frame)
    assert stylizer.settled


def test_the_ladder_is_known_with_the_first_frame(adding: Make, tiny: ModuleType) -> None:
    stylizer = adding()
    assert (stylizer.effort, stylizer.efforts, stylizer.device) == (FULL, (FULL,), "")
    stylizer(tiny.flat(100))
    assert (stylizer.efforts, stylizer.device) == (CpuBackend.efforts, "cpu")
    assert stylizer.settled


@pytest.mark.parametrize("steadiness", [0.0, STEADINESS])
def test_between_frames_that_are_painted_others_are_carried(
    adding: Make, tiny: ModuleType, monkeypatch: pytest.MonkeyPatch, steadiness: float
) -> None:
    calls = Calls(monkeypatch)
    stylizer = adding("bright", steadiness=steadiness)
    for effort, frames, painted in ((SECOND, 10, 5), (THIRD, 9, 3), (FULL, 4, 4)):
        stylizer.effort = effort
        calls.scales.clear()
        found = [luma(stylizer(tiny.flat(100))) for _ in range(frames)]
        assert found == [BRIGHT] * frames
        assert abs(len(calls.scales) - painted) <= 1


def test_a_swap_a_region_and_strength_paint_at_once(adding: Make, tiny: ModuleType) -> None:
    stylizer, frame = adding("plain"), tiny.flat(100)
    stylizer.effort = Effort(every=100)
    stylizer(frame)
    stylizer.set_style("bright")
    assert [luma(stylizer(frame)) for _ in range(2)] == [BRIGHT] * 2
    stylizer.strength = 0.5
    assert luma(stylizer(frame)) == 114
    stylizer.set_region(Region(np.ones((64, 96), np.float32), "dark"))
    assert luma(stylizer(frame)) == 86
    stylizer.set_region(Region(np.ones((64, 96), np.float32), "bright"))
    assert luma(stylizer(frame)) == 114
    stylizer.set_region(None)
    stylizer.strength = 1.0
    assert [luma(stylizer(frame)) for _ in range(2)] == [BRIGHT] * 2


def test_a_cross_fade_goes_on_over_carried_frames(adding: Make, tiny: ModuleType) -> None:
    stylizer = adding("plain")
    stylizer.effort = SECOND
    stylizer(tiny.flat(100))
    stylizer.set_style("bright", fade_frames=4)
    found = [luma(stylizer(tiny.flat(100))) for _ in range(6)]
    assert found == sorted(found)
    assert found[-1] == BRIGHT
    assert found[1] in (107, 114), "half way after two frames"


def test_what_changed_on_a_carried_frame_counts_when_the_next_is_painted(
    adding: Make, tiny: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[float] = []
    real = CpuBackend.warp_blend
    monkeypatch.setattr(CpuBackend, "warp_blend", lambda self, *args: asked.append(args[-1]) or real(self, *args))
    stylizer = adding("plain", steadiness=STEADINESS)
    stylizer.effort = SECOND
    stylizer(tiny.flat(100))
    stylizer.set_style("bright", fade_frames=1)
    for _ in range(4):
        stylizer(tiny.flat(100))
    assert asked == [held(STEADINESS), CHANGING, held(STEADINESS)]


def test_a_frame_of_another_size_and_one_after_a_pause_are_painted(adding: Make, tiny: ModuleType) -> None:
    stylizer = adding("bright")
    stylizer.effort = Effort(every=100)
    assert luma(stylizer(tiny.flat(100))) == BRIGHT
    assert luma(stylizer(tiny.flat(100, size=(50, 37)))) == BRIGHT
    stylizer.bypass = True
    stylizer(tiny.flat(100, size=(50, 37)))
    stylizer.bypass = False
    assert luma(stylizer(tiny.flat(90, size=(50, 37)))) == 90 + BRIGHT - 100
    stylizer.forget()
    assert luma(stylizer(tiny.flat(100, size=(50, 37)))) == BRIGHT
    stylizer.renew()
    assert luma(stylizer(tiny.flat(90, size=(50, 37)))) == 90 + BRIGHT - 100


def test_another_net_is_loaded_while_the_old_one_paints_on(
    adding: Make, tiny: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    may, real = threading.Event(), CpuBackend.load_net

    def load_net(backend: CpuBackend, bundle: Bundle, region: bool = False, scale: float = 1.0) -> Any:
        assert scale == 1.0 or may.wait(20)
        return real(backend, bundle, region, scale)

    monkeypatch.setattr(CpuBackend, "load_net", load_net)
    calls = Calls(monkeypatch)
    stylizer, frame = adding("bright"), tiny.flat(100)
    stylizer(frame)
    stylizer.effort = NARROW
    for _ in range(3):
        assert luma(stylizer(frame)) == BRIGHT
        assert not stylizer.settled
    assert set(calls.scales) == {1.0}
    may.set()
    settle(stylizer, frame)
    assert calls.scales[-1] == NARROW.scale
    assert luma(stylizer(frame)) == BRIGHT


def test_history_is_kept_over_a_step(adding: Make, tiny: ModuleType) -> None:
    """What is held goes over from one net to the other; a swap would have dropped it."""

    def grainy(seed: int) -> Frame:
        noise = np.random.default_rng(seed).integers(-2, 3, (64, 96))
        y, u, v = tiny.frame().planes
        return replace(tiny.frame(), planes=((y + noise).astype(np.uint8), u, v))

    stylizer = adding("plain", steadiness=1.0)
    before = stylizer(grainy(1))
    stylizer.effort = THIRD
    after = stylizer(grainy(2))
    assert mean_difference(before, after) < 0.5 * mean_difference(grainy(1), grainy(2))


class Scaled:
    """Nets that paint brighter where they are smaller."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = CpuBackend.load_net

        def load_net(backend: CpuBackend, bundle: Bundle, region: bool = False, scale: float = 1.0) -> Any:
            net = real(backend, bundle, region)

            def paint(*args: Any) -> Any:
                y, *hues = (painted := net.paint(*args)).planes
                return replace(painted, planes=(y + np.uint8(40 if scale < 1 else 0), *hues))

            return SimpleNamespace(paint=paint)

        monkeypatch.setattr(CpuBackend, "load_net", load_net)


@pytest.mark.parametrize("every", [1, 2, 3])
def test_between_nets_of_two_scales_the_picture_fades(
    adding: Make, tiny: ModuleType, monkeypatch: pytest.MonkeyPatch, every: int
) -> None:
    Scaled(monkeypatch)
    stylizer, frame = adding("plain", steadiness=STEADINESS), tiny.frame()
    plain = [float(stylizer(frame).planes[0].mean()) for _ in range(3)][-1]
    stylizer.effort = Effort(scale=0.5, every=every)
    found = []
    until = time.monotonic() + 5
    while (not stylizer.settled or len(found) < 2) and time.monotonic() < until:
        found.append(float(stylizer(frame).planes[0].mean()) - plain)
    assert stylizer.settled
    steps = [b - a for a, b in pairwise([0.0, *found])]
    assert max(steps) <= 0.35 * 40
    assert min(steps) > -0.1
    assert found[-1] > 0.7 * 40


def test_a_cut_ends_the_fade_between_two_nets(adding: Make, tiny: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    Scaled(monkeypatch)
    stylizer = adding("plain", steadiness=STEADINESS)
    stylizer(tiny.frame(seed=1))
    stylizer.effort = Effort(scale=0.5)
    while stylizer._device is not None and stylizer._device.scale == 1:
        stylizer(tiny.frame(seed=1))
    after = stylizer(tiny.frame(seed=2))
    assert mean_difference(after, replace(tiny.frame(seed=2), planes=(tiny.frame(seed=2).planes[0] + 40,))) < 4
    assert stylizer.settled


def test_to_pass_through_and_back_the_picture_fades(adding: Make, tiny: ModuleType, monkeypatch: Any) -> None:
    calls = Calls(monkeypatch)
    stylizer, frame = adding("bright"), tiny.flat(100)
    stylizer(frame)
    calls.scales.clear()
    stylizer.effort = None
    found = [luma(stylizer(frame)) for _ in range(PASS_FADE_FRAMES)]
    assert found == sorted(found, reverse=True)
    assert BRIGHT > found[0] > found[-2] > found[-1] == 100
    assert not calls.scales, "a machine that is too slow paints nothing more"
    assert stylizer.settled
    assert stylizer(frame) is frame
    stylizer.effort = FULL
    found = [luma(stylizer(frame)) for _ in range(PASS_FADE_FRAMES)]
    assert found == sorted(found)
    assert 100 < found[0] < found[-1] == BRIGHT


def test_a_swap_during_the_fade_to_pass_through_leaves_nothing_of_the_old_style(adding: Make, tiny: ModuleType) -> None:
    stylizer, frame = adding("bright"), tiny.flat(100)
    stylizer(frame)
    stylizer.effort = None
    assert luma(stylizer(frame)) > 100
    stylizer.set_style("dark")
    assert [luma(stylizer(frame)) for _ in range(3)] == [100] * 3
    stylizer.effort = FULL
    found = [luma(stylizer(frame)) for _ in range(PASS_FADE_FRAMES)]
    assert found == sorted(found, reverse=True)
    assert found[-1] == DARK


def test_bypass_is_no_fade_whatever_the_effort(adding: Make, tiny: ModuleType) -> None:
    stylizer, frame = adding("bright"), tiny.flat(100)
    stylizer.effort = THIRD
    stylizer(frame)
    stylizer.bypass = True
    assert stylizer(frame) is frame
    stylizer.bypass = False
    assert luma(stylizer(frame)) == BRIGHT


def test_a_renewed_stylizer_paints_on_with_its_settings(adding: Make, tiny: ModuleType) -> None:
    stylizer, frame = adding("dark", steadiness=1.0), tiny.flat(100)
    seen = stylizer.look(frame)
    stylizer.strength, stylizer.effort = 0.5, THIRD
    stylizer.renew()
    stylizer.finish(stylizer.render(seen))  # by a thread that had hung meanwhile
    assert luma(stylizer(frame)) == 86
    assert (str(stylizer.style), stylizer.effort) == ("dark", THIRD)
