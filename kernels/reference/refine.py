"""Variational refinement of a flow: gray levels and gradients stay as they are, and the flow is smooth.

Brox et al. (ECCV 2004) with the normalized terms of Zimmer et al. (IJCV 2011), as OpenCV's DIS has it: here the
energy is linearized once for a few red-black sweeps, and a round of that is cheap enough to be repeated.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from allaprima.kernels.reference.pyramid import Level
from allaprima.kernels.reference.search import bilinear

Map = NDArray[np.float32]

SWEEPS = 3
"""Red-black sweeps after each linearization."""
RADIUS2 = np.float32(0.96)
"""Square of the spectral radius that over-relaxation counts on, by Chebyshev's rule (Golub and Varga, 1961): it begins
with none, or the few sweeps would throw a noisy flow about."""
SMOOTH, GRAY, GRADIENT = np.float32(10), np.float32(2.5), np.float32(5)
"""Weights of the terms: half of OpenCV's alpha, delta and gamma."""
ROUND = np.float32(1e-6)
"""Square of the difference below which a robust term is a parabola."""
NOISE = np.float32(0.01)
"""Square of the slope, gray levels a pixel, below which a normalized term says little."""
TINY = np.float32(1e-6)
"""Keeps the only pixel of a picture without slope where it is."""


class Linear(NamedTuple):
    """Of each pixel: ``(xx xy; xy yy) motion = (x; y)`` is what the pictures want."""

    xx: Map
    xy: Map
    yy: Map
    x: Map
    y: Map


def refine(level: Level, flow: Map) -> Map:
    """The flow ``(2, h, w, 2)``, float32 in pixels of the level, improved; direction 0 leads back, 1 forward."""
    return np.stack([_refined(level, direction, flow[direction]) for direction in (0, 1)])


def _refined(level: Level, direction: int, flow: Map) -> Map:
    wanted, links = linearized(level, direction, flow), _links(flow)
    stiffness = links[0] + links[1] + links[2] + links[3] + TINY
    height, width, _ = flow.shape
    u, v = flow[..., 0], flow[..., 1]
    red = np.add.outer(np.arange(height), np.arange(width)) % 2 == 0
    relaxation, share = np.float32(1), np.float32(0.5)
    for now in (red, ~red) * SWEEPS:
        for_u = (wanted.x - wanted.xy * v + _pull(links, u)) / (wanted.xx + stiffness)
        u = np.where(now, u + relaxation * (for_u - u), u)
        for_v = (wanted.y - wanted.xy * u + _pull(links, v)) / (wanted.yy + stiffness)
        v = np.where(now, v + relaxation * (for_v - v), v)
        relaxation = 1 / (1 - RADIUS2 * share)
        share = np.float32(0.25) * relaxation
    return np.stack([u, v], -1)


def linearized(level: Level, direction: int, flow: Map) -> Linear:
    """The data term about ``flow`` ``(h, w, 2)``: nothing where it leads outside."""
    template, target = level.gray[1 - direction], level.gray[direction]
    slope, there = level.gradient[1 - direction], level.gradient[direction]
    height, width = template.shape
    x = flow[..., 0] + np.arange(width, dtype=np.float32)
    y = flow[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    inside = (x >= 0) & (y >= 0) & (x <= width - 1) & (y <= height - 1)
    change = bilinear(target, x, y) - template
    moved = bilinear(there, x, y)
    turn = moved - slope
    gx, gy = np.moveaxis(np.float32(0.5) * (moved + slope), -1, 0)
    (xx, xy), yy = np.moveaxis(_central(slope, 1), -1, 0), _central(slope[..., 1], 0)
    gray = 1 / (gx * gx + gy * gy + NOISE)
    gray *= GRAY / np.sqrt(gray * change * change + ROUND) * inside
    tx, ty = turn[..., 0], turn[..., 1]
    bent_x, bent_y = 1 / (xx * xx + xy * xy + NOISE), 1 / (xy * xy + yy * yy + NOISE)
    bent = GRADIENT / np.sqrt(bent_x * tx * tx + bent_y * ty * ty + ROUND) * inside
    bent_x, bent_y = bent * bent_x, bent * bent_y
    a = gray * gx * gx + bent_x * xx * xx + bent_y * xy * xy
    b = gray * gx * gy + bent_x * xx * xy + bent_y * xy * yy
    c = gray * gy * gy + bent_x * xy * xy + bent_y * yy * yy
    u, v = flow[..., 0], flow[..., 1]
    return Linear(
        a,
        b,
        c,
        a * u + b * v - (gray * gx * change + bent_x * xx * tx + bent_y * xy * ty),
        b * u + c * v - (gray * gy * change + bent_x * xy * tx + bent_y * yy * ty),
    )


def _links(flow: Map) -> tuple[Map, Map, Map, Map]:
    """How strongly each pixel is tied to its left, right, upper and lower neighbor; 0 past the border."""
    padded = np.pad(flow, ((0, 1), (0, 1), (0, 0)), "edge")
    across, down = padded[:-1, 1:] - flow, padded[1:, :-1] - flow
    even = SMOOTH / np.sqrt(np.square(across).sum(-1) + np.square(down).sum(-1) + ROUND)
    right, lower = np.zeros_like(even), np.zeros_like(even)
    right[:, :-1] = np.float32(0.5) * (even[:, :-1] + even[:, 1:])
    lower[:-1] = np.float32(0.5) * (even[:-1] + even[1:])
    return np.roll(right, 1, 1), right, np.roll(lower, 1, 0), lower


def _pull(links: tuple[Map, Map, Map, Map], a: Map) -> Map:
    """Sum of the four neighbors by the strength of their ties."""
    neighbors = (np.roll(a, 1, 1), np.roll(a, -1, 1), np.roll(a, 1, 0), np.roll(a, -1, 0))
    left, right, upper, lower = (link * neighbor for link, neighbor in zip(links, neighbors, strict=True))
    return np.asarray(left + right + upper + lower)


def _central(a: Map, axis: int) -> Map:
    """Half the difference of the neighbors along an axis; the edge repeats."""
    last = a.shape[axis] - 1
    after, before = np.minimum(np.arange(last + 1) + 1, last), np.maximum(np.arange(last + 1) - 1, 0)
    return np.asarray(np.float32(0.5) * (np.take(a, after, axis) - np.take(a, before, axis)))
