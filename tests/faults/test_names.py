"""Names of files are bytes: what is not UTF-8 is painted, told and refused like any other."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import watch

PROGRAM = "import sys; from allaprima.realtime.cli import main; sys.exit(main())"
NAME = os.fsdecode(b"f\xffilm \xe2\x80\xae\n.mkv")
"""Not UTF-8, with a sign that turns the line around, and a line break."""

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems have other names")


def allaprima(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    strict = os.environ | {"PYTHONIOENCODING": "utf-8:strict"}
    command = [sys.executable, "-c", PROGRAM, *map(str, words)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=60, env=strict)
    assert "Traceback" not in found.stderr
    return found


@pytest.mark.parametrize("flag", ["--json", "--strength=1"])
def test_a_name_that_is_no_text(clip: Any, tiny_bundle: Path, tmp_path: Path, flag: str) -> None:
    given, out = tmp_path / NAME, tmp_path / f"out {NAME}"
    shutil.copy(clip(frames=10), given)
    done = allaprima("run", given, out, "--bundle", tiny_bundle, flag)
    assert done.returncode == 0
    assert len(watch(out).times) == 10
    missing = allaprima("run", tmp_path / f"no {NAME}", out, "--bundle", tiny_bundle, flag)
    assert missing.returncode == 3
    if flag == "--json":
        assert json.loads(done.stdout)["output"] == str(out)
        assert "no such file" in json.loads(missing.stdout)["error"]
