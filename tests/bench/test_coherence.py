"""Measures against values worked out by hand."""

import cv2
import numpy as np
import pytest

from allaprima.bench import coherence

SIZE = (64, 96)
NOTHING_HIDDEN = np.zeros(SIZE, bool)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def texture(rng: np.random.Generator) -> np.ndarray:
    return cv2.GaussianBlur(rng.random((*SIZE, 3), np.float32), (0, 0), 1.5)


def constant_flow(dx: float, dy: float) -> np.ndarray:
    return np.full((*SIZE, 2), (dx, dy), np.float32)


def test_e_warp_of_a_known_shift_is_zero(rng: np.random.Generator) -> None:
    before = texture(rng)
    now = np.roll(before, (2, 5), (0, 1))  # down 2, right 5: what is here was at (-5, -2)
    flow = constant_flow(-5, -2)
    assert coherence.e_warp(now, before, flow, coherence.outside(flow)) == pytest.approx(0, abs=1e-10)
    assert coherence.e_warp(now, before, -flow, coherence.outside(-flow)) > 1e-3


def test_e_warp_of_noise_is_twice_its_variance(rng: np.random.Generator) -> None:
    sigma = 0.05
    now, before = (0.5 + sigma * rng.standard_normal((*SIZE, 3), np.float32) for _ in range(2))
    error = coherence.e_warp(now, before, constant_flow(0, 0), NOTHING_HIDDEN)
    assert error == pytest.approx(2 * sigma**2, rel=0.05)


def test_e_warp_counts_only_what_is_seen() -> None:
    now, before = np.zeros((*SIZE, 3), np.float32), np.zeros((*SIZE, 3), np.float32)
    now[:, :48] = 0.5
    now[:, 48:60] = 0.1
    hidden = NOTHING_HIDDEN.copy()
    hidden[:, :48] = True
    # 12 of the 48 columns that are seen differ by 0.1.
    assert coherence.e_warp(now, before, constant_flow(0, 0), hidden) == pytest.approx(0.01 / 4)
    assert coherence.e_warp(now, before, constant_flow(0, 0), ~NOTHING_HIDDEN) is None


def test_hidden_grows_on_every_side() -> None:
    hidden = NOTHING_HIDDEN.copy()
    hidden[10, 20] = True
    assert coherence.grown(hidden, 2).sum() == 25
    assert coherence.grown(hidden, 2)[8:13, 18:23].all()


def test_outside_is_where_the_flow_leaves_the_picture() -> None:
    assert coherence.outside(constant_flow(-3, 0))[:, :3].all()
    assert not coherence.outside(constant_flow(-3, 0))[:, 3:].any()


def test_forward_backward_hides_what_does_not_come_back() -> None:
    backward = constant_flow(-4, 0)
    forward = constant_flow(4, 0)
    forward[:, 40:50] = (-9, 0)
    hidden = coherence.forward_backward_hidden(backward, forward)
    assert hidden[:, 44:54].all()  # their histories, four pixels to the left, point elsewhere
    assert not hidden[:, 5:43].any()
    assert not hidden[:, 55:].any()


def test_forward_backward_hides_motion_boundaries() -> None:
    backward = constant_flow(0, 0)
    backward[:, 48:] = (2, 0)
    hidden = coherence.forward_backward_hidden(backward, -backward)
    assert hidden[:, 47:49].all()
    assert not hidden[:, :46].any()


def test_sharpness_of_a_blurred_picture_is_less(rng: np.random.Generator) -> None:
    sharp = [texture(rng)]
    blurred = [cv2.GaussianBlur(sharp[0], (0, 0), 1.0)]
    assert coherence.sharpness_ratio(sharp, sharp) == pytest.approx(1)
    assert coherence.sharpness_ratio(blurred, sharp) < 0.8
    assert coherence.sharpness_ratio(blurred, sharp) < coherence.sharpness_ratio(blurred, sharp, half=True) < 1


def test_sharpness_goes_with_the_square_of_contrast(rng: np.random.Generator) -> None:
    picture = texture(rng)
    assert coherence.sharpness_ratio([0.5 * picture], [picture]) == pytest.approx(0.25, rel=1e-3)


def test_sharpness_at_half_size_does_not_see_a_screen_door() -> None:
    door = np.zeros((*SIZE, 3), np.float32)
    door[::2, ::2] = door[1::2, 1::2] = 1
    assert coherence.sharpness(door) > 1
    assert coherence.sharpness(door, half=True) == pytest.approx(0, abs=1e-9)


def test_mean_sharpness_is_over_time(rng: np.random.Generator) -> None:
    picture = texture(rng)
    own = coherence.sharpness(picture)
    assert coherence.mean_sharpness([picture, 0.5 * picture]) == pytest.approx(own * 1.25 / 2, rel=1e-3)


def test_shimmer_is_the_deviation_over_time(rng: np.random.Generator) -> None:
    still = texture(rng)
    assert coherence.shimmer([still, still, still]) == 0
    assert coherence.shimmer([still, still + np.float32(0.2)]) == pytest.approx(0.1, rel=1e-4)


def test_recovery_is_the_frame_from_which_on_all_are_close() -> None:
    fresh = [np.zeros((*SIZE, 3), np.float32)] * 5
    run = [picture + np.float32(far) for picture, far in zip(fresh, (0.5, 0.1, 0.001, 0.2, 0.001), strict=True)]
    assert coherence.frames_to_recover(run, fresh, 0.01) == 4
    assert coherence.frames_to_recover(fresh, fresh, 0.01) == 0
    assert coherence.frames_to_recover(run[:4], fresh[:4], 0.01) is None


# ---- history in the wrong place ----


def test_disoccluded_is_not_what_came_in_from_outside() -> None:
    hidden = NOTHING_HIDDEN.copy()
    hidden[:, :20] = True
    found = coherence.disoccluded(hidden)
    assert found[8:-8, 8:20].all()
    assert found.sum() == (SIZE[0] - 16) * 12


def test_ghosting_is_what_is_left_where_something_stood() -> None:
    reference = [np.full((*SIZE, 3), 0.5, np.float32)] * 2
    ghost = reference[0].copy()
    ghost[:, :48] += 0.2
    mask = NOTHING_HIDDEN.copy()
    mask[:, 10:20] = True  # further than the box reaches from where the ghost ends
    inside, everywhere = coherence.ghosting([reference[0], ghost], reference, [NOTHING_HIDDEN, mask])
    assert inside == pytest.approx(0.2, rel=1e-4)
    assert everywhere == pytest.approx(0.2 / 2, rel=0.05)  # half of the pixels of half of the frames
    assert coherence.ghosting([ghost], reference[:1], [NOTHING_HIDDEN])[0] is None


def test_strokes_are_no_ghosts(rng: np.random.Generator) -> None:
    even = np.full((*SIZE, 3), 0.5, np.float32)
    strokes = even + 0.2 * np.sign(rng.random((*SIZE, 1)).astype(np.float32) - 0.5)
    assert coherence.distance(strokes, even) == pytest.approx(0.2)
    assert coherence.ghosting([strokes], [even], [~NOTHING_HIDDEN])[0] < 0.02
    assert coherence.low_passed_distance(strokes, even) < 0.02
    assert coherence.low_passed_distance(even + 0.2, even) == pytest.approx(0.2, rel=1e-4)


@pytest.fixture
def pan(rng: np.random.Generator) -> list[np.ndarray]:
    wide = cv2.GaussianBlur(rng.random((SIZE[0], 200, 3), np.float32), (0, 0), 3)
    return [wide[:, 8 * t : 8 * t + SIZE[1]] for t in range(10)]


@pytest.mark.parametrize("late", [-1, 0, 1, 2])
def test_lag_counts_frames(pan: list[np.ndarray], late: int) -> None:
    assert coherence.lag(pan[2 - late : 8 - late], pan[2:8]) == pytest.approx(late, abs=0.1)


def test_the_mean_of_two_frames_is_half_a_frame_late(pan: list[np.ndarray]) -> None:
    means = [(now + before) / 2 for now, before in zip(pan[1:], pan, strict=False)]
    assert coherence.lag(means, pan[1:]) == pytest.approx(0.5, abs=0.1)
    assert coherence.lag(means[:4], pan[1:5]) is None


# ---- fine stripes ----


def hatched(picture: np.ndarray, period: float, strength: float, columns: slice = slice(None)) -> np.ndarray:
    """With stripes along the rows."""
    rows = np.sin(2 * np.pi * np.arange(picture.shape[0]) / period)[:, None, None]
    found = picture.copy()
    found[:, columns] += strength * rows
    return found


def grained(rng: np.random.Generator) -> np.ndarray:
    """A wall with a little grain on the left, strokes on the right: 64 x 96."""
    picture = 0.5 + 0.01 * rng.standard_normal((*SIZE, 3), np.float32)
    picture[:, 48:] += texture(rng)[:, 48:] - 0.5
    return picture


def test_a_hatch_on_a_wall_is_seen_and_coarser_stripes_are_not(rng: np.random.Generator) -> None:
    alone = [grained(rng) for _ in range(3)]
    assert coherence.fine_stripes(alone, alone) == 1
    assert coherence.fine_stripes([hatched(each, 3, 0.02) for each in alone], alone) > 3
    assert coherence.fine_stripes([hatched(each, 12, 0.02) for each in alone], alone) == pytest.approx(1, abs=0.1)


def test_strokes_may_be_finer_where_there_are_strokes(rng: np.random.Generator) -> None:
    alone = [grained(rng) for _ in range(3)]
    assert coherence.fine_stripes([hatched(each, 3, 0.02, slice(72, 96)) for each in alone], alone) < 1.1


def test_grain_that_is_lost_is_less_than_1_and_what_is_flat_is_1(rng: np.random.Generator) -> None:
    alone = [grained(rng)]
    assert coherence.fine_stripes([cv2.GaussianBlur(alone[0], None, 1.5)], alone) < 0.2
    flat = [np.full((*SIZE, 3), 0.5, np.float32)]
    assert coherence.fine_stripes(flat, flat) == 1
    assert coherence.fine_stripes([hatched(flat[0], 3, 0.05)], flat) > 100


# ---- blobs ----


def spotted(picture: np.ndarray, strength: float, width: float = 5) -> np.ndarray:
    """With a bright spot on a dark ring in the middle of the left half."""
    y, x = np.indices(picture.shape[:2])
    distance = ((x - 32) ** 2 + (y - 32) ** 2) / width**2
    return picture + np.float32(strength * (1 - distance) * np.exp(-distance))[..., None]


def test_a_blob_is_seen_and_finer_or_wider_ones_are_not(rng: np.random.Generator) -> None:
    alone = [grained(rng) for _ in range(3)]
    assert coherence.blobs(alone, alone) == 1
    assert coherence.blobs([spotted(each, 0.3) for each in alone], alone) > 2
    assert coherence.blobs([hatched(each, 3, 0.02) for each in alone], alone) < 1.05
    assert coherence.blobs([each + 0.05 for each in alone], alone) == pytest.approx(1, abs=1e-3)


def test_a_blob_weighs_less_among_strokes_and_lost_contrast_is_none(rng: np.random.Generator) -> None:
    alone, strokes = [grained(rng)], [texture(rng)]
    on_wall, among = (coherence.blobs([spotted(each, 0.3) for each in some], some) for some in (alone, strokes))
    assert 1 < among < 0.7 * on_wall
    assert coherence.blobs([0.5 + 0.5 * (strokes[0] - 0.5)], strokes) < 0.8
