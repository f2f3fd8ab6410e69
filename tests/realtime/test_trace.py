"""The trace: what its file says, held against the Trace Event Format, and what it costs."""

import json
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from allaprima.realtime import trace
from allaprima.realtime.cli import main
from allaprima.realtime.errors import ConfigError, SinkError
from allaprima.realtime.metrics import Stages
from allaprima.realtime.pipeline import Progress
from allaprima.realtime.trace import EVENTS_PER_SECOND, Trace, of_run, text

NEEDED = {
    "M": {"name", "pid", "tid", "args"},
    "X": {"name", "cat", "ts", "dur", "pid", "tid"},
    "C": {"name", "ts", "pid", "args"},
    "s": {"name", "cat", "id", "ts", "pid", "tid"},
    "f": {"name", "cat", "id", "ts", "pid", "tid", "bp"},
}
"""Fields of each kind of event, by the document "Trace Event Format"."""


def check(document: list[dict[str, Any]]) -> None:
    """Everything that a viewer relies on."""
    rows = {(e["pid"], e["tid"]) for e in document if e["name"] == "thread_name"}
    processes = {e["pid"] for e in document if e["name"] == "process_name"}
    flows: dict[str, list[dict[str, Any]]] = {}
    for event in document:
        assert NEEDED[event["ph"]] <= event.keys(), event
        assert all(isinstance(event[key], int) for key in ("pid", "tid"))
        assert event["ts"] >= 0
        assert event["pid"] in processes
        if event["ph"] in "Xsf":
            assert (event["pid"], event["tid"]) in rows
        if event["ph"] == "X":
            assert event["dur"] >= 0
        if event["ph"] == "C":
            assert all(isinstance(value, int | float) for value in event["args"].values())
        if event["ph"] in "sf":
            flows.setdefault(event["id"], []).append(event)
    for ends in flows.values():
        assert [end["ph"] for end in sorted(ends, key=lambda end: end["ts"])] == ["s", "f"]
    for row in rows:  # slices of a row follow each other
        spans = [(e["ts"], e["ts"] + e["dur"]) for e in document if e["ph"] == "X" and (e["pid"], e["tid"]) == row]
        for (_, ended), (began, _) in pairwise(sorted(spans)):
            assert began >= ended - 1, "microsecond"


def stage(stages: Stages, name: str, frame: int, thread: str = "") -> None:
    def work() -> None:
        began = time.perf_counter()
        time.sleep(0.001)
        stages.add(name, time.perf_counter() - began, frame)

    if not thread:
        return work()
    worker = threading.Thread(target=work, name=thread)
    worker.start()
    worker.join()


def traced(*names: tuple[str, int, str], seconds: float = 30.0) -> Trace:
    found, stages = Trace(seconds), Stages()
    found.follow(found.process("clip.mp4"), stages)
    for name in names:
        stage(stages, *name)
    return found


def test_a_frame_is_followed_from_thread_to_thread() -> None:
    document = traced(("decode", 7, "source"), ("net", 7, ""), ("encode", 7, "sink")).document()
    check(document)
    names = [e["args"]["name"] for e in document if e["name"] == "thread_name"]
    assert names == ["source", "engine", "sink"]
    slices = [e for e in document if e["ph"] == "X"]
    assert [(e["name"], e["args"]["frame"], e["tid"]) for e in slices] == [
        ("decode", 7, 1),
        ("net", 7, 2),
        ("encode", 7, 3),
    ]
    assert all(900 < e["dur"] < 1e6 for e in slices)
    assert sum(e["ph"] == "s" for e in document) == 2


def test_a_stage_that_knows_no_frame_has_no_number() -> None:
    (event,) = [e for e in traced(("upload", -1, "")).document() if e["ph"] == "X"]
    assert "args" not in event


def test_counters_are_noted_when_they_change() -> None:
    found = traced(("net", 0, ""))
    progress = Progress(None)
    for dropped in (0, 0, 3):
        progress.dropped_in = dropped
        found.sample(0, progress)
    document = found.document()
    check(document)
    assert [e["args"]["before"] for e in document if e["name"] == "dropped"] == [0, 3]


def test_what_is_older_is_forgotten_and_memory_is_bounded() -> None:
    found = Trace(0.5)
    process = found.process("x")
    note = found.watch(process)
    now = time.perf_counter()
    for number in range(2 * EVENTS_PER_SECOND):
        note("net", now + number / 1000, 0.001, number)
    assert len(found._events) == EVENTS_PER_SECOND
    kept = [event.frame for event in found.events()]
    assert len(kept) in (500, 501)
    assert kept[-1] == 2 * EVENTS_PER_SECOND - 1


def test_two_streams_are_two_groups_of_rows() -> None:
    found = Trace()
    for name in ("a", "b"):
        stages = Stages()
        found.follow(found.process(name), stages)
        stage(stages, "net", 0, "engine")
    document = found.document()
    check(document)
    assert [e["args"]["name"] for e in document if e["name"] == "process_name"] == ["allaprima a", "allaprima b"]
    assert {e["pid"] for e in document if e["ph"] == "X"} == {1, 2}
    assert not [e for e in document if e["ph"] == "s"], "frame 0 of the one is not frame 0 of the other"


@pytest.mark.parametrize("document", [[], [{"a": 1}], [{"a": "ä\n"}, {"b": 2}]])
def test_the_text_is_json(document: list[dict[str, Any]]) -> None:
    assert json.loads(text(document)) == document


@pytest.mark.parametrize("seconds", [0, -1, 1e9, float("nan")])
def test_impossible_lengths(seconds: float) -> None:
    with pytest.raises(ConfigError):
        Trace(seconds)


def test_a_run_writes_its_trace(tmp_path: Path, tiny_bundle: Path) -> None:
    file = tmp_path / "trace.json"
    words = ["run", "test:landscape?size=64x48&frames=12", "null:", "-q", "--bundle", str(tiny_bundle)]
    assert main([*words, "--trace", str(file)]) == 0
    document = json.loads(file.read_text())
    check(document)
    for name in ("decode", "upload", "motion", "net", "blend", "finish", "encode"):
        found = [e["args"]["frame"] for e in document if e["name"] == name and e["ph"] == "X"]
        assert found == list(range(12)), name
    rows = [e["args"]["name"] for e in document if e["name"] == "thread_name"]
    assert rows == ["source", "engine", "finisher", "sink"]
    waiting = [e["args"] for e in document if e["name"] == "waiting"]
    assert waiting
    assert all("inbox" in args for args in waiting)
    assert list(tmp_path.iterdir()) == [file]


def test_an_error_leaves_the_trace_up_to_it(tmp_path: Path) -> None:
    stages, file = Stages(), tmp_path / "t.json"

    def run() -> None:
        with of_run(file, 5, "x", stages):
            stage(stages, "net", 3)
            raise SinkError("the disk is full")

    with pytest.raises(SinkError, match="disk"):
        run()
    assert [e["args"]["frame"] for e in json.loads(file.read_text()) if e["ph"] == "X"] == [3]
    assert stages.watch is None


@pytest.mark.parametrize(("name", "said"), [("clip.mp4", "JSON"), ("nowhere/t.json", "mkdir")])
def test_a_file_that_cannot_be_is_refused_before_the_work(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        trace.check(tmp_path / name, 5)
    assert said in str(caught.value) + caught.value.hint


def test_it_is_refused_before_anything_is_opened(tmp_path: Path, tiny_bundle: Path, capsys: Any) -> None:
    words = ["run", "test:landscape?frames=9", str(tmp_path / "a.mkv"), "--bundle", str(tiny_bundle), "-q", "--trace"]
    assert main([*words, str(tmp_path / "a.txt")]) == 2
    assert main([*words, str(tmp_path / "a.json"), "--trace-seconds", "0"]) == 2
    assert list(tmp_path.iterdir()) == []
    assert "a trace of 0 s cannot be" in capsys.readouterr().err


def test_writing_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "t.json"
    file.write_text("before")

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(trace.os, "replace", fail)
    with pytest.raises(SinkError, match="No space left"):
        Trace().write(file)
    assert file.read_text() == "before"
    assert list(tmp_path.iterdir()) == [file]


def test_without_a_file_nobody_watches() -> None:
    stages = Stages()
    with of_run(None, 5, "x", stages):
        assert stages.watch is None


def test_watching_costs_microseconds() -> None:
    """A frame has a dozen stages: 10 µs each would be 1 % of a frame that takes 12 ms."""

    def cost(stages: Stages) -> float:
        best = 1.0
        for _ in range(5):
            began = time.perf_counter()
            for number in range(500):
                stages.add("net", 0.01, number)
            best = min(best, (time.perf_counter() - began) / 500)
        return best

    plain, watched = Stages(), Stages()
    found = Trace()
    found.follow(found.process("x"), watched)
    assert cost(watched) - cost(plain) < 10e-6
