"""The kernel of the confidence against the same formulae in float64, and against the reference.

Tolerances: 1e-4 for float32's roundings in quotients of squares.  The reference rounds the warped gray picture to
bytes, which the kernel does not: half a byte, where ``exp(-60 dI^2)`` is steepest (0.026 a byte).
"""

from typing import Any

import numpy as np
import pytest

from allaprima.kernels.confidence import confidence
from allaprima.kernels.reference.confidence import PHOTOMETRIC, identity_grid
from allaprima.kernels.reference.confidence import confidence as reference
from allaprima.kernels.reference.warp import exact

from .fake_cupy import FakeCupy, FakeStream

SIZES = [(1, 1), (1, 9), (2, 2), (9, 1), (32, 8), (33, 9), (64, 48)]


def still(size: tuple[int, int], value: Any = (0, 0)) -> Any:
    return np.full((size[1], size[0], 2), value, np.float32)


def gray(size: tuple[int, int], seed: int = 0, dtype: Any = np.uint8) -> Any:
    return np.random.default_rng(seed).integers(60, 90, size[::-1]).astype(dtype)


def flows(size: tuple[int, int], spread: float) -> Any:
    """There and nearly back again, in steps of 1/32 pixel: those OpenCV 4 has weights for."""
    rng = np.random.default_rng(0)
    drift = rng.uniform(-spread, spread, 2)
    both = [sign * drift + rng.uniform(-0.2, 0.2, (size[1], size[0], 2)) for sign in (1, -1)]
    return [(np.rint(flow * 32) / 32).astype(np.float32) for flow in both]


def length2(vector: Any) -> Any:
    return (vector**2).sum(2)


def slope2(flow: Any) -> Any:
    dx, dy = np.zeros_like(flow), np.zeros_like(flow)
    dx[:, 1:-1], dy[1:-1] = (flow[:, 2:] - flow[:, :-2]) / 2, (flow[2:] - flow[:-2]) / 2
    return length2(dx) + length2(dy)


def in_float64(backward: Any, forward: Any, previous: Any, current: Any) -> Any:
    def soft(value: Any, threshold: Any) -> Any:
        return np.clip(2 - 2 * value / threshold, 0, 1)

    height, width = current.shape
    where = backward + identity_grid((width, height))
    there = np.moveaxis(exact(np.moveaxis(forward, 2, 0), where), 0, 2)
    back = backward.astype(np.float64)
    trust = soft(length2(there + back), 0.01 * (length2(there) + length2(back)) + 0.5)
    trust = trust * soft(slope2(back), 0.01 * length2(back) + 0.052)
    trust = trust * np.exp(-PHOTOMETRIC * ((exact(previous, where) - current) / 255) ** 2)
    x, y = np.moveaxis(where, 2, 0)
    return np.where((x < 0) | (y < 0) | (x > width - 1) | (y > height - 1), 0, trust)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("spread", [0.0, 1.5, 20.0])
@pytest.mark.parametrize("size", SIZES)
def test_any_size_and_motion_is_the_reference(cupy: Any, size: Any, spread: float, dtype: Any) -> None:
    given = (*flows(size, spread), gray(size, 1, dtype), gray(size, 2, dtype))
    out = confidence(*map(cupy.asarray, given)).get()
    assert (out.shape, out.dtype) == (size[::-1], np.float32)
    np.testing.assert_allclose(out, in_float64(*given), atol=1e-4)
    np.testing.assert_allclose(out, reference(*given), atol=0.0135 if dtype == np.uint8 else 1e-4)


def test_what_is_tested_has_every_kind_of_trust() -> None:
    found = reference(*flows((64, 48), 1.5), gray((64, 48), 1), gray((64, 48), 2))
    assert found.min() == 0
    assert 0.1 < np.median(found[4:-4, 4:-4]) < 0.95
    assert found.max() > 0.98


def test_what_stands_still_is_trusted_fully(cupy: Any) -> None:
    flow, picture = cupy.asarray(still((40, 30))), cupy.asarray(gray((40, 30)))
    assert (confidence(flow, flow, picture, picture).get() == 1).all()


def test_history_from_outside_is_not_trusted(cupy: Any) -> None:
    there, back = (cupy.asarray(still((40, 30), value)) for value in ((5, 0), (-5, 0)))
    flat = cupy.asarray(np.full((30, 40), 100, np.uint8))
    trust = confidence(there, back, flat, flat).get()
    assert (trust[:, :35] == 1).all()
    assert (trust[:, 35:] == 0).all()


@pytest.mark.parametrize("wild", ["backward", "forward", "both"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, -1e9])
def test_a_flow_that_is_no_motion_is_not_trusted(cupy: Any, value: float, wild: str) -> None:
    size = (40, 30)
    calm, picture, broken = cupy.asarray(still(size)), cupy.asarray(gray(size)), still(size)
    broken[10, 20], broken[29, 39, 0] = value, value
    given = cupy.asarray(broken)
    backward, forward = given if wild != "forward" else calm, given if wild != "backward" else calm
    trust = confidence(backward, forward, picture, picture).get()
    assert trust[10, 20] == trust[29, 39] == 0
    assert np.isfinite(trust).all()
    assert (trust == 1).sum() >= 40 * 30 - 16, "it harms its neighbors only"


def test_one_launch_on_the_given_stream_and_no_allocation(emulated: FakeCupy) -> None:
    flow, picture = emulated.asarray(still((40, 30))), emulated.asarray(gray((40, 30)))
    out, stream = emulated.empty((30, 40), np.float32), FakeStream()
    with emulated.no_allocation():
        assert confidence(flow, flow, picture, picture, out=out, stream=stream) is out
    assert emulated.launches == [("confidence<unsigned char>", (2, 4), (32, 8), stream)]


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        ({"current": ((6, 8), np.uint16)}, TypeError, "current must be uint8 or float32, not uint16"),
        ({"previous": ((6, 8), np.float32)}, TypeError, "previous must be uint8, not float32"),
        ({"previous": ((6, 7), np.uint8)}, ValueError, r"previous must have the shape \(6, 8\)"),
        ({"backward": ((6, 8), np.float32)}, ValueError, r"backward must have the shape \(6, 8, 2\)"),
        ({"forward": ((6, 8, 2), np.float16)}, TypeError, "forward must be float32"),
        ({"out": ((8, 6), np.float32)}, ValueError, r"out must have the shape \(6, 8\)"),
    ],
)
def test_what_does_not_fit_is_named(emulated: FakeCupy, change: Any, error: Any, told: str) -> None:
    given: Any = dict.fromkeys(("backward", "forward"), ((6, 8, 2), np.float32))
    given |= dict.fromkeys(("previous", "current"), ((6, 8), np.uint8)) | change
    with pytest.raises(error, match=told):
        confidence(**{name: emulated.zeros(*like) for name, like in given.items()})
    assert emulated.launches == []
