import ast
import errno
import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pytest
from av.codec.codec import Codec
from av.codec.hwaccel import HWAccel, hwdevices_available

from allaprima.realtime.backends import cuda_device, hardware
from allaprima.realtime.backends.hardware import Hardware, Refused, reading
from allaprima.realtime.errors import BackendError, BackendUnavailable
from allaprima.realtime.frame import Frame
from allaprima.realtime.metrics import Transfers
from allaprima.realtime.sinks import codecs, open_sink
from allaprima.realtime.sinks.base import takes_device_frames
from allaprima.realtime.sources import open_source

from ...kernels.fake_streams import FakeStream, Order
from ..sources.clips import flat, write_clip
from .fake_card import SURFACES, Picture, installed

SIZE = (64, 48)
SEEDS = [None, 0, 1, 2]


@pytest.fixture(params=SEEDS, ids=lambda seed: "late" if seed is None else f"order {seed}")
def card(request):
    """A card that does its work at no other time than it must."""
    with installed(Order(request.param)) as fake:
        yield fake


@pytest.fixture
def clip(tmp_path):
    """With B-frames, which come out in another order than they go in."""
    return str(write_clip(tmp_path / "clip.mp4", frames=30, options={"bf": "3", "g": "10", "b-adapt": "0"}))


def planes_of(index=0, size=SIZE):
    width, height = size
    rng = np.random.default_rng(index)
    chroma = (2, height // 2, width // 2)
    return (rng.integers(0, 256, (height, width), np.uint8), *rng.integers(0, 256, chroma, np.uint8))


def frame_of(planes, size=SIZE, **more):
    return Frame(planes, size, 0, Fraction(1, 25), **more)


def on_card(card, planes, stream=None):
    """A painted frame: its planes are filled by work on ``stream``, for which the default stream waits."""
    luma, u, v = planes
    device = tuple(card.empty(part.shape, np.uint8) for part in (luma, np.stack((u, v), -1)))
    with stream or FakeStream.null:
        device[0][...], device[1][...] = luma, np.stack((u, v), -1)
    if stream is not None:
        FakeStream.null.wait_event(stream.record())
    return frame_of(device, format="nv12", landing=lambda: planes)


# ---- what PyAV has ----


def source_of(module):
    return ast.parse(Path(av.__file__).parent.joinpath(module).read_text(encoding="utf-8"))


def test_pyav_has_the_names_and_keywords_that_are_used():
    """In the sources that come with it: its functions are compiled and do not tell their signatures."""
    found = {}
    for module in ("codec/hwaccel.py", "video/frame.py", "video/plane.py", "codec/context.py"):
        for node in ast.walk(source_of(module)):
            for made in node.body if isinstance(node, ast.ClassDef) else ():
                if isinstance(made, ast.FunctionDef):
                    found.setdefault(f"{node.name}.{made.name}", set()).update(
                        a.arg for a in (*made.args.args, *made.args.kwonlyargs)
                    )
    assert {"device", "allow_software_fallback", "options", "is_hw_owned"} <= found["HWAccel.__init__"]
    assert {"planes", "format", "cuda_context"} <= found["VideoFrame.from_dlpack"]
    assert {"device_id", "primary_ctx", "current_ctx", "cuda_stream"} <= found["CudaContext.__cinit__"]
    assert {"stream"} == found["VideoPlane.__dlpack__"] - {"self"}
    assert {"codec", "mode", "hwaccel"} <= found["CodecContext.create"]
    assert {"CodecContext.is_hwaccel", "VideoFrame.sw_format"} <= found.keys()
    assert isinstance(av.CodecContext.create("h264", "r").reorder_depth, int)


def test_ffmpeg_has_the_decoders_and_their_options():
    options = av.CodecContext.create("h264", "r").supported_options
    assert "extra_hw_frames" in [option.name for option in options.generic]
    for name in ("h264", "hevc", "av1", "vp9"):
        ways = Codec(name, "r").hardware_configs
        assert "cuda" in [way.device_type.name for way in ways if way.is_supported], name


def test_ffmpeg_has_the_encoders_and_their_options():
    for encoder in codecs.ENCODERS.values():
        if encoder.card:
            options = av.CodecContext.create(encoder.name, "w").supported_options
            known = {option.name for option in (*options.generic, *options.private)}
            assert {*encoder.options, *encoder.live, encoder.preset, encoder.quality} <= known, encoder.name


def test_a_picture_on_a_card_looks_like_no_picture_of_ours():
    shown = av.VideoFormat("cuda")
    assert (shown.is_rgb, shown.has_palette, shown.is_bayer) == (False, False, False)


# ---- this machine ----


def has_driver():
    try:
        av.CodecContext.create("h264", "r", hwaccel=HWAccel("cuda", is_hw_owned=True))
    except OSError:
        return False
    return True


def test_without_cupy_there_is_no_hardware(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(BackendUnavailable, match="no hardware decoders and encoders"):
        Hardware(Transfers())


def test_a_decoder_that_ffmpeg_cannot_open_is_refused(clip):
    """For real where there is no driver: FFmpeg's device is asked for and does not come."""
    if "cuda" not in hwdevices_available():
        pytest.skip("this FFmpeg was built without it")
    with installed(), av.open(clip) as container:
        hard, video = Hardware(Transfers()), container.streams.video[0]
        if has_driver():
            assert hard.decoder(video).is_hwaccel
            return
        with pytest.raises(Refused, match=r"^the hardware decoder of h264 does not open \("):
            hard.decoder(video)


def test_a_decoder_is_opened_as_pyav_wants_it(clip, monkeypatch):
    """Frames stay on the card, in the context that there is; the accelerator is PyAV's own object."""
    asked = {}

    def create(codec, mode, hwaccel):
        asked.update(codec=codec.name, mode=mode, way=hwaccel)
        return SimpleNamespace(is_hwaccel=asked["works"], open=lambda: asked.update(opened=True))

    with installed(), av.open(clip) as container:
        monkeypatch.setattr(hardware, "av", SimpleNamespace(CodecContext=SimpleNamespace(create=create)))
        hard, video = Hardware(Transfers()), container.streams.video[0]
        asked["works"] = False
        with pytest.raises(Refused, match="no way to the card"):
            hard.decoder(video)
        asked["works"] = True
        context = hard.decoder(video)
        given = video.codec_context
        assert (asked["codec"], asked["mode"], asked["opened"]) == ("h264", "r", True)
        assert asked["way"].is_hw_owned
        assert asked["way"].device_id == 0
        assert asked["way"].options == {"primary_ctx": "0", "current_ctx": "1"}
        assert context.options == {"extra_hw_frames": "8"}
        assert context.extradata == given.extradata
        assert (context.width, context.height) == SIZE
        assert context.reorder_depth == given.reorder_depth > 0
        assert context.thread_count == 1


def test_a_codec_without_hardware_is_refused(tmp_path):
    path = write_clip(tmp_path / "clip.mkv", codec="ffv1", frames=1)
    with installed(), av.open(str(path)) as container, pytest.raises(Refused, match="no hardware decoder of ffv1"):
        Hardware(Transfers()).decoder(container.streams.video[0])


def test_the_software_that_a_container_chose_does_not_matter(tmp_path):
    """AV1 is opened with libdav1d, which knows no hardware; the decoder that does is another."""
    path = write_clip(tmp_path / "clip.mkv", codec="libsvtav1", frames=2, options={"preset": "13"})
    with installed(), av.open(str(path)) as container:
        video = container.streams.video[0]
        if video.codec_context.codec.name == "av1":
            pytest.skip("this FFmpeg opens AV1 with its own decoder")
        if has_driver():
            pytest.skip("there is a driver, and perhaps a card that decodes AV1")
        with pytest.raises(Refused, match="decoder of av1 does not open"):
            Hardware(Transfers()).decoder(video)


def test_a_twin_decodes_what_the_container_would(clip):
    with av.open(clip) as container:
        wanted = [(picture.pts, bytes(picture.planes[0])) for picture in container.decode(video=0)]
    with av.open(clip) as container:
        video = container.streams.video[0]
        twin = hardware.twin(video, video.codec_context.codec, None)
        made = [picture for packet in container.demux(video) for picture in twin.decode(packet)]
    assert [(picture.pts, bytes(picture.planes[0])) for picture in made] == wanted
    assert len(made) == 30


def test_it_is_found_where_the_card_paints(monkeypatch):
    monkeypatch.setattr(cuda_device, "NET_LIBRARIES", ("numpy",))
    transfers = Transfers()
    with installed() as card:
        for backend in ("auto", "cuda"):
            found = hardware.find(backend, "auto", transfers)
            assert found is not None
            assert found.transfers is transfers
        assert hardware.find("cpu", "auto", transfers) is None
        assert hardware.find("auto", "off", transfers) is None
        card.devices = 0
        assert hardware.find("auto", "auto", transfers) is None


# ---- in ----


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv420p10le"])
def test_a_picture_is_copied_before_its_surface_is_overwritten(card, pixels):
    transfers = Transfers()
    hard = Hardware(transfers)
    taken = []
    for index in range(2 * SURFACES):  # more than there are
        picture = Picture(flat(pixels, SIZE, (40 + index, 100, 150)), card)
        assert Hardware.holds(picture)
        taken.append(hard.take(picture))
        del picture
    assert transfers.figures() == {"to_device_bytes": 0, "to_host_bytes": 0}
    for index, surface in enumerate(taken):
        assert surface.format == ("nv12" if pixels == "yuv420p" else "p010")
        luma, u, v = surface.landing()
        assert luma.shape == SIZE[::-1]
        assert (luma == 40 + index).all()
        assert (u == 100).all()
        assert (v == 150).all()
    bytes_each = SIZE[0] * SIZE[1] * 3 // 2 * (1 if pixels == "yuv420p" else 2)
    assert transfers.figures() == {"to_device_bytes": 0, "to_host_bytes": len(taken) * bytes_each}


def test_ten_bits_are_rounded():
    codes = np.array([[0, 1, 2, 1022, 1023]], np.uint16) << 6
    luma, u, v = hardware.planar(codes, np.stack((codes, codes[:, ::-1]), -1))
    assert luma.tolist() == [[0, 0, 1, 255, 255]]
    assert u.tolist() == luma.tolist() == v[:, ::-1].tolist()
    assert luma.dtype == u.dtype == np.uint8


def test_nv12_and_back():
    planes = planes_of()
    luma, chroma = hardware.interleaved(*planes)
    for made, wanted in zip(hardware.planar(luma, chroma), planes, strict=True):
        np.testing.assert_array_equal(made, wanted)


def test_who_reads_waits_and_is_waited_for(card):
    """A reader sees what the decoder wrote, and not what is written to the same memory after it."""
    surface = Hardware(Transfers()).take(Picture(flat("yuv420p", SIZE, (77, 100, 150)), card))
    stream, seen = FakeStream(), card.empty(SIZE[::-1], np.uint8)
    with reading(stream), stream:
        seen[...] = surface.planes[0]
    with FakeStream.null:  # the memory's next use
        surface.planes[0][...] = 5
    with stream:
        assert (seen.get() == 77).all()


def test_pictures_of_other_kinds_are_not_taken(card):
    picture = Picture(flat("yuv420p", SIZE, (77, 100, 150)), card)
    picture.sw_format = av.VideoFormat("yuv444p")
    assert not Hardware.holds(picture)
    assert not Hardware.holds(flat("yuv420p", SIZE, (77, 100, 150)))


def test_a_card_that_fails_is_an_error_of_the_device(card):
    hard = Hardware(Transfers())
    surface = hard.take(Picture(flat("yuv420p", SIZE, (77, 100, 150)), card))
    card.failure.append(card.cuda.runtime.CUDARuntimeError(719, "unspecified launch failure"))
    with pytest.raises(BackendError, match="while bringing a picture to the host: cudaError719"):
        surface.landing()
    with pytest.raises(BackendError, match="cudaError719"):
        hard.surfaces().picture(frame_of(planes_of()), 0)
    with pytest.raises(BackendUnavailable, match="cudaError719"):
        Hardware(Transfers())


def test_without_a_card_there_is_no_hardware():
    with installed() as card:
        card.devices = 0
        with pytest.raises(BackendUnavailable, match="no CUDA-capable device"):
            Hardware(Transfers())


# ---- out ----


def encoded(picture):
    """What an encoder reads from its picture, on the stream that it was given."""
    from tests.kernels import fake_streams

    with fake_streams.ALL[picture.stream]:
        return hardware.planar(*(plane.get() for plane in picture.planes))


def test_a_painted_frame_goes_to_the_encoder_without_the_host(card):
    transfers, painter = Transfers(), FakeStream()
    surfaces = Hardware(transfers).surfaces()
    frames = [planes_of(index) for index in range(4)]
    made = [surfaces.picture(on_card(card, planes, painter), pts) for pts, planes in enumerate(frames)]
    for picture, planes in zip(made, frames, strict=True):
        for given, wanted in zip(encoded(picture), planes, strict=True):
            np.testing.assert_array_equal(given, wanted)
    assert transfers.figures() == {"to_device_bytes": 0, "to_host_bytes": 0}
    context = made[0].context.given
    assert context["device_id"] == 0
    assert context["current_ctx"]
    assert not context["primary_ctx"]
    assert len({id(picture.context) for picture in made}) == 1


def test_a_frame_of_the_host_is_brought_there_and_counted(card):
    transfers, planes = Transfers(), planes_of()
    surfaces = Hardware(transfers).surfaces()
    picture = surfaces.picture(frame_of(planes), 0)
    for given, wanted in zip(encoded(picture), planes, strict=True):
        np.testing.assert_array_equal(given, wanted)
    assert transfers.figures() == {"to_device_bytes": SIZE[0] * SIZE[1] * 3 // 2, "to_host_bytes": 0}


def test_memory_is_used_again_once_packet_and_picture_are_gone(card):
    """FFmpeg lets go of a picture when it likes; the encoder may look at it until its packet came out."""
    surfaces = Hardware(Transfers()).surfaces()
    places, kept = [], {}

    def show(pts, keep):
        picture = surfaces.picture(frame_of(planes_of(pts)), pts)
        places.append(picture.planes[0].data.ptr)
        if keep:
            kept[pts] = picture

    show(10, keep=True)
    show(20, keep=False)
    surfaces.release(None)
    surfaces.release(99)
    show(30, keep=True)
    surfaces.release(10)
    surfaces.release(20)
    show(40, keep=True)
    show(50, keep=True)
    assert len(set(places[:3])) == 3
    assert places[3] == places[1]
    assert places[4] not in places[:4]
    for pts, picture in kept.items():
        np.testing.assert_array_equal(encoded(picture)[0], planes_of(pts)[0])


def test_an_encoder_that_gives_nothing_back_is_an_error():
    with installed():
        surfaces = Hardware(Transfers()).surfaces()
        for pts in range(hardware.MOST_HELD):
            surfaces.picture(frame_of(planes_of()), pts)
        with pytest.raises(BackendError, match="keeps more than 48"):
            surfaces.picture(frame_of(planes_of()), 100)


def test_the_reason_is_short():
    assert hardware._words(OSError(errno.EPERM, "Operation not permitted")) == "Operation not permitted"
    assert hardware._words(RuntimeError("first line.\nsecond")) == "first line"
    assert hardware._words(MemoryError()) == "MemoryError"


# ---- on a real card ----


@pytest.fixture
def wide_clip(tmp_path):
    return str(write_clip(tmp_path / "wide.mp4", size=(320, 180), frames=40, options={"bf": "3", "g": "12"}))


@pytest.mark.needs_cuda
def test_a_real_card_decodes_the_same_pictures(wide_clip):
    with open_source(wide_clip) as source:
        wanted = list(source)
    with open_source(wide_clip, hardware=Hardware(Transfers())) as source:
        frames = list(source)
    if source.notes:
        pytest.skip(source.notes[0])
    assert {frame.format for frame in frames} == {"nv12"}
    for frame, like in zip(frames, wanted, strict=True):
        assert (frame.pts, frame.color) == (like.pts, like.color)
        for given, plane in zip(frame.landed().planes, like.planes, strict=True):
            np.testing.assert_array_equal(given, plane)


@pytest.mark.needs_cuda
def test_a_real_card_encodes_what_it_decoded(wide_clip, tmp_path):
    transfers = Transfers()
    hard = Hardware(transfers)
    with (
        open_source(wide_clip, hardware=hard) as source,
        open_sink(str(tmp_path / "out.mp4"), source.info, hardware=hard) as sink,
    ):
        if source.notes or not takes_device_frames(sink):
            pytest.skip("; ".join([*source.notes, *sink.notes]))
        for frame in source:
            sink.write(frame)
    assert transfers.figures() == {"to_device_bytes": 0, "to_host_bytes": 0}
    with open_source(wide_clip) as given, open_source(str(tmp_path / "out.mp4")) as made:
        for frame, like in zip(made, given, strict=True):
            assert frame.time == like.time
            assert abs(int(frame.planes[0][90, 160]) - int(like.planes[0][90, 160])) <= 4
