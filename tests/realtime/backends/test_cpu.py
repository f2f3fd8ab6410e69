"""The CPU backend, with nets that pass the picture through (see tests/tiny.py)."""

import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from allaprima.realtime.backends import Blend, cpu, open_backend
from allaprima.realtime.backends.cpu import CpuBackend, Motion
from allaprima.realtime.bundle import Bundle
from allaprima.realtime.errors import BackendUnavailable, ConfigError
from allaprima.realtime.frame import Color, Frame
from allaprima.realtime.stylebank import StyleBank

pytestmark = pytest.mark.usefixtures("exact")

SIZE = (96, 64)
LARGE = (641, 359)
"""So large that flow is measured on a smaller picture."""
CONTENT = Blend(content=0.9)


class Easel:
    """A backend and its net at one size."""

    def __init__(self, path: Path, size: tuple[int, int], color: Color, places: Blend, region: bool = False) -> None:
        self.backend = CpuBackend(size, color)
        self.bank = StyleBank(Bundle(path))
        self.net = self.backend.load_net(self.bank.bundle, places, region)

    @property
    def factor(self) -> int:
        """How many pixels of the picture one of the flow's spans."""
        picture = self.backend.upload(self.like)
        return int(picture.planes[0].shape[1] / self.backend.motion(None, picture).flow.shape[1])

    def still(self, trust: float, flow: tuple[float, float] = (0, 0)) -> Motion:
        height, width = self.backend.motion(None, self.backend.upload(self.like)).flow.shape[:2]
        field = np.full((height, width, 2), flow, np.float32)
        return Motion(field, np.full((height, width), trust, np.float32))

    def paint(
        self, frame: Frame, style: str = "plain", strength: float = 1.0, *, trust: float = 0.0, **more: Any
    ) -> Frame:
        self.like = frame
        motion = self.still(trust, more.pop("flow", (0, 0)))
        filters = self.bank.views(self.bank.resolve(style))
        blend = more.pop("blend", CONTENT)
        painted = self.net.paint(self.backend.upload(frame), motion, filters, strength, blend, **more)
        return self.backend.download(painted, frame)


@pytest.fixture
def easel(tiny_bundle: Path, tiny: ModuleType) -> Any:
    def make(
        size: tuple[int, int] = SIZE, color: Color = tiny.LIMITED, places: Blend = CONTENT, region: bool = False
    ) -> Easel:
        return Easel(tiny_bundle, size, color, places, region)

    return make


def noise(size: tuple[int, int], color: Color, seed: int = 0) -> Frame:
    """Every byte that the range allows, side by side."""
    rng = np.random.default_rng(seed)
    half = (-(-size[1] // 2), -(-size[0] // 2))
    luma = rng.integers(*((0, 256) if color.full_range else (16, 236)), size[::-1], np.uint8)
    chroma = rng.integers(*((1, 256) if color.full_range else (16, 241)), (2, *half), np.uint8)
    return Frame((luma, *chroma), size, 7, Fraction(1, 25), 3, color, captured=1.5, duration=1)


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


# ---- history ----


def test_without_confidence_no_frame_leaves_a_trace(easel: Any, tiny: ModuleType) -> None:
    here = easel()
    for seed in range(5):
        frame = noise(SIZE, tiny.LIMITED, seed)
        assert tiny.difference(here.paint(frame, trust=0), frame) == 0


def test_history_is_that_of_the_frame_before_at_each_turn(easel: Any, tiny: ModuleType) -> None:
    """Two requests by turns: a mistake would blend with the frame before the last."""
    here = easel()
    expected = 0.0
    for number, luma in enumerate((40, 200, 90, 160, 60)):
        painted = here.paint(tiny.flat(luma), trust=1.0 if number else 0.0)
        expected = 0.1 * luma + 0.9 * expected if number else luma
        np.testing.assert_allclose(painted.planes[0], expected, atol=1)


def test_blending_scales_with_confidence_and_its_place_can_be_off(easel: Any, tiny: ModuleType) -> None:
    here = easel()
    for trust, blend, luma in ((0.5, CONTENT, 155), (1, Blend(content=0.5), 150), (1, Blend(), 200)):
        here.paint(tiny.flat(100))
        painted = here.paint(tiny.flat(200), trust=trust, blend=blend)
        np.testing.assert_allclose(painted.planes[0], luma, atol=1)


@pytest.mark.parametrize("size", [SIZE, LARGE])
@pytest.mark.parametrize(("dx", "dy"), [(8, 0), (0, 8), (-8, 16)])
def test_history_is_fetched_from_where_the_flow_points(
    easel: Any, tiny: ModuleType, size: Any, dx: int, dy: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """8 pixels are one sample of the deepest features, so the shift is exact."""
    monkeypatch.setattr(cpu, "FEATURES_HALF_AT", 1e9)
    here = easel(size)
    first = tiny.frame(size)
    here.paint(first)
    assert (here.factor > 1) == (size == LARGE)
    flow = (dx / here.factor, dy / here.factor)
    moved = here.paint(tiny.frame(size, 9), trust=1, flow=flow, blend=Blend(content=1)).planes[0]
    inner = first.planes[0][24 + dy : -24 + dy or None, 24 + dx : -24 + dx or None]
    np.testing.assert_allclose(moved[24:-24, 24:-24].astype(int), inner, atol=1)


@pytest.mark.parametrize("size", [SIZE, LARGE])
@pytest.mark.parametrize(("pixels", "share"), [(0, 1.0), (4, 0.5), (8, 0.2)])
def test_the_faster_things_move_the_less_their_features_are_kept(
    easel: Any, tiny: ModuleType, size: Any, pixels: int, share: float
) -> None:
    here = easel(size)
    here.paint(tiny.flat(200, size=size))
    flow = (pixels / here.factor, 0)
    painted = here.paint(tiny.flat(50, size=size), trust=1, flow=flow, blend=Blend(content=1))
    np.testing.assert_allclose(painted.planes[0], 50 + 150 * share, atol=1)


def test_a_swap_of_filters_shows_on_the_next_frame_whole(easel: Any, tiny: ModuleType) -> None:
    """Content features know nothing of styles: full history, and no trace of the old style."""
    here = easel()
    here.paint(tiny.flat(100))
    lumas = [here.paint(tiny.flat(100), style, trust=1).planes[0][9, 9] for style in ("plain", "bright", "dark")]
    assert lumas == [100, 127, 73]


def test_history_after_the_bank_keeps_the_old_style(easel: Any, tiny: ModuleType) -> None:
    here = easel(places=Blend(painted=1))
    here.paint(tiny.flat(100), "bright", blend=Blend(painted=0.5))
    painted = here.paint(tiny.flat(100), "plain", trust=1, blend=Blend(painted=0.5))
    assert painted.planes[0][9, 9] == 114


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


@pytest.mark.parametrize("size", [SIZE, LARGE])
def test_confidence_is_told_the_scale_of_the_flow(
    easel: Any, tiny: ModuleType, size: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[float] = []
    real = cpu.confidence
    monkeypatch.setattr(cpu, "confidence", lambda *args, **more: told.append(more["scale"]) or real(*args, **more))
    here = easel(size)
    here.like = tiny.frame(size)
    picture = here.backend.upload(here.like)
    assert here.backend.motion(picture, picture).confidence.min() == 1
    assert told == [here.factor]


def test_a_cut_leaves_next_to_no_confidence(easel: Any, tiny: ModuleType) -> None:
    backend = easel().backend
    a, b = (backend.upload(tiny.frame(SIZE, seed)) for seed in (1, 2))
    assert backend.motion(a, b).confidence.mean() < 0.1
    assert backend.motion(a, a).confidence.min() == 1


@pytest.mark.parametrize(("weight", "luma"), [(0, 200), (0.5, 150), (1, 100)])
def test_what_stands_still_takes_up_to_the_weight_of_history(
    easel: Any, tiny: ModuleType, weight: float, luma: int
) -> None:
    here = easel()
    backend, here.like = here.backend, tiny.flat(200)
    a, b = (backend.upload(tiny.flat(value, value, value)) for value in (100, 200))
    blended = backend.download(backend.warp_blend(a, b, here.still(1), weight), here.like)
    assert [np.unique(plane).tolist() for plane in blended.planes] == [[luma]] * 3
    assert backend.warp_blend(None, b, here.still(1), weight) is b


@pytest.mark.parametrize("size", [SIZE, LARGE])
def test_a_picture_in_motion_is_fetched_from_where_it_was(
    easel: Any, tiny: ModuleType, size: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu, "stillness", lambda flow, scale, half_at: np.ones(flow.shape[:2], np.float32))
    here = easel(size)
    here.like = new = tiny.flat(0, 0, 0, size=size)
    old, upload = tiny.frame(size), here.backend.upload
    motion = here.still(1, (8 / here.factor, -4 / here.factor))
    blended = here.backend.download(here.backend.warp_blend(upload(old), upload(new), motion, 1.0), new)
    for found, before, half in zip(blended.planes, old.planes, (1, 2, 2), strict=True):
        fetched = np.roll(before, (4 // half, -8 // half), (0, 1))
        np.testing.assert_allclose(found[8:-8, 8:-8].astype(int), fetched[8:-8, 8:-8], atol=1)


@pytest.mark.parametrize("size", [SIZE, LARGE])
def test_the_faster_a_picture_moves_the_less_of_it_is_taken(easel: Any, tiny: ModuleType, size: Any) -> None:
    """1 / (1 + n^2) at ``n`` pixels of the full picture."""
    here = easel(size)
    here.like = new = tiny.flat(0, 0, 0, size=size)
    old, upload = tiny.flat(200, 200, 200, size=size), here.backend.upload
    for pixels, share in ((0, 1), (1, 0.5), (2, 0.2)):
        motion = here.still(1, (pixels / here.factor, 0))
        blended = here.backend.download(here.backend.warp_blend(upload(old), upload(new), motion, 1.0), new)
        for plane in blended.planes:
            np.testing.assert_allclose(plane, 200 * share, atol=1)


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


# ---- opening ----


def test_two_runs_give_the_same_bytes(easel: Any, tiny: ModuleType) -> None:
    def run() -> list[Frame]:
        here = easel()
        return [here.paint(tiny.frame(SIZE, seed), "blue", 0.7, trust=0.6) for seed in range(3)]

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
