"""Dense inverse search (Kroeger et al., ECCV 2016) on the device: optical flow in both directions."""

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from allaprima.kernels.cuda import Array, Stream, check, output
from allaprima.kernels.pyramid import Level, new_levels, pyramid
from allaprima.kernels.reference.dis import ROUNDS, level_count
from allaprima.kernels.reference.flow import SMALLEST_SIDE
from allaprima.kernels.refine import refine, rounds_at_once
from allaprima.kernels.rest import rest
from allaprima.kernels.search import densify, grid, propagate, search, search_widely


@dataclass(frozen=True)
class _Room:
    """What is worked on at one level: each time read from one of a pair, and written to the other."""

    level: Level
    motions: tuple[Array, Array]
    flows: tuple[Array, Array]


class Dis:
    """Flow between successive gray pictures of one ``size`` ``(width, height)``.

    ``__call__(previous, current)`` takes two uint8 pictures ``(h, w)`` and returns the backward and the forward
    flow, each ``(h, w, 2)`` float32 in pixels: the two of ``out``, or new arrays.  The backward flow is zero where
    rest explains the picture as well.  `reference.dis.Dis` says what is computed.

    All memory but that of new results is taken at the beginning, and every call launches the same kernels, so that it
    can be captured in a graph; calls must follow each other on one stream.  With ``warm`` the search also tries what
    the call before has found; `forget` begins anew, as a cut asks for.
    """

    def __init__(self, size: tuple[int, int], warm: bool = False, stream: Stream = None) -> None:
        width, height = size
        self._shape = (height, width, 2)
        self._too_small = min(size) < SMALLEST_SIDE
        self._levels = new_levels(size, level_count(size), stream)
        self._rooms = [_room(level, stream) for level in self._levels]
        self._scratch = output(None, self._shape, np.float32, stream)
        self._last = self._rooms[0].flows[1] if warm else None
        self.forget(stream)

    def forget(self, stream: Stream = None) -> None:
        """Take rest for what the last call has found."""
        if self._last is not None:
            _clear(self._last, stream)

    def __call__(
        self, previous: Array, current: Array, *, out: tuple[Array, Array] | None = None, stream: Stream = None
    ) -> tuple[Array, Array]:
        check("previous", previous, self._shape[:2], np.uint8)
        check("current", current, self._shape[:2], np.uint8)
        backward, forward = (output(half, self._shape, np.float32, stream) for half in out or (None, None))
        if self._too_small:
            _clear(backward, stream)
            _clear(forward, stream)
            return backward, forward
        flow = self._found(previous, current, stream)
        return rest(flow, previous, current, scratch=self._scratch, out=(backward, forward), stream=stream)

    def _found(self, previous: Array, current: Array, stream: Stream) -> Array:
        pyramid(previous, current, len(self._levels), out=self._levels, stream=stream)
        *finer, smallest = self._rooms
        search_widely(smallest.level, out=smallest.motions[0], stream=stream)
        flow = _improved(smallest, stream)
        for index, room in reversed(list(enumerate(finer))):
            search(room.level, flow, self._last, 2**index, out=room.motions[0], stream=stream)
            flow = _improved(room, stream)
        if self._last is not None:
            self._last = flow
        return flow


def _room(level: Level, stream: Stream) -> _Room:
    _, height, width = level.gray.shape

    def pair(rows: int, columns: int) -> tuple[Array, Array]:
        first, second = (output(None, (2, rows, columns, 2), np.float32, stream) for _ in range(2))
        return first, second

    return _Room(level, pair(*grid((width, height))), pair(height, width))


def _improved(room: _Room, stream: Stream) -> Array:
    """The flow of a level whose patches have been searched for once."""
    level, (flow, other) = room.level, room.flows
    propagate(level, room.motions[0], out=room.motions[1], stream=stream)
    densify(level, room.motions[1], out=flow, stream=stream)
    _, height, width = level.gray.shape
    if rounds_at_once((width, height)):
        return refine(level, flow, ROUNDS, out=other, stream=stream)
    for _ in range(ROUNDS):
        refine(level, flow, out=other, stream=stream)
        flow, other = other, flow
    return flow


def _clear(array: Any, stream: Stream) -> None:
    with nullcontext() if stream is None else stream:
        array.fill(0)
