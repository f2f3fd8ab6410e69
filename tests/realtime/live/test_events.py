"""Server-sent events: what several controllers of a stream hear."""

import asyncio
import json
from typing import Any

from allaprima.realtime.live.limits import Limits

TOKEN = "a-token-of-some-length"


def run(work: Any) -> None:
    asyncio.run(work())


async def events(answer: Any) -> Any:
    """Name and data of each event."""
    name = ""
    async for line in answer.content:
        key, _, value = line.decode().rstrip("\n").partition(": ")
        if key == "event":
            name = value
        elif key == "data":
            yield name, json.loads(value)


def test_two_controllers_agree(live: Any) -> None:
    async def main() -> None:
        async with live() as client:
            await client.whip("live")
            async with client._session.get(client.base + "/v1/streams/live/events") as answer:
                assert answer.content_type == "text/event-stream"
                heard = events(answer)
                assert (await anext(heard))[1]["style"] == "plain"
                assert (await anext(heard))[0] == "stats"
                await client.ask("PATCH", "/v1/streams/live", json={"style": "dark"})
                name, state = await anext(heard)
                assert (name, state["style"], state["revision"]) == ("state", "dark", 1)
                await client.peers.close("peer0")
                rest = [name async for name, _ in heard]
                assert rest[-1] == "end"
            await client.until(lambda: client.site.listeners == 0)

    run(main)


def test_a_listener_that_leaves_is_forgotten(live: Any) -> None:
    async def main() -> None:
        async with live() as client:
            await client.whip("live")
            stream = client.site.hub.get("live")
            async with client._session.get(client.base + "/v1/streams/live/events") as answer:
                await anext(events(answer))
                assert len(stream._listeners) == 1
            await client.until(lambda: client.site.listeners == 0 and not stream._listeners)

    run(main)


def test_listeners_are_counted(live: Any) -> None:
    async def main() -> None:
        async with live(limits=Limits(listeners=1)) as client:
            await client.whip("live")
            async with client._session.get(client.base + "/v1/streams/live/events"):
                assert (await client.ask("GET", "/v1/streams/live/events")).status == 503

    run(main)
