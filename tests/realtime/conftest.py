"""A stylizer whose arithmetic is known."""

from pathlib import Path

import pytest

from allaprima.realtime.stylizer import (
    Stylizer,
)

from .painters import Make


@pytest.fixture
def adding(tiny_bundle: Path, exact: None) -> Make:
    """A stylizer whose styles add a number."""
    return lambda style=None, **more: Stylizer(style, bundle=tiny_bundle, **more)
