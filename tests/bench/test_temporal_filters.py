"""Filters on pictures small enough to work out what they show."""

import numpy as np

from allaprima.bench.coherence import distance
from allaprima.bench.temporal_filters import FILTERS, UNCHANGED, averaging, holding, warping

SHAPE = (64, 96, 3)


def even(*levels: float) -> list[np.ndarray]:
    return [np.full(SHAPE, level, np.float32) for level in levels]


def texture(seed: int) -> np.ndarray:
    """Blobs of a few pixels, which flow can hold on to."""
    rough = np.random.default_rng(seed).random((SHAPE[0] // 4, SHAPE[1] // 4, 3)).astype(np.float32)
    return np.kron(rough, np.ones((4, 4, 1), np.float32))


def test_the_first_picture_is_shown_as_it_was_painted() -> None:
    given, painted = even(0.2, 0.2), [texture(1), texture(2)]
    for each in FILTERS.values():
        assert np.array_equal(next(each(given, painted)), painted[0])


def test_averaging_halves_what_was_with_every_frame() -> None:
    shown = [float(picture.mean()) for picture in averaging(even(0, 0, 0), even(1, 0, 0))]
    assert shown == [1, 0.5, 0.25]


def test_holding_waits_until_the_input_has_changed_by_25_in_a_channel() -> None:
    given = [picture.copy() for picture in even(0, 25 / 255, 50 / 255)]
    given[1][:, 48:, 1] = 26 / 255
    shown = list(holding(given, even(0.1, 0.2, 0.3)))
    assert np.allclose(shown[1][:, :48], 0.1), "25 is held"
    assert np.allclose(shown[1][:, 48:], 0.2), "one channel is enough"
    assert np.allclose(shown[2][:, :48], 0.3), "50 since it was painted"
    assert np.allclose(shown[2][:, 48:], 0.2), "25 since it was painted"


def test_holding_sees_every_level_as_bytes_do() -> None:
    for level in range(256 - 25):
        low, high = even(level / 255, level / 255 + UNCHANGED)
        assert next(i := iter(holding([low, high], even(0, 1)))).max() == next(i).max() == 0, level


def test_warping_brings_history_to_where_its_things_are() -> None:
    before = texture(1)
    now, step = np.roll(before, 4, 1), np.float32(0.2)
    *_, shown = warping([before, now], [before, now + step])
    inner = (slice(12, -12), slice(20, -12))
    held = np.abs(shown - (now + 0.2 * step)).max(-1)[inner] < 0.02
    anew = np.abs(shown - (now + step)).max(-1)[inner] < 0.02
    assert held.mean() > 0.4
    assert (held | anew).mean() > 0.9, "history at the right place, or none"


def test_warping_keeps_nothing_of_another_shot() -> None:
    given, painted = [texture(1), texture(2)], even(0, 1)
    *_, shown = warping(given, painted)
    *_, still = warping([given[0]] * 2, painted)
    assert distance(still, painted[1]) > 0.7
    assert distance(shown, painted[1]) < 0.6 * distance(still, painted[1])
