"""Engines built in child processes: followed, ended, one at a time."""

import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from allaprima.realtime import builds
from allaprima.realtime.builds import BuildFailed, Builds, Child, Order
from allaprima.realtime.bundle import Bundle
from allaprima.realtime.engine_key import Key, Machine, Record, key_of
from allaprima.realtime.engines import Engines

from .. import fake_tensorrt

HERE = Machine(gpu="A fake", capability="9.0", tensorrt="10.16.1.11", driver="580.65")
PATIENCE = 20.0
"""Seconds for what takes a few tenths."""

STAND_IN = """
import json, os, sys, time
from pathlib import Path
order = json.loads(sys.argv[1])
folder = Path(order["folder"])
folder.mkdir(exist_ok=True)
say = lambda event, **more: print(json.dumps({"event": event, **more}), flush=True)
BODY
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A child that does something else."""
    home = tmp_path / "programs"
    home.mkdir()
    monkeypatch.setenv("PYTHONPATH", str(home))
    monkeypatch.setattr(builds, "PROGRAM", "stand_in")
    monkeypatch.setattr(builds, "CHECK_SECONDS", 0.0)
    return lambda body: (home / "stand_in.py").write_text(STAND_IN.replace("BODY", body)) and None


@pytest.fixture
def order(tiny_bundle: Path, tmp_path: Path) -> Order:
    return Order(bundle=tiny_bundle, cells=(12, 16), folder=tmp_path / "engines")


@pytest.fixture
def keys(tiny_bundle: Path) -> list[Key]:
    return [key_of(HERE, Bundle(tiny_bundle), (12, 16 + index)) for index in range(12)]


def wait_for(done: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < end, "nothing came of it"
        time.sleep(0.01)


def gone(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


# ---- one child ----


def test_an_order_names_its_key(order: Order, tiny_bundle: Path) -> None:
    assert order.key(HERE) == key_of(HERE, Bundle(tiny_bundle), (12, 16))
    assert Order.model_validate_json(order.model_dump_json()) == order


def test_events_come_as_they_are_told(program: Callable[[str], None], order: Order) -> None:
    program('say("progress", share=0.5, doing=order["precision"]); print("a word"); say("done", plan="x", record={})')
    with Child(order) as child:
        assert [event["event"] for event in child.events()] == ["progress", "done"]


def test_the_childs_error_is_ours(program: Callable[[str], None], order: Order) -> None:
    program('say("error", error="no room", hint="make some", exit_code=4); sys.exit(4)')
    with Child(order) as child, pytest.raises(BuildFailed, match="no room") as caught:
        list(child.events())
    assert (caught.value.hint, caught.value.exit_code) == ("make some", 4)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("os.kill(os.getpid(), 11)", "ended with signal 11"),
        ('print("torn"); sys.exit(3)', "ended with exit code 3: torn"),
        ('raise ValueError("odd")', "ended with exit code 1: .*ValueError: odd"),
        ("print(7)", "ended with exit code 0: 7"),
    ],
)
def test_a_child_that_dies_is_an_error_with_its_last_words(
    program: Callable[[str], None], order: Order, body: str, says: str
) -> None:
    program(body)
    with Child(order) as child, pytest.raises(BuildFailed, match=says):
        list(child.events())


def test_ending_a_child_clears_away_what_it_was_writing(program: Callable[[str], None], order: Order) -> None:
    program(
        '(folder / f".name.plan.{os.getpid()}.part").write_bytes(b"half"); (folder / "other.plan").write_bytes(b"")\n'
        '(folder / "name.lock").write_text(str(os.getpid())); (folder / "other.lock").write_text("1")\n'
        'say("progress", share=os.getpid(), doing=""); time.sleep(60)'
    )
    with Child(order) as child:
        process = int(next(child.events())["share"])
    assert gone(process)
    assert sorted(file.name for file in order.folder.iterdir()) == ["other.lock", "other.plan"]


def test_a_child_that_does_not_listen_is_killed(
    program: Callable[[str], None], order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builds, "GRACE_SECONDS", 0.2)
    program(
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        'say("progress", share=os.getpid(), doing=""); time.sleep(60)'
    )
    with Child(order) as child:
        process = int(next(child.events())["share"])
    assert gone(process)


def test_a_real_child_builds_what_can_be_loaded(order: Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_tensorrt.for_children(monkeypatch, tmp_path / "modules", "11.4.0.106")
    with Child(order) as child:
        *_, last = child.events()
    content, record = Engines(order.folder).load(Path(last["plan"]))
    assert content.startswith(fake_tensorrt.MAGIC)
    assert (record.key.tensorrt, record.psnr > 60) == ("11.4.0.106", True)


# ---- in the background ----

PUBLISH = """
say("progress", share=0.5, doing="timing")
from allaprima.realtime.engines import Engines
from allaprima.realtime.engine_key import Record
record = Record.model_validate_json((folder.parent / f"{order['cells'][1]}.json").read_text())
time.sleep(0.2)
Engines(folder).publish(b"a plan", record)
say("note", text="aloud")
say("done", plan="", record={})
"""


def prepare(key: Key, folder: Path) -> None:
    known = {"key": key, "sha256": hashlib.sha256(b"a plan").hexdigest(), "bytes": 6, "road": "onnx"}
    known |= {"precision": "half", "psnr": 60.0, "compared": 1, "bundle": "", "inputs": {}, "output": "o"}
    (folder / f"{key.cells[1]}.json").write_text(json.dumps(Record.model_validate(known).model_dump(mode="json")))  # type: ignore[index]


def test_a_stream_asks_and_moves_over_when_it_is_ready(
    program: Callable[[str], None],
    order: Order,
    keys: list[Key],
    no_thread_left: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    program(PUBLISH)
    building = Builds(Engines(order.folder))
    for key in keys[:2]:
        prepare(key, order.folder.parent)
        assert not building.ready(key)
        assert building.start(order.bundle, key)
    assert building.start(order.bundle, keys[0]), "asked for twice is asked for once"
    assert building.share(keys[0]) is not None
    wait_for(lambda: building.ready(keys[1]))
    assert building.ready(keys[0])
    wait_for(lambda: building.share(keys[1]) is None)
    assert building.failure(keys[0]) == ""
    assert caplog.text.count("aloud") == 2
    building.close()


def test_what_is_wanted_is_asked_for_where_it_can_be_built(
    program: Callable[[str], None], order: Order, monkeypatch: pytest.MonkeyPatch
) -> None:
    program('say("error", error="no room", hint="", exit_code=6)')
    building, bundle = Builds(Engines(order.folder)), Bundle(order.bundle)
    card = fake_tensorrt.install(monkeypatch)
    key = building.want(bundle, (12, 16), 2)
    assert key is not None
    assert (key.cells, key.regions, key.tensorrt) == ((12, 16), 2, "10.16.1.11")
    wait_for(lambda: building.failure(key))
    assert building.want(bundle, (12, 16), 2) is None
    card.cupy.devices = 0
    assert building.want(bundle, (16, 16)) is None
    building.close()


def test_one_child_at_a_time(program: Callable[[str], None], order: Order, keys: list[Key]) -> None:
    program(
        'name = folder.parent / "running"\n'
        'name.touch(exist_ok=False); time.sleep(0.1); name.unlink()\nsay("done", plan="", record={})'
    )
    building = Builds(Engines(order.folder))
    for key in keys[:3]:
        assert building.start(order.bundle, key)
    wait_for(lambda: all(building.share(key) is None for key in keys))
    assert [building.failure(key) for key in keys[:3]] == [""] * 3
    building.close()


def test_what_failed_is_not_tried_again(
    program: Callable[[str], None], order: Order, keys: list[Key], caplog: pytest.LogCaptureFixture
) -> None:
    program('say("error", error="no room", hint="", exit_code=6)')
    building = Builds(Engines(order.folder))
    assert building.start(order.bundle, keys[0])
    wait_for(lambda: building.failure(keys[0]))
    assert building.failure(keys[0]) == "no room"
    assert not building.start(order.bundle, keys[0])
    assert not building.ready(keys[0])
    assert "was not built: no room" in caplog.text
    building.close()


def test_no_more_than_a_few_wait(program: Callable[[str], None], order: Order, keys: list[Key]) -> None:
    program("time.sleep(60)")
    building = Builds(Engines(order.folder))
    assert building.start(order.bundle, keys[0])
    wait_for(lambda: building._child)
    taken = [building.start(order.bundle, key) for key in keys[1:]]
    assert taken == [True] * builds.MOST_WAITING + [False] * (len(keys) - 1 - builds.MOST_WAITING)
    building.close()


def test_closing_ends_the_child_and_leaves_no_thread(
    program: Callable[[str], None],
    order: Order,
    keys: list[Key],
    no_thread_left: None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    program('say("progress", share=0.25, doing=""); time.sleep(60)')
    building = Builds(Engines(order.folder))
    for key in keys[:3]:
        building.start(order.bundle, key)
    wait_for(lambda: building.share(keys[0]) == 0.25)
    building.close()
    assert caplog.text == ""
    assert not building.start(order.bundle, keys[4])


def test_an_engine_that_another_process_built_is_ready_too(
    program: Callable[[str], None], order: Order, keys: list[Key]
) -> None:
    building = Builds(Engines(order.folder))
    assert not building.ready(keys[0])
    prepare(keys[0], order.folder.parent)
    record = Record.model_validate_json((order.folder.parent / "16.json").read_text())
    Engines(order.folder).publish(b"a plan", record)
    assert building.ready(keys[0])


def test_the_disk_is_not_looked_at_for_every_frame(
    order: Order, keys: list[Key], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Key] = []
    monkeypatch.setattr(Engines, "find", lambda self, key: looks.append(key))
    building = Builds(Engines(order.folder))
    for _ in range(1000):
        building.ready(keys[0])
    assert len(looks) < 5


def test_two_children_for_one_engine_build_it_once(
    order: Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real program twice at once: one builds, the other waits and takes the same."""
    fake_tensorrt.for_children(monkeypatch, tmp_path / "modules")
    with Child(order) as first, Child(order) as second:
        ends = [list(child.events())[-1] for child in (first, second)]
    assert ends[0] == ends[1]
    assert sorted(file.suffix for file in order.folder.iterdir()) == [".cache", ".json", ".plan"]


def test_a_child_killed_at_any_time_leaves_nothing_that_is_believed(
    order: Order, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_tensorrt.for_children(monkeypatch, tmp_path / "modules")
    with Child(order) as child:
        for event in child.events():
            if event.get("share", 0) >= 0.5:
                child._process.kill()
                break
        child._process.wait()
    engines = Engines(order.folder)
    assert engines.entries() == []
    with engines.building(order.key(HERE).name):
        pass
