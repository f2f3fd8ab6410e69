"""From the command line to a server that runs until it is told to stop, and what it prints."""

import asyncio
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from allaprima.realtime import logs, stats
from allaprima.realtime.live import metrics
from allaprima.realtime.live.auth import is_loopback
from allaprima.realtime.live.server import Server
from allaprima.realtime.live.settings import Settings
from allaprima.realtime.live.tls import EVERYWHERE, address_of

log = logging.getLogger("allaprima.live")
SHORT_TOKEN = 12
"""Characters; a shorter token can be guessed."""


def run(settings: Settings, open_page: bool | None, told: bool = False) -> None:
    """Serve until Ctrl-C or SIGTERM.  ``open_page`` None opens the page where somebody sees it.

    ``told`` writes a line a second about each stream.  Raises `AllaprimaError` for what keeps it from starting.
    """
    logs.hide(settings.token, settings.guest_token, *(server.credential for server in settings.ice_servers))
    asyncio.run(_serve(Server(settings), open_page, told))


async def _serve(server: Server, open_page: bool | None, told: bool) -> None:
    with _signals() as stop:
        await server.start()
        try:
            _announce(server, open_page)
            with stats.every_second(lambda: _figures(server)) if told else contextlib.nullcontext():
                await stop.wait()
        finally:
            log.info("stopping")
            await server.stop()


def _figures(server: Server) -> list[tuple[str, dict[str, Any]]]:
    """What a line a second tells of each stream; of a private one the first letters of its name."""
    hub = server.site.hub
    rows = [metrics.Row(s.name, hub.is_private(s.name), s.state, s.stats()) for s in hub.streams()]
    return [(row.label, stats.of_live(row.stats)) for row in rows]


@contextlib.contextmanager
def _signals() -> Iterator[asyncio.Event]:
    """An event that is set by Ctrl-C and SIGTERM; the second one ends the program at once."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()

    def ask() -> None:
        if stop.is_set():
            os._exit(130)
        stop.set()

    numbers = (signal.SIGINT, signal.SIGTERM)
    with contextlib.suppress(NotImplementedError):  # Windows: Ctrl-C raises KeyboardInterrupt instead
        for number in numbers:
            loop.add_signal_handler(number, ask)
    try:
        yield stop
    finally:
        with contextlib.suppress(NotImplementedError):
            for number in numbers:
                loop.remove_signal_handler(number)


# ---- what is printed ----


def _announce(server: Server, open_page: bool | None) -> None:
    settings = server.settings
    local = is_loopback(settings.host)
    here = "localhost" if settings.host in EVERYWHERE else settings.host
    page, base = _url(server, here, settings.token), _url(server, here, None)
    print(f"paint here: {page}")
    print(f"from OBS:   {base}NAME/whip   to watch: {base}NAME   control: {base}v1/openapi.json")
    if settings.token is not None:
        print("            with the token as OBS's bearer token, and ?token=... behind what is watched")
    if server.osc_port is not None:
        print(f"OSC:        {settings.osc_host} port {server.osc_port}")
        if not is_loopback(settings.osc_host):
            log.warning("OSC knows no token: whoever reaches that port steers all streams")
    if settings.token is not None and len(settings.token) < SHORT_TOKEN:
        log.warning("a token of %d characters can be guessed", len(settings.token))
    if not local:
        shared = _url(server, address_of(settings.host), settings.guest_token or settings.token)
        print(f"elsewhere:  {shared}")
        _print_code(shared)
        if server.scheme == "http":
            log.info("note: browsers give no camera to http pages of other machines: --tls-self-signed")
    sys.stdout.flush()
    if open_page if open_page is not None else local and _has_screen():
        import webbrowser

        with contextlib.suppress(webbrowser.Error):
            webbrowser.open(page)


def _url(server: Server, host: str, token: str | None) -> str:
    name = f"[{host}]" if ":" in host else host
    query = f"?token={quote(token, safe='')}" if token else ""
    return f"{server.scheme}://{name}:{server.port}/{query}"


def _print_code(url: str) -> None:
    """The address as a QR code for a phone, where a terminal can show it."""
    try:
        import segno
    except ImportError:
        return
    encoding = (sys.stdout.encoding or "").lower()
    code: Any = segno.make(url, error="l", micro=False)
    if encoding.startswith("utf"):
        code.terminal(compact=True)


def _has_screen() -> bool:
    """Whether somebody sits before this machine."""
    if not sys.stdout.isatty():
        return False
    return sys.platform in ("darwin", "win32") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
