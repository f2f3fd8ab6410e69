"""The kernels of follow against the reference."""

from typing import Any

import cv2
import numpy as np
import pytest

from allaprima.kernels.follow import believe, ease, easing, follow
from allaprima.kernels.reference import follow as reference

from .fake_cupy import FakeCupy

SHAPES = [(1, 1), (9, 40), (33, 70)]


def motion(shape: tuple[int, int], seed: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 6, (*shape, 2)).astype(np.float32), rng.random(shape, np.float32)


@pytest.mark.parametrize("mean", [0.05, 0.5])
def test_follow_is_the_reference(cupy: Any, mean: float) -> None:
    for shape in SHAPES:
        step, before = motion(shape, 1), motion(shape, 2)
        step = (step[0], step[1] * np.float32(mean) / step[1].mean())
        measured = cupy.asarray(np.float32([step[1].mean()]))
        found = follow(*(tuple(map(cupy.asarray, each)) for each in (step, before)), measured, 0.1)
        for one, other in zip(found, reference.follow(step, before, 0.1), strict=True):
            np.testing.assert_allclose(one.get(), other, atol=1e-3, err_msg=f"{shape}")


def test_what_is_no_number_is_no_index(cupy: Any) -> None:
    step, before = motion((9, 40), 1), motion((9, 40), 2)
    step[0][2:4] = np.nan
    flow, _ = follow(*(tuple(map(cupy.asarray, each)) for each in (step, before)), cupy.ones(1, np.float32), 0.1)
    assert np.isnan(flow.get()).sum() == 2 * 2 * 40


@pytest.mark.parametrize(("mean", "weight", "known"), [(0.5, 0.9, True), (0.05, 0.9, False), (0.5, 0.0, False)])
def test_easing_is_the_reference(cupy: Any, mean: float, weight: float, known: bool) -> None:
    rng = np.random.default_rng(4)
    for shape in SHAPES:
        trust, differences = rng.random(shape, np.float32), rng.normal(0, 30, (3, *shape)).astype(np.float32)
        scalars = [cupy.asarray(np.float32([value])) for value in (mean, weight)]
        found = easing(cupy.asarray(trust), cupy.asarray(differences), scalars[0], 0.1, scalars[1])
        expected = reference.easing(trust, *(differences / np.float32(255))) if known else np.zeros_like(trust)
        np.testing.assert_allclose(found.get(), expected, atol=1e-6, err_msg=f"{shape}")


def test_ease_is_the_reference(cupy: Any) -> None:
    rng = np.random.default_rng(4)
    for height, width in SHAPES:
        share = rng.random((height, width), np.float32)
        for shape in ((2 * height, 2 * width), (2, height, width)):
            held, carried = (rng.uniform(0, 255, shape).astype(np.float32) for _ in range(2))
            target, large = cupy.asarray(carried), cv2.resize(share, shape[:-3:-1], interpolation=cv2.INTER_LINEAR)
            assert ease(cupy.asarray(held), target, cupy.asarray(share)) is target
            planes = zip(held.reshape(-1, *shape[-2:]), carried.reshape(-1, *shape[-2:]), strict=True)
            eased = np.stack([reference.ease(*each, large) for each in planes]).reshape(shape)
            np.testing.assert_allclose(target.get(), eased, atol=0.01, err_msg=f"{shape}")


def test_believe_is_the_reference(cupy: Any) -> None:
    for shape in SHAPES:
        step = motion(shape, 3)
        found = believe(tuple(map(cupy.asarray, step)), 2).get()
        np.testing.assert_allclose(found, reference.believe(step, 2), atol=1e-6)


def test_one_launch_each_on_the_stream_without_memory(emulated: FakeCupy) -> None:
    one, other, out = (tuple(map(emulated.asarray, motion((9, 40), seed))) for seed in range(3))
    mean, decided, stream = (
        emulated.ones(1, np.float32),
        emulated.empty((3, 9, 40, 4), np.float32),
        emulated.cuda.Stream(),
    )
    differences = emulated.empty((3, 9, 40), np.float32)
    with emulated.no_allocation():
        assert follow(one, other, mean, 0.1, out=out, stream=stream) == out
        assert believe(out, 4, out=decided, stream=stream) is decided
        assert easing(one[1], differences, mean, 0.1, mean, out=out[1], stream=stream) is out[1]
        assert ease(one[1], other[1], out[1], stream=stream) is other[1]
    assert [(launched.kernel, launched.stream) for launched in emulated.launches] == [
        ("follow", stream),
        ("believe", stream),
        ("easing", stream),
        ("ease", stream),
    ]


def test_what_does_not_fit_is_refused(emulated: FakeCupy) -> None:
    one, other = (tuple(map(emulated.asarray, motion((9, 40), seed))) for seed in range(2))
    mean = emulated.ones(1, np.float32)
    with pytest.raises(ValueError, match=r"confidence must have the shape \(9, 40\)"):
        follow((one[0], one[1].reshape(40, 9)), other, mean, 0.1)
    with pytest.raises(ValueError, match=r"flow before must have the shape \(9, 40, 2\)"):
        follow(one, (other[0].reshape(40, 9, 2), other[1]), mean, 0.1)
    with pytest.raises(ValueError, match=r"mean_trust must have the shape \(1\)"):
        follow(one, other, emulated.ones(2, np.float32), 0.1)
    with pytest.raises(ValueError, match=r"carried must have the shape \(9, 40\)"):
        ease(one[1], other[1].reshape(40, 9), one[1])
    with pytest.raises(ValueError, match=r"differences must have the shape \(3, 9, 40\)"):
        easing(one[1], emulated.empty((2, 9, 40), np.float32), mean, 0.1, mean)
    with pytest.raises(ValueError, match=r"weight must have the shape \(1\)"):
        easing(one[1], emulated.empty((3, 9, 40), np.float32), mean, 0.1, emulated.ones(2, np.float32))
    with pytest.raises(ValueError, match="out must have the shape"):
        believe(one, 1, out=emulated.empty((2, 9, 40, 4), np.float32))
