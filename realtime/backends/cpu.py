"""Paint on any CPU: the nets in OpenVINO as one graph, flow and warp in OpenCV.

Encoder, bank and decoder are joined into a single graph with the repacking of YUV bytes at both ends:
on two cores at 1280x720 that is a fifth faster than three nets in a row, since features never leave
the runtime's own layout.
"""

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import openvino as ov
from numpy.typing import NDArray
from platformdirs import user_cache_dir

from allaprima.kernels.reference.blend import blend, crisp, hold
from allaprima.kernels.reference.confidence import confidence, decided, identity_grid
from allaprima.kernels.reference.contrast import gain
from allaprima.kernels.reference.flow import Dis
from allaprima.kernels.reference.meter import flicker
from allaprima.kernels.reference.warp import parts, warp_parts
from allaprima.realtime.backends.graph import join
from allaprima.realtime.bundle import Bundle, Filters
from allaprima.realtime.errors import BackendUnavailable
from allaprima.realtime.frame import Color, Frame

Bytes = NDArray[np.uint8]
Map = NDArray[np.float32]
Planes = tuple[Bytes, ...]

STRIDE = 8
"""The nets want luma sides that are multiples of this; smaller pictures are padded with their edge."""
MARGIN = 16
"""Extra edge pixels on each side, so that the zeros around a convolution stay outside the picture."""
FLOW_SHORT_SIDE = 90
FLOW_FACTOR = 4
"""Flow is measured on the picture halved at most twice, while its short side stays at least so long."""
SMOOTH = 1.5
"""Deviation, pixels of the small picture, of the Gaussian through which history and new picture are compared.

No box: at some frequencies it answers with the sign turned round, and a correction would feed what it corrects.
"""
LIFT = 0.2
"""Share of what the history's smoothed brightness and color are off that is made good in each frame."""
EVEN = 3.0
"""Standard deviation of the bytes of a picture that has no substance: noise on a black frame."""


@dataclass(frozen=True, slots=True)
class Picture:
    planes: Planes
    """Padded luma and chroma."""
    gray: Bytes
    """Small luma, for the flow."""
    exact: tuple[Map, ...] = ()
    """A picture that history went into, before it was rounded to bytes."""


@dataclass(frozen=True, slots=True)
class Motion:
    flow: Map
    """Backward flow ``(h, w, 2)`` in pixels of the small picture."""
    confidence: Map
    """``(h, w)`` in 0..1."""


class CpuBackend:
    name = "cpu"

    def __init__(self, size: tuple[int, int], color: Color) -> None:
        self.size = size
        self.color = color
        self.precision = best_precision()
        width, height = (_padded(side) for side in size)
        self._shapes = ((height, width), (height // 2, width // 2), (height // 2, width // 2))
        factor = 1
        while factor < FLOW_FACTOR and min(width, height) // (2 * factor) >= FLOW_SHORT_SIDE:
            factor *= 2
        self._factor = factor
        self._small_size = (width // factor, height // factor)
        self._luma_limits = (0.0, 255.0) if color.full_range else (16.0, 235.0)
        self._chroma_limits = (0.0, 255.0) if color.full_range else (16.0, 240.0)
        self._dis = Dis(self._small_size)
        self._small_grid = identity_grid(self._small_size)
        self._scratches: dict[str, Map] = {}

    def upload(self, frame: Frame) -> Picture:
        y, u, v = (
            _pad(plane, shape, margin)
            for plane, shape, margin in zip(frame.planes, self._shapes, (MARGIN, MARGIN // 2, MARGIN // 2), strict=True)
        )
        return Picture((y, u, v), np.asarray(self._small(y), np.uint8))

    def motion(self, previous: Picture | None, current: Picture) -> Motion:
        if previous is None:
            return Motion(np.zeros_like(self._small_grid), np.zeros(self._small_grid.shape[:2], np.float32))
        backward, forward = self._dis(previous.gray, current.gray)
        trust = confidence(backward, forward, previous.gray, current.gray, grid=self._small_grid)
        return Motion(backward, trust)

    def warp_blend(self, previous: Picture | None, current: Picture, motion: Motion, weight: float) -> Picture:
        if previous is None or weight == 0:
            return current
        news, olds = self._floats("new", current), previous.exact or self._floats("old", previous)
        luma, chroma = (parts(motion.flow, plane.shape[1] / self._small_size[0]) for plane in olds[:2])
        histories = [
            warp_parts(old, moved, "bicubic", out=self._scratch(f"history {part}", old.shape))
            for part, old, moved in zip("yuv", olds, (luma, chroma, chroma), strict=True)
        ]
        smoothed = [self._smoothed(plane) for plane in histories]
        differences = [self._smoothed(new) - old for new, old in zip(news, smoothed, strict=True)]
        share = np.float32(weight) * decided(motion.confidence, *(d / np.float32(255) for d in differences))
        shares = [self._enlarged(f"share {part}", share, plane) for part, plane in zip("yc", news[:2], strict=True)]
        levels = [np.float32(LIFT) * difference for difference in differences]
        contrast = gain(news[0], histories[0], weight, self._small_size)
        levels[0] += smoothed[0] * (1 - contrast)  # the contrast is raised about the smoothed picture
        large = [self._enlarged(f"level {part}", *pair) for part, *pair in zip("yuv", levels, news, strict=True)]
        raised = self._enlarged("contrast", contrast, news[0])
        y = hold(news[0], histories[0], shares[0], large[0], raised, self._luma_limits)
        u, v = (hold(news[i], histories[i], shares[1], large[i], limits=self._chroma_limits) for i in (1, 2))
        worn = share * np.minimum(self._factor * cv2.magnitude(*cv2.split(motion.flow)), 1)  # what rests is not
        worn = self._enlarged("worn", worn, news[0])
        shown = (crisp(y, worn, self._luma_limits), cv2.convertScaleAbs(u), cv2.convertScaleAbs(v))
        return replace(current, planes=shown, exact=(y, u, v))

    def _floats(self, name: str, picture: Picture) -> tuple[Map, ...]:
        found = tuple(self._scratch(f"{name} {part}", p.shape) for part, p in zip("yuv", picture.planes, strict=True))
        for target, plane in zip(found, picture.planes, strict=True):
            np.copyto(target, plane)
        return found

    def _enlarged(self, name: str, small: Map, like: Map) -> Map:
        target = self._scratch(name, (*like.shape, *small.shape[2:]))
        return np.asarray(cv2.resize(small, like.shape[::-1], target, interpolation=cv2.INTER_LINEAR))

    def _scratch(self, name: str, shape: tuple[int, ...]) -> Map:
        """An array for one use in each frame: fresh memory would cost a page fault every 4 kB."""
        if name not in self._scratches:
            self._scratches[name] = np.empty(shape, np.float32)
        return self._scratches[name]

    def flicker(self, previous: Picture, current: Picture, motion: Motion) -> float | None:
        before, now = (self._small(picture.planes[0]).astype(np.float32) for picture in (previous, current))
        return flicker(before, now, self._small_grid + motion.flow, motion.confidence)

    def _smoothed(self, plane: Any) -> Map:
        return np.asarray(cv2.GaussianBlur(self._small(plane), None, SMOOTH), np.float32)

    def _small(self, plane: Any) -> Any:
        return cv2.resize(plane, self._small_size, interpolation=cv2.INTER_AREA)

    def mix(self, a: Picture, b: Picture, t: float | Map) -> Picture:
        if isinstance(t, np.ndarray):
            full = _pad(t, self._shapes[0], MARGIN)
            half = cv2.resize(full, self._shapes[1][::-1], interpolation=cv2.INTER_AREA)
            mixed = [blend(x, y, m) for x, y, m in zip(a.planes, b.planes, (full, half, half), strict=True)]
        else:
            mixed = [cv2.addWeighted(x, 1 - t, y, t, 0) for x, y in zip(a.planes, b.planes, strict=True)]
        return replace(b, planes=tuple(mixed), exact=())

    def load_net(self, bundle: Bundle, region: bool = False) -> "CpuNet":
        return CpuNet(self, bundle, region)

    def download(self, picture: Picture, like: Frame) -> Frame:
        return replace(
            like,
            planes=tuple(
                _crop(p, q.shape, m)
                for p, q, m in zip(picture.planes, like.planes, (MARGIN, MARGIN // 2, MARGIN // 2), strict=True)
            ),
        )

    def close(self) -> None:
        """Nothing to give back: memory goes with the object."""


class CpuNet:
    """The joined graph at one size."""

    def __init__(self, backend: CpuBackend, bundle: Bundle, region: bool) -> None:
        self._backend = backend
        core = _core()
        graph, sizes = join(core, bundle, backend._shapes[0], backend.color, 2 if region else 1)
        self._sizes = {part: (width, height) for part, (height, width) in sizes.items()}
        options = {"INFERENCE_PRECISION_HINT": backend.precision, "PERFORMANCE_HINT": "LATENCY"}
        self._request = core.compile_model(graph, "CPU", options).create_infer_request()
        self._buffers: dict[str, Any] = {}

    def paint(
        self, picture: Picture, filters: Filters, strength: float, region: tuple[Map, Filters] | None = None
    ) -> Picture:
        for name, plane in zip("yuv", picture.planes, strict=True):
            self._request.set_tensor(name, ov.Tensor(plane.reshape(1, 1, *plane.shape), shared_memory=True))
        self._set("strength", np.full((1, 1, 1, 1), strength, np.float32))
        for index, weights in enumerate((filters,) if region is None else (filters, region[1])):
            for key, value in weights.items():
                self._set(f"{key}_{index}", value)
        if region is not None:
            mask = _pad(region[0], self._backend._shapes[0], MARGIN)
            for part, size in self._sizes.items():
                self._set(f"mask_{part}", cv2.resize(mask, size, interpolation=cv2.INTER_AREA)[None, None])
        self._request.infer()
        y, u, v = (np.array(self._request.get_tensor(f"{name}_out").data[0, 0]) for name in "yuv")
        painted = replace(picture, planes=(y, u, v))
        share = substance(picture.gray)
        return painted if share == 1 else self._backend.mix(picture, painted, share)

    def _set(self, name: str, value: Map) -> None:
        self._buffers[name] = value = np.ascontiguousarray(value)  # shared with the runtime: keep it alive
        self._request.set_tensor(name, ov.Tensor(value, shared_memory=True))


def substance(gray: Bytes) -> float:
    """How much there is to paint, 0..1: nothing in an even picture, everything from a deviation of 6 on.

    Instance norm brings any picture to the same contrast; of a black one it would paint its border.
    """
    return float(np.clip((gray.std() - EVEN) / EVEN, 0, 1))


def best_precision() -> str:
    """``bf16`` where the CPU multiplies it natively, else ``f32``."""
    return "bf16" if "BF16" in _core().get_property("CPU", "OPTIMIZATION_CAPABILITIES") else "f32"


_CORE: list[Any] = []


def _core() -> Any:
    if not _CORE:
        try:
            core = ov.Core()
            core.set_property({"CACHE_DIR": user_cache_dir("allaprima") + "/openvino"})
        except RuntimeError as error:
            raise BackendUnavailable(f"OpenVINO cannot start: {error}") from error
        _CORE.append(core)
    return _CORE[0]


def _padded(side: int) -> int:
    return -(-(side + 2 * MARGIN) // STRIDE) * STRIDE


def _pad(plane: Any, shape: tuple[int, int], margin: int) -> Any:
    """``plane`` at ``(margin, margin)`` of a contiguous array of ``shape``, its edge repeated around it."""
    height, width = plane.shape
    below, right = shape[0] - margin - height, shape[1] - margin - width
    return cv2.copyMakeBorder(plane, margin, below, margin, right, cv2.BORDER_REPLICATE)


def _crop(plane: Bytes, shape: tuple[int, int], margin: int) -> Bytes:
    return plane[margin : margin + shape[0], margin : margin + shape[1]]
