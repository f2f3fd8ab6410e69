"""An encoder must not take the machine for itself."""

import os
import threading
from pathlib import Path

import pytest

from allaprima.realtime.sinks import priority
from allaprima.realtime.sinks.priority import usual_priority

from .conftest import Studio

linux = pytest.mark.skipif(not priority.TASKS.is_dir(), reason="only Linux tells and sets it so")
root = pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may take priority")


def policies() -> set[int]:
    return {os.sched_getscheduler(int(task.name)) for task in priority.TASKS.iterdir()}


@linux
@root
def test_an_av1_film_is_written_at_the_usual_priority(studio: Studio, tmp_path: Path) -> None:
    studio.write(tmp_path / "a.mp4", range(3), studio.info((96, 64)), codec="av1")
    assert policies() == {os.SCHED_OTHER}


@linux
@root
def test_new_threads_give_it_back_and_those_that_were_there_keep_it() -> None:
    end = threading.Event()

    def urgent() -> threading.Thread:
        ready = threading.Event()

        def main() -> None:
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
            ready.set()
            end.wait(10)

        thread = threading.Thread(target=main)
        thread.start()
        assert ready.wait(10)
        return thread

    old = urgent()
    try:
        with usual_priority():
            new = urgent()
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        found = [os.sched_getscheduler(thread) for thread in (0, new.native_id or 0, old.native_id or 0)]
        assert found == [os.SCHED_OTHER, os.SCHED_OTHER, os.SCHED_FIFO]
    finally:
        end.set()
        old.join()
        new.join()


@linux
@root
def test_it_is_given_back_after_an_error_too() -> None:
    def fails() -> None:
        with usual_priority():
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fails()
    assert os.sched_getscheduler(0) == os.SCHED_OTHER


def test_where_the_system_does_not_tell_nothing_is_done(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(priority, "TASKS", tmp_path / "none")
    with usual_priority():
        pass
