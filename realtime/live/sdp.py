"""Offers are read with suspicion, answers are dressed with what browsers want to hear."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from aiortc import RTCIceCandidate
from aiortc.sdp import MediaDescription, SessionDescription, candidate_from_sdp

from allaprima.realtime.errors import ConfigError

LONGEST = 100_000
"""Characters of an offer; those of browsers have 5,000 to 20,000."""
MOST_MEDIA, MOST_CANDIDATES = 8, 50
HIGHEST_LEVEL = 0x34
"""Of the H.264 that we can decode, ten times: 5.2."""
BROKEN = (ValueError, LookupError, TypeError, AttributeError, AssertionError, StopIteration)
"""What aiortc's parser raises for texts that are not SDP."""


class Unacceptable(ConfigError):
    """An offer that can be read, but not answered."""


@dataclass(frozen=True, slots=True)
class Bitrates:
    """What we ask browsers to send, kbit/s.  Without it they sink to 480x360 on a line that could do far more."""

    least: int = 800
    first: int = 2500
    most: int = 8000

    def __str__(self) -> str:
        return f"x-google-min-bitrate={self.least};x-google-start-bitrate={self.first};x-google-max-bitrate={self.most}"


@dataclass(frozen=True, slots=True)
class Offer:
    """An offer that could be read."""

    sdp: str
    """Without the candidates that are of no use to us."""
    media: tuple[MediaDescription, ...]
    profiles: dict[str, str]
    """Profile (four hexadecimal digits) of H.264 payload types that aiortc is shown as constrained baseline."""


def read_offer(text: str, allows: Callable[[str], bool]) -> Offer:
    """The offer; ``allows`` says which addresses a peer may have.

    Raises `ConfigError` for what is no offer, `Unacceptable` for one without video.
    """
    if len(text) > LONGEST:
        raise ConfigError("that SDP is too long")
    sections = re.split(r"\r?\n(?=m=)", text.strip())
    if not sections[0].startswith("v=0") or len(sections) - 1 > MOST_MEDIA:
        raise ConfigError("that is not an SDP offer", "Send what RTCPeerConnection.createOffer gives.")
    profiles: dict[str, str] = {}
    kept = [sections[0], *(_shown(_cleaned(section, allows), profiles) for section in sections[1:])]
    sdp = "\r\n".join("\r\n".join(section.splitlines()) for section in kept) + "\r\n"
    try:
        parsed = SessionDescription.parse(sdp)
        str(parsed)
    except BROKEN as error:
        raise ConfigError("that is not an SDP offer", "Send what RTCPeerConnection.createOffer gives.") from error
    for media in parsed.media:
        if media.kind not in ("audio", "video", "application"):
            raise Unacceptable(f"media of the kind {media.kind!r} are unknown here")
        if media.ice is None or media.ice.usernameFragment is None or media.ice.password is None or media.dtls is None:
            raise ConfigError("the offer has no ICE user or no fingerprint")
    mids = [media.rtp.muxId for media in parsed.media]
    bundled = {str(mid) for group in parsed.group if group.semantic == "BUNDLE" for mid in group.items}
    if "" in mids or len(set(mids)) < len(mids) or not bundled <= set(mids):
        raise ConfigError("the media of the offer are not named, or are bundled by other names")
    if not any(media.kind == "video" for media in parsed.media):
        raise Unacceptable("the offer has no video", "Offer a video track, or a transceiver that receives one.")
    return Offer(sdp, tuple(parsed.media), profiles)


def _cleaned(section: str, allows: Callable[[str], bool]) -> str:
    """Without candidates that we may not or cannot use; never "that is all": its own checks may show us more.

    Without the address for RTCP, which nobody uses beside rtcp-mux: Firefox writes a name of mDNS there, which aiortc
    cannot read.  Where the peer leaves it to us who begins with DTLS, it shall: as a server aiortc gets on with peers
    that have an RSA certificate (GStreamer), as a client it refuses them.
    """
    lines, found = [], 0
    for line in section.splitlines():
        if line.startswith(("a=end-of-candidates", "a=rtcp:")):
            continue
        if line == "a=setup:actpass":
            line = "a=setup:active"
        if line.startswith("a=candidate:"):
            found += 1
            if found > MOST_CANDIDATES or _candidate(line.removeprefix("a=candidate:"), allows) is None:
                continue
        lines.append(line)
    return "\n".join(lines)


def _candidate(text: str, allows: Callable[[str], bool]) -> RTCIceCandidate | None:
    try:
        candidate = candidate_from_sdp(text)
    except BROKEN as error:
        raise ConfigError("a candidate in it cannot be read") from error
    udp = candidate.protocol.lower() == "udp" and 0 < candidate.port < 65536 and candidate.component == 1
    return candidate if udp and candidate.type in ("host", "srflx", "relay") and allows(candidate.ip) else None


def _shown(section: str, profiles: dict[str, str]) -> str:
    """With profiles of H.264 that aiortc does not know as the one it knows.

    Where we only send, that is main, which our encoder makes as well; where we only receive, any: our decoder takes
    them all.
    """
    way = re.search(r"(?m)^a=(recvonly|sendonly)\s*$", section)
    if not section.startswith("m=video") or way is None:
        return section
    known = "4d00" if way[1] == "recvonly" else "(?!42)[0-9a-f]{4}"
    lines, ours = section.splitlines(), []
    for index, line in enumerate(lines):
        if match := re.match(rf"(?i)a=fmtp:(\d+) .*profile-level-id=({known})", line):
            profiles[match[1]] = match[2]
            ours.append(f"a=rtpmap:{match[1]} ")
            lines[index] = re.sub(rf"(?i)(profile-level-id=){known}", r"\g<1>42e0", line)
    first = [line for line in lines if line.startswith(tuple(ours))]  # aiortc takes the first that it knows
    return "\n".join([lines[0], *first, *(line for line in lines[1:] if line not in first)])


def first_payload(answer: MediaDescription) -> str:
    """The payload type that the answer prefers."""
    return str(answer.rtp.codecs[0].payloadType)


def dress(answer: str, bitrates: Bitrates, profiles: dict[str, str]) -> str:
    """The answer with our bitrates where we receive video, the profiles as they were offered, and the true level."""
    sections = re.split(r"\r?\n(?=m=)", answer.strip())
    return "\r\n".join(line for section in sections for line in _dressed(section, bitrates, profiles)) + "\r\n"


def _dressed(section: str, bitrates: Bitrates, profiles: dict[str, str]) -> Iterator[str]:
    lines = section.splitlines()
    if not lines[0].startswith("m=video"):
        yield from lines
        return
    receives = any(line in ("a=recvonly", "a=sendrecv") for line in lines)
    spoken = {line.split()[0].removeprefix("a=fmtp:") for line in lines if line.startswith("a=fmtp:")}
    for line in lines:
        payload = re.match(r"a=(?:fmtp|rtpmap):(\d+) ", line)
        if payload is None:
            yield line
        elif line.startswith("a=fmtp:"):
            profile = profiles.get(payload[1], r"\g<2>")
            level = rf"\g<1>{profile}{HIGHEST_LEVEL:02x}"
            line = re.sub(r"(?i)(profile-level-id=)([0-9a-f]{4})[0-9a-f]{2}", level, line)
            yield f"{line};{bitrates}" if receives and "apt=" not in line else line
        else:
            yield line
            if receives and payload[1] not in spoken:
                yield f"a=fmtp:{payload[1]} {bitrates}"


def read_fragment(text: str, ufrag: str, allows: Callable[[str], bool]) -> list[RTCIceCandidate]:
    """The candidates in an ``application/trickle-ice-sdpfrag`` (RFC 8840) for the peer with this user name.

    Raises `ConfigError` for garbage and for another user name: that would be an ICE restart.
    """
    if len(text) > LONGEST:
        raise ConfigError("that fragment is too long")
    mid: str | None = None
    found: list[RTCIceCandidate] = []
    for line in text.splitlines():
        name, _, value = line.strip().partition(":")
        if name == "a=ice-ufrag" and value != ufrag:
            raise Unacceptable("that is an ICE restart, which is not known here", "Make a new session.")
        if name == "a=mid":
            mid = value
        elif name == "a=candidate":
            candidate = _candidate(value, allows)
            if candidate is not None and len(found) < MOST_CANDIDATES:
                candidate.sdpMid = mid
                candidate.sdpMLineIndex = 0 if mid is None else None
                found.append(candidate)
        elif line.strip() and not re.match(r"[a-z]=", line):
            raise ConfigError("that is not a fragment of SDP")
    return found
