"""Styles at run time: names, mixes, cross-fades, and files that come and go."""

import os
import re
import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from allaprima.realtime import stylebank
from allaprima.realtime.bundle import Bundle, Filters, shipped_bundle
from allaprima.realtime.errors import BundleError, ConfigError, UnknownStyle
from allaprima.realtime.stylebank import Fade, Mix, StyleBank, Vector, closest


@pytest.fixture
def bank(tiny_bundle: Path) -> StyleBank:
    return StyleBank(Bundle(tiny_bundle))


@pytest.fixture
def own_bank(own_bundle: Path) -> StyleBank:
    return StyleBank(Bundle(own_bundle))


# ---- mixes ----


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("dusk", {"dusk": 1}),
        ("dusk:0.2", {"dusk": 1}),
        (" dusk : 3 , dawn:1 ", None),
        ("dusk:3, dawn:1", {"dusk": 0.75, "dawn": 0.25}),
        ("dusk,dawn", {"dusk": 0.5, "dawn": 0.5}),
        ("dusk:1,dawn:2,dusk:1", {"dusk": 0.5, "dawn": 0.5}),
        ("dusk:1,dawn:0", {"dusk": 1}),
        ("dusk:1e-3", {"dusk": 1}),
    ],
)
def test_a_mix_is_read_and_its_weights_sum_to_one(text: str, weights: dict[str, float] | None) -> None:
    mix = Mix.parse(text)
    assert sum(weight for _, weight in mix.weights) == pytest.approx(1)
    if weights is not None:
        assert dict(mix.weights) == pytest.approx(weights)


@pytest.mark.parametrize(
    "text", ["", " ", ",", "a,", ":0.5", "a:", "a:x", "a:-1", "a:nan", "a:inf", "a:0", "a:0,b:0", "a:0.5:2"]
)
def test_what_is_no_mix_is_refused_with_a_hint(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Mix.parse(text)
    assert caught.value.hint


@pytest.mark.parametrize("weights", [{}, {"a": 0.0}, {"a": 2.0, "b": -1.0}, {"a": float("nan")}])
def test_weights_must_be_positive(weights: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="positive"):
        Mix.of(weights)


@pytest.mark.parametrize("text", ["dusk", "dusk:0.75,dawn:0.25"])
def test_a_mix_is_written_as_it_is_read(text: str) -> None:
    assert str(Mix.parse(text)) == text


# ---- the bank ----


def test_a_name_is_resolved_to_its_filters(bank: StyleBank) -> None:
    shift = bank.views(bank.resolve("bright"))["shift"]
    assert shift.shape == (1, 24, 1, 1)
    assert shift.ravel().tolist() == [0.25] * 16 + [0] * 8


def test_a_mix_is_the_weighted_sum_of_filters(bank: StyleBank) -> None:
    mixed = bank.resolve("bright:3,blue:1")
    expected = 0.75 * bank.resolve("bright") + 0.25 * bank.resolve("blue")
    np.testing.assert_allclose(mixed, expected, rtol=1e-6)
    assert mixed is not bank.resolve("bright:3,blue:1"), "a mix is the caller's own"


def test_a_mix_leaves_its_styles_as_they_were(bank: StyleBank) -> None:
    before = bank.resolve("bright").copy()
    bank.resolve("bright:0.5,dark:0.5")
    np.testing.assert_array_equal(bank.resolve("bright"), before)


def test_views_of_a_vector_are_the_filters_of_the_file_without_a_copy() -> None:
    bank = StyleBank(Bundle(shipped_bundle()))
    name = bank.names()[0]
    vector = bank.resolve(name)
    views = bank.views(vector)
    _, filters = bank.bundle.load_style(bank.bundle.style_files()[name])
    assert views.keys() == filters.keys()
    for key, view in views.items():
        np.testing.assert_array_equal(view, filters[key])
        assert np.shares_memory(view, vector)


@pytest.mark.parametrize(
    ("wrong", "hint"),
    [("brigth", "did you mean bright?"), ("drak", "did you mean dark?"), ("zzz", "there are: .*plain")],
)
def test_an_unknown_style_suggests_the_nearest(bank: StyleBank, wrong: str, hint: str) -> None:
    with pytest.raises(UnknownStyle, match=f"no style called '{wrong}'") as caught:
        bank.resolve(f"plain:1,{wrong}:1")
    assert re.match(hint, caught.value.hint)


def test_a_name_that_begins_another_is_near_it() -> None:
    assert closest("starry", ["the-scream", "starry-night-over-the-rhone"]).endswith("rhone?")


def test_a_file_dropped_into_the_folder_can_be_painted_with_at_once(
    tiny: ModuleType, own_bundle: Path, own_bank: StyleBank
) -> None:
    own_bank.names()
    tiny.add_style(own_bundle, "fresh", 0.5)
    assert own_bank.resolve("fresh")[0] == 0.5


def test_a_new_file_is_listed_within_a_second(tiny: ModuleType, own_bundle: Path, own_bank: StyleBank) -> None:
    own_bank.names()
    tiny.add_style(own_bundle, "fresh", 0.5)
    deadline = time.monotonic() + 1
    while "fresh" not in own_bank.names():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_looking_at_the_names_does_not_read_the_disk_every_time(
    bank: StyleBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank.names()
    monkeypatch.setattr(bank.bundle.__class__, "style_files", lambda self: pytest.fail("read again"))
    bank.names()


def test_a_file_that_was_replaced_is_read_again(tiny: ModuleType, own_bundle: Path, own_bank: StyleBank) -> None:
    assert own_bank.resolve("bright")[0] == 0.25
    tiny.add_style(own_bundle, "bright", 0.75, title="brighter")
    assert own_bank.resolve("bright")[0] == 0.75
    assert own_bank.card("bright").title == "brighter"


def test_a_users_new_file_takes_the_place_of_a_shipped_style(
    tiny: ModuleType, own_bundle: Path, own_bank: StyleBank, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ALLAPRIMA_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(stylebank, "RESCAN", 0)
    own_bank.resolve("bright")
    mine = own_bank.bundle.user_styles
    mine.mkdir(parents=True)
    tiny.add_style(own_bundle, "other", 0.5).rename(mine / "bright.safetensors")
    assert own_bank.resolve("bright")[0] == 0.5


def test_a_style_whose_file_has_gone_is_unknown(own_bundle: Path, own_bank: StyleBank) -> None:
    own_bank.resolve("bright")
    (own_bundle / "styles/bright.safetensors").unlink()
    with pytest.raises(UnknownStyle, match="bright"):
        own_bank.resolve("bright")
    assert "bright" not in own_bank.names()


def test_a_damaged_style_raises_and_the_others_still_resolve(own_bundle: Path, own_bank: StyleBank) -> None:
    (own_bundle / "styles/bright.safetensors").write_bytes(b"not a style")
    with pytest.raises(BundleError, match="bright"):
        own_bank.resolve("bright:0.5,dark:0.5")
    assert own_bank.resolve("dark")[0] == -0.25


def test_a_stamp_changes_with_the_file_of_any_style_of_a_mix(
    tiny: ModuleType, own_bundle: Path, own_bank: StyleBank
) -> None:
    mixed, other = Mix.parse("bright:0.5,dark:0.5"), Mix.parse("blue")
    own_bank.names()
    before = own_bank.stamp(mixed), own_bank.stamp(other)
    written = (own_bundle / "styles/dark.safetensors").stat().st_mtime_ns
    file = tiny.add_style(own_bundle, "dark", -0.25, title="darker than ever")
    os.utime(file, ns=(0, written))
    longer = own_bank.stamp(mixed)
    os.utime(file, ns=(0, written + 1))
    later = own_bank.stamp(mixed)
    file.unlink()
    gone = own_bank.stamp(mixed)
    assert len({before[0], longer, later, gone}) == 4
    assert (own_bank.stamp(mixed), own_bank.stamp(other)) == (gone, before[1])


def test_to_stamp_a_style_nothing_is_read(own_bank: StyleBank, monkeypatch: pytest.MonkeyPatch) -> None:
    own_bank.names()
    monkeypatch.setattr(Bundle, "load_style", lambda *_: pytest.fail("read"))
    assert None not in own_bank.stamp(Mix.parse("bright,dark"))
    assert own_bank.stamp(Mix.parse("bright,zzz"))[1] is None


# ---- fades ----


@pytest.fixture
def ends(bank: StyleBank) -> tuple[Vector, Vector]:
    rng = np.random.default_rng(1)
    start, target = rng.standard_normal((2, bank.new_vector().size)).astype(np.float32)
    return start, target


def flat(filters: Filters) -> Vector:
    return filters["shift"].ravel().copy()


@pytest.mark.parametrize("frames", [0, 1])
def test_a_swap_is_whole_on_the_next_frame(bank: StyleBank, ends: tuple[Vector, Vector], frames: int) -> None:
    fade = Fade(bank, ends[0])
    np.testing.assert_array_equal(flat(fade.step()), ends[0])
    fade.to(ends[1], frames)
    np.testing.assert_array_equal(flat(fade.step()), ends[1])
    np.testing.assert_array_equal(flat(fade.step()), ends[1])


def test_a_fade_moves_evenly_and_ends_exactly(bank: StyleBank, ends: tuple[Vector, Vector]) -> None:
    start, target = ends
    fade = Fade(bank, start)
    fade.to(target, 7)
    steps = [flat(fade.step()) for _ in range(9)]
    for number, step in enumerate(steps[:7], 1):
        np.testing.assert_allclose(step, start + (target - start) * number / 7, rtol=1e-4, atol=1e-6)
    for step in steps[6:]:
        np.testing.assert_array_equal(step, target)


def test_a_new_target_in_the_middle_starts_from_where_the_filters_are(
    bank: StyleBank, ends: tuple[Vector, Vector]
) -> None:
    start, target = ends
    fade = Fade(bank, start)
    fade.to(target, 4)
    fade.step()
    middle = flat(fade.step())
    fade.to(start, 2)
    np.testing.assert_allclose(flat(fade.step()), (middle + start) / 2, atol=1e-6)
    np.testing.assert_array_equal(flat(fade.step()), start)


def test_a_fade_allocates_nothing_and_never_writes_into_a_style(bank: StyleBank, ends: tuple[Vector, Vector]) -> None:
    start, target = (vector.copy() for vector in ends)
    fade = Fade(bank, start)
    place = fade.filters["shift"].ctypes.data
    fade.to(target, 3)
    assert {fade.step()["shift"].ctypes.data for _ in range(5)} == {place}
    np.testing.assert_array_equal((start, target), ends)
