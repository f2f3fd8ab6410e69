"""The application as a client meets it, against small fakes of streams and peers."""

import asyncio
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest

from allaprima.realtime.errors import ConfigError, UnknownStyle
from allaprima.realtime.live.limits import Limits
from allaprima.realtime.live.routes import ROUTES
from allaprima.realtime.live.server import Server
from allaprima.realtime.live.settings import Settings

TOKEN = "a-token-of-some-length"


def run(work: Any) -> None:
    asyncio.run(work())


def filled(path: str) -> str:
    """A route's path with something in its places."""
    return re.sub(r"\{(\w+):(?:[^{}]|\{[\d,]+\})+\}", "x", path)


# ---- streams ----


def test_a_page_gets_a_stream_of_its_own(live: Any) -> None:
    async def main() -> None:
        async with live() as client:
            answer = await client.offer()
            assert answer.status == 200
            assert answer.json["type"] == "answer"
            assert answer.json["state"]["style"] == "plain"
            name = answer.json["id"]
            assert re.fullmatch("[0-9a-f]{32}", name)
            assert client.peers.open["peer0"] == (client.site.hub.get(name), True, True)
            listed = (await client.ask("GET", "/v1/streams")).json["streams"]
            assert [(row["id"], row["private"]) for row in listed] == [(name, True)]
            assert (await client.ask("GET", f"/v1/streams/{name}")).json == listed[0]
            assert (await client.ask("GET", f"/v1/streams/{name}/stats")).json["fps_in"] == 30
            assert (await client.ask("DELETE", f"/v1/streams/{name}")).status == 204
            assert (await client.ask("GET", f"/v1/streams/{name}")).status == 404
            assert client.peers.open == {}

    run(main)


def test_settings_may_come_with_the_offer(live: Any) -> None:
    async def main() -> None:
        async with live() as client:
            answer = await client.offer(body={"set": {"style": "blue", "strength": 0.5}})
            assert answer.json["state"]["mix"] == {"blue": 1.0}
            for wrong, status in (({"style": "nothing"}, 400), ({"strenght": 1}, 400)):
                refused = await client.offer(body={"set": wrong})
                assert refused.status == status
            await client.until(lambda: len(client.site.hub) == 1)

    run(main)


def test_a_stream_ends_when_its_peer_has_gone(live: Any) -> None:
    async def main() -> None:
        async with live(max_sessions=1) as client:
            stream = client.site.hub.get((await client.offer()).json["id"])
            full = await client.offer()
            assert (full.status, full.json["error"]) == (503, "all 1 sessions are taken")
            assert "Retry-After" in full.headers
            await client.peers.close("peer0")
            await client.until(lambda: stream.closed)
            assert (await client.offer()).status == 200

    run(main)


def test_a_stream_that_nobody_owns_is_swept_away(live: Any) -> None:
    async def main() -> None:
        async with live() as client:
            client.site.hub.open("lost")
            client.site.sweep()
            assert len(client.site.hub) == 1
            client.site.sweep()
            await client.until(lambda: len(client.site.hub) == 0)

    run(main)


def test_patch_sets_and_answers_with_the_state(live: Any) -> None:
    async def main() -> None:
        async with live() as client:
            await client.whip("live")
            state = (await client.ask("PATCH", "/v1/streams/live", json={"style": "blue", "transition": 0})).json
            assert (state["mix"], state["transition"], state["revision"]) == ({"blue": 1.0}, 0, 1)
            wrong: list[tuple[Any, int]] = [({"style": "x"}, 400), ({"strength": 2}, 400), ({"nothing": 1}, 400)]
            for body, status in wrong:
                refused = await client.ask("PATCH", "/v1/streams/live", json=body)
                assert (refused.status, set(refused.json)) == (status, {"error", "hint"})
            for body, headers, status in (
                (b"{", {"Content-Type": "application/json"}, 400),
                (b"{}", {"Content-Type": "text/plain"}, 415),
                (b" " * 20_000, {"Content-Type": "application/json"}, 413),
            ):
                refused = await client.ask("PATCH", "/v1/streams/live", data=body, headers=headers)
                assert refused.status == status
            assert (await client.ask("GET", "/v1/streams/live")).json["state"]["revision"] == 1
            assert (await client.ask("PATCH", "/v1/streams/other", json={})).status == 404

    run(main)


# ---- server-sent events ----


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


# ---- who may ----


OPEN = {"/healthz", "/readyz", "/favicon.ico", "/static/x"}
PAGES = {"/", "/x"}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {filled(route.path)}")
def test_every_address_needs_the_token(live: Any, route: Any) -> None:
    path = filled(route.path)

    async def main() -> None:
        async with live(token=TOKEN, guest_token="guest-token") as client:
            for wrong in (None, "wrong", TOKEN[:-1], TOKEN + "x", "å"):
                refused = await client.ask(route.method, path, token=wrong)
                if path in OPEN:
                    assert refused.status in (200, 204, 404)
                    continue
                assert refused.status == 401, path
                assert refused.headers["WWW-Authenticate"].startswith("Bearer")
                assert TOKEN not in refused.text
                assert (path in PAGES) == refused.text.startswith("<!doctype html>")
            if route.method != "GET":
                assert (await client.ask(route.method, f"{path}?token={TOKEN}")).status == 401 or path in OPEN
            elif path not in OPEN and not path.endswith("events"):
                assert (await client.ask(route.method, f"{path}?token={TOKEN}")).status in (200, 404)
            assert (await client.ask(route.method, path, token=TOKEN)).status not in (401, 403)
            if route.least == 2:
                assert (await client.ask(route.method, path, token="guest-token")).status == 403

    run(main)


def test_guests_see_only_streams_whose_secret_they_know(live: Any) -> None:
    async def main() -> None:
        async with live(token=TOKEN, guest_token="guest") as client:
            mine = (await client.offer(token="guest")).json["id"]
            await client.whip("show", token=TOKEN)
            for path in ("/v1/streams", "/metrics"):
                assert (await client.ask("GET", path, token="guest")).status == 403
                assert (await client.ask("GET", path, token=TOKEN)).status == 200
            for end in ("", "/stats", "/events"):
                assert (await client.ask("GET", f"/v1/streams/show{end}", token="guest")).status == 404
            patched = await client.ask("PATCH", f"/v1/streams/{mine}", token="guest", json={"style": "blue"})
            assert patched.json["style"] == "blue"
            assert (await client.ask("PATCH", "/v1/streams/show", token="guest", json={})).status == 404
            assert (await client.whip(mine, kind="whep", token="guest")).status == 201
            assert (await client.ask("GET", "/v1/styles", token="guest")).json["training"] is False

    run(main)


def test_pages_of_other_sites_change_nothing(live: Any) -> None:
    async def main() -> None:
        async with live() as client:
            await client.whip("live")
            own = client.base
            for origin, status in (
                (own, 200),
                ("http://evil.example", 403),
                ("null", 403),
                (own + "1", 403),
                (f"http://localhost:{client.server.port}", 403),
            ):
                answer = await client.ask("PATCH", "/v1/streams/live", json={}, headers={"Origin": origin})
                assert answer.status == status, origin
                assert not [name for name in answer.headers if name.lower().startswith("access-control")]
            refused = await client.offer(headers={"Origin": "http://evil.example"})
            assert refused.status == 403

    run(main)


def test_without_a_token_only_names_of_this_machine_are_answered(live: Any) -> None:
    async def main() -> None:
        async with live() as client:
            for host, status in (("localhost:1", 200), ("[::1]", 200), ("127.0.0.1", 200), ("evil.example:80", 403)):
                assert (await client.ask("GET", "/v1/streams", headers={"Host": host})).status == status, host
        async with live(token=TOKEN) as client:
            assert (await client.ask("GET", "/v1/streams", TOKEN, headers={"Host": "studio.example"})).status == 200

    run(main)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"host": "0.0.0.0"}, "without a token"),
        ({"host": "::"}, "without a token"),
        ({"host": "studio.example"}, "without a token"),
        ({"host": "0.0.0.0", "token": ""}, "without a token"),
        ({"token": "with space"}, "--token"),
        ({"guest_token": "x"}, "--guest-token"),
        ({"token": "x", "guest_token": "x"}, "--guest-token"),
        ({"tls_key": Path("key")}, "--tls-cert"),
        ({"tls_cert": Path("cert"), "tls_self_signed": True}, "--tls-self-signed"),
    ],
)
def test_settings_that_may_not_be(settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        Settings(**settings).check()


def test_tokens_show_in_no_repr() -> None:
    settings = Settings(token="hush-hush", guest_token="hush-too")
    assert "hush" not in repr(settings)
    from allaprima.realtime.live.auth import Auth

    assert "hush" not in repr(Auth("hush-hush", "hush-too"))


def test_the_first_style_must_be_there(tiny_bundle: Path) -> None:
    with pytest.raises(UnknownStyle):
        Server(Settings(bundle=tiny_bundle, style="nothing"))


# ---- limits ----


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


# ---- pages, styles and the rest ----


def test_pages_keep_to_themselves(live: Any) -> None:
    async def main() -> None:
        async with live() as client:
            page = await client.ask("GET", "/")
            assert page.status == 200
            assert page.headers["Content-Type"] == "text/html; charset=utf-8"
            assert page.headers["Cache-Control"] == "no-store"
            policy = page.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            player = await client.ask("GET", "/live")
            assert player.status == 200
            assert "frame-ancestors" not in player.headers["Content-Security-Policy"]
            for answer in (page, player):
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                assert answer.headers["Referrer-Policy"] == "no-referrer"
                for file in re.findall(r'(?:src|href)="(/static/[^"]+)"', answer.text):
                    found = await client.ask("GET", file)
                    assert found.status == 200, file
                    again = await client.ask("GET", file, headers={"If-None-Match": found.headers["ETag"]})
                    assert (again.status, again.body) == (304, b"")
            assert (await client.ask("HEAD", "/")).status == 200

    run(main)


@pytest.mark.parametrize("path", ["/static/../server.py", "/static/%2e%2e/server.py", "/static/x.py", "/static//etc"])
def test_no_other_file_is_served(live: Any, path: str) -> None:
    async def main() -> None:
        async with live() as client:
            reader, writer = await asyncio.open_connection("127.0.0.1", client.server.port)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
            assert b" 404 " in (await reader.read()).splitlines()[0]
            writer.close()

    run(main)


def test_styles_with_previews(tmp_path: Path, tiny: Any, live: Any) -> None:
    bundle = tiny.write_bundle(tmp_path / "bundle")
    (bundle / "styles/blue.jpg").write_bytes(b"\xff\xd8 a picture")
    (bundle / "styles/dark.safetensors").write_bytes(b"damaged")

    async def main() -> None:
        async with live(bundle=bundle) as client:
            answer = (await client.ask("GET", "/v1/styles")).json
            rows = {row["name"]: row for row in answer["styles"]}
            assert answer["default"] == "plain"
            assert rows["blue"]["preview"] == "/v1/styles/blue/preview.jpg"
            assert rows["plain"]["preview"] is None
            assert "not a readable style" in rows["dark"]["problem"]
            picture = await client.ask("GET", rows["blue"]["preview"])
            assert (picture.headers["Content-Type"], picture.body) == ("image/jpeg", b"\xff\xd8 a picture")
            again = await client.ask("GET", rows["blue"]["preview"], headers={"If-None-Match": picture.headers["ETag"]})
            assert again.status == 304
            for nothing in ("plain", "nothing", ".."):
                assert (await client.ask("GET", f"/v1/styles/{nothing}/preview.jpg")).status == 404

    run(main)


def test_health_metrics_and_ice(live: Any) -> None:
    async def main() -> None:
        async with live() as client:
            assert (await client.ask("GET", "/healthz")).json == {"status": "ok"}
            assert (await client.ask("GET", "/readyz")).status == 200
            assert (await client.ask("GET", "/v1/ice")).json == {"iceServers": []}
            mine = (await client.offer()).json["id"]
            page = await client.ask("GET", "/metrics")
            assert page.headers["Content-Type"].startswith("text/plain; version=0.0.4")
            assert f'stream="{mine[:8]}",style="plain",stage="net"' in page.text
            assert mine not in page.text
            client.site.closing = True
            assert (await client.ask("GET", "/readyz")).status == 503
            assert (await client.ask("GET", "/healthz")).status == 200
            assert (await client.offer()).status == 503

    run(main)


def test_errors_of_the_router_are_json(live: Any) -> None:
    async def main() -> None:
        async with live() as client:
            nothing = await client.ask("GET", "/v1/nothing")
            assert (nothing.status, set(nothing.json)) == (404, {"error", "hint"})
            wrong = await client.ask("PUT", "/v1/streams")
            assert (wrong.status, wrong.headers["Allow"]) == (405, "GET, HEAD")

    run(main)


def test_the_access_log_holds_no_secret(live: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "allaprima.live")

    async def main() -> None:
        async with live(token=TOKEN, access_log=True) as client:
            mine = (await client.offer(token=TOKEN)).json["id"]
            await client.ask("GET", f"/v1/streams/{mine}?token={TOKEN}")
            await client.ask("GET", "/nothing/at/all?token=" + TOKEN)
            assert mine not in caplog.text

    run(main)
    assert "/v1/streams/{id}" in caplog.text
    assert TOKEN not in caplog.text


def test_a_port_in_use_is_said(live: Any, tiny_bundle: Path, fake_stream: Any) -> None:
    async def main() -> None:
        async with live() as client:
            settings = Settings(port=client.server.port, bundle=tiny_bundle)
            second = Server(settings, make_peers=lambda site, settings: client.peers, make_stream=fake_stream)
            with pytest.raises(ConfigError, match=f"port {client.server.port} is in use"):
                await second.start()

    run(main)


def test_nothing_is_left_behind(live: Any, no_thread_left: None) -> None:
    async def main() -> None:
        async with live(osc_port=0) as client:
            await client.offer()
            await client.whip("live")
            stream = client.site.hub.get("live")
            asyncio.get_running_loop().create_task(client.ask("GET", "/v1/streams/live/events"))
            await asyncio.sleep(0.1)
        assert stream.closed

    run(main)


# ---- the document ----


def test_the_openapi_document_tells_of_every_route(live: Any) -> None:
    async def main() -> None:
        async with live() as client:
            document = (await client.ask("GET", "/v1/openapi.json")).json
        assert document["openapi"].startswith("3.1")
        told = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
        bare = {(route.method, re.sub(r"\{(\w+):(?:[^{}]|\{[\d,]+\})+\}", r"{\1}", route.path)) for route in ROUTES}
        served = {
            (route.method, route.resource.canonical)
            for route in client.server.app.router.routes()
            if route.method != "HEAD"
        }
        assert told == bare == served
        schemas = document["components"]["schemas"]
        assert {"Change", "State", "Stats", "Failure", "Job", "Offer"} <= set(schemas)
        identifiers = []
        for path, item in document["paths"].items():
            for operation in item.values():
                identifiers.append(operation["operationId"])
                assert operation["summary"]
                assert operation["responses"]
                inside = {p["name"] for p in operation["parameters"] if p["in"] == "path"}
                assert inside == set(re.findall(r"\{(\w+)\}", path))
        assert len(identifiers) == len(set(identifiers))
        for reference in re.findall(r'"\$ref": "#/components/schemas/(\w+)"', json.dumps(document)):
            assert reference in schemas
        body = document["paths"]["/v1/streams/{id}"]["patch"]["requestBody"]["content"]["application/json"]
        assert body["schema"] == {"$ref": "#/components/schemas/Change"}

    run(main)
