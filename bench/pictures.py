"""Single pictures to paint and the engine that paints them; what can be measured of it with no other judge."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from allaprima.bench.painted import EVEN_LEVELS, check
from allaprima.realtime import open_source
from allaprima.realtime.errors import ConfigError
from allaprima.realtime.frame import Frame
from allaprima.realtime.rgb import Rgb
from allaprima.realtime.stylebank import Mix, Style
from allaprima.realtime.stylizer import Stylizer

Picture = NDArray[np.uint8]
T = TypeVar("T")

STRIDE = 8
"""Photos are cut so that their sides are multiples of this: every network can take them."""
MIX_STEPS = 11
LEAST_ERROR = 1e-4
"""Mean square error, in levels of 255, that equal pictures count as having."""


@dataclass(frozen=True, slots=True)
class Given:
    """One picture to paint, as the engine and as everybody else takes it."""

    frame: Frame
    rgb: Picture

    @classmethod
    def of_rgb(cls, rgb: Picture) -> "Given":
        """``(H, W, 3)`` uint8, cut to multiples of `STRIDE`."""
        height, width = (side // STRIDE * STRIDE for side in rgb.shape[:2])
        cut = np.ascontiguousarray(rgb[:height, :width])
        return cls(Rgb().frame(cut), cut)

    @classmethod
    def of_frame(cls, frame: Frame) -> "Given":
        return cls(frame, Rgb().array(frame))

    def resized(self, short_side: int) -> "Given":
        height, width = self.rgb.shape[:2]
        scale = short_side / min(height, width)
        size = (round(width * scale), round(height * scale))
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        return Given.of_rgb(np.asarray(cv2.resize(self.rgb, size, interpolation=how), np.uint8))


def photos(folder: Path, prefix: str, count: int) -> list[Given]:
    """``count`` of the photos that begin with ``prefix``, evenly from all; those of one size together."""
    files = sorted(folder.glob(f"{prefix}*"))
    if not files:
        raise ConfigError(f"there are no photos {prefix}* in {folder}", "--data names the folder above them.")
    found = [read_photo(path) for path in evenly(files, count)]
    return sorted(found, key=lambda given: given.frame.size)  # another size makes the engine compile its net anew


def evenly(things: Sequence[T], count: int) -> list[T]:
    """``count`` of the things, or all where there are fewer, from the first on at even distances."""
    count = min(count, len(things))
    return [things[k * len(things) // count] for k in range(count)]


def read_photo(path: Path) -> Given:
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise ConfigError(f"{path} is not a picture that can be read")
    return Given.of_rgb(np.asarray(bgr[..., ::-1], np.uint8))


def moments(clip: Path, count: int, size: tuple[int, int] | None = None) -> list[Given]:
    """``count`` frames, evenly from the whole clip, without those too even to be painted.

    None of a clip of another size than ``size``, where one is wanted.
    """
    with open_source(str(clip)) as source:
        info = source.info
    if size is not None and info.size != size:
        return []
    total, rate = info.frames or count, float(info.rate or 30)
    found = []
    for index in (int(total * (k + 0.5) / count) for k in range(count)):
        # Half-way between two frames there is no doubt which one comes next.
        with open_source(str(clip), start=max(0.0, (index - 0.5) / rate), frames=1) as source:
            found += [frame for frame in source if frame.planes[0].std() > EVEN_LEVELS]
    return [Given.of_frame(frame) for frame in found]


class Painter:
    """The engine, painting single pictures in full strength."""

    def __init__(self, bundle: Path | None = None) -> None:
        self.stylizer = Stylizer(bundle=bundle, strength=1.0, steadiness=0.0)

    def __call__(self, given: Given, style: Style) -> Picture:
        """``(H, W, 3)`` uint8.  Raises `NotPainted` where the picture came out as it was, or empty."""
        self.stylizer.set_style(style)
        self.stylizer.forget()
        made = self.stylizer(given.frame).landed()
        check([given.frame.planes[0]], [made.planes[0]])
        return Rgb().array(made)


@dataclass(frozen=True, slots=True)
class Mixing:
    """A walk from style ``a`` to style ``b`` in steps of equal weight."""

    a: str
    b: str
    steps: tuple[float, ...]
    """Mean absolute difference of neighbouring pictures, levels of 255."""
    nearer: bool
    """Whether every picture is nearer to the last one than the picture before it."""

    @property
    def jump(self) -> float:
        """The largest step over the mean one: 1 is perfectly even."""
        mean = sum(self.steps) / len(self.steps)
        return max(self.steps) / mean if mean else 1.0


def mixing(painter: Painter, given: Given, a: str, b: str) -> Mixing:
    shares = [k / (MIX_STEPS - 1) for k in range(MIX_STEPS)]
    painted = [painter(given, Mix.of({a: 1 - share, b: share})).astype(np.float32) for share in shares]
    return walk(a, b, painted)


def walk(a: str, b: str, painted: list[NDArray[np.float32]]) -> Mixing:
    """What to say of the pictures ``(H, W, 3)`` on the way from ``a`` to ``b``."""
    steps = tuple(float(np.abs(p - q).mean()) for p, q in itertools.pairwise(painted))
    left = [float(np.abs(p - painted[-1]).mean()) for p in painted]
    return Mixing(a, b, steps, all(later < now for now, later in itertools.pairwise(left)))


def identity(stylizer: Stylizer, given: Given) -> float:
    """PSNR (dB) over R, G and B of what the auto-encoder makes of a frame.

    At strength 0 the engine shows the input itself; so this takes what the net gave before that.
    """
    stylizer.strength = 0
    stylizer.forget()
    rendered = stylizer.render(stylizer.look(given.frame))
    device = rendered.seen.device
    assert device is not None, "nothing is painted"
    return psnr(given.rgb, Rgb().array(device.backend.download(rendered.painted, given.frame)))


def psnr(a: Picture, b: Picture) -> float:
    """``10 log10(255^2 / mean square error)`` in dB."""
    error = float(np.square(a.astype(np.float32) - b).mean())
    return float(10 * np.log10(255**2 / max(error, LEAST_ERROR)))
