from pathlib import Path

import av
import numpy as np
import pytest

from allaprima.bench import clips

SIZE = (64, 48)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clips.render(tmp_path_factory.mktemp("clips"), SIZE, 8)


def test_a_clip_is_rendered_once(clip: Path) -> None:
    stamp = clip.stat().st_mtime_ns
    assert clips.render(clip.parent, SIZE, 8) == clip
    assert clip.stat().st_mtime_ns == stamp
    assert len(clips.frames_of(clip)) == 8
    assert len(clips.frames_of(clip, 3)) == 3


def test_a_clip_is_repeated_to_any_length(clip: Path, tmp_path: Path) -> None:
    long = clips.repeat(clip, 19, tmp_path)
    with av.open(str(long)) as container:
        stamps = [float(picture.pts * picture.time_base) for picture in container.decode(video=0)]
    assert len(stamps) == 19
    assert np.allclose(np.diff(stamps), 1 / 30)
