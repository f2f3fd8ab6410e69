"""A card whose decoder and encoder behave as PyAV's do on one, around FFmpeg's software and the fake CuPy.

What PyAV promises is kept: planes of a surface refuse a ``stream``, CuPy takes their capsule and nothing else, a
surface goes back to a small pool with the last that holds it and is overwritten at once, the decoder works on the
default stream and the encoder on the one it was given.
"""

import errno
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from allaprima.realtime.backends import hardware
from allaprima.realtime.metrics import Transfers
from allaprima.realtime.sources import picture
from allaprima.realtime.sources.picture import view

from ...kernels import fake_streams
from ...kernels.emulator import Placement, why_not
from ...kernels.fake_cupy import FakeArray, FakeCupy, FakeStream, Place
from ...kernels.fake_streams import Order

SURFACES = 4 + hardware.EXTRA_SURFACES
POISON = 0xEE


class Capsule:
    """A raw DLPack capsule of device memory."""

    def __init__(self, array: Any, lease: Any) -> None:
        self.array, self.lease = array, lease


class Card(FakeCupy):
    """CuPy on this card."""

    def __init__(self, placement: Placement = "end", order: Order | None = None) -> None:
        super().__init__(placement, order)
        self.cuda.runtime.free = self._touch
        self.free: dict[tuple[int, ...], list[Any]] = {}
        """Surfaces that the decoder may use, by the shape of their luma."""
        self.made = 0
        """Of the shape in use."""

    def _touch(self, pointer: int) -> None:
        if self.failure:
            raise self.failure[0]
        self._count()

    def from_dlpack(self, given: Any) -> FakeArray:
        if hasattr(given, "__dlpack__"):
            given = given.__dlpack__(stream=1)  # as CuPy asks
        assert isinstance(given, Capsule), "not a capsule"
        return FakeArray.of(given.array._values, given.array._memory, given.lease)

    def surface(self, nv12: tuple[Any, Any]) -> "Lease":
        """A surface with this picture on it, once the decoder's stream gets there."""
        (height, width), dtype = nv12[0].shape, nv12[0].dtype
        if (height, width) not in self.free:  # another stream, or a new size in this one
            self.free, self.made = {(height, width): []}, 0
        free = self.free[height, width]
        if not free:
            if self.made >= SURFACES:
                raise OSError(errno.ENOMEM, "No decoder surfaces left")
            self.made += 1
            free.append(self.empty((height * 3 // 2, width + 6), dtype))
        memory = free.pop()
        lease = Lease()
        chroma = memory[height:].reshape(height // 2, width // 2 + 3, 2)[:, : width // 2]
        lease.planes = (memory[:height, :width], chroma)
        with FakeStream.null:
            lease.planes[0][...], lease.planes[1][...] = nv12
        weakref.finalize(lease, self._back, memory, free)
        return lease

    def _back(self, memory: Any, free: list[Any]) -> None:
        with FakeStream.null:
            memory.fill(POISON)
        free.append(memory)


class Lease:
    """FFmpeg's reference to a surface."""

    planes: tuple[Any, ...]


class Plane:
    """`av.video.plane.VideoPlane` of a surface."""

    def __init__(self, array: Any, lease: Lease) -> None:
        self._array, self._lease = array, lease

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, 0

    def __dlpack__(self, *, stream: int | None = None) -> Capsule:
        if stream is not None:
            raise NotImplementedError("CUDA stream synchronization is not supported.")
        return Capsule(self._array, self._lease)


class Picture:
    """`av.VideoFrame` on a surface; what it says of itself is what the software's says."""

    def __init__(self, given: av.VideoFrame, card: Card) -> None:
        self._given = given
        self._lease = card.surface(surfaced(given))
        self.format = av.VideoFormat("cuda", given.width, given.height)
        name = "p010le" if given.format.name.endswith("10le") else "nv12"
        self.sw_format = av.VideoFormat(name, given.width, given.height)

    def __getattr__(self, name: str) -> Any:
        assert name in (
            "pts", "time_base", "duration", "width", "height", "colorspace", "color_range", "color_primaries",
            "color_trc", "side_data", "interlaced_frame",
        ), name  # fmt: skip
        return getattr(self._given, name)

    @property
    def planes(self) -> tuple[Plane, ...]:
        return tuple(Plane(array, self._lease) for array in self._lease.planes)


def surfaced(given: av.VideoFrame) -> tuple[Any, Any]:
    """A yuv420p or yuv420p10le picture as nv12 or p010."""
    if given.format.name.endswith("10le"):
        wide = [np.frombuffer(p, "<u2").reshape(p.height, -1)[:, : p.width] << 6 for p in given.planes]
        return wide[0], np.stack(wide[1:], axis=-1)
    luma, u, v = (view(plane) for plane in given.planes)
    return luma.copy(), np.stack((u, v), axis=-1)


class Decoder:
    """`av.VideoCodecContext` on the card: FFmpeg's software decodes, the pictures lie on surfaces.

    ``fails`` are the packets, from 0, at which an error is raised; from packet ``gives_up`` on pictures come in host
    memory.
    """

    def __init__(self, card: Card, video: Any, fails: dict[int, Exception], gives_up: int | None) -> None:
        self._card = card
        self._context = hardware.twin(video, video.codec_context.codec, None)
        self._fails, self._gives_up = fails, gives_up
        self._count = -1

    def decode(self, packet: Any) -> list[Any]:
        self._count += 1
        if self._count in self._fails:
            raise self._fails[self._count]
        pictures = self._context.decode(packet)
        if self._gives_up is not None and self._count >= self._gives_up:
            return list(pictures)
        return [Picture(picture, self._card) for picture in pictures]


class FakeHardware(hardware.Hardware):
    """The product's, except that opening a decoder gives one of `Decoder`."""

    def __init__(self, card: Card, fails: dict[int, Exception] | None = None, gives_up: int | None = None) -> None:
        super().__init__(Transfers())
        self._card, self._fails, self._gives_up = card, fails or {}, gives_up
        self.opened = 0

    def decoder(self, video: Any) -> Any:
        self.opened += 1
        return Decoder(self._card, video, self._fails, self._gives_up)


class Encoded:
    """`av.VideoFrame.from_dlpack` of device memory: holds on to it, and says where it lies."""

    def __init__(self, planes: tuple[Any, ...], format: str, cuda_context: Any) -> None:
        self.planes, self.format, self.context = planes, format, cuda_context
        self.stream = cuda_context.given["cuda_stream"]

    @classmethod
    def from_dlpack(cls, planes: tuple[Any, ...], *, format: str, cuda_context: Any) -> "Encoded":
        (luma, chroma), width = planes, planes[0].shape[1]
        pitch = luma.strides[0]
        assert chroma.strides[0] == pitch, "one pitch"
        assert chroma.data.ptr == luma.data.ptr + pitch * luma.shape[0], "chroma follows luma"
        assert pitch % 256 == 0
        assert pitch >= width
        assert chroma.shape == (luma.shape[0] // 2, width // 2, 2)
        return cls(planes, format, cuda_context)


class Context:
    """`av.video.frame.CudaContext`."""

    def __init__(self, **given: Any) -> None:
        hardware_real_context(**given)  # takes these keywords, too
        self.given = given


hardware_real_context = hardware.CudaContext


def _assign(target: FakeArray, index: Any, value: Any) -> None:
    """``target[index] = value``, which does not keep a surface from going back before it is done.

    CuPy's own memory may be let go at once: its pool gives it to later work of the same stream.
    """
    there, source = Place(target[index]), Place(value) if isinstance(value, FakeArray) else None
    kept = None if isinstance(getattr(value, "_owner", None), Lease) else value

    def run() -> None:
        there()[...] = kept if source is None else source()

    fake_streams.current().enqueue(run)


@contextmanager
def installed(order: Order | None = None, placement: Placement = "end") -> Iterator[Card]:
    """The card in the place of CuPy, and of what in PyAV needs a driver."""
    if reason := why_not():
        pytest.skip(reason)
    card = Card(placement, order)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "cupy", card)
        patch.setattr(FakeArray, "__setitem__", _assign)
        patch.setattr(hardware, "CudaContext", Context)
        patch.setattr(picture, "SideDataContainer", lambda frame: frame.side_data)
        patch.setattr(hardware, "av", SimpleNamespace(VideoFrame=Encoded, CodecContext=av.CodecContext))
        yield card
