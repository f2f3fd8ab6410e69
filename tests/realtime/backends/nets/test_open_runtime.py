"""Which runtime serves, what is said of it, and what is not even imported."""

import logging
import subprocess
import sys
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from allaprima.realtime.backends import nets
from allaprima.realtime.backends.nets import open_runtime
from allaprima.realtime.errors import BackendUnavailable, ConfigError, EngineMissing

PACKAGE = "allaprima.realtime.backends.nets"
HERE = ("the bundle", (24, 32), "the stream", True)
NO_ENGINE = EngineMissing("no engine for 128 x 96", "allaprima engines build")
NO_LIBRARY = BackendUnavailable("TensorRT cannot be imported", "pip install tensorrt")
NO_CARD = BackendUnavailable("torch finds no card", "pip install torch")
Install = Callable[[str, str, Any], list[Any]]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Put a module in place whose opener gives a runtime or raises; gives the list of what it was asked for."""

    def put(name: str, opener: str, outcome: Any) -> list[Any]:
        asked: list[Any] = []

        def open_it(*arguments: Any) -> Any:
            asked.append(arguments)
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        module = ModuleType(f"{PACKAGE}.{name}")
        setattr(module, opener, open_it)
        monkeypatch.setitem(sys.modules, f"{PACKAGE}.{name}", module)
        monkeypatch.setattr(nets, name, module, raising=False)
        return asked

    return put


def tensorrt(install: Install, outcome: Any) -> list[Any]:
    return install("tensorrt_net", "open_tensorrt", outcome)


def torch(install: Install, outcome: Any) -> list[Any]:
    return install("torch_net", "open_torch", outcome)


RUNTIME = SimpleNamespace(name="a runtime")


def test_tensorrt_serves_where_it_can_and_torch_is_not_imported(
    install: Install, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = tensorrt(install, RUNTIME)
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, f"{PACKAGE}.torch_net", raising=False)
    with caplog.at_level(logging.INFO, "allaprima"):
        assert open_runtime(*HERE) is RUNTIME  # type: ignore[arg-type]
    assert asked == [HERE]
    assert [record.getMessage() for record in caplog.records] == ["the nets run in TensorRT"]


@pytest.mark.parametrize("why", [NO_ENGINE, NO_LIBRARY])
def test_torch_serves_where_tensorrt_cannot_and_the_log_says_why(
    install: Install, caplog: pytest.LogCaptureFixture, why: Exception
) -> None:
    tensorrt(install, why)
    asked = torch(install, RUNTIME)
    with caplog.at_level(logging.INFO, "allaprima"):
        assert open_runtime(*HERE) is RUNTIME  # type: ignore[arg-type]
    assert asked == [HERE]
    assert [r.getMessage() for r in caplog.records] == [f"the nets run in torch, not in TensorRT: {why}"]


@pytest.mark.parametrize("why", [NO_ENGINE, NO_LIBRARY])
def test_who_asks_for_tensorrt_gets_nothing_else(install: Install, why: Exception) -> None:
    tensorrt(install, why)
    asked = torch(install, RUNTIME)
    with pytest.raises(type(why)) as told:
        open_runtime(*HERE, wanted="tensorrt")  # type: ignore[arg-type]
    assert told.value is why
    assert asked == []


def test_who_asks_for_torch_gets_nothing_else(install: Install) -> None:
    asked = tensorrt(install, RUNTIME)
    torch(install, NO_CARD)
    with pytest.raises(BackendUnavailable, match="no card"):
        open_runtime(*HERE, wanted="torch")  # type: ignore[arg-type]
    assert asked == []


def test_where_nothing_serves_both_reasons_are_told(install: Install) -> None:
    tensorrt(install, NO_LIBRARY)
    torch(install, NO_CARD)
    with pytest.raises(BackendUnavailable, match="TensorRT cannot be imported; torch finds no card") as told:
        open_runtime(*HERE)  # type: ignore[arg-type]
    assert told.value.hint == "pip install torch"


def test_without_torch_it_says_what_to_install(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, f"{PACKAGE}.torch_net", raising=False)
    monkeypatch.delitem(sys.modules, f"{PACKAGE}.torch_ops", raising=False)
    with pytest.raises(BackendUnavailable, match="torch cannot be imported") as told:
        open_runtime(*HERE, wanted="torch")  # type: ignore[arg-type]
    assert told.value.hint == "pip install torch onnx"


def test_an_unknown_runtime_is_named() -> None:
    with pytest.raises(ConfigError, match="'tensorflow'") as told:
        open_runtime(*HERE, wanted="tensorflow")  # type: ignore[arg-type]
    assert "tensorrt, torch" in told.value.hint


def test_to_load_the_interface_loads_no_runtime() -> None:
    heavy = "{'torch', 'tensorrt', 'onnx', 'cupy', 'openvino'}"
    code = f"import sys, {PACKAGE}; print({heavy} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
