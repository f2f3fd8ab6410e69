"""Nets that can wait are loaded while others paint."""

import threading
from types import SimpleNamespace
from typing import Any

import pytest

from allaprima.realtime.errors import BackendError
from allaprima.realtime.loading import Nets

pytestmark = pytest.mark.usefixtures("no_thread_left")


class Loader(SimpleNamespace):
    """A backend whose nets are their keys, and come when they may."""

    def __init__(self) -> None:
        super().__init__(may=threading.Event(), loaded=[], threads=[])
        self.may.set()

    def load_net(self, bundle: Any, region: bool, scale: float) -> Any:
        assert self.may.wait(10)
        self.loaded.append((region, scale))
        self.threads.append(threading.current_thread())
        if scale == 0.25:
            raise BackendError("out of memory")
        return (region, scale)


def nets(loader: Loader) -> Nets:
    return Nets(loader, "bundle")  # type: ignore[arg-type]


def test_the_first_net_is_loaded_where_it_is_wanted_and_only_once() -> None:
    loader = Loader()
    some = nets(loader)
    assert some.ready(False, 1.0), "there is nothing to go on with meanwhile"
    assert some.get(False, 1.0) == some.get(False, 1.0) == (False, 1.0)
    assert loader.loaded == [(False, 1.0)]
    assert loader.threads == [threading.current_thread()]


def test_another_one_is_loaded_meanwhile() -> None:
    loader = Loader()
    some = nets(loader)
    some.get(False, 1.0)
    loader.may.clear()
    assert not some.ready(False, 0.5)
    assert not some.ready(False, 0.5), "nor begun twice"
    assert some.ready(False, 1.0)
    loader.may.set()
    assert some.get(False, 0.5) == (False, 0.5), "who cannot wait waits"
    assert some.ready(False, 0.5)
    assert loader.loaded == [(False, 1.0), (False, 0.5)]
    assert loader.threads[1] is not threading.current_thread()
    loader.threads[1].join(10)


def test_what_a_load_raises_comes_out_where_the_net_is_taken() -> None:
    loader = Loader()
    some = nets(loader)
    some.get(False, 1.0)
    some.ready(False, 0.25)
    for _ in range(2):
        with pytest.raises(BackendError, match="memory"):
            some.get(False, 0.25)
    assert some.ready(False, 0.25), "taking it tells"
    loader.threads[1].join(10)
