"""Fixtures of the cuda backend's tests."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from allaprima.realtime.backends import cuda_step
from allaprima.realtime.bundle import Bundle

from ...kernels.fake_cupy import FakeCupy
from .cuda_rig import Still, card


@pytest.fixture
def bundle(tiny_bundle: Path) -> Bundle:
    return Bundle(tiny_bundle)


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> None:
    """No flow is searched for: that is tested for itself, and most of the work."""
    monkeypatch.setattr(cuda_step, "Dis", Still)


@pytest.fixture
def fake(still: None) -> Iterator[FakeCupy]:
    with card() as found:
        yield found
