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

from allaprima.kernels.reference.blend import blend
from allaprima.kernels.reference.confidence import confidence, identity_grid, stillness
from allaprima.kernels.reference.flow import Dis
from allaprima.kernels.reference.warp import warp
from allaprima.realtime.backends import Blend
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


PICTURE_HALF_AT, FEATURES_HALF_AT = 1.0, 4.0
"""Pixels of motion a frame at which the history of pictures, and of features, counts half."""
EVEN = 3.0
"""Standard deviation of the bytes of a picture that has no substance: noise on a black frame."""


@dataclass(frozen=True, slots=True)
class Picture:
    planes: Planes
    """Padded luma and chroma."""
    gray: Bytes
    """Small luma, for the flow."""


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
        small = (width // factor, height // factor)
        self._dis = Dis(small)
        self._small_grid = identity_grid(small)

    def upload(self, frame: Frame) -> Picture:
        y, u, v = (
            _pad(plane, shape, margin)
            for plane, shape, margin in zip(frame.planes, self._shapes, (MARGIN, MARGIN // 2, MARGIN // 2), strict=True)
        )
        height, width = self._small_grid.shape[:2]
        gray = y if self._factor == 1 else cv2.resize(y, (width, height), interpolation=cv2.INTER_AREA)
        return Picture((y, u, v), np.asarray(gray, np.uint8))

    def motion(self, previous: Picture | None, current: Picture) -> Motion:
        if previous is None:
            return Motion(np.zeros_like(self._small_grid), np.zeros(self._small_grid.shape[:2], np.float32))
        backward, forward = self._dis(previous.gray, current.gray)
        trust = confidence(backward, forward, previous.gray, current.gray, scale=self._factor, grid=self._small_grid)
        return Motion(backward, trust)

    def warp_blend(self, previous: Picture | None, current: Picture, motion: Motion, weight: float) -> Picture:
        if previous is None or weight == 0:
            return current
        trust = motion.confidence * stillness(motion.flow, self._factor, PICTURE_HALF_AT) * np.float32(weight)
        positions = self._small_grid + motion.flow + np.float32(0.5)
        planes = []
        for index, (new, old) in enumerate(zip(current.planes, previous.planes, strict=True)):
            if index < 2:  # both chroma planes share their maps
                # Positions are linear in the pixel, so enlarging the small map is exact; only within
                # half a small pixel of the edge is it not, and that lies in the margin.
                size = (new.shape[1], new.shape[0])
                scale = np.float32(size[0] / motion.flow.shape[1]), np.float32(size[1] / motion.flow.shape[0])
                where = cv2.resize(positions * scale - np.float32(0.5), size, interpolation=cv2.INTER_LINEAR)
                share = cv2.resize(trust, size, interpolation=cv2.INTER_LINEAR)
            planes.append(blend(new, warp(old, where, "bicubic" if index == 0 else "bilinear"), share))
        return replace(current, planes=tuple(planes))

    def mix(self, a: Picture, b: Picture, t: float | Map) -> Picture:
        if isinstance(t, np.ndarray):
            full = _pad(t, self._shapes[0], MARGIN)
            half = cv2.resize(full, self._shapes[1][::-1], interpolation=cv2.INTER_AREA)
            mixed = [blend(x, y, m) for x, y, m in zip(a.planes, b.planes, (full, half, half), strict=True)]
        else:
            mixed = [cv2.addWeighted(x, 1 - t, y, t, 0) for x, y in zip(a.planes, b.planes, strict=True)]
        return replace(b, planes=tuple(mixed))

    def load_net(self, bundle: Bundle, places: Blend, region: bool = False) -> "CpuNet":
        return CpuNet(self, bundle, places, region)

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
    """The joined graph at one size, and the features of the frame before."""

    def __init__(self, backend: CpuBackend, bundle: Bundle, places: Blend, region: bool) -> None:
        self._backend = backend
        self._history = [place for place in ("content", "painted") if getattr(places, place) > 0]
        self._regions = 2 if region else 1
        core = _core()
        graph, sizes = join(core, bundle, backend._shapes[0], backend.color, self._history, self._regions)
        self._sizes = {part: (width, height) for part, (height, width) in sizes.items()}
        options = {"INFERENCE_PRECISION_HINT": backend.precision, "PERFORMANCE_HINT": "LATENCY"}
        compiled = core.compile_model(graph, "CPU", options)
        # Two requests by turns: the features that one leaves are the history that the other reads.
        self._requests = [compiled.create_infer_request() for _ in range(2 if self._history else 1)]
        self._turn = 0
        for name in (f"{place}_{part}" for place in self._history for part in sizes):
            for now, before in ((0, 1), (1, 0)):
                features = self._requests[before].get_tensor(f"{name}_out")
                features.data[:] = 0  # confidence 0 times garbage may be NaN
                self._requests[now].set_tensor(f"{name}_before", features)
        self._grid_base = {size: _normalized_grid(size) for size in set(self._sizes.values())}
        self._buffers: dict[str, Any] = {}

    def paint(
        self,
        picture: Picture,
        motion: Motion,
        filters: Filters,
        strength: float,
        blend: Blend,
        *,
        region: tuple[Map, Filters] | None = None,
    ) -> Picture:
        request = self._requests[self._turn]
        self._turn = (self._turn + 1) % len(self._requests)
        for name, plane in zip("yuv", picture.planes, strict=True):
            request.set_tensor(name, ov.Tensor(plane.reshape(1, 1, *plane.shape), shared_memory=True))
        self._set(request, "strength", np.full((1, 1, 1, 1), strength, np.float32))
        for index, weights in enumerate((filters,) if region is None else (filters, region[1])):
            for key, value in weights.items():
                self._set(request, f"{key}_{index}", value)
        if region is not None:
            mask = _pad(region[0], self._backend._shapes[0], MARGIN)
            for part, size in self._sizes.items():
                self._set(request, f"mask_{part}", cv2.resize(mask, size, interpolation=cv2.INTER_AREA)[None, None])
        if self._history:
            self._set_motion(request, motion, blend)
        request.infer()
        y, u, v = (np.array(request.get_tensor(f"{name}_out").data[0, 0]) for name in "yuv")
        painted = replace(picture, planes=(y, u, v))
        share = substance(picture.gray)
        return painted if share == 1 else self._backend.mix(picture, painted, share)

    def _set_motion(self, request: Any, motion: Motion, blend: Blend) -> None:
        height, width = motion.flow.shape[:2]
        shift = motion.flow * np.array([2 / width, 2 / height], np.float32)
        trusted = motion.confidence * stillness(motion.flow, self._backend._factor, FEATURES_HALF_AT)
        for part, size in self._sizes.items():
            grid = cv2.resize(shift, size, interpolation=cv2.INTER_LINEAR) + self._grid_base[size]
            self._set(request, f"grid_{part}", grid[None])
            trust = cv2.resize(trusted, size, interpolation=cv2.INTER_LINEAR)[None, None]
            for name in self._history:
                self._set(request, f"{name}_{part}_weight", trust * np.float32(getattr(blend, name)))

    def _set(self, request: Any, name: str, value: Map) -> None:
        self._buffers[name] = value = np.ascontiguousarray(value)  # shared with the runtime: keep it alive
        request.set_tensor(name, ov.Tensor(value, shared_memory=True))


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


def _normalized_grid(size: tuple[int, int]) -> Map:
    """Positions of the pixel centres as GridSample wants them: -1..1, edges not aligned."""
    return np.asarray((identity_grid(size) * 2 + 1) / np.array(size, np.float32) - 1, np.float32)
