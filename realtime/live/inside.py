"""Where we reach into aiortc's objects: all of it is here, and only ever on connections of our own.

aiortc has no way to bring an encoder, to read packets that were not decoded, or to choose addresses and ports.  None
of its classes, functions or constants is changed; single objects are given a part of ours, before they start:

- a sender gets its encoder, which it would otherwise make itself at the first frame, and tells it of keyframe requests;
- a receiver gets its jitter buffer;
- an ICE connection gets the method that gathers its candidates.

`check` tells whether the aiortc that is installed still has these parts.
"""

from typing import Any

from aiortc import RTCPeerConnection, RTCRtpReceiver, RTCRtpSender
from aiortc.codecs.base import Encoder
from aiortc.jitterbuffer import JitterBuffer

from allaprima.realtime.errors import ConfigError
from allaprima.realtime.live.gather import Gathering

ENCODER, KEYFRAME, BUFFER = "_RTCRtpSender__encoder", "_send_keyframe", "_RTCRtpReceiver__jitter_buffer"


def check(pc: RTCPeerConnection) -> None:
    """Raises `ConfigError` where an object of a connection has not the parts that we replace."""
    for transceiver in pc.getTransceivers():
        for thing, parts in ((transceiver.sender, (ENCODER, KEYFRAME)), (transceiver.receiver, (BUFFER,))):
            for part in parts:
                if not hasattr(thing, part):
                    raise ConfigError(f"this version of aiortc has no {part}", "Install aiortc 1.16.")


def give_encoder(sender: RTCRtpSender, encoder: Encoder, request_keyframe: Any) -> None:
    """The sender packs with ``encoder`` and calls ``request_keyframe()`` when its receiver asks for one."""
    setattr(sender, ENCODER, encoder)
    setattr(sender, KEYFRAME, request_keyframe)


def give_buffer(receiver: RTCRtpReceiver, buffer: JitterBuffer) -> None:
    """The receiver puts its packets in order with ``buffer``."""
    setattr(receiver, BUFFER, buffer)


def give_addresses(pc: RTCPeerConnection, gathering: Gathering) -> None:
    """All ICE connections of ``pc`` gather candidates by ``gathering``; between remote and local description."""
    transports = {transceiver.receiver.transport.transport for transceiver in pc.getTransceivers()}
    if pc.sctp is not None:
        transports.add(pc.sctp.transport.transport)
    gathering.check(len(transports))
    for transport in transports:
        connection: Any = transport.iceGatherer._connection
        connection.get_component_candidates = gathering.of(connection)
