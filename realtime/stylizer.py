"""The stylizer: one frame in, one painted frame out, steady over time.

Coherence follows COVST (Chen et al., ICCV 2017): history is warped along the optical flow and blended
where it can be trusted.  Flow is between the frames this object saw, so frames may be dropped before it;
a wrong flow has confidence 0, so cuts and occlusions need no decision here.
"""

import contextlib
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from allaprima.realtime.backends import FULL, Effort, open_backend
from allaprima.realtime.bundle import Bundle, shipped_bundle
from allaprima.realtime.errors import AllaprimaError, ConfigError
from allaprima.realtime.frame import Frame
from allaprima.realtime.loading import Device, Nets
from allaprima.realtime.metrics import Flicker, Stages, Transfers
from allaprima.realtime.rgb import Rgb
from allaprima.realtime.stylebank import RESCAN, Fade, Mix, Style, StyleBank

STRONGEST = 0.973
"""Share of the history at steadiness 1 where it can be trusted: a painted place is renewed in 37 frames.

More gains nothing, and from 0.98 on what a warp adds is no longer worn off: fine stripes grow within seconds.
"""
CHANGING = 0.7
"""Most history that is taken while style, strength or region change: of the old one 3 % are left in 10 frames."""
STEADINESS = 0.85
"""Used where neither the user nor the style says otherwise."""
NEAR_INPUT = 0.25
"""Below this strength the picture also fades into the input itself, so that strength 0 is the input."""
NEWER_FADE_FRAMES = 15
"""Frames of the cross-fade to a newer version of the style in use."""
PASS_FADE_FRAMES = 8
"""Frames of the fade from painted to pass-through, and back."""


@dataclass(frozen=True, slots=True)
class Region:
    """A style of its own where ``mask`` (float32 ``(H, W)`` in 0..1) is 1; ``None`` leaves the input."""

    mask: NDArray[np.float32]
    style: Style | None


@dataclass(frozen=True, slots=True)
class Seen:
    """A frame on the device and its motion; without a device it goes through unpainted."""

    frame: Frame
    device: "Device | None" = None
    picture: Any = None
    motion: Any = None
    effort: Effort | None = FULL
    """None: what was painted is carried on while it fades into the input."""
    share: float = 1.0
    """Of the painting in what is shown; the rest is the input."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A painted picture and what finishes it: the settings of its frame, not of a later one."""

    seen: Seen
    painted: Any = None
    """None: the picture shown before is carried on."""
    weight: float = 0.0
    strength: float = 1.0
    region: Region | None = None
    swapped: bool = False


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
        self.flicker = Flicker()
        self.transfers = Transfers()
        self.on_device = False
        """Whether painted frames stay on the device that painted them: whoever takes them must be able to."""
        self._backend_name = backend
        self._lock = threading.Lock()
        self._bypass = False
        first = Mix.parse(style) if isinstance(style, str) else style
        self._style = first or Mix.of({self.bundle.manifest.default_style: 1})
        self._stamp = self.bank.stamp(self._style)
        start = self.bank.resolve(self._style)
        self._checked = time.monotonic()
        self._fade = Fade(self.bank, start)
        self._card = self.bank.card(self._style.weights[0][0])
        self._strength = self._card.strength if strength is None else unit("strength", strength)
        if steadiness is None:
            steadiness = self._card.steadiness if self._card.steadiness is not None else STEADINESS
        self._steadiness = unit("steadiness", steadiness)
        self._region: Region | None = None
        self._last_region: Region | None = None
        self._region_filters: Any = None
        self._last_strength = self._strength
        self._swapped = self._changing = False
        self._effort: Effort | None = FULL
        self._working: Effort | None = FULL
        self._shown = PASS_FADE_FRAMES
        self._device: Device | None = None
        self._finished: Device | None = None
        self._rgb = Rgb()

    # ---- what can be changed while a stream runs ----

    @property
    def style(self) -> Mix:
        return self._style

    def set_style(self, style: Style, fade_frames: int = 0) -> None:
        """Swap on the next frame, or cross-fade to ``style`` over the next ``fade_frames`` frames."""
        mix = Mix.parse(style) if isinstance(style, str) else style
        stamp = self.bank.stamp(mix)  # before it is read: what is written meanwhile is newer
        target = self.bank.resolve(mix)  # may read a file: in the caller's thread
        with self._lock:
            self._style, self._stamp = mix, stamp
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

    @property
    def effort(self) -> Effort | None:
        """How much work goes into a frame; None is pass-through.

        A change counts from the next frame on whose net is there: nets are loaded meanwhile, and no frame waits for
        one.  To pass-through and back the picture fades.
        """
        return self._effort

    @effort.setter
    def effort(self, value: Effort | None) -> None:
        self._effort = value

    @property
    def device(self) -> str:
        """Name of the backend that paints; empty before the first frame."""
        device = self._device
        return "" if device is None else device.backend.name

    @property
    def efforts(self) -> tuple[Effort, ...]:
        """What the device can do for less, from `FULL` down; only that before the first frame."""
        device = self._device
        return (FULL,) if device is None else device.backend.efforts

    @property
    def settled(self) -> bool:
        """Whether the last frame was painted with the effort that was asked for."""
        device = self._device
        fading = self._shown if self._effort is None else device is not None and device.fading
        return self._working == self._effort and not fading

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
        """Paint one frame.  It must not be changed afterwards: planes may be shared.

        The three steps may also run in three threads, one each, so that the next frame is looked at
        while this one is painted: each step has a recurrence of its own and no other.
        """
        return self.finish(self.render(self.look(frame)))

    def look(self, frame: Frame) -> "Seen":
        """Bring the frame to the device and find how it moved since the last one seen.

        At steadiness 0, where every frame is painted, nobody asks how: a tenth of the time is saved, and the flicker
        not measured.
        """
        self._follow_files()
        if self._bypass:
            if self._device is not None:
                self._device.seen = None
            return Seen(frame)
        device = self._opened(frame)
        effort = self._working = self._affordable(device)
        if effort is None:
            self._shown = max(self._shown - 1, 0)
            if not self._shown:
                device.seen = None
                return Seen(frame)
        else:
            self._shown = min(self._shown + 1, PASS_FADE_FRAMES)
        steady = bool(self._steadiness) or effort is None or effort.every > 1
        with self.stages("upload", frame.index):
            picture = device.backend.upload(frame)
        with self.stages("motion", frame.index):
            coarse = effort is None or effort.coarse
            motion = device.backend.motion(device.seen if steady else None, picture, coarse)
        device.seen = picture
        return Seen(frame, device, picture, motion, effort, self._shown / PASS_FADE_FRAMES)

    def _opened(self, frame: Frame) -> Device:
        """The device for this frame: another one where size or color have changed."""
        wanted, device = (frame.size, frame.color), self._device
        if device is None or device.format != wanted:
            backend = open_backend(self._backend_name, *wanted, transfers=self.transfers)
            device = self._device = Device(wanted, backend, Nets(backend, self.bundle))
        return device

    def _affordable(self, device: Device) -> Effort | None:
        """The effort of this frame: what is asked for, once its net is there."""
        wanted, now = self._effort, self._working
        if wanted is not None and not device.nets.ready(self._region_filters is not None, wanted.scale):
            return now
        return wanted

    def _follow_files(self) -> None:
        """A style that is being trained gets better while it paints: its file is written again and again."""
        now = time.monotonic()
        if now - self._checked < RESCAN:
            return
        self._checked = now
        with self._lock:
            mix, known = self._style, self._stamp
        stamp, target = self.bank.stamp(mix), None
        if stamp == known:
            return
        with contextlib.suppress(AllaprimaError):  # gone or damaged: it goes on as it was
            target = self.bank.resolve(mix)
        with self._lock:
            if self._style is not mix:
                return  # swapped meanwhile
            self._stamp = stamp
            if target is not None:
                self._fade.to(target, NEWER_FADE_FRAMES)

    def render(self, seen: "Seen") -> "Rendered":
        """Paint what was seen, in the style of this very frame; or leave it to be carried, where effort is saved."""
        device, effort = seen.device, seen.effort
        if device is None:
            if self._device is not None:
                self._device.left = 0
            return Rendered(seen)
        with self._lock:
            self._changing |= self._fade.moving
            filters, region, region_filters = self._fade.step(), self._region, self._region_filters
            swapped, self._swapped = self._swapped, False
        weight, strength = held(self._steadiness), self._strength
        other_region = style_of(region) != style_of(self._last_region)
        self._changing |= strength != self._last_strength or region is not self._last_region
        has_region = region_filters is not None
        other_net = has_region != device.region
        at_once = swapped or other_region or other_net or strength != self._last_strength
        self._last_strength, self._last_region = strength, region
        if region is not None and region.mask.shape != seen.frame.size[::-1]:
            region = replace(region, mask=fitted(region.mask, seen.frame.size))
        if effort is None or (device.left and not at_once):
            device.left = max(device.left - 1, 0)
            return Rendered(seen, None, 0.0, strength, region, swapped)
        changing, self._changing = self._changing, False
        device.left, device.region = effort.every - 1, has_region
        extra = (region.mask, region_filters) if region is not None and has_region else None
        with self.stages("net", seen.frame.index):
            painted = device.nets.get(has_region, effort.scale).paint(seen.picture, filters, strength, extra)
        weight = min(weight, CHANGING) if changing else weight
        return Rendered(seen, painted, weight, strength, region, swapped or other_net)

    def finish(self, rendered: "Rendered") -> Frame:
        """Steady the painted picture by the one before and make it a frame again."""
        seen, device = rendered.seen, rendered.seen.device
        if device is None:
            if self._device is not None:
                self._device.painted = None
            return seen.frame
        if device is not self._finished and self._finished is not None:
            self._finished.backend.close()  # nothing on it is under way any more
        self._finished = device
        if rendered.swapped:
            device.painted = None  # it is in the old style
        backend, before = device.backend, device.painted
        if rendered.painted is None and before is None:
            return seen.frame
        with self.stages("blend", seen.frame.index):
            if rendered.painted is None:
                painted = backend.carry(before, seen.picture, seen.motion)
            elif device.fades(seen.effort or FULL, before, rendered.painted, seen.motion):
                painted = backend.mix(rendered.painted, backend.carry(before, seen.picture, seen.motion), CHANGING)
            else:
                painted = backend.warp_blend(before, rendered.painted, seen.motion, rendered.weight)
            if before is not None:
                change = backend.flicker(before, painted, seen.motion)
                if change is not None:
                    self.flicker.add(change)
        device.painted = painted
        with self.stages("finish", seen.frame.index):
            if rendered.region is not None and rendered.region.style is None:
                painted = backend.mix(painted, seen.picture, rendered.region.mask)
            share = seen.share * min(rendered.strength / NEAR_INPUT, 1)
            if share < 1:
                painted = backend.mix(seen.picture, painted, share)
            return backend.download(painted, seen.frame, host=not self.on_device)

    def forget(self) -> None:
        """Drop the history: the next frame is painted as if it were the first."""
        if self._device is not None:
            self._device.seen = self._device.painted = None
            self._device.left = 0

    def renew(self) -> None:
        """Let go of the device and all that lies on it, without waiting for it: the next frame opens it anew.

        For one that failed, or does not answer: nobody knows what it left half done.  Settings stay.
        """
        self._device = self._finished = None

    # ---- for people with their own loop ----

    def paint(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Paint one RGB picture ``(H, W, 3)`` uint8 of a stream and return the painted one, same shape."""
        return self._rgb.array(self(self._rgb.frame(rgb)))


def style_of(region: Region | None) -> tuple[Style | None] | None:
    """Tells a region without a style of its own from none."""
    return None if region is None else (region.style,)


def fitted(mask: NDArray[np.float32], size: tuple[int, int]) -> NDArray[np.float32]:
    """The mask at ``(width, height)``."""
    return np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_AREA), np.float32)


def held(steadiness: float) -> float:
    """Share of the history for a steadiness of 0 (every frame on its own) to 1.

    What flickers is the share that is *not* history, so the scale is finest near 1: painted places are renewed
    within 2 frames at 0.2, 7 at 0.5, 33 at 0.85.
    """
    return STRONGEST * (1 - (1 - steadiness) ** 3)


def unit(name: str, value: float) -> float:
    """``value`` if it lies in 0..1, else a `ConfigError` that names it."""
    if not 0 <= value <= 1:
        raise ConfigError(f"{name} must be between 0 and 1, not {value:g}")
    return float(value)
