"""Whether a built engine paints what the nets paint in fp32: the same pictures through both.

The reference is the joined graph in OpenVINO, in fp32 on the CPU.  What is compared is the packed picture, before
any rounding to bytes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray

from allaprima.kernels.reference.pack import CELL, pack
from allaprima.realtime.bundle import Bundle, Filters
from allaprima.realtime.engine_key import Cells
from allaprima.realtime.errors import BackendError, BundleError
from allaprima.realtime.network import joined
from allaprima.realtime.rgb import Rgb
from allaprima.realtime.sources.scenes import SHOT_FRAMES, open_scene

LEAST_PSNR = 40.0
"""Decibels an engine must reach, black to white being the peak: an error of 2.6 of 255, as of a good video codec."""
MOST_STYLES = 6
"""Styles that are compared; of a bundle with more, evenly chosen ones."""
LARGE, MOST_STYLES_LARGE = 270 * 480, 2
"""From so many cells on fewer styles are compared: fp32 on a CPU takes seconds for each."""
SCENES = {"landscape": 0, "cut": SHOT_FRAMES}
"""Pictures that are painted, and which frame: one full of detail and light, a dusk with large dark areas."""
LARGEST_SCENE = 1280
"""Pixels of a side; a larger picture shows it mirrored again and again."""
PEAK = 2.0
"""Black to white in a packed picture."""

Map = NDArray[np.float32]
Feeds = dict[str, Map]
Paint = Callable[[Feeds], Map]
"""Inputs by our names, float32, to ``painted`` ``(1, 24, h, w)`` float32."""


@dataclass(frozen=True, slots=True)
class Parity:
    """How close an engine comes."""

    psnr: float
    """Of the worst painting, decibels; NaN where it painted what is no number."""
    style: str
    """The worst painting's."""
    compared: int

    @property
    def ok(self) -> bool:
        return self.psnr >= LEAST_PSNR  # False for NaN


def compare(paint: Paint, bundle: Bundle, cells: Cells, regions: int = 1) -> Parity:
    """Paint pictures of ``cells`` in a sample of the bundle's styles by ``paint`` and in fp32.

    Raises `BackendError` where OpenVINO cannot run the nets, `BundleError` for a style that cannot be read.
    """
    reference = _reference(bundle, regions)
    styles = _sample(bundle, MOST_STYLES if cells[0] * cells[1] < LARGE else MOST_STYLES_LARGE)
    worst, name, count = np.inf, "", 0
    for picture in pictures(cells):
        for index, (style, filters) in enumerate(styles):
            other = styles[(index + 1) % len(styles)][1]
            feeds = _feeds(picture, (filters, other)[:regions], bundle, cells)
            psnr = decibels(paint(feeds), reference(feeds))
            count += 1
            if not psnr >= worst:
                worst, name = psnr, style
            if np.isnan(psnr):
                return Parity(psnr, style, count)
    return Parity(float(worst), name, count)


def decibels(found: Map, expected: Map) -> float:
    """Peak signal to noise; infinite where both are equal, NaN where one is no number."""
    error = float(np.mean(np.square(found.astype(np.float64) - expected)))
    return float("inf") if error == 0 else float(10 * np.log10(PEAK**2 / error))


@lru_cache(maxsize=2)
def pictures(cells: Cells) -> tuple[Map, ...]:
    """Packed pictures ``(1, 24, h, w)``, rounded to fp16 as the engine gets them."""
    height, width = (min(side * CELL, LARGEST_SCENE) for side in cells)
    found = []
    for name, index in SCENES.items():
        picture = open_scene(name, (width, height)).frame(index)
        frame = Rgb().frame(picture)
        packed = pack(frame.planes, full_range=frame.color.full_range, margin=0, stride=CELL, dtype="float16")
        more = [(0, cell - side) for cell, side in zip(cells, packed.shape[1:], strict=True)]
        found.append(np.pad(packed, [(0, 0), *more], mode="reflect")[None].astype(np.float32))
    return tuple(found)


def _sample(bundle: Bundle, most: int) -> list[tuple[str, Filters]]:
    """Of the styles that come with the bundle."""
    files = {name: file for name, file in bundle.style_files().items() if file.parent == bundle.path / "styles"}
    names = list(files)
    if not names:
        raise BundleError(f"{bundle.path} has no style to compare in", "export it again")
    chosen = [names[round(i)] for i in np.linspace(0, len(names) - 1, min(len(names), most))]
    return [(name, bundle.load_style(files[name])[1]) for name in chosen]


def _feeds(picture: Map, filters: tuple[Filters, ...], bundle: Bundle, cells: Cells) -> Feeds:
    from allaprima.realtime.backends.nets.tensorrt_net import input_shapes

    feeds: Feeds = {"packed": picture, "strength": np.ones((1, 1, 1, 1), np.float32)}
    for index, style in enumerate(filters):
        feeds |= {f"{key}_{index}": np.asarray(value, np.float32) for key, value in style.items()}
    for name, shape in input_shapes(bundle, cells, len(filters)).items():
        if name.startswith("mask_"):
            feeds[name] = np.broadcast_to(np.linspace(0, 1, shape[3], dtype=np.float32), shape).copy()
    return feeds


def _reference(bundle: Bundle, regions: int) -> Paint:
    core = ov.Core()
    try:
        model = core.read_model(joined(bundle, regions).SerializeToString())
        net = core.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    except RuntimeError as error:
        raise BackendError(f"OpenVINO cannot load the joined nets: {str(error).splitlines()[0]}") from error

    def paint(feeds: Feeds) -> Map:
        found: Any = net(feeds)
        return np.array(found[net.output(0)])

    return paint
