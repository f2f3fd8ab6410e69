"""Which addresses and ports a peer may send to: ICE candidates of our side.

Without a port of its own each peer gets sockets with free ports, as aioice makes them, on the addresses that suit the
server's bind.  With one, all peers share a single UDP socket (`OnePort`): one hole in a firewall, one ``-p`` of Docker.
"""

import asyncio
import copy
import ipaddress
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from aioice import Candidate, Connection, stun
from aioice.candidate import candidate_foundation, candidate_priority
from aioice.ice import StunProtocol, get_host_addresses, server_reflexive_candidate

from allaprima.realtime.errors import ConfigError

Gather = Callable[..., Awaitable[list[Candidate]]]
Address = tuple[str, int]
SOCKET_BUFFER = 4 << 20
"""Bytes: a keyframe leaves in one burst."""
MOST_ADDRESSES = 32
"""From which one peer may send."""
COOKIE = (0x2112A442).to_bytes(4, "big")
STUN_PATIENCE = 3.0
"""Seconds that a STUN server has to tell our address."""


class Gathering:
    """How the peers of one server gather candidates.

    ``host`` is what the server binds: a wildcard takes every address of this machine, a loopback address that one and
    the others for peers on the same machine that never speak to a loopback address (Firefox, GStreamer), any other
    address just that one.  ``public`` is told to peers in the place of our own addresses: behind a NAT that forwards
    ports.  Raises `ConfigError` for what is no address.
    """

    def __init__(self, host: str = "127.0.0.1", public: str | None = None) -> None:
        self.host = "127.0.0.1" if host in ("localhost", "") else host
        for address in (self.host, *([public] if public else [])):
            try:
                ipaddress.ip_address(address)
            except ValueError as error:
                raise ConfigError(f"{address!r} is not an IP address", "Write it like 192.0.2.7.") from error
        self.public = public
        self.port: OnePort | None = None

    async def open(self, port: int | None) -> None:
        """Bind the one port, if there is to be one.  Raises `ConfigError` when it is taken."""
        if port is not None:
            self.port = await OnePort.open(self.host, port)

    async def close(self) -> None:
        if self.port is not None:
            await self.port.close()

    def addresses(self) -> list[str]:
        """Where sockets are bound, and what peers are told unless there is a public address."""
        host = ipaddress.ip_address(self.host)
        alone = self.port is not None or self.public is not None
        if not host.is_unspecified and (alone or not host.is_loopback):
            return [self.host]
        own = get_host_addresses(use_ipv4=host.version == 4 or host.is_unspecified, use_ipv6=host.version == 6)
        others = [a for a in own if not ipaddress.ip_address(a).is_loopback]
        return [self.host, *others] if host.is_loopback else others or ["127.0.0.1"]

    def allows(self, address: str) -> bool:
        """Whether a peer may name this address as its own: nothing that reaches more than one machine, and ours only
        from ours."""
        try:
            there = ipaddress.ip_address(address)
        except ValueError:
            return False  # a name: looking it up takes seconds, and its owner's checks reach us without
        if there.is_multicast or there.is_unspecified or there.is_reserved or str(there) == "255.255.255.255":
            return False
        return not there.is_loopback or any(ipaddress.ip_address(own).is_loopback for own in self.addresses())

    def check(self, transports: int) -> None:
        """Raises `ConfigError` where a peer wants a socket for each of its media from our one port."""
        if self.port is not None and transports > 1:
            raise ConfigError("the offer does not bundle its media", "Offer a=group:BUNDLE with all of them.")

    def of(self, connection: Connection) -> Gather:
        """The method that gathers for this connection, in the place of aioice's."""

        async def gather(component: int, addresses: Sequence[str] = (), timeout: int = 5) -> list[Candidate]:
            mine = self.addresses() if self.port is None else []
            found: list[Candidate] = await Connection.get_component_candidates(connection, component, mine, timeout)
            if self.port is not None:
                found = [*await self._shared(self.port, connection, component), *found]
            return [self._told(candidate) for candidate in found]

        return gather

    async def _shared(self, port: "OnePort", connection: Any, component: int) -> list[Candidate]:
        protocol = port.join(connection)
        connection._protocols.append(protocol)
        found = [_host(address, port.number, component) for address in self.addresses()]
        protocol.local_candidate = found[0]
        if connection.stun_server:
            try:
                asked = server_reflexive_candidate(protocol, connection.stun_server)
                found.append((await asyncio.wait_for(asked, STUN_PATIENCE))[0])
            except (stun.TransactionError, OSError, TimeoutError):
                pass  # the others remain
        return found

    def _told(self, candidate: Candidate) -> Candidate:
        if self.public is None or candidate.type != "host":
            return candidate
        told = copy.copy(candidate)
        told.host = self.public
        return told


def _host(address: str, port: int, component: int) -> Candidate:
    return Candidate(
        foundation=candidate_foundation("host", "udp", address),
        component=component,
        transport="udp",
        priority=candidate_priority(component, "host"),
        host=address,
        port=port,
        type="host",
    )


class OnePort(asyncio.DatagramProtocol):
    """One UDP socket for all peers.

    A peer is recognised by the user name in its connectivity checks, whose integrity is verified with the password
    that only it was told; from then on by the address that the check came from.
    """

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}
        self._by_address: dict[Address, _Line] = {}
        self._closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: asyncio.DatagramTransport | None = None
        self.number = 0

    @classmethod
    async def open(cls, host: str, port: int) -> "OnePort":
        """Raises `ConfigError` when the port cannot be had; 0 takes a free one."""
        loop = asyncio.get_running_loop()
        try:
            transport, protocol = await loop.create_datagram_endpoint(cls, local_addr=(host, port))
        except OSError as error:
            why = error.strerror or "it cannot be bound"
            raise ConfigError(f"UDP port {port} of {host} cannot be used: {why}", "Choose another one.") from error
        sock = transport.get_extra_info("socket")
        for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            sock.setsockopt(socket.SOL_SOCKET, buffer, SOCKET_BUFFER)
        protocol.number = sock.getsockname()[1]
        return protocol

    def join(self, connection: Connection) -> StunProtocol:
        """The connection's way through this port; aioice closes it."""
        line = _Line(self, connection)
        self._lines[connection.local_username] = line
        return line.protocol

    async def close(self) -> None:
        for line in list(self._lines.values()):
            line.close()
        if self.transport is not None:
            self.transport.close()
            await self._closed

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._closed.done():
            self._closed.set_result(None)

    def datagram_received(self, data: bytes, addr: tuple[Any, ...]) -> None:
        address = (addr[0], addr[1])
        line = self._by_address.get(address)
        if len(data) >= 20 and data[0] < 4 and data[4:8] == COOKIE:
            line = self._line_of(data, address) or line
        if line is not None:
            line.protocol.datagram_received(data, address)

    def error_received(self, exc: Exception) -> None:
        """A host that cannot be reached: ICE finds out by itself."""

    def _line_of(self, data: bytes, address: Address) -> "_Line | None":
        try:
            message = stun.parse_message(data)
            if message.message_class != stun.Class.REQUEST:
                asked = (line for line in self._lines.values() if message.transaction_id in line.protocol.transactions)
                return next(asked, None)
            line = self._lines.get(str(message.attributes.get("USERNAME", "")).partition(":")[0])
            signed = line is not None and "MESSAGE-INTEGRITY" in message.attributes
            if (
                line is None
                or not signed
                or not message.check_message_integrity(line.connection.local_password.encode())
            ):
                return None
        except (ValueError, IndexError, struct.error):
            return None
        known = self._by_address.get(address)
        if known is not line and len(line.addresses) < MOST_ADDRESSES:
            if known is not None:
                known.addresses.discard(address)
            self._by_address[address] = line
            line.addresses.add(address)
        return line

    def forget(self, line: "_Line") -> None:
        """For a line that is closed."""
        if self._lines.get(line.connection.local_username) is line:
            del self._lines[line.connection.local_username]
        for address in line.addresses:
            if self._by_address.get(address) is line:
                del self._by_address[address]


class _Line(asyncio.DatagramTransport):
    """One connection's share of the port: a transport to aioice, which believes it has a socket of its own."""

    def __init__(self, port: OnePort, connection: Connection) -> None:
        super().__init__()
        self.connection = connection
        self.addresses: set[Address] = set()
        self.protocol = StunProtocol(connection)
        self._port = port
        self._closing = False
        self.protocol.connection_made(self)

    def sendto(self, data: Any, addr: Any = None) -> None:
        if not self._closing and self._port.transport is not None:
            self._port.transport.sendto(data, addr)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default if self._port.transport is None else self._port.transport.get_extra_info(name, default)

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._port.forget(self)
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    def abort(self) -> None:
        self.close()
