"""What a user asks of a source: its name, and which part of it at which size."""

import re
from dataclasses import dataclass
from fractions import Fraction
from urllib.parse import urlsplit, urlunsplit

from allaprima.realtime.backends.hardware import Hardware
from allaprima.realtime.errors import ConfigError

SIDE_MIN_PIXELS, SIDE_MAX_PIXELS = 16, 16384

SECRET = re.compile(r"(?i)\b(pass(?:phrase|word|wd)?|token|key|secret|streamid)=[^&\s]*")


@dataclass(frozen=True, slots=True)
class Request:
    """The keywords of `open_source`, checked: `ConfigError` for what no source could do."""

    size: tuple[int, int] | None = None
    start: float | None = None
    end: float | None = None
    frames: int | None = None
    hardware: Hardware | None = None
    """Decoders to be used where they can be."""
    again: bool = False
    """It was open before: nobody waits without end for the first caller."""
    follow: float | None = None
    """A file is still being written: it ends after so many seconds without growth."""

    def __post_init__(self) -> None:
        if self.size is not None and not all(SIDE_MIN_PIXELS <= s <= SIDE_MAX_PIXELS for s in self.size):
            raise ConfigError(
                f"impossible size {self.size[0]}x{self.size[1]}",
                f"Each side must be between {SIDE_MIN_PIXELS} and {SIDE_MAX_PIXELS} pixels.",
            )
        for word, seconds in (("start", self.start), ("end", self.end)):
            if seconds is not None and not 0 <= seconds < float("inf"):
                raise ConfigError(
                    f"impossible {word} time {seconds}", "Times are seconds from the beginning, 0 or more."
                )
        if self.end is not None and self.end <= (self.start or 0):
            raise ConfigError(
                f"the end ({self.end} s) is not after the start ({self.start or 0} s)",
                "Swap them, or leave one out.",
            )
        if self.follow is not None and not 0 < self.follow < float("inf"):
            raise ConfigError(f"impossible time to follow a file: {self.follow:g} s", "Give seconds above 0.")
        if self.frames is not None and self.frames < 1:
            raise ConfigError(f"impossible number of frames: {self.frames}", "Ask for at least one frame.")

    @property
    def trims(self) -> bool:
        return bool(self.start) or self.end is not None


def label(uri: str) -> str:
    """The URI as it may be shown and logged: without passwords."""
    if "://" not in uri:
        return uri
    parts = urlsplit(uri)
    host = parts.netloc.rpartition("@")[2]
    user = parts.username
    netloc = f"{user}:***@{host}" if user and parts.password else parts.netloc
    return urlunsplit(parts._replace(netloc=netloc, query=SECRET.sub(r"\1=***", parts.query)))


def seconds(value: float) -> Fraction:
    """Seconds as the decimal number the user typed: 0.1 is 1/10."""
    return Fraction(str(value))
