"""A server on loopback with streams and peers that are small fakes, or with the real ones."""

import asyncio
import itertools
import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

aiohttp = pytest.importorskip("aiohttp")

from allaprima.bench import chromium  # noqa: E402
from allaprima.realtime.errors import ConfigError, UnknownStyle  # noqa: E402
from allaprima.realtime.live.control import Change, State, Stats  # noqa: E402
from allaprima.realtime.live.limits import Limits  # noqa: E402
from allaprima.realtime.live.sdp import Unacceptable  # noqa: E402
from allaprima.realtime.live.server import Server  # noqa: E402
from allaprima.realtime.live.settings import Settings  # noqa: E402
from allaprima.realtime.metrics import Stages  # noqa: E402

from . import browsing, calls  # noqa: E402

SDP = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=ice-ufrag:abcd\r\n"
GENEROUS = Limits(requests_burst=100_000, sessions_burst=100_000)
STYLES = ("plain", "bright", "dark", "blue")


class FakeStream:
    """Remembers what it is told."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.closed = False
        self.stages = Stages()
        self.state = State(style="plain", mix={"plain": 1.0}, strength=1.0, steadiness=0.5, transition=1.0)
        self._listeners: list[Callable[[State], None]] = []
        self._lock = threading.Lock()

    def apply(self, change: Change) -> State:
        given = change.model_dump(exclude_none=True)
        mix = given.pop("mix", None) or ({given["style"]: 1.0} if "style" in given else None)
        if mix is not None:
            for style in mix:
                if style not in STYLES:
                    raise UnknownStyle(f"no style called {style!r}", "there are others")
            given |= {"mix": mix, "style": ",".join(mix)}
        with self._lock:
            self.state = self.state.model_copy(update=given | {"revision": self.state.revision + 1})
            listeners = list(self._listeners)
        for changed in listeners:
            changed(self.state)
        return self.state

    def stats(self) -> Stats:
        return Stats(fps_in=30, frames_in=7, dropped=1, stages_ms={"net": 12.0}, viewers=1)

    def watch(self, changed: Callable[[State], None]) -> Callable[[], None]:
        self._listeners.append(changed)
        return lambda: self._listeners.remove(changed)

    def close(self) -> None:
        self.closed = True


class FakePeers:
    """Answers any SDP but one that says no."""

    def __init__(self, gone: Callable[[str], None]) -> None:
        self.open: dict[str, Any] = {}
        self.candidates: list[tuple[str, str]] = []
        self._gone = gone
        self._numbers = itertools.count()

    async def start(self) -> None:
        pass

    async def answer(self, stream: Any, sdp: str, *, publishes: bool, views: bool) -> Any:
        await asyncio.sleep(0)
        if "a=garbage" in sdp:
            raise ConfigError("that SDP cannot be read")
        if "a=useless" in sdp:
            raise Unacceptable("there is no video in it")
        peer = f"peer{next(self._numbers)}"
        self.open[peer] = (stream, publishes, views)
        return SimpleNamespace(id=peer, sdp=SDP)

    async def add_candidates(self, peer: str, fragment: str) -> None:
        self.candidates.append((peer, fragment))

    async def close(self, peer: str) -> None:
        if self.open.pop(peer, None):
            self._gone(peer)

    async def close_stream(self, stream: Any) -> None:
        for peer in [peer for peer, entry in self.open.items() if entry[0] is stream]:
            await self.close(peer)

    async def close_all(self) -> None:
        for peer in list(self.open):
            await self.close(peer)

    def count(self, stream: Any = None) -> int:
        return sum(stream in (None, entry[0]) for entry in self.open.values())


class Client:
    """A server, and requests to it."""

    def __init__(self, server: Server, session: Any) -> None:
        self.server = server
        self.site = server.site
        self.base = f"http://127.0.0.1:{server.port}"
        self._session = session

    @property
    def peers(self) -> Any:
        return self.site.peers

    async def ask(self, method: str, path: str, token: str | None = None, **more: Any) -> Any:
        """Status, headers, text and (if it is that) JSON of an answer."""
        headers = more.pop("headers", {}) | ({"Authorization": f"Bearer {token}"} if token else {})
        async with self._session.request(method, self.base + path, headers=headers, **more) as answer:
            body = await answer.read()
            text = body.decode("utf-8", "replace")
            parsed = json.loads(text) if answer.content_type == "application/json" and text else None
            return SimpleNamespace(status=answer.status, headers=answer.headers, body=body, text=text, json=parsed)

    async def offer(self, **more: Any) -> Any:
        return await self.ask("POST", "/offer", json={"sdp": SDP, "type": "offer"} | more.pop("body", {}), **more)

    async def whip(self, name: str = "live", sdp: str = SDP, kind: str = "whip", **more: Any) -> Any:
        headers = {"Content-Type": "application/sdp"} | more.pop("headers", {})
        return await self.ask("POST", f"/{name}/{kind}", data=sdp, headers=headers, **more)

    async def until(self, true: Callable[[], Any], seconds: float = 5.0) -> None:
        async with asyncio.timeout(seconds):
            while not true():
                await asyncio.sleep(0.01)


@asynccontextmanager
async def serving(
    bundle: Path, real: bool = False, trainer: Any = None, make_stream: Any = None, **settings: Any
) -> AsyncIterator[Client]:
    """A running server on a free port; it and all its threads end with the block."""
    chosen = Settings(**({"port": 0, "bundle": bundle, "limits": GENEROUS} | settings))
    fakes: dict[str, Any] = {"make_stream": make_stream} if real else {"make_stream": FakeStream}
    if not real:
        fakes["make_peers"] = lambda site, settings: FakePeers(site.gone)
    server = Server(chosen, trainer=trainer, **fakes)
    await server.start()
    try:
        async with aiohttp.ClientSession() as session:
            yield Client(server, session)
    finally:
        await server.stop()


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Media stays on loopback here, though a server would offer the machine's other addresses beside it."""
    monkeypatch.setattr("allaprima.realtime.live.gather.get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])


@pytest.fixture
def live(tiny_bundle: Path) -> Callable[..., Any]:
    """``async with live(token="...") as client``."""
    return lambda **settings: serving(**({"bundle": tiny_bundle} | settings))


@pytest.fixture(scope="session")
def wall(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What Chromium's fake camera shows unless a test has another film."""
    return chromium.write_camera(tmp_path_factory.mktemp("camera") / "wall.y4m", browsing.scenes())


@pytest.fixture
def visit(live: Callable[..., Any], wall: Path) -> Callable[..., Any]:
    """``async with visit(token=...) as (client, browser)``; ``camera=None`` is a machine without one."""

    @asynccontextmanager
    async def opened(
        *flags: str, grant: bool = True, camera: Path | None = wall, **settings: Any
    ) -> AsyncIterator[tuple[Client, chromium.Browser]]:
        async with (
            live(real=True, **settings) as client,
            chromium.chromium(*flags, camera=camera, grant=grant) as browser,
        ):
            yield client, browser

    return opened


@pytest.fixture
def offer_sdp() -> str:
    return SDP


@pytest.fixture
def fake_stream() -> type[FakeStream]:
    return FakeStream


@pytest.fixture
def play(tiny_bundle: Path) -> Callable[[calls.Scene], None]:
    return lambda scene: calls.run(tiny_bundle, scene)


@pytest.fixture
def moving(tiny: ModuleType) -> Callable[[int], Any]:
    """Pictures that move and carry their number."""
    still = tiny.texture(calls.SIZE, 1)
    return lambda n: calls.numbered(np.roll(still, 2 * n, 1), n)
