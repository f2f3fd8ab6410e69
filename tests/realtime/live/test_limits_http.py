"""Limits as a client meets them: too often, too much, too slow, garbage."""

import asyncio
import gzip
from typing import Any

import pytest

from allaprima.realtime.live.limits import Limits

TOKEN = "a-token-of-some-length"


def run(work: Any) -> None:
    asyncio.run(work())


def test_who_asks_too_often_waits(live: Any) -> None:
    async def main() -> None:
        async with live(limits=Limits(requests_burst=3, requests_per_second=0.1)) as client:
            answers = [await client.ask("GET", "/healthz") for _ in range(4)]
            assert [answer.status for answer in answers] == [200, 200, 200, 429]
            assert int(answers[3].headers["Retry-After"]) >= 5
        async with live(limits=Limits(sessions_burst=1)) as client:
            assert (await client.offer()).status == 200
            assert (await client.offer()).status == 429
            assert (await client.whip()).status == 429

    run(main)


def test_bodies_are_bounded_whether_they_say_their_length_or_not(live: Any) -> None:
    async def main() -> None:
        async def endless() -> Any:
            for _ in range(10_000):
                yield b"x" * 1000

        async with live() as client:
            head = {"Content-Type": "application/sdp"}
            assert (await client.whip("live", "v=0" + "x" * 70_000)).status == 413
            assert (await client.ask("POST", "/live/whip", data=endless(), headers=head)).status == 413
            assert (await client.offer(body={"sdp": "v=0" + "x" * 70_000})).status == 413

    run(main)


async def raw(client: Any, *parts: bytes, pause: float = 0.0) -> bytes:
    """What the server says to bytes sent slowly, until it closes the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", client.server.port)
    try:
        for part in parts:
            writer.write(part)
            await asyncio.sleep(pause)
        async with asyncio.timeout(10):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def test_slow_bodies_and_slow_headers_are_ended(live: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("allaprima.realtime.live.server.SWEEP_SECONDS", 0.05)

    async def main() -> None:
        async with live(limits=Limits(body_seconds=0.2, idle_seconds=0.3)) as client:
            head = b"POST /live/whip HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/sdp\r\n"
            slow = await raw(client, head + b"Content-Length: 100\r\n\r\nv=0")
            assert b" 408 " in slow.splitlines()[0]
            assert await raw(client, head) == b""
            assert await raw(client, b"") == b""
            # One byte now and then does not help either.
            assert await raw(client, *([b"a"] * 10), pause=0.1) == b""
            assert (await client.ask("GET", "/healthz")).status == 200

    run(main)


def test_too_many_connections_close_the_idlest(live: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("allaprima.realtime.live.server.SWEEP_SECONDS", 0.05)

    async def main() -> None:
        async with live(limits=Limits(connections=4)) as client:
            pairs = [await asyncio.open_connection("127.0.0.1", client.server.port) for _ in range(10)]
            server = client.server._runner.server
            await client.until(lambda: len(server.connections) <= 4)
            for _, writer in pairs:
                writer.close()

    run(main)


@pytest.mark.parametrize(
    "garbage",
    [b"\x16\x03\x01\x02\x00\x01\x00", b"GET / HTTP/9.9\r\n\r\n", b"\x00" * 64 + b"\r\n\r\n", b"GET /" + b"a" * 20_000],
)
def test_garbage_is_answered_and_the_server_goes_on(live: Any, garbage: bytes) -> None:
    async def main() -> None:
        async with live(limits=Limits(idle_seconds=0.2)) as client:
            await raw(client, garbage + b"\r\n\r\n")
            assert (await client.ask("GET", "/healthz")).status == 200

    run(main)


def test_compressed_bodies_are_refused(live: Any) -> None:
    async def main() -> None:
        async with live() as client:
            head = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
            await client.whip("live")
            refused = await client.ask("PATCH", "/v1/streams/live", data=gzip.compress(b"{}"), headers=head)
            assert refused.status == 415

    run(main)


def test_a_malformed_request_is_not_quoted_in_the_log(live: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("WARNING")

    async def main() -> None:
        async with live(token=TOKEN) as client:
            good = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
            await raw(client, good, f"GET /?token={TOKEN} HTTP/x\r\n\r\n".encode(), pause=0.1)
            await raw(client, good, f"GET / HTTP/1.1\r\nb\0d: {TOKEN}\r\n\r\n".encode(), pause=0.1)

    run(main)
    assert TOKEN not in caplog.text
