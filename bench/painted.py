"""Was anything painted at all?  A speed is only shown for an output that passes."""

import hashlib
import itertools
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from allaprima.bench import clips
from allaprima.realtime.errors import AllaprimaError

Gray = NDArray[np.uint8]

SAME_LEVELS = 2.0
"""Mean absolute difference (of 255) up to which a picture counts as the input: that is what coding alone
does."""
FLAT_LEVELS = 4.0
"""Standard deviation up to which a picture counts as empty."""
EVEN_LEVELS = 6.0
"""Standard deviation up to which an input has little to paint and may go through as it is: a fade from black."""
MOVED_LEVELS = 2.0
"""Mean absolute difference from which on an input moved; below it is noise or a faint fade, which a held picture may
show late or not at all."""
MOVING = 0.5
"""Share of the inputs that must have moved where a speed is measured."""
EVERY = 7
"""Every so many frames one is compared with its input; all are counted and compared with all before."""
SPARSE = 8
"""Every so many rows and columns of an input are kept to compare it with."""


class NotPainted(AllaprimaError):
    """The output is wrong: its speed means nothing."""

    exit_code = 11


class NotMoving(NotPainted):
    """The input stands still: its speed says nothing of video."""


def check_file(source: Path, output: Path) -> int:
    """The number of frames in ``output``, or `NotPainted` with the reason."""
    return check(clips.luma(source), clips.luma(output))


def check(inputs: Iterable[Gray], outputs: Iterable[Gray], moving: bool = False) -> int:
    """Same number of frames, none empty, none the input, none made before of another input.

    Gives the number of frames, or raises `NotPainted`.  With ``moving`` a speed is to be told: then most inputs must
    differ from the one before, or it raises `NotMoving`.
    """
    count = moved = 0
    before: Gray | None = None
    made_of: dict[bytes, tuple[int, Gray]] = {}
    for given, made in itertools.zip_longest(inputs, outputs):
        if made is None:
            raise NotPainted(f"the output ends after {count} frames, the input goes on")
        if given is None:
            raise NotPainted(f"the output goes on after the {count} frames of the input")
        _check_picture(count, given, made)
        sample = np.ascontiguousarray(given[::SPARSE, ::SPARSE])
        known = _hash(made)
        index, then = made_of.get(known, (count, sample))
        if _levels(sample, then) >= MOVED_LEVELS:
            which = "the one before" if index == count - 1 else f"frame {index}"
            raise NotPainted(f"frame {count} repeats {which}, though the input moved")
        moved += before is not None and _levels(sample, before) >= MOVED_LEVELS
        made_of[known] = count, sample
        before = sample
        count += 1
    if not count:
        raise NotPainted("there are no frames")
    if moving and moved < max(1, MOVING * (count - 1)):
        raise NotMoving(f"only {moved} of {count} inputs differ from the one before: a speed needs real motion")
    return count


def _hash(picture: Gray) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(picture).data, digest_size=16).digest()


def _check_picture(index: int, given: Gray, made: Gray) -> None:
    if made.shape != given.shape:
        made_size, given_size = (f"{plane.shape[1]}x{plane.shape[0]}" for plane in (made, given))
        raise NotPainted(f"frame {index} is {made_size}, the input is {given_size}")
    if index % EVERY or given.std() <= EVEN_LEVELS:
        return
    if made.std() <= FLAT_LEVELS:
        raise NotPainted(f"frame {index} is empty (mean {made.mean():.0f} of 255)")
    if _levels(made, given) <= SAME_LEVELS:
        raise NotPainted(f"frame {index} is the input")


def _levels(a: Gray, b: Gray) -> float:
    """Mean absolute difference, of 255; of pictures of two sizes all of it."""
    return float(np.abs(a.astype(np.int16) - b).mean()) if a.shape == b.shape else 255.0
