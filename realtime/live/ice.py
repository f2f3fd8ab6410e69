"""STUN and TURN servers, as the command line names them, as browsers and as WHIP clients want them."""

import re
from dataclasses import dataclass
from typing import Any

from allaprima.realtime.errors import ConfigError

URL = re.compile(
    r"(?P<scheme>stuns?|turns?):(?:(?P<user>[^\s@:]+):(?P<secret>[^\s@]+)@)?"
    r"(?P<host>[A-Za-z0-9._-]+|\[[0-9a-fA-F:.]+\])(?P<port>:\d{1,5})?(?P<how>\?transport=(?:udp|tcp))?"
)


@dataclass(frozen=True, slots=True)
class IceServer:
    """One server: helps two peers find a way to each other (STUN) or is the way (TURN)."""

    url: str
    """``stun:HOST[:PORT]`` or ``turn:HOST[:PORT][?transport=tcp]``, without the user."""
    username: str = ""
    credential: str = ""

    def __repr__(self) -> str:
        return f"IceServer({self.url!r})"  # never the credential: this may be logged

    @classmethod
    def parse(cls, text: str) -> "IceServer":
        """``stun:stun.example.net:3478`` or ``turn:USER:SECRET@turn.example.net:3478?transport=udp``."""
        match = URL.fullmatch(text.strip())
        if match is None:
            hint = "Write stun:HOST:PORT or turn:USER:SECRET@HOST:PORT, at the end ?transport=tcp if need be."
            raise ConfigError("that is not an ICE server", hint)  # the text may hold a secret
        turn = match["scheme"].startswith("turn")
        if turn != bool(match["user"]):
            raise ConfigError(
                f"the ICE server {match['host']} {'needs' if turn else 'takes no'} user and secret",
                "Write turn:USER:SECRET@HOST:PORT." if turn else "Write stun:HOST:PORT.",
            )
        url = f"{match['scheme']}:{match['host']}{match['port'] or ''}{match['how'] or ''}"
        return cls(url, match["user"] or "", match["secret"] or "")

    def as_json(self) -> dict[str, Any]:
        """An entry of ``RTCConfiguration.iceServers``."""
        user = {"username": self.username, "credential": self.credential} if self.username else {}
        return {"urls": [self.url]} | user

    def link(self) -> str:
        """A ``Link`` header of RFC 9725."""
        parts = [f"<{self.url}>", 'rel="ice-server"']
        if self.username:
            parts += [f"username={_quoted(self.username)}", f"credential={_quoted(self.credential)}"]
            parts += ['credential-type="password"']
        return "; ".join(parts)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
