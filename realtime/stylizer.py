"""The stylizer: one frame in, one painted frame out, steady over time.

Coherence follows COVST (Chen et al., ICCV 2017): history is warped along the optical flow and blended
where it can be trusted.  Flow is between the frames this object saw, so frames may be dropped before it;
a wrong flow has confidence 0, so cuts and occlusions need no decision here.
"""

import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from allaprima.realtime.backends import Blend, open_backend
from allaprima.realtime.bundle import Bundle, shipped_bundle
from allaprima.realtime.errors import ConfigError
from allaprima.realtime.frame import Color, Frame
from allaprima.realtime.metrics import Stages
from allaprima.realtime.rgb import Rgb
from allaprima.realtime.stylebank import Fade, Mix, Style, StyleBank

STRONGEST = Blend(content=0.9, picture=0.8)
"""How much history each place takes at steadiness 1 and confidence 1."""
STEADINESS = 0.6
"""Used where neither the user nor the style says otherwise."""
NEAR_INPUT = 0.25
"""Below this strength the picture also fades into the input itself, so that strength 0 is the input."""


@dataclass(frozen=True, slots=True)
class Region:
    """A style of its own where ``mask`` (float32 ``(H, W)`` in 0..1) is 1; ``None`` leaves the input."""

    mask: NDArray[np.float32]
    style: Style | None


class Stylizer:
    """Paints the frames of one stream.

    Settings may be changed from any thread at any time: they take effect on the next frame, and a
    setting that cannot be (an unknown or damaged style) raises in the caller while the stream goes on.
    """

    def __init__(
        self,
        style: Style | None = None,
        *,
        strength: float | None = None,
        steadiness: float | None = None,
        bundle: Path | Bundle | None = None,
        backend: str = "auto",
    ) -> None:
        self.bundle = bundle if isinstance(bundle, Bundle) else Bundle(bundle or shipped_bundle())
        self.bank = StyleBank(self.bundle)
        self.stages = Stages()
        self._backend_name = backend
        self._lock = threading.Lock()
        self._bypass = False
        first = Mix.parse(style) if isinstance(style, str) else style
        self._style = first or Mix.of({self.bundle.manifest.default_style: 1})
        start = self.bank.resolve(self._style)
        self._fade = Fade(self.bank, start)
        self._card = self.bank.card(self._style.weights[0][0])
        self._strength = self._card.strength if strength is None else unit("strength", strength)
        if steadiness is None:
            steadiness = self._card.steadiness if self._card.steadiness is not None else STEADINESS
        self._steadiness = unit("steadiness", steadiness)
        self._region: Region | None = None
        self._region_filters: Any = None
        self._format: tuple[tuple[int, int], Color] | None = None
        self._backend: Any = None
        self._net: Any = None
        self._has_region = False
        self._seen = self._painted = None
        self._swapped = False
        self._rgb = Rgb()

    # ---- what can be changed while a stream runs ----

    @property
    def style(self) -> Mix:
        return self._style

    def set_style(self, style: Style, fade_frames: int = 0) -> None:
        """Swap on the next frame, or cross-fade to ``style`` over the next ``fade_frames`` frames."""
        mix = Mix.parse(style) if isinstance(style, str) else style
        target = self.bank.resolve(mix)  # may read a file: in the caller's thread
        with self._lock:
            self._style = mix
            self._fade.to(target, fade_frames)
            self._swapped = not fade_frames

    @property
    def strength(self) -> float:
        return self._strength

    @strength.setter
    def strength(self, value: float) -> None:
        self._strength = unit("strength", value)

    @property
    def steadiness(self) -> float:
        return self._steadiness

    @steadiness.setter
    def steadiness(self, value: float) -> None:
        self._steadiness = unit("steadiness", value)

    @property
    def bypass(self) -> bool:
        """True lets the input through untouched."""
        return self._bypass

    @bypass.setter
    def bypass(self, value: bool) -> None:
        self._bypass = value

    def set_region(self, region: Region | None) -> None:
        """Give a part of the picture its own style, or end that."""
        filters = None
        if region is not None and (region.mask.ndim != 2 or not region.mask.size):
            raise ConfigError(f"a mask must be (H, W), not {region.mask.shape}")
        if region is not None and region.style is not None:
            filters = self.bank.views(self.bank.resolve(region.style))
        with self._lock:
            self._region, self._region_filters = region, filters

    # ---- the frame's way ----

    def __call__(self, frame: Frame) -> Frame:
        """Paint one frame.  It must not be changed afterwards: planes may be shared."""
        if self._bypass:
            self.forget()
            return frame
        with self._lock:
            filters, region, region_filters = self._fade.step(), self._region, self._region_filters
            swapped, self._swapped = self._swapped, False
        self._prepare(frame, region_filters is not None)
        if swapped:
            self._painted = None  # the picture's history is in the old style
        if region is not None and region.mask.shape != frame.size[::-1]:
            region = replace(region, mask=fitted(region.mask, frame.size))
        backend, net, stage = self._backend, self._net, self.stages
        blend = scaled(self._steadiness)
        with stage("upload"):
            picture = backend.upload(frame)
        with stage("motion"):
            motion = backend.motion(self._seen, picture)
        with stage("net"):
            extra = None if region is None or region_filters is None else (region.mask, region_filters)
            painted = net.paint(picture, motion, filters, self._strength, blend, region=extra)
        with stage("blend"):
            painted = backend.warp_blend(self._painted, painted, motion, blend.picture)
        self._seen, self._painted = picture, painted
        with stage("finish"):
            result: Frame = backend.download(self._finish(picture, painted, region), frame)
        return result

    def _finish(self, picture: Any, painted: Any, region: Region | None) -> Any:
        if region is not None and region.style is None:
            painted = self._backend.mix(painted, picture, region.mask)
        if self._strength < NEAR_INPUT:
            painted = self._backend.mix(picture, painted, self._strength / NEAR_INPUT)
        return painted

    def forget(self) -> None:
        """Drop the history: the next frame is painted as if it were the first."""
        self._seen = self._painted = None

    def _prepare(self, frame: Frame, has_region: bool) -> None:
        """Make backend and net ready for this frame's size and color, if they are not."""
        wanted = (frame.size, frame.color)
        if wanted != self._format:
            if self._backend is not None:
                self._backend.close()
            self._backend = open_backend(self._backend_name, *wanted)
            self._format, self._net = wanted, None
        if self._net is None or has_region != self._has_region:
            self._net = self._backend.load_net(self.bundle, STRONGEST, has_region)
            self._has_region = has_region
            self.forget()

    # ---- for people with their own loop ----

    def paint(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Paint one RGB picture ``(H, W, 3)`` uint8 of a stream and return the painted one, same shape."""
        return self._rgb.array(self(self._rgb.frame(rgb)))


def fitted(mask: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """The mask at ``(width, height)``."""
    return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_AREA), np.float32)


def scaled(steadiness: float) -> Blend:
    """`STRONGEST` at a steadiness of 0 (every frame on its own) to 1.

    The blend of features costs no sharpness, so it comes in first, and is whole from 0.5 on.
    """
    return Blend(
        content=STRONGEST.content * min(1.0, 2 * steadiness),
        painted=STRONGEST.painted * steadiness,
        picture=STRONGEST.picture * steadiness,
    )


def unit(name: str, value: float) -> float:
    """``value`` if it lies in 0..1, else a `ConfigError` that names it."""
    if not 0 <= value <= 1:
        raise ConfigError(f"{name} must be between 0 and 1, not {value:g}")
    return float(value)
