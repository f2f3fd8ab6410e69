"""What every sink is, and what it may be told."""

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, runtime_checkable

from allaprima.realtime.frame import Frame


@dataclass(frozen=True, slots=True)
class EncoderOptions:
    """How to compress; ``None`` is the sink's own choice."""

    codec: str | None = None
    """An encoder (``libx264``) or a codec (``h264``)."""
    crf: int | None = None
    """Quality on the encoder's own scale; a smaller number looks better."""
    bitrate: str | None = None
    """``6M``, ``800k`` or plain bits per second."""
    preset: str | None = None


OWN_CHOICE = EncoderOptions()


class Sink(Protocol):
    """Takes painted frames.  ``write`` may block; it is called from one thread."""

    notes: list[str]
    """What the user should know about the output, one sentence each."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        """A clean exit finishes the output; an exception throws the half-written output away."""

    def write(self, frame: Frame) -> None: ...


@runtime_checkable
class Attentive(Protocol):
    """A sink that has something to do while no frame comes: a window with keys."""

    def poll(self) -> None:
        """Called about ten times a second while the sink waits, from the thread that writes."""


def takes_device_frames(sink: object) -> bool:
    """Whether a sink takes frames whose planes lie on a device (a true ``on_device``); others get them landed."""
    return bool(getattr(sink, "on_device", False))


def wants_cadence(sink: object) -> bool:
    """Whether a sink wants the frames of a live source at equal steps of time (it has a true ``steady``)."""
    return bool(getattr(sink, "steady", False))


class Controls(Protocol):
    """What the keys of a window steer."""

    def select(self, number: int) -> None:
        """Change to style ``number``, from 1."""

    def toggle_bypass(self) -> None: ...

    def change_strength(self, delta: float) -> None: ...

    def quit(self) -> None: ...

    def status(self) -> str:
        """One short line: style, strength, frame rate."""
