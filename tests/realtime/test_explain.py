"""``allaprima explain``: what it finds in figures made for the test, and in real runs."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from allaprima.realtime import explain
from allaprima.realtime.cli import main
from allaprima.realtime.config import Config
from allaprima.realtime.errors import ConfigError, SinkError
from allaprima.realtime.explain import Measured, Trial, bound_of, changes
from allaprima.realtime.steering import Stop
from allaprima.realtime.verdict import as_json, sentence, text

from .figures import ENCODE, measured, verdict

SCENE = "test:landscape?size=160x96&frames=400"


@pytest.fixture(autouse=True)
def _two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain, "cores", lambda: 2)
    monkeypatch.setattr(explain, "gpus", list)


# ---- judging ----


def test_the_thread_that_is_always_busy_bounds_the_run() -> None:
    bound = bound_of(ENCODE)
    assert (bound.kind, bound.thread, bound.stage) == ("thread", "sink", "encode")
    assert bound.after == "engine"
    assert bound.without == pytest.approx(1000 / 9)


def test_within_the_thread_the_slowest_stage_is_named_and_the_rest_stays() -> None:
    bound = bound_of(measured(frame=20, decode=7, motion=12.5, net=9))
    assert (bound.thread, bound.stage) == ("source", "motion")
    assert (bound.after, bound.without) == ("engine", pytest.approx(1000 / 9))


def test_processors_that_are_all_busy_bound_what_no_thread_does() -> None:
    bound = bound_of(measured(frame=20, cores_busy=1.9, motion=14, net=15, blend=10))
    assert (bound.kind, bound.stage) == ("processors", "net")


def test_a_camera_that_is_painted_in_time_bounds_itself() -> None:
    found = measured(frame=33.3, live=True, rate=30, decode=32, net=12, encode=5)
    assert bound_of(found).kind == "source"
    assert sentence(verdict(found)) == (
        "bound by the source: it gives 30 fps and all of them are painted; there is nothing to gain"
    )
    assert changes(Config(), found, bound_of(found), "out.mp4") == []


def test_waiting_for_a_camera_is_no_work_but_dropping_its_frames_is_a_bound() -> None:
    late = replace(measured(frame=33.3, live=True, rate=60, decode=32, net=32, encode=5), dropped=90)
    assert (bound_of(late).kind, bound_of(late).stage) == ("thread", "net")


def test_a_camera_that_is_painted_in_time_by_saving_effort_is_bound_by_the_painting() -> None:
    held = replace(measured(frame=33.3, live=True, rate=30, decode=30, net=20), effort=2, effort_name="net at 3/4")
    assert (bound_of(held).kind, bound_of(held).stage) == ("thread", "net")
    trials = Trial("--size a", 29.9, 10, (1, 1), effort=1), Trial("--size b", 20, 10, (1, 1), effort=0)
    assert verdict(held, *trials).best is trials[0]


# ---- what is tried ----


@pytest.mark.parametrize(
    ("config", "output", "tried"),
    [
        (Config(), "out.mp4", [{"preset": "ultrafast"}]),
        (Config(preset="medium"), "out.mp4", [{"preset": "fast"}, {"preset": "ultrafast"}]),
        (Config(preset="ultrafast"), "out.mp4", []),
        (Config(), "out.webm", []),
        (Config(preset="4"), "out.webm", [{"preset": "5"}, {"preset": "8"}]),
        (Config(codec="ffv1", crf=None), "out.mkv", [{"codec": "h264", "preset": None, "crf": None}]),
    ],
)
def test_quicker_encoders(config: Config, output: str, tried: list[Any]) -> None:
    assert changes(config, ENCODE, bound_of(ENCODE), output) == tried


def test_a_graphics_card_may_encode(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain, "gpus", lambda: ["a card"])
    tried = changes(Config(preset="ultrafast"), ENCODE, bound_of(ENCODE), "out.mp4")
    assert tried == [{"codec": "h264_nvenc", "preset": None, "crf": None}]


def test_smaller_pictures_and_less_steadiness() -> None:
    net, blend = measured(net=19.5, blend=9), measured(net=9, blend=19.5)
    sizes = [{"size": (480, 270)}, {"size": (320, 180)}]
    assert changes(Config(), net, bound_of(net), "out.mp4") == sizes
    assert changes(Config(), blend, bound_of(blend), "out.mp4") == [{"steadiness": 0.0}, *sizes]
    assert changes(Config(steadiness=0), blend, bound_of(blend), "out.mp4") == sizes


def test_against_slow_decoding_there_is_no_flag() -> None:
    found = measured(decode=19, net=9)
    assert changes(Config(), found, bound_of(found), "out.mp4") == []


# ---- real runs ----


def run(tmp_path: Path, bundle: Path, output: str, *words: str) -> Any:
    command = ["explain", SCENE, str(tmp_path / output), "--bundle", str(bundle), "--seconds", "0.5", *words]
    return main(command)


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explain, "TRIAL_SECONDS", 0.3)


def test_a_run_is_measured_and_leaves_nothing(tmp_path: Path, tiny_bundle: Path, capsys: Any) -> None:
    assert run(tmp_path, tiny_bundle, "out.mp4", "--json", "--preset", "slow") == 0
    out, err = capsys.readouterr()
    assert err == ""
    told = json.loads(out)
    assert told["ok"]
    assert {"decode", "upload", "motion", "net", "blend", "encode"} <= {stage["name"] for stage in told["stages"]}
    assert {thread["name"] for thread in told["threads"]} == {"source", "engine", "finisher", "sink"}
    assert all(0 <= thread["busy"] <= 1.001 for thread in told["threads"])
    assert told["fps"] == pytest.approx(told["frames"] / told["seconds"], rel=0.01)
    assert told["says"].startswith("bound by")
    assert list(tmp_path.iterdir()) == []


def test_slow_encoding_is_found_and_a_quicker_preset_measured(
    tmp_path: Path, tiny_bundle: Path, monkeypatch: Any
) -> None:
    """An encoder that takes 20 ms a frame, or 1 ms with another preset."""
    from allaprima.realtime.sinks import file

    plan, write, spent = file.codecs.plan, file.FileSink.write, [0.0]

    def planned(wanted: Any, *more: Any, **named: Any) -> Any:
        spent[0] = 0.001 if wanted.preset == "ultrafast" else 0.020
        return plan(wanted, *more, **named)

    def slow(sink: Any, frame: Any) -> None:
        explain.time.sleep(spent[0])
        write(sink, frame)

    monkeypatch.setattr(file.codecs, "plan", planned)
    monkeypatch.setattr(file.FileSink, "write", slow)
    config = Config(bundle=tiny_bundle)
    found = explain.explain(SCENE, str(tmp_path / "out.mp4"), config, 0.6, Stop())
    assert (found.bound.thread, found.bound.stage) == ("sink", "encode")
    assert found.best is not None
    assert found.best.flags == "--preset ultrafast"
    assert found.best.fps > 1.5 * found.measured.fps
    assert as_json(found)["use"] == "--preset ultrafast"


def test_slow_decoding_is_measured_alone(tmp_path: Path, tiny_bundle: Path, monkeypatch: Any) -> None:
    from allaprima.realtime.sources.test import TestSource

    play = TestSource._play

    def slow(source: Any) -> Any:
        for frame in play(source):
            explain.time.sleep(0.015)
            yield frame

    monkeypatch.setattr(TestSource, "_play", slow)
    found = explain.explain(SCENE, "null:", Config(bundle=tiny_bundle), 0.6, Stop())
    assert found.bound.stage == "decode"
    assert found.decode_alone is not None
    assert found.decode_alone > 15
    assert "decoding alone takes" in text(found)


def test_a_live_source_in_time_has_nothing_to_gain(tiny_bundle: Path) -> None:
    scene = "test:landscape?size=64x48&rate=10&live=1"  # slow enough for a machine that does other things too
    found = explain.explain(scene, "null:", Config(bundle=tiny_bundle), 1.2, Stop())
    assert found.bound.kind == "source"
    assert found.trials == ()
    assert found.measured.fps == pytest.approx(10, rel=0.3)


def test_an_output_that_exists_stays_as_it_is(tmp_path: Path, tiny_bundle: Path, capsys: Any) -> None:
    (tmp_path / "out.mkv").write_bytes(b"precious")
    assert run(tmp_path, tiny_bundle, "out.mkv") == 0
    assert (tmp_path / "out.mkv").read_bytes() == b"precious"
    assert "bound by" in capsys.readouterr().out
    assert len(list(tmp_path.iterdir())) == 1


def test_too_few_frames_tell_nothing(tmp_path: Path, tiny_bundle: Path) -> None:
    with pytest.raises(ConfigError, match="too few to tell"):
        explain.explain("test:landscape?size=64x48&frames=9", "null:", Config(bundle=tiny_bundle), 1, Stop())


@pytest.mark.parametrize(("output", "code"), [("out.xyz", 4), ("nowhere/out.mp4", 4)])
def test_errors_are_those_of_a_run(tmp_path: Path, tiny_bundle: Path, capsys: Any, output: str, code: int) -> None:
    assert run(tmp_path, tiny_bundle, output, "--json") == code
    assert json.loads(capsys.readouterr().out)["exit_code"] == code
    assert list(tmp_path.iterdir()) == []


def test_a_change_that_cannot_be_is_left_out(tiny_bundle: Path, monkeypatch: Any) -> None:
    measure = explain.measure

    def fails_later(source: str, output: str, config: Config, *more: Any) -> Measured:
        if config.size is not None:
            raise SinkError("not here")
        return measure(source, output, config, *more)

    monkeypatch.setattr(explain, "measure", fails_later)
    monkeypatch.setattr(explain, "bound_of", lambda found: explain.Bound("thread", "engine", "net"))
    found = explain.explain(SCENE, "null:", Config(bundle=tiny_bundle), 0.3, Stop())
    assert found.trials == ()
