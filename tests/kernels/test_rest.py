"""Rest where it explains the picture as well; `test_flow` has the rule itself."""

from typing import Any

import numpy as np

from allaprima.kernels.reference.rest import rest

from .test_flow import scene


def both(motion: tuple[float, float]) -> Any:
    """Backward and forward flow of an even motion."""
    backward = np.broadcast_to(-np.float32(motion), (120, 160, 2))
    return np.stack([backward, -backward])


def test_a_motion_must_explain_more_than_rest_does() -> None:
    flow, before, now = both((2, 0)), scene(0, 0), scene(2, 0)
    inside = (slice(20, -20), slice(20, -20))
    np.testing.assert_array_equal(rest(flow, before, now)[0][inside], flow[0][inside])
    assert not rest(flow, before, before)[0].any()
    assert not rest(flow, before // 2, before // 2 + 20)[0].any(), "light is no motion"


def test_forward_flow_is_handed_on() -> None:
    flow = both((2, 0))
    np.testing.assert_array_equal(rest(flow, scene(0, 0), scene(0, 0))[1], flow[1])
