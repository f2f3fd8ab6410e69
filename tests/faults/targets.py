"""What damaged inputs are fed to, each with sound inputs to damage: run inside `feeder.py` only."""

import asyncio
import contextlib
import hashlib
import json
import random
import re
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import clips
import mutations
import tiny

from allaprima.realtime import config, cues, show
from allaprima.realtime.bundle import Bundle
from allaprima.realtime.engine_key import Key, Record
from allaprima.realtime.engines import Engines
from allaprima.realtime.frame import StreamInfo
from allaprima.realtime.live.control import Change, read_cue
from allaprima.realtime.live.osc import change_of, messages
from allaprima.realtime.live.stream import Stream
from allaprima.realtime.masks import MaskTrack
from allaprima.realtime.shelf import verify
from allaprima.realtime.sinks.resume import STATE, ResumableFile
from allaprima.realtime.sources import open_source
from allaprima.realtime.stylebank import StyleBank
from allaprima.realtime.stylizer import Stylizer

Mutate = Callable[[bytes, list[bytes], random.Random], bytes]
FRAMES = 10


@dataclass(frozen=True)
class Target:
    """``feed`` gives a word for how it went, or None."""

    name: str
    seeds: list[bytes]
    mutate: Mutate
    feed: Callable[[bytes], str | None]


@contextlib.contextmanager
def open_group(group: str, folder: Path) -> Iterator[list[Target]]:
    """The targets of a group, taking turns."""
    with GROUPS[group](folder) as made:
        yield made


# ---- texts and messages ----


@contextlib.contextmanager
def texts(folder: Path) -> Iterator[list[Target]]:
    bundle = tiny.write_bundle(folder / "texts")
    stream = Stream("fed", bundle=bundle, governed=False)
    file = folder / "fed.csv"

    def written(read: Callable[[Path], Any]) -> Callable[[bytes], None]:
        def feed(data: bytes) -> None:
            file.write_bytes(data)
            read(file)

        return feed

    def packet(data: bytes) -> None:
        for message in messages(data):
            _, fields = change_of(message)
            stream.apply(Change.of(fields))

    def changed(data: bytes) -> None:
        try:
            stream.apply(Change.read(data))
        finally:
            stream.apply(Change(cue=""))  # only so many may wait

    sample = config.sample()
    everything = re.sub(r"(?m)^#(?=[a-z-]+ = )", "", sample)
    shown = b'log = "text"\nstyle = "dark"\n[[stream]]\nin = "test:landscape"\nout = "null:"\nmost-fps = 15.5\n'
    shown += b'[[stream]]\nname = "b"\nin = "a.mp4"\nout = "b.mp4"\ncue = ["1=plain:2s"]\nsize = "64x48"\n'
    rows = b'time,style,fade\n00:00:01.5,plain,2s\n2,"plain:0.5,dark:0.5",48f\n# nothing\n3.25,blue,500ms\n'
    change = {"mix": {"plain": 0.4, "dark": 0.6}, "strength": 0.5, "steadiness": 0.25, "transition": 0.0}
    later = {"style": "bright", "cue": "00:00:10=dark:2s", "bypass": False}
    try:
        yield [
            Target("config", [sample.encode(), everything.encode()], mutations.of_text,
                   written(lambda path: config.load(path, {}))),
            Target("show", [shown], mutations.of_text, written(lambda path: show.parts(path, {}))),
            Target("cues", [rows], mutations.of_text, written(lambda path: cues.read_cues([str(path)]))),
            Target("cue", [b"00:00:10=plain:2s", b"1.5=plain:0.5,dark:0.5:48f", b"dark:500ms"], mutations.of_text,
                   lambda data: str(read_cue(data.decode("utf-8", "replace")))[:0]),
            Target("change", [json.dumps(each).encode() for each in (change, later)], mutations.of_json, changed),
            Target("osc", _packets(), mutations.of_bytes, packet),
            *_engines(folder / "engines"),
        ]  # fmt: skip
    finally:
        stream.close()


def _packets() -> list[bytes]:
    def text(words: bytes) -> bytes:
        return words + b"\0" * (4 - len(words) % 4)

    style = text(b"/style") + text(b",s") + text(b"dark")
    fader = text(b"/strength") + text(b",f") + b"\x3f\x00\x00\x00"
    mix = text(b"/fed/mix") + text(b",sfsd") + text(b"plain") + b"\x3f\x00\x00\x00"
    mix += text(b"dark") + b"\x3f\xe0" + bytes(6)
    kinds = text(b"/bypass") + text(b",T")
    pair = b"#bundle\0" + bytes(8) + len(fader).to_bytes(4, "big") + fader + len(mix).to_bytes(4, "big") + mix
    nest = b"#bundle\0" + bytes(8) + len(pair).to_bytes(4, "big") + pair
    return [style, fader, mix, kinds, pair, nest]


def _engines(folder: Path) -> list[Target]:
    engines, plan = Engines(folder), b"an engine" * 20
    key = Key(gpu="card", capability="9.0", tensorrt="11.0", driver="580", model="a" * 64, graph="b" * 64,
              cells=(48, 64), regions=1, precision="half")  # fmt: skip
    digest = hashlib.sha256(plan).hexdigest()
    record = Record(key=key, sha256=digest, bytes=len(plan), road="onnx", precision="half", psnr=58.0, compared=6,
                    bundle="studio", inputs={"packed": "packed"}, output="painted")  # fmt: skip
    target = engines.publish(plan, record)
    sidecar = target.with_suffix(".json")

    def feed(data: bytes) -> None:
        sidecar.write_bytes(data)
        engines.entries()
        str(engines.missing(key.model_copy(update={"driver": "590"})))
        _, found = engines.load(target)
        found.covers((48, 64))

    return [Target("engine", [sidecar.read_bytes()], mutations.of_json, feed)]


# ---- bundles ----


@contextlib.contextmanager
def bundles(folder: Path) -> Iterator[list[Target]]:
    bundle = tiny.write_bundle(folder / "bundle")
    manifest, nets = bundle / "manifest.json", {net: bundle / f"{net}.onnx" for net in ("encoder", "bank", "decoder")}
    sound = manifest.read_bytes()
    styles = [file.read_bytes() for file in sorted((bundle / "styles").glob("*.safetensors"))]
    models = {net: file.read_bytes() for net, file in nets.items()}
    frames = [tiny.frame(seed=seed, index=seed) for seed in range(2)]

    def paint() -> None:
        stylizer = Stylizer("plain", bundle=bundle)
        for frame in frames:
            stylizer(frame)

    def described(data: bytes) -> None:
        manifest.write_bytes(data)
        try:
            paint()
            verify(Bundle(bundle))
        finally:
            manifest.write_bytes(sound)

    def styled(data: bytes) -> None:
        (bundle / "styles/plain.safetensors").write_bytes(data)
        found = Bundle(bundle)
        verify(found)
        StyleBank(found).resolve("plain:0.5,dark:0.5")
        found.styles()

    def netted(net: str) -> Callable[[bytes], None]:
        def feed(data: bytes) -> None:
            nets[net].write_bytes(data)
            named = json.loads(sound)
            named["sha256"][net] = hashlib.sha256(data).hexdigest()
            manifest.write_text(json.dumps(named))
            try:
                tiny.add_style(bundle, "plain", 0.0)  # for this generator: the hash is no protection
                verify(Bundle(bundle))
                paint()
            finally:
                nets[net].write_bytes(models[net])
                manifest.write_bytes(sound)

        return feed

    yield [
        Target("manifest", [sound], mutations.of_json, described),
        Target("style", styles, mutations.of_header, styled),
        *(Target(net, [models[net]], mutations.of_bytes, netted(net)) for net in nets),
    ]


# ---- media ----


@contextlib.contextmanager
def media(folder: Path) -> Iterator[list[Target]]:
    def feed(name: str) -> Callable[[bytes], str]:
        def read(data: bytes) -> str:
            path = folder / name
            path.write_bytes(data)
            with open_source(str(path), frames=3 * FRAMES) as source:
                shapes = {frame.landed().size for frame in source}
            return "taken" if shapes == {clips.SIZE} else "taken otherwise"

        return read

    made: dict[str, list[bytes]] = {}
    for name, wishes in CLIPS.items():
        made[name] = [clips.write_clip(folder / name, **({"frames": FRAMES} | wishes)).read_bytes()]
    ways = [(name, way) for way in (mutations.of_bytes, mutations.of_header) for name in made]
    yield [
        *(Target(name[2:], made[name], way, feed(name)) for name, way in ways),
        Target("mask", made["f.png"], mutations.of_header, _masked(folder / "mask.png")),
        *_resumed(folder),
    ]


CLIPS: dict[str, dict[str, Any]] = {
    "f.mp4": {"audio": True, "options": {"g": "4"}, "mux": {"movflags": "faststart"}},
    "f.mkv": {"audio": True},
    "f.ts": {"audio": True},
    "f.png": {"codec": "png", "pix_fmt": "rgb24", "frames": 1, "mux": {"update": "1"}},
    "f.y4m": {"codec": "wrapped_avframe"},
}


def _masked(file: Path) -> Callable[[bytes], None]:
    def feed(data: bytes) -> None:
        file.write_bytes(data)
        with MaskTrack(file, None, clips.SIZE) as track:
            for second in range(3):
                track(Nobody(), float(second))  # type: ignore[arg-type]

    return feed


class Nobody:
    def set_region(self, region: Any) -> None:
        pass


def _resumed(folder: Path) -> list[Target]:
    """A film that was cut off: what lies beside the target is damaged."""
    target, base = folder / "film.mp4", folder / "base"
    info = StreamInfo("made up", clips.SIZE, Fraction(1, 25), Fraction(25), False, tiny.LIMITED)
    frames = [tiny.frame(clips.SIZE, 1, index=index, duration=1) for index in range(30)]

    def begin(count: int) -> ResumableFile:
        sink = ResumableFile(str(target), info, overwrite=True)
        with sink:
            for frame in frames[:count]:
                sink.write(frame)
        return sink

    stop = threading.Event()
    stop.set()
    sink = ResumableFile(str(target), info, stop=stop)
    with sink:
        for frame in frames[:20]:
            sink.write(frame)
    parts = next(folder.glob(".film.mp4.parts"))
    shutil.copytree(parts, base)
    state, part = (base / STATE).read_bytes(), next(base.glob("*.nut")).read_bytes()

    def feed(name: str) -> Callable[[bytes], None]:
        def read(data: bytes) -> None:
            shutil.rmtree(parts, ignore_errors=True)
            shutil.copytree(base, parts)
            (parts / name).write_bytes(data)
            begin(30)

        return read

    return [
        Target("resume", [state], mutations.of_json, feed(STATE)),
        Target("part", [part], mutations.of_bytes, feed(next(base.glob("*.nut")).name)),
        Target("begun", [part], mutations.of_bytes, feed("0002.begun")),
    ]


# ---- HTTP ----


@contextlib.contextmanager
def http(folder: Path) -> Iterator[list[Target]]:
    """A real server with real peers, on loopback."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="loop", daemon=True)
    thread.start()

    def await_(work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, loop).result(60)

    client = Client(tiny.write_bundle(folder / "http"), await_)
    try:
        yield client.targets()
    finally:
        await_(client.server.stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


class Client:
    """Sends one request a connection, and ends what it opened."""

    def __init__(self, bundle: Path, await_: Callable[[Any], Any]) -> None:
        from allaprima.realtime.live.limits import Limits
        from allaprima.realtime.live.server import Server
        from allaprima.realtime.live.settings import Settings

        limits = Limits(requests_burst=10**9, sessions_burst=10**9, body_seconds=2.0, idle_seconds=2.0)
        self._await = await_

        async def begin() -> tuple[Any, str]:
            server = Server(
                Settings(port=0, bundle=bundle, limits=limits), make_stream=lambda name: Stream(name, bundle=bundle)
            )
            await server.start()
            return server, await _offer()

        self.server, self.offer = await_(begin())
        self.session = self.etag = ""
        self._publish()

    def _publish(self) -> None:
        """Open the stream that is fed; it ends by itself after a while: nobody sends a picture."""
        answer = self.ask("POST", "/fed/whip", "application/sdp", self.offer.encode())
        head = dict(line.split(": ", 1) for line in answer.split("\r\n\r\n")[0].split("\r\n")[1:])
        self.session, self.etag = head["Location"], head["ETag"]

    def ask(self, method: str, path: str, kind: str, body: bytes, *, raw: bytes | None = None) -> str:
        more = f"If-Match: {self.etag}\r\n" if method == "PATCH" and "/whip/" in path else ""
        head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\n{more}Connection: close\r\n"
        head += f"Content-Length: {len(body)}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", self.server.port), 20) as line:
            with contextlib.suppress(ConnectionError):  # it may have heard enough
                line.sendall(head.encode() + body if raw is None else raw)
            found = bytearray()
            if raw is not None:
                line.settimeout(0.5)  # what has no end is not answered until the server is tired of it
            with contextlib.suppress(ConnectionError, TimeoutError if raw is not None else ConnectionError):
                while piece := line.recv(65536):
                    found += piece
        return found.decode("utf-8", "replace")

    def sent(self, method: str, path: str, kind: str) -> Callable[[bytes], str]:
        return lambda body: self._judge(self.ask(method, path, kind, body))

    def _judge(self, answer: str) -> str:
        status = answer.split(" ", 2)[1] if answer.startswith("HTTP/") else "no answer"
        assert not status.startswith("5"), answer[:500]
        if not self._await(self._clean()):
            self._publish()
        return status

    async def _clean(self) -> bool:
        site = self.server.site
        for name in [stream.name for stream in site.hub.streams() if stream.name != "fed"]:
            await site.end(name)
        for peer in [peer for peer, session in site.sessions.items() if session.kind == "whep"]:
            await site.peers.close(peer)
        return site.hub.get("fed") is not None

    def _whole(self, data: bytes) -> str:
        return self._judge(self.ask("", "", "", b"", raw=data))

    def _trickled(self, body: bytes) -> str:
        return self._judge(self.ask("PATCH", self.session, "application/trickle-ice-sdpfrag", body))

    def targets(self) -> list[Target]:
        page = {"sdp": self.offer, "type": "offer", "set": {"style": "dark", "strength": 0.5}}
        change = {"mix": {"plain": 0.4, "dark": 0.6}, "strength": 0.5, "transition": 0.0, "bypass": None}
        ufrag = next(line for line in self.offer.splitlines() if line.startswith("a=ice-ufrag:"))
        fragment = f"{ufrag}\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n"
        fragment += "a=candidate:1 1 UDP 2122252543 127.0.0.1 40000 typ host\r\na=end-of-candidates\r\n"
        heads = [
            ("GET /v1/streams/fed/stats?x=1", "", b""),
            ("POST /v1/streams/fed/trace?seconds=0.05", "", b""),
            ("GET /v1/styles/dark/preview.jpg", "Range: bytes=0-9\r\n", b""),
            ("PATCH /v1/streams/fed", "Content-Type: application/json\r\n", b'{"strength":1.0}'),
            ("POST /v1/styles?name=new", "Content-Type: image/png\r\n", b"\x89PNG"),
        ]
        wholes = [
            f"{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{more}"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
            for line, more, body in heads
        ]
        offers = [self.offer.encode()]
        sdp = "application/sdp"
        return [
            Target("patch", [json.dumps(change).encode()], mutations.of_json,
                   self.sent("PATCH", "/v1/streams/fed", "application/json")),
            Target("offer", [json.dumps(page).encode()], mutations.of_json,
                   self.sent("POST", "/offer", "application/json")),
            Target("whip", offers, mutations.of_text, self.sent("POST", "/other/whip", sdp)),
            Target("whep", offers, mutations.of_text, self.sent("POST", "/fed/whep", sdp)),
            Target("trickle", [fragment.encode()], mutations.of_text, self._trickled),
            Target("request", wholes, mutations.of_bytes, self._whole),
        ]  # fmt: skip


async def _offer() -> str:
    """What a browser would send."""
    from aiortc import RTCPeerConnection

    caller = RTCPeerConnection()
    caller.addTransceiver("video", "sendrecv")
    caller.addTransceiver("audio", "sendrecv")
    caller.createDataChannel("control")
    await caller.setLocalDescription(await caller.createOffer())
    try:
        return caller.localDescription.sdp
    finally:
        await caller.close()


GROUPS = {"texts": texts, "bundles": bundles, "media": media, "http": http}
