"""A trace of a live stream on demand, and admission as a client meets it."""

import asyncio
import json
import threading
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from allaprima.realtime.capacity import Cost
from allaprima.realtime.live import metrics
from allaprima.realtime.live.control import Stats
from allaprima.realtime.live.replies import Refused
from allaprima.realtime.live.stream import Stream
from allaprima.realtime.live.tracing import record, seconds_of
from allaprima.realtime.metrics import Stages


@pytest.mark.parametrize(("given", "seconds"), [("5", 5), ("0.5", 0.5), ("30", 30)])
def test_a_length(given: str, seconds: float) -> None:
    assert seconds_of(given) == seconds


@pytest.mark.parametrize("given", ["", "x", "0", "-1", "31", "nan", "inf", "1e400"])
def test_not_a_length(given: str) -> None:
    with pytest.raises(Refused) as caught:
        seconds_of(given)
    assert caught.value.status == 400


def test_a_painted_stream_is_seen_frame_by_frame(tiny_bundle: Path, tiny: ModuleType) -> None:
    stream = Stream("live", bundle=tiny_bundle)
    ended = threading.Event()

    def feed() -> None:
        for number in range(1000):
            if ended.wait(0.02):
                return
            stream.put(tiny.frame(index=number, captured=time.monotonic()))

    feeder = threading.Thread(target=feed)
    feeder.start()
    try:
        until = time.monotonic() + 20
        while not stream.stats().frames_painted and time.monotonic() < until:
            time.sleep(0.02)
        document = json.loads(asyncio.run(record(stream, 0.6, lambda: False))())
    finally:
        ended.set()
        feeder.join()
        stream.close()
    nets = [event for event in document if event["name"] == "net" and event["ph"] == "X"]
    assert len(nets) >= 5
    frames = [event["args"]["frame"] for event in nets]
    assert frames == sorted(set(frames))
    assert [e["args"]["name"] for e in document if e["name"] == "thread_name"] == ["engine"]
    assert {"dropped", "effort", "viewers"} <= {event["name"] for event in document if event["ph"] == "C"}
    assert stream.stages.watch is None


def still() -> Any:
    return SimpleNamespace(stages=Stages(), stats=Stats)


def test_two_at_a_time_are_refused() -> None:
    async def main() -> None:
        stream = still()
        first = asyncio.create_task(record(stream, 0.2, lambda: False))
        await asyncio.sleep(0.05)
        with pytest.raises(Refused) as caught:
            await record(stream, 0.2, lambda: False)
        assert caught.value.status == 409
        await first
        await record(stream, 0.01, lambda: False)

    asyncio.run(main())


def test_it_ends_with_the_server_and_leaves_nothing_when_it_is_given_up() -> None:
    async def main() -> None:
        stream = still()
        began = time.monotonic()
        await record(stream, 30, lambda: True)
        assert time.monotonic() - began < 1
        task = asyncio.create_task(record(stream, 30, lambda: False))
        await asyncio.sleep(0.05)
        task.cancel()
        await asyncio.wait([task])
        assert stream.stages.watch is None

    asyncio.run(main())


# ---- over HTTP ----


def test_it_is_there_for_the_streams_owner_only(live: Any) -> None:
    async def main() -> None:
        async with live(token="a-token-of-some-length", guest_token="one-for-the-guests") as client:
            name = (await client.offer(token="one-for-the-guests")).json["id"]
            path = f"/v1/streams/{name}/trace"
            answer = await client.ask("POST", f"{path}?seconds=0.1", token="one-for-the-guests")
            assert (answer.status, answer.headers["Content-Type"].partition(";")[0]) == (200, "application/json")
            assert "attachment" in answer.headers["Content-Disposition"]
            assert [event["ph"] for event in answer.json][:1] == ["M"]
            assert (await client.ask("POST", path, token="one-for-the-guests")).status == 400
            assert (await client.ask("POST", f"{path}?seconds=1")).status == 401
            await client.whip("studio", token="a-token-of-some-length")
            theirs = "/v1/streams/studio/trace?seconds=0.1"
            assert (await client.ask("POST", theirs, token="one-for-the-guests")).status == 404
            assert (await client.ask("POST", theirs, token="a-token-of-some-length")).status == 200

    asyncio.run(main())


def test_a_stream_that_does_not_fit_is_told_to_come_back(live: Any, monkeypatch: Any, fake_stream: Any) -> None:
    monkeypatch.setattr(fake_stream, "stats", lambda self: Stats(size=(1000, 1000), fps_in=30))

    async def main() -> None:
        async with live() as client:
            assert (await client.ask("GET", "/v1/streams")).json["capacity"] == {
                "measured": False, "load": 0, "next": 0, "fits": True,
            }  # fmt: skip
            client.site.hub.capacity.cost = Cost(full=0.1, least=0.02)  # 0.6 each
            assert (await client.offer()).status == 200
            told = (await client.ask("GET", "/v1/streams")).json["capacity"]
            assert told == {"measured": True, "load": pytest.approx(0.6), "next": pytest.approx(0.6), "fits": False}
            refused = await client.whip("second")
            assert refused.status == 503
            assert int(refused.headers["Retry-After"]) > 0
            assert "cannot paint 2 such streams" in refused.json["error"]
            page = (await client.ask("GET", "/metrics")).text
            for line in ("refused_total 1", "capacity_measured 1", "capacity_load 0.6", "capacity_next 0.6"):
                assert f"\nallaprima_{line}\n" in page
            assert [name for name in metrics.TOTALS if f"# TYPE allaprima_{name} " not in page] == []

    asyncio.run(main())


def test_a_server_learns_what_a_stream_costs_while_there_is_none(live: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("allaprima.realtime.live.server.SWEEP_SECONDS", 0.01)
    asked: list[Any] = []

    def probe(bundle: Any, backend: str, alone: Any) -> Cost | None:
        asked.append(alone())
        return Cost(0.2, 0.1) if len(asked) > 1 else None  # the first time somebody came

    monkeypatch.setattr("allaprima.realtime.capacity.probe", probe)

    async def main() -> None:
        async with live(real=True) as client:
            await client.until(lambda: client.site.hub.capacity.cost)
            await asyncio.sleep(0.05)
        assert asked == [True, True]

    asyncio.run(main())
