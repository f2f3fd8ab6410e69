"""Who may do what: a token for the operator, one for guests, and pages of other sites kept out."""

import hmac
import ipaddress
from dataclasses import dataclass, field
from enum import IntEnum
from urllib.parse import urlsplit

from aiohttp import web

from allaprima.realtime.live.replies import Refused

BEARER = {"WWW-Authenticate": 'Bearer realm="allaprima"'}
SAFE = ("GET", "HEAD")


class Role(IntEnum):
    """What a caller may do."""

    ANYBODY = 0
    """The files of the page, whether the server lives."""
    GUEST = 1
    """Paint, with streams whose unguessable name is known."""
    OPERATOR = 2
    """All: named streams, the list of streams, figures, training."""


@dataclass(frozen=True, slots=True)
class Auth:
    """Checks a request.  Without a token everybody is the operator, so only this machine may ask."""

    token: str | None = None
    guest_token: str | None = None
    hosts: tuple[str, ...] = field(default=())
    """Names besides this machine's own under which a server without a token answers."""

    def __repr__(self) -> str:
        return f"Auth(token={'set' if self.token else 'none'})"  # never the token: this may be logged

    def role(self, request: web.Request) -> Role:
        """Who asks.  A wrong token is nobody."""
        if self.token is None:
            return Role.OPERATOR
        given = self._given(request)
        # Both are compared in any case: the time tells nothing.
        operator = _same(given, self.token)
        guest = _same(given, self.guest_token) if self.guest_token else False
        return Role.OPERATOR if operator else Role.GUEST if guest else Role.ANYBODY

    @staticmethod
    def _given(request: web.Request) -> str:
        kind, _, value = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return value.strip()
        # Where no header can be sent: pages, pictures, server-sent events.
        return request.query.get("token", "") if request.method in SAFE else ""

    def check(self, request: web.Request, least: Role) -> Role:
        """The caller's role, at least ``least``.  Raises `Refused` with 401 or 403."""
        self._check_host(request)
        self._check_origin(request)
        role = self.role(request)
        if role >= least:
            return role
        if role is Role.GUEST:
            raise Refused(403, "guests may not do that")
        hint = "Send Authorization: Bearer TOKEN; pages and events also take ?token=TOKEN."
        raise Refused(401, "the token is missing or wrong", hint, BEARER)

    def _check_host(self, request: web.Request) -> None:
        """Without a token, answer only to this machine's names: a page elsewhere may point a name of its own at us."""
        if self.token is not None:
            return
        host = _host(request.host)
        if not (is_loopback(host) or host in self.hosts):
            raise Refused(403, "this server answers only to localhost", "Start it with --token to use other names.")

    @staticmethod
    def _check_origin(request: web.Request) -> None:
        """A page of another site may not change anything here."""
        origin = request.headers.get("Origin")
        if request.method in SAFE or origin is None:
            return
        if urlsplit(origin).netloc.lower() != request.host.lower():
            hint = "A proxy in front of this server must pass the header Host on."
            raise Refused(403, "requests from pages of other sites are refused", hint)


def _same(given: str, token: str | None) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), (token or "").encode())


def _host(netloc: str) -> str:
    """The name in ``name:port`` or ``[address]:port``."""
    if netloc.startswith("["):
        return netloc[1:].partition("]")[0].lower()
    return netloc.partition(":")[0].lower()


def is_loopback(host: str) -> bool:
    """Whether a name or an address means this machine and nothing else."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
