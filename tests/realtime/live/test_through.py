"""The whole way over HTTP, with real peers, real streams and the tiny bundle."""

import asyncio
from typing import Any

import numpy as np
import pytest

pytest.importorskip("aiortc")
pytest.importorskip("openvino")  # now: its first import starts a thread that stays

from aiortc import RTCSessionDescription

from .calls import Caller, Camera, until

GRAY = 100
TYPE = {"Content-Type": "application/trickle-ice-sdpfrag"}


def flat(_: int) -> Any:
    """A picture with some detail: even ones go through unpainted."""
    return np.tile(
        np.array([[GRAY - 30, GRAY + 30], [GRAY + 30, GRAY - 30]], np.uint8).repeat(8, 0).repeat(8, 1), (8, 12)
    )


async def mean(caller: Caller) -> float:
    return float((await caller.newest())[0].mean())


async def brighter_than(caller: Caller, least: float) -> None:
    async with asyncio.timeout(10):
        while await mean(caller) < least:
            pass


def publisher() -> Caller:
    caller = Caller()
    caller.pc.addTransceiver(Camera(flat), "sendonly")
    return caller


async def whip(client: Any, name: str, caller: Caller, kind: str = "whip") -> Any:
    created = await client.whip(name, await caller.offer(), kind=kind)
    assert created.status == 201, created.text
    await caller.pc.setRemoteDescription(RTCSessionDescription(created.text, "answer"))
    await until(lambda: caller.pc.connectionState == "connected")
    return created


def test_a_page_sees_itself_painted_and_hangs_up(live: Any, no_thread_left: None) -> None:
    async def main() -> None:
        async with live(real=True) as client:
            caller = Caller()
            caller.pc.addTransceiver(Camera(flat), "sendrecv")
            answer = (await client.ask("POST", "/offer", json={"sdp": await caller.offer(), "type": "offer"})).json
            await caller.pc.setRemoteDescription(RTCSessionDescription(answer["sdp"], answer["type"]))
            assert abs(await mean(caller) - GRAY) < 8
            stream = f"/v1/streams/{answer['id']}"
            patched = await client.ask("PATCH", stream, json={"style": "bright", "transition": 0})
            assert patched.json["style"] == "bright"
            await brighter_than(caller, GRAY + 20)
            stats = (await client.ask("GET", f"{stream}/stats")).json
            assert stats["frames_painted"] > 0
            assert stats["size"] == [192, 128]
            assert "net" in (await client.ask("GET", "/metrics")).text
            await caller.close()
            await client.until(lambda: len(client.site.hub) == 0, 30)
            assert client.site.sessions == {}

    asyncio.run(main())


def test_whip_in_and_whep_out(live: Any, no_thread_left: None) -> None:
    async def main() -> None:
        async with live(real=True, token="operator-token", style="bright") as client:
            client.ask_plain, token = client.ask, "operator-token"

            async def ask(*words: Any, **more: Any) -> Any:
                return await client.ask_plain(*words, **({"token": token} | more))

            client.ask = ask
            camera, viewer = publisher(), Caller()
            viewer.pc.addTransceiver("video", "recvonly")
            created = await whip(client, "live", camera)
            watched = await whip(client, "live", viewer, "whep")
            await brighter_than(viewer, GRAY + 20)
            ufrag = next(line for line in camera.pc.localDescription.sdp.splitlines() if "ice-ufrag" in line)
            fragment = f"{ufrag}\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n"
            fragment += "a=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n"
            headers = TYPE | {"If-Match": created.headers["ETag"]}
            trickled = await ask("PATCH", created.headers["Location"], data=fragment, headers=headers)
            assert trickled.status == 204
            late = publisher()
            assert (await client.whip("live", await late.offer())).status == 409
            await late.close()
            assert (await ask("DELETE", watched.headers["Location"])).status == 200
            assert (await ask("GET", "/v1/streams/live")).status == 200
            assert (await ask("DELETE", created.headers["Location"])).status == 200
            assert (await ask("GET", "/v1/streams/live")).status == 404
            await camera.close()
            await viewer.close()

    asyncio.run(main())


def test_a_patch_is_heard_on_the_data_channel(live: Any) -> None:
    async def main() -> None:
        async with live(real=True) as client:
            caller = Caller()
            caller.pc.addTransceiver(Camera(flat), "sendrecv")
            channel = caller.pc.createDataChannel("control")
            heard: list[str] = []
            channel.on("message", heard.append)
            answer = (await client.ask("POST", "/offer", json={"sdp": await caller.offer(), "type": "offer"})).json
            await caller.pc.setRemoteDescription(RTCSessionDescription(answer["sdp"], answer["type"]))
            await until(lambda: any('"state"' in message for message in heard))
            await client.ask("PATCH", f"/v1/streams/{answer['id']}", json={"style": "dark"})
            await until(lambda: any('"dark"' in message for message in heard))
            channel.send('{"style": "blue"}')
            found = client.site.hub.get(answer["id"])
            await until(lambda: found.state.style == "blue")
            await caller.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    "sdp", ["v=0", "v=0\r\n" + "m=video 9 X 1\r\n" * 50, "v=0\r\no=- 0 0 IN IP4 0\r\ns=-\r\nt=0 0\r\n"]
)
def test_garbage_sdp_is_a_clients_mistake_and_leaves_nothing(live: Any, sdp: str, no_thread_left: None) -> None:
    async def main() -> None:
        async with live(real=True) as client:
            for kind in ("whip", "offer"):
                if kind == "whip":
                    refused = await client.whip("live", sdp)
                else:
                    refused = await client.ask("POST", "/offer", json={"sdp": sdp, "type": "offer"})
                assert refused.status in (400, 422), refused.text
                assert refused.json["error"]
            await client.until(lambda: len(client.site.hub) == 0)

    asyncio.run(main())
