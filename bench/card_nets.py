"""The nets alone on a card: packed pictures that lie there already, one captured graph for each."""

import itertools
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from allaprima.bench.engine import NET, Look, Pair, Trial, run_trials
from allaprima.kernels.cuda import cupy
from allaprima.kernels.reference.pack import pack
from allaprima.realtime.backends import nets
from allaprima.realtime.backends.layout import Layout
from allaprima.realtime.frame import Frame
from allaprima.realtime.stylizer import Stylizer

LUMA = 0
"""The channel that has the first luma pixel of each cell."""


def card_nets(stylizer: Stylizer, frames: Sequence[Frame], seconds: float, trials: int) -> list[Trial]:
    """As `engine.nets`.  Each run has another packed picture copied to the nets; a trial's last is looked at."""
    cp, first = cupy(), frames[0]
    stream = cp.cuda.Stream(non_blocking=True)
    runtime = nets.open_runtime(stylizer.bundle, Layout(first.size).cells, stream)
    filters = stylizer.bank.views(stylizer.bank.resolve(stylizer.style))
    given: dict[str, Any] = {f"{name}_0": value for name, value in filters.items()}
    given["strength"] = np.full((1, 1, 1, 1), stylizer.strength)
    inputs: Any = runtime.inputs
    for name, value in given.items():
        inputs[name].set(value.astype(np.float16).reshape(inputs[name].shape))
    how = (first.color.coefficients(first.size[1]), first.color.full_range)
    packed = [pack(frame.planes, *how) for frame in frames]
    order = itertools.cycle([(_look(picture), cp.asarray(picture[None])) for picture in packed])
    spent = 0.0
    runtime.enqueue()
    launch = runtime.capture(runtime.enqueue)

    def paint(count: int) -> list[Pair]:
        nonlocal spent
        began = time.perf_counter()
        turns = list(itertools.islice(order, count))
        for _, picture in turns:
            with stream:
                inputs["packed"][...] = picture
            launch()
        stream.synchronize()
        spent += time.perf_counter() - began
        painted: Any = runtime.painted
        return [(turns[-1][0], _look(painted.get()[0]))]

    try:
        return run_trials(paint, lambda: {NET: spent}, seconds, trials)
    finally:
        runtime.close()


def _look(packed: Any) -> Look:
    """A quarter of the luma's rows and columns, as bytes."""
    return np.asarray(np.clip(np.asarray(packed[LUMA], np.float32) * 110 + 126, 0, 255), np.uint8)
