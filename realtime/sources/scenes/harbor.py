"""The harbor at dusk: a lit town between stars and their reflections."""

from fractions import Fraction

import cv2
import numpy as np

from allaprima.realtime.sources.scenes.brushes import Cutout, Sheet, blend, edge, ellipse, noise, ramp, rgb
from allaprima.realtime.sources.scenes.figures import HULL, birds, boat, sailboat
from allaprima.realtime.sources.scenes.layers import Paint, Ripple, Size, Stops, float_range
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
    wave,
)
from allaprima.realtime.sources.scenes.stage import Stage

DUSK_SKY: Stops = [
    (0.0, "#101548"),
    (0.3, "#2a3384"),
    (0.55, "#6a4c9c"),
    (0.75, "#c9608a"),
    (0.9, "#f28a5e"),
    (1.0, "#ffc06a"),
]
DUSK_CLOUD: Stops = [(0.0, "#3d2f73"), (0.4, "#8a4a8c"), (0.7, "#ee7f74"), (1.0, "#ffd08a")]
DUSK_ROCK = Rock(
    light=[(0.0, "#a35c92"), (0.6, "#7a4a94"), (1.0, "#b0627f")],
    shade=[(0.0, "#3b2f78"), (0.6, "#372d74"), (1.0, "#6a4583")],
)
DUSK_SWELL = (
    Swell(0.73, 0.80, 0.022, 0.19, [(0, "#a868a8"), (0.4, "#54489c"), (1, "#2a2f7c")], "#2a2a74", "#ffd09a"),
    Swell(0.78, 0.89, 0.034, 0.29, [(0, "#8a5cae"), (0.4, "#3d3f94"), (1, "#20286c")], "#1e2466", "#ffc08e"),
    Swell(0.855, 1.05, 0.05, 0.42, [(0, "#5f5fb8"), (0.25, "#2c3788"), (1, "#121a4c")], "#141c56", "#f7b48c"),
)
DUSK_SAILS: tuple[Stops, Stops] = ([(0, "#e2574a"), (1, "#7c2450")], [(0, "#5a2050"), (1, "#c2484e")])
GREEN_SAILS: tuple[Stops, Stops] = ([(0, "#f7d08a"), (1, "#b0705e")], [(0, "#80526a"), (1, "#e8b078")])
FACADES = ["#34408c", "#4a3a86", "#27578c", "#6a3f7c", "#8a4a66", "#2b6a86", "#a3604f"]
ROOFS = ["#1c1d50", "#4f2350", "#6e2a48", "#222a62"]
LAMPLIGHT = ["#ffd65c", "#ffb43c", "#fff0a0", "#ff8f3f"]
QUAY = 0.60
MOON = (0.42, 0.17)


def harbor_at_dusk(size: Size, rate: Fraction, name: str) -> Stage:
    """A harbor town under the first stars, seen by a camera that pans the other way."""
    unit = size[1]
    rng = np.random.default_rng(1853)
    sky, hills, town = _dusk_backdrop(size, rng), _dusk_hills(size, rng), _town(size, rng)
    clouds = Sheet(0.05, QUAY, period(size, 1.6), unit)
    for x, y, span in ((1.15, 0.36, 0.40), (1.9, 0.25, 0.34), (2.6, 0.40, 0.36)):
        cumulus(clouds, rng, (x, y), span, DUSK_CLOUD)
    water, mirrored = _dusk_water(sky, rng), _town_water(town, rng)
    ripple = Ripple(QUAY * unit, unit, 0.02 * unit)
    first, second, third = (wave(rng, swell, period(size, 1.35), unit) for swell in DUSK_SWELL)
    walk = _promenade(size, rng)
    layers = [
        sky.dry(size, drift(unit, 0.3, sky)),
        clouds.dry(size, drift(unit, 0.5, clouds)),
        hills.dry(size, drift(unit, 0.6, hills)),
        *birds(size, rng, unit, 3, -1, [(0, "#1a1740"), (1, "#2c2150")]),
        town.dry(size, drift(unit, 1.0, town)),
        water.dry(size, drift(unit, 0.3, water), ripple),
        mirrored.dry(size, drift(unit, 1.0, mirrored), ripple),
        boat(size, unit, sailboat(0.23, unit, DUSK_SAILS, HULL), (0.95, 0.725), -1.2, 4.1),
        first.dry(size, drift(unit, 1.8, first, 0.004, 4.3)),
        second.dry(size, drift(unit, 2.6, second, 0.005, 4.9)),
        boat(size, unit, sailboat(0.36, unit, GREEN_SAILS, HULL), (0.2, 0.845), 3.6, 5.2),
        third.dry(size, drift(unit, 3.6, third, 0.006, 5.4)),
        walk.dry(size, drift(unit, 6.0, walk)),
    ]
    return Stage(name, size, rate, layers, glow(size, [(0, "#4a3fb0"), (0.55, "#e0708a"), (1, "#3f3f9a")]))


def _dusk_backdrop(size: Size, rng: np.random.Generator) -> Sheet:
    sheet = Sheet(0, QUAY, period(size, 1.5), size[1])
    paint_sky(sheet, rng, DUSK_SKY, "#f3a0a8", 0.5)
    for _ in range(int(16 * sheet.width)):
        radius = 0.0022 + 0.0045 * float(rng.random()) ** 3
        _star(sheet, (float(rng.random()) * sheet.period, 0.30 * float(rng.random())), radius)
    disc(sheet, MOON, 0.052, "#fff4c8", "#c99ad0")
    return sheet


def _star(sheet: Sheet, at: tuple[float, float], radius: float) -> None:
    """A point of light in a soft round glow, five radii wide."""
    reach = max(5 * radius * sheet.unit_px, 1.0)
    span = float_range(-int(reach) - 1, int(reach) + 2) / reach
    distance = np.hypot(span[None], span[:, None])
    alpha = np.maximum(0.55 * edge(1, 0, distance), edge(0.30, 0.16, distance))[..., None]
    core = edge(0.4, 0.1, distance)
    color = blend(np.broadcast_to(rgb("#9fc0f0"), (*distance.shape, 3)), rgb("#fffbe0"), core)
    sheet.stamp(np.concatenate([color * alpha, alpha], -1), *at)


def _dusk_hills(size: Size, rng: np.random.Generator) -> Sheet:
    sheet = Sheet(0.26, QUAY, period(size, 1.6), size[1])
    for number in range(int(sheet.width / 0.3)):
        height, width = float(rng.uniform(0.12, 0.24)), float(rng.uniform(0.7, 1.1))
        x = 0.3 * number + float(rng.uniform(-0.1, 0.1))
        sheet.stamp(peak(rng, height, width, sheet.unit_px, DUSK_ROCK), x, QUAY)
    return sheet


def _town(size: Size, rng: np.random.Generator) -> Sheet:
    """Two rows of houses with lit windows and a few towers, back row first."""
    sheet = Sheet(0.20, QUAY, period(size, 1.7), size[1])
    for row, (lift, low, high) in enumerate(((0.035, 0.10, 0.18), (0.0, 0.07, 0.14))):
        x = 0.03 * row
        while x < sheet.width - 0.03:
            height = float(rng.uniform(low, high))
            aspect = float(rng.uniform(0.5, 0.85))
            sheet.stamp(_town_house(rng, aspect, height, sheet.unit_px), x + aspect * height / 2, QUAY - lift)
            x += aspect * height * 0.97
        for number in range(int(sheet.width / 0.8) if row == 0 else 0):
            tower = _tower(rng, float(rng.uniform(0.27, 0.36)), sheet.unit_px)
            sheet.stamp(tower, 0.8 * number + float(rng.uniform(0.2, 0.6)), QUAY)
    sheet.lay(rgb("#1b1a4a"), edge(QUAY - 0.012, QUAY - 0.010, sheet.y))
    return sheet


def _windows(house: Cutout, rng: np.random.Generator, box: tuple[float, float, float, float], across: int) -> None:
    """A grid of windows in ``box`` (left, top, right, bottom); two of three are lit."""
    left, top, right, bottom = box
    step = (right - left) / across
    for row in np.arange(top, bottom - 0.8 * step, 1.25 * step):
        for column in range(across):
            x = left + (column + 0.22) * step
            lamp = str(rng.choice(LAMPLIGHT)) if rng.random() < 0.66 else "#141a4c"
            pane = [
                (x, row),
                (x + 0.56 * step, row),
                (x + 0.56 * step, row + 0.8 * step),
                (x, row + 0.8 * step),
            ]
            house.shape(pane, [(0, lamp), (1, lamp if lamp == "#141a4c" else "#ffae42")])


def _town_house(rng: np.random.Generator, aspect: float, height: float, unit_px: int) -> Paint:
    house = Cutout(aspect, height, unit_px)
    wall, roof = str(rng.choice(FACADES)), str(rng.choice(ROOFS))
    eaves = float(rng.uniform(0.2, 0.34))
    house.shape([(0, eaves), (aspect, eaves), (aspect, 1), (0, 1)], [(0, "#1d1c4e"), (0.25, wall), (1, wall)], True)
    gable = [(0.5, 0.0)] if rng.random() < 0.6 else [(0.25, 0.04), (0.75, 0.04)]
    house.shape([(0, eaves), *((x * aspect, y) for x, y in gable), (aspect, eaves)], [(0, "#d9708a"), (0.5, roof)])
    _windows(house, rng, (0.08 * aspect, eaves + 0.07, 0.92 * aspect, 0.95), int(rng.integers(2, 4)))
    return house.done()


def _tower(rng: np.random.Generator, height: float, unit_px: int) -> Paint:
    """A church tower with a spire and a lit clock."""
    tower = Cutout(0.26, height, unit_px)
    tower.shape([(0.04, 0.38), (0.22, 0.38), (0.22, 1), (0.04, 1)], [(0, "#241f58"), (1, "#84507e")], across=True)
    tower.shape([(0.02, 0.40), (0.13, 0.0), (0.24, 0.40)], [(0, "#e0788a"), (0.4, "#5a2a58"), (1, "#241c50")])
    tower.shape(ellipse(0.13, 0.47, 0.05, 0.05), [(0, "#fff0a8"), (1, "#ffc44c")])
    _windows(tower, rng, (0.06, 0.57, 0.20, 0.9), 2)
    return tower.done()


def _dusk_water(sky: Sheet, rng: np.random.Generator) -> Sheet:
    water = mirror(sky, QUAY, 0.18, 0.5)
    water.lay(rgb("#2a2c7c"), 0.35 + 0.4 * edge(0.0, 0.16, water.y - QUAY))
    glints(water, rng, QUAY, "#191c5c", 0.7)
    glints(water, rng, QUAY, "#e58a94", 0.4)
    glitter(water, rng, MOON[0], QUAY, "#ffe9b8")
    return water


def _town_water(town: Sheet, rng: np.random.Generator) -> Sheet:
    """The town upside down, its lamps drawn out into long trails."""
    water = mirror(town, QUAY, 0.18, 0.8)
    length = max(round(0.05 * town.unit_px), 1)
    trails = np.asarray(cv2.blur(water.paint, (1, length)), np.float32)
    lamps = np.clip(2.2 * trails[..., :3] - 0.35, 0, 1)
    water.paint[..., :3] = np.clip(0.55 * trails[..., :3] + 0.75 * lamps * rgb("#ffb040"), 0, 1)
    water.paint[..., :3] *= water.paint[..., 3:]
    fray = noise(rng, water.shape, (30, water.width / 0.07), 2)
    keep = edge(0.0, 0.25, np.asarray(1.9 + fray - 17 * (water.y - QUAY), np.float32))
    water.paint *= keep[..., None]
    return water


def _promenade(size: Size, rng: np.random.Generator) -> Sheet:
    """The near quay: courses of stone, bollards and burning street lamps."""
    sheet = Sheet(0.42, 1.0, period(size, 1.9), size[1])
    course = (sheet.y - 0.945) / 0.022
    joint = np.abs((sheet.x / 0.075 + 0.5 * np.floor(course)) % 1 - 0.5)
    gap = np.maximum(edge(0.455, 0.49, joint), edge(0.82, 0.97, course % 1))
    stone = sheet.noise(rng, (0.02, 0.06), 3)
    color = ramp((sheet.y - 0.93) / 0.07 + 0.18 * stone, [(0, "#b5708c"), (0.3, "#6a4a86"), (1, "#2a2560")])
    color = blend(color, rgb("#1a1848"), 0.7 * gap)
    sheet.lay(color, edge(0.930 - sheet.pixel, 0.930 + sheet.pixel, sheet.y))
    for number in range(int(sheet.width / 0.85)):
        sheet.stamp(_lamp(sheet.unit_px), 0.3 + 0.85 * number + float(rng.uniform(-0.1, 0.1)), 0.96)
        for bollard in (0.25, 0.45):
            sheet.stamp(_bollard(sheet.unit_px), 0.3 + bollard + 0.85 * number, 0.955)
    return sheet


def _lamp(unit_px: int) -> Paint:
    lamp = Cutout(0.2, 0.48, unit_px)
    post: Stops = [(0, "#14123c"), (0.6, "#3d2f66"), (1, "#c46a6a")]
    lamp.shape([(0.09, 0.15), (0.11, 0.15), (0.12, 1), (0.08, 1)], post, across=True)
    lamp.shape([(0.06, 0.93), (0.14, 0.93), (0.16, 1), (0.04, 1)], post, across=True)
    lamp.shape([(0.06, 0.05), (0.14, 0.05), (0.12, 0.155), (0.08, 0.155)], [(0, "#fff6c0"), (1, "#ffb638")])
    lamp.shape([(0.045, 0.055), (0.1, 0.0), (0.155, 0.055)], [(0, "#3d2f66"), (1, "#14123c")])
    return lamp.done()


def _bollard(unit_px: int) -> Paint:
    bollard = Cutout(0.8, 0.05, unit_px)
    iron: Stops = [(0, "#14123c"), (0.7, "#4a3a72"), (1, "#d97a70")]
    bollard.shape([(0.2, 0.2), (0.6, 0.2), (0.65, 1), (0.15, 1)], iron, across=True)
    bollard.shape(ellipse(0.4, 0.18, 0.34, 0.17), iron, across=True)
    return bollard.done()
