"""A style file that is written again while a stream paints with it: what `allaprima-train add-style` does."""

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from allaprima.realtime import stylebank
from allaprima.realtime import stylizer as stylizer_module
from allaprima.realtime.bundle import Bundle
from allaprima.realtime.stylizer import NEWER_FADE_FRAMES, Stylizer

PLAIN, BRIGHT, DARK = 100, 127, 73
"""What the tiny bundle's styles make of a luma of 100 at full strength."""

Make = Callable[..., Stylizer]


@pytest.fixture
def follows(own_bundle: Path, exact: None, monkeypatch: pytest.MonkeyPatch) -> Make:
    """As ``adding``, of a bundle of its own whose files are looked at with every frame."""
    monkeypatch.setattr(stylizer_module, "RESCAN", 0)
    monkeypatch.setattr(stylebank, "RESCAN", 0)
    return lambda style, **more: Stylizer(style, bundle=own_bundle, **more)


@pytest.fixture
def rewrite(tiny: ModuleType, own_bundle: Path) -> Callable[..., Path]:
    """Writes a style's file again; it is a second younger each time, however fast the test is."""

    def write(name: str, luma: float, **card: Any) -> Path:
        file = own_bundle / f"styles/{name}.safetensors"
        written[name] = written.get(name, file.stat().st_mtime_ns) + 1_000_000_000
        found: Path = tiny.add_style(own_bundle, name, luma, **card)
        os.utime(found, ns=(written[name],) * 2)
        return found

    written: dict[str, int] = {}
    return write


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the style files that were read, as they are."""
    found: list[str] = []
    load = Bundle.load_style
    monkeypatch.setattr(Bundle, "load_style", lambda self, file: found.append(file.stem) or load(self, file))
    return found


def next_lumas(stylizer: Stylizer, tiny: ModuleType, count: int) -> list[int]:
    """The luma of the next frames, each of which is flat."""
    return [int(np.unique(stylizer(tiny.flat(100)).planes[0]).item()) for _ in range(count)]


def test_a_style_that_is_written_again_fades_in(follows: Make, rewrite: Any, tiny: ModuleType) -> None:
    stylizer = follows("bright")
    assert next_lumas(stylizer, tiny, 3) == [BRIGHT] * 3
    rewrite("bright", -0.25)
    found = next_lumas(stylizer, tiny, NEWER_FADE_FRAMES + 3)
    shares = [min(1, number / NEWER_FADE_FRAMES) for number in range(1, len(found) + 1)]
    assert found == pytest.approx([BRIGHT + share * (DARK - BRIGHT) for share in shares], abs=1)
    assert found[NEWER_FADE_FRAMES - 2] > DARK
    assert found[NEWER_FADE_FRAMES - 1 :] == [DARK] * 4
    assert str(stylizer.style) == "bright"


def test_files_are_looked_at_twice_a_second_and_not_with_every_frame(
    own_bundle: Path, exact: None, rewrite: Any, tiny: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [50.0]
    monkeypatch.setattr(stylizer_module, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(stylizer_module, "NEWER_FADE_FRAMES", 1)
    stylizer = Stylizer("bright", bundle=own_bundle)
    found = []
    for at, shift in ((50.0, 0.25), (50.4, -0.25), (50.6, -0.25), (51.0, 0.0), (51.2, 0.0)):
        clock[0] = at
        rewrite("bright", shift)
        found += next_lumas(stylizer, tiny, 2)
    assert found == [BRIGHT] * 4 + [DARK] * 4 + [PLAIN] * 2


def test_every_style_of_a_mix_is_followed_and_none_that_is_not_painted(
    follows: Make, rewrite: Any, reads: list[str], tiny: ModuleType
) -> None:
    stylizer = follows("plain:1,bright:1")
    before = next_lumas(stylizer, tiny, 1)
    reads.clear()
    rewrite("dark", 0.5)
    assert (next_lumas(stylizer, tiny, 3), reads) == (before * 3, [])
    rewrite("plain", 0.25)
    assert next_lumas(stylizer, tiny, NEWER_FADE_FRAMES)[-1] == BRIGHT
    assert reads == ["plain"]


def test_a_style_that_was_swapped_away_is_no_longer_followed(follows: Make, rewrite: Any, tiny: ModuleType) -> None:
    stylizer = follows("bright")
    next_lumas(stylizer, tiny, 1)
    stylizer.set_style("dark")
    rewrite("bright", 0.0)
    assert next_lumas(stylizer, tiny, 3) == [DARK] * 3
    rewrite("dark", 0.0)
    assert next_lumas(stylizer, tiny, NEWER_FADE_FRAMES)[-1] == PLAIN


def test_a_file_that_stays_as_it_is_is_read_once(follows: Make, reads: list[str], tiny: ModuleType) -> None:
    stylizer = follows("bright:1,dark:1")
    next_lumas(stylizer, tiny, 5)
    assert reads == ["bright", "dark"]


def damaged(file: Path, rewrite: Any, how: str) -> None:
    """Every way has to be seen as a change: the file's size or its time is another."""
    if how == "gone":
        file.unlink()
    elif how == "torn":
        file.write_bytes(file.read_bytes()[:-7])
    elif how == "foreign":
        rewrite("bright", -0.25, generator="0" * 32)


@pytest.mark.parametrize("how", ["gone", "torn", "foreign"])
def test_a_file_that_is_damaged_or_gone_leaves_the_stream_as_it_was(
    follows: Make, rewrite: Any, reads: list[str], tiny: ModuleType, own_bundle: Path, how: str
) -> None:
    stylizer = follows("bright")
    next_lumas(stylizer, tiny, 1)
    reads.clear()
    damaged(own_bundle / "styles/bright.safetensors", rewrite, how)
    assert next_lumas(stylizer, tiny, NEWER_FADE_FRAMES + 1) == [BRIGHT] * (NEWER_FADE_FRAMES + 1)
    assert reads == ([] if how == "gone" else ["bright"]), "tried once, not with every frame"
    assert str(stylizer.style) == "bright"
    stylizer.set_style("dark")
    assert next_lumas(stylizer, tiny, 1) == [DARK]


@pytest.mark.parametrize("how", ["torn", "foreign", "gone"])
def test_a_file_that_was_damaged_or_gone_is_followed_again_when_it_is_whole(
    follows: Make, rewrite: Any, tiny: ModuleType, own_bundle: Path, how: str
) -> None:
    stylizer = follows("bright")
    next_lumas(stylizer, tiny, 1)
    file = own_bundle / "styles/bright.safetensors"
    whole = file.read_bytes()
    damaged(file, rewrite, how)
    next_lumas(stylizer, tiny, 2)
    file.write_bytes(whole)
    rewrite("bright", -0.25)
    assert next_lumas(stylizer, tiny, NEWER_FADE_FRAMES)[-1] == DARK


def test_a_users_style_that_hides_the_one_in_use_is_followed(
    follows: Make, tiny: ModuleType, own_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What `add-style --overwrite` does with the name of a shipped style."""
    monkeypatch.setenv("ALLAPRIMA_HOME", str(tmp_path / "home"))
    stylizer = follows("bright")
    next_lumas(stylizer, tiny, 1)
    mine = stylizer.bundle.user_styles
    mine.mkdir(parents=True)
    tiny.add_style(own_bundle, "other", -0.25).rename(mine / "bright.safetensors")
    assert next_lumas(stylizer, tiny, NEWER_FADE_FRAMES)[-1] == DARK


class Meanwhile:
    """Lets something happen in another thread just after the filters were read."""

    def __init__(self, stylizer: Stylizer, act: Callable[[], Any]) -> None:
        self._acts, self._resolve = [act], stylizer.bank.resolve
        stylizer.bank.resolve = self  # type: ignore[method-assign, assignment]

    def __call__(self, style: Any) -> Any:
        found = self._resolve(style)
        if self._acts:
            self._acts.pop()()
        return found


def test_a_swap_while_the_file_is_read_is_not_lost(follows: Make, rewrite: Any, tiny: ModuleType) -> None:
    stylizer = follows("bright")
    next_lumas(stylizer, tiny, 1)
    rewrite("bright", 0.0)
    Meanwhile(stylizer, lambda: stylizer.set_style("dark"))
    assert next_lumas(stylizer, tiny, NEWER_FADE_FRAMES)[-1] == DARK
    assert str(stylizer.style) == "dark"


def test_a_version_that_is_written_while_the_one_before_is_read_is_not_missed(
    follows: Make, rewrite: Any, tiny: ModuleType
) -> None:
    stylizer = follows("bright")
    next_lumas(stylizer, tiny, 1)
    rewrite("bright", 0.0)
    Meanwhile(stylizer, lambda: rewrite("bright", -0.25))
    assert next_lumas(stylizer, tiny, 2 * NEWER_FADE_FRAMES)[-1] == DARK
