"""What every answer has in common: errors as JSON, and headers that keep a browser on our side."""

from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from allaprima.realtime.errors import (
    AllaprimaError,
    BackendError,
    BundleError,
    ConfigError,
    OutputExists,
    SinkError,
)
from allaprima.realtime.live.hub import Full, Taken
from allaprima.realtime.live.sdp import Unacceptable

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
RETRY_SECONDS = 5
"""When to come back after a 503."""

HEADERS = {
    "Server": "allaprima",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # an address may carry the token
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "media-src 'self' blob: mediastream:; connect-src 'self'; base-uri 'none'; form-action 'none'"
)
PERMISSIONS = "camera=(self), microphone=(self), fullscreen=(self), display-capture=()"


class Refused(AllaprimaError):
    """A request that is answered with ``status`` and the error as JSON."""

    def __init__(self, status: int, message: str, hint: str = "", headers: dict[str, str] | None = None) -> None:
        super().__init__(message, hint)
        self.status = status
        self.headers = headers or {}


def failure(status: int, message: str, hint: str = "", headers: dict[str, str] | None = None) -> web.Response:
    """An error as every client gets it: ``{"error": ..., "hint": ...}``."""
    if status == 503:
        headers = {"Retry-After": str(RETRY_SECONDS)} | (headers or {})
    return web.json_response({"error": message, "hint": hint}, status=status, headers=headers)


STATUS: tuple[tuple[type[AllaprimaError], int], ...] = (
    (Full, 503),
    (Taken, 409),
    (Unacceptable, 422),
    (OutputExists, 409),
    (ConfigError, 400),
    (BundleError, 500),
    (BackendError, 500),
    (SinkError, 500),
)


def status_of(error: AllaprimaError) -> int:
    """The status that says what went wrong; a client's mistake is never a 5xx."""
    return next((status for kind, status in STATUS if isinstance(error, kind)), 500)


@web.middleware
async def errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Known errors, and those of aiohttp's router, become JSON; every answer gets our headers."""
    response: web.StreamResponse
    try:
        response = await handler(request)
    except Refused as error:
        response = failure(error.status, str(error), error.hint, error.headers)
    except AllaprimaError as error:
        response = failure(status_of(error), str(error), error.hint)
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        response = failure(405, f"this address takes {allowed}", headers={"Allow": allowed})
    except web.HTTPException as error:
        message = "there is nothing at this address" if error.status == 404 else error.reason.lower()
        response = failure(error.status, message)
    if not response.prepared:
        dress(response)
    return response


def dress(response: web.StreamResponse) -> None:
    """Add the headers that are on every answer."""
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "no-store")


def as_json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    """A pydantic model, or plain values, as JSON."""
    data = value.model_dump(mode="json") if hasattr(value, "model_dump") else value
    return web.json_response(data, status=status, headers=headers)
