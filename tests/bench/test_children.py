import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from allaprima.bench.children import ChildFailed, finished


def python(text: str) -> list[str]:
    return [sys.executable, "-c", text]


def test_what_a_child_prints_is_given() -> None:
    assert finished(python("print('found')"), 60).strip() == "found"


def test_a_child_that_fails_says_why() -> None:
    with pytest.raises(ChildFailed, match=r"no net \(exit code 3\)"):
        finished(python("import sys; print('no net', file=sys.stderr); sys.exit(3)"), 60)
    with pytest.raises(ChildFailed, match=r"it says nothing \(exit code 4\)"):
        finished(python("import sys; sys.exit(4)"), 60)


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_a_crash_is_no_crash_of_ours() -> None:
    with pytest.raises(ChildFailed, match="signal 11"):
        finished(python("import os; os.kill(os.getpid(), 11)"), 60)


@pytest.mark.skipif(os.name != "posix", reason="process groups of POSIX")
def test_a_child_that_takes_too_long_ends_with_its_children(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    text = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); \
open({str(file)!r}, 'w').write(str(p.pid)); p.wait()"
    with pytest.raises(subprocess.TimeoutExpired):
        finished(python(text), 3)
    grandchild = int(file.read_text())
    for _ in range(100):
        if not _running(grandchild):
            break
        time.sleep(0.05)
    assert not _running(grandchild)


def _running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[-1].split()[0] != "Z"
    except OSError:
        return False
