"""Measures of steadiness over time, each a plain function of pictures and flow.

Pictures are float32 RGB ``(H, W, 3)`` in 0..1.  Flow is backward, in pixels: what is at ``p`` now was at
``p + flow[p]`` before.  ``hidden`` is True where there is nothing to compare with.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from allaprima.kernels.reference.confidence import identity_grid

Picture = NDArray[np.float32]
Flow = NDArray[np.float32]
Mask = NDArray[np.bool_]

HIDDEN_GROWS_PX = 2
"""Pixels around an exact occlusion that are left out as well: there a bilinear sample sees both sides."""
LUMA = np.array([0.299, 0.587, 0.114], np.float32)
LOW_PASS = 17
"""Side of the box, pixels, that strokes vanish in: what is left is color in the wrong place."""
BORDER = 8
"""Pixels along the border where what is hidden came in from outside, and was behind nothing."""
TILE, TILE_STEP = 32, 16
"""Side of the tiles, pixels, in which `fine_stripes` looks for waves, and pixels from one to the next."""
FINE_PX, COARSER_PX = (2.5, 4.0), (4.0, 10.0)
"""Periods of waves, pixels: of fine stripes, and of what makes a place uneven."""
ROUNDING = 1 / 12 / 255**2
"""Variance of what rounding to bytes adds."""
COARSE_SIGMAS = (1.5, 6.0)
"""Deviations, pixels, of the Gaussians between which waves count as coarse: some 8 to 40 pixels long."""
ALMOST_ALL = 0.99
"""Of the places that `blobs` compares."""
INVISIBLE = (2 / 255) ** 2
"""Variance of coarse waves that nobody sees."""
LAG_REACH = 2
"""Frames before and after that a picture is compared with to find its lag."""


def warp(previous: Picture, flow: Flow) -> Picture:
    """The previous picture moved to where its things are now."""
    height, width = flow.shape[:2]
    where = flow + identity_grid((width, height))
    sampled = cv2.remap(previous, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(sampled, np.float32)


def warp_difference(current: Picture, previous: Picture, flow: Flow, hidden: Mask) -> Picture:
    """``current - warp(previous)``, 0 where it is hidden."""
    difference = current - warp(previous, flow)
    difference[hidden] = 0
    return difference


def e_warp(current: Picture, previous: Picture, flow: Flow, hidden: Mask) -> float | None:
    """Of one pair of frames (Lai et al., ECCV 2018, as their code has it): the mean of the squared difference
    over all samples that are not hidden; None when all are."""
    seen = 3 * int(np.count_nonzero(~hidden))
    if not seen:
        return None
    difference = warp_difference(current, previous, flow, hidden)
    return float(np.square(difference, dtype=np.float64).sum() / seen)


def grown(hidden: Mask, pixels: int = HIDDEN_GROWS_PX) -> Mask:
    """The mask, wider by so many pixels on every side."""
    kernel = np.ones((2 * pixels + 1, 2 * pixels + 1), np.uint8)
    return np.asarray(cv2.dilate(hidden.astype(np.uint8), kernel) > 0)


def outside(flow: Flow) -> Mask:
    """Where the flow points out of the picture."""
    height, width = flow.shape[:2]
    x, y = cv2.split(flow + identity_grid((width, height)))
    return np.asarray((x < 0) | (y < 0) | (x > width - 1) | (y > height - 1))


def forward_backward_hidden(backward: Flow, forward: Flow) -> Mask:
    """Occluded, on a motion boundary, or outside (Sundaram et al., ECCV 2010), for full-resolution flow."""
    there = warp(forward, backward)
    round_trip = _length2(there + backward)
    occluded = round_trip > 0.01 * (_length2(there) + _length2(backward)) + 0.5
    change = sum(_length2(np.gradient(backward, axis=axis)) for axis in (0, 1))
    boundary = change > 0.01 * _length2(backward) + 0.002
    return np.asarray(occluded | boundary | outside(backward))


def _length2(flow: Flow) -> NDArray[np.float32]:
    return np.square(flow).sum(-1)


def sharpness(picture: Picture, half: bool = False) -> float:
    """Variance of the Laplacian of luma; ``half``: of the picture at half size, where a screen door of two
    pixels is no detail."""
    gray = picture @ LUMA
    if half:
        gray = cv2.resize(gray, (gray.shape[1] // 2, gray.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(gray, cv2.CV_32F).var())


def mean_sharpness(pictures: Sequence[Picture], half: bool = False) -> float:
    """`sharpness`, its mean over time."""
    return float(np.mean([sharpness(each, half) for each in pictures]))


def sharpness_ratio(pictures: Sequence[Picture], reference: Sequence[Picture], half: bool = False) -> float:
    """Of the means over time: 1 is as sharp as the reference, less is blurred."""
    other = mean_sharpness(reference, half)
    return mean_sharpness(pictures, half) / other if other else 1.0


def fine_stripes(pictures: Sequence[Picture], reference: Sequence[Picture]) -> float:
    """Variance of luma in waves of 2.5 to 4 pixels over that of the reference, where that is even.

    1 is as much fine grain; above it there is a hatch that nobody painted, below it grain is lost.  Even is the half
    of all tiles in which the reference has least in waves of 4 to 10 pixels.  Pictures are of 32 pixels or more.
    """
    shown, alone = ([_waves(picture @ LUMA) for picture in some] for some in (pictures, reference))
    (fine, _), (grain, coarser) = (np.stack(some, 1) for some in (shown, alone))
    even = coarser <= np.median(coarser)
    return float((fine[even].mean() + ROUNDING) / (grain[even].mean() + ROUNDING))


def _waves(luma: NDArray[np.float32]) -> NDArray[np.float64]:
    """Variance in waves of `FINE_PX` and `COARSER_PX`, ``(2, rows, columns)`` of tiles."""
    tiles = np.lib.stride_tricks.sliding_window_view(luma, (TILE, TILE))[::TILE_STEP, ::TILE_STEP]
    window = np.outer(np.hanning(TILE), np.hanning(TILE))
    power = np.abs(np.fft.fft2((tiles - tiles.mean((2, 3), keepdims=True)) * window)) ** 2
    power /= TILE**2 * np.square(window).sum()
    frequency = np.hypot(np.fft.fftfreq(TILE)[:, None], np.fft.fftfreq(TILE))
    rings = [(frequency > 1 / longest) & (frequency <= 1 / shortest) for shortest, longest in (FINE_PX, COARSER_PX)]
    return np.stack([power[..., ring].sum(-1) for ring in rings])


def blobs(pictures: Sequence[Picture], reference: Sequence[Picture]) -> float:
    """Deviation of luma in waves of 8 to 40 pixels over that of the reference, where most of it is too much.

    Places are tiles of 32 pixels; it is the ratio of the worst but for 1 % of them.  1 is as much as is painted; above
    it there are bright and dark spots that nobody painted.  Pictures are of 32 pixels or more.
    """
    shown, alone = (np.mean([_coarse(picture @ LUMA) for picture in some], 0) for some in (pictures, reference))
    return float(np.quantile((shown + INVISIBLE) / (alone + INVISIBLE), ALMOST_ALL)) ** 0.5


def _coarse(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """Variance of coarse waves ``(rows, columns)`` of tiles."""
    finer, coarser = (cv2.GaussianBlur(luma, None, sigma) for sigma in COARSE_SIGMAS)
    half = TILE // 2
    summed = cv2.boxFilter((finer - coarser) ** 2, cv2.CV_32F, (TILE, TILE))
    return np.asarray(summed[half : 1 - half : TILE_STEP, half : 1 - half : TILE_STEP], np.float32)


def shimmer(pictures: Sequence[Picture]) -> float:
    """Standard deviation over time of a sample that should stand still, as a root mean square over samples."""
    return float(np.sqrt(np.var(np.stack(pictures), axis=0, dtype=np.float64).mean()))


def distance(a: Picture, b: Picture) -> float:
    """Root mean square difference."""
    return float(np.sqrt(np.square(a - b, dtype=np.float64).mean()))


def frames_to_recover(run: Sequence[Picture], fresh: Sequence[Picture], tolerance: float) -> int | None:
    """First frame from which on ``run`` stays as close to ``fresh`` as ``tolerance``; None when it never does.

    ``fresh`` is what a stylizer paints that never saw the shot before; 0 means that no trace was left.
    """
    far = [index for index, pair in enumerate(zip(run, fresh, strict=True)) if distance(*pair) > tolerance]
    recovered = far[-1] + 1 if far else 0
    return recovered if recovered < len(run) else None


# ---- history in the wrong place ----


def low_passed(picture: Picture) -> Picture:
    """The mean over a box of `LOW_PASS` pixels, same shape."""
    return np.asarray(cv2.boxFilter(picture, -1, (LOW_PASS, LOW_PASS)), np.float32)


def low_passed_distance(a: Picture, b: Picture) -> float:
    """Root mean square of the low-passed difference."""
    return distance(low_passed(a - b), np.zeros_like(a))


def disoccluded(hidden: Mask) -> Mask:
    """Of the hidden pixels those that something else stood before: not the ones near the border."""
    inner = np.zeros_like(hidden)
    inside = (slice(BORDER, -BORDER), slice(BORDER, -BORDER))
    inner[inside] = hidden[inside]
    return inner


def ghosting(
    pictures: Sequence[Picture], reference: Sequence[Picture], masks: Sequence[Mask]
) -> tuple[float | None, float]:
    """Root mean square of the low-passed difference to per-frame painting, over all frames (0..1).

    First inside the masks (`disoccluded`; None where they are empty), where whatever is not painted anew shows
    what stood before; then over all pixels, where it is history that is out of date.
    """
    inside, everywhere, seen, all_ = 0.0, 0.0, 0, 0
    for picture, other, mask in zip(pictures, reference, masks, strict=True):
        square = np.square(low_passed(picture - other), dtype=np.float64)
        inside, seen = inside + float(square[mask].sum()), seen + 3 * int(np.count_nonzero(mask))
        everywhere, all_ = everywhere + float(square.sum()), all_ + square.size
    return (inside / seen) ** 0.5 if seen else None, (everywhere / all_) ** 0.5


def lag(pictures: Sequence[Picture], reference: Sequence[Picture]) -> float | None:
    """Frames by which pictures of an even motion are late: 0 is none, 1 shows what per-frame painting showed
    one frame ago; None for fewer than five pictures.

    Low-passed luma is correlated (Pearson) with the reference's from two frames before to two after; the peak
    of a parabola through the best and its neighbors tells fractions of a frame.
    """
    gray = [[low_passed(each @ LUMA) for each in some] for some in (pictures, reference)]
    middle = range(LAG_REACH, len(gray[0]) - LAG_REACH)
    if not middle:
        return None
    shifts = range(-LAG_REACH, LAG_REACH + 1)
    fits = [float(np.mean([_correlation(gray[0][t], gray[1][t + shift]) for t in middle])) for shift in shifts]
    best = int(np.argmax(fits))
    if best in (0, len(fits) - 1):
        return float(-shifts[best])
    before, at, after = fits[best - 1 : best + 2]
    bend = before - 2 * at + after
    return -(shifts[best] + (0.5 * (before - after) / bend if bend else 0.0))


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    a, b = a - a.mean(), b - b.mean()
    power = float(np.square(a, dtype=np.float64).sum() * np.square(b, dtype=np.float64).sum())
    return float((a * b).sum(dtype=np.float64)) / power**0.5 if power else 0.0
