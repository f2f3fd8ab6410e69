"""A card for the tests of the cuda backend: the emulator behind the fake CuPy, and the tiny bundle's nets in NumPy."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from allaprima.kernels import cuda
from allaprima.kernels.reference.dis import Dis
from allaprima.realtime.backends import cuda_device, nets
from allaprima.realtime.backends.cpu import CpuBackend
from allaprima.realtime.bundle import Bundle
from allaprima.realtime.frame import Color, Frame

from ...kernels.emulator import Placement, why_not
from ...kernels.fake_cupy import FakeCupy, Place
from ...kernels.fake_streams import Order
from ...tiny import frame, shift

CHANNELS = 24
PAN = 2.0
"""Pixels of luma, to the right and down, that `moving` moves by in a frame."""
FLOW = 1.75
"""What `Panning` takes it for: fetched between pixels."""


@contextmanager
def card(placement: Placement = "end", order: Order | None = None) -> Iterator[FakeCupy]:
    """CuPy with one card, whose nets are `TinyRuntime`."""
    if reason := why_not():
        pytest.skip(reason)
    fake = FakeCupy(placement, order)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "cupy", fake)
        patch.setattr(cuda_device, "NET_LIBRARIES", ("numpy",))
        patch.setattr(nets, "open_runtime", TinyRuntime)
        cuda._kernel.cache_clear()
        cuda._raw_module.cache_clear()
        yield fake
        if order is not None:
            order.drain()
    cuda._kernel.cache_clear()
    cuda._raw_module.cache_clear()
    Order.current = None


SIZE, COLOR = (38, 30), Color(1, 1, 1, 1)
"""Of the tests' streams, unless they say otherwise."""


class TinyRuntime:
    """The tiny bundle's nets, as `nets.Runtime` wants them: ``painted = packed + strength * shift``."""

    name = "tiny"

    def __init__(
        self, bundle: Bundle, cells: tuple[int, int], stream: Any, region: bool = False, wanted: str = "auto"
    ) -> None:
        height, width = cells
        shapes = {"packed": (CHANNELS, *cells), "strength": (1, 1, 1), "shift_0": (CHANNELS, 1, 1)}
        if region:
            shapes |= {"shift_1": (CHANNELS, 1, 1)}
            shapes |= {"mask_deep": (1, height // 2, width // 2), "mask_fine": (1, *cells)}
        fake: Any = cuda.cupy()
        with stream:
            self.inputs = {name: fake.zeros((1, *shape), np.float16) for name, shape in shapes.items()}
            self.painted = fake.zeros((1, CHANNELS, *cells), np.float16)
        self.stream, self.region, self.cells = stream, region, cells
        self.captures = 0
        self.closed = False

    def enqueue(self) -> None:
        inputs = {name: Place(array) for name, array in self.inputs.items()}
        painted = Place(self.painted)

        def run() -> None:
            values = {name: place().astype(np.float32) for name, place in inputs.items()}
            shift = values["shift_0"]
            if self.region:
                shift = shift + values["mask_fine"] * (values["shift_1"] - shift)
            painted()[...] = values["packed"] + values["strength"] * shift

        assert not self.closed
        self.stream.enqueue(run)

    def capture(self, body: Callable[[], None]) -> Callable[[], None]:
        body()  # as TensorRT's
        self.stream.synchronize()
        self.stream.begin_capture()
        body()
        graph = self.stream.end_capture()
        self.captures += 1
        return lambda: graph.launch(self.stream)

    def close(self) -> None:
        self.closed = True


class Reference(CpuBackend):
    """The CPU backend with the flow that the kernels compute, or with one that pans: all else must agree."""

    def __init__(self, size: tuple[int, int], color: Color, pans: bool = False) -> None:
        super().__init__(size, color)
        self._dis: Any = self._panning if pans else Dis(self._small_size)

    def _panning(self, previous: Any, current: Any) -> Any:
        return np.full_like(self._small_grid, FLOW), np.full_like(self._small_grid, -FLOW)


class Still:
    """Stands for `kernels.flow.Dis`, which takes most of the emulator's time: nothing moves."""

    pan = 0.0

    def __init__(self, size: tuple[int, int], stream: Any = None) -> None:
        pass

    def __call__(self, previous: Any, current: Any, *, out: Any, stream: Any) -> Any:
        with stream:
            for flow, way in zip(out, (self.pan, -self.pan), strict=True):
                flow.fill(way)
        return out


class Panning(Still):
    """Nearly as `moving` does."""

    pan = FLOW


@dataclass
class Player:
    """Does with a backend what the stylizer does, frame by frame, with settings that a test may change."""

    backend: Any
    bundle: Bundle
    style: float = 0.25
    """What is added to luma."""
    strength: float = 1.0
    weight: float = 0.9
    region: Any = None
    """A mask, and what is added to luma where it is 1."""
    mask: Any = None
    """Where it is 1 the input is seen."""
    share: float = 1.0
    carry: bool = False
    swap: bool = False
    host: bool = True
    seen: Any = None
    before: Any = None

    def __call__(self, frame: Frame) -> Frame:
        backend = self.backend
        picture = backend.upload(frame)
        motion = backend.motion(self.seen, picture)
        self.seen = picture
        if self.carry:
            painted = backend.carry(self.before, picture, motion)
        else:
            region = None if self.region is None else (self.region[0], filters(self.region[1]))
            net = backend.load_net(self.bundle, region is not None)
            painted = net.paint(picture, filters(self.style), self.strength, region)
            painted = backend.warp_blend(None if self.swap else self.before, painted, motion, self.weight)
            self.swap = False
        if self.before is not None:
            backend.flicker(self.before, painted, motion)
        self.before = painted
        if self.mask is not None:
            painted = backend.mix(painted, picture, self.mask)
        if self.share < 1:
            painted = backend.mix(picture, painted, self.share)
        found: Frame = backend.download(painted, frame, self.host)
        return found


def filters(luma: float) -> dict[str, Any]:
    return {"shift": shift(luma).astype(np.float32)}


def moving(size: tuple[int, int], moment: int, seed: int = 1, noise: float = 6) -> Frame:
    """A frame of a picture that moves by (2, 2) pixels a frame, with the noise of a camera."""
    (width, height), way = size, int(PAN) * moment
    luma, *chroma = frame((width + 60, height + 60), seed).planes
    half = (-(-height // 2), -(-width // 2))
    planes = [luma[way : way + height, way : way + width]]
    planes += [plane[moment : moment + half[0], moment : moment + half[1]] for plane in chroma]
    rng = np.random.default_rng(moment)
    noisy = (np.clip(plane + rng.normal(0, noise, plane.shape), 16, 235) for plane in planes)
    return replace(frame(size, index=moment), planes=tuple(plane.astype(np.uint8) for plane in noisy))


def worst(found: Frame, expected: Frame) -> int:
    """The largest difference of two frames in host memory."""
    pairs = zip(found.planes, expected.planes, strict=True)
    return max(int(np.abs(one.astype(int) - other).max()) for one, other in pairs)


def film(player: Player, count: int, start: int = 0, size: tuple[int, int] = SIZE) -> list[Frame]:
    return [player(moving(size, moment)) for moment in range(start, start + count)]


def paint(player: Player, count: int, start: int = 0) -> None:
    """Frames that nobody holds."""
    for moment in range(start, start + count):
        player(moving(SIZE, moment)).landed()
