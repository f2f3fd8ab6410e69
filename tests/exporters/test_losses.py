"""Losses against values worked out by hand."""

import math
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install 'allaprima[train]'")

import torch.nn.functional as F  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

from allaprima.exporters import losses  # noqa: E402
from allaprima.exporters.losses import LossNetwork, pack_rgb, unpack_rgb  # noqa: E402
from allaprima.exporters.networks import unpack  # noqa: E402
from allaprima.realtime.errors import ConfigError  # noqa: E402


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


@pytest.mark.parametrize(
    "loss",
    [
        lambda x: losses.content_loss(x, torch.ones(1, 2, 3, 3)),
        lambda x: losses.style_loss({"x": x}, {"x": losses.statistics(torch.eye(6).view(1, 2, 3, 6) + 1)}),
        lambda x: losses.out_of_range(3 * x),
        lambda x: losses.identity_loss(x, torch.zeros(1, 2, 3, 3)),
        losses.total_variation,
    ],
    ids=["content", "style", "range", "identity", "variation"],
)
def test_every_loss_falls_along_its_gradient(loss: Any) -> None:
    x = torch.randn(1, 2, 3, 3, requires_grad=True)
    before = loss(x)
    before.backward()
    step = 1e-3 / x.grad.norm()
    fallen = before.item() - loss(x - step * x.grad).item()
    assert fallen == pytest.approx((step * x.grad.square().sum()).item(), rel=0.1)


# ---- the loss network ----


@pytest.fixture
def gray() -> Any:
    return torch.rand(1, 3, 32, 40)


def test_features_have_the_layers_and_sizes_of_vgg(loss_file: Any, gray: Any) -> None:
    found = LossNetwork(loss_file("plain.safetensors"))(gray, "4_1")
    sizes = {"1": (4, 32, 40), "2": (6, 16, 20), "3": (8, 8, 10), "4": (8, 4, 5)}
    assert {name: tuple(f.shape[1:]) for name, f in found.items()} == {name: sizes[name[0]] for name in found}
    assert list(found)[-1] == "4_1"
    assert set(losses.STYLE_LAYERS) | set(losses.COARSE_LAYERS) | {losses.CONTENT_LAYER} <= found.keys()
    assert all(f.min() >= 0 for f in found.values())


def test_it_goes_no_further_than_asked(loss_file: Any, gray: Any) -> None:
    assert list(LossNetwork(loss_file("plain.safetensors"))(gray, "2_1")) == ["1_1", "1_2", "2_1"]


def test_a_plain_vgg_takes_the_mean_off_and_pads_with_zeros(loss_file: Any, gray: Any) -> None:
    path = loss_file("plain.safetensors")
    weight = load_file(path)["conv1_1.weight"]
    x = gray * 255 - torch.tensor(losses.MEAN).view(1, 3, 1, 1)
    expected = F.relu(F.conv2d(x, weight, padding=1))
    found = LossNetwork(path)(gray, "1_1")["1_1"].float()
    assert (found - expected).norm() < 0.02 * expected.norm()


def test_a_distilled_one_takes_0_to_1_and_pads_by_reflection(loss_file: Any, gray: Any) -> None:
    path = loss_file("distilled.safetensors", pre=True)
    expected = F.relu(F.conv2d(F.pad(gray, (1,) * 4, mode="reflect"), load_file(path)["conv1_1.weight"]))
    found = LossNetwork(path)(gray, "1_1")["1_1"].float()
    assert found.shape == (1, 4, 32, 40)
    assert (found - expected).norm() < 0.02 * expected.norm()


def test_a_file_that_ends_at_relu3_4_is_enough(loss_file: Any, gray: Any) -> None:
    assert list(LossNetwork(loss_file("short.safetensors", last="3_4"))(gray))[-1] == "3_4"


def test_a_file_that_is_no_vgg_is_refused(loss_file: Any, tmp_path: Any) -> None:
    with pytest.raises(ConfigError, match=r"conv3_1\.weight is missing"):
        LossNetwork(loss_file("other.safetensors", without="conv3_1.weight"))
    (tmp_path / "torn.safetensors").write_bytes(b"torn")
    for name in ("torn.safetensors", "nowhere.safetensors"):
        with pytest.raises(ConfigError, match="cannot be read"):
            LossNetwork(tmp_path / name)


def test_the_losses_are_finite_for_a_black_picture(loss_file: Any) -> None:
    network = LossNetwork(loss_file("plain.safetensors"))
    features = network(torch.zeros(1, 3, 32, 32))
    artwork = {k: losses.statistics(network(torch.rand(1, 3, 32, 32))[k]) for k in losses.STYLE_LAYERS}
    assert math.isfinite(losses.style_loss({k: features[k] for k in artwork}, artwork))


def test_the_gradient_of_the_statistics_is_the_true_one() -> None:
    features = torch.randn(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)

    def plain(x: Any) -> Any:
        flat = x.flatten(2)
        centred = flat - flat.mean(2, keepdim=True)
        return flat.mean(2), centred @ centred.transpose(1, 2) / 20

    weights = (torch.randn(2, 3), torch.randn(2, 3, 3))
    found, wanted = (
        torch.autograd.grad(sum((s * w).sum() for s, w in zip(of(features), weights, strict=True)), features)[0]
        for of in (losses.statistics, plain)
    )
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-5)


def test_each_picture_of_a_batch_is_judged_by_its_own_artwork() -> None:
    features = {"x": torch.randn(2, 3, 4, 5)}
    artworks = [{"x": losses.statistics(torch.randn(1, 3, 6, 6))} for _ in range(2)]
    together = losses.style_loss(features, losses.stack(artworks))
    alone = [losses.style_loss({"x": features["x"][i : i + 1]}, artworks[i]).item() for i in range(2)]
    assert together.tolist() == pytest.approx(alone, rel=1e-5)
