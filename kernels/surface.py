"""Video surfaces: the planes of a 4:2:0 picture on the device, whose rows may lie farther apart than they are long.

A picture is a tuple of planes, in one of three formats:

* ``nv12``: luma ``(H, W)`` and interleaved chroma ``(h, w, 2)``, uint8;
* ``p010``: the same in uint16, with codes of 10 bits in the high bits (the low 6 are 0, or a fraction);
* ``yuv420p``: luma ``(H, W)`` and two planes of chroma ``(h, w)``, uint8.

Chroma has half the size, rounded up: ``h = (H + 1) // 2``.  Each plane is an array or a view of one in which only
the step from row to row, the pitch, is free: what `cupy.from_dlpack` makes of a decoder's surface, or
``memory[:height, :width]``.
"""

from dataclasses import dataclass
from typing import Any, Protocol, Self, TypeVar

import numpy as np

from allaprima.kernels.cuda import LARGEST_PLANE, TYPES, Array, Stream, check, ints, output

FORMATS = {"nv12": ("uint8", 2), "p010": ("uint16", 2), "yuv420p": ("uint8", 3)}
"""Dtype and number of planes."""
BITS = {"uint8": 8, "uint16": 10}
"""Of a code, by the dtype it is stored in."""


class Strided(Array, Protocol):
    """An array that can be viewed in part."""

    @property
    def strides(self) -> tuple[int, ...]: ...
    def __getitem__(self, index: Any) -> Any: ...


Planes = tuple[Strided, ...]
P = TypeVar("P", bound=Strided)


@dataclass(frozen=True, slots=True)
class Surface:
    """A picture as the kernels take it: three planes, of which two may be interleaved."""

    width: int
    height: int
    dtype: str
    args: tuple[Any, ...]
    """``const T* y, int pitch, const T* u, const T* v, int chroma_pitch, int chroma_step``, all in elements."""

    @property
    def type(self) -> str:
        return TYPES[self.dtype]

    @property
    def bits(self) -> int:
        return BITS[self.dtype]

    @classmethod
    def of(cls, name: str, planes: Planes) -> Self:
        """Raises TypeError and ValueError for planes that are no picture."""
        dtypes = [dtype for dtype, count in FORMATS.values() if count == len(planes)]
        if not dtypes:
            raise ValueError(f"{name} must be 2 or 3 planes, not {len(planes)}")
        pitch = _pitch(f"the luma of {name}", planes[0], (None, None), *dtypes)
        height, width = planes[0].shape
        dtype, (_, *shapes) = planes[0].dtype.name, _shapes(len(planes), (width, height))
        pitches = [
            _pitch(f"the chroma of {name}", plane, shape, dtype)
            for plane, shape in zip(planes[1:], shapes, strict=True)
        ]
        if len(set(pitches)) > 1:
            raise ValueError(f"the planes of chroma of {name} must have one pitch, not {pitches}")
        u, v, step = (*planes[1:], 1) if len(planes) == 3 else (planes[1][..., 0], planes[1][..., 1], 2)
        return cls(width, height, dtype, (planes[0], *ints(pitch), u, v, *ints(pitches[0], step)))


def _pitch(name: str, plane: Strided, shape: tuple[int | None, ...], *dtypes: str) -> int:
    """In elements; raises unless this is a plane."""
    given = tuple(getattr(plane, "shape", ()))
    fits = len(given) == len(shape) and all(n in (None, m) for n, m in zip(shape, given, strict=True))
    if not fits or 0 in given:
        wanted = ", ".join("any" if length is None else str(length) for length in shape)
        raise ValueError(f"{name} must have the shape ({wanted}), not {given}")
    check(f"a row of {name}", plane[0], given[1:], *dtypes)
    pitch, rest = divmod(plane.strides[0], plane.dtype.itemsize)
    if given[0] == 1:
        return int(np.prod(given[1:]))
    if rest or not int(np.prod(given[1:])) <= pitch <= LARGEST_PLANE // given[0]:
        raise ValueError(f"{name} must have rows that follow each other, not {plane.strides[0]} bytes apart")
    return pitch


def planes_of(out: Planes | None, format: str, size: tuple[int, int], stream: Stream) -> Planes:
    """``out``, checked, or new planes of the stream's where it is None; ``size`` is ``(width, height)``."""
    dtype, count = FORMATS[format]
    shapes = _shapes(count, size)
    if out is None:
        return tuple(output(None, shape, dtype, stream) for shape in shapes)  # type: ignore[misc]
    shapes_given = tuple(plane.shape for plane in out)
    if shapes_given != shapes or out[0].dtype != np.dtype(dtype):
        raise ValueError(f"out must be {format}, {dtype} of the shapes {shapes}, not {out[0].dtype} {shapes_given}")
    return out


def _shapes(count: int, size: tuple[int, int]) -> tuple[tuple[int, ...], ...]:
    """Of the planes of a picture of ``size`` ``(width, height)``."""
    width, height = size
    half = ((height + 1) // 2, (width + 1) // 2)
    return ((height, width), (*half, 2)) if count == 2 else ((height, width), half, half)


def crop(planes: tuple[P, ...], box: tuple[int, int, int, int]) -> tuple[P, ...]:
    """A part of a picture, as views: ``box`` is its left, top, width and height in pixels of luma.

    ``left`` and ``top`` must be even, since chroma cannot be cut between its samples.
    """
    left, top, width, height = box
    if left % 2 or top % 2:
        raise ValueError(f"a crop must begin at an even column and row, not at {left}, {top}")
    luma, *chroma = planes
    rows, columns = (slice(start // 2, (start + side + 1) // 2) for start, side in ((top, height), (left, width)))
    return (luma[top : top + height, left : left + width], *(plane[rows, columns] for plane in chroma))


def padded(side: int, margin: int, stride: int) -> int:
    """A side with ``margin`` at both ends, rounded up to a multiple of ``stride``."""
    return -(-(side + 2 * margin) // stride) * stride
