"""One connection of a stream with a browser, an encoder or a player."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCRtpTransceiver, RTCSessionDescription
from aiortc.exceptions import InternalError, InvalidAccessError, InvalidStateError, OperationError
from aiortc.sdp import SessionDescription

from allaprima.realtime.frame import Frame
from allaprima.realtime.live import inside, sdp
from allaprima.realtime.live.broadcast import Broadcast, Watcher
from allaprima.realtime.live.channel import ControlChannel
from allaprima.realtime.live.gather import Gathering
from allaprima.realtime.live.receive import PromptBuffer, SoundBuffer, pump
from allaprima.realtime.live.send import PaintedTrack, Sound, SoundTrack, leave
from allaprima.realtime.live.stream import Stream

REFUSED = (OperationError, InternalError, InvalidAccessError, InvalidStateError, *sdp.BROKEN)
"""What aiortc raises for offers that it cannot take."""
CLOSING = 5.0
"""Seconds that closing a connection may take."""
WANTED = ("video/h264", "video/vp8", "video/rtx")
"""What we like to send and to be sent, best first."""


class Room(Protocol):
    """What a peer shares with the others of its stream."""

    def broadcast(self, stream: Stream, codec: str) -> Broadcast: ...
    def sound(self, stream: Stream) -> Sound: ...
    async def empty(self, broadcast: Broadcast) -> None: ...


class Peer:
    """An `RTCPeerConnection` and what belongs to it; lives in one event loop.

    ``ended`` is called once, when the connection has ended by itself.
    """

    def __init__(
        self,
        stream: Stream,
        room: Room,
        configuration: RTCConfiguration,
        gathering: Gathering,
        ended: "Callable[[Peer], None]",
    ) -> None:
        self.id = secrets.token_urlsafe(16)
        self.stream = stream
        self.began = time.monotonic()
        self.connected = False
        self.publishes = False
        self.last_frame = self.began
        """When its last picture came, by `time.monotonic()`."""
        self.pc = RTCPeerConnection(configuration)
        self._room = room
        self._gathering = gathering
        self._ended = ended
        self._tasks: set[asyncio.Task[None]] = set()
        self._tracks: list[PaintedTrack | SoundTrack] = []
        self._channels: list[ControlChannel] = []
        self._controls = False
        self._heard = (0, self.began)
        self._ufrag = ""
        self.pc.on("connectionstatechange", self._state_changed)
        self.pc.on("datachannel", self._channel_opened)

    # ---- offer and answer ----

    async def answer(self, offer: sdp.Offer, publishes: bool, views: bool, bitrates: sdp.Bitrates) -> str:
        """The answer to an offer.  Raises `ConfigError` and `Unacceptable`."""
        self._controls = publishes and views
        self._ufrag = (offer.media[0].ice.usernameFragment or "") if offer.media[0].ice else ""
        try:
            video = self._plan(offer, publishes, views)
            inside.check(self.pc)
            await self.pc.setRemoteDescription(RTCSessionDescription(offer.sdp, "offer"))
            self._receive()
            inside.give_addresses(self.pc, self._gathering)
            await self.pc.setLocalDescription()
        except REFUSED as error:
            raise sdp.Unacceptable(f"the offer cannot be answered: {error}") from error
        text = self.pc.localDescription.sdp
        for transceiver, media in zip(self.pc.getTransceivers(), self._sections(text), strict=False):
            if transceiver in video and isinstance(transceiver.sender.track, PaintedTrack):
                self._send(transceiver.sender, self._codec(media, offer))
        return sdp.dress(text, bitrates, offer.profiles)

    def _plan(self, offer: sdp.Offer, publishes: bool, views: bool) -> list[RTCRtpTransceiver]:
        """A transceiver for each of the peer's media; gives those of video."""
        sound = self._room.sound(self.stream)
        taken = {
            "recv": {"audio": not publishes, "video": not publishes},
            "send": {"audio": not views, "video": not views},
        }
        video = []
        for media in offer.media:
            if media.kind not in ("audio", "video"):
                continue
            direction = media.direction or "sendrecv"
            receive = direction in ("sendonly", "sendrecv") and not taken["recv"][media.kind]
            send = direction in ("recvonly", "sendrecv") and not taken["send"][media.kind]
            usable = media.kind == "video" or any(c.mimeType.lower() == "audio/opus" for c in media.rtp.codecs)
            receive, send = receive and usable, send and usable
            taken["recv"][media.kind] |= receive
            taken["send"][media.kind] |= send
            way = {(True, True): "sendrecv", (True, False): "recvonly", (False, True): "sendonly"}
            transceiver = self.pc.addTransceiver(
                self._track(media.kind, sound) if send else media.kind, way.get((receive, send), "inactive")
            )
            if usable:
                transceiver.setCodecPreferences(_preferences(media.kind))
            if media.kind == "video":
                video.append(transceiver)
                self.publishes |= receive
        if publishes and not self.publishes and not views:
            raise sdp.Unacceptable("the offer sends no video", "Offer a track with a=sendonly or a=sendrecv.")
        if views and not publishes and not any(isinstance(track, PaintedTrack) for track in self._tracks):
            raise sdp.Unacceptable("the offer receives no video", "Offer a transceiver with a=recvonly or a=sendrecv.")
        if publishes and views and not taken["recv"]["video"]:
            raise sdp.Unacceptable("the offer sends no video", "Offer the camera's track.")
        return video

    def _track(self, kind: str, sound: Sound) -> PaintedTrack | SoundTrack:
        track = PaintedTrack(self.stream) if kind == "video" else SoundTrack(self.stream, sound)
        self._tracks.append(track)
        return track

    def _receive(self) -> None:
        """Take the peer's pictures and sound from where they come in."""
        sound = self._room.sound(self.stream)
        for transceiver in self.pc.getTransceivers():
            receiver = transceiver.receiver
            if transceiver.direction not in ("recvonly", "sendrecv") or receiver.track is None:
                continue
            if transceiver.kind == "audio":
                inside.give_buffer(receiver, SoundBuffer(sound.put))
            else:
                buffer = PromptBuffer()
                inside.give_buffer(receiver, buffer)
                self._start(pump(receiver.track, self._put, buffer))

    def _put(self, frame: Frame) -> None:
        self.last_frame = time.monotonic()
        self.stream.put(frame)

    def _send(self, sender: RTCRtpSender, codec: str) -> None:
        track = sender.track
        assert isinstance(track, PaintedTrack)

        def join(wake: Callable[[], None]) -> Watcher:
            return self._room.broadcast(self.stream, codec).join(wake)

        track.join = join
        inside.give_encoder(sender, track.encoder, track.request_keyframe)

    @staticmethod
    def _sections(text: str) -> list[Any]:
        return [media for media in SessionDescription.parse(text).media if media.kind in ("audio", "video")]

    @staticmethod
    def _codec(media: Any, offer: sdp.Offer) -> str:
        if media.rtp.codecs[0].mimeType.lower() == "video/vp8":
            return "vp8"
        return "main" if offer.profiles.get(sdp.first_payload(media), "").lower() == "4d00" else "baseline"

    async def add_candidates(self, fragment: str) -> None:
        """More addresses of the peer's.  Raises `ConfigError`."""
        candidates = sdp.read_fragment(fragment, self._ufrag, self._gathering.allows)
        for candidate in candidates:
            with contextlib.suppress(*REFUSED):  # it was closed meanwhile, or knows no such media
                await self.pc.addIceCandidate(candidate)

    # ---- life ----

    def silent(self, now: float) -> float:
        """Seconds since the last packet of any kind came, as far as it was looked at."""
        packets = sum(
            getattr(entry, "packetsReceived", 0)
            for transport in {transceiver.receiver.transport for transceiver in self.pc.getTransceivers()}
            for entry in transport._get_stats().values()
        )
        if packets != self._heard[0]:
            self._heard = (packets, now)
        return now - self._heard[1]

    def tell_stats(self) -> None:
        """Send the stream's figures on the data channel, if there is one."""
        for channel in self._channels:
            channel.tell_stats()

    async def close(self) -> None:
        """End it all; may be called again."""
        for channel in self._channels:
            channel.close()
        with contextlib.suppress(TimeoutError, *REFUSED):  # what is half built may fail to close, too
            await asyncio.wait_for(self.pc.close(), CLOSING)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for track in self._tracks:
            track.stop()
            if isinstance(track, PaintedTrack) and (broadcast := leave(track)) is not None:
                await self._room.empty(broadcast)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _state_changed(self) -> None:
        if self.pc.connectionState == "connected":
            self.connected = True
        elif self.pc.connectionState in ("failed", "closed"):
            self._ended(self)

    def _channel_opened(self, channel: Any) -> None:
        if channel.label == "control" and not self._channels:
            self._channels.append(ControlChannel(channel, self.stream, self._controls))
        else:
            channel.close()


def _preferences(kind: str) -> list[Any]:
    codecs = RTCRtpSender.getCapabilities(kind).codecs
    if kind == "audio":
        return [codec for codec in codecs if codec.mimeType.lower() == "audio/opus"]
    wanted = [codec for codec in codecs if codec.mimeType.lower() in WANTED]

    def rank(codec: Any) -> tuple[int, bool]:
        constrained = str(codec.parameters.get("profile-level-id", "")).lower().startswith("42e0")
        return WANTED.index(codec.mimeType.lower()), not constrained

    return sorted(wanted, key=rank)
