"""Losses against values worked out by hand."""

import math
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install 'allaprima[train]'")

from allaprima.exporters import losses  # noqa: E402
from allaprima.exporters.losses import pack_rgb, unpack_rgb  # noqa: E402
from allaprima.exporters.networks import unpack  # noqa: E402
from allaprima.exporters.vgg import STYLE_LAYERS, LossNetwork  # noqa: E402


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


# ---- RGB and packed pictures ----


@pytest.mark.parametrize(
    ("rgb", "yuv"),
    [
        ((0, 0, 0), (-1, 0, 0)),
        ((1, 1, 1), (1, 0, 0)),
        ((1, 0, 0), (2 * 0.2126 - 1, -0.2126 / 0.9278, 1)),
        ((0, 0, 1), (2 * 0.0722 - 1, 1, -0.0722 / 0.7874)),
    ],
)
def test_rgb_becomes_bt709_between_minus_one_and_one(rgb: Any, yuv: Any) -> None:
    luma, chroma = unpack(pack_rgb(torch.tensor(rgb, dtype=torch.float32).view(1, 3, 1, 1).expand(1, 3, 8, 8)))
    found = [luma[0, 0, 3, 3], chroma[0, 0, 1, 1], chroma[0, 1, 1, 1]]
    assert [value.item() for value in found] == pytest.approx(yuv, abs=1e-6)


def test_unpacking_undoes_packing_where_color_is_smooth() -> None:
    gray = torch.rand(1, 1, 16, 24)
    tint = torch.tensor([0.1, 0.0, -0.1]).view(1, 3, 1, 1)
    rgb = (gray * 0.8 + 0.1 + tint).expand(1, 3, 16, 24)
    torch.testing.assert_close(unpack_rgb(pack_rgb(rgb)), rgb, atol=1e-5, rtol=0)


def test_a_chroma_sample_is_the_mean_of_its_four_pixels() -> None:
    rgb = torch.zeros(1, 3, 8, 8)
    rgb[0, 2, 0, 0] = 1  # one blue pixel of four
    _, chroma = unpack(pack_rgb(rgb))
    assert chroma[0, 0, 0, 0].item() == pytest.approx(0.25)
    assert chroma[0, 0, 0, 1].item() == 0


# ---- terms ----


def test_statistics_are_mean_and_covariance_over_positions() -> None:
    features = torch.tensor([[[[1.0, 3.0]], [[2.0, 6.0]]]])
    mean, covariance = losses.statistics(features)
    assert mean.tolist() == [[2, 4]]
    assert covariance.tolist() == [[[1, 2], [2, 4]]]


def test_style_loss_is_relative_in_mean_and_covariance() -> None:
    artwork = {"x": (torch.tensor([[2.0, 0.0]]), torch.tensor([[[1.0, 0.0], [0.0, 2.0]]]))}
    painted = {"x": torch.tensor([[[[1.0, 3.0]], [[-1.0, 1.0]]]])}  # mean (2, 0), covariance all 1
    assert losses.style_loss(painted, artwork).item() == pytest.approx((0 + 1 + 1 + 1) / 5)
    shifted = {"x": painted["x"] + 1}  # mean (3, 1): (1 + 1) / 4
    assert losses.style_loss(shifted, artwork).item() == pytest.approx(3 / 5 + 2 / 4)


def test_style_loss_is_a_mean_over_layers_and_0_for_the_artwork_itself() -> None:
    features = {"x": torch.randn(1, 3, 4, 5), "y": torch.randn(1, 2, 6, 6)}
    artwork = {name: losses.statistics(f) for name, f in features.items()}
    assert losses.style_loss(features, artwork).item() == pytest.approx(0, abs=1e-6)
    moved = features | {"x": 2 * features["x"]}
    assert losses.style_loss(moved, artwork).item() == pytest.approx((1 + 9) / 2, rel=1e-4)


def test_style_does_not_depend_on_where_things_are() -> None:
    features = torch.randn(1, 3, 4, 6)
    artwork = {"x": losses.statistics(features)}
    assert losses.style_loss({"x": features.flip(3)}, artwork).item() == pytest.approx(0, abs=1e-6)


def test_content_loss_is_relative_for_each_picture() -> None:
    photo = torch.ones(2, 1, 2, 2) * torch.tensor([1.0, 10.0]).view(2, 1, 1, 1)
    painted = photo * torch.tensor([1.5, 1.1]).view(2, 1, 1, 1)
    assert losses.content_loss(painted, photo).item() == pytest.approx((0.25 + 0.01) / 2)


def test_total_variation_adds_both_directions() -> None:
    stripes = torch.tensor([0.0, 1.0]).repeat(4).view(1, 1, 1, 8).expand(1, 3, 8, 8)
    assert losses.total_variation(stripes).item() == 1
    ramp = torch.arange(8.0).view(1, 1, 8, 1).expand(1, 3, 8, 8) / 10 + torch.arange(8.0) / 5
    assert losses.total_variation(ramp).item() == pytest.approx(0.3)


def test_only_what_no_screen_can_show_is_out_of_range() -> None:
    rgb = torch.tensor([0.0, 0.5, 1.0, -0.2, 1.4]).view(1, 1, 1, 5)
    assert losses.out_of_range(rgb).item() == pytest.approx((0.04 + 0.16) / 5)


def test_identity_loss_is_the_mean_square_error() -> None:
    assert losses.identity_loss(torch.full((1, 24, 2, 2), 0.5), torch.zeros(1, 24, 2, 2)).item() == 0.25


def test_gram_loss_is_relative_to_the_artworks_gram_matrix() -> None:
    artwork = {"x": (torch.tensor([[1.0, 0.0]]), torch.tensor([[[1.0, 0.0], [0.0, 2.0]]]))}  # Gram (2 0; 0 2)
    painted = {"x": torch.tensor([[[[1.0, 3.0]], [[-1.0, 1.0]]]])}  # Gram (5 1; 1 1)
    assert losses.gram_loss(painted, artwork).tolist() == pytest.approx([(9 + 1 + 1 + 1) / 8])
    two = {"x": torch.randn(2, 3, 4, 5), "y": torch.randn(2, 3, 4, 5)}
    same = {layer: losses.statistics(features[:1]) for layer, features in two.items()}
    first, second = losses.gram_loss(two, same).tolist()
    assert first < 1e-10
    assert second > 0.01


def flat_artwork(level: float, **changes: float) -> Any:
    """Statistics of two channels at ``level`` without any variation."""
    return {"x": (torch.full((1, 2), level), torch.zeros(1, 2, 2) + changes.get("variation", 0))}


def test_a_flat_artwork_is_measured_by_a_share_of_its_mean() -> None:
    painted = {"x": torch.tensor([[[[1.0, 3.0]], [[3.0, 1.0]]]])}  # mean (2, 2), covariance (1 -1; -1 1)
    assert losses.style_loss(painted, flat_artwork(2.0)).item() == pytest.approx(4 / (losses.FLAT * 8) ** 2, rel=1e-5)
    even = {"x": torch.full((1, 2, 3, 3), 2.0)}
    assert losses.style_loss(even, flat_artwork(2.0)).item() == 0
    assert losses.style_loss({"x": even["x"] * 1.5}, flat_artwork(2.0)).item() == pytest.approx(0.25)


def test_an_artwork_with_texture_is_measured_by_its_own_covariance() -> None:
    painted = {"x": torch.full((1, 2, 3, 3), 2.0)}
    least = losses.FLAT * 8 / 2  # a covariance of this in all four places is as large as the floor
    assert losses.style_loss(painted, flat_artwork(2.0, variation=1.01 * least)).item() == pytest.approx(1)
    assert losses.style_loss(painted, flat_artwork(2.0, variation=0.5 * least)).item() == pytest.approx(0.25)


@pytest.mark.parametrize("loss", [losses.style_loss, losses.gram_loss])
def test_a_layer_that_the_artwork_leaves_dark_is_left_out(loss: Any) -> None:
    painted = torch.rand(1, 2, 3, 3, requires_grad=True)
    value = loss({"x": painted}, flat_artwork(0.0))
    value.sum().backward()
    assert value.tolist() == [0]
    assert painted.grad is not None
    assert painted.grad.abs().sum() == 0


def test_a_photo_without_features_has_no_content_to_keep() -> None:
    photo = torch.stack([torch.zeros(1, 2, 2), torch.ones(1, 2, 2)])
    assert losses.content_loss(photo + 0.5, photo).item() == pytest.approx(0.25 / 2)


def test_each_picture_of_a_batch_is_judged_by_its_own_artwork() -> None:
    features = {"x": torch.randn(2, 3, 4, 5)}
    artworks = [{"x": losses.statistics(torch.randn(1, 3, 6, 6))} for _ in range(2)]
    together = losses.style_loss(features, losses.stack(artworks))
    alone = [losses.style_loss({"x": features["x"][i : i + 1]}, artworks[i]).item() for i in range(2)]
    assert together.tolist() == pytest.approx(alone, rel=1e-5)


SMALL = (1, 2, 3, 3)


@pytest.mark.parametrize(
    "loss",
    [
        lambda x: losses.content_loss(x, torch.ones(SMALL, dtype=x.dtype)),
        lambda x: losses.style_loss({"x": x}, {"x": losses.statistics(torch.eye(6).view(1, 2, 3, 6).to(x) + 1)}),
        lambda x: losses.style_loss({"x": x}, {"x": losses.statistics(torch.ones(SMALL).to(x))}),
        lambda x: losses.gram_loss({"x": x}, {"x": losses.statistics(torch.eye(6).view(1, 2, 3, 6).to(x) + 1)}),
        lambda x: losses.out_of_range(3 * x),
        lambda x: losses.identity_loss(x, torch.zeros(SMALL, dtype=x.dtype)),
        losses.total_variation,
        lambda x: losses.statistics(x),
    ],
    ids=["content", "style", "style of a flat artwork", "gram", "range", "identity", "variation", "statistics"],
)
def test_the_gradient_of_every_loss_is_the_true_one(loss: Any) -> None:
    assert torch.autograd.gradcheck(loss, torch.randn(SMALL, dtype=torch.float64, requires_grad=True))


def test_the_losses_are_finite_for_a_black_picture(loss_file: Any) -> None:
    network = LossNetwork(loss_file("plain.safetensors"))
    features = network(torch.zeros(1, 3, 32, 32))
    artwork = {k: losses.statistics(network(torch.rand(1, 3, 32, 32))[k]) for k in STYLE_LAYERS}
    assert math.isfinite(losses.style_loss({k: features[k] for k in artwork}, artwork))
