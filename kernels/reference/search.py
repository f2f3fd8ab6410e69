"""Inverse search of patches and their densification (Kroeger et al., ECCV 2016), with no order among patches."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from allaprima.kernels.reference.pyramid import Level

Map = NDArray[np.float32]

PATCH = 8
STRIDE = 4
"""Pixels from patch to patch: each pixel lies in four."""
DESCENTS = 4
"""Steps of each search, the ones that are taken back included."""
FLAT = np.float32(1e-6)
"""Least determinant of a patch's Hessian, as a share of its trace squared: below it the patch has one direction or
none, and stays where it starts."""
MARGIN = np.float32(0.5 * PATCH**2)
"""How much less a candidate must cost than the one before: half a squared gray level a pixel, or noise would choose."""
WIDE, WIDE_STEP = 5, 3
"""Motions along a side of the square that the smallest level is searched through, and pixels between them."""
NEIGHBORS = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))


def origins(side: int) -> NDArray[np.int32]:
    """First pixels of the patches along a side; the last patch ends with the picture."""
    count = -(-max(side - PATCH, 0) // STRIDE) + 1
    return np.minimum(np.arange(count, dtype=np.int32) * STRIDE, max(side - PATCH, 0)).astype(np.int32)


def search_widely(level: Level) -> Map:
    """Motion of each patch, ``(2, rows, columns, 2)`` float32 in pixels of this level, with nothing known before.

    Direction 0 leads from the current picture back to the previous one, direction 1 forward.  A patch begins with
    the best of `WIDE` by `WIDE` motions around rest, and descends from there.
    """
    return _descended(level, lambda _, patches: [np.broadcast_to(motion, patches.shape) for motion in _wide()])


def search(level: Level, coarse: Map, last: Map | None = None, scale: int = 1) -> Map:
    """Motion of each patch, as `search_widely` gives it, with the flow of the level half as large to begin with.

    A patch begins with the best of what this ``coarse`` flow ``(2, h', w', 2)`` says in its middle and a patch to
    each side, and of what a ``last`` flow says in its middle, if one is given; ``scale`` pixels of that make one of
    this level.
    """

    def candidates(direction: int, patches: _Patches) -> list[Map]:
        x, y = patches.x + np.float32(PATCH / 2), patches.y + np.float32(PATCH / 2)
        found = [_elsewhere(coarse[direction], x + PATCH * dx, y + PATCH * dy, 0.5) for dx, dy in NEIGHBORS]
        return found if last is None else [*found, _elsewhere(last[direction], x, y, scale)]

    return _descended(level, candidates)


def propagate(level: Level, motion: Map) -> Map:
    """`search`, but each patch begins with the best of its own ``motion`` and those of its four neighbors."""
    return _descended(level, lambda direction, _: [_shifted(motion[direction], dx, dy) for dx, dy in NEIGHBORS])


def _descended(level: Level, candidates: "Callable[[int, _Patches], list[Map]]") -> Map:
    both = enumerate(_Patches(level, direction) for direction in (0, 1))
    return np.stack([patches.descend(candidates(direction, patches)) for direction, patches in both])


def _wide() -> Map:
    """Rest first: between motions that cost the same, as in a flat patch, the first is taken."""
    steps = (np.arange(WIDE, dtype=np.float32) - WIDE // 2) * WIDE_STEP
    y, x = np.meshgrid(steps, steps, indexing="ij")
    return np.roll(np.stack([x, y], -1).reshape(-1, 2), -(WIDE * WIDE // 2), 0)


def densify(level: Level, motion: Map) -> Map:
    """Flow ``(2, h, w, 2)``: at each pixel the mean of the patches that cover it, each weighted by
    ``1 / max(1, |difference of the two gray levels that it matches|)``."""
    found = []
    for direction in (0, 1):
        patches = _Patches(level, direction)
        weight = np.reciprocal(np.maximum(1, np.abs(patches.difference(motion[direction]))))
        x, y = np.moveaxis(weight[..., None] * motion[direction][:, :, None, None], -1, 0)
        total, x, y = patches.summed(weight), patches.summed(x), patches.summed(y)
        found.append(np.stack([x / total, y / total], -1))
    return np.stack(found)


class Trial(NamedTuple):
    """A motion ``(rows, columns, 2)``, what it costs, and the step of Gauss and Newton from there."""

    motion: Map
    cost: Map
    step: Map


class _Patches:
    """The patches of one direction, and what is known of them before any motion is tried."""

    def __init__(self, level: Level, direction: int) -> None:
        template, self.target = level.gray[1 - direction], level.gray[direction]
        height, width = template.shape
        self.size = (width, height)
        self.x, self.y = (a.astype(np.float32) for a in np.meshgrid(origins(width), origins(height)))
        rows = (origins(height)[:, None] + np.arange(PATCH))[:, None, :, None]
        columns = (origins(width)[:, None] + np.arange(PATCH))[None, :, None, :]
        self.pixels = np.broadcast_arrays(rows, columns)
        self.shape = (*self.x.shape, 2)
        self.template = self._at(template, columns, rows)
        gradient = self._at(level.gradient[1 - direction], columns, rows)
        self.gradient = gradient - gradient.mean((2, 3), keepdims=True)
        self.inverse = self._inverse_hessian()

    def _inverse_hessian(self) -> Map:
        x, y = self.gradient[..., 0], self.gradient[..., 1]
        xx, xy, yy = (np.sum(product, (2, 3)) for product in (x * x, x * y, y * y))
        determinant = xx * yy - xy * xy
        flat = determinant <= FLAT * np.square(xx + yy)
        scale = np.where(flat, 0, 1 / np.where(flat, 1, determinant))
        return np.asarray(scale[..., None, None] * np.moveaxis(np.array([[yy, -xy], [-xy, xx]]), (0, 1), (2, 3)))

    def difference(self, motion: Map) -> Map:
        """Target, moved, less template: ``(rows, columns, 8, 8)``."""
        whole = np.floor(motion)
        fx, fy = np.moveaxis(motion - whole, -1, 0)[..., None, None]
        rows, columns = self.pixels
        x = columns + whole[..., 0].astype(np.int32)[..., None, None]
        y = rows + whole[..., 1].astype(np.int32)[..., None, None]
        left = mixed(self._at(self.target, x, y), self._at(self.target, x, y + 1), fy)
        right = mixed(self._at(self.target, x + 1, y), self._at(self.target, x + 1, y + 1), fy)
        return np.asarray(mixed(left, right, fx) - self.template)

    def _at(self, plane: Map, x: NDArray[np.int32], y: NDArray[np.int32]) -> Map:
        """Outside the edge repeats, also under a patch that is larger than the picture."""
        width, height = self.size
        return np.asarray(plane[np.clip(y, 0, height - 1), np.clip(x, 0, width - 1)])

    def summed(self, values: Map) -> Map:
        """At each pixel the sum of what the patches that cover it say."""
        width, height = self.size
        rows, columns = self.pixels
        inside = (rows < height) & (columns < width)
        total = np.bincount((rows * width + columns)[inside], values[inside], width * height)
        return np.asarray(total.reshape(height, width), np.float32)

    def trial(self, motion: Map) -> Trial:
        """The cost is the variance of the difference: light that changes evenly does not count."""
        kept = self.kept(motion)
        difference = self.difference(kept)
        slope = np.sum(difference[..., None] * self.gradient, (2, 3))
        cost = np.sum(difference * difference, (2, 3)) - np.square(np.sum(difference, (2, 3))) / PATCH**2
        return Trial(kept, cost, np.einsum("yxij,yxj->yxi", self.inverse, slope))

    def kept(self, motion: Map) -> Map:
        """Motion that leaves at least one pixel of the patch inside the picture."""
        width, height = self.size
        x = np.clip(motion[..., 0], 1 - PATCH - self.x, width - 1 - self.x)
        y = np.clip(motion[..., 1], 1 - PATCH - self.y, height - 1 - self.y)
        return np.stack([x, y], -1).astype(np.float32)

    def descend(self, candidates: list[Map]) -> Map:
        """The best candidate, and from there downhill; a step that does not help is halved, and one that leads
        farther than a patch from the start is not taken."""
        best = self.trial(candidates[0])
        for candidate in candidates[1:]:
            trial = self.trial(candidate)
            best = _chosen(trial.cost + MARGIN < best.cost, trial, best)
        start = best.motion
        for _ in range(DESCENTS):
            trial = self.trial(best.motion - best.step)
            far = np.square(trial.motion - start).sum(-1) > PATCH**2
            better = (trial.cost < best.cost) & ~far
            best = _chosen(better, trial, best._replace(step=np.float32(0.5) * best.step))
        return best.motion


def _chosen(first: NDArray[np.bool_], a: Trial, b: Trial) -> Trial:
    return Trial(
        np.where(first[..., None], a.motion, b.motion),
        np.where(first, a.cost, b.cost),
        np.where(first[..., None], a.step, b.step),
    )


def mixed(a: Map, b: Map, t: Map) -> Map:
    return np.asarray(a + t * (b - a))


def _shifted(motion: Map, dx: int, dy: int) -> Map:
    height, width, _ = motion.shape
    rows, columns = np.clip(np.arange(height) + dy, 0, height - 1), np.clip(np.arange(width) + dx, 0, width - 1)
    return motion[rows[:, None], columns]


def _elsewhere(flow: Map, x: Map, y: Map, scale: float) -> Map:
    """The flow of another level, whose pixels are ``scale`` to one of this, at points of this level, in its pixels.

    Points are counted from the picture's corner, so that they scale; pixels from the middle of the first.
    """
    half = np.float32(0.5)
    return np.float32(1 / scale) * bilinear(flow, x * np.float32(scale) - half, y * np.float32(scale) - half)


def bilinear(plane: Map, x: Map, y: Map) -> Map:
    """A plane ``(h, w)`` or a field ``(h, w, 2)`` at points between its pixels; outside the edge repeats."""
    height, width = plane.shape[:2]
    x, y = np.clip(x, 0, width - 1), np.clip(y, 0, height - 1)
    x0, y0 = x.astype(np.int32), y.astype(np.int32)
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    shape = (*x.shape, *(1,) * (plane.ndim - 2))
    fx, fy = (x - np.floor(x)).reshape(shape), (y - np.floor(y)).reshape(shape)
    return mixed(mixed(plane[y0, x0], plane[y0, x1], fx), mixed(plane[y1, x0], plane[y1, x1], fx), fy)
