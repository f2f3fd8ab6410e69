from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .clips import write_clip


@pytest.fixture
def clip(tmp_path: Path) -> Callable[..., str]:
    def make(name: str = "clip.mp4", **wishes: Any) -> str:
        return str(write_clip(tmp_path / name, **wishes))

    return make
