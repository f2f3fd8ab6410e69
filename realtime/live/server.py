"""The server: its parts put together, its start and its end."""

import asyncio
import contextlib
import errno
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger
from aiohttp.http_exceptions import HttpProcessingError

from allaprima.realtime import capacity
from allaprima.realtime.bundle import Bundle, shipped_bundle
from allaprima.realtime.errors import AllaprimaError, ConfigError
from allaprima.realtime.live import osc, pages, routes, tls
from allaprima.realtime.live.auth import Auth
from allaprima.realtime.live.hub import Hub
from allaprima.realtime.live.jobs import Jobs, Trainer
from allaprima.realtime.live.replies import errors
from allaprima.realtime.live.settings import Settings
from allaprima.realtime.live.site import SITE, Peering, Site
from allaprima.realtime.stylebank import StyleBank

if TYPE_CHECKING:
    from allaprima.realtime.live.stream import Stream

HANDSHAKE_SECONDS = 10.0
SHUTDOWN_SECONDS = 2.0
SWEEP_SECONDS = 2.0
log = logging.getLogger("allaprima.live")


class Server:
    """Streams, peers and pages behind one port.  `start` and `stop` in the same event loop."""

    def __init__(
        self,
        settings: Settings,
        make_peers: "Callable[[Site, Settings], Peering] | None" = None,
        make_stream: "Callable[[str], Stream] | None" = None,
        trainer: Trainer | None = None,
    ) -> None:
        settings.check()
        self.settings = settings
        bundle = Bundle(settings.bundle or shipped_bundle())
        if settings.style is not None:
            StyleBank(bundle).resolve(settings.style)  # better now than with the first stream
        trainer = trainer or Trainer(bundle, settings.loss_network, settings.photos)
        self.site = Site(
            Hub(make_stream or _streams(settings, bundle), settings.max_sessions),
            bundle,
            Auth(settings.token, settings.guest_token, (settings.host.lower(),)),
            Jobs(trainer, settings.limits.picture_pixels),
            settings.limits,
            settings.ice_servers,
            settings.style,
        )
        self.app = web.Application(middlewares=[errors])
        self.app[SITE] = self.site
        self.app[pages.FILES] = pages.read()
        routes.add_to(self.app)
        self._measures = make_stream is None and settings.max_sessions > 1
        self._make_peers = make_peers or _peers
        self._tls = tls.context(settings)
        self._runner: web.AppRunner | None = None
        self._listening: asyncio.Server | None = None
        self._osc: tuple[asyncio.DatagramTransport, osc.Receiver] | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self.port = settings.port

    @property
    def scheme(self) -> str:
        return "https" if self._tls else "http"

    async def start(self) -> None:
        """Listen.  Raises `ConfigError` when a port is taken."""
        settings = self.settings
        self._runner = web.AppRunner(
            self.app,
            access_log_class=AccessLog,
            access_log=log if settings.access_log else None,
            keepalive_timeout=settings.limits.idle_seconds,
            lingering_time=2.0,
            auto_decompress=False,  # nobody needs it, and bombs are made so
            logger=_http_log(),
            shutdown_timeout=SHUTDOWN_SECONDS,
        )
        await self._runner.setup()
        async with contextlib.AsyncExitStack() as undo:
            undo.push_async_callback(self.stop)
            handshake = HANDSHAKE_SECONDS if self._tls else None
            with _port_errors(settings.host, settings.port, "--port"):
                self._listening = await asyncio.get_running_loop().create_server(
                    self._runner.server,  # type: ignore[arg-type]  # it is a factory of protocols
                    settings.host,
                    settings.port,
                    ssl=self._tls,
                    ssl_handshake_timeout=handshake,
                )
            bound = self._listening.sockets[0].getsockname()
            self.port = bound[1]
            peers = self._make_peers(self.site, replace(settings, host=bound[0]))
            await peers.start()
            self.site.connect(peers)
            if settings.osc_port is not None:
                await self._listen_osc(settings.osc_host, settings.osc_port)
            undo.pop_all()
        self._sweeper = asyncio.create_task(self._sweep(), name="sweeper")

    async def _listen_osc(self, host: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        with _port_errors(host, port, "--osc-port"):
            transport, protocol = await loop.create_datagram_endpoint(
                lambda: osc.Receiver(self.site.apply, log.warning), (host, port)
            )
        self._osc = transport, protocol

    @property
    def osc_port(self) -> int | None:
        """Where OSC is heard, once started."""
        return self._osc[0].get_extra_info("sockname")[1] if self._osc else None

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        turn = 0
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            turn += 1
            if self._measures and not len(self.site.hub):
                self._measures = False
                self.site.soon(self._measure())
            if self._runner is not None and self._runner.server is not None:
                self.site.doorman.sweep(self._runner.server, loop.time())
            if turn % 5 == 0:
                self.site.sweep()

    async def _measure(self) -> None:
        """Learn what a stream costs while there is none; one that comes meanwhile has the machine at once."""
        site = self.site

        def alone() -> bool:
            return not (site.closing or len(site.hub))

        with contextlib.suppress(AllaprimaError):  # the first stream will tell what is wrong
            site.hub.capacity.cost = await site.run(capacity.probe, site.bundle, "auto", alone)
            self._measures = site.hub.capacity.cost is None
        if (cost := site.hub.capacity.cost) is not None:
            log.debug("a megapixel takes %.1f ms, at the least effort %.1f", 1000 * cost.full, 1000 * cost.least)

    async def stop(self) -> None:
        """End everything, within seconds."""
        self.site.closing = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.wait([self._sweeper])
        if self._osc is not None:
            self._osc[0].close()
            await self._osc[1].close()
        if self._listening is not None:
            self._listening.close()
        await self.site.close()
        if self._runner is not None:
            await self._runner.cleanup()


def _streams(settings: Settings, bundle: Bundle) -> "Callable[[str], Stream]":
    from allaprima.realtime.live.stream import Stream

    def make(name: str) -> Stream:
        return Stream(
            name,
            style=settings.style,
            bundle=bundle,
            strength=settings.strength,
            steadiness=settings.steadiness,
            transition=settings.transition,
            fps=settings.fps,
            max_latency=settings.max_latency,
        )

    return make


def _peers(site: Site, settings: Settings) -> Peering:
    from allaprima.realtime.live.peers import Peers

    peers: Peering = Peers(
        settings.ice_servers,
        host=settings.host,
        udp_port=settings.udp_port,
        host_address=settings.host_address,
        gone=site.gone,
    )
    return peers


@contextlib.contextmanager
def _port_errors(host: str, port: int, flag: str) -> Iterator[None]:
    try:
        yield
    except OverflowError as error:
        raise ConfigError(f"{port} is not a port", f"Give {flag} from 1 to 65535.") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise ConfigError(
                f"port {port} is in use by another program", f"Give another {flag}; 0 takes a free one."
            ) from error
        why = error.strerror or str(error)
        raise ConfigError(f"cannot listen on {host} port {port}: {why}", "Look at --host and the port.") from error


def _http_log() -> logging.Logger:
    """For faults of ours; what clients get wrong is left out: the complaint would quote the request."""
    http = logging.getLogger("allaprima.live.http")
    http.addFilter(_is_ours)
    return http


def _is_ours(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


class AccessLog(AbstractAccessLogger):
    """Method, route and status: neither query nor names, which may be secrets."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        resource = request.match_info.route.resource if isinstance(request, web.Request) else None
        path = resource.canonical if resource is not None else "-"
        self.logger.info("%s %s %s %d %.0f ms", request.remote, request.method, path, response.status, 1000 * time)
