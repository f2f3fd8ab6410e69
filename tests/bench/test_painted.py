"""Wrong outputs are refused, each for its own reason."""

from pathlib import Path

import numpy as np
import pytest

from allaprima.bench import clips
from allaprima.bench.painted import NotMoving, NotPainted, check, check_file

RNG = np.random.default_rng(3)
GIVEN = [RNG.integers(0, 255, (32, 48), np.uint8) for _ in range(4)]
MADE = [255 - picture for picture in GIVEN]


def test_a_painted_stream_passes() -> None:
    assert check(GIVEN, MADE) == 4


def test_a_repeated_frame_passes_where_the_input_stood_still() -> None:
    assert check([GIVEN[0], GIVEN[0]], [MADE[0], MADE[0]]) == 2


def test_a_held_picture_may_repeat_where_only_noise_moved() -> None:
    noisy = GIVEN[0].copy()
    noisy[::4, ::4] ^= 1
    assert check([GIVEN[0], noisy], [MADE[0], MADE[0]]) == 2


def test_an_even_input_may_go_through_as_it_is() -> None:
    black = np.full((32, 48), 16, np.uint8)
    assert check([black, GIVEN[0]], [black, MADE[0]]) == 2


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (MADE[:3], "ends after 3"),
        ([*MADE, MADE[0]], "goes on after the 4"),
        ([np.zeros((32, 48), np.uint8)] * 4, "empty"),
        (GIVEN, "is the input"),
        ([MADE[0], MADE[1], MADE[1], MADE[3]], "frame 2 repeats the one before"),
        ([MADE[0], MADE[1], MADE[0], MADE[3]], "frame 2 repeats frame 0"),
        ([MADE[0], MADE[1], MADE[2], MADE[0]], "frame 3 repeats frame 0"),
        ([picture[:16] for picture in MADE], "is 48x16"),
    ],
)
def test_a_wrong_stream_is_refused(made: list[np.ndarray], why: str) -> None:
    with pytest.raises(NotPainted, match=why):
        check(GIVEN, made)


def test_a_picture_may_come_back_with_its_input() -> None:
    assert check(2 * GIVEN, 2 * MADE, moving=True) == 8


def test_a_held_picture_may_follow_a_faint_fade_late() -> None:
    fade = [np.clip(GIVEN[0].astype(int) + step, 0, 255).astype(np.uint8) for step in range(4)]
    assert check(fade, [MADE[0]] * 4) == 4


def still(frames: int) -> list[np.ndarray]:
    """One picture, with a little noise that is new each time."""
    return [GIVEN[0] ^ (RNG.integers(0, 8, GIVEN[0].shape) == 0).astype(np.uint8) for _ in range(frames)]


@pytest.mark.parametrize(
    "inputs", [[GIVEN[0]] * 4, still(4), GIVEN[:1], [*still(3), GIVEN[1]]], ids=["same", "noise", "one", "mostly"]
)
def test_a_speed_is_never_that_of_a_still(inputs: list[np.ndarray]) -> None:
    made = [255 - picture for picture in inputs]
    assert check(inputs, made) == len(inputs)
    with pytest.raises(NotMoving, match=f"of {len(inputs)} inputs differ"):
        check(inputs, made, moving=True)


def test_half_of_the_inputs_must_move() -> None:
    assert check([GIVEN[0], GIVEN[0], GIVEN[1]], [MADE[0], MADE[0], MADE[1]], moving=True) == 3


def test_nothing_is_refused() -> None:
    with pytest.raises(NotPainted, match="no frames"):
        check([], [])


def test_a_file_is_compared_with_its_input(tmp_path: Path) -> None:
    clip = clips.render(tmp_path, (64, 48), 5)
    with pytest.raises(NotPainted, match="is the input"):
        check_file(clip, clip)
