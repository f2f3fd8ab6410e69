"""Broken files: as much as can be had, counted, never a crash."""

import os
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from allaprima.realtime.errors import SourceError
from allaprima.realtime.sources import open_source

Clip = Callable[..., str]


def noise(index: int) -> av.VideoFrame:
    picture = np.random.default_rng(index).integers(0, 255, (72, 64), np.uint8)
    return av.VideoFrame.from_ndarray(picture, "yuv420p")


def refused(uri: str) -> str:
    with pytest.raises(SourceError) as caught:
        open_source(uri)
    message = str(caught.value)
    assert "\n" not in message
    assert os.path.basename(uri) in message
    assert caught.value.hint
    return message


def cut(path: str, share: float) -> None:
    data = Path(path).read_bytes()
    Path(path).write_bytes(data[: int(len(data) * share)])


@pytest.mark.parametrize("bad", [(5,), (5, 6, 30), (59,)])
def test_broken_packets_are_counted(clip: Clip, bad: tuple[int, ...]) -> None:
    path = clip(frames=60, make=noise, options={"g": "10", "bf": "0"})
    with av.open(path) as container:
        places = [(p.pos, p.size) for p in container.demux(video=0) if p.size]
    data = bytearray(Path(path).read_bytes())
    for pos, size in (places[n] for n in bad):
        data[pos : pos + size] = b"\xff" * size
    Path(path).write_bytes(data)
    with open_source(path) as source:
        assert len(list(source)) == 60 - len(bad)
        if bad != (59,):  # PyAV swallows an error that comes with the last pictures
            assert source.lost == len(bad)
            assert f"{len(bad)} of 60 frames could not be decoded" in source.notes


@pytest.mark.parametrize("name", ["f.mp4", "f.mkv", "f.ts"])
@pytest.mark.parametrize("flips", [5, 50, 500])
def test_flipped_bytes(clip: Clip, name: str, flips: int) -> None:
    path = clip(name, frames=40, make=noise, options={"g": "10"}, audio=True, mux={"movflags": "faststart"})
    data = np.frombuffer(Path(path).read_bytes(), np.uint8).copy()
    places = np.random.default_rng(flips).integers(6000, len(data), flips)
    data[places] ^= 0xFF
    data.tofile(path)
    with open_source(path) as source:
        stamps = [frame.pts for frame in source]
    assert stamps
    assert stamps == sorted(set(stamps))


@pytest.mark.parametrize("name", ["f.mp4", "f.mkv"])
def test_a_file_that_was_cut_off(clip: Clip, name: str) -> None:
    path = clip(name, frames=75, make=noise, options={"g": "10", "bf": "0"}, mux={"movflags": "faststart"})
    cut(path, 0.5)
    with open_source(path) as source:
        got = len(list(source))
        assert 30 < got < 45
        assert source.lost == pytest.approx(75 - got, abs=1)
        assert any("ends early" in note for note in source.notes)


def test_nothing_but_a_header(clip: Clip) -> None:
    path = clip(mux={"movflags": "faststart"})
    data = Path(path).read_bytes()
    Path(path).write_bytes(data[: data.index(b"mdat") + 20])
    assert "no picture of its h264 video could be decoded" in refused(path)


def test_an_index_that_was_never_written(clip: Clip) -> None:
    path = clip()
    cut(path, 0.4)
    assert "not a media file" in refused(path)


@pytest.mark.parametrize("name", ["a.mp4", "a", "a.mkv", "a.png"])
def test_garbage(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(np.random.default_rng(3).bytes(9000))
    refused(str(tmp_path / name))


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.nfo", "a.json", "a.mp4", "a.srt", "a.py"])
def test_texts(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("No film, only words.\n" * 40)
    assert "not a media file FFmpeg knows" in refused(str(tmp_path / name))


def test_empty_missing_and_folders(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    assert "empty" in refused(str(tmp_path / "empty.mp4"))
    assert "no such file" in refused(str(tmp_path / "none.mp4"))
    assert "no such file" in refused(str(tmp_path / "nowhere" / "none.mp4"))
    assert "directory" in refused(str(tmp_path))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_no_permission(clip: Clip) -> None:
    path = clip()
    os.chmod(path, 0)
    assert "permission" in refused(path)


def test_no_permission_even_for_root(clip: Clip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert "permission" in refused(clip())


def test_a_size_that_changes_on_the_way(clip: Clip, tmp_path: Path) -> None:
    small, large = (Path(clip(f"{w}.ts", size=(w, 48), frames=10, options={"g": "5"})) for w in (64, 80))
    both = tmp_path / "both.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    with open_source(str(both)) as source:
        frames = list(source)
        assert len(frames) > 15
        assert {frame.size for frame in frames} == {(64, 48)}
        assert {frame.planes[0].shape for frame in frames} == {(48, 64)}
        assert any("size changed" in note for note in source.notes)
    stamps = [frame.pts for frame in frames]
    assert stamps == sorted(set(stamps))


def test_an_unknown_codec(clip: Clip) -> None:
    path = clip("odd.mkv", codec="ffv1")
    data = Path(path).read_bytes()
    Path(path).write_bytes(data.replace(b"V_FFV1", b"V_XYZ1"))
    assert "unsupported video codec" in refused(path)
