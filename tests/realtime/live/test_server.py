"""The application as a client meets it, against small fakes of streams and peers."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

from allaprima.realtime.errors import ConfigError
from allaprima.realtime.live.routes import ROUTES
from allaprima.realtime.live.server import Server
from allaprima.realtime.live.settings import Settings

TOKEN = "a-token-of-some-length"


def run(work: Any) -> None:
    asyncio.run(work())


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
