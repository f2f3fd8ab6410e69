"""The three steps of painting in three threads give what one thread gives."""

import numpy as np
from numpy.typing import NDArray

from allaprima.realtime import Frame, Stylizer, open_source, run

SCENE = "test:landscape?size=160x96&frames=12"


class Keep:
    """A sink that copies the luma of what it gets."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.luma: list[NDArray[np.uint8]] = []

    def __enter__(self) -> "Keep":
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def write(self, frame: Frame) -> None:
        self.luma.append(np.array(frame.planes[0]))


def test_a_run_paints_what_a_plain_loop_paints() -> None:
    stylizer = Stylizer("starry-night", steadiness=0.9)
    with open_source(SCENE) as source:
        plain = [np.array(stylizer(frame).planes[0]) for frame in source]
    keep = Keep()
    run(open_source(SCENE), Stylizer("starry-night", steadiness=0.9), [keep])
    assert len(keep.luma) == len(plain) == 12
    assert all(np.array_equal(a, b) for a, b in zip(keep.luma, plain, strict=True))
