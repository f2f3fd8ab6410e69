"""Encoders that give themselves real-time priority, and how it is taken back."""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

TASKS = Path("/proc/self/task")


@contextlib.contextmanager
def usual_priority() -> Iterator[None]:
    """Whatever is opened meanwhile, this thread and the new ones go on with the scheduling this thread had.

    SVT-AV1 moves the thread that opens it and all of its own to the highest real-time priority where it may, which is
    as root, in most containers: they starve everything else on the machine, and programs started later inherit it.
    """
    if not TASKS.is_dir():  # no Linux: it does nothing of the kind
        yield
        return
    policy, parameters, before = os.sched_getscheduler(0), os.sched_getparam(0), _threads()
    try:
        yield
    finally:
        for thread in (_threads() - before) | {threading.get_native_id()}:
            with contextlib.suppress(OSError):  # it has ended meanwhile
                if os.sched_getscheduler(thread) != policy:
                    os.sched_setscheduler(thread, policy, parameters)


def _threads() -> set[int]:
    return {int(task.name) for task in TASKS.iterdir()}
