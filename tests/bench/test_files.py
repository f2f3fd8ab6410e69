"""The real command on a real file: what it tells is gathered rightly; never how large a time is."""

import shutil
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from allaprima.bench import clips, command, files
from allaprima.bench.painted import NotPainted

SIZE = (64, 48)
FLAGS = ("--style", "bright", "--backend", "cpu")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return clips.render(tmp_path_factory.mktemp("clips"), SIZE, 90)


def watched(frames: int, seconds: float = 10.0, cpu: float = 6.0) -> command.Watched:
    answer = {"frames": frames, "seconds": 3.0, "first_frame_seconds": 1.0, "fps": 3.6}
    answer |= {"stage_ms": {"decode": 1.0, "net": 50.0, "encode": 2.0}}
    return command.Watched(seconds, answer, 300_000_000, (), cpu, 0.0)


def test_steady_speed_and_first_frame_leave_out_each_other() -> None:
    run = watched(11)
    assert run.steady_fps == pytest.approx(5)
    assert files.first_frame(run) == pytest.approx(8)


def test_the_command_paints_the_file(clip: Path, tmp_path: Path, tiny_bundle: Path) -> None:
    done = files.files(clip, tmp_path, (*FLAGS, "--bundle", str(tiny_bundle)), "f32", 0.3, 1)
    assert len(done.fps) == 1
    assert done.fps[0] > 0
    assert done.frames >= 4
    assert set(done.stages) == {"decode", "encode"}
    assert done.first_frame[0] > 0
    assert done.first_start > 0
    assert done.peak_mb is None or done.peak_mb > 10
    assert list((tmp_path / "empty-cache").rglob("*"))  # the first start ever has left something there


def test_frames_and_work_are_those_beyond_the_start(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[int, Path | None]] = []

    def paint(source: str, output: str, *flags: str, cache: Path | None, precision: str) -> command.Watched:
        frames = int(flags[flags.index("--frames") + 1])
        calls.append((frames, cache))
        _negative(source, output, frames)
        return watched(frames, cpu=1.0 + 0.1 * frames)

    monkeypatch.setattr(command, "paint", paint)
    done = files.files(clip, tmp_path, FLAGS, "f32", 24.0, 2)
    short = files.SHORT
    assert calls == [(short, tmp_path / "empty-cache"), (short, None), (13, None), (13, None)]  # 1 fps for 12 s
    assert done.frames == 12
    assert done.fps == [6.0, 6.0]
    assert done.core_ms == pytest.approx([100, 100])
    assert done.stages == {"decode": [1.0, 1.0], "encode": [2.0, 2.0]}


def test_a_quick_machine_gets_the_clip_again_and_again(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lengths: list[int] = []

    def paint(source: str, output: str, *flags: str, **_: Any) -> command.Watched:
        frames = int(flags[-1])
        lengths.append(len(clips.frames_of(source)))
        _negative(source, output, frames)
        return watched(frames)

    monkeypatch.setattr(command, "paint", paint)
    assert files.files(clip, tmp_path, (), "f32", 100.0, 1).frames == 100
    assert lengths == [90, 101, 101]


def test_a_copy_of_the_input_has_no_speed(clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def paint(source: str, output: str, *flags: str, **_: Any) -> command.Watched:
        shutil.copy(clips.repeat(clip, int(flags[-1]), tmp_path), output)
        return watched(int(flags[-1]))

    monkeypatch.setattr(command, "paint", paint)
    with pytest.raises(NotPainted, match="is the input"):
        files.files(clip, tmp_path, (), "f32", 1.0, 1)


def _negative(source: str, output: str, frames: int) -> None:
    """As if it were painted."""
    with av.open(source) as given, av.open(output, "w") as made:
        stream: Any = made.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
        for index, picture in enumerate(given.decode(video=0)):
            if index == frames:
                break
            gray = picture.reformat(format="gray").to_ndarray()
            made.mux(stream.encode(av.VideoFrame.from_ndarray(np.asarray(255 - gray, np.uint8), format="gray")))
        made.mux(stream.encode(None))
