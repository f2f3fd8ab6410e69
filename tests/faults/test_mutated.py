"""Damaged inputs by the hundred, and by the ten thousand with FAULTS_LONG=1: taken or refused, nothing else.

They are fed in child processes (`feeder.py`): a decoder that crashes must not take the tests with it, and one that
hangs is ended.  Every input follows from its group and its number, so each can be had again:
``feeder.py GROUP FOLDER NUMBER 1``.
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

FEEDER = Path(__file__).with_name("feeder.py")
LONG = os.environ.get("FAULTS_LONG") == "1"
GROUPS = {"texts": (400, 3000, 4), "bundles": (60, 2000, 60), "media": (130, 2500, 40), "http": (120, 2500, 60)}
"""Inputs in the everyday form and in the long one, and megabytes that memory may grow by in the long one."""
MOST_CRASHES = 3
POOLS = 4
"""Threads and files that a pool may still add when all has settled."""
PATIENCE = 1800 if LONG else 100

pytestmark = [
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="children are watched through /proc"),
]


@dataclass
class Fed:
    """What came of the inputs of one group."""

    outcomes: Counter[str] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)
    grown: list[tuple[int, int, int]] = field(default_factory=list)
    """Threads, files and bytes that each child held more at its end than when it had settled."""


def feed(group: str, count: int, folder: Path) -> Fed:
    """Feed ``count`` inputs; after a crash a new child goes on behind the input that caused it."""
    fed, first = Fed(), 0
    while first < count and len(fed.bad) <= MOST_CRASHES:
        words = [sys.executable, str(FEEDER), group, str(folder / str(first)), str(first), str(count - first)]
        (folder / str(first)).mkdir()
        child = subprocess.run(
            words, capture_output=True, text=True, errors="replace", timeout=PATIENCE, env=_environment(folder)
        )
        told = [json.loads(line) for line in child.stdout.splitlines() if line.startswith("{")]
        fed.bad += [f"{each['target']} {each['number']}: {each['bad']}" for each in told if "bad" in each]
        if child.returncode == 0:
            fed.outcomes += Counter(told[-1]["outcomes"])
            fed.grown.append(tuple(now - then for then, now in zip(told[-1]["before"], told[-1]["after"], strict=True)))
            break
        mark = folder / str(first) / "at"
        assert mark.exists(), child.stderr[-3000:]
        fed.bad.append(f"{group} {mark.read_text().strip()} ended it ({child.returncode}): {child.stderr[-1500:]}")
        first = int(mark.read_text()) + 1
    return fed


def _environment(folder: Path) -> dict[str, str]:
    return os.environ | {"ALLAPRIMA_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize("group", GROUPS)
def test_what_is_damaged_is_taken_or_refused(group: str, tmp_path: Path) -> None:
    if group == "http" and not (importlib.util.find_spec("aiohttp") and importlib.util.find_spec("aiortc")):
        pytest.skip("the extra webrtc is not installed")
    everyday, long, megabytes = GROUPS[group]
    count = long if LONG else everyday
    fed = feed(group, count, tmp_path)
    print(dict(sorted(fed.outcomes.items())), fed.grown)
    assert fed.bad == []
    assert sum(fed.outcomes.values()) == count
    assert {word.split()[1] for word in fed.outcomes} - {"taken"}, "the damage does none"
    ((threads, files, size),) = fed.grown
    assert threads <= POOLS
    assert files <= POOLS
    if LONG:
        assert size < megabytes * 1e6


def test_a_child_that_crashes_or_hangs_is_found_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch itself: a feeder that dies at its second input, and would do so for ever."""
    broken = tmp_path / "feeder.py"
    broken.write_text(
        "import os, sys, pathlib\n"
        "folder, first = pathlib.Path(sys.argv[2]), int(sys.argv[3])\n"
        "(folder / 'at').write_text(str(first + 1))\n"
        "os.abort()\n"
    )
    monkeypatch.setattr(sys.modules[__name__], "FEEDER", broken)
    fed = feed("texts", 100, tmp_path)
    assert len(fed.bad) == MOST_CRASHES + 1
    assert fed.bad[0].startswith("texts 1 ended it (-6)")
    assert not fed.outcomes
