"""Bad input: one line that says what, one that says what to do, its own exit code, nothing left behind."""

import errno
import json
import os
import shutil
import wave
from collections import Counter

import av
import numpy as np
import pytest

from allaprima.realtime import opening
from allaprima.realtime.bundle import shipped_bundle
from allaprima.realtime.cli import main
from allaprima.realtime.errors import SourceLost
from allaprima.realtime.sinks.mux import Muxer
from allaprima.realtime.sources import open_source

SCENE = "test:landscape?size=64x48&frames=3"


def write_clip(path, frames=12, size=(64, 48)):
    picture = np.random.default_rng(1).integers(0, 255, (size[1], size[0], 3), np.uint8)
    options = {"movflags": "faststart"} if path.suffix == ".mp4" else {}
    with av.open(str(path), "w", options=options) as out:
        stream = out.add_stream("libx264", rate=25, options={"g": "1"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
        for index in range(frames):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.roll(picture, index, 1), format="rgb24")))
        out.mux(stream.encode(None))
    return path


def write_sound(path):
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8000)
        out.writeframes(bytes(8000))


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with all kinds of bad files, in which the command runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text.mp4").write_text("hello\n")
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "taken.mp4").write_text("precious")
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "unknown.toml").write_text('styel = "great-wave"')
    (tmp_path / "broken.toml").write_text("style = ")
    (tmp_path / "cues.csv").write_text("time,style\nsoon,great-wave\n")
    write_sound(tmp_path / "sound.wav")
    return tmp_path


def refused(capsys, *words, code):
    """Run it: the error's line and the hint."""
    before = Counter(os.listdir("."))
    assert main(["run", *map(str, words)]) == code
    told = capsys.readouterr()
    assert told.out == ""
    lines = told.err.splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["error", "hint"][: len(lines)]
    assert Counter(os.listdir(".")) == before
    return lines[0], lines[1] if len(lines) > 1 else ""


@pytest.mark.parametrize(
    ("words", "code", "error", "hint"),
    [
        (["missing.mp4", "out.mp4"], 3, "no such file", "name"),
        (["folder.mp4", "out.mp4"], 3, "is a directory", "inside"),
        (["text.mp4", "out.mp4"], 3, "not a media file", ""),
        (["empty.mp4", "out.mp4"], 3, "the file is empty", ""),
        (["sound.wav", "out.mp4"], 3, "no video stream", "with video"),
        (["camera:97", "out.mp4"], 3, "camera:97", ""),
        (["rtmp://127.0.0.1:1/x", "out.mp4"], 3, "cannot open rtmp://127.0.0.1:1/x", ""),
        (["foo:bar", "out.mp4"], 3, "unknown kind of input", ""),
        (["test:nowhere", "out.mp4"], 3, "no scene", "landscape"),
        ([SCENE, "out.mp4", "--from", "60"], 3, "nothing at 60", "earlier"),
        ([SCENE, "taken.mp4"], 10, "taken.mp4 exists", "--overwrite"),
        ([SCENE, "folder.mp4"], 4, "not a regular file", "another name"),
        ([SCENE, "none/out.mp4"], 4, "no folder", "mkdir"),
        ([SCENE, "out.xyz"], 4, ".xyz says no container", ".mp4"),
        ([SCENE, "out"], 4, "says no container", ".mp4"),
        ([SCENE, "foo:bar"], 4, "foo:", "null:"),
        ([SCENE, "out.webm", "--codec", "h264"], 4, "webm cannot hold h264", "vp9"),
        ([SCENE, "out.mp4", "--codec", "h265x"], 2, "no video encoder called", ""),
        ([SCENE, "out.mp4", "--crf", "99"], 2, "crf 99", "0"),
        ([SCENE, "out.mp4", "--bitrate", "lots"], 2, "bit rate 'lots'", "6M"),
        ([SCENE, "out.mp4", "--crf", "20", "--bitrate", "6M"], 2, "exclude each other", ""),
        ([SCENE, "out.mp4", "--style", "stary-night"], 8, "no style called 'stary-night'", "starry-night"),
        ([SCENE, "out.mp4", "--style", "great-wave:x"], 2, "not a style or a mix", "NAME"),
        ([SCENE, "out.mp4", "--cue", "1=grate-wave"], 8, "no style called 'grate-wave'", "great-wave"),
        ([SCENE, "out.mp4", "--cue", "soon=great-wave"], 2, "'soon' is not a time", "MM:SS"),
        ([SCENE, "out.mp4", "--cue", "cues.csv"], 2, "cues.csv:2: 'soon' is not a time", ""),
        ([SCENE, "out.mp4", "--cue", "great-wave"], 2, "cannot read the cues great-wave", "TIME=STYLE"),
        ([SCENE, "out.mp4", "--mask", "text.mp4"], 2, "belong together", "--mask-style"),
        ([SCENE, "out.mp4", "--mask-style", "great-wave"], 2, "belong together", "--mask FILE"),
        ([SCENE, "out.mp4", "--mask", "none.png", "--mask-style", "great-wave"], 3, "mask none.png: no such file", ""),
        ([SCENE, "out.mp4", "--mask", "text.mp4", "--mask-style", "great-wave"], 3, "text.mp4", ""),
        ([SCENE, "out.mp4", "--mask", "text.mp4", "--mask-style", "nobody"], 8, "'nobody'", ""),
        ([SCENE, "out.mp4", "--size", "4x4"], 2, "impossible size 4x4", "16"),
        ([SCENE, "out.mp4", "--size", "99999x720"], 2, "impossible size", "16384"),
        ([SCENE, "out.mp4", "--size", "huge"], 2, "'huge' is not a size", "1280x720"),
        ([SCENE, "out.mp4", "--frames", "0"], 2, "number of frames", ""),
        ([SCENE, "out.mp4", "--from", "2", "--to", "1"], 2, "not after the start", ""),
        ([SCENE, "out.mp4", "--strength", "2"], 2, "between 0 and 1", ""),
        ([SCENE, "out.mp4", "--backend", "abacus"], 2, "unknown backend 'abacus'", "cpu"),
        ([SCENE, "out.mp4", "--config", "unknown.toml"], 2, "unknown key 'styel'", "style"),
        ([SCENE, "out.mp4", "--config", "broken.toml"], 2, "is not TOML", ""),
        ([SCENE, "out.mp4", "--config", "none.toml"], 2, "none.toml", "allaprima config"),
        ([SCENE, "out.mp4", "--bundle", "nowhere"], 5, "no bundle at nowhere", "--bundle"),
    ],
    ids=lambda value: " ".join(value[-2:]) if isinstance(value, list) else None,
)
def test_refused(here, capsys, words, code, error, hint):
    said, advice = refused(capsys, *words, code=code)
    assert error in said
    assert hint in advice
    assert (here / "taken.mp4").read_text() == "precious"


def spoil(file):
    data = bytearray(file.read_bytes())
    data[-100] ^= 0xFF
    file.write_bytes(data)


def other_version(bundle):
    manifest = json.loads((bundle / "manifest.json").read_text())
    (bundle / "manifest.json").write_text(json.dumps(manifest | {"format": 99}))


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (lambda b: spoil(b / "encoder.onnx"), "encoder.onnx is damaged"),
        (lambda b: (b / "decoder.onnx").unlink(), "decoder.onnx is missing"),
        (lambda b: (b / "manifest.json").write_text("{"), "cannot be read"),
        (lambda b: (b / "manifest.json").write_text('{"format": 1}'), "cannot be read"),
        (other_version, "format 99"),
        (lambda b: spoil(b / "styles" / "great-wave.safetensors"), "its hash differs"),
        (lambda b: (b / "styles" / "great-wave.safetensors").write_bytes(b"x"), "not a readable style"),
    ],
)
def test_damaged_bundles(here, capsys, damage, error):
    shutil.copytree(shipped_bundle(), "bundle")
    damage(here / "bundle")
    said, advice = refused(capsys, SCENE, "out.mp4", "--bundle", "bundle", "--style", "great-wave", code=5)
    assert error in said
    assert advice


def test_no_permission_to_read_or_write(here, capsys, monkeypatch):
    write_clip(here / "clip.mp4")
    (here / "locked").mkdir()
    monkeypatch.setattr(os, "access", lambda *given, **more: False)  # tests may run as root, who may all
    assert "no permission" in refused(capsys, "clip.mp4", "out.mp4", code=3)[0]
    assert "no permission" in refused(capsys, SCENE, "locked/out.mp4", code=4)[0]


def test_a_full_disk(here, capsys, monkeypatch):
    def full(self, frame):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Muxer, "write", full)
    said, advice = refused(capsys, SCENE, "out.mp4", "-q", code=4)
    assert "No space left on device" in said
    assert "disk is full" in advice


def test_a_cut_off_file_is_painted_as_far_as_it_goes(here, capsys):
    whole = write_clip(here / "whole.mp4", frames=40).read_bytes()
    (here / "cut.mp4").write_bytes(whole[: len(whole) * 6 // 10])
    assert main(["run", "cut.mp4", "out.mp4", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["lost"] > 5
    assert 10 < told["frames"] < 35
    assert any("missing" in note for note in told["notes"])


def test_a_damaged_file_is_painted_around_the_damage(here, capsys):
    data = bytearray(write_clip(here / "clip.mkv", frames=20).read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = bytes(3000)
    (here / "clip.mkv").write_bytes(data)
    assert main(["run", "clip.mkv", "out.mp4", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert 5 <= told["frames"] < 20


class Breaking:
    """A source that goes away after a few frames."""

    def __init__(self, source):
        self._source = source
        self.info, self.lost, self.notes = source.info, 0, []

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._source.__exit__(*error)

    def __iter__(self):
        yield from self._source
        raise SourceLost("the feed ended", "Check the sender.")

    def stop(self):
        self._source.stop()


def test_a_feed_that_goes_away_keeps_what_was_painted(here, capsys, monkeypatch):
    monkeypatch.setattr(opening, "open_source", lambda uri, **more: Breaking(open_source(uri, **more)))
    assert main(["run", SCENE, "out.mp4"]) == 9
    told = capsys.readouterr()
    assert "3 painted" in told.out
    assert told.err.endswith("error: the feed ended\nhint: Check the sender.\n")
    with av.open("out.mp4") as container:
        assert sum(1 for _ in container.decode(video=0)) == 3
    assert main(["run", SCENE, "out.mp4", "--overwrite", "--json"]) == 9
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["exit_code"], told["frames"], told["error"]) == (False, 9, 3, "the feed ended")


def test_an_error_as_json(here, capsys):
    assert main(["run", "missing.mp4", "out.mp4", "--json"]) == 3
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["exit_code"]) == (False, 3)
    assert "missing.mp4" in told["error"]


def test_debug_shows_where_it_came_from(here):
    with pytest.raises(Exception, match="no such file"):
        main(["run", "missing.mp4", "out.mp4", "--debug"])
