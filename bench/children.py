"""Child processes that never outlive what asked for them."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence

from allaprima.realtime.errors import AllaprimaError

KEPT = 300
"""Characters of what a failed child has said."""


class ChildFailed(AllaprimaError):
    """A child ended with an error: its last line says which."""


def finished(words: Sequence[str], limit: float) -> str:
    """What the command prints on standard output.

    Raises `ChildFailed`, and `subprocess.TimeoutExpired` after ``limit`` seconds.  Whatever ends the waiting, also
    Ctrl-C, ends the child and the children it has started.
    """
    own_group = 0 if os.name == "posix" else None
    child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, process_group=own_group)
    try:
        told, said = child.communicate(timeout=limit)
    except BaseException:
        end(child)
        raise
    if child.returncode:
        lines = said.strip().splitlines() or ["it says nothing"]
        how = f"signal {-child.returncode}" if child.returncode < 0 else f"exit code {child.returncode}"
        raise ChildFailed(f"{lines[-1][:KEPT]} ({how})")
    return told


def end(child: "subprocess.Popen[str]") -> None:
    """End it and its children, and wait until it is gone."""
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
    else:
        child.kill()
    child.communicate()
