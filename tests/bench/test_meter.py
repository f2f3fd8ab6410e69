"""The engine's own flicker meter against the bench's figure, which sees the true motion and every pixel."""

import numpy as np
import pytest

from allaprima.bench.footage import pictures, scene_footage
from allaprima.bench.stability import mean_e_warp
from allaprima.realtime.stylizer import Stylizer

SIZE = (320, 180)


def test_the_meter_ranks_restlessness_as_the_bench_does() -> None:
    """Three scenes, each hardly held, held a little, and held: nine figures of each kind."""
    told, measured = [], []
    for scene in ("landscape", "cut", "still-noise"):
        footage = scene_footage(scene, SIZE, 12)
        for steadiness in (0.01, 0.3, 0.85):
            stylizer = Stylizer("starry-night", steadiness=steadiness)
            shown = pictures([stylizer(frame) for frame in footage.frames])
            told.append(stylizer.flicker.overall)
            measured.append(mean_e_warp(shown, footage) ** 0.5)
    ranks = [np.argsort(np.argsort(values)) for values in (told, measured)]
    assert np.corrcoef(ranks)[0, 1] > 0.85
    assert told == pytest.approx(measured, rel=0.6), "luma at a quarter of the size: the same order of size"
