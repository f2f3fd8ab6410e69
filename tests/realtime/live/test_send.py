"""Sound beside the picture, and what a viewer is sent."""

import asyncio
import itertools
from types import ModuleType
from typing import Any

import numpy as np
import pytest

pytest.importorskip("aiortc")

from aiortc.jitterbuffer import JitterBuffer

from allaprima.realtime.live import inside
from allaprima.realtime.live.receive import PromptBuffer
from allaprima.realtime.live.send import Sound
from allaprima.realtime.live.stream import Stream

from .calls import SIZE, Caller, Open, Tone, exchange, luma, publisher, until, viewer

pytestmark = pytest.mark.usefixtures("exact", "no_thread_left")


@pytest.fixture
def still(tiny: ModuleType) -> Any:
    return tiny.texture(SIZE, 1)


def test_sound_goes_through_untouched_and_in_step_with_the_picture(
    play: Any, still: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flash and a tone come at the same times at both ends, although painting takes a fifth of a second."""

    def flash(n: int) -> Any:
        return 180 + still // 20 if n % 30 < 10 else 60 + still // 20

    put = Stream.put

    def late(stream: Stream, frame: Any) -> None:
        asyncio.get_running_loop().call_later(0.2, put, stream, frame)

    monkeypatch.setattr(Stream, "put", late)
    came: list[bytes] = []
    hand_on = Sound.put

    def listen(sound: Sound, timestamp: int, payload: bytes) -> None:
        came.append(payload)
        hand_on(sound, timestamp, payload)

    monkeypatch.setattr(Sound, "put", listen)

    async def scene(opened: Open) -> None:
        stream = opened()
        source = publisher(flash, audio=Tone(lambda seconds: seconds % 1 >= 1 / 3))
        watcher = viewer(audio=True)
        got: list[bytes] = []
        async with exchange(source, watcher) as peers:
            await source.call(peers, stream, publishes=True, views=False)
            answer = await watcher.call(peers, stream, publishes=False, views=True, wait=False)
            _listen_at_once(watcher, got)
            assert answer.sdp.count("a=sendonly") == 2
            await until(lambda: stream.delay > 0.1)
            await asyncio.sleep(4.5)
            assert 0.2 < stream.delay < 0.4
        flashes = _onsets([(at, float(luma(frame).mean()) > 128) for at, frame in watcher.frames])
        tones = _onsets([(at, float(np.abs(frame.to_ndarray()).max()) > 3000) for at, frame in watcher.sounds])
        apart = [min(flashes, key=lambda at: abs(at - tone)) - tone for tone in tones[-3:]]
        print("picture after sound, ms:", [round(1000 * d) for d in apart])
        assert len(tones) >= 3
        assert abs(np.median(apart)) < 0.08
        assert len(got) > 100
        assert set(got) <= set(came), "not one packet was changed"

    play(scene)


def _listen_at_once(caller: Caller, payloads: list[bytes]) -> None:
    """Without the packets that aiortc waits for before it gives out any, and with a copy of each."""

    class Immediate(JitterBuffer):
        def add(self, packet: Any) -> Any:
            payloads.append(packet.payload)
            return super().add(packet)

    for receiver in caller.pc.getReceivers():
        inside.give_buffer(receiver, PromptBuffer() if receiver.track.kind == "video" else Immediate(16))


def _onsets(samples: list[tuple[float, bool]]) -> list[float]:
    return [at for (_, before), (at, now) in itertools.pairwise(samples) if now and not before]
