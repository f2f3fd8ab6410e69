"""What happens to one frame on the card, from its codes to what is seen: the launches, and the memory between them.

Everything lies where it lay for the frame before, so that the launches can be captured as a graph; what differs from
frame to frame is contents.  Nothing here waits for the device.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from allaprima.kernels.confidence import confidence
from allaprima.kernels.cuda import cupy
from allaprima.kernels.flow import Dis
from allaprima.kernels.follow import follow
from allaprima.kernels.frame import gray, present, temper
from allaprima.kernels.meter import Flicker, Health
from allaprima.kernels.pack import pack, unpack
from allaprima.kernels.reference.meter import FIGURES
from allaprima.kernels.reference.pack import CHANNELS
from allaprima.kernels.surface import FORMATS
from allaprima.kernels.temporal import Temporal
from allaprima.realtime.backends.cuda_memory import copy, new_event
from allaprima.realtime.backends.layout import EVEN, LOST, MARGIN, STRIDE, Layout, limits
from allaprima.realtime.frame import Color

PITCH = 256
"""Bytes that rows of a picture for an encoder are a multiple of."""
GIVEN, SHOWN, TRUST, CHANGED = slice(0, 6), slice(6, 12), slice(12, 18), slice(18, 21)
PAINTED = slice(21, 21 + CHANNELS * len(FIGURES))
"""Where the figures of a frame stand: `Health` of the small picture that was given, of the one that is shown and of
the motion's confidence, `Flicker`, and `Health` of what the net gave."""
FIGURE_COUNT = PAINTED.stop
SAMPLED_ROWS = 90
"""Rows of a sample, about."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to treat a frame: a graph is captured for each that occurs."""

    format: str
    """Of the picture that is given."""
    carried: bool = False
    """No net paints it: the one painted last is carried along the motion."""
    after_carried: bool = False
    """So was the frame before."""
    masked: bool = False
    """Where a mask says so the given picture is seen."""
    host: bool = True
    """It is seen as yuv420p, to be copied to the host; else as nv12 with the pitch of encoders."""


def planes_in(memory: Any, format: str, size: tuple[int, int]) -> tuple[Any, ...]:
    """The planes of a picture of ``size`` ``(width, height)`` without gaps, as views of uint8 ``memory``."""
    (width, height), (dtype, count) = size, FORMATS[format]
    half = ((height + 1) // 2, (width + 1) // 2)
    shapes = ((height, width), (*half, 2)) if count == 2 else ((height, width), half, half)
    planes, start = [], 0
    for shape in shapes:
        end = start + int(np.prod(shape)) * np.dtype(dtype).itemsize
        planes.append(memory[start:end].view(dtype).reshape(shape))
        start = end
    return tuple(planes)


def bytes_of(format: str, size: tuple[int, int]) -> int:
    """Of a picture in `planes_in`."""
    width, height = size
    return (width * height + 2 * ((height + 1) // 2) * ((width + 1) // 2)) * np.dtype(FORMATS[format][0]).itemsize


def encoder_planes(memory: Any, size: tuple[int, int]) -> tuple[Any, ...]:
    """nv12 with one pitch in uint8 ``memory`` of `encoder_bytes`, chroma behind luma: so encoders take it."""
    width, height = size
    pitch, half = _pitch(width), (height + 1) // 2
    luma, chroma = memory[: height * pitch], memory[height * pitch :]
    return (
        luma.reshape(height, pitch)[:, :width],
        chroma.reshape(half, pitch // 2, 2)[:, : (width + 1) // 2],
    )


def encoder_bytes(size: tuple[int, int]) -> int:
    """Of a picture in `encoder_planes`."""
    return _pitch(size[0]) * (size[1] + (size[1] + 1) // 2)


def _pitch(width: int) -> int:
    return -(-(width + width % 2) // PITCH) * PITCH


def report_bytes(layout: Layout) -> int:
    """Of what a frame says of itself: figures, and samples of the picture given and the picture painted."""
    rows, columns = _sampled(layout)
    return 4 * FIGURE_COUNT + 2 * rows * columns


def parts_of(report: Any, layout: Layout) -> tuple[Any, Any]:
    """Figures ``(FIGURE_COUNT,)`` float32 and both samples ``(2, h, w)`` uint8, as views."""
    return report[: 4 * FIGURE_COUNT].view(np.float32), report[4 * FIGURE_COUNT :].reshape(2, *_sampled(layout))


def _sampled(layout: Layout) -> tuple[int, int]:
    step = _sample_step(layout)
    rows, columns = (-(-side // step) for side in reversed(layout.small))
    return rows, columns


def _sample_step(layout: Layout) -> int:
    """Pixels of the small picture from one of the sample to the next."""
    return max(1, min(layout.small) // SAMPLED_ROWS)


class Step:
    """The launches of one frame on ``stream``, and beside it on a stream of its own for what needs no net.

    Its memory is taken here and, for a format or a mask, when one is first met: `given`, `mask`.  ``controls``
    ``(2,)`` float32 are the weight of the history and the share of what is painted, read by the kernels when they run.
    """

    def __init__(self, layout: Layout, color: Color, stream: Any) -> None:
        self.stream, self._side = stream, cupy().cuda.Stream(non_blocking=True)
        self._layout = layout
        (width, height), (small_width, small_height) = layout.padded, layout.small
        self._coefficients, self._full_range = color.coefficients(height), color.full_range
        self._forked, self._joined = new_event(), new_event()
        self._given: dict[str, tuple[Any, tuple[Any, ...]]] = {}
        self._mask: Any = None
        with stream:
            zeros = cupy().zeros
            small, maps = (small_height, small_width), np.float32
            self.controls = zeros(2, np.float32)
            self.report = zeros(report_bytes(layout), np.uint8)
            self.figures, self._samples = parts_of(self.report, layout)
            self._mean_trust = self.figures[TRUST][FIGURES.index("mean") :][:1]
            self._gray, self._gray_before, self._seen, self._seen_before = (zeros(small, np.uint8) for _ in range(4))
            self._flow, self._forward = (zeros((*small, 2), maps) for _ in range(2))
            self._trust = zeros(small, maps)
            self._whole, self._before, self._rest = (
                (zeros((*small, 2), maps), cupy().full(small, trust, maps)) for trust in (0, 0, 1)
            )
            self._new, self._shown = (_picture((width, height), np.uint8) for _ in range(2))
            self._history, self._fetched = (_picture((width, height), np.float32) for _ in range(2))
            self._dis = Dis(layout.small, stream=stream)
            self._temporal = Temporal(layout.padded, layout.small, limits(color))
            self._flicker, self._health = Flicker(layout.small), Health((1, *small))
            self._health_painted = Health((CHANNELS, *layout.cells))
            self.outputs = {
                host: cupy().zeros(
                    encoder_bytes(layout.size) if not host else bytes_of("yuv420p", layout.size), np.uint8
                )
                for host in (True, False)
            }

    # ---- what is written before a frame ----

    def given(self, format: str) -> Any:
        """Memory of the picture that is given: uint8, to be filled as `planes_in` has it."""
        return self._planes(format)[0]

    def _planes(self, format: str) -> tuple[Any, tuple[Any, ...]]:
        if format not in self._given:
            with self.stream:
                memory = cupy().empty(bytes_of(format, self._layout.size), np.uint8)
            self._given[format] = memory, planes_in(memory, format, self._layout.size)
        return self._given[format]

    def mask(self) -> Any:
        """Memory of the mask ``(H, W)`` float32."""
        if self._mask is None:
            with self.stream:
                self._mask = cupy().zeros(self._layout.size[::-1], np.float32)
        return self._mask

    def prepare(self, way: Way) -> None:
        """Take what this way needs: nothing may be taken while it is captured."""
        self._planes(way.format)
        if way.masked:
            self.mask()

    def rehearsal(self, capture: Callable[[], Callable[[], None]]) -> Callable[[], None]:
        """What ``capture`` gives, and all as it was before: it runs the launches, perhaps more than once."""
        lasting = (*self._history, self._gray_before, self._seen_before, *self._before)
        with self.stream:
            saved = [array.copy() for array in lasting]
        launch = capture()
        with self.stream:
            for array, before in zip(lasting, saved, strict=True):
                array[...] = before
        return launch

    # ---- the launches ----

    def run(self, way: Way, net: Any = None) -> None:
        """Treat what lies in `given`; ``net`` is the runtime of the nets, unless it is carried.

        What the frame leaves for the next one is written over what the one before has left.
        """
        if way.carried:
            self._carry(way)
        else:
            self._paint(way, net)
        self._finish(way)

    def _paint(self, way: Way, net: Any) -> None:
        planes, stream = self._planes(way.format)[1], self.stream
        self._look(planes, stream)
        self._forked.record(stream)
        self._side.wait_event(self._forked)
        motion = self._measure(way, self._side)
        if way.after_carried:
            self._meter(motion[1], None, TRUST, self._side)
        self._joined.record(self._side)
        pack(
            planes, self._coefficients, self._full_range, margin=MARGIN, stride=STRIDE,
            out=net.inputs["packed"][0], stream=stream,
        )  # fmt: skip
        net.enqueue()
        painted, (luma, chroma) = net.painted[0], self._new
        self._health_painted(painted, out=self.figures[PAINTED].reshape(CHANNELS, len(FIGURES)), stream=stream)
        unpack(
            painted, self._layout.padded, self._coefficients, self._full_range, margin=0, format="yuv420p",
            out=(luma, chroma[0], chroma[1]), stream=stream,
        )  # fmt: skip
        stream.wait_event(self._joined)
        temper(planes, self._row(GIVEN), EVEN, MARGIN, out=self._new, stream=stream)
        self._temporal.warp_blend(
            self._new, self._history, *motion, self.controls[:1],
            held=self._history, shown=self._shown, fetched=self._fetched,
            eased=(self._trust, self._mean_trust, LOST) if way.after_carried else None, stream=stream,
        )  # fmt: skip

    def _carry(self, way: Way) -> None:
        stream = self.stream
        self._look(self._planes(way.format)[1], stream)
        motion = self._measure(way, stream)
        self._temporal.carry(self._history, motion, fetched=self._fetched, shown=self._shown, stream=stream)

    def _look(self, planes: tuple[Any, ...], stream: Any) -> None:
        gray(planes, self._layout.small, self._layout.factor, MARGIN, out=self._gray, stream=stream)

    def _measure(self, way: Way, stream: Any) -> tuple[Any, Any]:
        """The motion since the picture that was painted last."""
        before, now, flows = self._gray_before, self._gray, (self._flow, self._forward)
        self._meter(now, before, GIVEN, stream)
        self._dis(before, now, out=flows, stream=stream)
        confidence(*flows, before, now, out=self._trust, stream=stream)
        motion = self._flow, self._trust
        if not (way.carried or way.after_carried):
            return motion
        self._meter(self._trust, None, TRUST, stream)
        earlier = self._before if way.after_carried else self._rest
        return follow(motion, earlier, self._mean_trust, LOST if way.carried else 0.0, out=self._whole, stream=stream)

    def _finish(self, way: Way) -> None:
        stream, (luma, chroma) = self.stream, self._shown
        gray((luma, chroma[0], chroma[1]), self._layout.small, self._layout.factor, 0, out=self._seen, stream=stream)
        self._flicker(self._seen_before, self._seen, self._flow, self._trust, out=self.figures[CHANGED], stream=stream)
        self._meter(self._seen, self._seen_before, SHOWN, stream)
        step, wide = _sample_step(self._layout), _sample_step(self._layout) * self._layout.factor
        with stream:
            self._samples[0] = self._gray[::step, ::step]
            self._samples[1] = self._new[0][::wide, ::wide]
        present(
            self._shown, self._planes(way.format)[1], self.controls[1:], MARGIN, self._mask if way.masked else None,
            out=self._target(way.host), stream=stream,
        )  # fmt: skip
        pairs = [(self._gray, self._gray_before), (self._seen, self._seen_before)]
        if way.carried:
            pairs += zip(self._whole, self._before, strict=True)
        for now, before in pairs:
            copy(before.data.ptr, now.data.ptr, now.nbytes, "DeviceToDevice", stream)

    def _target(self, host: bool) -> tuple[Any, ...]:
        size, memory = self._layout.size, self.outputs[host]
        return planes_in(memory, "yuv420p", size) if host else encoder_planes(memory, size)

    def _meter(self, now: Any, before: Any, where: slice, stream: Any) -> None:
        now, before = (None if plane is None else plane.reshape(1, *plane.shape) for plane in (now, before))
        self._health(now, before, out=self._row(where), stream=stream)

    def _row(self, where: slice) -> Any:
        return self.figures[where].reshape(1, len(FIGURES))


def _picture(size: tuple[int, int], dtype: Any) -> tuple[Any, Any]:
    width, height = size
    return cupy().zeros((height, width), dtype), cupy().zeros((2, height // 2, width // 2), dtype)
