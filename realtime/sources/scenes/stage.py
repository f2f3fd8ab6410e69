"""What a scene is, and the three kinds of it: layers in motion, shots joined by cuts, a noisy still."""

from collections.abc import Sequence
from fractions import Fraction
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from allaprima.realtime.sources.scenes.layers import TAU, Flow, Layer, Mask, Picture, Size, as_bytes

SHOT_FRAMES = 60
CUTS_LISTED_HOURS = 1  # `Scene.cuts` must be finite; the cutting itself goes on for ever
NOISE_STEPS = 64  # fixed-point steps per 8-bit level while sensor noise is added
LIGHT_SECONDS = 48.0  # one slow swell of the light


class Scene(Protocol):
    """Endless video with known motion; every frame can be asked for in any order."""

    name: str
    size: Size
    """(width, height) in pixels."""
    rate: Fraction
    """Frames per second."""
    cuts: frozenset[int]
    """Frames that show a new shot (those of the first hour; frame 0 is not listed)."""

    def frame(self, index: int) -> Picture:
        """``(H, W, 3)`` uint8 RGB; the same bytes whenever it is asked for."""

    def motion(self, index: int) -> tuple[Flow, Mask]:
        """Flow ``(H, W, 2)`` float32 and occlusion ``(H, W)`` bool from frame ``index`` to the one before.

        What is at ``p`` was at ``p + flow`` (dx, dy in pixels); where the mask is set it could not be
        seen then.  At frame 0 and at a cut nothing corresponds: zeros, all set.
        """


class Stage:
    """A scene of layers, back to front, in a light that slowly swells towards ``glow`` and back."""

    cuts: frozenset[int] = frozenset()

    def __init__(self, name: str, size: Size, rate: Fraction, layers: Sequence[Layer], glow: Picture) -> None:
        self.name, self.size, self.rate = name, size, rate
        self._layers = tuple(layers)
        self._glow = glow

    def frame(self, index: int) -> Picture:
        seconds = float(index / self.rate)
        width, height = self.size
        canvas = np.zeros((height, width, 4), np.uint8)
        for layer in self._layers:
            if (shown := layer.show(seconds, self.size)) is not None:
                rows, columns, patch = shown
                _cover(canvas[rows, columns], patch)
        share = 0.06 - 0.06 * np.cos(TAU * seconds / LIGHT_SECONDS)
        lit = cv2.addWeighted(canvas, 1 - share, self._glow, share, 0)
        return as_bytes(cv2.cvtColor(lit, cv2.COLOR_RGBA2RGB))

    def motion(self, index: int) -> tuple[Flow, Mask]:
        if index == 0:
            return _unrelated(self.size)
        now, before = float(index / self.rate), float((index - 1) / self.rate)
        front, front_before = self._front(now), self._front(before)
        flow = np.zeros((*front.shape, 2), np.float32)
        for number, layer in enumerate(self._layers):
            y, x = np.nonzero(front == number)
            flow[y, x] = layer.flow(x.astype(np.float64), y.astype(np.float64), now, before)
        return flow, _hidden(flow, front, front_before)

    def _front(self, seconds: float) -> NDArray[np.int16]:
        """``(H, W)``: number of the front-most layer that covers at least half of the pixel."""
        width, height = self.size
        front = np.zeros((height, width), np.int16)
        for number, layer in enumerate(self._layers):
            if (shown := layer.show(seconds, self.size)) is not None:
                rows, columns, patch = shown
                front[rows, columns][patch[..., 3] >= 128] = number
        return front


class Cutting:
    """Two scenes in turn, `SHOT_FRAMES` frames each, joined by hard cuts."""

    def __init__(self, name: str, first: Scene, second: Scene) -> None:
        self.name, self.size, self.rate = name, first.size, first.rate
        self._shots = (first, second)
        listed = int(CUTS_LISTED_HOURS * 3600 * self.rate)
        self.cuts = frozenset(range(SHOT_FRAMES, listed, SHOT_FRAMES))

    def frame(self, index: int) -> Picture:
        return self._shot(index).frame(index)

    def motion(self, index: int) -> tuple[Flow, Mask]:
        if index % SHOT_FRAMES == 0:
            return _unrelated(self.size)
        return self._shot(index).motion(index)

    def _shot(self, index: int) -> Scene:
        return self._shots[index // SHOT_FRAMES % 2]


class Still:
    """One picture from a still camera, with fresh sensor noise in each frame.

    The noise is independent from pixel to pixel, with a variance that rises linearly with the signal
    (photon noise over a floor of read noise): sigma 2 of 255 in black, 4 in white.
    """

    cuts: frozenset[int] = frozenset()

    def __init__(self, name: str, picture: Picture, rate: Fraction) -> None:
        height, width = picture.shape[:2]
        self.name, self.size, self.rate = name, (width, height), rate
        self._picture = picture.astype(np.int16) * NOISE_STEPS
        sigma = np.sqrt(4 + 12 * picture.astype(np.float32) / 255)
        self._sigma = np.rint(sigma * NOISE_STEPS).astype(np.int16)
        rng = np.random.default_rng(7)
        grain = rng.standard_normal((2 * height, 2 * width, 3), np.float32)
        self._grain = np.rint(grain * (1024 / np.sqrt(2))).astype(np.int16)

    def frame(self, index: int) -> Picture:
        # Drawing normal numbers takes 25 ms a frame at 720p; the sum of two random cuts of one sheet of
        # grain is as good, because the same pair of cuts hardly ever comes again.
        rng = np.random.default_rng([11, index])
        grain = cv2.add(self._cut(rng), self._cut(rng))
        noise = cv2.multiply(grain, self._sigma, scale=1 / 1024)
        share = 1 / NOISE_STEPS
        return as_bytes(cv2.addWeighted(self._picture, share, noise, share, 0, dtype=cv2.CV_8U))

    def motion(self, index: int) -> tuple[Flow, Mask]:
        flow, unseen = _unrelated(self.size)
        return flow, unseen if index == 0 else np.zeros_like(unseen)

    def _cut(self, rng: np.random.Generator) -> NDArray[np.int16]:
        width, height = self.size
        x, y = rng.integers(width), rng.integers(height)
        cut: NDArray[np.int16] = self._grain[y : y + height, x : x + width]
        return cut


def _hidden(flow: Flow, front: NDArray[np.int16], front_before: NDArray[np.int16]) -> Mask:
    """Where the source point lies outside the picture or belonged to another layer."""
    height, width = front.shape
    y, x = np.indices(front.shape)
    column, row = np.rint(x + flow[..., 0]).astype(int), np.rint(y + flow[..., 1]).astype(int)
    inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    source = front_before[row.clip(0, height - 1), column.clip(0, width - 1)]
    return np.asarray(~inside | (source != front), np.bool_)


def _cover(under: Picture, over: Picture) -> None:
    """Lay premultiplied ``over`` on ``under``, both ``(h, w, 4)``, in place."""
    absent = cv2.bitwise_not(cv2.extractChannel(over, 3))
    cv2.multiply(under, cv2.merge([absent] * 4), under, scale=1 / 255)
    cv2.add(under, over, under)


def _unrelated(size: Size) -> tuple[Flow, Mask]:
    """The motion where nothing corresponds."""
    width, height = size
    return np.zeros((height, width, 2), np.float32), np.ones((height, width), np.bool_)
