"""The CPU backend, with nets that pass the picture through (see tests/tiny.py)."""

import sys
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

from allaprima.realtime.backends import FULL, Effort, open_backend
from allaprima.realtime.backends.cpu import CpuBackend, Motion
from allaprima.realtime.bundle import Bundle
from allaprima.realtime.errors import BackendUnavailable, ConfigError
from allaprima.realtime.frame import Color, Frame
from allaprima.realtime.stylebank import StyleBank

pytestmark = pytest.mark.usefixtures("exact")

SIZE = (96, 64)
LARGE = (641, 359)
"""So large that flow is measured on a smaller picture."""


class Easel:
    """A backend and its net at one size."""

    def __init__(
        self, path: Path, size: tuple[int, int], color: Color, region: bool = False, scale: float = 1.0
    ) -> None:
        self.backend = CpuBackend(size, color)
        self.bank = StyleBank(Bundle(path))
        self.net = self.backend.load_net(self.bank.bundle, region, scale)

    @property
    def factor(self) -> int:
        """How many pixels of the picture one of the flow's spans."""
        picture = self.backend.upload(self.like)
        return int(picture.planes[0].shape[1] / self.backend.motion(None, picture).flow.shape[1])

    def still(self, trust: float, flow: tuple[float, float] = (0, 0)) -> Motion:
        height, width = self.backend.motion(None, self.backend.upload(self.like)).flow.shape[:2]
        field = np.full((height, width, 2), flow, np.float32)
        return Motion(field, np.full((height, width), trust, np.float32))

    def paint(self, frame: Frame, style: str = "plain", strength: float = 1.0, **more: Any) -> Frame:
        filters = self.bank.views(self.bank.resolve(style))
        painted = self.net.paint(self.backend.upload(frame), filters, strength, **more)
        return self.backend.download(painted, frame)

    def steady(self, before: Any, now: Frame, motion: Motion, weight: float) -> Any:
        """``now`` blended with ``before``, a frame or a picture that was blended already."""
        before = self.backend.upload(before) if isinstance(before, Frame) else before
        return self.backend.warp_blend(before, self.backend.upload(now), motion, weight)


@pytest.fixture
def easel(tiny_bundle: Path, tiny: ModuleType) -> Any:
    def make(size: tuple[int, int] = SIZE, color: Color = tiny.LIMITED, region: bool = False, **more: Any) -> Easel:
        return Easel(tiny_bundle, size, color, region, **more)

    return make


def noise(size: tuple[int, int], color: Color, seed: int = 0) -> Frame:
    """Every byte that the range allows, side by side."""
    rng = np.random.default_rng(seed)
    half = (-(-size[1] // 2), -(-size[0] // 2))
    luma = rng.integers(*((0, 256) if color.full_range else (16, 236)), size[::-1], np.uint8)
    chroma = rng.integers(*((1, 256) if color.full_range else (16, 241)), (2, *half), np.uint8)
    return Frame((luma, *chroma), size, 7, Fraction(1, 25), 3, color, captured=1.5, duration=1)


def strokes(frame: Frame, depth: int = 40) -> Frame:
    """The frame with other fine texture: each plane's smoothed brightness stays, as between two paintings."""
    planes = []
    for plane in frame.planes:
        row, column = np.indices(plane.shape)
        fine = np.where((row + column) % 2, depth // 2, -depth // 2)
        planes.append(np.clip(plane.astype(int) + fine, plane.min(), plane.max()).astype(np.uint8))
    return replace(frame, planes=tuple(planes))


# ---- bytes ----


@pytest.mark.parametrize(
    "color", [Color(), Color(6, 6, 6, 1), Color(5, 5, 6, 2), Color(1, 1, 1, 1), Color(1, 1, 1, 2), Color(9, 9, 14, 1)]
)
def test_bytes_come_out_as_they_went_in_whatever_the_color(easel: Any, tiny: ModuleType, color: Color) -> None:
    frame = noise((40, 24), color)
    assert tiny.difference(easel((40, 24), color).paint(frame), frame) <= 1


@pytest.mark.parametrize("size", [(16, 16), (17, 31), (2, 2), (1, 5), LARGE])
def test_odd_and_tiny_pictures_keep_their_size_and_every_pixel(easel: Any, tiny: ModuleType, size: Any) -> None:
    frame = noise(size, tiny.LIMITED)
    painted = easel(size).paint(frame)
    assert [p.shape for p in painted.planes] == [p.shape for p in frame.planes]
    assert tiny.difference(painted, frame) == 0


def test_planes_with_gaps_between_their_rows_are_read_right(easel: Any, tiny: ModuleType) -> None:
    frame = noise(SIZE, tiny.LIMITED)
    loose = replace(frame, planes=tuple(np.pad(p, ((0, 0), (0, 37)))[:, : p.shape[1]] for p in frame.planes))
    assert not loose.planes[0].flags.c_contiguous
    assert tiny.difference(easel().paint(loose), frame) == 0


def test_a_painted_frame_keeps_all_that_is_not_picture(easel: Any, tiny: ModuleType) -> None:
    frame = noise(SIZE, tiny.LIMITED)
    painted = easel().paint(frame)
    for name in ("size", "pts", "time_base", "index", "color", "format", "captured", "duration", "side"):
        assert getattr(painted, name) == getattr(frame, name)


def test_a_painted_frame_is_not_overwritten_by_the_next(easel: Any, tiny: ModuleType) -> None:
    here = easel()
    frames = [noise(SIZE, tiny.LIMITED, seed) for seed in range(4)]
    painted = [here.paint(frame) for frame in frames]
    for one, frame in zip(painted, frames, strict=True):
        assert tiny.difference(one, frame) == 0


@pytest.mark.parametrize(("strength", "luma"), [(0, 100), (0.5, 114), (1, 127)])
def test_strength_scales_what_the_bank_does(easel: Any, tiny: ModuleType, strength: float, luma: int) -> None:
    painted = easel().paint(tiny.flat(100), "bright", strength)
    assert np.unique(painted.planes[0]).tolist() == [luma]


def test_a_swap_of_filters_shows_on_the_next_frame_whole(easel: Any, tiny: ModuleType) -> None:
    here = easel()
    lumas = [here.paint(tiny.flat(100), style).planes[0][9, 9] for style in ("plain", "bright", "dark")]
    assert lumas == [100, 127, 73]


# ---- regions ----


def test_inside_the_mask_is_one_style_and_outside_the_other(easel: Any, tiny: ModuleType) -> None:
    here = easel(region=True)
    mask = np.zeros((64, 96), np.float32)
    mask[:, 48:] = 1
    inside = here.bank.views(here.bank.resolve("dark"))
    luma = here.paint(tiny.flat(100), "bright", region=(mask, inside)).planes[0]
    assert (luma[:, :40] == 127).all()
    assert (luma[:, 56:] == 73).all()


def test_a_soft_mask_mixes_the_filters_effects(easel: Any, tiny: ModuleType) -> None:
    here = easel(region=True)
    inside = here.bank.views(here.bank.resolve("dark"))
    mask = np.full((64, 96), 0.25, np.float32)
    luma = here.paint(tiny.flat(100), "bright", region=(mask, inside)).planes[0]
    np.testing.assert_allclose(luma, 100 + 27.375 * 0.5, atol=0.6)


# ---- motion and the blend of pictures ----


def test_without_a_picture_before_there_is_no_confidence(easel: Any, tiny: ModuleType) -> None:
    backend = easel().backend
    motion = backend.motion(None, backend.upload(tiny.flat(100)))
    assert not motion.confidence.any()
    assert not motion.flow.any()


@pytest.mark.parametrize("size", [SIZE, LARGE])
def test_motion_is_measured_in_pixels_of_the_small_picture(easel: Any, tiny: ModuleType, size: Any) -> None:
    here = easel(size)
    here.like = tiny.frame(size)
    wide = tiny.texture((size[0] + 8, size[1]), 5, grain=3 * here.factor)
    planes = [(np.ascontiguousarray(wide[:, at : at + size[0]]), *here.like.planes[1:]) for at in (0, 4)]
    before, now = (here.backend.upload(replace(here.like, planes=moment)) for moment in planes)
    motion = here.backend.motion(before, now)
    assert np.median(motion.flow[..., 0]) * here.factor == pytest.approx(4, abs=0.6)
    assert abs(np.median(motion.flow[..., 1])) < 0.2
    assert np.median(motion.confidence) > 0.9


def test_a_cut_leaves_next_to_no_confidence(easel: Any, tiny: ModuleType) -> None:
    backend = easel().backend
    a, b = (backend.upload(tiny.frame(SIZE, seed)) for seed in (1, 2))
    assert backend.motion(a, b).confidence.mean() < 0.1
    assert backend.motion(a, a).confidence.min() == 1


# History must look like the new picture when both are smoothed, so these tests have fine texture.


@pytest.mark.parametrize("weight", [0.25, 0.75, 1.0])
def test_what_can_be_trusted_takes_its_share_of_history(easel: Any, tiny: ModuleType, weight: float) -> None:
    here = easel()
    old, new = strokes(tiny.frame()), tiny.frame()
    here.like = new
    assert here.steady(old, new, here.still(1), 0.0).planes[0].tolist() == here.backend.upload(new).planes[0].tolist()
    found = here.backend.download(here.steady(old, new, here.still(1), weight), new)
    for plane, before, now in zip(found.planes, old.planes, new.planes, strict=True):
        error = np.abs(plane - (now + weight * (before.astype(float) - now)))
        assert np.median(error[8:-8, 8:-8]) <= 1


def test_without_confidence_nothing_is_held(easel: Any, tiny: ModuleType) -> None:
    here = easel()
    here.like = new = tiny.frame()
    found = here.backend.download(here.steady(strokes(new), new, here.still(0), 1.0), new)
    assert tiny.difference(found, new) == 0
    picture = here.backend.upload(new)
    assert here.backend.warp_blend(None, picture, here.still(1), 1.0) is picture


@pytest.mark.parametrize("size", [SIZE, LARGE])
@pytest.mark.parametrize(("dx", "dy"), [(8, -4), (-16, 8)])
def test_a_picture_in_motion_is_fetched_from_where_it_was(
    easel: Any, tiny: ModuleType, size: Any, dx: int, dy: int
) -> None:
    here = easel(size)
    old = tiny.frame(size)
    moved = [np.roll(p, (-dy // h, -dx // h), (0, 1)) for p, h in zip(old.planes, (1, 2, 2), strict=True)]
    here.like = new = strokes(replace(old, planes=tuple(moved)))
    motion = here.still(1, (dx / here.factor, dy / here.factor))
    found = here.backend.download(here.steady(old, new, motion, 1.0), new)
    for plane, fetched in zip(found.planes, moved, strict=True):
        error = np.abs(plane.astype(int) - fetched)[12:-12, 12:-12]
        assert np.median(error) <= 1, "but for the seam, where the texture was rolled round"


def test_a_light_that_is_switched_on_shows_at_once(easel: Any, tiny: ModuleType) -> None:
    """Flow and confidence see nothing of it here: the history only does not look like the new picture."""
    here = easel()
    dark = tiny.frame()
    for changed in (0, 1, 2):
        planes = [p // 2 + (60 if index == changed else 0) for index, p in enumerate(dark.planes)]
        here.like = lit = replace(dark, planes=tuple(planes))
        old = replace(dark, planes=tuple(p // 2 for p in dark.planes))
        found = here.backend.download(here.steady(old, lit, here.still(1), 1.0), lit)
        assert tiny.difference(found, lit) == 0


def test_a_slow_fade_is_followed(easel: Any, tiny: ModuleType) -> None:
    """Half a byte a frame never looks wrong, and 60 frames later would be 30 behind."""
    here = easel()
    base = tiny.frame()
    here.like, shown = base, None
    for step in range(60):
        now = replace(base, planes=tuple((p * 0.7 + 0.5 * step).astype(np.uint8) for p in base.planes))
        shown = here.steady(base if shown is None else shown, now, here.still(1), 0.99) if step else None
    for plane, wanted in zip(here.backend.download(shown, now).planes, now.planes, strict=True):
        assert abs(plane.mean() - wanted.mean()) < 4


def test_held_for_long_a_picture_neither_fades_nor_rings(easel: Any, tiny: ModuleType) -> None:
    """A warp of half a pixel to and fro, fifty times over."""
    here = easel()
    here.like = new = tiny.frame()
    shown = here.backend.upload(new)
    for step in range(50):
        shift = (0.5 if step % 2 else -0.5) / here.factor
        shown = here.steady(shown, new, here.still(1, (shift, shift)), 0.98)
    luma, wanted = (
        p[16:-16, 16:-16].astype(float) for p in (here.backend.download(shown, new).planes[0], new.planes[0])
    )
    assert 0.6 < luma.std() / wanted.std() < 1.2


def test_small_changes_arrive_in_spite_of_bytes(easel: Any, tiny: ModuleType) -> None:
    here = easel()
    here.like = new = tiny.frame()
    shown = here.backend.upload(strokes(new, 6))
    for _ in range(300):
        shown = here.steady(shown, new, here.still(1), 0.98)
    assert tiny.difference(here.backend.download(shown, new), new) <= 1


def test_pictures_are_mixed_by_a_number_or_a_mask(easel: Any, tiny: ModuleType) -> None:
    backend = easel().backend
    like = tiny.flat(0)
    a, b = (backend.upload(tiny.flat(value, value, value)) for value in (100, 200))
    mask = np.zeros((64, 96), np.float32)
    mask[:32] = 1
    for t, lumas in ((0, (100, 100)), (1, (200, 200)), (0.25, (125, 125)), (mask, (200, 100))):
        mixed = backend.download(backend.mix(a, b, t), like)
        for plane in mixed.planes:
            assert (plane[4, 4], plane[-4, 4]) == lumas


# ---- less effort ----


def test_the_ladder_begins_with_full_effort_and_saves_something_with_every_step() -> None:
    """In milliseconds of two cores at 1280x720: a net of 40, a flow of 8 or 2, a blend of 11, a carry of 5."""

    def cost(effort: Effort) -> float:
        net, flow = 40 * effort.scale**2, 2 if effort.coarse else 8
        return flow + (net + 11 + 5 * (effort.every - 1)) / effort.every

    efforts = CpuBackend.efforts
    assert efforts[0] == FULL
    for above, below in pairwise(efforts):
        assert cost(below) < 0.95 * cost(above)
        assert below.scale <= above.scale
        assert below.every >= above.every
    assert [effort.every for effort in efforts if effort.coarse and effort.every > 1] == [efforts[-1].every]


@pytest.mark.parametrize("size", [SIZE, LARGE, (2, 2)])
def test_a_coarse_motion_is_that_of_the_usual_size(easel: Any, tiny: ModuleType, size: Any) -> None:
    here = easel(size)
    here.like = tiny.frame(size)
    wide = tiny.texture((size[0] + 8, size[1]), 5, grain=6 * here.factor)
    planes = [(np.ascontiguousarray(wide[:, at : at + size[0]]), *here.like.planes[1:]) for at in (0, 4)]
    before, now = (here.backend.upload(replace(here.like, planes=moment)) for moment in planes)
    usual, coarse = here.backend.motion(before, now), here.backend.motion(before, now, coarse=True)
    assert coarse.flow.shape == usual.flow.shape
    assert coarse.confidence.shape == usual.confidence.shape
    if min(size) > 2:
        assert np.median(coarse.flow[..., 0]) * here.factor == pytest.approx(4, abs=0.6)
        assert np.median(coarse.confidence) > 0.9
    assert not here.backend.motion(None, now, coarse=True).confidence.any()


@pytest.mark.parametrize("scale", [0.75, 0.5])
@pytest.mark.parametrize("size", [SIZE, LARGE, (17, 31), (2, 2), (1, 5)])
def test_a_net_that_paints_small_gives_the_usual_size(easel: Any, tiny: ModuleType, size: Any, scale: float) -> None:
    here, frame = easel(size, scale=scale), tiny.flat(100, 90, 160, size)
    painted = here.paint(frame, "bright")
    assert [p.shape for p in painted.planes] == [p.shape for p in frame.planes]
    assert [np.unique(p).tolist() for p in painted.planes] == [[127], [90], [160]]


def test_a_small_net_puts_everything_where_it_was(easel: Any, tiny: ModuleType) -> None:
    frame = tiny.frame((320, 192))
    smooth = replace(frame, planes=tuple(cv2.GaussianBlur(p, None, 4) for p in frame.planes))
    for scale in (0.75, 0.5):
        painted = easel((320, 192), scale=scale).paint(smooth)
        assert (
            max(
                int(cv2.absdiff(np.ascontiguousarray(p), q).max())
                for p, q in zip(painted.planes, smooth.planes, strict=True)
            )
            <= 3
        )


def test_a_small_net_knows_regions(easel: Any, tiny: ModuleType) -> None:
    here = easel(region=True, scale=0.5)
    inside = here.bank.views(here.bank.resolve("dark"))
    mask = np.zeros((64, 96), np.float32)
    mask[:, 48:] = 1
    luma = here.paint(tiny.flat(100), "bright", region=(mask, inside)).planes[0]
    assert (luma[:, :40] == 127).all()
    assert (luma[:, 56:] == 73).all()


def test_nets_are_compiled_once_for_all_streams_alike(easel: Any) -> None:
    one, other = easel(), easel()
    assert one.backend.load_net(one.bank.bundle)._compiled is one.net._compiled
    assert one.backend.load_net(one.bank.bundle, scale=0.5)._compiled is not one.net._compiled
    assert one.net is not other.net
    assert one.net._compiled is other.net._compiled
    assert one.net._request is not other.net._request


@pytest.mark.parametrize(("dx", "dy"), [(8, -4), (-16, 8)])
def test_what_is_carried_goes_along_with_the_motion(easel: Any, tiny: ModuleType, dx: int, dy: int) -> None:
    here = easel()
    old = tiny.frame()
    moved = [np.roll(p, (-dy // h, -dx // h), (0, 1)) for p, h in zip(old.planes, (1, 2, 2), strict=True)]
    here.like = now = tiny.flat(100)
    motion = here.still(1, (dx / here.factor, dy / here.factor))
    carried = here.backend.download(here.backend.carry(here.backend.upload(old), here.backend.upload(now), motion), now)
    for plane, wanted, rim in zip(carried.planes, moved, (24, 12, 12), strict=True):
        assert np.median(np.abs(plane.astype(int) - wanted)[rim:-rim, rim:-rim]) <= 2


def test_what_rests_is_carried_as_it_is(easel: Any, tiny: ModuleType) -> None:
    here = easel()
    here.like = old = tiny.frame()
    carried = here.backend.carry(here.backend.upload(old), here.backend.upload(tiny.flat(100)), here.still(1))
    assert tiny.difference(here.backend.download(carried, old), old) == 0


def test_what_is_carried_on_is_fetched_from_the_painting_itself(easel: Any, tiny: ModuleType) -> None:
    """Half a pixel to and fro, six times over: warped again and again it would be blurred."""
    here = easel()
    here.like = old = strokes(tiny.frame())
    painted = shown = here.backend.upload(old)
    for step in range(6):
        shift = (0.5 if step % 2 else -0.5) / here.factor
        shown = here.backend.carry(shown, here.backend.upload(tiny.flat(100)), here.still(1, (shift, shift)))
    assert shown.origin is not None
    assert shown.origin[0] is painted
    assert tiny.difference(here.backend.download(shown, old), old) <= 1


def test_after_a_cut_the_old_picture_stays_until_one_is_painted_and_leaves_nothing(
    easel: Any, tiny: ModuleType
) -> None:
    here = easel()
    here.like = old = tiny.frame(seed=1)
    new = tiny.frame(seed=2)
    before, now = here.backend.upload(old), here.backend.upload(new)
    torn = here.backend.motion(before, now)
    carried = here.backend.carry(before, now, torn)
    assert tiny.difference(here.backend.download(carried, old), old) == 0
    found = here.backend.warp_blend(carried, now, here.backend.motion(carried, now), 1.0)
    assert tiny.difference(here.backend.download(found, new), new) == 0, "though nothing has moved since"


def test_history_that_was_carried_is_held(easel: Any, tiny: ModuleType) -> None:
    here = easel()
    old, new = strokes(tiny.frame()), tiny.frame()
    here.like = new
    carried = here.backend.carry(here.backend.upload(old), here.backend.upload(new), here.still(1))
    held = here.steady(carried, new, here.still(1), 0.75)
    direct = here.steady(old, new, here.still(1), 0.75)
    for one, other in zip(held.exact, direct.exact, strict=True):
        np.testing.assert_array_equal(one, other)


def carried_and_painted(here: Any, tiny: ModuleType, luma: int, trust: float, weight: float = 0.5) -> tuple[int, float]:
    """A picture of luma 100 is carried, then one of another luma is painted: what is shown of it, and what is held."""
    old, new = tiny.flat(100), tiny.flat(luma)
    here.like = new
    carried = here.backend.carry(here.backend.upload(old), here.backend.upload(new), here.still(1))
    found = here.steady(carried, new, here.still(trust), weight)
    return int(found.planes[0][40, 40]), float(found.exact[0][40, 40]) if found.exact else float(luma)


def test_the_first_picture_painted_after_carried_ones_is_shown_half_way(easel: Any, tiny: ModuleType) -> None:
    here = easel()
    shown, held = carried_and_painted(here, tiny, 120, 1)
    assert held == 120, "so far off nothing is held"
    assert shown == 120 - round(20 * 0.5 * np.exp(-60 * (20 / 255) ** 2))
    assert carried_and_painted(here, tiny, 120, 0.5)[0] in (116, 117), "by as much as is trusted"
    assert carried_and_painted(here, tiny, 220, 1)[0] == 220, "what is quite another is not seen through it"
    assert carried_and_painted(here, tiny, 120, 0) == (120, 120), "a cut is not eased"
    assert carried_and_painted(here, tiny, 120, 1, weight=0) == (120, 120)


def test_one_painted_after_a_painted_one_is_shown_as_it_is_held(easel: Any, tiny: ModuleType) -> None:
    here = easel()
    here.like = tiny.flat(100)
    found = here.steady(here.like, tiny.flat(160), here.still(1), 0.5)
    assert found.planes[0][40, 40] == found.exact[0][40, 40] == 160
    again = here.steady(found, tiny.flat(100), here.still(1), 0.5)
    assert again.planes[0][40, 40] == 100


def test_a_sample_tells_of_the_whole_picture(easel: Any, tiny: ModuleType) -> None:
    backend = easel(LARGE).backend
    frame = tiny.frame(LARGE)
    sample = backend.sample(backend.upload(frame))
    assert 5_000 < sample.size < 40_000
    assert sample.mean() == pytest.approx(frame.planes[0].mean(), abs=4)


# ---- opening ----


def test_two_runs_give_the_same_bytes(easel: Any, tiny: ModuleType) -> None:
    def run() -> list[Frame]:
        here = easel()
        return [here.paint(tiny.frame(SIZE, seed), "blue", 0.7) for seed in range(3)]

    for one, other in zip(run(), run(), strict=True):
        assert tiny.difference(one, other) == 0


def test_an_unknown_backend_is_a_mistake_with_a_hint() -> None:
    with pytest.raises(ConfigError, match="unknown backend 'cpux'") as caught:
        open_backend("cpux", SIZE, Color())
    assert "cpu" in caught.value.hint


@pytest.mark.parametrize("name", ["auto", "cpu"])
def test_auto_takes_what_there_is(name: str) -> None:
    assert open_backend(name, SIZE, Color()).name == "cpu"


def test_a_device_library_that_is_missing_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "allaprima.realtime.backends.cpu", None)
    with pytest.raises(BackendUnavailable, match="cpu backend cannot start") as caught:
        open_backend("cpu", SIZE, Color())
    assert "openvino" in caught.value.hint
