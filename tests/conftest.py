"""Fixtures of all tests: a home of their own, the tiny bundle, and watch over threads."""

import importlib
import os
import threading
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest

from . import tiny as tiny_module


@cache
def _why_no_cuda() -> str | None:
    try:
        count = importlib.import_module("cupy").cuda.runtime.getDeviceCount()
    except ImportError:
        return "CuPy is not installed"
    except RuntimeError as error:  # no driver, or one that is too old
        return f"no CUDA device: {error}"
    return None if count else "no CUDA device"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tests marked needs_cuda are skipped without a device, and fail if REQUIRE_CUDA=1 says that there is one."""
    if item.get_closest_marker("needs_cuda") and (reason := _why_no_cuda()):
        if os.environ.get("REQUIRE_CUDA") == "1":
            pytest.fail(f"REQUIRE_CUDA=1, but {reason}", pytrace=False)
        pytest.skip(reason)


@pytest.fixture(scope="session", autouse=True)
def _own_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The user's styles and caches neither help nor suffer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ALLAPRIMA_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture
def tiny() -> ModuleType:
    """The helpers in `tests/tiny.py`."""
    return tiny_module


@pytest.fixture(scope="session")
def tiny_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that adds to the picture; not to be changed."""
    return tiny_module.write_bundle(tmp_path_factory.mktemp("bundles") / "tiny")


@pytest.fixture
def own_bundle(tmp_path: Path) -> Path:
    """The same, for tests that damage it."""
    return tiny_module.write_bundle(tmp_path / "bundle")


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nets in f32 and even pictures painted like any other, so that bytes can be predicted."""
    monkeypatch.setattr("allaprima.realtime.backends.cpu.best_precision", lambda: "f32")
    monkeypatch.setattr("allaprima.realtime.backends.cpu.substance", lambda gray: 1)


@pytest.fixture
def no_thread_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert [t.name for t in set(threading.enumerate()) - before if t.is_alive()] == []
