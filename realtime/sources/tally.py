"""Counts what an input promised and what of it could be read."""

from fractions import Fraction
from typing import Any

import av

CUT_OFF_SECONDS = 1
"""A file that ends this long before the time in its header was cut off."""

HIDES_FRAMES = ("libvpx", "vp8", "vp9", "av1", "libdav1d", "libaom")
"""Decoders for which a packet need not show a picture."""


class Tally:
    """Packets in, pictures out, and what was lost on the way."""

    def __init__(self) -> None:
        self.packets = 0
        self.pictures = 0
        self.broken = 0
        """Packets that gave an error instead of a picture."""
        self.missing = 0
        """Frames beyond the end of a file that was cut off."""
        self.why = ""
        """The last error."""
        self._reached = 0.0

    @property
    def lost(self) -> int:
        return self.broken + self.missing

    def packet(self, packet: Any, is_video: bool) -> None:
        self.packets += is_video and packet.size > 0
        if packet.pts is not None:
            end = (packet.pts + (packet.duration or 0)) * packet.time_base
            self._reached = max(self._reached, float(end))

    def failed(self, error: Exception) -> None:
        self.broken += 1
        self.why = reason(error)

    def close_books(self, container: Any, video: Any, rate: Fraction | None) -> None:
        """After a whole file: also count what was broken or cut off without an error being raised."""
        self.missing = self._cut_off(container, video, rate)
        if self.broken and not video.codec_context.name.startswith(HIDES_FRAMES):
            self.broken = max(self.broken, self.packets - self.pictures)

    def _cut_off(self, container: Any, video: Any, rate: Fraction | None) -> int:
        """How many frames the file promises beyond the last packet that came."""
        if container.format.name.startswith("mov"):
            return max(0, len(video.index_entries) - self.packets)
        if not container.format.name.startswith("matroska") or not container.duration or not rate:
            return 0
        gap = container.duration / av.time_base - self._reached
        return round(gap * rate) if gap > CUT_OFF_SECONDS else 0

    def notes(self) -> list[str]:
        found = []
        if self.missing:
            found.append(f"the file ends early: about {self.missing} frames are missing at its end")
        if self.broken:
            found.append(f"{self.broken} of {self.broken + self.pictures} frames could not be decoded")
        return found


def reason(error: Exception) -> str:
    """Why it failed, in a few words and without the name of the input."""
    if isinstance(error, av.error.InvalidDataError):
        return "the data is damaged"
    words = getattr(error, "strerror", None) or str(error)
    return str(words).rstrip(".")
