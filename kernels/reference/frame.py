"""A frame on its way into the engine and out of it."""

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from allaprima.kernels.reference.color import unpacked

Bytes = NDArray[np.uint8]
Planes = tuple[NDArray[Any], ...]


def gray(planes: Planes, size: tuple[int, int], factor: int, margin: int) -> Bytes:
    """Small luma of ``size`` ``(width, height)``: means over ``factor`` x ``factor`` pixels of padded luma."""
    shape = (factor * size[1], factor * size[0])
    luma = np.pad(_eight(planes[0]), _around(planes[0], shape, margin), mode="edge")
    if luma.dtype == np.uint8:
        return np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.uint8)
    means = luma.reshape(size[1], factor, size[0], factor).mean((1, 3), dtype=np.float64)
    return np.asarray(np.minimum(np.floor(means + 0.5) if factor == 2 else np.rint(means), 255), np.uint8)


def temper(planes: Planes, deviation: float, even: float, margin: int, painted: tuple[Bytes, Bytes]) -> Planes:
    """``painted``, luma and both planes of chroma, as far as the picture it was painted from is not even."""
    share = float(np.clip((deviation - even) / even, 0, 1))
    y, *chroma = unpacked(planes)
    given = [np.pad(_eight(y), _around(y, painted[0].shape, margin), mode="edge")]
    given += [np.pad(_eight(p), _around(p, painted[1].shape[1:], margin // 2), mode="edge") for p in chroma]
    luma, u, v = (_mixed(old, new, share) for old, new in zip(given, (painted[0], *painted[1]), strict=True))
    return luma, np.stack((u, v))


def present(
    shown: tuple[Bytes, Bytes], planes: Planes, share: float, margin: int, mask: NDArray[np.float32] | None = None
) -> Planes:
    """What is seen, as planar bytes: ``planes`` where the mask is 1, and of both together ``share``."""
    found = []
    for index, (own, given) in enumerate(zip((shown[0], *shown[1]), unpacked(planes), strict=True)):
        height, width = given.shape
        edge = margin // 2 if index else margin
        value = own[edge : edge + height, edge : edge + width]
        if mask is not None:
            value = _mixed(value, _eight(given), _halved(mask) if index else mask)
        found.append(_mixed(_eight(given), value, share))
    return tuple(found)


def _mixed(a: NDArray[Any], b: NDArray[Any], t: Any) -> Bytes:
    """``a + t (b - a)`` in bytes."""
    start = a.astype(np.float32)
    return np.asarray(np.rint(np.clip(start + np.float32(t) * (b.astype(np.float32) - start), 0, 255)), np.uint8)


def _eight(plane: NDArray[Any]) -> NDArray[Any]:
    """Codes in units of 8 bits."""
    return plane if plane.dtype == np.uint8 else np.asarray(plane / np.float32(256), np.float32)


def _halved(mask: NDArray[np.float32]) -> NDArray[np.float32]:
    height, width = mask.shape
    even = np.pad(mask, ((0, height % 2), (0, width % 2)), mode="edge")
    return np.asarray(even.reshape(-(-height // 2), 2, -(-width // 2), 2).mean((1, 3)), np.float32)


def _around(plane: NDArray[Any], shape: tuple[int, ...], margin: int) -> list[tuple[int, int]]:
    return [(margin, out - side - margin) for side, out in zip(plane.shape, shape, strict=True)]
