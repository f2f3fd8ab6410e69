"""The graphics card's own decoders and encoders, through PyAV: pictures that never touch host memory.

Nobody else knows what a picture on the card looks like to FFmpeg.  Work is ordered on the card, without a host that
waits: its default stream is where everybody meets.  FFmpeg's decoder works on it; who fills the planes of a frame lets
it wait for that, and who reads them does it within `reading`.
"""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
from av.codec.codec import Codec, UnknownCodecError
from av.codec.hwaccel import HWAccel
from av.error import FFmpegError
from av.video.frame import CudaContext
from numpy.typing import NDArray

from allaprima.kernels.cuda import cupy
from allaprima.realtime.backends.cuda_device import DEVICE, device_errors, probe
from allaprima.realtime.backends.cuda_memory import OnDevice, Pool, lent_device
from allaprima.realtime.errors import BackendError, BackendUnavailable
from allaprima.realtime.frame import Frame, Plane
from allaprima.realtime.metrics import Transfers

SURFACE = "cuda"
"""FFmpeg's name of the pixel format, and of the kind of device."""
FORMATS = {"nv12": "nv12", "p010le": "p010"}
"""What decoders put on a surface, in FFmpeg's words and in those of a `Frame`."""
EXTRA_SURFACES = 8
"""Beyond what the decoder needs for itself: those of pictures that were decoded and not taken yet."""
THE_CONTEXT_THERE_IS = {"primary_ctx": "0", "current_ctx": "1"}
"""For FFmpeg: CuPy has made one, and retaining it with other flags than CuPy's fails."""
PITCH = 256
"""Bytes that rows of a picture are a multiple of."""
MOST_HELD = 48
"""Pictures that an encoder may hold at once; FFmpeg registers 64 addresses with it at most."""


class Refused(Exception):
    """The card will not do this, and the host has to; ``str`` is the reason, without a full stop."""


@dataclass(frozen=True, slots=True)
class Surface:
    """A decoded picture: the fields of a `Frame` that say where it is and how."""

    planes: tuple[Any, ...]
    format: str = "yuv420p"
    landing: Callable[[], tuple[Plane, ...]] | None = None


def find(backend: str, wanted: str, transfers: Transfers) -> "Hardware | None":
    """The codecs of the card, where ``backend`` is to paint on it and ``wanted`` is not "off"."""
    if wanted == "off" or backend == "cpu" or probe() is not None:
        return None
    return Hardware(transfers)


class Hardware:
    """The codecs of the card that paints.

    ``transfers`` counts the bytes of pictures that go through host memory here all the same.  Raises
    `BackendUnavailable` where there is no card or no CuPy.  Sources and sinks use it from threads of their own.
    """

    def __init__(self, transfers: Transfers) -> None:
        self.transfers = transfers
        self._slots: dict[Any, _Slots] = {}
        try:
            with device_errors("being asked for its decoders and encoders"):
                _enter()
                self._stream = cupy().cuda.Stream(non_blocking=True)  # the encoders', which must not outlive it
        except (ImportError, BackendError) as error:
            raise BackendUnavailable(f"there are no hardware decoders and encoders: {error}") from error

    # ---- in ----

    def decoder(self, video: Any) -> Any:
        """An open decoder of the video stream beside the stream's own; its pictures go to `take`.

        It may give pictures in host memory, where the card cannot decode what it meets.  Raises `Refused`.
        """
        name = video.codec_context.codec.canonical_name
        try:
            codec = Codec(name, "r")  # the stream's own may be one that knows no hardware, as libdav1d
        except UnknownCodecError as error:
            raise Refused(f"there is no hardware decoder of {name}") from error
        if not any(way.is_supported and way.device_type.name == SURFACE for way in codec.hardware_configs or ()):
            raise Refused(f"there is no hardware decoder of {name}")
        options: dict[str, object] = dict(THE_CONTEXT_THERE_IS)
        way = HWAccel(SURFACE, device=DEVICE, allow_software_fallback=True, options=options, is_hw_owned=True)
        try:
            with device_errors("opening a decoder"):
                _enter()
            context = twin(video, codec, way)
            context.open()
        except (FFmpegError, OSError, ValueError, BackendError) as error:
            raise Refused(f"the hardware decoder of {name} does not open ({_words(error)})") from error
        return context

    @staticmethod
    def holds(picture: Any) -> bool:
        """Whether a decoded picture is on the card, in a format that can be painted."""
        kind = picture.sw_format
        return picture.format.name == SURFACE and kind is not None and kind.name in FORMATS

    def take(self, picture: Any) -> Surface:
        """Copy a picture off the decoder's surface, which goes back to its small pool with ``picture``.

        The copy is enqueued behind the decoder's work and before what will overwrite the surface: both are on the
        default stream.  Raises `BackendError`.
        """
        format = FORMATS[picture.sw_format.name]
        with device_errors("taking a decoded picture"):
            _enter()
            # cupy.from_dlpack(plane) would ask for a stream, which planes on the card refuse: hand it the capsule.
            luma, chroma = (cupy().from_dlpack(plane.__dlpack__()) for plane in picture.planes[:2])
            with _meeting():
                planes = self._memory(luma.shape, luma.dtype).take()
                planes[0][...], planes[1][...] = luma, chroma

        def landing() -> tuple[Plane, ...]:
            return self._landed(planes)

        return Surface(planes, format, landing)

    def _memory(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> "_Slots":
        key = (shape, dtype.name)
        if key not in self._slots:
            self._slots[key] = _Slots(shape, dtype)
        return self._slots[key]

    def _landed(self, planes: tuple[Any, ...]) -> tuple[Plane, ...]:
        with device_errors("bringing a picture to the host"):
            _enter()
            with _meeting():
                luma, chroma = (plane.get() for plane in planes)
        self.transfers.add(to_host=luma.nbytes + chroma.nbytes)
        return planar(luma, chroma)

    # ---- out ----

    def surfaces(self) -> "Surfaces":
        """Pictures for one encoder."""
        return Surfaces(self._stream, self.transfers)


class Surfaces:
    """Pictures on the card for one encoder, each kept until its packet came out.  For one thread.

    Encoders know a picture by one address and one pitch, and remember addresses: chroma follows luma in the same
    memory, and memory is used again and again.
    """

    pix_fmt = SURFACE

    def __init__(self, stream: Any, transfers: Transfers) -> None:
        self._stream = stream
        self._transfers = transfers
        self._context: CudaContext | None = None
        self._slots: _Slots | None = None
        self._held: dict[int, tuple[Any, ...]] = {}
        """By the time of their picture: memory that the encoder may look at, and what is copied into it."""

    def picture(self, frame: Frame, pts: int) -> av.VideoFrame:
        """The frame as the encoder takes it, without its time; ``pts`` is what `release` will be told.

        A frame that is not on the card is brought there.  Sides must be even.  Raises `BackendError`.
        """
        with device_errors("handing a picture to its encoder"):
            _enter()
            slot, planes = self._slot(frame.size), frame.planes
            with reading(self._stream), self._stream:
                if frame.format != "nv12" or not isinstance(planes[0], cupy().ndarray):
                    planes = tuple(cupy().asarray(plane) for plane in interleaved(*frame.landed().planes))
                    self._transfers.add(to_device=sum(plane.nbytes for plane in planes))
                for plane, target in zip(planes, slot, strict=True):
                    target[...] = plane
            self._held[pts] = (slot, planes)
            if self._context is None:
                self._context = CudaContext(
                    device_id=DEVICE, primary_ctx=False, current_ctx=True, cuda_stream=self._stream.ptr
                )
            return av.VideoFrame.from_dlpack(slot, format="nv12", cuda_context=self._context)

    def release(self, pts: int | None) -> None:
        """The packet of the picture with this time came out."""
        if pts is not None:
            self._held.pop(pts, None)

    def _slot(self, size: tuple[int, int]) -> tuple[Any, ...]:
        if len(self._held) >= MOST_HELD:
            raise BackendError(f"the hardware encoder keeps more than {MOST_HELD} pictures")
        if self._slots is None:
            self._slots = _Slots(size[::-1], np.dtype(np.uint8))
        return self._slots.take()


class _Slots:
    """Memory for pictures of ``shape`` (height, width): luma and chroma in one allocation, with one pitch.

    It is used again when nobody holds the planes any more; what is enqueued for it then is ordered by the default
    stream, or follows a packet.
    """

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._shape, self._dtype = shape, dtype
        height, width = shape
        self._pitch = -(-width * dtype.itemsize // PITCH) * PITCH // dtype.itemsize
        size = (height + height // 2) * self._pitch * dtype.itemsize
        self._pool = Pool(lambda: OnDevice(size, _meeting()))

    def take(self) -> tuple[Any, ...]:
        height, width = self._shape
        memory = lent_device(self._pool.take()).view(self._dtype)
        luma = memory[: height * self._pitch].reshape(height, self._pitch)
        chroma = memory[height * self._pitch :].reshape(height // 2, self._pitch // 2, 2)
        return luma[:, :width], chroma[:, : width // 2]


@contextlib.contextmanager
def reading(stream: Any) -> Iterator[None]:
    """Planes of frames are read by work that is enqueued on ``stream`` meanwhile.

    It begins after what was done to them; what is done to their memory later waits for it.
    """
    meeting = _meeting()
    stream.wait_event(meeting.record())
    yield
    meeting.wait_event(stream.record())


def twin(video: Any, codec: Codec, way: HWAccel | None) -> Any:
    """A decoder as the container made it for ``video``, not opened yet: one that no container has touched."""
    context: Any = av.CodecContext.create(codec, "r", hwaccel=way)
    if way is not None and not context.is_hwaccel:
        raise Refused(f"the hardware decoder of {codec.canonical_name} has no way to the card")
    given = video.codec_context
    if given.extradata:
        context.extradata = given.extradata
    context.width, context.height = given.width, given.height
    context.reorder_depth = given.reorder_depth  # or pictures may come out before their turn
    context.thread_count = 1  # the card does the work, and threads would hold its surfaces
    if way is not None:
        context.options = {"extra_hw_frames": str(EXTRA_SURFACES)}
    return context


def planar(luma: NDArray[Any], chroma: NDArray[Any]) -> tuple[Plane, ...]:
    """yuv420p of the planes of nv12 or p010; 10 bits are rounded to 8."""
    u, v = (np.ascontiguousarray(chroma[..., part]) for part in (0, 1))
    return tuple(plane if plane.dtype == np.uint8 else _bytes(plane) for plane in (luma, u, v))


def _bytes(plane: NDArray[Any]) -> Plane:
    return np.asarray(np.minimum((plane.astype(np.uint32) + 128) >> 8, 255), np.uint8)


def interleaved(luma: Plane, u: Plane, v: Plane) -> tuple[Plane, Plane]:
    """nv12 of the planes of yuv420p."""
    return np.ascontiguousarray(luma), np.stack((u, v), axis=-1)


def _meeting() -> Any:
    """The default stream, on which FFmpeg's decoder works, as the one that CuPy enqueues on."""
    return cupy().cuda.Stream.null


def _enter() -> None:
    """Make the card's context the calling thread's: FFmpeg is told to take the one that is there."""
    cupy().cuda.Device(DEVICE).use()
    cupy().cuda.runtime.free(0)


def _words(error: BaseException) -> str:
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(words).splitlines()[0].rstrip(".")
