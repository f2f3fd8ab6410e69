from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from allaprima.bench import clips, moving
from allaprima.bench.painted import MOVED_LEVELS


def test_a_clip_moves_from_frame_to_frame(tmp_path: Path) -> None:
    clip = moving.clip(tmp_path, (160, 90))
    looks = [frame.planes[0].astype(int) for frame in clips.frames_of(clip)]
    assert len(looks) == moving.length((160, 90)) == moving.MOST_FRAMES
    assert min(np.abs(b - a).mean() for a, b in pairwise(looks)) > MOVED_LEVELS / 4


def test_what_is_too_large_to_draw_is_enlarged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(moving, "DRAWN", (64, 48))
    monkeypatch.setattr(moving, "MOST_FRAMES", 5)
    monkeypatch.setattr(moving, "LEAST_FRAMES", 3)
    clip = moving.clip(tmp_path, (130, 98))
    stamp = clip.stat().st_mtime_ns
    assert moving.clip(tmp_path, (130, 98)) == clip
    assert clip.stat().st_mtime_ns == stamp
    small = clips.frames_of(moving.clip(tmp_path, (64, 48)))
    large = clips.frames_of(clip)
    assert [frame.size for frame in large] == [(130, 98)] * 5
    for a, b in zip(small, large, strict=True):
        again = moving.enlarged(b, (64, 48))
        assert np.abs(again.planes[0].astype(int) - a.planes[0]).mean() < 6


def test_large_clips_have_fewer_frames() -> None:
    lengths = [moving.length(size) for size in ((640, 360), (1280, 720), (1920, 1080), (3840, 2160))]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[-1] == moving.LEAST_FRAMES


def test_frames_go_to_and_fro() -> None:
    swing = moving.swing(["a", "b", "c"])  # type: ignore[list-item]
    assert "".join(str(next(swing)) for _ in range(9)) == "abcbabcba"
    one = moving.swing(["a"])  # type: ignore[list-item]
    assert [next(one) for _ in range(3)] == ["a"] * 3
