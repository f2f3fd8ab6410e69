from types import ModuleType

import pytest

from allaprima.bench.clock import Clock


def test_frames_come_to_and_fro_at_their_times(tiny: ModuleType) -> None:
    frames = [tiny.frame(seed=seed) for seed in range(3)]
    source = Clock(frames, 100, 0.07)
    with source:
        found = list(source)
    assert [frame.index for frame in found] == list(range(7))
    assert found[-1].captured - found[0].captured >= 0.055
    order = [next(i for i in range(3) if frame.planes[0] is frames[i].planes[0]) for frame in found]
    assert order == [0, 1, 2, 1, 0, 1, 2]
    assert source.info.live
    assert source.info.rate == pytest.approx(100)


def test_it_ends_when_it_is_told(tiny: ModuleType) -> None:
    source = Clock([tiny.frame()], 1, 3600)
    with source:
        frames = iter(source)
        next(frames)
        source.stop()
        assert next(frames, None) is None
