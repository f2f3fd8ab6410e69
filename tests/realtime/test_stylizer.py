"""The stylizer: settings, history, and how it behaves when the stream changes under its hands."""

import threading
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from allaprima.realtime.backends.cpu import CpuBackend
from allaprima.realtime.bundle import Bundle
from allaprima.realtime.errors import BundleError, ConfigError, UnknownStyle
from allaprima.realtime.frame import Color, Frame
from allaprima.realtime.stylebank import Mix
from allaprima.realtime.stylizer import (
    CHANGING,
    STEADINESS,
    STRONGEST,
    Region,
    Stylizer,
    held,
    unit,
)

from .painters import BRIGHT, DARK, PLAIN, SIZE, Make, half_mask, luma, mean_difference

# ---- settings ----


def test_it_starts_with_what_the_bundle_and_the_style_recommend(tiny: ModuleType, own_bundle: Path) -> None:
    tiny.add_style(own_bundle, "own", 0.5, strength=0.75, steadiness=0.25)
    tiny.add_style(own_bundle, "silent", 0.5, steadiness=None)
    assert str(Stylizer(bundle=own_bundle).style) == "plain"
    own, silent = Stylizer("own", bundle=own_bundle), Stylizer("silent", bundle=Bundle(own_bundle))
    assert (own.strength, own.steadiness) == (0.75, 0.25)
    assert (silent.strength, silent.steadiness) == (1.0, STEADINESS)
    told = Stylizer("own", strength=0.0, steadiness=1.0, bundle=own_bundle)
    assert (told.strength, told.steadiness) == (0.0, 1.0)


@pytest.mark.parametrize("value", [-0.01, 1.01, float("nan"), float("inf")])
@pytest.mark.parametrize("name", ["strength", "steadiness"])
def test_what_lies_outside_0_to_1_is_refused_and_changes_nothing(adding: Make, name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=f"{name} must be between 0 and 1"):
        adding(**{name: value})
    stylizer = adding(**{name: 0.5})
    with pytest.raises(ConfigError, match=name):
        setattr(stylizer, name, value)
    assert getattr(stylizer, name) == 0.5
    assert unit(name, 1) == 1


@pytest.mark.parametrize(("steadiness", "frames"), [(0, 1), (0.2, 1.9), (0.5, 6.7), (0.85, 33), (1, 37)])
def test_steadiness_says_in_how_many_frames_a_painted_place_is_renewed(steadiness: float, frames: float) -> None:
    assert 1 / (1 - held(steadiness)) == pytest.approx(frames, rel=0.05)
    assert held(1) == STRONGEST


def test_history_steps_back_while_anything_changes(
    adding: Make, tiny: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Held strokes of the old style would outlive a cross-fade by seconds."""
    asked: list[float] = []
    real = CpuBackend.warp_blend
    monkeypatch.setattr(CpuBackend, "warp_blend", lambda self, *args: asked.append(args[-1]) or real(self, *args))
    stylizer, full = adding("plain", steadiness=STEADINESS), held(STEADINESS)

    def frames(count: int) -> list[float]:
        asked.clear()
        for _ in range(count):
            stylizer(tiny.flat(100))
        return list(asked)

    assert frames(2) == [full, full]
    stylizer.set_style("bright", fade_frames=3)
    assert frames(5) == [CHANGING] * 3 + [full] * 2
    stylizer.strength = 0.6
    assert frames(2) == [CHANGING, full]
    stylizer.set_region(Region(np.ones((64, 96), np.float32), None))
    assert frames(2) == [CHANGING, full]
    stylizer.steadiness = 0.1
    stylizer.set_style("dark", fade_frames=1)
    assert frames(1) == [held(0.1)], "less history than that stays less"


def test_a_style_is_swapped_on_the_next_frame(adding: Make, tiny: ModuleType) -> None:
    stylizer = adding("plain")
    found = [luma(stylizer(tiny.flat(100)))]
    for style in ("bright", Mix.parse("dark"), "bright:0.5,plain:0.5"):
        stylizer.set_style(style)
        found.append(luma(stylizer(tiny.flat(100))))
    assert found == [PLAIN, BRIGHT, DARK, 114]
    assert str(stylizer.style) == "bright:0.5,plain:0.5"


def test_with_history_most_of_a_swap_shows_on_the_next_frame_and_soon_all(adding: Make, tiny: ModuleType) -> None:
    stylizer = adding("plain", steadiness=STEADINESS)
    for _ in range(3):
        stylizer(tiny.flat(100))
    stylizer.set_style("bright")
    found = [luma(stylizer(tiny.flat(100))) for _ in range(6)]
    assert found == sorted(found)
    assert found[0] >= (PLAIN + BRIGHT) / 2
    assert found[5] >= BRIGHT - 1


def test_a_cross_fade_takes_the_frames_it_was_given(adding: Make, tiny: ModuleType) -> None:
    stylizer = adding("plain")
    stylizer.set_style("bright", fade_frames=4)
    assert [luma(stylizer(tiny.flat(100))) for _ in range(5)] == [107, 114, 121, 127, 127]


@pytest.mark.parametrize(("style", "error"), [("brigth", UnknownStyle), ("a:b:c", ConfigError), ("torn", BundleError)])
def test_a_style_that_cannot_be_is_the_callers_error_and_the_stream_goes_on(
    exact: None, tiny: ModuleType, own_bundle: Path, style: str, error: type[Exception]
) -> None:
    (own_bundle / "styles/torn.safetensors").write_bytes(b"torn")
    stylizer = Stylizer("bright", bundle=own_bundle)
    stylizer(tiny.flat(100))
    with pytest.raises(error):
        stylizer.set_style(style, 3)
    with pytest.raises(error):
        stylizer.set_region(Region(np.ones((64, 96), np.float32), style))
    assert str(stylizer.style) == "bright"
    assert luma(stylizer(tiny.flat(100))) == BRIGHT


@pytest.mark.parametrize(("strength", "expected"), [(1, 127.4), (0.5, 113.7), (0.25, 106.8), (0.125, 101.7), (0, 100)])
def test_below_a_quarter_of_strength_the_picture_fades_into_the_input(
    adding: Make, tiny: ModuleType, strength: float, expected: float
) -> None:
    found = luma(adding("bright", strength=strength)(tiny.flat(100)))
    assert found == pytest.approx(expected, abs=0.7)


def test_settings_may_come_from_other_threads_at_any_time(adding: Make, tiny: ModuleType) -> None:
    stylizer = adding("plain")
    done = threading.Event()
    errors: list[BaseException] = []

    def meddle(style: str, strength: float) -> None:
        try:
            while not done.wait(0.001):
                stylizer.set_style(style)
                stylizer.strength = strength
        except BaseException as error:  # noqa: BLE001 (shown below)
            errors.append(error)

    threads = [threading.Thread(target=meddle, args=args) for args in (("bright", 1.0), ("dark", 0.5))]
    for thread in threads:
        thread.start()
    found = {luma(stylizer(tiny.flat(100))) for _ in range(60)}
    done.set()
    for thread in threads:
        thread.join(5)
    assert not errors
    assert found <= {BRIGHT, DARK, 114, 86, PLAIN}, "every frame is whole: one style, one strength"


def test_a_region_that_comes_in_the_middle_of_a_frame_waits_for_a_whole_one(adding: Make, tiny: ModuleType) -> None:
    """The settings of a frame are taken at one moment; the net must be the one they need."""
    stylizer = adding("plain")
    stylizer(tiny.flat(100))
    mask = np.ones((64, 96), np.float32)
    for region in (Region(mask, "bright"), None, Region(mask, "dark")):
        stylizer._lock = Interrupted(lambda region=region: stylizer.set_region(region))  # type: ignore[assignment]
        assert luma(stylizer(tiny.flat(100))) in (PLAIN, BRIGHT, DARK)


class Interrupted:
    """A lock before whose first use another thread gets its turn."""

    def __init__(self, act: Callable[[], Any]) -> None:
        self._acts = [act]
        self._lock = threading.Lock()

    def __enter__(self) -> None:
        if self._acts:
            self._acts.pop()()
        self._lock.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()


# ---- bypass ----


def test_bypass_lets_the_input_through_untouched(adding: Make, tiny: ModuleType) -> None:
    stylizer, frame = adding("bright"), tiny.flat(100)
    stylizer.bypass = True
    assert stylizer(frame) is frame
    stylizer.bypass = False
    assert luma(stylizer(frame)) == BRIGHT


def test_after_bypass_nothing_is_left_of_the_time_before(adding: Make, tiny: ModuleType) -> None:
    def grainy(seed: int) -> Frame:
        noise = np.random.default_rng(seed).integers(-2, 3, (64, 96))
        y, u, v = tiny.frame().planes
        return replace(tiny.frame(), planes=((y + noise).astype(np.uint8), u, v))

    stylizer = adding("plain", steadiness=1.0)
    stylizer(grainy(1))
    stylizer.bypass = True
    stylizer(grainy(2))
    stylizer.bypass = False
    assert tiny.difference(stylizer(grainy(3)), grainy(3)) == 0
    assert tiny.difference(stylizer(grainy(4)), grainy(4)) > 0, "without a pause there is history"


def test_forget_makes_the_next_frame_the_first(adding: Make, tiny: ModuleType) -> None:
    stylizer = adding("plain", steadiness=1.0)
    stylizer(tiny.flat(100))
    stylizer.forget()
    assert luma(stylizer(tiny.flat(104))) == 104


# ---- regions ----


@pytest.mark.parametrize(("style", "inside"), [("dark", DARK), ("dark:1,bright:1", PLAIN), (None, PLAIN)])
def test_a_region_has_a_style_of_its_own_until_it_ends(
    adding: Make, tiny: ModuleType, style: str | None, inside: int
) -> None:
    stylizer = adding("bright")
    stylizer.set_region(Region(half_mask(), style))
    picture = stylizer(tiny.flat(100)).planes[0]
    assert (picture[:, :40] == BRIGHT).all()
    assert (picture[:, 56:] == inside).all()
    stylizer.set_region(None)
    assert luma(stylizer(tiny.flat(100))) == BRIGHT


def test_a_mask_may_change_with_every_frame(adding: Make, tiny: ModuleType) -> None:
    stylizer = adding("plain")
    for mask, expected in ((half_mask(), (PLAIN, BRIGHT)), (1 - half_mask(), (BRIGHT, PLAIN))):
        stylizer.set_region(Region(mask, "bright"))
        picture = stylizer(tiny.flat(100)).planes[0]
        assert (picture[30, 8], picture[30, 88]) == expected


# ---- streams that change ----


@pytest.mark.parametrize("change", [{"size": (50, 37)}, {"size": (50, 37), "color": Color(6, 6, 6, 2)}])
def test_size_and_color_may_change_in_mid_stream(adding: Make, tiny: ModuleType, change: dict[str, Any]) -> None:
    stylizer = adding("bright", steadiness=1.0)
    for index in range(2):
        stylizer(tiny.flat(60, index=index))
    frame = tiny.frame(**change)
    painted = stylizer(frame)
    assert (painted.size, painted.color) == (frame.size, frame.color)
    assert [p.shape for p in painted.planes] == [p.shape for p in frame.planes]
    assert tiny.difference(painted, adding("bright")(frame)) == 0
    assert luma(stylizer(tiny.flat(100))) == BRIGHT


def test_the_color_is_that_of_the_frame_not_of_the_first(adding: Make, tiny: ModuleType) -> None:
    stylizer = adding("bright")
    lumas = [luma(stylizer(tiny.flat(100, color=color))) for color in (tiny.LIMITED, tiny.FULL)]
    assert lumas == [100 + round(0.25 * 109.5), 100 + round(0.25 * 127.5)]


def test_stages_are_timed_in_their_order(adding: Make, tiny: ModuleType) -> None:
    stylizer = adding()
    stylizer(tiny.flat(100))
    assert list(stylizer.stages.milliseconds()) == ["upload", "motion", "net", "blend", "finish"]


# ---- RGB ----


@pytest.mark.parametrize("size", [(96, 64), (33, 17), (1, 1)])
def test_an_rgb_picture_comes_back_in_its_shape(adding: Make, size: tuple[int, int]) -> None:
    rgb = np.zeros((size[1], size[0], 3), np.uint8)
    rgb[:] = (200, 120, 60)
    painted = adding("plain").paint(rgb)
    assert (painted.shape, painted.dtype) == (rgb.shape, np.uint8)
    assert np.abs(painted.astype(int) - rgb).max() <= 4


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
    ids=["gray", "rgba", "float", "empty"],
)
def test_what_is_no_rgb_picture_is_refused(adding: Make, array: Any) -> None:
    with pytest.raises(ConfigError, match=r"uint8 \(H, W, 3\)"):
        adding().paint(array)


# ---- the shipped bundle ----


@pytest.fixture(scope="module")
def paint() -> Callable[..., list[Frame]]:
    def run(frames: list[Frame], style: str | None = None, **more: Any) -> list[Frame]:
        stylizer = Stylizer(style, **more)
        return [stylizer(frame) for frame in frames]

    return run


def test_strength_0_is_exactly_the_input(paint: Any, tiny: ModuleType) -> None:
    frames = [tiny.frame(SIZE, seed) for seed in range(2)]
    for painted, frame in zip(paint(frames, strength=0.0), frames, strict=True):
        assert tiny.difference(painted, frame) == 0


def test_every_style_paints_and_no_two_alike(tiny: ModuleType) -> None:
    frame = tiny.frame(SIZE)
    stylizer = Stylizer(strength=1.0, steadiness=0.0)
    pictures = [frame]
    for name in stylizer.bank.names():
        stylizer.set_style(name)
        painted = stylizer(frame)
        assert painted.planes[0].std() > 5, "flat or black"
        for other in pictures:
            assert mean_difference(painted, other) > 2
        pictures.append(painted)


def test_two_runs_give_identical_frames(tiny: ModuleType) -> None:
    def run() -> list[Frame]:
        stylizer = Stylizer(steadiness=1.0)
        stylizer.set_style(stylizer.bank.names()[-1], fade_frames=3)
        return [stylizer(tiny.frame(SIZE, seed // 2)) for seed in range(5)]

    for one, other in zip(run(), run(), strict=True):
        assert tiny.difference(one, other) == 0


def test_a_still_scene_comes_to_rest(paint: Any, tiny: ModuleType) -> None:
    *_, one, two = paint([tiny.frame(SIZE)] * 8, steadiness=1.0)
    assert mean_difference(one, two) < 0.1


def test_noise_is_steadied(paint: Any, tiny: ModuleType) -> None:
    still = tiny.frame(SIZE)
    rng = np.random.default_rng(0)
    noisy = np.clip(still.planes[0] + rng.normal(0, 3, (8, 64, 96)), 16, 235).astype(np.uint8)
    frames = [replace(still, planes=(luma, *still.planes[1:])) for luma in noisy]

    def flicker(steadiness: float) -> float:
        painted = paint(frames, steadiness=steadiness)[3:]
        return float(np.mean([mean_difference(a, b) for a, b in pairwise(painted)]))

    assert flicker(1.0) < 0.5 * flicker(0.0)


def test_after_a_cut_the_first_frame_is_as_if_there_were_no_history(paint: Any, tiny: ModuleType) -> None:
    before, after = tiny.frame(SIZE, 1), tiny.frame(SIZE, 2)
    cut = paint([before] * 3 + [after], steadiness=1.0)[-1]
    (fresh,) = paint([after], steadiness=1.0)
    assert mean_difference(cut, fresh) < 0.15 * mean_difference(cut, paint([before])[0])
    assert mean_difference(cut, fresh) < 4
