"""The network of pytorch/examples: its names, its weights from a seed, its bytes."""

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from allaprima.bench import rival  # noqa: E402


def test_published_weights_have_its_names() -> None:
    names = set(rival.TransformerNet().state_dict())
    assert {"conv1.conv2d.weight", "in3.bias", "res5.in2.weight", "deconv2.conv2d.bias", "in5.weight"} <= names
    assert len(names) == 62


def test_weights_are_the_same_in_every_process() -> None:
    one, other = (rival.random_net().state_dict() for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_picture_is_painted_and_clamped() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (12, 20, 3), np.uint8)
    painted = rival.paint(rival.random_net(), rgb)
    assert (painted.shape, painted.dtype) == (rgb.shape, np.uint8)
    assert painted.std() > 10

    bright = torch.nn.Conv2d(3, 3, 1)
    torch.nn.init.dirac_(bright.weight)
    torch.nn.init.constant_(bright.bias, 100.9)
    assert np.array_equal(rival.paint(bright, rgb), np.minimum(rgb.astype(int) + 100, 255))


def test_tuned_is_the_same_network_in_sixteen_bits() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (16, 24, 3), np.uint8)
    net = rival.random_net()
    painted = rival.paint(net, rgb)
    tuned = rival.Tuned(net)
    assert tuned.kind in (torch.bfloat16, torch.float16)
    off = np.abs(rival.paint(tuned, rgb).astype(int) - painted).mean()
    assert 0 < off < 4


def test_an_export_names_what_goes_in_and_out(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    rival.export(rival.random_net(), (8, 12), tmp_path / "net.onnx")
    graph = onnx.load(tmp_path / "net.onnx").graph
    assert [value.name for value in graph.input] == ["rgb"]
    assert [value.name for value in graph.output] == ["painted"]
    assert [side.dim_value for side in graph.input[0].type.tensor_type.shape.dim] == [1, 3, 8, 12]
