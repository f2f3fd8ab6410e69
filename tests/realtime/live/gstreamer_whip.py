"""GStreamer's webrtcbin as a WHIP client, in a process of its own: ``python3 gstreamer_whip.py URL TOKEN``.

Runs with the interpreter that has PyGObject and GStreamer's introspection data, usually the system's; needs nothing
of ours.  Sends a ball that moves, as H.264, and a tone as Opus, until its standard input is closed; hangs up then.
"""

import sys
import urllib.parse
import urllib.request
from typing import Any

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstWebRTC", "1.0")
gi.require_version("GstSdp", "1.0")
from gi.repository import GLib, Gst, GstSdp, GstWebRTC  # noqa: E402

PIPELINE = """
webrtcbin name=line bundle-policy=max-bundle
videotestsrc is-live=true pattern=ball background-color=0xff707070
  ! video/x-raw,width=640,height=360,framerate=30/1
  ! x264enc tune=zerolatency speed-preset=ultrafast bitrate=2000 key-int-max=60
  ! video/x-h264,profile=constrained-baseline
  ! rtph264pay config-interval=-1 aggregate-mode=zero-latency
  ! application/x-rtp,media=video,encoding-name=H264,payload=96 ! line.
audiotestsrc is-live=true ! audio/x-raw,rate=48000,channels=2 ! opusenc ! rtpopuspay
  ! application/x-rtp,media=audio,encoding-name=OPUS,payload=97 ! line.
"""


class Client:
    """One publisher."""

    def __init__(self, url: str, token: str) -> None:
        self.url, self.place = url, ""
        self.headers = {"Authorization": f"Bearer {token}"}
        self.loop = GLib.MainLoop()
        self.pipeline = Gst.parse_launch(PIPELINE)
        self.line = self.pipeline.get_by_name("line")
        for index in range(2):
            way = GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY
            self.line.emit("get-transceiver", index).set_property("direction", way)
        self.line.connect("on-negotiation-needed", lambda _: self._offer())
        self.line.connect("notify::ice-gathering-state", lambda *_: self._gathered())
        self.line.connect("notify::connection-state", lambda *_: self._tell())
        GLib.io_add_watch(sys.stdin, GLib.IO_HUP | GLib.IO_IN, lambda *_: self.loop.quit())

    def run(self) -> None:
        self.pipeline.set_state(Gst.State.PLAYING)
        self.loop.run()
        if self.place:
            urllib.request.urlopen(
                urllib.request.Request(self.place, headers=self.headers, method="DELETE"), timeout=5
            ).close()
        self.pipeline.set_state(Gst.State.NULL)

    def _offer(self) -> None:
        def made(promise: Any) -> None:
            reply = promise.get_reply()  # kept: the offer lies in it
            offer = reply.get_value("offer")
            self.line.emit("set-local-description", offer, Gst.Promise.new())

        self.line.emit("create-offer", None, Gst.Promise.new_with_change_func(made))

    def _gathered(self) -> None:
        if self.line.get_property("ice-gathering-state") == GstWebRTC.WebRTCICEGatheringState.COMPLETE:
            GLib.idle_add(self._post)

    def _post(self) -> None:
        offer = self.line.get_property("local-description").sdp.as_text().encode()
        headers = self.headers | {"Content-Type": "application/sdp"}
        request = urllib.request.Request(self.url, offer, headers, method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
            self.place = urllib.parse.urljoin(self.url, answer.headers["Location"])
        _, message = GstSdp.SDPMessage.new()
        GstSdp.sdp_message_parse_buffer(text, message)
        kind = GstWebRTC.WebRTCSDPType.ANSWER
        description = GstWebRTC.WebRTCSessionDescription.new(kind, message)
        self.line.emit("set-remote-description", description, Gst.Promise.new())

    def _tell(self) -> None:
        print(self.line.get_property("connection-state").value_nick, flush=True)


if __name__ == "__main__":
    Gst.init(None)
    Client(*sys.argv[1:]).run()
