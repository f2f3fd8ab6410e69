"""The variational refinement of a flow."""

from typing import Any

import numpy as np
import pytest

from allaprima.kernels.reference.pyramid import pyramid
from allaprima.kernels.reference.refine import linearized, refine

from .test_search import even, textured


def refined(level: Any, flow: Any, rounds: int) -> Any:
    for _ in range(rounds):
        flow = refine(level, flow)
    return flow


def error(flow: Any, motion: tuple[float, float]) -> float:
    """Of the forward flow, away from the border."""
    return float(np.linalg.norm(flow[1, 8:-8, 8:-8] - np.float32(motion), axis=-1).mean())


def test_rest_between_equal_pictures_stays_exactly_rest() -> None:
    assert not refined(textured((0, 0)), even((0, 0), (56, 72)), 3).any()


@pytest.mark.parametrize("light", [0, 30])
def test_a_flow_that_is_nearly_right_becomes_right(light: float) -> None:
    noise = np.random.default_rng(1).normal(0, 0.2, (2, 56, 72, 2)).astype(np.float32)
    flow = even((2.3, -1.4), (56, 72)) + noise
    assert error(flow, (2, -1)) > 0.5
    assert error(refined(textured((2, -1), light), flow, 5), (2, -1)) < (0.03 if light == 0 else 0.1)


def test_where_the_picture_is_even_the_flow_is_smoothed() -> None:
    (level,) = pyramid(*np.full((2, 20, 30), 90, np.uint8), 1)
    noise = np.random.default_rng(1).normal(0, 0.5, (2, 20, 30, 2)).astype(np.float32)
    assert refined(level, noise, 5).std() < 0.2 * noise.std()


def test_an_even_motion_of_an_even_picture_stays() -> None:
    (level,) = pyramid(*np.full((2, 20, 30), 90, np.uint8), 1)
    np.testing.assert_allclose(refine(level, even((3, -2), (20, 30))), even((3, -2), (20, 30)), atol=1e-4)


def test_an_edge_of_the_motion_stays_sharp() -> None:
    """Robust smoothness: it does not blur one motion into another."""
    left, right = textured((0, 0)), textured((3, 0))
    gray, gradient = left.gray.copy(), left.gradient.copy()
    gray[:, :, 36:], gradient[:, :, 36:] = right.gray[:, :, 36:], right.gradient[:, :, 36:]
    flow = even((0, 0), (56, 72))
    flow[1, :, 36:] = (3, 0)
    found = refined(left._replace(gray=gray, gradient=gradient), flow, 5)[1, 8:-8]
    assert np.median(np.abs(found[:, 30:34, 0])) < 0.3
    assert np.median(np.abs(found[:, 38:42, 0] - 3)) < 0.3


def test_nothing_is_wanted_of_what_has_left_the_picture() -> None:
    level = textured((2, -1))
    wanted = linearized(level, 1, even((40, 0), (56, 72))[1])
    for part in wanted:
        assert not part[:, 32:].any()
        assert part[:, :31].any()


def test_the_picture_wants_the_motion_that_it_has() -> None:
    """The equations are right at the true motion: what is left of them is small."""
    wanted = linearized(textured((2, -1)), 1, even((2, -1), (56, 72))[1])
    x = wanted.xx * 2 - wanted.xy - wanted.x
    assert np.median(np.abs(x)) < 0.01 * np.median(wanted.xx)


def test_one_pixel_stays_where_it_is() -> None:
    (level,) = pyramid(*np.uint8([[[3]], [[200]]]), 1)
    flow = np.float32([[[[1, 2]]], [[[0, 0]]]])
    np.testing.assert_array_equal(np.isfinite(refine(level, flow)), True)
    assert not refine(level, 0 * flow).any()
