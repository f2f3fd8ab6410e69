import inspect
import json
import subprocess
import sys
import tomllib

import av
import numpy as np
import pytest

from allaprima.realtime import cli
from allaprima.realtime.cli import main
from allaprima.realtime.config import KEYS, Config

SCENE = "test:landscape?size=64x48&rate=10&frames=8"


def pictures(file):
    with av.open(str(file)) as container:
        return [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]


def paint(*words, code=0):
    assert main(["run", *map(str, words)]) == code


@pytest.mark.parametrize(
    "words", [["--help"], ["run", "--help"], ["styles", "--help"], ["doctor", "--help"], ["--version"], ["config"]]
)
def test_help_loads_nothing_heavy(words):
    program = (
        "import sys; from allaprima.realtime.cli import main; code = main(sys.argv[1:]);"
        "heavy = {'av', 'cv2', 'openvino', 'numpy', 'torch', 'pygame'} & set(sys.modules);"
        "sys.exit(f'loaded {heavy}' if heavy else code)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program, *words], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_the_sample_config_is_printed(capsys):
    assert main(["config"]) == 0
    assert Config.model_validate(tomllib.loads(capsys.readouterr().out)) == Config()


def test_every_setting_is_a_flag():
    parameters = set(inspect.signature(cli.run).parameters)
    assert parameters - {"context", "source", "output", "config", "force"} == set(KEYS)


def test_every_flag_is_named_like_its_key(capsys):
    main(["run", "--help"])
    told = capsys.readouterr().out
    assert [key for key in KEYS.values() if f"--{key} " not in told] == []


def test_no_command_shows_the_help(capsys):
    assert main([]) == 2
    told = capsys.readouterr()
    assert "Paint IN into OUT" in told.out + told.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "in.mp4"], "Missing"),
        (["run", "in.mp4", "out.mp4", "--nope"], "--nope"),
        (["run", "in.mp4", "out.mp4", "--strength", "much"], "--strength"),
        (["paint"], "paint"),
    ],
)
def test_usage_errors(words, message, capsys):
    assert main(words) == 2
    told = capsys.readouterr()
    first, second = told.err.splitlines()
    assert first.startswith("error: ")
    assert message in first
    assert second.startswith("hint: See: allaprima")
    assert told.out == ""


def test_a_file_is_painted_and_told(tmp_path, capsys):
    out = tmp_path / "out.mp4"
    paint(SCENE, out, "--style", "starry-night")
    assert len(pictures(out)) == 8
    told = capsys.readouterr().out
    for part in (
        "done",
        str(out),
        "64x48",
        "8 painted, 0 lost, 0 dropped",
        "0.80 s of video",
        "x real time",
        "first frame",
        "net",
    ):
        assert part in told
    assert list(tmp_path.iterdir()) == [out]


def test_two_runs_give_the_same_file(tmp_path):
    for name in ("a.mp4", "b.mp4"):
        paint(SCENE, tmp_path / name, "--cue", "0.3=great-wave:2f", "--steadiness", "0.9", "-q")
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_json_stands_alone(tmp_path, capsys):
    out = tmp_path / "out.mkv"
    paint(
        SCENE,
        out,
        "--json",
        "--codec",
        "ffv1",
        "--style",
        "starry-night:1,great-wave:3",
        "--strength",
        "0.5",
        "--frames",
        "4",
    )
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], told["frames"], told["output"], told["size"]) == (True, 4, str(out), [64, 48])
    assert told["bytes"] == out.stat().st_size
    assert told["style"] == "starry-night:0.25,great-wave:0.75"
    assert told["strength"] == 0.5
    assert told["video_seconds"] == 0.4
    assert {"decode", "net", "encode"} <= set(told["stage_ms"])


def test_quiet_says_nothing(capsys):
    paint(SCENE, "null:", "--quiet")
    assert capsys.readouterr() == ("", "")


def test_the_config_file_is_read_and_flags_win(tmp_path, capsys):
    file = tmp_path / "paint.toml"
    file.write_text('style = "starry-night"\nsize = "32x32"\nframes = 3\njson = true\n')
    paint(SCENE, "null:", "--config", file, "--frames", "2")
    told = json.loads(capsys.readouterr().out)
    assert (told["style"], told["size"], told["frames"]) == ("starry-night", [32, 32], 2)
    paint(SCENE, "null:", "--config", file, "--no-json")
    assert "3 painted" in capsys.readouterr().out


def test_cues_change_the_style_on_their_frame(tmp_path):
    calm = ["--steadiness", "0", "--codec", "ffv1", "-q"]
    paint(SCENE, tmp_path / "one.mkv", "--style", "starry-night", *calm)
    paint(SCENE, tmp_path / "two.mkv", "--style", "great-wave", *calm)
    (tmp_path / "cues.csv").write_text("time,style\n0.5,great-wave\n")
    paint(SCENE, tmp_path / "both.mkv", "--style", "starry-night", "--cue", tmp_path / "cues.csv", *calm)
    one, two, both = (pictures(tmp_path / f"{name}.mkv") for name in ("one", "two", "both"))
    assert all(np.array_equal(a, b) for a, b in zip(both[:5], one[:5], strict=True))
    assert all(np.array_equal(a, b) for a, b in zip(both[5:], two[5:], strict=True))
    assert not np.array_equal(one[5], two[5])


def test_a_cue_behind_the_end_is_noted(capsys):
    paint(SCENE, "null:", "--cue", "100=starry-night", "--cue", "0.2=starry-night", "--json")
    assert json.loads(capsys.readouterr().out)["notes"] == ["1 cues were never reached, the first at 100 s"]


def write_mask(path):
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:, :32] = 255
    with av.open(str(path), "w", format="image2", options={"update": "1"}) as out:
        stream = out.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "rgb24"
        out.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        out.mux(stream.encode(None))
    return path


def test_a_mask_leaves_the_input_where_it_is_white(tmp_path):
    lossless = ["--codec", "ffv1", "-q", "--frames", "3"]
    mask = write_mask(tmp_path / "mask.png")
    paint(SCENE, tmp_path / "masked.mkv", "--mask", mask, "--mask-style", "none", *lossless)
    paint(SCENE, tmp_path / "whole.mkv", *lossless)
    paint(SCENE, tmp_path / "input.mkv", "--strength", "0", *lossless)
    masked, whole, plain = (pictures(tmp_path / f"{name}.mkv")[2] for name in ("masked", "whole", "input"))
    assert abs(masked - plain)[:, :28].mean() < 1.5
    assert abs(masked - whole)[:, 36:].mean() < 1.5
    assert abs(whole - plain).mean() > 10


def test_a_mask_with_a_style_of_its_own(tmp_path):
    mask = write_mask(tmp_path / "mask.png")
    paint(SCENE, tmp_path / "a.mkv", "--mask", mask, "--mask-style", "great-wave", "--codec", "ffv1", "-q")
    paint(SCENE, tmp_path / "b.mkv", "--codec", "ffv1", "-q")
    one, two = pictures(tmp_path / "a.mkv")[-1], pictures(tmp_path / "b.mkv")[-1]
    assert abs(one - two)[:, :24].mean() > 2 * abs(one - two)[:, 40:].mean()


def test_a_part_of_the_input_at_another_size(tmp_path):
    paint(SCENE, tmp_path / "out.mkv", "--from", "0:00.2", "--to", "0.6", "--size", "48x32", "-q")
    found = pictures(tmp_path / "out.mkv")
    assert len(found) == 4
    assert found[0].shape == (32, 48, 3)


def test_a_closed_pipe_is_no_error():
    program = "from allaprima.realtime.cli import main; import sys; sys.exit(main(['config']))"
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    process.stdout.close()
    assert process.stderr.read() == ""
    process.stderr.close()
    process.wait()
