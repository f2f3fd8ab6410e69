"""The cache of engines: only what is whole and fits is ever loaded.  Needs neither a card nor TensorRT."""

import errno
import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from allaprima.realtime import engines as module
from allaprima.realtime.bundle import Bundle
from allaprima.realtime.engine_key import Key, Machine, Record, key_of
from allaprima.realtime.engines import EngineBusy, Engines, NoEngine, engines_folder
from allaprima.realtime.errors import EngineMissing, SinkError

HERE = Machine(gpu="A fake", capability="9.0", tensorrt="10.16.1.11", driver="580.65")
PLAN = b"a plan" * 100


@pytest.fixture
def engines(tmp_path: Path) -> Engines:
    return Engines(tmp_path / "engines")


@pytest.fixture
def key(tiny_bundle: Path) -> Key:
    return key_of(HERE, Bundle(tiny_bundle), (12, 16))


def record(key: Key, plan: bytes = PLAN, **more: Any) -> Record:
    known = {
        "road": "onnx",
        "precision": "half",
        "psnr": 60.0,
        "compared": 2,
        "bundle": "",
        "inputs": {},
        "output": "o",
    }
    return Record(key=key, sha256=hashlib.sha256(plan).hexdigest(), bytes=len(plan), **(known | more))


def test_the_folder_is_in_the_home_or_the_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ALLAPRIMA_HOME", str(tmp_path))
    assert engines_folder() == tmp_path / "engines"
    monkeypatch.delenv("ALLAPRIMA_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    if sys.platform == "linux":
        assert engines_folder() == tmp_path / "cache/allaprima/engines"


def test_what_was_written_is_found_and_loaded(engines: Engines, key: Key) -> None:
    assert engines.find(key) is None
    assert engines.entries() == []
    path = engines.publish(PLAN, record(key))
    assert engines.find(key) == path
    assert engines.load(path) == (PLAN, record(key))
    assert engines.find(key.model_copy(update={"driver": "1"})) is None


def test_loading_counts_as_use(engines: Engines, key: Key) -> None:
    path = engines.publish(PLAN, record(key))
    os.utime(path, (1000, 1000))
    assert engines.entries()[0].used == 1000
    engines.load(path)
    assert engines.entries()[0].used > 1e9


def damage(engines: Engines, path: Path, how: str) -> None:
    sidecar = path.with_suffix(".json")
    if how == "bytes":
        path.write_bytes(PLAN[:-1] + b"?")
    elif how == "cut":
        path.write_bytes(PLAN[:-1])
    elif how == "no record":
        sidecar.unlink()
    elif how == "half a record":
        sidecar.write_bytes(sidecar.read_bytes()[:40])
    elif how == "older format":
        sidecar.write_text(sidecar.read_text().replace('"format": 1', '"format": 0'))
    else:
        other = record(Record.model_validate_json(sidecar.read_bytes()).key.model_copy(update={"driver": "1"}))
        sidecar.write_text(other.model_dump_json())


@pytest.mark.parametrize(
    ("how", "says", "found"),
    [
        ("bytes", "hash differs", True),
        ("cut", "its record says 600", False),
        ("no record", "no record", False),
        ("half a record", "cannot be read", False),
        ("older format", "format 0", False),
        ("other's record", "another engine's", False),
    ],
)
def test_what_is_damaged_is_not_believed(engines: Engines, key: Key, how: str, says: str, found: bool) -> None:
    path = engines.publish(PLAN, record(key))
    damage(engines, path, how)
    assert (engines.find(key) is not None) is found
    with pytest.raises(NoEngine, match=says):
        engines.load(path)
    if not found:
        assert says in engines.entries()[0].problem
        assert says in str(engines.missing(key))
    engines.publish(PLAN, record(key))
    assert engines.load(path)[0] == PLAN


def test_a_missing_engine_names_what_comes_closest(engines: Engines, key: Key) -> None:
    error = engines.missing(key)
    assert isinstance(error, EngineMissing)
    assert (str(error), error.key) == ("there is no TensorRT engine for 32x16", key)
    assert error.hint == "Build it: allaprima engines build --size 32x16"
    old = {"driver": "570.1", "tensorrt": "10.15.1.29"}
    engines.publish(PLAN, record(key.model_copy(update=old)))
    engines.publish(PLAN, record(key.model_copy(update={**old, "gpu": "Another"})))
    engines.publish(PLAN, record(key.model_copy(update={"cells": (16, 12)})))
    says = str(engines.missing(key))
    assert says.endswith("tensorrt 10.15.1.29 (here 10.16.1.11), driver 570.1 (here 580.65)")
    two = key.model_copy(update={"regions": 2, "cells": None})
    assert str(engines.missing(two)) == "there is no TensorRT engine for any size with a region"


def test_killed_at_any_point_nothing_is_believed(engines: Engines, key: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dies at each step of writing in turn, over an engine that was there."""
    path, new = engines.publish(PLAN, record(key)), PLAN[::-1]
    steps = 0
    replace, unlink = os.replace, Path.unlink

    class Killed(BaseException):
        pass

    for deadline in range(1, 10):
        steps = 0

        def step(deadline: int = deadline) -> None:
            nonlocal steps
            steps += 1
            if steps == deadline:
                raise Killed

        def dying_replace(*args: Any) -> None:
            step()
            replace(*args)

        def dying_unlink(self: Path, missing_ok: bool = False) -> None:
            step()
            unlink(self, missing_ok)

        with monkeypatch.context() as patch:
            patch.setattr(os, "replace", dying_replace)
            patch.setattr(Path, "unlink", dying_unlink)
            try:
                engines.publish(new, record(key, new))
            except Killed:
                pass
            else:
                break
        if engines.find(key) is not None:
            assert engines.load(path)[0] in (PLAN, new)
        engines.publish(PLAN, record(key))
    assert steps < deadline
    assert deadline > 3


def test_a_disk_that_is_full_is_an_error_with_a_hint(
    engines: Engines, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(SinkError, match="No space left") as caught:
        engines.publish(PLAN, record(key))
    assert "prune" in caught.value.hint
    assert list(engines.folder.iterdir()) == []


def test_a_folder_that_cannot_be_is_an_error(tmp_path: Path, key: Key) -> None:
    (tmp_path / "engines").write_text("a file")
    engines = Engines(tmp_path / "engines")
    with pytest.raises(SinkError):
        engines.publish(PLAN, record(key))
    with pytest.raises(SinkError) as caught, engines.building("name"):
        pass
    assert "ALLAPRIMA_HOME" in caught.value.hint


# ---- the lock ----

HOLDER = """
import sys
from pathlib import Path
from allaprima.realtime.engines import Engines
with Engines(Path(sys.argv[1])).building("name"):
    print("held", flush=True)
    sys.stdin.read()
"""


def hold(engines: Engines) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", HOLDER, str(engines.folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_one_builds_and_the_other_is_told_who(engines: Engines) -> None:
    with hold(engines) as process:
        with pytest.raises(EngineBusy) as caught, engines.building("name"):
            pass
        assert caught.value.pid == process.pid
        with engines.building("another"):
            pass
        process.communicate("")
    with engines.building("name"):
        pass
    assert list(engines.folder.iterdir()) == []


def test_the_lock_of_a_killed_builder_is_nobodys(engines: Engines) -> None:
    with hold(engines) as process:
        stray = engines.folder / f".name.plan.{process.pid}.part"
        stray.write_bytes(b"half a plan")
        other = engines.folder / ".namesake.plan.1.part"
        other.write_bytes(b"another's")
        process.kill()
        process.wait()
        assert [file.suffix for file in engines.folder.glob("*.lock")] == [".lock"]
        assert set(engines.strays()) == {stray, other}
        with engines.building("name"):
            assert engines.strays() == [other]
        assert list(engines.folder.glob("*.lock")) == []


def test_a_file_system_without_locks_is_not_taken_for_a_builder(
    engines: Engines, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(number: int) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(module, "_lock", refuse)
    with pytest.raises(SinkError, match="No locks available"), engines.building("name"):
        pass


def test_a_lock_that_was_removed_under_us_is_taken_anew(engines: Engines, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who held it unlinks it between our opening and our locking."""
    lock, tries = module._lock, []

    def late(number: int) -> None:
        if not tries:
            (engines.folder / "name.lock").unlink()
        tries.append(number)
        lock(number)

    monkeypatch.setattr(module, "_lock", late)
    with engines.building("name"):
        assert (engines.folder / "name.lock").read_text() == str(os.getpid())
    assert len(tries) == 2
