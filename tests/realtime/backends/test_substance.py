"""Even pictures have nothing to paint: they go through as they are."""

from fractions import Fraction

import numpy as np
import pytest

from allaprima.realtime.backends.cpu import EVEN, substance
from allaprima.realtime.frame import Frame
from allaprima.realtime.stylizer import Stylizer


@pytest.fixture(scope="module")
def stylizer() -> Stylizer:
    return Stylizer("starry-night", steadiness=0)


def frame(luma: np.ndarray) -> Frame:
    height, width = luma.shape
    chroma = np.full((height // 2, width // 2), 128, np.uint8)
    return Frame((luma, chroma, chroma.copy()), (width, height), 0, Fraction(1, 30))


@pytest.mark.parametrize(
    ("deviation", "share"), [(0.0, 0.0), (EVEN, 0.0), (1.5 * EVEN, 0.5), (2 * EVEN, 1.0), (60.0, 1.0)]
)
def test_substance_grows_with_the_deviation(deviation: float, share: float) -> None:
    half = np.full((10, 10), 100 - deviation)
    gray = np.hstack([half, half + 2 * deviation])
    assert substance(gray) == pytest.approx(share, abs=1e-6)  # type: ignore[arg-type]


@pytest.mark.parametrize("level", [16, 90, 235])
def test_an_even_picture_stays_as_it_is(stylizer: Stylizer, level: int) -> None:
    luma = np.full((64, 96), level, np.uint8)
    painted = stylizer(frame(luma))
    assert np.array_equal(painted.planes[0], luma)


def test_a_black_picture_with_sensor_noise_gets_no_painted_border(stylizer: Stylizer) -> None:
    luma = np.clip(18 + np.random.default_rng(1).normal(0, 2, (64, 96)), 0, 255).astype(np.uint8)
    painted = np.asarray(stylizer(frame(luma)).planes[0], int)
    assert abs(painted - luma).max() <= 1


def test_a_picture_with_contrast_is_painted(stylizer: Stylizer) -> None:
    luma = np.tile(np.linspace(20, 220, 96).astype(np.uint8), (64, 1))
    painted = np.asarray(stylizer(frame(luma)).planes[0], int)
    assert abs(painted - luma).mean() > 5
