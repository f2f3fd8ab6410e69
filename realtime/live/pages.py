"""The page, the player and their files: read once, served from memory."""

import hashlib
import html
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web

from allaprima.realtime.live.auth import Role
from allaprima.realtime.live.hub import check_name
from allaprima.realtime.live.replies import PAGE_POLICY, PERMISSIONS, Refused
from allaprima.realtime.live.site import SITE

FOLDER = Path(__file__).parent / "page"
TYPES = {
    ".html": "text/html",
    ".js": "text/javascript",
    ".css": "text/css",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".ico": "image/x-icon",
    ".json": "application/json",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
ASK = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Alla Prima</title><link rel="stylesheet" href="/static/token.css">
<main class="ask"><h1>Alla Prima</h1><p>{why}</p>
<form method="get"><label>Token <input name="token" type="password" autocomplete="current-password" autofocus></label>
<button>Open</button></form></main></html>
"""


@dataclass(frozen=True, slots=True)
class File:
    data: bytes
    type: str

    @property
    def etag(self) -> str:
        return f'"{hashlib.sha256(self.data).hexdigest()[:16]}"'


Files = dict[str, File]
FILES = web.AppKey("files", Files)


def read(folder: Path = FOLDER) -> Files:
    """Every file of a known type below the folder, by its path in it.  Nothing else is ever served."""
    return {
        file.relative_to(folder).as_posix(): File(file.read_bytes(), TYPES[file.suffix])
        for file in sorted(folder.rglob("*"))
        if file.suffix in TYPES and file.is_file()
    }


async def page(request: web.Request) -> web.Response:
    """The page of a painter."""
    return _page(request, "index.html", "; frame-ancestors 'none'")


async def player(request: web.Request) -> web.Response:
    """A stream and nothing else, for OBS's browser source; it waits for a stream that is not there yet."""
    check_name(request.match_info["name"])
    return _page(request, "player.html", "")


def _page(request: web.Request, name: str, policy: str) -> web.Response:
    """An HTML file.  Without a good token a form that asks for it: this is for people."""
    auth = request.app[SITE].auth
    role = auth.role(request)
    if role < Role.GUEST:
        why = "That token is wrong." if "token" in request.query else "This server needs a token."
        body = ASK.format(why=html.escape(why)).encode()
        ask = "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'"
        response = web.Response(status=401, body=body, content_type="text/html", charset="utf-8")
        response.headers["WWW-Authenticate"] = 'Bearer realm="allaprima"'
        response.headers["Content-Security-Policy"] = ask
        return response
    file = request.app[FILES].get(name)
    if file is None:
        raise Refused(404, "the page is not installed")
    response = web.Response(body=file.data, content_type=file.type, charset="utf-8")
    response.headers["Content-Security-Policy"] = PAGE_POLICY + policy
    response.headers["Permissions-Policy"] = PERMISSIONS
    return response


async def static(request: web.Request) -> web.Response:
    """A file of the page.  They hold no secret and are open to all."""
    file = request.app[FILES].get(request.match_info["path"])
    if file is None:
        raise Refused(404, "there is no such file")
    headers = {"ETag": file.etag, "Cache-Control": "no-cache"}
    if request.headers.get("If-None-Match") == file.etag:
        return web.Response(status=304, headers=headers)
    charset = "utf-8" if file.type.startswith("text/") else None
    return web.Response(body=file.data, content_type=file.type, charset=charset, headers=headers)


async def favicon(request: web.Request) -> web.Response:
    """What browsers ask for unasked."""
    file = request.app[FILES].get("favicon.ico") or request.app[FILES].get("icon.svg")
    if file is None:
        return web.Response(status=204)
    return web.Response(body=file.data, content_type=file.type, headers={"Cache-Control": "max-age=3600"})
