"""What both shots paint across the whole picture: sky, clouds, mountains, mirrors, swell and light."""

from dataclasses import dataclass

import cv2
import numpy as np

from allaprima.realtime.sources.scenes.brushes import Sheet, blend, edge, noise, ramp, rgb
from allaprima.realtime.sources.scenes.layers import (
    TAU,
    Drift,
    Paint,
    Picture,
    Plane,
    Size,
    Stops,
    as_bytes,
    float_range,
    shift,
)


def period(size: Size, pictures: float) -> float:
    """Heights before a layer repeats: ``pictures`` picture widths, enough for a tall picture too."""
    return max(pictures * size[0] / size[1], 2.2)


def drift(unit_px: int, speed: float, sheet: Sheet, bob: float = 0.0, bob_seconds: float = 1.0) -> Drift:
    """``speed`` in pixels per frame at 720p, ``bob`` in picture heights."""
    return Drift(shift(speed) * unit_px, sheet.top_px, bob * unit_px, bob_seconds)


def glow(size: Size, stops: Stops) -> Picture:
    """``(H, W, 4)``: the color of the light, by height."""
    at = np.linspace(0, 1, size[1], dtype=np.float32)
    column = np.rint(255 * ramp(at, stops))[:, None]
    return as_bytes(np.pad(np.repeat(column, size[0], 1), ((0, 0), (0, 0), (0, 1)), constant_values=255))


def paint_sky(sheet: Sheet, rng: np.random.Generator, stops: Stops, streak: str, strength: float) -> None:
    """A gradient in broad bent strokes, with wind-blown streaks of ``streak`` over it."""
    bend = sheet.noise(rng, (0.25, 0.6), 3)
    stroke = sheet.noise(rng, (0.03, 0.35), 3)
    height = float(sheet.y[-1, 0])
    color = ramp(sheet.y / height + 0.035 * bend + 0.012 * stroke, stops)
    swirl = np.sin(TAU * (sheet.y / 0.11 + 0.55 * bend) + 0.8 * stroke)
    wisp = edge(0.35, 1.0, swirl) * edge(-0.2, 1.2, sheet.noise(rng, (0.16, 0.5), 3)) * strength
    color = blend(color, rgb(streak), wisp * edge(0.02, 0.12, sheet.y))
    sheet.lay(np.clip(color * (1 + 0.02 * stroke[..., None]), 0, 1), np.ones((1, 1), np.float32))


def disc(sheet: Sheet, at: tuple[float, float], radius: float, core: str, halo: str) -> None:
    """Sun or moon: a disc in a glow with faint rings."""
    distance = np.hypot(sheet.wrapped(at[0]), sheet.y - at[1])
    beyond = np.maximum(distance - radius, 0) / radius
    rings = 0.82 + 0.18 * np.cos(TAU * beyond / 1.1)
    sheet.lay(rgb(halo), np.asarray(0.85 * rings * np.exp(-beyond / 1.6), np.float32))
    sheet.lay(rgb(core), edge(sheet.pixel, -sheet.pixel, distance - radius))


def puff(radius_px: float, stops: Stops, sun: tuple[float, float]) -> Paint:
    """A ball lit from ``sun`` (x, y), colored from shade (0) to light (1)."""
    span = float_range(-int(radius_px) - 1, int(radius_px) + 2) / radius_px
    x, y = span[None], span[:, None]
    shade = 0.5 + 0.5 * (x * sun[0] + y * sun[1])
    alpha = edge(1 / radius_px, -1 / radius_px, np.hypot(x, y) - 1)[..., None]
    return np.concatenate([ramp(shade, stops) * alpha, alpha], -1)


def cumulus(sheet: Sheet, rng: np.random.Generator, at: tuple[float, float], span: float, stops: Stops) -> None:
    """A heaped cloud with a flat base at ``at``, ``span`` wide; back puffs first."""
    heap = [(float(rng.uniform(-1, 1)), float(rng.random() ** 1.4)) for _ in range(46)]
    for across, up in sorted(heap, key=lambda place: -place[1]):
        room = 1 - across**2
        radius = span * (0.035 + 0.11 * room * float(rng.uniform(0.6, 1)))
        if radius * sheet.unit_px < 0.8:
            continue
        x = at[0] + 0.5 * span * across
        y = at[1] - span * (0.30 * up * room) + 0.25 * radius
        lift = 0.22 * (up - 0.45)
        ball = puff(radius * sheet.unit_px, [(p - lift, c) for p, c in stops], (0.45, -0.75))
        sheet.stamp(ball, x, y + radius)


@dataclass(frozen=True)
class Rock:
    """Colors of a mountain from summit (0) to foot (1); ``snow`` is how far down the snow reaches."""

    light: Stops
    shade: Stops
    snow: float = 0.0


def peak(rng: np.random.Generator, height: float, width: float, unit_px: int, rock: Rock) -> Paint:
    """A mountain with ribs that run down from its summit, lit from the right."""
    shape = max(round(height * unit_px), 2), max(round(width * unit_px), 2)
    x = (np.arange(shape[1], dtype=np.float32) + 0.5)[None] / shape[1] * 2 - 1
    y = (np.arange(shape[0], dtype=np.float32) + 0.5)[:, None] / shape[0]
    steep = 1 - np.abs(x)
    jag = noise(rng, (4, shape[1]), (4, 9), 4)[1:2]
    profile = 0.62 * steep**1.9 + 0.38 * steep + 0.022 * jag * np.sqrt(steep * (1 - steep))
    profile = np.minimum(profile, 0.955 + 0.012 * jag)
    angle = x / (y + 0.10)
    ribs = _along(noise(rng, (128, 512), (4, 30), 4), angle, 0.45 * y)
    lit = edge(-0.28, 0.28, angle - 0.05 + 0.34 * ribs)
    color = blend(ramp(y + 0.03 * ribs, rock.shade), ramp(y + 0.03 * ribs, rock.light), lit)
    if rock.snow:
        tongues = _along(noise(rng, (128, 512), (4, 40), 3), angle, 0.3 * y)
        snow = blend(blend(color, rgb("#9db4dc"), np.ones_like(lit)), rgb("#fff8ea"), lit)
        color = blend(color, snow, edge(0.02, -0.02, y - rock.snow * (1 + 0.3 * tongues)))
    alpha = edge(-1.0, 1.0, (y - 1 + profile) * shape[0])[..., None]
    return np.concatenate([color * alpha, alpha], -1)


def _along(pattern: Plane, angle: Plane, depth: Plane) -> Plane:
    """Noise stretched along the fall line: its columns are angles -1.5..1.5, its rows depths 0..1."""
    height, width = pattern.shape
    columns = np.clip((angle + 1.5) / 3 * width, 0, width - 1).astype(np.float32)
    rows = np.broadcast_to(np.clip(depth * height, 0, height - 1), columns.shape).astype(np.float32)
    return np.asarray(cv2.remap(pattern, columns, rows, cv2.INTER_LINEAR), np.float32)


def mirror(source: Sheet, waterline: float, depth: float, squeeze: float) -> Sheet:
    """What stands above ``waterline``, upside down below it, ``squeeze`` times as high."""
    water = Sheet(waterline, waterline + depth, source.width, source.unit_px)
    rows = (2 * waterline - water.y[:, 0]) * (1 / squeeze) + waterline * (1 - 1 / squeeze)
    lines = np.rint(rows * source.unit_px - 0.5).astype(int) - source.top_px
    inside = (lines >= 0) & (lines < source.shape[0])
    water.paint = source.paint[np.clip(lines, 0, source.shape[0] - 1)] * inside[:, None, None]
    return water


def glints(water: Sheet, rng: np.random.Generator, waterline: float, color: str, amount: float) -> None:
    """Short level strokes of reflected light, longer and rarer towards the viewer."""
    near = noise(rng, water.shape, (26, water.width / 0.10), 2)
    far = noise(rng, water.shape, (44, water.width / 0.05), 1)
    depth = np.clip((water.y - waterline) / 0.14, 0, 1)
    strokes = edge(1.25 - amount, 1.5 - amount, far + (near - far) * depth)
    water.lay(rgb(color), 0.9 * strokes)


def glitter(water: Sheet, rng: np.random.Generator, x: float, waterline: float, color: str) -> None:
    """The broken path of light below a sun or moon at ``x``."""
    depth = water.y - waterline
    dashes = noise(rng, water.shape, (30, water.width / 0.07), 2)
    lane = 1.6 - 2.4 * np.abs(water.wrapped(x)) / (0.055 + 0.75 * depth)
    water.lay(rgb(color), 0.95 * edge(0.0, 0.35, np.asarray(dashes + lane, np.float32)))


@dataclass(frozen=True)
class Swell:
    """One strip of waves: ``top`` and ``bottom`` in the picture, crest height and distance, colors."""

    top: float
    bottom: float
    crest: float
    distance: float
    body: Stops
    line: str
    foam: str


def wave(rng: np.random.Generator, swell: Swell, repeat: float, unit_px: int) -> Sheet:
    """Sharp crests over round troughs, banded along their outline, with a line of foam."""
    sheet = Sheet(swell.top - 1.2 * swell.crest, swell.bottom, repeat, unit_px)
    crests = max(round(sheet.width / swell.distance), 1)
    bend = sheet.ridge(rng, 2.5 * swell.distance, 3)
    phase = np.pi * crests * sheet.x / sheet.period + 0.7 * bend
    sharp = 1 - np.abs(np.sin(phase))
    small = 1 - np.abs(np.sin(3 * phase + 1.7 * bend))
    rise = np.asarray(0.85 * sharp**1.4 + 0.15 * small, np.float32)
    depth = sheet.y - (swell.top + swell.crest * (0.5 - rise))
    stroke = sheet.noise(rng, (0.022, 0.16), 3)
    band = np.sin(TAU * (depth / (0.62 * swell.crest + 0.012) + 0.18 * stroke))
    height = swell.bottom - swell.top
    color = ramp(depth / height + 0.05 * stroke, swell.body)
    color = blend(color, rgb(swell.line), 0.42 * edge(0.15, 0.75, np.asarray(band, np.float32)))
    thick = 0.05 * swell.crest + 0.20 * swell.crest * rise * (1 + 0.5 * sheet.ridge(rng, 0.05, 3))
    color = blend(color, rgb(swell.foam), edge(0.0, -2 * sheet.pixel, depth - thick))
    spray = sheet.noise(rng, (0.007, 0.034), 2) + 2.2 * rise * np.exp(-depth / (0.5 * swell.crest))
    flecks = edge(2.0, 2.2, np.asarray(spray, np.float32))
    color = blend(color, rgb(swell.foam), flecks)
    sheet.lay(color, edge(-sheet.pixel, sheet.pixel, depth))
    return sheet
