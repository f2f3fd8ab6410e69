"""Several streams from one config: isolated, told together, ended together."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import av
import pytest

import allaprima.realtime.backends.cpu  # noqa: F401  (OpenVINO starts a thread of its own when it is loaded)
from allaprima.realtime import show
from allaprima.realtime.capacity import Cost
from allaprima.realtime.cli import main
from allaprima.realtime.errors import ConfigError
from allaprima.realtime.show import parts
from allaprima.realtime.steering import Stop

SCENE = "test:landscape?size=64x48&rate=10&frames=8"
PROGRAM = "import sys; from allaprima.realtime.cli import main; sys.exit(main())"
PATIENCE = 60


def write(folder: Path, text: str, bundle: Path) -> Path:
    file = folder / "show.toml"
    file.write_text(f'bundle = "{bundle}"\n{text}')
    return file


def stream(source: str = SCENE, output: str = "null:", **more: Any) -> str:
    lines = [f"{key.replace('_', '-')} = {json.dumps(value)}" for key, value in more.items()]
    return "\n".join(["[[stream]]", f'in = "{source}"', f'out = "{output}"', *lines, ""])


def frames(file: Path) -> int:
    with av.open(str(file)) as container:
        return sum(1 for _ in container.decode(video=0))


# ---- the config ----


def test_keys_of_a_stream_win_over_those_of_all_and_flags_over_both(tmp_path: Path, tiny_bundle: Path) -> None:
    text = 'style = "bright"\nstrength = 0.5\nframes = 9\n' + stream(name="left") + stream(style="dark", strength=0.25)
    config, found = parts(write(tmp_path, text, tiny_bundle), {"strength": 0.75, "quiet": True, "cue": []})
    assert [(part.name, part.config.style, part.config.strength) for part in found] == [
        ("left", "bright", 0.75),
        ("2", "dark", 0.75),
    ]
    assert all(part.config.frames == 9 for part in found)
    assert config.quiet


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no [[stream]] table"),
        ("stream = 3\n", "no [[stream]] table"),
        ('[stream]\nin = "a"\nout = "b"\n', "no [[stream]] table"),
        ('[[stream]]\nin = "a"\n', "stream 1: in and out are needed"),
        ('[[stream]]\nin = "a"\nout = 3\n', "stream 1: in and out are needed"),
        (stream() + stream(shade=1), "stream 2: unknown key 'shade'"),
        (stream(strength=2), "strength must be between 0 and 1"),
        (stream(trace="x.json"), "stream 1: trace is for all streams"),
        (stream(most_fps=0), "most-fps must be above 0"),
        (stream(name="a") + stream(name="a"), "streams 1 and 2 have the same name"),
        (stream(output="a.mp4") + stream(output="./a.mp4"), "streams 1 and 2 have the same out"),
        ("nonsense = 1\n" + stream(), "unknown key 'nonsense'"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, tiny_bundle: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parts(write(tmp_path, text, tiny_bundle), {})
    assert said in str(caught.value)
    assert caught.value.hint


def test_streams_and_words_do_not_go_together(tmp_path: Path, tiny_bundle: Path, capsys: Any) -> None:
    file = write(tmp_path, stream(), tiny_bundle)
    assert main(["run", SCENE, "null:", "--config", str(file)]) == 2
    assert "[[stream]]" in capsys.readouterr().err


# ---- the run ----


@pytest.mark.usefixtures("no_thread_left")
def test_all_are_painted_and_told(tmp_path: Path, tiny_bundle: Path, capsys: Any) -> None:
    a, b = tmp_path / "a.mkv", tmp_path / "b.mkv"
    text = stream(output=str(a), name="one", style="bright") + stream(output=str(b), name="two", frames=5)
    assert main(["run", "--config", str(write(tmp_path, text, tiny_bundle))]) == 0
    assert (frames(a), frames(b)) == (8, 5)
    out, err = capsys.readouterr()
    assert out.index("[one] done") < out.index("[two] done")
    assert "5 painted" in out
    assert "error" not in err


@pytest.mark.usefixtures("no_thread_left")
def test_one_that_fails_does_not_stop_the_others(tmp_path: Path, tiny_bundle: Path, capsys: Any) -> None:
    good = tmp_path / "good.mkv"
    text = (
        stream("nowhere.mp4", name="gone")
        + stream(output=str(good), name="good")
        + stream(output="no/a.mp4", name="bad")
    )
    assert main(["run", "--json", "--config", str(write(tmp_path, text, tiny_bundle))]) == 4
    assert frames(good) == 8
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert not told["ok"]
    found = {entry["name"]: entry for entry in told["streams"]}
    assert list(found) == ["gone", "good", "bad"]
    assert [entry["exit_code"] for entry in told["streams"]] == [3, 0, 4]
    assert found["good"]["frames"] == 8
    assert "nowhere.mp4" in found["gone"]["error"]
    assert "error: stream gone: " in err


@pytest.mark.usefixtures("no_thread_left")
def test_a_fault_of_ours_ends_its_stream_only(tmp_path: Path, tiny_bundle: Path, monkeypatch: Any) -> None:
    paint = show.Job.paint

    def breaks(job: Any, on_frame: Any) -> Any:
        if "frames=3" in job.info.name:
            raise ZeroDivisionError("oh")
        return paint(job, on_frame)

    monkeypatch.setattr(show.Job, "paint", breaks)
    text = stream("test:landscape?size=64x48&frames=3") + stream()
    config, found = parts(write(tmp_path, text, tiny_bundle), {"quiet": True})
    bad, good = show.run(config, found, Stop())
    assert (bad.exit_code, good.exit_code) == (1, 0)
    assert "ZeroDivisionError: oh" in str(bad.error)
    assert good.outcome is not None
    assert good.outcome.progress.painted == 8


def test_a_wrong_style_is_said_before_anything_starts(tmp_path: Path, tiny_bundle: Path, capsys: Any) -> None:
    out = tmp_path / "a.mkv"
    text = stream(output=str(out)) + stream(style="nothing", name="other")
    assert main(["run", "--config", str(write(tmp_path, text, tiny_bundle))]) == 8
    assert "stream other: no style called 'nothing'" in capsys.readouterr().err
    assert not out.exists()


def test_no_more_frames_a_second_than_asked(tmp_path: Path, tiny_bundle: Path) -> None:
    config, found = parts(write(tmp_path, stream(most_fps=20) + stream(), tiny_bundle), {"quiet": True})
    slow, free = show.run(config, found, Stop())
    assert slow.outcome is not None
    assert free.outcome is not None
    assert slow.outcome.progress.seconds > 7 / 20
    assert free.outcome.progress.seconds < slow.outcome.progress.seconds


@pytest.mark.usefixtures("no_thread_left")
def test_a_stop_ends_all_cleanly(tmp_path: Path, tiny_bundle: Path, monkeypatch: Any) -> None:
    endless = "test:landscape?size=64x48&frames=100000"
    files = [tmp_path / "a.mkv", tmp_path / "b.mkv"]
    text = "".join(stream(endless, str(file)) for file in files)
    config, found = parts(write(tmp_path, text, tiny_bundle), {"quiet": True})
    stop, sample, seen = Stop(), show.trace.Trace.sample, set()

    def counts(*words: Any) -> None:
        sample(*words)
        seen.add(words[1])
        if len(seen) == 2:
            stop.event.set()

    monkeypatch.setattr(show.trace.Trace, "sample", counts)
    config = config.model_copy(update={"trace": tmp_path / "t.json"})
    results = show.run(config, found, stop)
    assert [result.exit_code for result in results] == [130, 130]
    assert all(frames(file) > 0 for file in files)


def test_ctrl_c_ends_the_process(tmp_path: Path, tiny_bundle: Path) -> None:
    endless = "test:landscape?size=64x48&frames=1000000"
    file = write(tmp_path, stream(endless, str(tmp_path / "a.mkv")) + stream(endless, name="other"), tiny_bundle)
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, "run", "--config", str(file), "--log", "json", "--stats"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr
    for told in process.stderr:
        if json.loads(told).get("fps"):
            break
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert out.startswith("[1] stopped")
    assert [json.loads(line) for line in err.splitlines()], "every line is an object"
    assert frames(tmp_path / "a.mkv") > 0


def test_twice_ends_at_once_and_leaves_nothing(tmp_path: Path, tiny_bundle: Path) -> None:
    endless = "test:landscape?size=64x48&frames=1000000"
    outputs = tmp_path / "outputs"
    outputs.mkdir()
    text = "".join(stream(endless, str(outputs / name)) for name in ("a.mkv", "b.mkv"))
    file = write(tmp_path, text, tiny_bundle)
    slow = (
        "import time; from allaprima.realtime.sinks.mux import Muxer;"
        "finish = Muxer.finish; Muxer.finish = lambda self: (time.sleep(20), finish(self));"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", slow + PROGRAM, "run", "--config", str(file), "--stats"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr
    painting: set[str] = set()
    for told in process.stderr:
        if "net" in told:
            painting.add(told[:1])
        if len(painting) == 2:
            break
    process.send_signal(signal.SIGINT)
    time.sleep(0.7)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert time.monotonic() - began < 10
    assert "stopped at once" in err
    assert list(outputs.iterdir()) == []


def test_one_trace_of_all(tmp_path: Path, tiny_bundle: Path) -> None:
    file = tmp_path / "trace.json"
    config, found = parts(
        write(tmp_path, stream(name="a") + stream(name="b"), tiny_bundle), {"quiet": True, "trace": file}
    )
    show.run(config, found, Stop())
    document = json.loads(file.read_text())
    assert [e["args"]["name"] for e in document if e["name"] == "process_name"] == ["allaprima a", "allaprima b"]
    nets = [(e["pid"], e["args"]["frame"]) for e in document if e["name"] == "net"]
    assert sorted(nets) == [(pid, frame) for pid in (1, 2) for frame in range(8)]


# ---- what the machine can paint ----


def live(**more: Any) -> str:
    return stream("test:landscape?size=640x480&rate=30&frames=3&live=1", **more)


def test_more_live_streams_than_fit_are_refused_before_they_start(
    tmp_path: Path, tiny_bundle: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.setattr(show.capacity, "probe", lambda bundle, backend: Cost(full=0.2, least=0.06))  # 0.55 each
    words = ["run", "-q", "--config", str(write(tmp_path, live() + live(), tiny_bundle))]
    assert main(words) == 2
    err = capsys.readouterr().err
    assert "cannot paint 2 such streams" in err
    assert "111%" in err
    assert "--force" in err
    assert main([*words, "--force"]) == 0


def test_files_and_a_single_live_stream_are_never_measured(tmp_path: Path, tiny_bundle: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(show.capacity, "probe", lambda *_: pytest.fail("it measured"))
    config, found = parts(write(tmp_path, live() + stream() + stream(), tiny_bundle), {"quiet": True})
    assert [result.exit_code for result in show.run(config, found, Stop())] == [0, 0, 0]


def test_what_was_opened_is_closed_when_nothing_starts(tmp_path: Path, tiny_bundle: Path, monkeypatch: Any) -> None:
    closed: list[str] = []
    close = show.Job.close
    monkeypatch.setattr(show.Job, "close", lambda job: (closed.append(job.info.name), close(job)))
    monkeypatch.setattr(show.capacity, "probe", lambda bundle, backend: Cost(full=1, least=1))
    config, found = parts(write(tmp_path, live() + live(), tiny_bundle), {"quiet": True})
    with pytest.raises(ConfigError):
        show.run(config, found, Stop())
    assert len(closed) == 2


def test_lines_where_there_is_no_terminal(tmp_path: Path, tiny_bundle: Path, monkeypatch: Any, capsys: Any) -> None:
    monkeypatch.setattr(show, "LINE_SECONDS", 0.0)
    config, found = parts(write(tmp_path, stream(name="a") + stream(name="longer"), tiny_bundle), {})
    show.run(config, found, Stop())
    err = capsys.readouterr().err
    assert "a       " in err
    assert "longer  " in err
