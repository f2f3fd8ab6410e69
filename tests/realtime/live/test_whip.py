"""The HTTP side of WHIP and WHEP, against small fakes of streams and peers."""

import asyncio
from typing import Any

import pytest

from allaprima.realtime.live.ice import IceServer

FRAGMENT = (
    "a=ice-ufrag:abcd\r\na=ice-pwd:x\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\n"
    "a=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n"
)
TRICKLE = {"Content-Type": "application/trickle-ice-sdpfrag"}
TURN = IceServer.parse("turn:me:secret@turn.example.net:3478")
STUN = IceServer.parse("stun:stun.example.net:3478")


def run(work: Any) -> None:
    asyncio.run(work())


def test_a_publisher_and_a_viewer_come_and_go(live: Any) -> None:
    async def main() -> None:
        async with live(ice_servers=(STUN, TURN)) as client:
            created = await client.whip("live")
            assert created.status == 201
            assert created.headers["Content-Type"] == "application/sdp"
            assert created.text.startswith("v=0")
            assert created.headers["Location"] == "/live/whip/peer0"
            assert created.headers["ETag"].startswith('"')
            assert created.headers.getall("Link") == [STUN.link(), TURN.link()]
            stream = client.site.hub.get("live")
            assert client.peers.open["peer0"] == (stream, True, False)
            watched = await client.whip("live", kind="whep")
            assert (watched.status, watched.headers["Location"]) == (201, "/live/whep/peer1")
            assert client.peers.open["peer1"] == (stream, False, True)
            assert watched.headers["ETag"] != created.headers["ETag"]
            assert (await client.ask("DELETE", "/live/whep/peer1")).status == 200
            assert client.site.hub.get("live") is stream
            assert (await client.ask("DELETE", "/live/whip/peer0")).status == 200
            assert client.site.hub.get("live") is None
            assert stream.closed
            assert (await client.ask("DELETE", "/live/whip/peer0")).status == 404
            assert client.site.sessions == {}

    run(main)


def test_what_an_endpoint_takes(live: Any) -> None:
    async def main() -> None:
        async with live(ice_servers=(STUN,)) as client:
            options = await client.ask("OPTIONS", "/live/whip")
            assert options.status == 204
            assert options.headers["Accept-Post"] == "application/sdp"
            assert options.headers["Link"] == STUN.link()
            await client.whip("live")
            options = await client.ask("OPTIONS", "/live/whip/peer0")
            assert options.headers["Accept-Patch"] == "application/trickle-ice-sdpfrag"
            for method in ("GET", "PUT", "PATCH", "DELETE"):
                refused = await client.ask(method, "/live/whip")
                assert refused.status == 405
                assert refused.headers["Allow"] == "OPTIONS, POST"
            assert (await client.ask("GET", "/live/whip/peer0")).status == 405
            assert (await client.ask("POST", "/live/whip/peer0", data=b"")).status == 405

    run(main)


@pytest.mark.parametrize(
    ("sdp", "headers", "status"),
    [
        ("v=0\r\n", {"Content-Type": "text/plain"}, 415),
        ("", {}, 400),
        ("hello", {}, 400),
        ("v=0\r\na=garbage\r\n", {}, 400),
        ("v=0\r\na=useless\r\n", {}, 422),
        (b"v=0\xff\xfe", {}, 400),
        ("v=0\r\n" + "a=x\r\n" * 20_000, {}, 413),
    ],
)
def test_an_offer_that_is_none_leaves_no_stream(live: Any, sdp: Any, headers: dict[str, str], status: int) -> None:
    async def main() -> None:
        async with live() as client:
            refused = await client.whip("live", sdp, headers=headers)
            assert refused.status == status
            assert set(refused.json) == {"error", "hint"}
            await client.until(lambda: len(client.site.hub) == 0)

    run(main)


def test_names_places_and_conflicts(live: Any) -> None:
    async def main() -> None:
        async with live(max_sessions=1) as client:
            assert (await client.whip("v1")).status in (400, 404, 405)
            assert (await client.whip("UPPER")).status == 404
            waiting = await client.whip("live", kind="whep")
            assert (waiting.status, waiting.headers["Retry-After"]) == (404, "2")
            assert (await client.whip("live")).status == 201
            assert (await client.whip("live")).status == 409
            full = await client.whip("other")
            assert full.status == 503
            assert int(full.headers["Retry-After"]) > 0

    run(main)


def test_trickle_needs_the_right_etag(live: Any) -> None:
    async def main() -> None:
        async with live() as client:
            etag = (await client.whip("live")).headers["ETag"]

            async def patch(match: str | None, body: Any = FRAGMENT, **headers: str) -> Any:
                given = TRICKLE | ({"If-Match": match} if match else {}) | headers
                return await client.ask("PATCH", "/live/whip/peer0", data=body, headers=given)

            assert (await patch(etag)).status == 204
            assert client.peers.candidates == [("peer0", FRAGMENT)]
            assert (await patch(None)).status == 428
            assert (await patch('"other"')).status == 412
            assert (await patch("*")).status == 422
            assert (await patch(etag, FRAGMENT.replace("abcd", "efgh"))).status == 422
            assert (await patch(etag, b"\xff\xfe")).status == 400
            assert (await patch(etag, "a" * 100_000)).status == 413
            assert (await patch(etag, **{"Content-Type": "application/sdp"})).status == 415
            assert len(client.peers.candidates) == 1
            gone = await client.ask("PATCH", "/live/whip/peer7", data=FRAGMENT, headers=TRICKLE | {"If-Match": etag})
            assert gone.status == 404

    run(main)


def test_a_session_is_known_only_under_its_own_address(live: Any) -> None:
    async def main() -> None:
        async with live() as client:
            await client.whip("a")
            await client.whip("b")
            for wrong in ("/b/whip/peer0", "/a/whep/peer0", "/a/whip/peer1"):
                assert (await client.ask("DELETE", wrong)).status == 404
            assert len(client.site.sessions) == 2

    run(main)


def test_a_dead_publisher_ends_the_stream_and_its_viewers(live: Any) -> None:
    async def main() -> None:
        async with live() as client:
            await client.whip("live")
            await client.whip("live", kind="whep")
            await client.peers.close("peer0")
            await client.until(lambda: len(client.site.hub) == 0)
            assert client.peers.open == {}
            assert client.site.sessions == {}
            assert (await client.whip("live")).status == 201

    run(main)


def test_viewers_are_counted(live: Any) -> None:
    from allaprima.realtime.live.limits import Limits

    async def main() -> None:
        async with live(limits=Limits(viewers=1)) as client:
            await client.whip("live")
            assert (await client.whip("live", kind="whep")).status == 201
            assert (await client.whip("live", kind="whep")).status == 503

    run(main)


def test_guests_look_at_no_named_stream_and_publish_none(live: Any) -> None:
    async def main() -> None:
        async with live(token="operator", guest_token="guest") as client:
            assert (await client.whip("live", token="guest")).status == 403
            assert (await client.whip("live", token="operator")).status == 201
            assert (await client.whip("live", kind="whep", token="guest")).status == 404
            assert (await client.whip("live", kind="whep", token="operator")).status == 201
            assert (await client.ask("DELETE", "/live/whip/peer0", token="guest")).status == 403

    run(main)
