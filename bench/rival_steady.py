"""Ours as contenders, and video held steady by hand, with OpenCV and NumPy."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from allaprima.bench import precision, rival_nets
from allaprima.bench.contender import CannotRun, Footage, Picture, Ready
from allaprima.bench.painted import check
from allaprima.realtime.frame import Frame
from allaprima.realtime.stylizer import Stylizer

HISTORY = np.float32(0.8)
"""Share of what was shown before, in what is blended by hand."""


# ---- ours ----


def nets(footage: Footage) -> Ready:
    """Encoder, bank and decoder on every frame by itself, from the decoder's bytes to the encoder's."""
    stylizer = stylizer_of(footage)
    device = stylizer.look(footage.frames[0]).device
    assert device is not None  # only while nothing is painted
    backend, net = device.backend, device.nets.get(False, 1.0)
    filters = stylizer.bank.views(stylizer.bank.resolve(stylizer.style))

    def paint(frame: Frame) -> Frame:
        picture = backend.upload(frame)
        painted = net.paint(picture, filters, stylizer.strength)
        alone = backend.warp_blend(None, painted, backend.motion(None, picture), 0.0)
        return backend.download(alone, frame).landed()

    _painted(footage, [paint(frame) for frame in footage.frames])
    return Ready(lambda index: paint(footage.frames[index]), _about(footage, stylizer))


def engine(footage: Footage) -> Ready:
    """All that a frame goes through between decoder and encoder, step by step, at default settings."""
    return _painting(footage, stylizer_of(footage))


def temporal(footage: Footage) -> Ready:
    """What the engine does besides the nets, while it paints."""
    stylizer = stylizer_of(footage)
    ready = _painting(footage, stylizer)
    if stylizer.device != "cpu":
        raise CannotRun("on a card a frame is one launch, of which no part can be timed from outside")
    return replace(ready, spared=lambda: stylizer.stages.totals()["net"])


def _painting(footage: Footage, stylizer: Stylizer) -> Ready:
    def paint(index: int) -> Frame:
        return stylizer(footage.frames[index]).landed()

    _painted(footage, [paint(index) for index in range(len(footage.frames))])
    return Ready(paint, _about(footage, stylizer))


def stylizer_of(footage: Footage, steadiness: float | None = None) -> Stylizer:
    """Ours, as the footage's folder says."""
    ours = footage.ours
    if ours.precision is not None:
        precision.use(ours.precision)
    bundle = None if ours.bundle is None else Path(ours.bundle)
    return Stylizer(ours.style, steadiness=steadiness, bundle=bundle, backend=ours.backend)


def _about(footage: Footage, stylizer: Stylizer) -> str:
    return f"{stylizer.device}, {precision.chosen(stylizer.device, footage.ours.precision)}"


def _painted(footage: Footage, made: list[Frame]) -> None:
    check((frame.planes[0] for frame in footage.frames), (frame.planes[0] for frame in made))


# ---- by hand ----


class ByHand:
    """What was shown before is warped and mixed in where the flow agrees with itself.

    Flow by OpenCV's dense inverse search at its default, both ways at full size; Sundaram et al. (ECCV 2010) tell
    where it holds.  Takes a frame and what a net has painted of it, RGB bytes; gives what is to be shown.
    """

    def __init__(self) -> None:
        self._flow: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
        self._grid: Any = None
        self._before: tuple[Any, Any] | None = None

    def __call__(self, rgb: Picture, painted: Picture) -> Picture:
        gray: Any = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
        shown = painted if self._before is None else self._held(*self._before, gray, painted)
        self._before = gray, shown
        return shown

    def _held(self, before: Any, shown: Picture, gray: Any, painted: Picture) -> Picture:
        if self._grid is None:
            self._grid = np.dstack([*np.indices(gray.shape, np.float32)[::-1]])
        backward, forward = self._flow.calc(gray, before, None), self._flow.calc(before, gray, None)
        where = self._grid + backward
        there = cv2.remap(forward, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        length2 = np.square(there).sum(-1) + np.square(backward).sum(-1)
        hidden = np.square(there + backward).sum(-1) > 0.01 * length2 + 0.5
        history = cv2.remap(shown, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        mixed = HISTORY * history + (1 - HISTORY) * painted
        return np.where(hidden[..., None], painted, mixed).astype(np.uint8)


def by_hand(footage: Footage) -> Ready:
    """Frames that our net has painted, held steady by hand."""
    hold, alone = ByHand(), stylizer_of(footage, steadiness=0)
    painted = [alone.paint(rgb) for rgb in footage.rgb]
    about = f"OpenCV {cv2.__version__} and NumPy {np.__version__} on the CPU, {cv2.getNumThreads()} threads"
    return Ready(lambda index: hold(footage.rgb[index], painted[index]), about)


def whole_by_hand(footage: Footage) -> Ready:
    """The network in OpenVINO, and what it paints held steady by hand."""
    net, hold = rival_nets.openvino(footage), ByHand()
    paint: Any = net.step
    return Ready(lambda index: hold(footage.rgb[index], paint(index)), f"{net.about}; OpenCV {cv2.__version__}, NumPy")
