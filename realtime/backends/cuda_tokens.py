"""What the verbs of the cuda backend give: notes of what is wanted, of which a download makes one launch."""

from dataclasses import dataclass
from typing import Any

from allaprima.realtime.backends.cuda_memory import Loan, OnDevice


class Uploaded:
    """A picture on the device, in memory that is lent until it has been painted."""

    def __init__(self, format: str, loan: Loan[OnDevice]) -> None:
        self.format = format
        self._loan: Loan[OnDevice] | None = loan

    def take(self) -> Loan[OnDevice] | None:
        """The memory, once."""
        loan, self._loan = self._loan, None
        return loan


@dataclass(frozen=True, slots=True)
class Motion:
    """The flow between two frames, which the device works out; not ``known`` where there was none before."""

    known: bool


@dataclass(frozen=True, slots=True, eq=False)
class Painted:
    """A picture painted by ``net`` with ``inputs``: filters, strength and masks by name, float16 on the host."""

    given: Uploaded
    net: Any
    inputs: dict[str, Any]


class Shown:
    """A picture that is the next one's history.  ``measured`` is whether anybody wants to know its flicker."""

    def __init__(self, previous: "Shown | None", current: Any, motion: Motion, weight: float) -> None:
        self.previous, self.current, self.motion, self.weight = previous, current, motion, weight
        self.measured = False

    def settle(self) -> None:
        """It was launched: nothing of how it came about is needed any more."""
        self.previous = self.current = None


class Blended(Shown):
    """``current``, painted, held as ``previous`` was by ``weight``."""


class Carried(Shown):
    """``previous`` carried along the motion; ``current`` is what was uploaded."""

    def __init__(self, previous: Shown, current: Uploaded, motion: Motion) -> None:
        super().__init__(previous, current, motion, 1.0)


@dataclass(frozen=True, slots=True)
class Mixed:
    """``a + t (b - a)``."""

    a: Any
    b: Any
    t: Any


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a download makes of a frame."""

    picture: Any
    """`Blended` or `Carried`."""
    given: Uploaded
    mask: Any = None
    """Where it is 1 the given picture is seen."""
    share: float = 1.0
    """Of all this in what is seen; the rest is the given picture."""


def wanted(picture: Any) -> Wanted:
    """Of a picture as the engine puts it together: painted or carried, then mixed with what was given by a mask, then
    by a number.  Raises TypeError for anything else."""
    share, mask, outer = 1.0, None, picture
    if isinstance(picture, Mixed) and isinstance(picture.a, Uploaded) and isinstance(picture.t, int | float):
        share, picture = float(picture.t), picture.b
    if isinstance(picture, Mixed) and isinstance(picture.b, Uploaded) and hasattr(picture.t, "shape"):
        mask, picture = picture.t, picture.a
    if isinstance(picture, Painted):
        picture = Blended(None, picture, Motion(False), 0.0)
    if not isinstance(picture, Blended | Carried) or picture.current is None:
        raise TypeError(f"{outer!r} is no picture that can be downloaded")
    given = picture.current if isinstance(picture, Carried) else picture.current.given
    return Wanted(picture, given, mask, share)
