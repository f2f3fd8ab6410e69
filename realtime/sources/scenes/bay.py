"""The bay by day: a snow-capped mountain, islands, swell and sails, in a camera that moves right."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from allaprima.realtime.sources.scenes.brushes import Cutout, Sheet, blend, curve, edge, noise, rgb
from allaprima.realtime.sources.scenes.figures import HULL, birds, boat, sailboat
from allaprima.realtime.sources.scenes.layers import TAU, Layer, Paint, Plane, Ripple, Size, Stops
from allaprima.realtime.sources.scenes.scenery import (
    Rock,
    Swell,
    cumulus,
    disc,
    drift,
    glints,
    glitter,
    glow,
    mirror,
    paint_sky,
    peak,
    period,
    puff,
    wave,
)
from allaprima.realtime.sources.scenes.shore import bank, cypresses
from allaprima.realtime.sources.scenes.stage import Stage

DAY_SKY: Stops = [
    (0.0, "#173f8f"),
    (0.28, "#2f74bd"),
    (0.55, "#6fb7d6"),
    (0.78, "#f2dfae"),
    (0.92, "#fac27e"),
    (1.0, "#f59e69"),
]
DAY_CLOUD: Stops = [(0.0, "#8d93c4"), (0.35, "#d9b9c4"), (0.62, "#fbe6c8"), (0.9, "#fffaf0")]
FUJI = Rock(
    light=[(0.0, "#c99a8e"), (0.45, "#a583a8"), (0.8, "#93a0cc"), (1.0, "#c3c6d6")],
    shade=[(0.0, "#4f5fa3"), (0.45, "#3f5fa8"), (0.8, "#5c86bf"), (1.0, "#a9bcd4")],
    snow=0.34,
)
FOOTHILL = Rock(
    light=[(0.0, "#7fa3b8"), (0.5, "#6fa99a"), (1.0, "#a9c6a0")],
    shade=[(0.0, "#3c6499"), (0.5, "#3d7a8e"), (1.0, "#6ea396")],
)
FIELDS = ["#5d8f3a", "#86a83f", "#d9b44a", "#c98f3a", "#3f7a45", "#e3cf6b", "#a2b84c", "#4f9160"]
TREE: Stops = [(0.0, "#123f3a"), (0.45, "#1f6a45"), (0.8, "#6fa045"), (1.0, "#c8cc5c")]
DAY_SWELL = (
    Swell(0.665, 0.75, 0.020, 0.16, [(0, "#5fb3b8"), (0.4, "#2f86ad"), (1, "#1b5a94")], "#164a86", "#e9f3dc"),
    Swell(0.72, 0.83, 0.032, 0.25, [(0, "#4fa6b4"), (0.4, "#2273a6"), (1, "#144a85")], "#0f3b78", "#f1f3e0"),
    Swell(0.79, 0.92, 0.048, 0.38, [(0, "#3f97b0"), (0.35, "#1b6299"), (1, "#0f3f7c")], "#0c326c", "#f6f2e2"),
    Swell(0.872, 1.05, 0.066, 0.55, [(0, "#3a8fae"), (0.3, "#17558f"), (1, "#0b2f66")], "#0a2a5e", "#faf4e6"),
)
RED_SAILS: tuple[Stops, Stops] = ([(0, "#f2a03c"), (1, "#d9402c")], [(0, "#b5301f"), (1, "#f07a35")])
PALE_SAILS: tuple[Stops, Stops] = ([(0, "#fff6dc"), (1, "#f0cf94")], [(0, "#d8b48c"), (1, "#fff2d2")])
HORIZON = 0.56
SUN = (1.24, 0.26)
FAR_SPEED = -0.3


def bay_by_day(size: Size, rate: Fraction, name: str) -> Stage:
    """A bay under a snow-capped mountain, with islands, swell, sails and a near shore."""
    unit = size[1]
    rng = np.random.default_rng(1889)
    far = _day_backdrop(size, rng)
    islands = _islands(size, rng)
    waves = [wave(rng, swell, period(size, 1.35), unit) for swell in DAY_SWELL]
    still_water = Ripple(HORIZON * unit, unit, 0.02 * unit)
    clouds = Sheet(0.02, HORIZON, period(size, 1.6), unit)
    for x, y, span in ((0.2, 0.25, 0.34), (0.98, 0.42, 0.42), (1.75, 0.17, 0.3), (2.3, 0.37, 0.5)):
        cumulus(clouds, rng, (x, y), span, DAY_CLOUD)
    range_far = _day_range(size, rng)
    layers = [
        far.dry(size, drift(unit, FAR_SPEED, far)),
        clouds.dry(size, drift(unit, -0.55, clouds)),
        range_far.dry(size, drift(unit, FAR_SPEED, range_far)),
    ]
    lake = _lake(far, range_far, rng)
    layers.append(lake.dry(size, drift(unit, FAR_SPEED, lake), still_water))
    layers.append(islands.dry(size, drift(unit, -0.8, islands)))
    mirrored = _island_water(islands, rng)
    layers.append(mirrored.dry(size, drift(unit, -0.8, mirrored), still_water))
    layers += _day_birds_and_boats(size, rng, waves)
    near = bank(size, rng)
    layers.append(near.dry(size, drift(unit, -7.0, near)))
    layers.append(cypresses(size, rng))
    return Stage(name, size, rate, layers, glow(size, [(0, "#ffb070"), (0.5, "#ffe2a0"), (1, "#e08a50")]))


def _day_backdrop(size: Size, rng: np.random.Generator) -> Sheet:
    sheet = Sheet(0, HORIZON + 0.02, period(size, 1.5), size[1])
    paint_sky(sheet, rng, DAY_SKY, "#fdf3d8", 0.55)
    disc(sheet, SUN, 0.046, "#fffbe2", "#ffdf8c")
    return sheet


def _day_range(size: Size, rng: np.random.Generator) -> Sheet:
    sheet = Sheet(0.12, HORIZON + 0.02, period(size, 1.5), size[1])
    unit = size[1]
    for x, height, width in ((2.0, 0.24, 1.1), (1.62, 0.16, 0.9), (2.45, 0.17, 1.0)):
        sheet.stamp(peak(rng, height, width, unit, Rock(FUJI.light, FUJI.shade, 0.2)), x, HORIZON + 0.01)
    sheet.stamp(peak(rng, 0.40, 1.35, unit, FUJI), 0.72, HORIZON + 0.01)
    for number in range(int(sheet.width / 0.17)):
        height, width = float(rng.uniform(0.05, 0.10)), float(rng.uniform(0.35, 0.6))
        x = 0.17 * number + float(rng.uniform(-0.06, 0.06))
        sheet.stamp(peak(rng, height, width, unit, FOOTHILL), x, HORIZON + 0.012)
    return sheet


def _lake(backdrop: Sheet, peaks: Sheet, rng: np.random.Generator) -> Sheet:
    """The far water: sky and mountains upside down, broken by strokes, the sun's path on it."""
    water = mirror(backdrop, HORIZON, 0.17, 0.42)
    above = mirror(peaks, HORIZON, 0.17, 0.42)
    water.paint = above.paint + water.paint * (1 - above.paint[..., 3:])
    deep = edge(0.0, 0.15, water.y - HORIZON)
    water.lay(rgb("#1d5f96"), 0.30 + 0.45 * deep)
    glints(water, rng, HORIZON, "#123f7a", 0.75)
    glints(water, rng, HORIZON, "#bfe3dc", 0.35)
    glitter(water, rng, SUN[0], HORIZON, "#fff0b8")
    return water


def _islands(size: Size, rng: np.random.Generator) -> Sheet:
    """Low islands and headlands: fields in furrows, woods, a village."""
    shore = HORIZON + 0.018
    sheet = Sheet(0.40, shore, period(size, 1.7), size[1])
    rise = 0.05 * (sheet.ridge(rng, 0.5, 4) + 0.45) + 0.004 * sheet.ridge(rng, 0.05, 2)
    ridge = shore - np.minimum(rise, 0.14)
    depth = sheet.y - ridge
    color = _fields(sheet, rng, depth)
    color = blend(color, rgb("#f2dfa6"), edge(0.006, 0.002, shore - sheet.y + 0 * depth))
    color = blend(color, rgb("#ffe9b0"), 0.35 * edge(0.012, 0.0, depth))
    sheet.lay(color, edge(-sheet.pixel, sheet.pixel, depth))
    _plant(sheet, rng, ridge[0], shore)
    return sheet


def _fields(sheet: Sheet, rng: np.random.Generator, depth: Plane) -> Paint:
    """Patchwork in perspective: rows of fields, each with its color and the lie of its furrows."""
    warp = sheet.noise(rng, (0.08, 0.22), 2)
    along = max(round(sheet.width / 0.13), 1)
    v = np.sqrt(np.maximum(depth, 0) / 0.012) + 0.28 * warp
    u = sheet.x / sheet.period * along + 0.35 * warp + 0.5 * np.floor(v)
    patch = (np.floor(u).astype(int) % along) * 5 + np.floor(v).astype(int) * 3
    colors = np.array([rgb(code) for code in FIELDS])
    tilt = (patch % 3 - 1) * 0.9
    furrow = np.sin(TAU * (7 * (u % 1) + tilt * 6 * (v % 1)))
    border = np.minimum(np.minimum(u % 1, 1 - u % 1) * 3, np.minimum(v % 1, 1 - v % 1))
    color = colors[patch % len(colors)] * (1 + 0.13 * furrow[..., None])
    return blend(np.asarray(color, np.float32), rgb("#2d5f3c"), 0.75 * edge(0.13, 0.05, border))


def _plant(sheet: Sheet, rng: np.random.Generator, ridge: Plane, shore: float) -> None:
    """Trees all over the land and a village on the highest of it, far ones first."""
    unit = sheet.unit_px
    village = float(np.argmin(ridge)) / ridge.size
    spots = [(float(rng.random()), float(rng.random())) for _ in range(int(110 * sheet.width))]
    for down, along in sorted(spots):
        land = shore - float(ridge[int(along * ridge.size)])
        if land < 0.012:
            continue
        size = 0.012 + 0.016 * down
        y = shore - land * (1 - down) * 0.95
        built = abs(along - village) < 0.16 / sheet.width
        figure = _house(rng, 1.5 * size, unit) if built and down > 0.3 else _tree(rng, size, unit)
        sheet.stamp(figure, along * sheet.period, y)


def _tree(rng: np.random.Generator, height: float, unit_px: int) -> Paint:
    """A small cypress or a round crown."""
    if rng.random() < 0.3:
        tree = Cutout(0.45, 1.7 * height, unit_px)
        flame = curve((0.22, 1.0), (-0.12, 0.55), (0.225, 0.0)) + curve((0.225, 0.0), (0.57, 0.55), (0.22, 1.0))
        tree.shape(flame, [(0, "#0f3a3a"), (0.6, "#1d5a3f"), (1, "#5f8f45")], across=True)
        return tree.done()
    return puff(max(0.55 * height * unit_px, 0.8), TREE, (0.6, -0.6))


def _house(rng: np.random.Generator, height: float, unit_px: int) -> Paint:
    house = Cutout(1.3, height, unit_px)
    wall, roof = rng.choice(["#fff1d0", "#f6d9a8", "#e9c9a0"]), rng.choice(["#d9512f", "#c63f2b", "#e57a3a"])
    house.shape([(0.1, 0.45), (1.2, 0.45), (1.2, 1.0), (0.1, 1.0)], [(0, "#b08a78"), (0.45, wall), (1, wall)], True)
    house.shape([(0.0, 0.5), (0.3, 0.08), (1.0, 0.08), (1.3, 0.5)], [(0, roof), (1, "#8f2f28")])
    house.shape([(0.7, 0.6), (0.9, 0.6), (0.9, 0.82), (0.7, 0.82)], [(0, "#3b4a74"), (1, "#3b4a74")])
    return house.done()


def _island_water(islands: Sheet, rng: np.random.Generator) -> Sheet:
    """The islands' reflection, dark and frayed by level strokes."""
    shore = HORIZON + 0.018
    water = mirror(islands, shore, 0.10, 0.55)
    water.paint[..., :3] = 0.55 * water.paint[..., :3] + 0.45 * rgb("#164a78") * water.paint[..., 3:]
    fray = noise(rng, water.shape, (22, water.width / 0.09), 2)
    keep = edge(0.0, 0.25, np.asarray(1.6 + fray - 26 * (water.y - shore), np.float32))
    water.paint *= keep[..., None]
    return water


def _day_birds_and_boats(size: Size, rng: np.random.Generator, waves: Sequence[Sheet]) -> list[Layer]:
    """Swell strips from far to near with boats between them, and the birds above."""
    unit = size[1]
    strips = [
        sheet.dry(size, drift(unit, speed, sheet, bob, seconds))
        for sheet, speed, bob, seconds in zip(
            waves, (-1.3, -2.1, -3.2, -4.6), (0.003, 0.004, 0.006, 0.008), (3.7, 4.3, 5.1, 5.9), strict=True
        )
    ]
    far = boat(size, unit, sailboat(0.15, unit, PALE_SAILS, HULL), (0.42, 0.665), 0.7, 4.1)
    middle = boat(size, unit, sailboat(0.26, unit, RED_SAILS, HULL), (1.12, 0.745), -2.6, 4.7)
    near = boat(size, unit, sailboat(0.38, unit, PALE_SAILS, HULL), (-0.3, 0.845), 3.4, 5.3)
    flock = birds(size, rng, unit, 4, 1, [(0, "#2a3358"), (1, "#3d3a55")])
    return [*flock[:-1], far, strips[0], middle, strips[1], near, strips[2], strips[3], flock[-1]]
