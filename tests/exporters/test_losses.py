"""Losses against values worked out by hand."""

import math
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install 'allaprima[train]'")

import torch.nn.functional as F  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

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


def test_each_picture_of_a_batch_is_judged_by_its_own_artwork() -> None:
    features = {"x": torch.randn(2, 3, 4, 5)}
    artworks = [{"x": losses.statistics(torch.randn(1, 3, 6, 6))} for _ in range(2)]
    together = losses.style_loss(features, losses.stack(artworks))
    alone = [losses.style_loss({"x": features["x"][i : i + 1]}, artworks[i]).item() for i in range(2)]
    assert together.tolist() == pytest.approx(alone, rel=1e-5)


# ---- users' own VGG ----


@pytest.fixture(scope="session")
def torchvision() -> Any:
    """A net as torchvision builds its VGG, to the end of block 3 or the layer after, with random weights."""

    def build(kind: int, deeper: bool = False) -> Any:
        torch.manual_seed(kind)
        plan: list[Any] = [64, 64, "M", 128, 128, "M", *[256] * (3 if kind == 16 else 4)]
        plan += ["M", 512] if deeper else []
        layers: list[Any] = []
        before = 3
        for width in plan:
            if width == "M":
                layers.append(torch.nn.MaxPool2d(2))
                continue
            layers += [torch.nn.Conv2d(before, width, 3, padding=1), torch.nn.ReLU()]
            torch.nn.init.normal_(layers[-2].weight, 0, (2 / (9 * before)) ** 0.5)
            before = width
        return torch.nn.Sequential(*layers)

    built: dict[Any, Any] = {}
    return lambda *how: built.setdefault(how, build(*how))


def state_of(features: Any, **more: Any) -> Any:
    """As ``vgg.state_dict()`` names them, in half precision, with a bit of the classifier."""
    state = {f"features.{name}": value.detach().half() for name, value in features.state_dict().items()}
    return state | {"classifier.0.weight": torch.zeros(4, 4), "classifier.0.bias": torch.zeros(4)} | more


@pytest.mark.parametrize(
    ("kind", "style", "places"),
    [
        (16, ("1_2", "2_2", "3_2", "3_3"), {"1_1": 1, "1_2": 3, "2_1": 6, "3_3": 15}),
        (19, ("1_2", "2_2", "3_2", "3_4"), {"1_1": 1, "1_2": 3, "2_1": 6, "3_3": 15, "3_4": 17}),
    ],
)
@pytest.mark.parametrize("name", ["vgg.pth", "old.pth", "vgg.safetensors"])
def test_a_users_vgg_gives_the_features_that_torchvision_gives(
    torchvision: Any, gray: Any, tmp_path: Any, kind: int, style: Any, places: Any, name: str
) -> None:
    features = torchvision(kind)
    if name.endswith("safetensors"):
        save_file(state_of(features), tmp_path / name)
    else:  # torchvision's own files are in the format from before torch 1.6
        torch.save(state_of(features), tmp_path / name, _use_new_zipfile_serialization=name != "old.pth")
    network = LossNetwork(tmp_path / name)
    assert (network.style_layers, network.content_layer) == (style, "3_3")
    found = network(gray)
    assert list(found) == list(network.layers)
    assert list(found)[-1] == style[-1]
    x = (gray - torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)) / torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    for layer, place in places.items():
        with torch.no_grad():
            wanted = features[: place + 1](x)
        assert (found[layer].float() - wanted).norm() < 0.01 * wanted.norm(), layer


def test_a_deeper_layer_is_there_where_the_file_has_it(torchvision: Any, gray: Any, tmp_path: Any) -> None:
    torch.save(state_of(torchvision(16, True)), tmp_path / "deep.pth")
    torch.save(state_of(torchvision(16)), tmp_path / "short.pth")
    network = LossNetwork(tmp_path / "deep.pth", "4_1")
    assert network.coarse_layers == ("3_3", "4_1")
    assert network(gray)["4_1"].shape == (1, 512, 4, 5)
    assert list(network(gray, "3_4"))[-1] == "3_3", "VGG-19's name of the end of block 3"
    with pytest.raises(ConfigError, match=r"features\.17\.weight is missing") as caught:
        LossNetwork(tmp_path / "short.pth", "4_1")
    assert "up to relu4_1" in caught.value.hint
    with pytest.raises(ValueError, match="no layer 4_1"):
        LossNetwork(tmp_path / "short.pth")(gray, "4_1")


def test_a_vgg_19_cut_short_says_what_is_missing(torchvision: Any, tmp_path: Any) -> None:
    state = state_of(torchvision(19))
    del state["features.10.bias"]
    torch.save(state, tmp_path / "cut.pth")
    with pytest.raises(ConfigError, match=r"cut\.pth is not a whole VGG-16 or VGG-19: features\.10\.weight"):
        LossNetwork(tmp_path / "cut.pth")


def write_other(path: Any, what: str) -> None:
    whole: Any = {"features.0.weight": torch.zeros(64, 3, 3, 3), "features.0.bias": torch.zeros(64)}
    if what == "resnet":
        whole = {"conv1.weight": torch.zeros(64, 3, 7, 7), "bn1.running_mean": torch.zeros(64)}
    elif what == "vgg19_bn":
        whole |= {"features.1.weight": torch.zeros(64), "features.1.running_mean": torch.zeros(64)}
    elif what == "alexnet":
        whole |= {"features.0.weight": torch.zeros(64, 3, 11, 11)}
    elif what == "narrow":
        whole = {"features.0.weight": torch.zeros(16, 3, 3, 3), "features.0.bias": torch.zeros(16)}
    elif what == "vgg11":
        whole |= {"features.3.weight": torch.zeros(128, 64, 3, 3), "features.16.weight": torch.zeros(512, 512, 3, 3)}
    elif what == "foreign names":
        whole = {"stem.weight": torch.zeros(1)}
    elif what == "list":
        whole = [torch.zeros(3)]
    elif what == "model":
        whole = torch.nn.Linear(2, 2)
    torch.save(whole, path)
    if what.startswith("torn"):
        torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, path, _use_new_zipfile_serialization=what == "torn")
        path.write_bytes(path.read_bytes()[:-3000])
    elif what == "text":
        path.write_text("<html>404 not found</html>")
    elif what == "empty":
        path.write_bytes(b"")
    elif what == "missing":
        path.unlink()


@pytest.mark.parametrize(
    ("what", "why", "hint"),
    [
        ("resnet", "batch normalisation", "plain vgg16 and vgg19"),
        ("vgg19_bn", "batch normalisation", "plain vgg16 and vgg19"),
        ("alexnet", "1_1 is 64 x 3 x 11 x 11, not 64 x 3 x 3 x 3", "plain vgg16 and vgg19"),
        ("narrow", "1_1 is 16 x 3 x 3 x 3, not 64 x 3 x 3 x 3", "plain vgg16 and vgg19"),
        ("vgg11", r"features\.2\.weight is missing", "up to relu3_4"),
        ("foreign names", "neither features", "plain vgg16 and vgg19"),
        ("list", "something else than tensors", "state_dict"),
        ("model", "not a file of tensors alone", "state_dict"),
        ("text", "not a file of tensors", "state_dict"),
        ("torn", "cut short", "again"),
        ("torn old", "cut short", "again"),
        ("empty", "cut short", "again"),
        ("missing", "cannot be read: No such file", "check the path"),
    ],
)
def test_what_is_no_plain_vgg_is_refused_with_the_reason(tmp_path: Any, what: str, why: str, hint: str) -> None:
    write_other(tmp_path / "net.pth", what)
    with pytest.raises(ConfigError, match=rf"net\.pth.*{why}") as caught:
        LossNetwork(tmp_path / "net.pth")
    assert hint in caught.value.hint
    assert "\n" not in str(caught.value)


def test_a_net_of_ours_with_a_shape_that_does_not_follow_is_refused(loss_file: Any, tmp_path: Any) -> None:
    tensors = load_file(loss_file("plain.safetensors"))
    tensors["conv2_1.weight"] = torch.zeros(6, 5, 3, 3)
    save_file(tensors, tmp_path / "odd.safetensors")
    with pytest.raises(ConfigError, match="layer 2_1 is 6 x 5 x 3 x 3, not 6 x 4 x 3 x 3"):
        LossNetwork(tmp_path / "odd.safetensors")


def test_the_weights_go_to_the_device(loss_file: Any) -> None:
    network = LossNetwork(loss_file("plain.safetensors"), device="meta")
    features = network(torch.zeros(2, 3, 32, 32, device="meta"))
    assert network.device == torch.device("meta")
    assert {weight.device.type for weight in network._weights.values()} == {"meta"}
    assert {str(f.device) for f in features.values()} == {"meta"}
    assert {f.dtype for f in features.values()} == {torch.bfloat16}
