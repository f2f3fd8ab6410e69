import json
import subprocess
import sys

import pytest

from allaprima.bench import precision
from allaprima.realtime.backends import cpu, open_backend
from allaprima.realtime.errors import ConfigError
from allaprima.realtime.frame import Color


def test_what_the_backend_takes_by_itself_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "best_precision", lambda: "bf16")
    assert precision.offered("cpu") == ("bf16", "f32")
    assert precision.chosen("cpu", None) == "bf16"
    assert precision.chosen("cpu", "f32") == "f32"
    assert precision.offered("cuda") == (precision.CARD,)


def test_a_precision_that_is_not_offered_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "best_precision", lambda: "f32")
    with pytest.raises(ConfigError, match="cannot paint in 'bf16'") as error:
        precision.chosen("cpu", "bf16")
    assert "f32" in error.value.hint


def test_the_chosen_one_is_what_nets_run_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cpu, "best_precision", cpu.best_precision)  # put back afterwards
    precision.use("f32")
    backend = open_backend("cpu", (64, 48), Color())
    assert backend.precision == "f32"  # type: ignore[attr-defined]
    precision.use(precision.CARD)
    assert cpu.best_precision() == "f32"


def test_the_command_takes_it(tmp_path: object) -> None:
    words = [sys.executable, "-m", "allaprima.bench.precision", "f32", "run", "none.mp4", "null:", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 3
    assert json.loads(done.stdout)["ok"] is False
