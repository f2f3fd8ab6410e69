"""From one file to another by way of a card that is not there: what goes through the host, and that nothing is lost.

Everything of ours is what runs on a real card: source, engine, kernels, sink.  CuPy, the decoder, the nets and the
encoder are played; what is enqueued runs as late, or in as odd an order, as a device may take it.
"""

from dataclasses import replace
from types import SimpleNamespace

import av
import numpy as np
import pytest

from allaprima.kernels import cuda
from allaprima.realtime.backends import cuda_device, hardware, nets
from allaprima.realtime.backends.hardware import Refused
from allaprima.realtime.config import Config
from allaprima.realtime.job import Job
from allaprima.realtime.pipeline import run
from allaprima.realtime.report import as_json, summary
from allaprima.realtime.sinks import codecs, open_sink
from allaprima.realtime.sinks.base import takes_device_frames
from allaprima.realtime.sources import open_source
from allaprima.realtime.steering import Stop
from allaprima.realtime.stylizer import Stylizer

from ...kernels import fake_streams
from ...kernels.fake_streams import Order
from ..sources.clips import write_clip
from .cuda_rig import TinyRuntime
from .fake_card import Encoded, FakeHardware, installed

SIZE = (32, 24)
FRAMES = 3
NV12 = SIZE[0] * SIZE[1] * 3 // 2


class Nvenc(Encoded):
    """What `av.VideoFrame.from_dlpack` gives, for x264: read as an encoder does, on the stream it was given."""

    @classmethod
    def from_dlpack(cls, planes, *, format, cuda_context):
        made = super().from_dlpack(planes, format=format, cuda_context=cuda_context)
        with fake_streams.ALL[made.stream]:
            host = tuple(plane.get() for plane in made.planes)
        return av.VideoFrame.from_dlpack(host, format="nv12")


class Blind(FakeHardware):
    """A card that encodes and does not decode."""

    def decoder(self, video):
        raise Refused("there is no hardware decoder of h264")


@pytest.fixture
def film(tmp_path, tiny):
    def picture(index):
        planes = tiny.frame(SIZE, 3, index=index).planes
        shifted = [np.roll(plane, index, 1) for plane in planes]
        return av.VideoFrame.from_dlpack(tuple(np.ascontiguousarray(plane) for plane in shifted), format="yuv420p")

    options = {"bf": "2", "b-adapt": "0", "g": "4"}
    return str(write_clip(tmp_path / "film.mp4", size=SIZE, frames=FRAMES, make=picture, options=options))


@pytest.fixture
def played(monkeypatch):
    """Sets the stage: gives a card that decodes or not, for a given order of its work."""
    stages = []

    def set_up(order=None, decodes=True):
        stage = installed(order)
        card = stage.__enter__()
        stages.append(stage)
        monkeypatch.setattr(hardware, "av", SimpleNamespace(VideoFrame=Nvenc, CodecContext=av.CodecContext))
        monkeypatch.setattr(hardware.Surfaces, "pix_fmt", "nv12")
        monkeypatch.setitem(codecs.ENCODERS, "libx264", replace(codecs.ENCODERS["libx264"], card=True))
        monkeypatch.setattr(cuda_device, "NET_LIBRARIES", ("numpy",))
        monkeypatch.setattr(nets, "open_runtime", TinyRuntime)
        cuda._kernel.cache_clear()
        cuda._raw_module.cache_clear()
        card_codecs = (FakeHardware if decodes else Blind)(card)

        def find(backend, wanted, transfers):
            card_codecs.transfers = transfers
            return card_codecs

        monkeypatch.setattr(hardware, "find", find)
        return card_codecs

    yield set_up
    for stage in stages:
        fake_streams.Order.current = None
        stage.__exit__(None, None, None)
    cuda._kernel.cache_clear()
    cuda._raw_module.cache_clear()


def pictures(path):
    with av.open(str(path)) as container:
        return [(picture.pts, picture.to_ndarray(format="yuv420p").tobytes()) for picture in container.decode(video=0)]


def painter(bundle, card):
    made = Stylizer("bright", bundle=bundle, strength=0.7, steadiness=0.5, backend="cuda")
    made.transfers = card.transfers
    return made


def paint(film, target, bundle, given, taken):
    """Through the threads of a real run; gives the counter."""
    with open_source(film, hardware=given) as source:
        sink = open_sink(str(target), source.info, hardware=taken)
        stylizer = painter(bundle, given)
        stylizer.on_device = takes_device_frames(sink)
        assert stylizer.on_device == (taken is not None)
        progress = run(source, stylizer, [sink])
    assert progress.painted == FRAMES
    return given.transfers.figures()


def brightness(found):
    return np.mean([np.frombuffer(picture, np.uint8)[: SIZE[0] * SIZE[1]].mean() for _, picture in found])


@pytest.fixture(scope="module")
def seen():
    """What came out the first time, by the way it was treated: it must never be anything else."""
    return {}


@pytest.mark.parametrize(
    ("decodes", "encodes", "up", "down"),
    [(True, True, 0, 0), (False, True, NV12, 0), (True, False, 0, NV12), (False, False, NV12, NV12)],
    ids=["decoder and encoder", "encoder", "decoder", "neither"],
)
def test_what_goes_through_the_host(film, tmp_path, tiny_bundle, played, seen, decodes, encodes, up, down):
    """Nothing from file to file with a decoder and an encoder; else one picture each way for each frame, no more."""
    card = played(decodes=decodes)
    moved = paint(film, tmp_path / "out.mp4", tiny_bundle, card, card if encodes else None)
    assert moved == {"to_device_bytes": FRAMES * up, "to_host_bytes": FRAMES * down}
    made, given = pictures(tmp_path / "out.mp4"), pictures(film)
    assert [stamp for stamp, _ in made] == [stamp for stamp, _ in given]
    assert brightness(made) > brightness(given) + 5, "nothing was painted"
    assert made == seen.setdefault("painted", made), "the way makes a difference"


@pytest.mark.parametrize(("bypass", "seed"), [(False, None), (False, 1), (True, None), (True, 0), (True, 1)])
def test_nobody_reads_too_early_or_writes_too_soon(film, tmp_path, tiny_bundle, played, seen, bypass, seed):
    """In one thread: who forgets to wait for the card, or lets go of memory that it still uses, is found out."""
    card = played(Order(seed))
    with open_source(film, hardware=card) as source:
        stylizer = painter(tiny_bundle, card)
        stylizer.on_device, stylizer.bypass = True, bypass
        with open_sink(str(tmp_path / "out.mp4"), source.info, hardware=card) as sink:
            assert takes_device_frames(sink)
            for frame in source:
                sink.write(stylizer(frame))
    assert card.transfers.figures() == {"to_device_bytes": 0, "to_host_bytes": 0}
    made = pictures(tmp_path / "out.mp4")
    if bypass:
        assert abs(brightness(made) - brightness(pictures(film))) < 1
    assert made == seen.setdefault("bypassed" if bypass else "painted", made)
    assert len(made) == FRAMES


def test_a_run_tells_of_it(film, tmp_path, tiny_bundle, played):
    played()
    config = Config(style="bright", strength=0.7, steadiness=0.5, bundle=tiny_bundle, backend="cuda")
    outcome = Job(film, str(tmp_path / "out.mp4"), config, Stop()).paint(lambda progress: None)
    assert outcome.progress.notes == []
    assert "  transfers 0 B up, 0 B down a frame\n" in summary(outcome)
    assert as_json(outcome)["transfers"] == {"to_device_bytes": 0, "to_host_bytes": 0}
    assert len(pictures(tmp_path / "out.mp4")) == FRAMES
