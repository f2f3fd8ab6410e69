"""What crosses the picture in both shots: boats and birds."""

import numpy as np

from allaprima.realtime.sources.scenes.brushes import Cutout, curve, dry
from allaprima.realtime.sources.scenes.layers import Crossing, Layer, Paint, Size, Stops, shift

HULL: Stops = [(0, "#7a3b22"), (0.5, "#4a2318"), (1, "#241a2c")]


def sailboat(height: float, unit_px: int, sails: tuple[Stops, Stops], hull: Stops) -> Paint:
    """A boat with a main sail (colors from mast to leech), a jib behind it, and a pennant."""
    craft = Cutout(0.86, height, unit_px)
    craft.shape([*curve((0.50, 0.05), (0.72, 0.36), (0.83, 0.74)), (0.505, 0.77)], sails[0], across=True)
    craft.shape([*curve((0.465, 0.10), (0.26, 0.44), (0.10, 0.75)), (0.46, 0.77)], sails[1], across=True)
    for seam in (0.32, 0.50, 0.66):
        reach = 0.50 + 0.40 * (seam - 0.02)
        craft.shape(
            [(0.50, seam), (reach, seam + 0.012), (reach, seam + 0.019), (0.50, seam + 0.008)],
            [(0, "#a8743c"), (1, "#a8743c")],
        )
    craft.shape([(0.475, 0.02), (0.49, 0.02), (0.495, 0.84), (0.47, 0.84)], [(0, "#5a3a22"), (1, "#2e1c14")])
    craft.shape([*curve((0.04, 0.81), (0.10, 0.97), (0.24, 0.99)), (0.68, 0.99), (0.84, 0.79), (0.45, 0.83)], hull)
    craft.shape(
        [(0.05, 0.83), (0.45, 0.85), (0.82, 0.81), (0.80, 0.85), (0.45, 0.88), (0.07, 0.86)],
        [(0, "#ffe7b0"), (1, "#f0b860")],
    )
    craft.shape([(0.49, 0.02), (0.60, 0.045), (0.49, 0.075)], [(0, "#e8432e"), (1, "#b8281f")])
    return craft.done()


def boat(size: Size, unit_px: int, paint: Paint, at: tuple[float, float], speed: float, seconds: float) -> Layer:
    """A boat on the swell: ``at`` is where its keel is at time 0, ``seconds`` its rocking."""
    paint = framed(paint)
    track = _track(size, unit_px, 0.6)
    path = Crossing(
        track_px=track,
        start_px=at[0] * unit_px - track[0],
        speed_px=shift(speed) * unit_px,
        level_px=at[1] * unit_px,
        anchor_px=(paint.shape[1] / 2, paint.shape[0] - 2.0),
        bob_px=0.006 * unit_px,
        bob_seconds=seconds,
        roll_degrees=2.2,
    )
    return Layer(dry(paint), path)


def _gull(span: float, unit_px: int, stops: Stops) -> Paint:
    """A gull from the front, wings spread; ``span`` from tip to tip."""
    bird = Cutout(2.6, span / 2.6, unit_px)
    left = [
        *curve((0.05, 0.55), (0.55, -0.05), (1.28, 0.62)),
        *curve((1.26, 0.80), (0.70, 0.18), (0.05, 0.55)),
    ]
    bird.shape(left, stops)
    bird.shape([(2.6 - x, y) for x, y in left], stops)
    bird.shape(curve((1.14, 0.66), (1.30, 0.30), (1.46, 0.66), (1.30, 1.1), (1.14, 0.66)), stops)
    return bird.done()


def birds(size: Size, rng: np.random.Generator, unit_px: int, count: int, heading: int, stops: Stops) -> list[Layer]:
    """A loose flock high up, and one gull that shoots past at half a picture height per second."""
    layers = []
    for number in range(count):
        paint = _gull(float(rng.uniform(0.035, 0.055)), unit_px, stops)
        path = Crossing(
            track_px=_track(size, unit_px, 1.0),
            start_px=(0.95 + 0.075 * number) * unit_px,
            speed_px=heading * shift(1.7) * unit_px,
            level_px=(0.13 + 0.03 * abs(number - 1.6) + float(rng.uniform(0, 0.015))) * unit_px,
            anchor_px=(paint.shape[1] / 2, paint.shape[0] / 2),
            bob_px=0.006 * unit_px,
            bob_seconds=float(rng.uniform(3, 4)),
            beat=0.6,
            beat_seconds=float(rng.uniform(1.2, 1.7)),
        )
        layers.append(Layer(dry(framed(paint)), path))
    return [*layers, _fast_gull(size, unit_px, heading, stops)]


def _fast_gull(size: Size, unit_px: int, heading: int, stops: Stops) -> Layer:
    paint = framed(_gull(0.17, unit_px, stops))
    path = Crossing(
        track_px=_track(size, unit_px, 1.5),
        start_px=1.35 * unit_px,
        speed_px=-heading * shift(11) * unit_px,
        level_px=0.42 * unit_px,
        anchor_px=(paint.shape[1] / 2, paint.shape[0] / 2),
        bob_px=0.05 * unit_px,
        bob_seconds=3.3,
        roll_degrees=9,
        beat=0.45,
        beat_seconds=1.1,
    )
    return Layer(dry(paint), path)


def _track(size: Size, unit_px: int, extra: float) -> tuple[float, float]:
    """Start and length in pixels of a crossing for things up to 0.8 heights wide; ``extra`` is the wait."""
    return -0.4 * unit_px - 16, size[0] + (0.8 + extra) * unit_px + 32


def framed(paint: Paint) -> Paint:
    """With an empty border, so that its edge stays soft when it moves by a fraction of a pixel."""
    return np.pad(paint, ((2, 2), (2, 2), (0, 0)))
