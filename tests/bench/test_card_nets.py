"""On the emulated card: the same nets as the engine's there."""

from pathlib import Path
from types import ModuleType

import pytest

from allaprima.bench import engine
from allaprima.bench.painted import NotPainted
from allaprima.realtime.stylizer import Stylizer

from ..realtime.backends.cuda_rig import card


def test_the_nets_are_timed_on_a_card(tiny: ModuleType, tiny_bundle: Path) -> None:
    frames = [tiny.frame((48, 32), seed) for seed in range(3)]
    with card():
        (trial,) = engine.nets(Stylizer("bright", bundle=tiny_bundle, backend="cuda"), frames, "cuda", 0.0, 1)
        assert trial.frames >= engine.LEAST
        assert 0 < trial.stages[engine.NET] <= trial.ms
        with pytest.raises(NotPainted, match="is the input"):
            engine.nets(Stylizer("plain", bundle=tiny_bundle, backend="cuda"), frames, "cuda", 0.0, 1)


def test_the_engine_on_a_card_tells_no_stages(tiny: ModuleType, tiny_bundle: Path) -> None:
    frames = [tiny.frame((48, 32), seed) for seed in range(3)]
    with card():
        stylizer = Stylizer("bright", bundle=tiny_bundle, backend="cuda")
        (trial,) = engine.engine(stylizer, frames, 0.0, 1)
        assert stylizer.device == "cuda"
        assert trial.stages == {}
