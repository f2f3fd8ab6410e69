"""Paint on any CPU: the nets in OpenVINO as one graph, flow and warp in OpenCV.

Encoder, bank and decoder are joined into a single graph with the repacking of YUV bytes at both ends:
on two cores at 1280x720 that is a fifth faster than three nets in a row, since features never leave
the runtime's own layout.
"""

import threading
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakValueDictionary

import cv2
import numpy as np
import openvino as ov
from numpy.typing import NDArray
from platformdirs import user_cache_dir

from allaprima.kernels.reference.blend import blend, crisp, hold
from allaprima.kernels.reference.confidence import confidence, decided, identity_grid
from allaprima.kernels.reference.contrast import SMOOTH, detail, gain, raised
from allaprima.kernels.reference.flow import Dis
from allaprima.kernels.reference.follow import ease, easing
from allaprima.kernels.reference.meter import flicker
from allaprima.kernels.reference.warp import parts, warp_parts
from allaprima.realtime.backends import FULL, Effort
from allaprima.realtime.backends.graph import Sizes, join
from allaprima.realtime.backends.layout import EVEN, LOST, MARGIN, Layout, limits
from allaprima.realtime.bundle import REINSTALL, Bundle, Filters
from allaprima.realtime.errors import BackendError, BackendUnavailable, BundleError
from allaprima.realtime.frame import Color, Frame

Bytes = NDArray[np.uint8]
Map = NDArray[np.float32]
Planes = tuple[Bytes, ...]

MARGINS = (MARGIN, MARGIN // 2, MARGIN // 2)
"""Of luma and chroma."""
LIFT = 0.2
"""Share of what the history's smoothed brightness and color are off that is made good in each frame."""
SAMPLED_ROWS = 90
"""Rows of a sample, about."""


@dataclass(frozen=True, slots=True)
class Picture:
    planes: Planes
    """Padded luma and chroma."""
    gray: Bytes
    """Small luma, for the flow."""
    exact: tuple[Map, ...] = ()
    """A picture that history went into, before it was rounded to bytes."""
    origin: "tuple[Picture, Motion] | None" = None
    """Of a picture that was carried: the one that was painted, and the whole motion from there."""


@dataclass(frozen=True, slots=True)
class Motion:
    flow: Map
    """Backward flow ``(h, w, 2)`` in pixels of the small picture."""
    confidence: Map
    """``(h, w)`` in 0..1."""


class Canvas:
    """Where a picture of ``size`` ``(width, height)`` lies in planes that have a margin."""

    def __init__(self, size: tuple[int, int]) -> None:
        width, height = Layout(size).padded
        half = (height // 2, width // 2)
        self.shapes = ((height, width), half, half)
        self._insides = (size[::-1], *[(-(-size[1] // 2), -(-size[0] // 2))] * 2)

    def pad(self, planes: Planes) -> Planes:
        """Planes with their margin, the edge repeated."""
        return tuple(_pad(*each) for each in zip(planes, self.shapes, MARGINS, strict=True))

    def crop(self, planes: Planes) -> Planes:
        """Planes without their margin: views."""
        return tuple(
            plane[margin : margin + height, margin : margin + width]
            for plane, margin, (height, width) in zip(planes, MARGINS, self._insides, strict=True)
        )

    def fit(self, planes: Planes, interpolation: int) -> Planes:
        """The planes of a picture of another size at this one, with their margin."""
        sized = (
            cv2.resize(plane, shape[::-1], interpolation=interpolation)
            for plane, shape in zip(planes, self._insides, strict=True)
        )
        return self.pad(tuple(np.asarray(plane, np.uint8) for plane in sized))


class CpuBackend:
    name = "cpu"
    efforts: tuple[Effort, ...] = (
        FULL,
        Effort(coarse=True),
        Effort(scale=0.75),
        Effort(scale=0.75, every=2),
        Effort(scale=0.5, every=2),
        Effort(scale=0.5, every=3),
        Effort(coarse=True, scale=0.5, every=3),
    )
    """What is carried goes by the flow alone, and flickers by what that is off: there only the last one is coarse."""

    def __init__(self, size: tuple[int, int], color: Color) -> None:
        self.size = size
        self.color = color
        self.precision = best_precision()
        self.canvas = Canvas(size)
        layout = Layout(size)
        self._factor, self._small_size = layout.factor, layout.small
        self._luma_limits, self._chroma_limits = limits(color)
        self._dis = Dis(self._small_size)
        self._small_grid = identity_grid(self._small_size)
        self._nowhere = Motion(np.zeros_like(self._small_grid), np.zeros(self._small_grid.shape[:2], np.float32))
        self._coarse_size = (self._small_size[0] // 2, self._small_size[1] // 2)
        self._coarse_dis = Dis(self._coarse_size)
        self._coarse_grid = identity_grid(self._coarse_size)
        self._scratches: dict[str, Map] = {}

    def upload(self, frame: Frame) -> Picture:
        planes = self.canvas.pad(frame.landed().planes)
        return Picture(planes, np.asarray(self._small(planes[0]), np.uint8))

    def motion(self, previous: Picture | None, current: Picture, coarse: bool = False) -> Motion:
        if previous is None:
            return self._nowhere
        if coarse:
            return self._coarse_motion(previous.gray, current.gray)
        backward, forward = self._dis(previous.gray, current.gray)
        trust = confidence(backward, forward, previous.gray, current.gray, grid=self._small_grid)
        return Motion(backward, trust)

    def _coarse_motion(self, previous: Bytes, current: Bytes) -> Motion:
        """Measured and judged at half the size: a fifth of the time, and all after it stays as it is."""
        before, now = (
            np.asarray(cv2.resize(gray, self._coarse_size, interpolation=cv2.INTER_AREA), np.uint8)
            for gray in (previous, current)
        )
        backward, forward = self._coarse_dis(before, now)
        trust = confidence(backward, forward, before, now, grid=self._coarse_grid)
        flow, trust = (cv2.resize(each, self._small_size, interpolation=cv2.INTER_LINEAR) for each in (backward, trust))
        return Motion(np.asarray(2 * flow, np.float32), np.asarray(trust, np.float32))

    def warp_blend(self, previous: Picture | None, current: Picture, motion: Motion, weight: float) -> Picture:
        if previous is None or weight == 0:
            return current
        carried, last = previous.origin is not None, motion.confidence
        previous, motion = self._origin(previous, motion)
        news, olds = self._floats("new", current), previous.exact or self._floats("old", previous)
        histories = self._histories(olds, motion)
        smoothed = [self._smoothed(plane) for plane in histories]
        differences = [self._smoothed(new) - old for new, old in zip(news, smoothed, strict=True)]
        parted = [difference / np.float32(255) for difference in differences]
        share = np.float32(weight) * decided(motion.confidence, *parted)
        shares = [self._enlarged(f"share {part}", share, plane) for part, plane in zip("yc", news[:2], strict=True)]
        levels = [np.float32(LIFT) * difference for difference in differences]
        fresh, old = (detail(luma) for luma in (news[0], histories[0]))
        levels[0] = raised(old, gain(fresh, old, weight, self._small_size), levels[0])
        large = [self._enlarged(f"level {part}", *pair) for part, *pair in zip("yuv", levels, news, strict=True)]
        y = hold(news[0], histories[0], shares[0], large[0], self._luma_limits)
        u, v = (hold(news[i], histories[i], shares[1], large[i], self._chroma_limits) for i in (1, 2))
        eased = carried and motion.confidence.mean() >= LOST
        shown = self._eased((y, u, v), histories, easing(last, *parted)) if eased else (y, u, v)
        return replace(current, planes=self._shown(shown, share, motion), exact=(y, u, v))

    def carry(self, previous: Picture, current: Picture, motion: Motion) -> Picture:
        if motion.confidence.mean() < LOST:
            painted, before = previous.origin or (previous, self._nowhere)
            stays = Motion(before.flow, self._nowhere.confidence)
            return replace(previous, gray=current.gray, origin=(painted, stays))
        painted, motion = self._origin(previous, motion)
        olds: tuple[Any, ...] = painted.exact or self._floats("old", painted)
        y, u, v = self._histories(olds, motion)
        for plane in (u, v):
            np.clip(plane, *self._chroma_limits, out=plane)
        return replace(current, planes=self._shown((y, u, v), motion.confidence, motion), origin=(painted, motion))

    def _origin(self, picture: Picture, motion: Motion) -> tuple[Picture, Motion]:
        """The painted picture behind a carried one, and the motion all the way: what is warped once stays sharp."""
        if picture.origin is None:
            return picture, motion
        painted, before = picture.origin
        where = self._small_grid + motion.flow
        flow, trust = (
            cv2.remap(each, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            for each in (before.flow, before.confidence)
        )
        return painted, Motion(motion.flow + flow, motion.confidence * trust)

    def _eased(self, held: tuple[Map, ...], carried: tuple[Map, ...], share: Map) -> tuple[Map, ...]:
        """What is shown of the first picture that is painted after some that were carried."""
        luma, chroma = (self._enlarged(f"eased {part}", share, held[i]) for i, part in enumerate("yc"))
        y, u, v = (ease(*each) for each in zip(held, carried, (luma, chroma, chroma), strict=True))
        return y, *(np.clip(plane, *self._chroma_limits, out=plane) for plane in (u, v))

    def _histories(self, olds: tuple[Map, ...], motion: Motion) -> tuple[Map, Map, Map]:
        """Planes fetched along the motion, for one use in this frame."""
        luma, chroma = (parts(motion.flow, plane.shape[1] / self._small_size[0]) for plane in olds[:2])
        y, u, v = (
            warp_parts(old, moved, "bicubic", out=self._scratch(f"history {part}", old.shape))
            for part, old, moved in zip("yuv", olds, (luma, chroma, chroma), strict=True)
        )
        return y, u, v

    def _shown(self, exact: tuple[Map, ...], share: Map, motion: Motion) -> Planes:
        """The bytes of a picture; what was moved and is history by ``share`` is sharpened a little."""
        y, u, v = exact
        worn = share * np.minimum(self._factor * cv2.magnitude(*cv2.split(motion.flow)), 1)  # what rests is not
        luma = crisp(y, self._enlarged("worn", worn, y), self._luma_limits)
        return luma, np.asarray(cv2.convertScaleAbs(u), np.uint8), np.asarray(cv2.convertScaleAbs(v), np.uint8)

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
            full = _pad(t, self.canvas.shapes[0], MARGIN)
            half = cv2.resize(full, self.canvas.shapes[1][::-1], interpolation=cv2.INTER_AREA)
            mixed = [blend(x, y, m) for x, y, m in zip(a.planes, b.planes, (full, half, half), strict=True)]
        else:
            mixed = [cv2.addWeighted(x, 1 - t, y, t, 0) for x, y in zip(a.planes, b.planes, strict=True)]
        return replace(b, planes=tuple(mixed), exact=(), origin=None)

    def sample(self, picture: Picture) -> Bytes:
        step = max(1, min(self.size) // SAMPLED_ROWS)
        return picture.planes[0][::step, ::step]

    def load_net(self, bundle: Bundle, region: bool = False, scale: float = 1.0) -> "CpuNet":
        return CpuNet(self, bundle, region, scale)  # not kept here: a circle would hold both until the collector comes

    def download(self, picture: Picture, like: Frame, host: bool = True) -> Frame:
        return replace(like, planes=self.canvas.crop(picture.planes), format="yuv420p", landing=None)

    def close(self) -> None:
        """Nothing to give back: memory goes with the object."""


class CpuNet:
    """The joined graph at one size.  With a ``scale`` below 1 that is a smaller one, margins as they are."""

    def __init__(self, backend: CpuBackend, bundle: Bundle, region: bool, scale: float = 1.0) -> None:
        self._backend = backend
        self._small = None if scale == 1 else Canvas(_scaled(backend.size, scale))
        self._shrink = cv2.INTER_AREA if scale <= 0.5 else cv2.INTER_LINEAR  # by less than half nothing is skipped
        self._canvas = self._small or backend.canvas
        self._size = backend.size if scale == 1 else _scaled(backend.size, scale)
        self._compiled = _compiled(bundle, self._canvas.shapes[0], backend, 2 if region else 1)
        self._request = self._compiled.model.create_infer_request()
        self._buffers: dict[str, Any] = {}

    def paint(
        self, picture: Picture, filters: Filters, strength: float, region: tuple[Map, Filters] | None = None
    ) -> Picture:
        whole, small = self._backend.canvas, self._small
        planes = picture.planes if small is None else small.fit(whole.crop(picture.planes), self._shrink)
        try:
            found = self._infer(planes, filters, strength, region)
        except (RuntimeError, UnicodeDecodeError) as error:
            raise BackendError(
                f"OpenVINO cannot paint: {_last_line(error)}", "Look at the bundle: allaprima styles verify"
            ) from error
        if small is not None:
            found = whole.fit(small.crop(found), cv2.INTER_CUBIC)
        painted = replace(picture, planes=found)
        share = substance(picture.gray)
        return painted if share == 1 else self._backend.mix(picture, painted, share)

    def _infer(self, planes: Planes, filters: Filters, strength: float, region: tuple[Map, Filters] | None) -> Planes:
        for name, plane in zip("yuv", planes, strict=True):
            self._request.set_tensor(name, ov.Tensor(plane.reshape(1, 1, *plane.shape), shared_memory=True))
        self._set("strength", np.full((1, 1, 1, 1), strength, np.float32))
        for index, weights in enumerate((filters,) if region is None else (filters, region[1])):
            for key, value in weights.items():
                self._set(f"{key}_{index}", value)
        if region is not None:
            self._set_mask(region[0])
        self._request.infer()
        return tuple(np.array(self._request.get_tensor(f"{name}_out").data[0, 0]) for name in "yuv")

    def _set_mask(self, mask: Map) -> None:
        if self._small is not None:
            mask = np.asarray(cv2.resize(mask, self._size, interpolation=cv2.INTER_AREA), np.float32)
        mask = _pad(mask, self._canvas.shapes[0], MARGIN)
        for part, (height, width) in self._compiled.sizes.items():
            self._set(f"mask_{part}", cv2.resize(mask, (width, height), interpolation=cv2.INTER_AREA)[None, None])

    def _set(self, name: str, value: Map) -> None:
        self._buffers[name] = value = np.ascontiguousarray(value)  # shared with the runtime: keep it alive
        self._request.set_tensor(name, ov.Tensor(value, shared_memory=True))


@dataclass(frozen=True, slots=True, weakref_slot=True)
class _Compiled:
    """A net that is ready to run; it holds nothing of any stream."""

    model: Any
    sizes: Sizes


_COMPILED: WeakValueDictionary[tuple[Any, ...], _Compiled] = WeakValueDictionary()
_COMPILING = threading.Lock()


def _compiled(bundle: Bundle, shape: tuple[int, int], backend: CpuBackend, regions: int) -> _Compiled:
    """The bundle's nets at one size: streams alike share them as long as there are any, each with its own request."""
    key = (*bundle.manifest.sha256.values(), shape, backend.color, regions, backend.precision)
    with _COMPILING:
        found = _COMPILED.get(key)
        if found is None:
            core = _core()
            options = {"INFERENCE_PRECISION_HINT": backend.precision, "PERFORMANCE_HINT": "LATENCY"}
            try:
                graph, sizes = join(core, bundle, shape, backend.color, regions)
                model = core.compile_model(graph, "CPU", options)
            except (RuntimeError, LookupError, TypeError, ValueError) as error:  # nets that are none, or do not fit
                raise BundleError(
                    f"the nets of {bundle.path} cannot be used: {_last_line(error)}", REINSTALL
                ) from error
            found = _COMPILED[key] = _Compiled(model, sizes)
    return found


def _last_line(error: Exception) -> str:
    """What OpenVINO says after the places in its own code."""
    return (str(error).strip() or type(error).__name__).splitlines()[-1].strip()


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


def _scaled(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """Even sides, so that chroma stays where it belongs."""
    width, height = (max(2 * round(side * scale / 2), 2) for side in size)
    return width, height


def _pad(plane: Any, shape: tuple[int, int], margin: int) -> Any:
    """``plane`` at ``(margin, margin)`` of a contiguous array of ``shape``, its edge repeated around it."""
    height, width = plane.shape
    below, right = shape[0] - margin - height, shape[1] - margin - width
    return cv2.copyMakeBorder(plane, margin, below, margin, right, cv2.BORDER_REPLICATE)
