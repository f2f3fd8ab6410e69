"""What others do against flicker: filters over frames that were painted one by one.

Each takes the input pictures and the painted ones, float32 RGB ``(H, W, 3)`` in 0..1, and yields what would be
shown, frame by frame.
"""

from collections.abc import Callable, Iterable, Iterator

import cv2
import numpy as np

from allaprima.bench.coherence import Picture, warp
from allaprima.bench.footage import as_bytes, estimated, medium_flow

Filter = Callable[[Iterable[Picture], Iterable[Picture]], Iterator[Picture]]

AVERAGE = 0.5
"""Share of what was shown before."""
UNCHANGED = 25 / 255
"""Change of the input, in every channel, up to which a pixel is held."""
WARPED = 0.8
"""Share of the warped history."""


def averaging(_given: Iterable[Picture], painted: Iterable[Picture]) -> Iterator[Picture]:
    """The mean of the new picture and what was shown before."""
    shown: Picture | None = None
    for new in painted:
        shown = new if shown is None else np.asarray(new + AVERAGE * (shown - new), np.float32)
        yield shown


def holding(given: Iterable[Picture], painted: Iterable[Picture]) -> Iterator[Picture]:
    """A pixel stays as it was painted until its input has changed since by more than 25 of 255.

    After ``_supress_noise`` of MaximusMutschler/Virtual-Neural-Style-Transfer-Webcam-for-Linux, which compares
    with the held input too, but channel by channel, and paints what was held; its bytes wrap around, so that
    it holds only what got darker or stayed.
    """
    held: tuple[Picture, Picture] | None = None
    for picture, new in zip(given, painted, strict=True):
        if held is None:
            held = picture, new
        else:
            # Half a level more: differences of bytes over 255 are not exact in float32.
            same = (np.abs(picture - held[0]) <= UNCHANGED + 0.5 / 255).all(-1, keepdims=True)
            held = np.where(same, held[0], picture), np.where(same, held[1], new)
        yield held[1]


def warping(given: Iterable[Picture], painted: Iterable[Picture]) -> Iterator[Picture]:
    """Mixed with what was shown before, warped (bilinear) along DIS (medium) where forward and backward agree.

    On clips that is the very flow that E_warp is measured with, which favors it.
    """
    dis, shown, before = medium_flow(), None, None
    for picture, new in zip(given, painted, strict=True):
        gray = cv2.cvtColor(as_bytes(picture), cv2.COLOR_RGB2GRAY)
        if shown is None:
            shown = new
        else:
            flow, hidden = estimated(dis, before, gray)
            mixed = new + np.float32(WARPED) * (warp(shown, flow) - new)
            shown = np.where(hidden[..., None], new, mixed)
        before = gray
        yield shown


FILTERS: dict[str, Filter] = {"averaging": averaging, "holding": holding, "warping": warping}
