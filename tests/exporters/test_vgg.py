"""The loss network: what it computes, and which files it takes."""

from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install 'allaprima[train]'")

import torch.nn.functional as F  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from allaprima.exporters.vgg import CONTENT_LAYER, MEAN, STYLE_LAYERS, LossNetwork  # noqa: E402
from allaprima.realtime.errors import ConfigError  # noqa: E402


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


@pytest.fixture
def gray() -> Any:
    return torch.rand(1, 3, 32, 40)


def test_features_have_the_layers_and_sizes_of_vgg(loss_file: Any, gray: Any) -> None:
    found = LossNetwork(loss_file("plain.safetensors"))(gray, "4_1")
    sizes = {"1": (4, 32, 40), "2": (6, 16, 20), "3": (8, 8, 10), "4": (8, 4, 5)}
    assert {name: tuple(f.shape[1:]) for name, f in found.items()} == {name: sizes[name[0]] for name in found}
    assert list(found)[-1] == "4_1"
    assert {*STYLE_LAYERS, CONTENT_LAYER} <= found.keys()
    assert all(f.min() >= 0 for f in found.values())


def test_it_goes_no_further_than_asked(loss_file: Any, gray: Any) -> None:
    assert list(LossNetwork(loss_file("plain.safetensors"))(gray, "2_1")) == ["1_1", "1_2", "2_1"]


def test_a_plain_vgg_takes_the_mean_off_and_pads_with_zeros(loss_file: Any, gray: Any) -> None:
    path = loss_file("plain.safetensors")
    weight = load_file(path)["conv1_1.weight"]
    x = gray * 255 - torch.tensor(MEAN).view(1, 3, 1, 1)
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
