"""TensorRT itself: looked for in the right order, named when it is missing, heard when it speaks."""

import logging
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from allaprima.realtime.backends.nets import trt
from allaprima.realtime.engine_key import Machine
from allaprima.realtime.errors import BackendUnavailable

from .... import fake_tensorrt


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    return fake_tensorrt.install(monkeypatch)


def test_without_cupy_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(BackendUnavailable) as caught:
        trt.tensorrt()
    assert (caught.value.exit_code, caught.value.hint) == (7, "pip install 'allaprima[cuda]'")


@pytest.mark.parametrize("how", ["no driver", "no card"])
def test_the_card_is_looked_for_before_tensorrt_is_touched(
    card: SimpleNamespace, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Without a driver TensorRT gives null objects and the next call ends the process."""

    def count() -> int:
        if how == "no card":
            return 0
        raise card.cupy.cuda.runtime.CUDARuntimeError(35, "CUDA driver version is insufficient")

    card.cupy.cuda.runtime.getDeviceCount = count
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(BackendUnavailable, match="no NVIDIA card") as caught:
        trt.tensorrt()
    assert "doctor" in caught.value.hint


def test_without_tensorrt_the_extra_is_named(card: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    with pytest.raises(BackendUnavailable, match="TensorRT cannot be imported") as caught:
        trt.machine()
    assert caught.value.hint == "pip install 'allaprima[tensorrt]'"


def test_an_old_tensorrt_is_refused(card: SimpleNamespace) -> None:
    card.trt.__version__ = "10.9.0.34"
    with pytest.raises(BackendUnavailable, match=r"10\.9\.0\.34 is too old") as caught:
        trt.tensorrt()
    assert caught.value.hint.endswith("--upgrade")


def test_the_machine_is_card_driver_and_tensorrt(
    card: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = Machine(gpu="A fake", capability="9.0", tensorrt="10.16.1.11", driver="CUDA 13000")
    assert trt.machine() == expected
    driver = tmp_path / "version"
    driver.write_text("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build\nGCC 13.3.0\n")
    monkeypatch.setattr(trt, "DRIVER", driver)
    card.cupy.devices = 2
    assert trt.machines() == [expected.model_copy(update={"driver": "580.65.06"})] * 2


def test_what_tensorrt_says_goes_to_the_log(card: SimpleNamespace, caplog: pytest.LogCaptureFixture) -> None:
    journal = trt.Journal(card.trt)
    severity = card.trt.ILogger.Severity
    with caplog.at_level(logging.DEBUG, "allaprima.tensorrt"):
        for level in severity:
            journal.logger.log(level, f"%d is {level.name}")
    told: list[Any] = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert told == [
        ("CRITICAL", "%d is INTERNAL_ERROR"),
        ("ERROR", "%d is ERROR"),
        ("WARNING", "%d is WARNING"),
        ("DEBUG", "%d is INFO"),
    ]


def test_the_last_errors_are_kept_until_they_are_asked_for(card: SimpleNamespace) -> None:
    journal = trt.Journal(card.trt)
    assert journal.why() == ""
    for number in range(10):
        journal.logger.log(card.trt.ILogger.Severity.ERROR, f"error\n  {number}")
    assert journal.why() == ": error 6; error 7; error 8; error 9"
    assert journal.why() == ""
