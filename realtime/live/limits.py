"""How much a client may ask for: sizes, rates, and how long it may dawdle."""

import asyncio
import contextlib
import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass

from aiohttp import web

from allaprima.realtime.live.replies import Refused

REMEMBERED = 1024
"""Clients whose rate is known; the one that was silent longest is forgotten first."""


@dataclass(frozen=True, slots=True)
class Limits:
    """All bounds of a server, made for people; tests and busy hosts choose others."""

    sdp_bytes: int = 64_000
    body_bytes: int = 16_000
    picture_bytes: int = 20_000_000
    picture_pixels: int = 60_000_000
    body_seconds: float = 15.0
    """A body must be here by then; a picture has twice the time."""
    idle_seconds: float = 20.0
    """A connection without a whole request is closed after so long."""
    connections: int = 256
    listeners: int = 64
    """Receivers of server-sent events at a time."""
    requests_per_second: float = 40.0
    requests_burst: int = 160
    sessions_per_second: float = 1.0
    sessions_burst: int = 30
    """New peers and trainings of one client."""
    viewers: int = 32
    """Peers besides the publishers, of all streams together."""


class Rate:
    """A token bucket for each client."""

    def __init__(self, per_second: float, burst: int) -> None:
        self.per_second = per_second
        self.burst = burst
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def check(self, client: str, now: float | None = None) -> None:
        """Count a request.  Raises `Refused` with 429 when the client has asked too often."""
        now = time.monotonic() if now is None else now
        left, then = self._left.pop(client, (float(self.burst), now))
        left = min(left + (now - then) * self.per_second, self.burst)
        allowed = left >= 1
        self._left[client] = (left - allowed, now)
        if len(self._left) > REMEMBERED:
            self._left.popitem(last=False)
        if not allowed:
            wait = max(1, math.ceil((1 - left) / self.per_second))
            raise Refused(429, "too many requests", f"Wait {wait} s.", {"Retry-After": str(wait)})


def client_of(request: web.Request) -> str:
    """Who asks: the address, of IPv6 the network, since a host has many in it."""
    try:
        address = ipaddress.ip_address(request.remote or "")
    except ValueError:
        return request.remote or ""
    if isinstance(address, ipaddress.IPv6Address) and not address.ipv4_mapped:
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)


def check_type(request: web.Request, *types: str) -> None:
    """Raises `Refused` with 415 unless the body is of one of the types."""
    if request.content_type not in types:
        raise Refused(415, f"the body must be {' or '.join(types)}", headers={"Accept": ", ".join(types)})


async def read_body(request: web.Request, most: int, seconds: float) -> bytes:
    """The body, of at most ``most`` bytes, here within ``seconds``.  Raises `Refused` with 413, 408 or 400."""
    if request.headers.get("Content-Encoding", "identity") != "identity":
        raise Refused(415, "the body must not be compressed", headers={"Accept-Encoding": "identity"})
    if (request.content_length or 0) > most:
        raise _too_large(most)
    parts, size = [], 0
    try:
        async with asyncio.timeout(seconds):
            async for part in request.content.iter_any():
                size += len(part)
                if size > most:
                    raise _too_large(most)
                parts.append(part)
    except TimeoutError as error:
        raise Refused(408, "the body came too slowly", headers={"Connection": "close"}) from error
    except web.RequestPayloadError as error:
        raise Refused(400, "the body cannot be read", headers={"Connection": "close"}) from error
    return b"".join(parts)


def _too_large(most: int) -> Refused:
    return Refused(413, f"the body has more than {most} bytes", headers={"Connection": "close"})


class Doorman:
    """Closes connections that send no whole request, and the idlest where there are too many.

    aiohttp waits for the headers of a request as long as they take.  Its handlers of connections are known by what
    `web.Server.connections` lists; `busy` marks one whose request is being answered.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._busy: set[int] = set()
        self._idle: dict[int, float] = {}

    @contextlib.contextmanager
    def busy(self, request: web.Request) -> Iterator[None]:
        key = id(request.protocol)
        self._busy.add(key)
        try:
            yield
        finally:
            self._busy.discard(key)
            self._idle.pop(key, None)

    def sweep(self, server: web.Server, now: float) -> int:
        """Close who has been idle for too long; how many."""
        idle = {}
        for connection in server.connections:
            if id(connection) not in self._busy:
                idle[id(connection)] = (self._idle.get(id(connection), now), connection)
        oldest = sorted(idle.values(), key=lambda entry: entry[0])
        surplus = max(len(server.connections) - self._limits.connections, 0)
        gone = [c for since, c in oldest if now - since > self._limits.idle_seconds]
        gone += [c for _, c in oldest[len(gone) :][: max(surplus - len(gone), 0)]]
        for connection in gone:
            if connection.transport is not None:
                connection.transport.abort()
        self._idle = {key: since for key, (since, _) in idle.items()}
        return len(gone)
