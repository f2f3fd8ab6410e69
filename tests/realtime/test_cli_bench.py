"""The command's place in the command line; what it does is tested in tests/bench/test_cli.py."""

import subprocess
import sys

import pytest

from allaprima.realtime.cli import main


def test_it_is_a_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--help"]) == 0
    told = capsys.readouterr().out
    flags = "size layer style backend precision streams seconds trials scales against bundle name json compare"
    assert [flag for flag in flags.split() if f"--{flag}" not in told] == []


def test_nobody_else_loads_what_measures() -> None:
    look = "import sys, allaprima.realtime.cli; print([name for name in sys.modules if 'allaprima.bench' in name])"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
