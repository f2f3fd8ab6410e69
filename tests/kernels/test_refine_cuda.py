"""The kernel of the refinement against the reference.

The reference sweeps over the whole picture, a block over its region, in the same order.  The robust terms weigh a
pixel's wishes by up to 10^4, and they are differences of gray levels that lie at positions which are known to 4e-6 of
a pixel: some 1e-4 of a pixel in a flow that fits nowhere, as these.
"""

from typing import Any

import numpy as np
import pytest

from allaprima.kernels.pyramid import Level
from allaprima.kernels.reference import refine as reference
from allaprima.kernels.refine import refine

from .fake_cupy import FakeCupy
from .test_search_cuda import on_device, random_flow, random_level

TOLERANCE = 1e-3


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (64, 32), (65, 5), (9, 33), (101, 55)])
def test_flows_of_any_size(cupy: Any, size: tuple[int, int]) -> None:
    level, flow = random_level(size), random_flow(size)
    found = refine(on_device(cupy, level), cupy.asarray(flow)).get()
    np.testing.assert_allclose(found, reference.refine(level, flow), atol=TOLERANCE)


def test_rounds_in_one_launch_are_those_in_several(cupy: Any) -> None:
    level, flow = random_level((40, 30)), random_flow((40, 30))
    there, wanted = on_device(cupy, level), cupy.asarray(flow)
    found = refine(there, wanted, 3).get()
    for _ in range(3):
        wanted = refine(there, wanted)
    np.testing.assert_array_equal(found, wanted.get())


def test_wild_motion_reads_nothing_out_of_bounds(cupy: Any) -> None:
    level = on_device(cupy, random_level((20, 12)))
    for wild in (1e30, -1e30, np.inf, np.nan):
        refine(level, cupy.full((2, 12, 20, 2), wild, np.float32))


def test_nothing_is_allocated(emulated: FakeCupy) -> None:
    level, flow = on_device(emulated, random_level((70, 40))), emulated.asarray(random_flow((70, 40)))
    out = emulated.empty((2, 40, 70, 2), np.float32)
    with emulated.no_allocation():
        assert refine(level, flow, out=out) is out
    assert [launch.grid for launch in emulated.launches] == [(2, 3, 2)]


def test_what_does_not_fit_is_refused(emulated: FakeCupy) -> None:
    level, flow = on_device(emulated, random_level((70, 20))), emulated.asarray(random_flow((70, 20)))
    with pytest.raises(ValueError, match="70x20"):
        refine(level, flow, 2)
    with pytest.raises(ValueError, match="rounds"):
        refine(level, flow, 0)
    with pytest.raises(ValueError, match="flow"):
        refine(level, emulated.zeros((2, 20, 71, 2), np.float32))
    with pytest.raises(ValueError, match=r"level\.gradient"):
        refine(Level(level.gray, emulated.zeros((2, 20, 71, 2), np.float32)), flow)
