"""What the stylizer does over time: with nets that pass the picture through, so what remains is the history's."""

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

from allaprima.bench.coherence import fine_stripes
from allaprima.kernels.reference.confidence import identity_grid
from allaprima.kernels.reference.flow import Dis
from allaprima.kernels.reference.warp import warp
from allaprima.realtime.backends.cpu import CpuNet
from allaprima.realtime.frame import Frame
from allaprima.realtime.stylizer import STEADINESS, Stylizer

pytestmark = pytest.mark.usefixtures("exact")

SIZE = (160, 120)
Make = Callable[..., Stylizer]


@pytest.fixture
def plain(tiny_bundle: Path) -> Make:
    return lambda **more: Stylizer("plain", bundle=tiny_bundle, **({"steadiness": STEADINESS} | more))


def scene(seed: int = 0) -> Any:
    """Soft blobs with fine grain on them, larger than the picture."""
    noise = np.random.default_rng(seed).standard_normal((200, 260)).astype(np.float32)
    blobs = cv2.GaussianBlur(noise, None, 3) * 4 + cv2.GaussianBlur(noise, None, 1)
    return cv2.normalize(blobs, None, 40, 215, cv2.NORM_MINMAX)


def view(tiny: ModuleType, world: Any, transform: Any = ((1, 0, 0), (0, 1, 0)), grain: int | None = None) -> Frame:
    """A frame of the world, moved; ``grain`` seeds noise, as each painting differs from the last."""
    moved = cv2.warpAffine(world, np.float32(transform), (260, 200), flags=cv2.INTER_CUBIC)[40:160, 50:210]
    if grain is not None:
        moved = moved + np.random.default_rng(grain).normal(0, 4, moved.shape)
    luma = np.clip(moved + 0.5, 16, 235).astype(np.uint8)
    return replace(tiny.flat(128, size=SIZE), planes=(luma, *tiny.flat(128, size=SIZE).planes[1:]))


def luma(frame: Frame, rim: int = 16) -> Any:
    return frame.planes[0][rim:-rim, rim:-rim].astype(float)


def rms(a: Any, b: Any) -> float:
    return float(np.sqrt(np.mean((a - b) ** 2)))


def test_a_still_picture_comes_back_the_same_for_ever(plain: Make, tiny: ModuleType) -> None:
    stylizer, frame = plain(), view(tiny, scene())
    for _ in range(20):
        assert tiny.difference(stylizer(frame), frame) == 0


def test_paint_that_differs_from_frame_to_frame_comes_to_rest(plain: Make, tiny: ModuleType) -> None:
    world, stylizer = scene(), plain()
    shown = [stylizer(view(tiny, world, grain=seed)) for seed in range(12)]
    given = [view(tiny, world, grain=seed) for seed in range(12)]
    assert rms(luma(shown[11]), luma(shown[10])) < 0.12 * rms(luma(given[11]), luma(given[10]))


@pytest.mark.parametrize("step", [(1.0, 0.0), (0.5, 0.25), (-3.0, 2.0)])
def test_on_a_pan_paint_keeps_still_on_the_things_it_is_on(plain: Make, tiny: ModuleType, step: Any) -> None:
    """The change along the known motion, against what it is without history."""
    world = scene()
    changes = []
    for steadiness in (0.0, STEADINESS):
        stylizer, shown = plain(steadiness=steadiness), []
        for t in range(8):
            shift = ((1, 0, step[0] * t), (0, 1, step[1] * t))
            shown.append(stylizer(view(tiny, world, shift, grain=t)).planes[0].astype(np.float32))
        where = identity_grid(SIZE) - np.float32(step)
        changes.append(np.mean([rms(inner(b), inner(warp(a, where, "bicubic"))) for a, b in pairwise(shown[4:])]))
    assert changes[1] < 0.5 * changes[0]


def inner(plane: Any) -> Any:
    return plane[20:-20, 20:-20].astype(float)


def grain(seed: int, size: tuple[int, int], width: float) -> Any:
    noise = cv2.GaussianBlur(np.random.default_rng(seed).standard_normal(size[::-1]), None, width)
    return noise / noise.std()


def test_on_a_long_pan_no_hatch_grows_beside_strokes(plain: Make, tiny: ModuleType) -> None:
    """Bands of strokes, a little other in each frame, and walls between them: the contrast that the strokes lose
    must not be made good by stripes along the motion, which no warp wears off."""
    stylizer, size, world = plain(), (256, 192), 128 + 14 * grain(1, (320, 192), 14)
    bands = (np.arange(192)[:, None] // 12 % 3 == 0).astype(float)
    world += 14 * bands * grain(2, (320, 192), 1.2)
    given, shown = [], []
    for t in range(30):
        moved = cv2.warpAffine(world, np.float32(((1, 0, -0.5 * t - 10), (0, 1, 0))), size, flags=cv2.INTER_CUBIC)
        moved += 4 * bands * grain(100 + t, size, 1) + np.random.default_rng(t).normal(0, 0.7, moved.shape)
        frame = tiny.flat(128, size=size)
        frame = replace(frame, planes=(np.clip(moved + 0.5, 16, 235).astype(np.uint8), *frame.planes[1:]))
        given.append(frame.planes[0])
        shown.append(stylizer(frame).planes[0])
    late, alone = ([np.float32(plane[..., None].repeat(3, 2)) / 255 for plane in some[20:]] for some in (shown, given))
    assert fine_stripes(late, alone) < 0.9


@pytest.mark.parametrize(
    "transform",
    [
        lambda t: cv2.getRotationMatrix2D((130, 100), 0.6 * t, 1),
        lambda t: cv2.getRotationMatrix2D((130, 100), 0, 1 + 0.006 * t),
    ],
    ids=["rotation", "zoom"],
)
def test_rotation_and_zoom_are_followed(plain: Make, tiny: ModuleType, transform: Any) -> None:
    """Held for ten frames, the picture is still where the things are: no further off than resampling blurs it."""
    world, stylizer = scene(), plain()
    for t in range(10):
        frame = view(tiny, world, transform(t))
        shown = stylizer(frame)
    still = rms(luma(view(tiny, world, transform(0))), luma(frame))
    assert rms(luma(shown), luma(frame)) < 0.25 * still


def test_a_cut_and_a_black_frame_leave_no_trace(plain: Make, tiny: ModuleType) -> None:
    stylizer, first, other = plain(), view(tiny, scene(1)), view(tiny, scene(2))
    for _ in range(3):
        stylizer(first)
    least = 0.05 * rms(luma(first), luma(other))  # two pictures have spots in common
    assert rms(luma(stylizer(other)), luma(other)) < least
    black = tiny.flat(16, size=SIZE)
    assert tiny.difference(stylizer(black), black) == 0
    assert rms(luma(stylizer(first)), luma(first)) < least


def test_frames_may_be_dropped_before_the_stylizer(plain: Make, tiny: ModuleType) -> None:
    """Every third frame of a pan: the flow is between those it saw."""
    world, stylizer = scene(), plain()
    for t in range(0, 18, 3):
        frame = view(tiny, world, ((1, 0, 0.8 * t), (0, 1, 0)))
        shown = stylizer(frame)
    assert rms(luma(shown), luma(frame)) < 3


def test_history_ends_where_the_size_changes_and_starts_again(plain: Make, tiny: ModuleType) -> None:
    stylizer = plain()
    for _ in range(2):
        stylizer(view(tiny, scene(1)))
    small = tiny.frame((96, 64))
    assert tiny.difference(stylizer(small), small) == 0
    assert tiny.difference(stylizer(small), small) == 0


def test_a_swap_in_the_middle_of_a_fade_is_a_swap(plain: Make, tiny: ModuleType) -> None:
    stylizer, frame = plain(), view(tiny, scene())
    stylizer(frame)
    stylizer.set_style("bright", fade_frames=20)
    for _ in range(5):
        stylizer(frame)
    stylizer.set_style("plain")
    assert tiny.difference(stylizer(frame), frame) == 0


def test_a_net_that_gives_nonsense_for_one_frame_does_not_poison_the_next(
    plain: Make, tiny: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NaN in a net becomes bytes, black ones say; the frame after is as if nothing had been."""
    stylizer, frame = plain(), view(tiny, scene())
    stylizer(frame)
    real = CpuNet.paint

    def broken(*args: Any) -> Any:
        painted = real(*args)
        return replace(painted, planes=tuple(np.zeros_like(plane) for plane in painted.planes))

    monkeypatch.setattr(CpuNet, "paint", broken)
    stylizer(frame)
    monkeypatch.setattr(CpuNet, "paint", real)
    assert tiny.difference(stylizer(frame), frame) == 0


def test_the_meter_tells_calm_from_restless(plain: Make, tiny: ModuleType) -> None:
    world, found = scene(), {}
    for steadiness in (0.01, 0.3, STEADINESS):
        stylizer = plain(steadiness=steadiness)
        assert stylizer.flicker.now is None
        for seed in range(8):
            stylizer(view(tiny, world, grain=seed))
        found[steadiness] = stylizer.flicker.overall
    assert found[0.01] > 1.2 * found[0.3] > 1.5 * found[STEADINESS] > 0


def test_at_steadiness_0_no_flow_is_searched_until_it_is_raised(
    plain: Make, tiny: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    stylizer, world, searched = plain(steadiness=0.0), scene(), []
    real = Dis.__call__
    monkeypatch.setattr(Dis, "__call__", lambda self, *pictures: searched.append(1) or real(self, *pictures))
    for seed in range(3):
        stylizer(view(tiny, world, grain=seed))
    assert not searched
    assert stylizer.flicker.overall is None
    stylizer.steadiness = STEADINESS
    frame = view(tiny, world, grain=3)
    assert tiny.difference(stylizer(frame), frame) > 0, "the frame before is history at once"
    assert len(searched) == 1
