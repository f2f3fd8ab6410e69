"""Server-sent events: every controller of a stream sees what the others set, and the figures."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from aiohttp import web

from allaprima.realtime.live.control import State
from allaprima.realtime.live.replies import dress

if TYPE_CHECKING:
    from allaprima.realtime.live.stream import Stream

STATS_SECONDS = 1.0
RECONNECT_MS = 1000
READ_SECONDS = 15.0
"""Who reads nothing for so long is dropped."""
LOOK_SECONDS = 0.25
"""How long the end of a stream may go unnoticed."""


class Newest:
    """The newest state of a stream, on its way from whatever thread changed it to the event loop."""

    def __init__(self, stream: "Stream") -> None:
        self._loop = asyncio.get_running_loop()
        self._came = asyncio.Event()
        self._state: State | None = stream.state
        self._came.set()
        self._stop = stream.watch(self._changed)

    def _changed(self, state: State) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._keep, state)

    def _keep(self, state: State) -> None:
        if self._state is None or state.revision >= self._state.revision:
            self._state = state
        self._came.set()

    async def get(self, seconds: float) -> State | None:
        """The newest state not yet taken; None after so many seconds without one."""
        try:
            async with asyncio.timeout(seconds):
                await self._came.wait()
        except TimeoutError:
            return None
        self._came.clear()
        state, self._state = self._state, None
        return state

    def close(self) -> None:
        self._stop()


async def serve(request: web.Request, stream: "Stream", alive: Callable[[], bool]) -> web.StreamResponse:
    """Send ``state`` at once and with every change, ``stats`` each second, ``end`` when the stream has ended."""
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"})
    response.headers["Cache-Control"] = "no-store"
    dress(response)
    await response.prepare(request)
    loop = asyncio.get_running_loop()
    newest = Newest(stream)

    async def send(text: bytes) -> None:
        async with asyncio.timeout(READ_SECONDS):
            await response.write(text)

    try:
        await send(f"retry: {RECONNECT_MS}\n\n".encode())
        due = loop.time()
        while alive():
            state = await newest.get(min(max(due - loop.time(), 0), LOOK_SECONDS))
            if state is not None:
                await send(event("state", state.model_dump_json()))
            if loop.time() >= due:
                await send(event("stats", stream.stats().model_dump_json()))
                due = loop.time() + STATS_SECONDS
        await send(event("end", "{}"))
    except (ConnectionError, TimeoutError):  # the listener has gone, or does not listen
        if request.transport is not None:
            request.transport.abort()
    finally:
        newest.close()
    return response


def event(name: str, data: str) -> bytes:
    """One event; ``data`` is JSON, so a single line."""
    return f"event: {name}\ndata: {data}\n\n".encode()
