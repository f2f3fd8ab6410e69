"""Notes of what is wanted, put together as the engine does."""

from typing import Any

import numpy as np
import pytest

from allaprima.realtime.backends.cuda_tokens import Blended, Carried, Mixed, Motion, Painted, Uploaded, wanted


@pytest.fixture
def given() -> Uploaded:
    loan: Any = object()
    return Uploaded("yuv420p", loan)


def test_memory_is_taken_once(given: Uploaded) -> None:
    assert given.take() is not None
    assert given.take() is None


def test_a_painted_picture_in_all_its_dress(given: Uploaded) -> None:
    mask = np.ones((2, 2), np.float32)
    blended = Blended(None, Painted(given, None, {}), Motion(True), 0.5)
    found = wanted(Mixed(given, Mixed(blended, given, mask), 0.25))
    assert (found.picture, found.given, found.share) == (blended, given, 0.25)
    assert found.mask is mask
    plain = wanted(blended)
    assert (plain.mask, plain.share) == (None, 1.0)


def test_one_that_was_never_blended_has_no_history(given: Uploaded) -> None:
    found = wanted(Painted(given, None, {})).picture
    assert (found.previous, found.weight, found.motion.known) == (None, 0.0, False)


def test_one_that_is_carried(given: Uploaded) -> None:
    before = Blended(None, Painted(given, None, {}), Motion(True), 0.5)
    carried = Carried(before, given, Motion(True))
    assert wanted(carried).given is given
    carried.settle()
    assert carried.previous is None, "or every picture there ever was would be kept"
    with pytest.raises(TypeError, match="can be downloaded"):
        wanted(carried)


def test_anything_else_is_refused(given: Uploaded) -> None:
    for picture in (given, Mixed(given, given, 0.5), None):
        with pytest.raises(TypeError, match="is no picture that can be downloaded"):
            wanted(picture)
