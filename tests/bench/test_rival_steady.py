"""Ours as contenders; and what is held steady by hand is warped, mixed, and dropped where flow cannot be right."""

from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from allaprima.bench import rival_steady
from allaprima.bench.contender import Footage, Ours, Ready, timed, to_and_fro
from allaprima.bench.painted import NotPainted
from allaprima.bench.rival_steady import HISTORY, ByHand, stylizer_of
from allaprima.realtime.backends.cpu import best_precision
from allaprima.realtime.stylizer import Stylizer

SIZE = (64, 48)


@pytest.fixture(scope="module")
def footage(tmp_path_factory: pytest.TempPathFactory, tiny_bundle: Path) -> Footage:
    return Footage.render(tmp_path_factory.mktemp("footage"), SIZE, Ours("cpu", "bright", str(tiny_bundle)))


def test_nets_alone_paint_each_frame_by_itself(footage: Footage) -> None:
    ready, alone = rival_steady.nets(footage), stylizer_of(footage, steadiness=0)
    for index in (0, 3, 5, 3):
        made: Any = ready.step(index)
        wanted = alone(footage.frames[index]).landed()
        assert all(np.array_equal(a, b) for a, b in zip(made.planes, wanted.planes, strict=True))
    assert ready.about == f"cpu, {best_precision()}"


def test_what_is_besides_the_nets_is_less_than_the_engine(footage: Footage) -> None:
    ready, indices = rival_steady.temporal(footage), to_and_fro(8)
    spared = ready.spared()
    assert spared > 0
    assert timed(ready, indices, 0.05) > 0
    assert ready.spared() > spared, "nets run while it is timed, and do not count"


def test_an_engine_that_does_not_paint_is_no_contender(tmp_path: Path, tiny_bundle: Path) -> None:
    footage = Footage.render(tmp_path, SIZE, Ours("cpu", "plain", str(tiny_bundle)))
    with pytest.raises(NotPainted, match="is the input"):
        rival_steady.engine(footage)


def test_we_paint_as_the_folder_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default is the user's default too."""
    used: list[str] = []
    monkeypatch.setattr(rival_steady.precision, "use", used.append)
    footage = Footage.render(tmp_path, SIZE)
    assert str(stylizer_of(footage).style) == str(Stylizer().style)
    assert stylizer_of(footage).steadiness == Stylizer().steadiness
    assert used == []
    (tmp_path / "ours.json").write_text('{"style": "udnie:0.5,the-kiss:0.5", "precision": "f32"}')
    assert str(stylizer_of(footage).style) == "udnie:0.5,the-kiss:0.5"
    assert used == ["f32"]


def test_on_a_card_no_part_is_timed(footage: Footage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Stylizer, "device", "card")
    with pytest.raises(rival_steady.CannotRun, match="one launch"):
        rival_steady.temporal(footage)


# ---- by hand ----


def rgb(tiny: ModuleType, seed: int = 0) -> Any:
    return np.dstack([tiny.texture((96, 64), seed + channel) for channel in range(3)])


def test_what_rests_is_mixed_with_what_was_shown(tiny: ModuleType) -> None:
    hold, given = ByHand(), rgb(tiny)
    first, second = np.full_like(given, 200), np.full_like(given, 100)
    assert np.array_equal(hold(given, first), first)
    shown = hold(given, second)
    assert np.abs(shown - (HISTORY * 200 + (1 - HISTORY) * 100)).max() <= 1
    assert np.abs(hold(given, second) - (HISTORY * 180 + (1 - HISTORY) * 100)).max() <= 2, "history is what was shown"


def test_history_goes_along_with_what_moves(tiny: ModuleType) -> None:
    wide = rgb(tiny, 5)
    before, now = (np.ascontiguousarray(wide[:, start : start + 88]) for start in (0, 3))
    hold = ByHand()
    hold(before, before)
    shown = hold(now, np.full_like(now, 128))[8:-8, 8:-16].astype(float)
    carried = HISTORY * now[8:-8, 8:-16] + (1 - HISTORY) * 128
    stayed = HISTORY * before[8:-8, 8:-16] + (1 - HISTORY) * 128
    assert np.abs(shown - carried).mean() < 0.25 * np.abs(shown - stayed).mean()


def test_a_cut_is_mostly_seen(tiny: ModuleType) -> None:
    hold, (one, other) = ByHand(), (rgb(tiny, 1), rgb(tiny, 50))
    hold(one, np.full_like(one, 0))
    shown = hold(other, np.full_like(one, 255))
    assert (shown == 255).mean() > 0.5


def test_frames_of_our_nets_are_held(footage: Footage) -> None:
    ready = rival_steady.by_hand(footage)
    painted = [stylizer_of(footage, steadiness=0).paint(picture) for picture in footage.rgb[:2]]
    assert np.array_equal(ready.step(0), painted[0])
    assert not np.array_equal(ready.step(1), painted[1])


def test_the_whole_by_hand_holds_what_the_network_paints(footage: Footage, monkeypatch: pytest.MonkeyPatch) -> None:
    net = Ready(lambda index: np.full((48, 64, 3), 100 * index, np.uint8), "a net")
    monkeypatch.setattr(rival_steady.rival_nets, "openvino", lambda footage: net)
    ready = rival_steady.whole_by_hand(footage)
    assert ready.about.startswith("a net; OpenCV ")
    assert np.asarray(ready.step(0)).max() == 0
    assert 0 < np.asarray(ready.step(1)).mean() < 100
