from itertools import pairwise
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from allaprima.bench import drift
from allaprima.bench.drift import Moment

SIZE = (64, 48)


def luma(frames: list) -> list[np.ndarray]:
    return [np.asarray(frame.planes[0], np.int16) for frame in frames]


def test_the_swing_goes_on_without_a_jump_and_without_rest() -> None:
    seen = luma(drift.swing(SIZE) * 2)
    assert len(seen) == 60
    steps = [float(np.abs(a - b).mean()) for a, b in pairwise(seen)]
    assert min(steps) > 0
    assert max(steps) < 3 * float(np.mean(steps))


def test_a_moment_is_of_the_difference_to_per_frame_painting() -> None:
    rng = np.random.default_rng(3)
    alone = [rng.random((48, 64, 3)).astype(np.float32) for _ in range(2)]
    moment = Moment.of(5, [picture / 2 + 0.5 for picture in alone], alone)
    assert moment.second == 5
    assert moment.sharpness == pytest.approx(0.25, rel=1e-3), "the square of the contrast"
    assert moment.brightness == pytest.approx(0.25, abs=0.01)
    assert moment.distance == pytest.approx(0.25, abs=0.01)
    assert moment.stripes == pytest.approx(0.25, rel=0.01), "the square of the contrast, too"
    assert moment.blobs == pytest.approx(0.5, abs=0.1)


def test_change_is_from_the_first_moment_to_the_last() -> None:
    first, last = Moment(1, 0.8, 0.01, 0.02, 1, 1), Moment(60, 0.6, -0.01, 0.05, 2, 2)
    found = drift.change([first, Moment(9, 3, 1, 1, 1, 1), last])
    assert found == pytest.approx({"sharpness": -0.25, "brightness": -0.02, "distance": 0.03})


def test_what_has_no_history_does_not_drift(tiny_bundle: Path) -> None:
    found = list(drift.measure([2, 1], "bright", tiny_bundle, SIZE))
    assert [moment.second for moment in found] == [1, 2]
    assert found[0].sharpness == 1
    figures = {"sharpness": 1, "brightness": 0, "distance": 0, "stripes": 1, "blobs": 1}
    assert found[0].as_json() == {"second": 1, **figures}
    assert set(drift.change(found).values()) == {0}


def test_history_is_seen(own_bundle: Path, tiny: ModuleType) -> None:
    tiny.add_style(own_bundle, "steady", 0.25, steadiness=1.0)
    (moment,) = drift.measure([1], "steady", own_bundle, SIZE)
    assert moment.sharpness != 1
    assert moment.distance > 0
