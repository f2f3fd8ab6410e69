"""Instance norm in NumPy: against PyTorch's and that of the nets, and the running average worked out by hand."""

from typing import Any

import numpy as np
import pytest

from allaprima.kernels.reference.norm import EPSILON, apply, statistics


def features_of(shape: tuple[int, int, int], seed: int = 0) -> Any:
    rng = np.random.default_rng(seed)
    return (rng.normal(0, 1, shape) * rng.uniform(0.1, 5, (shape[0], 1, 1)) + 3).astype(np.float32)


def test_it_is_the_norm_of_the_nets() -> None:
    torch = pytest.importorskip("torch")
    networks = pytest.importorskip("allaprima.exporters.networks")
    features, rng = features_of((5, 13, 17)), np.random.default_rng(1)
    weight, bias = (rng.normal(1, 0.3, 5).astype(np.float32) for _ in range(2))
    ours = apply(features, statistics(features), weight, bias)
    given = [torch.from_numpy(array) for array in (features[None], weight, bias)]
    torchs = torch.nn.functional.instance_norm(given[0], weight=given[1], bias=given[2], eps=EPSILON)
    np.testing.assert_allclose(ours, torchs[0].numpy(), atol=2e-5)
    np.testing.assert_allclose(ours, networks.instance_norm(*given)[0].numpy(), atol=2e-5)


def test_the_variance_is_the_biased_one() -> None:
    np.testing.assert_allclose(statistics(np.float32([[[1, 3]]])), [[2, 1]])
    np.testing.assert_array_equal(statistics(np.float32([[[7]]])), [[7, 0]])


def test_a_channel_without_contrast_becomes_its_bias() -> None:
    features = np.full((1, 4, 4), 7, np.float16)
    out = apply(features, statistics(features), np.float32([2]), np.float32([0.5]))
    assert out.dtype == np.float16
    assert (out == 0.5).all()


def test_statistics_follow_slowly() -> None:
    features = np.float32([[[0, 2]], [[10, 10]]])
    running = np.float32([[5, 5], [0, 4]])
    np.testing.assert_allclose(statistics(features, running, 0.25), [[4, 4], [2.5, 3]])
    np.testing.assert_allclose(statistics(features, running), statistics(features))


def test_what_is_not_known_is_taken_and_what_is_no_number_is_not() -> None:
    features = np.float32([[[0, 2]], [[np.nan, 1]], [[np.inf, 1]]])
    running = np.float32([[np.nan, 1], [3, 4], [5, 6]])
    np.testing.assert_array_equal(statistics(features, running, 0.5), [[1, 1], [3, 4], [5, 6]])
    assert not np.isfinite(statistics(features)[1:]).all(1).any()
