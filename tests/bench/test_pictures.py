"""What is painted one picture at a time, and the figures that need no judge."""

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from allaprima.bench import pictures
from allaprima.bench.painted import NotPainted
from allaprima.bench.pictures import Given, Painter
from allaprima.realtime import StreamInfo, open_sink
from allaprima.realtime.errors import ConfigError
from allaprima.realtime.frame import Frame
from allaprima.realtime.stylizer import Stylizer


def test_photos_are_chosen_evenly_and_cut_to_whole_strides(quality_data: Any) -> None:
    (first,) = pictures.photos(quality_data.folder / "content", "bsds_", 1)
    assert first.rgb.shape == (48, 64, 3)
    assert first.frame.size == (64, 48)
    both = pictures.photos(quality_data.folder / "content", "bsds_", 9)
    assert len(both) == 2, "coco_ is for training"
    assert np.array_equal(both[0].rgb, first.rgb)
    assert pictures.evenly("abcdefghij", 3) == ["a", "d", "g"]
    assert pictures.evenly("ab", 0) == []


def test_photos_of_one_size_follow_one_another(quality_data: Any) -> None:
    from .conftest import write

    write(quality_data.folder / "content/bsds_00.png", np.random.default_rng(0).integers(0, 255, (64, 40, 3)))
    sizes = [given.frame.size for given in pictures.photos(quality_data.folder / "content", "bsds_", 3)]
    assert sizes == [(40, 64), (64, 48), (64, 48)]


def test_what_is_no_photo_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no photos bsds_"):
        pictures.photos(tmp_path, "bsds_", 1)
    (tmp_path / "bsds_1.jpg").write_text("no picture")
    with pytest.raises(ConfigError, match="not a picture"):
        pictures.photos(tmp_path, "bsds_", 1)


def test_a_photo_is_made_smaller() -> None:
    given = Given.of_rgb(np.random.default_rng(0).integers(0, 255, (96, 160, 3), np.uint8))
    assert given.resized(48).frame.size == (80, 48)


def test_moments_are_spread_over_a_clip_and_the_even_ones_left_out(tmp_path: Path, tiny: ModuleType) -> None:
    frames = [tiny.frame((64, 48), index, index=index) for index in range(5)]
    frames += [tiny.flat(16, size=(64, 48), index=index) for index in range(5, 10)]
    path = tmp_path / "clip.mp4"
    with open_sink(str(path), StreamInfo("clip", (64, 48), Fraction(1, 25), Fraction(25), color=tiny.LIMITED)) as sink:
        for frame in frames:
            sink.write(frame)
    found = pictures.moments(path, 5)
    assert [like(given.frame, frames) for given in found] == [1, 3], "of 1, 3, 5, 7, 9"
    assert pictures.moments(path, 5, (1280, 720)) == []
    assert len(pictures.moments(path, 5, (64, 48))) == 2
    assert pictures.moments(path, 0) == []


def like(frame: Frame, others: list[Frame]) -> int:
    """Which one it is most like."""
    return int(np.argmin([np.abs(frame.planes[0].astype(int) - other.planes[0]).mean() for other in others]))


def test_the_painter_paints_and_what_is_not_painted_is_refused(tiny_bundle: Path, tiny: ModuleType) -> None:
    painter, given = Painter(tiny_bundle), Given.of_frame(tiny.frame((64, 48)))
    brighter = painter(given, "bright").astype(float).mean() - given.rgb.mean()
    assert brighter == pytest.approx(0.25 / 2 * 255, abs=2), "a quarter of the nets' -1..1"
    with pytest.raises(NotPainted, match="is the input"):
        painter(given, "plain")


def test_a_walk_is_measured_step_by_step() -> None:
    stations = [np.full((2, 2, 3), value, np.float32) for value in (0, 10, 30, 60)]
    even = pictures.walk("a", "b", stations)
    assert even.steps == (10, 20, 30)
    assert even.jump == pytest.approx(1.5)
    assert even.nearer
    detour = pictures.walk("a", "b", [stations[k] for k in (1, 0, 3)])
    assert not detour.nearer
    assert pictures.walk("a", "b", stations[:1] * 3).jump == 1


def test_a_mix_is_walked_in_equal_shares(quality_data: Any, tiny: ModuleType) -> None:
    painter, given = Painter(quality_data.bundle), Given.of_frame(tiny.frame((64, 48)))
    found = pictures.mixing(painter, given, "bright", "unknown")
    assert len(found.steps) == 10
    assert found.nearer
    assert found.jump < 1.5, "these styles mix linearly, but for clipping and rounding"


def test_the_auto_encoder_is_taken_before_the_engine_fades_to_the_input(
    tiny_bundle: Path, tiny: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = Given.of_frame(tiny.frame((64, 48)))
    stylizer = Stylizer("bright", bundle=tiny_bundle, steadiness=0.0)
    assert pictures.identity(stylizer, given) > 40
    used: list[float] = []

    def darker(net: Any, picture: Any, filters: Any, strength: float, region: Any) -> Any:
        used.append(strength)
        return replace(picture, planes=(picture.planes[0] - np.uint8(11), *picture.planes[1:]))

    monkeypatch.setattr("allaprima.realtime.backends.cpu.CpuNet.paint", darker)
    # 11 of 219 levels of luma are 12.8 of 255 in R, G and B.
    assert pictures.identity(stylizer, given) == pytest.approx(20 * np.log10(255 / 12.8), abs=0.3)
    assert used == [0]


def test_psnr_is_of_the_mean_square() -> None:
    black = np.zeros((4, 4, 3), np.uint8)
    assert pictures.psnr(black, black + np.uint8(255)) == pytest.approx(0)
    assert pictures.psnr(black, black + np.uint8(10)) == pytest.approx(28.13, abs=0.01)
    assert pictures.psnr(black, black) > 80
