"""Keep a painted stream steady: all that happens between the net and the output, as short chains of kernels."""

from typing import Any

import numpy as np

from allaprima.kernels.blend import crisp, fetch, hold, raised
from allaprima.kernels.contrast import COMPARED, DECIDED, FACTORS, Planes, compare, decide, smooth
from allaprima.kernels.cuda import Array, Stream, cupy
from allaprima.kernels.follow import Motion, believe, ease, easing

Limits = tuple[float, float]


class Temporal:
    """Hold what can be held of the history, picture by picture, in nine launches and without allocation.

    ``size`` is that of luma ``(W, H)``, ``small_size`` ``(w, h)`` that of the flow, 1, 2 or 4 times as small.
    ``limits`` are the least and the greatest byte of luma and of chroma.  Raises ValueError for sizes that do not
    go together.
    """

    def __init__(
        self,
        size: tuple[int, int],
        small_size: tuple[int, int],
        limits: tuple[Limits, Limits] = ((0.0, 255.0), (0.0, 255.0)),
    ) -> None:
        width, height = small_size
        self._factor = size[0] // width
        fits = self._factor in FACTORS and size == (self._factor * width, self._factor * height)
        if not fits or size[0] % 2 or size[1] % 2:
            raise ValueError(f"size must be even, and 1, 2 or 4 times as large as {small_size}, not {size}")
        self._limits = limits
        self._compared = cupy().empty((len(COMPARED), height, width), np.float32)
        self._smoothed = cupy().empty((len(COMPARED), height, width), np.float32)
        self._decided = decided = cupy().empty((3, height, width, len(DECIDED)), np.float32)
        self._luma, self._chroma = decided[0], decided[1:]
        self._level = cupy().empty((size[1] // 2, size[0] // 2), np.float32)

    def warp_blend(
        self,
        new: Planes,
        history: Planes,
        flow: Array,
        trust: Array,
        weight: Array,
        *,
        held: Planes,
        shown: Planes,
        fetched: Planes | None = None,
        eased: tuple[Array, Array, float] | None = None,
        stream: Stream = None,
    ) -> None:
        """Fill ``held``, the next picture's history, and ``shown``, what is seen of it, from ``new`` and ``history``.

        All are luma ``(H, W)`` and both chroma planes ``(2, H / 2, W / 2)``, in bytes (0..255).  ``new`` is uint8,
        float16 or float32, and ``shown`` as it is; ``held`` is float32, ``history`` was filled so or is any of the
        three.  ``flow`` is the backward flow ``(h, w, 2)`` float32 in pixels of the small picture, ``trust`` its
        confidence ``(h, w)``.  ``weight`` ``(1,)`` float32 is the most that history counts (0..1), read when the
        kernels run.  ``held`` must not overlap ``history``, unless the history may be ``fetched`` to float32 planes
        that overlap neither.

        After pictures that were carried, ``eased`` are the confidence of the last frame's motion, the mean of ``trust``
        and the ``lost`` that `easing` takes: what is shown then is eased, and ``fetched`` is where that is worked out.
        Twelve launches.  Raises TypeError and ValueError for arrays that do not fit.
        """
        if eased is not None and fetched is None:
            raise ValueError("what is eased must be fetched to planes of its own")
        fetched = held if fetched is None else fetched
        for old, moved in zip(history, fetched, strict=True):
            fetch(old, flow, out=moved, stream=stream)
        compare(new, fetched, self._factor, out=self._compared, stream=stream)
        smooth(self._compared, out=self._smoothed, stream=stream)
        decide(self._smoothed, flow, trust, weight, self._factor, out=self._decided, stream=stream)
        levels = raised(fetched[0], self._luma, out=self._level, stream=stream), None
        parts = zip(new, fetched, (self._luma, self._chroma), self._limits, levels, held, shown, strict=True)
        for fresh, moved, decided, limits, level, carried, seen in parts:
            hold(fresh, moved, decided, limits, level=level, out=(carried, seen), stream=stream)
        if eased is None:
            crisp(held[0], self._luma, self._limits[0], out=shown[0], stream=stream)  # in place of what was just held
            return
        last, mean, lost = eased
        differences, spare = self._smoothed[:3], self._compared[0]
        share = easing(last, differences, mean, lost, weight, out=spare, stream=stream)
        for now, moved in zip(held, fetched, strict=True):
            ease(now, moved, share, stream=stream)
        self._show(fetched, shown, stream)

    def carry(self, history: Planes, motion: Motion, *, fetched: Planes, shown: Planes, stream: Stream = None) -> None:
        """Fill ``shown`` with the ``history`` moved along ``motion``, where no net has painted.

        ``motion`` is flow and confidence as `warp_blend` takes them.  ``history`` is float32 and stays as it is, so
        that what is carried over several frames is warped once; ``fetched`` is like it and overwritten.  Six launches.
        """
        believe(motion, self._factor, out=self._decided, stream=stream)
        for old, moved in zip(history, fetched, strict=True):
            fetch(old, motion[0], out=moved, stream=stream)
        self._show(fetched, shown, stream)

    def _show(self, exact: Planes, shown: Planes, stream: Stream) -> None:
        """Sharpened where it is worn, and brought to bytes."""
        crisp(exact[0], self._luma, self._limits[0], out=shown[0], stream=stream)
        for moved, decided, seen in zip(_two(exact[1]), _two(self._chroma), _two(shown[1]), strict=True):
            crisp(moved, decided, self._limits[1], out=seen, stream=stream)  # chroma is not worn: to bytes, no more


def _two(planes: Any) -> tuple[Array, Array]:
    return planes[0], planes[1]
