"""What the handlers of one server share: streams, peers, sessions, limits.  No module holds any of it."""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from aiohttp import web

from allaprima.realtime.live.auth import Auth, Role
from allaprima.realtime.live.control import Change
from allaprima.realtime.live.hub import NAME, Full, Hub
from allaprima.realtime.live.ice import IceServer
from allaprima.realtime.live.jobs import Jobs
from allaprima.realtime.live.limits import Doorman, Limits, Rate
from allaprima.realtime.live.replies import Refused

if TYPE_CHECKING:
    from allaprima.realtime.bundle import Bundle
    from allaprima.realtime.live.stream import Stream

T = TypeVar("T")
WORKERS = 4
"""Threads that open, change and close streams; the encoders have others."""


class Answer(Protocol):
    """What a peer is told."""

    @property
    def id(self) -> str: ...
    @property
    def sdp(self) -> str: ...


class Peering(Protocol):
    """The part of `peers.Peers` that is used here."""

    async def start(self) -> None: ...
    async def answer(self, stream: "Stream", sdp: str, *, publishes: bool, views: bool) -> Answer: ...
    async def add_candidates(self, peer: str, fragment: str, /) -> None: ...
    async def close(self, peer: str, /) -> None: ...
    async def close_stream(self, stream: "Stream", /) -> None: ...
    async def close_all(self) -> None: ...
    def count(self, stream: "Stream | None" = None, /) -> int: ...


@dataclass(frozen=True, slots=True)
class Session:
    """A peer as HTTP knows it."""

    peer: str
    stream: str
    kind: str
    """``whip``, ``whep`` or ``offer``."""
    ufrag: str
    """The peer's ICE name; another one would be an ICE restart."""
    etag: str = field(default_factory=lambda: f'"{secrets.token_hex(8)}"')

    @property
    def publishes(self) -> bool:
        return self.kind != "whep"


class Site:
    """One server's state, and what may be done with it.  Lives in one event loop."""

    def __init__(
        self,
        hub: Hub,
        bundle: "Bundle",
        auth: Auth,
        jobs: Jobs,
        limits: Limits,
        ice_servers: Sequence[IceServer] = (),
        style: str | None = None,
    ) -> None:
        self.hub = hub
        self.bundle = bundle
        self.auth = auth
        self.jobs = jobs
        self.limits = limits
        self.ice_servers = tuple(ice_servers)
        self.style = style or bundle.manifest.default_style
        self.doorman = Doorman(limits)
        self.requests = Rate(limits.requests_per_second, limits.requests_burst)
        self.openings = Rate(limits.sessions_per_second, limits.sessions_burst)
        self.sessions: dict[str, Session] = {}
        self.listeners = 0
        self.closing = False
        self._peers: Peering | None = None
        self._workers = ThreadPoolExecutor(WORKERS, "live")
        self._tasks: set[asyncio.Task[None]] = set()
        self._ownerless: set[str] = set()

    @property
    def peers(self) -> Peering:
        if self._peers is None:
            raise Refused(503, "the server is starting")
        return self._peers

    def connect(self, peers: Peering) -> None:
        """Peers are made inside the running loop, with `gone` as their listener."""
        self._peers = peers

    @property
    def ready(self) -> bool:
        return self._peers is not None and not self.closing

    async def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Call what takes time in a worker thread."""
        return await asyncio.get_running_loop().run_in_executor(self._workers, function, *arguments)

    # ---- streams ----

    def find(self, name: str, role: Role) -> "Stream":
        """A stream that the caller may know of.  Raises `Refused` with 404."""
        stream = self.hub.get(name) if NAME.fullmatch(name) else None
        if stream is None or not (role >= Role.OPERATOR or self.hub.is_private(name)):
            raise Refused(404, "there is no such stream", "GET /v1/streams lists them.", {"Retry-After": "2"})
        return stream

    async def publish(self, name: str | None, sdp: str, kind: str, change: Change | None = None) -> tuple[Session, str]:
        """Open a stream for a peer that sends its picture; the session and the answer."""
        if self.closing:
            raise Full("the server is going down")
        stream = await self.run(self.hub.open, name)
        with contextlib.ExitStack() as undo:
            undo.callback(lambda: self.soon(self.end(stream.name)))
            if change is not None:
                await self.run(stream.apply, change)
            answer = await self._answer(stream, sdp, kind, views=kind == "offer")
            undo.pop_all()
        return answer

    async def watch(self, stream: "Stream", sdp: str) -> tuple[Session, str]:
        """Answer a peer that looks at a stream."""
        viewers = sum(not session.publishes for session in self.sessions.values())
        if self.closing or viewers >= self.limits.viewers:
            raise Full("there are as many viewers as there may be", "Try again later.")
        return await self._answer(stream, sdp, "whep", views=True)

    async def _answer(self, stream: "Stream", sdp: str, kind: str, views: bool) -> tuple[Session, str]:
        answer = await self.peers.answer(stream, sdp, publishes=kind != "whep", views=views)
        session = Session(answer.id, stream.name, kind, ufrag_of(sdp))
        self.sessions[answer.id] = session
        if self.hub.get(stream.name) is not stream:  # ended meanwhile
            await self.peers.close(answer.id)
            raise Refused(404, "the stream has ended")
        return session, answer.sdp

    def gone(self, peer: str) -> None:
        """A peer has ended, whoever ended it.  Called in the event loop."""
        session = self.sessions.pop(peer, None)
        if session is not None and session.publishes:
            self.soon(self.end(session.stream))

    async def end(self, name: str) -> None:
        """End a stream and everybody who sends to it or watches."""
        stream = self.hub.get(name)
        if stream is None:
            return
        await self.peers.close_stream(stream)
        await self.run(self.hub.close, name)

    def soon(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it in the background; what is under way is waited for at the end."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def sweep(self) -> None:
        """End streams that have had no publisher since the last sweep: none should be left, whatever went wrong."""
        owned = {session.stream for session in self.sessions.values() if session.publishes}
        alone = {stream.name for stream in self.hub.streams()} - owned
        for name in alone & self._ownerless:
            self.soon(self.end(name))
        self._ownerless = alone

    async def apply(self, name: str | None, change: Change) -> None:
        """Change a stream, or all of them.  Raises `AllaprimaError`; then those before the fault have changed."""
        streams = self.hub.streams() if name is None else [self.find(name, Role.OPERATOR)]
        for stream in streams:
            await self.run(stream.apply, change)

    async def close(self, seconds: float = 5.0) -> None:
        """End everything; what does not end in time is left behind."""
        self.closing = True
        late = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await asyncio.gather(self.jobs.close(), self._close_streams())
                late = False
        self._workers.shutdown(wait=not late, cancel_futures=True)

    async def _close_streams(self) -> None:
        if self._peers is not None:
            await self._peers.close_all()
        await self.run(self.hub.close_all)
        if self._tasks:
            await asyncio.wait(self._tasks)


SITE = web.AppKey("site", Site)


def ufrag_of(sdp: str) -> str:
    """The first ICE user fragment in a session description."""
    for line in sdp.splitlines():
        if line.startswith("a=ice-ufrag:"):
            return line.removeprefix("a=ice-ufrag:").strip()
    return ""
