"""Who may use the server, from where, and with which settings."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from allaprima.realtime.errors import ConfigError, UnknownStyle
from allaprima.realtime.live.routes import ROUTES
from allaprima.realtime.live.server import Server
from allaprima.realtime.live.settings import Settings

TOKEN = "a-token-of-some-length"


def run(work: Any) -> None:
    asyncio.run(work())


def filled(path: str) -> str:
    """A route's path with something in its places."""
    return re.sub(r"\{(\w+):(?:[^{}]|\{[\d,]+\})+\}", "x", path)


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
