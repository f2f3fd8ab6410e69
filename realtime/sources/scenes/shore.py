"""The near shore of the bay: tall grass, flowers and cypresses, all passing close by."""

import numpy as np

from allaprima.realtime.sources.scenes.brushes import Cutout, Sheet, curve, dry, edge, ellipse, ramp
from allaprima.realtime.sources.scenes.figures import framed
from allaprima.realtime.sources.scenes.layers import TAU, Crossing, Layer, Paint, Size, Stops, shift
from allaprima.realtime.sources.scenes.scenery import period

CYPRESS: tuple[Stops, ...] = (
    [(0, "#061f28"), (1, "#0d3438")],
    [(0, "#0a2c2f"), (1, "#17503c")],
    [(0, "#0f3f38"), (1, "#32743f")],
    [(0, "#1b5a3c"), (1, "#a7a648")],
)


def bank(size: Size, rng: np.random.Generator) -> Sheet:
    """The near shore: tall grass with poppies, irises and ears of wheat."""
    sheet = Sheet(0.80, 1.0, period(size, 1.9), size[1])
    ground = 0.965 + 0.012 * sheet.ridge(rng, 0.7, 2)
    shade = sheet.noise(rng, (0.03, 0.05), 3)
    sheet.lay(
        ramp((sheet.y - ground) / 0.06 + 0.2 * shade, [(0, "#4f7a35"), (1, "#173a2c")]),
        edge(-sheet.pixel, sheet.pixel, sheet.y - ground),
    )
    blades = [_blade(rng, sheet.unit_px) for _ in range(24)]
    flowers = [_flower(rng, sheet.unit_px) for _ in range(16)]
    lush = sheet.ridge(rng, 0.35, 2)[0]
    for number in range(int(170 * sheet.width)):
        x = float(rng.random()) * sheet.period
        kind = flowers if number % 4 == 3 and lush[int(x / sheet.period * lush.size)] > -0.6 else blades
        sheet.stamp(kind[int(rng.integers(len(kind)))], x, 1.0 + float(rng.uniform(-0.012, 0.035)))
    return sheet


def _blade(rng: np.random.Generator, unit_px: int) -> Paint:
    height = float(rng.uniform(0.06, 0.13))
    blade = Cutout(0.6, height, unit_px)
    tip, stops = (
        float(rng.uniform(0.02, 0.58)),
        [("#b9c552", "#2f6a38"), ("#e6c95a", "#6f7a30"), ("#6fae5a", "#1d4f38")],
    )
    top, foot = stops[int(rng.integers(3))]
    outline = curve((0.26, 1.0), (0.27, 0.4), (tip, 0.02)) + curve((tip, 0.02), (0.34, 0.42), (0.36, 1.0))
    blade.shape(outline, [(0, top), (1, foot)])
    return blade.done()


def _flower(rng: np.random.Generator, unit_px: int) -> Paint:
    """A poppy, iris or sunflower on its stem."""
    height = float(rng.uniform(0.08, 0.15))
    flower = Cutout(0.5, height, unit_px)
    petal, heart = [("#e8402a", "#4a1420"), ("#5b5fc7", "#f4d35e"), ("#f7b928", "#6a3a1a")][int(rng.integers(3))]
    flower.shape([(0.24, 0.3), (0.27, 0.3), (0.29, 1.0), (0.25, 1.0)], [(0, "#6f9a45"), (1, "#2f5f38")])
    for turn in np.linspace(0, TAU, 7)[:-1] + float(rng.random()):
        x, y = 0.25 + 0.11 * np.cos(turn), 0.2 + 0.09 * np.sin(turn)
        flower.shape(ellipse(x, y, 0.095, 0.085), [(0, petal), (1, petal)])
    flower.shape(ellipse(0.25, 0.2, 0.06, 0.05), [(0, heart), (1, heart)])
    return flower.done()


def cypresses(size: Size, rng: np.random.Generator) -> Layer:
    """A pair of flame-shaped trees that passes close by."""
    unit = size[1]
    sheet = Sheet(0.0, 0.82, 0.36, unit)
    for x, height, width in ((0.125, 0.60, 0.135), (0.225, 0.80, 0.18)):
        sheet.stamp(_cypress(rng, height, width, unit), x, 0.82)
    track = -0.4 * unit - 16, max(3.2 * size[0], size[0] + 2.0 * unit) + 32.0
    path = Crossing(track, 0.62 * unit, shift(-7.0) * unit, 1.02 * unit, (0.18 * unit, 0.82 * unit))
    return Layer(dry(framed(sheet.paint)), path)


def _cypress(rng: np.random.Generator, height: float, width: float, unit_px: int) -> Paint:
    """A dark flame built of small flames, lit from the right, upper ones behind lower ones."""
    tree = Cutout(width / height, height, unit_px)
    middle = 0.5 * width / height
    for y in np.sort(rng.uniform(0.13, 1.02, 170)):
        reach = middle * 0.80 * float(np.sin(np.pi * min(y, 1) ** 1.25 * 0.80)) ** 0.75
        side = float(rng.uniform(-1, 1))
        foot = middle + reach * side * 0.85, float(y)
        length = 0.10 + 0.06 * float(rng.random())
        tip = middle + reach * side * 1.05 + 0.012 * np.sin(12 * y), float(y) - length
        swell, lean = 0.030 + 0.012 * float(rng.random()), 0.045 * side
        left = curve(foot, (foot[0] - swell + lean, foot[1] - 0.4 * length), tip)
        right = curve(tip, (foot[0] + swell + lean, foot[1] - 0.3 * length), foot)
        light = int(np.clip(1.3 + 1.5 * side + rng.normal(), 0, 3))
        tree.shape(left + right, CYPRESS[light], across=True)
    return tree.done()
