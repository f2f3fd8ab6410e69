"""The painted scenes: what they promise about flow, occlusion, cuts and noise."""

import functools
import itertools
from fractions import Fraction

import cv2
import numpy as np
import pytest

from allaprima.realtime.sources.scenes import SCENES, SHOT_FRAMES, Scene, open_scene

SMALL, MEDIUM = (320, 180), (640, 360)
DAY_FRAMES = 24 * 3600 * 30  # a day of video: times so large that single precision would show


@functools.cache
def scene(name, size=SMALL, rate=Fraction(30)) -> Scene:
    """Painting takes most of a test's time, and frames do not change a scene."""
    return open_scene(name, size, rate)


def pull(picture, flow):
    """``picture`` of the frame before, moved to where ``flow`` says it is now; float32."""
    height, width = flow.shape[:2]
    x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return cv2.remap(picture.astype(np.float32), x + flow[..., 0], y + flow[..., 1], cv2.INTER_CUBIC)


def errors(source, index):
    """Differences on visible pixels to the frame before: pulled along the flow, and left in place."""
    flow, occluded = source.motion(index)
    now, before = source.frame(index).astype(np.float32), source.frame(index - 1)
    seen = ~occluded
    return np.abs(pull(before, flow) - now).mean(-1)[seen], np.abs(before - now).mean(-1)[seen]


@pytest.mark.parametrize("name", SCENES)
@pytest.mark.parametrize("size", [(16, 16), (31, 17), (641, 359), (90, 160)])
def test_shapes_and_types_at_odd_sizes(name, size):
    source = scene(name, size)
    width, height = size
    frame = source.frame(SHOT_FRAMES + 1)
    flow, occluded = source.motion(SHOT_FRAMES + 1)
    assert source.name == name
    assert source.size == size
    assert (frame.shape, frame.dtype) == ((height, width, 3), np.uint8)
    assert (flow.shape, flow.dtype) == ((height, width, 2), np.float32)
    assert (occluded.shape, occluded.dtype) == ((height, width), np.bool_)
    assert frame.std() > 20
    assert not occluded.all()


def test_rate_is_thirty_unless_said():
    assert open_scene("landscape", (16, 16)).rate == 30


def test_speed_is_per_second_whatever_the_rate():
    slow, fast = scene("landscape"), scene("landscape", SMALL, Fraction(60))
    np.testing.assert_array_equal(slow.frame(21), fast.frame(42))


@pytest.mark.parametrize("name", SCENES)
def test_a_frame_does_not_depend_on_what_was_asked_before(name):
    asked_first = open_scene(name, SMALL)
    expected = asked_first.frame(50)
    for index in (0, 49, 700, 50):
        scene(name).frame(index)
    np.testing.assert_array_equal(scene(name).frame(50), expected)
    np.testing.assert_array_equal(scene(name).motion(50)[0], asked_first.motion(50)[0])


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="landscape, cut, still-noise") as caught:
        open_scene("desert")
    assert not isinstance(caught.value, KeyError)


# Pixels on an outline mix two layers that move apart; no flow fits both, and they make up the mean error.
@pytest.mark.parametrize(
    ("name", "index"),
    [("landscape", k) for k in (1, 45, 640, 3333, DAY_FRAMES)] + [("cut", k) for k in (61, 100, 119)],
)
def test_the_flow_carries_one_frame_into_the_next(name, index):
    moved, unmoved = errors(scene(name, MEDIUM), index)
    assert moved.mean() < 1.0
    assert moved.mean() < 0.3 * unmoved.mean()
    assert np.percentile(moved, 85) < 1.5
    assert np.percentile(unmoved, 85) > 2.5


def test_the_two_shots_move_in_opposite_directions():
    day, _ = scene("cut").motion(30)
    dusk, _ = scene("cut").motion(90)
    assert np.median(day[..., 0]) > 0 > np.median(dusk[..., 0])


def test_speeds_are_those_of_real_video():
    flow, _ = scene("landscape", (1280, 720)).motion(20)
    speed = np.hypot(flow[..., 0], flow[..., 1])
    assert speed[20, 900] == pytest.approx(0.3, abs=0.01)
    assert speed[715, 900] == pytest.approx(7.0, abs=0.01)
    assert speed.max() > 9


def test_nothing_corresponds_at_the_first_frame():
    flow, occluded = scene("landscape").motion(0)
    assert not flow.any()
    assert occluded.all()


@pytest.mark.parametrize("index", [1, 300, 2000])
def test_little_is_occluded_and_what_is_would_be_wrong(index):
    """Pulled along the flow, occluded pixels show something else; that is why they must be known."""
    source = scene("landscape", MEDIUM)
    flow, occluded = source.motion(index)
    difference = np.abs(pull(source.frame(index - 1), flow) - source.frame(index)).mean(-1)
    assert 0.001 < occluded.mean() < 0.08
    assert difference[occluded].mean() > 8 * difference[~occluded].mean()


@pytest.mark.parametrize("index", [10, 900])
def test_reflections_stand_below_what_they_reflect(index):
    """The sun's path on the water; its warm light is the brightest red in sky and lake."""
    red = scene("landscape", MEDIUM).frame(index)[..., 0].astype(np.float32)
    sun = red[80:110].mean(0)
    path = cv2.blur(red[204:212].mean(0)[None], (25, 1))[0]
    sun_column = np.flatnonzero(sun > 0.98 * sun.max()).mean()
    assert abs(int(path[200:].argmax()) + 200 - sun_column) < 20


def test_what_enters_at_the_side_is_occluded():
    _, occluded = scene("landscape", (1280, 720)).motion(20)
    near_shore = occluded[712:]
    assert near_shore[:, -6:].all()
    assert not near_shore[:, :6].any()


def test_water_appears_behind_a_boat():
    """Something that passes uncovers what lies at its back and covers what lies ahead."""
    source = scene("landscape", MEDIUM)
    flow, occluded = source.motion(20)
    sails = slice(185, 225)  # rows of the middle boat's sails; it goes left by 1.3 pixels a frame
    columns = np.flatnonzero((np.abs(flow[sails, 300:500, 0] - 1.3) < 0.2).any(0)) + 300
    middle = (columns.min() + columns.max()) // 2
    ahead = occluded[sails, columns.min() - 5 : middle - 8].mean()
    behind = occluded[sails, middle + 8 : columns.max() + 5].mean()
    assert behind > 0.01
    assert behind > 3 * ahead


def test_cuts_come_every_shot():
    source = scene("cut")
    assert {60, 120, 180} <= source.cuts
    assert not {0, 59, 61} & source.cuts
    assert source.motion(60)[1].all()
    assert not source.motion(60)[0].any()
    assert not source.motion(61)[1].all()
    assert scene("landscape").cuts == scene("still-noise").cuts == frozenset()


def test_a_cut_changes_the_whole_picture():
    source = scene("cut")
    step = [np.abs(source.frame(k).astype(int) - source.frame(k - 1)).mean() for k in (59, 60, 61)]
    assert step[1] > 5 * max(step[0], step[2])


def test_still_noise_is_a_still_picture_with_sensor_noise():
    source = scene("still-noise")
    frames = np.stack([source.frame(k) for k in range(64)]).astype(np.float32)
    inside = (frames.min(0) > 0) & (frames.max(0) < 255)  # clipped values have less noise
    mean, sigma = frames.mean(0), frames.std(0, ddof=1)
    expected = np.sqrt(4 + 12 * mean / 255 + 1 / 12)  # the last term is the rounding to whole levels
    assert 2 < sigma[inside].mean() < 4
    assert (sigma / expected)[inside].mean() == pytest.approx(1, abs=0.02)
    halves = frames[::2].mean(0) - frames[1::2].mean(0)
    assert halves[inside].std() == pytest.approx(2 * expected[inside].mean() / 8, rel=0.1)


def test_still_noise_is_fresh_and_white():
    source = scene("still-noise")
    noise = [source.frame(k).astype(np.float32) for k in range(8)]
    first, second = noise[0] - noise[1], noise[2] - noise[3]
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.02
    assert abs(np.corrcoef(first[:, 1:].ravel(), first[:, :-1].ravel())[0, 1]) < 0.02


def test_still_noise_does_not_move():
    flow, occluded = scene("still-noise").motion(5)
    assert not flow.any()
    assert not occluded.any()
    assert scene("still-noise").motion(0)[1].all()


def test_layers_come_round_without_a_jump():
    """Each layer's texture ends somewhere in the first minutes; no step there may stand out."""
    source = scene("landscape", (96, 54), Fraction(10))
    frames = [source.frame(k).astype(np.int16) for k in range(2500)]
    step = np.array([np.abs(b - a).mean() for a, b in itertools.pairwise(frames)])
    usual = np.convolve(step, np.ones(31) / 31, "same")
    assert (step[31:-31] < 1.5 * usual[31:-31] + 0.3).all()


def test_the_light_changes_slowly():
    source = scene("landscape", (96, 54))
    brightness = [source.frame(k)[:10].mean() for k in range(300, 420)]
    assert np.abs(np.diff(brightness)).max() < 0.6
