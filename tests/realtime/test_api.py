"""What a program that imports us gets, and what it does not have to wait for."""

import subprocess
import sys
from typing import Any

import pytest

import allaprima.realtime as api

HEAVY = {"av", "cv2", "openvino", "numpy", "torch", "pydantic", "safetensors", "typer", "rich"}
NEVER = {"torch", "onnx", "aiortc", "aiohttp", "asyncio", "cupy", "tensorrt"}
"""What the engine must run without; asyncio belongs to realtime/webrtc/ alone."""


def loaded_after(*modules: str) -> set[str]:
    """Top-level names in ``sys.modules`` of a fresh process that imported ``modules``."""
    code = f"import sys, {', '.join(modules)}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("name", api.__all__)
def test_every_public_name_is_there(name: str) -> None:
    found: Any = getattr(api, name)
    assert found.__name__ == name
    assert found.__doc__


def test_public_names_are_sorted_and_come_from_where_they_live() -> None:
    assert api.__all__ == sorted(set(api.__all__))
    assert set(api.__all__) == api._HOME.keys()
    for name, home in api._HOME.items():
        assert getattr(api, name).__module__.startswith(f"allaprima.realtime.{home}")


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'Stiylzer'"):
        _ = api.Stiylzer


def test_the_package_alone_loads_nothing_heavy() -> None:
    assert not loaded_after("allaprima.realtime") & (HEAVY | NEVER)


def test_the_command_line_can_say_its_help_without_the_engine() -> None:
    assert not loaded_after("allaprima.realtime.cli") & (NEVER | {"openvino", "av", "cv2"})


def test_the_engine_never_loads_what_it_must_run_without() -> None:
    parts = ("stylizer", "pipeline", "sources", "sinks", "backends.cpu")
    assert not loaded_after(*(f"allaprima.realtime.{part}" for part in parts)) & NEVER


def test_errors_and_bundles_can_be_read_without_the_engine() -> None:
    """The exporters need them, and nothing else of the engine."""
    assert not loaded_after("allaprima.realtime.errors", "allaprima.realtime.bundle") & {"av", "cv2", "openvino"}
