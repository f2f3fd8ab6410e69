"""Fixtures of all tests: a home of their own, the tiny bundle, and watch over threads."""

import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from . import tiny as tiny_module


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
