from pathlib import Path
from types import ModuleType

import pytest

from allaprima.bench import beside
from allaprima.bench.painted import NotPainted

SIZE = (160, 96)


def test_what_is_held_differs_from_painting_frame_by_frame(tiny: ModuleType, own_bundle: Path) -> None:
    tiny.add_style(own_bundle, "held", 0.25, steadiness=0.85)
    held = beside.beside(SIZE, "held", "cpu", own_bundle, frames=6)
    assert 0 < held["flicker"] < 2
    assert held["flicker"] != 1
    assert 0.5 < held["sharpness"] < 1.5
    alone = beside.beside(SIZE, "bright", "cpu", own_bundle, frames=4)  # of steadiness 0
    assert alone == {"flicker": 1.0, "sharpness": 1.0}


def test_nothing_stands_beside_what_is_not_painted(own_bundle: Path) -> None:
    with pytest.raises(NotPainted):
        beside.beside(SIZE, "plain", "cpu", own_bundle, frames=2)
