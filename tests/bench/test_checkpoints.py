"""Other people's networks are read bit by bit as they were written, and refused when they are something else."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="these networks need torch: pip install 'allaprima[train]'")

from allaprima.bench import checkpoints  # noqa: E402
from allaprima.bench.rival import random_net  # noqa: E402
from allaprima.realtime.errors import ConfigError  # noqa: E402

MEASURING = Path(__file__).resolve().parents[3] / "shared/data/checkpoints"
RGB = np.random.default_rng(0).integers(0, 255, (32, 40, 3), np.uint8)


@pytest.fixture(scope="module")
def net() -> Any:
    """Random, with values that fp16 holds exactly and no norm like another."""
    net = random_net()
    with torch.no_grad():
        for index, value in enumerate(net.parameters()):
            if value.dim() == 1:
                value.copy_(torch.linspace(0.5, 1.5, len(value)) + index / 100)
            value.copy_(value.half())
    return net


def as_ncnn(net: Any) -> bytes:
    """In the order in which the README of the measuring data gives them: written down here by hand."""
    found = b""
    blocks = [(f"res{block}", k) for block in range(1, 6) for k in (1, 2)]
    convs = [
        "conv1",
        "conv2",
        "conv3",
        *(f"{b}.conv{k}" for b, k in blocks),
        "deconv1",
        "deconv2",
        "deconv3",
    ]
    norms = ["in1", "in2", "in3", *(f"{b}.in{k}" for b, k in blocks), "in4", "in5", ""]
    state = {name: value.numpy() for name, value in net.state_dict().items()}
    for conv, norm in zip(convs, norms, strict=True):
        found += bytes([0x47, 0x6B, 0x30, 0x01]) + state[f"{conv}.conv2d.weight"].astype("<f2").tobytes()
        found += state[f"{conv}.conv2d.bias"].astype("<f4").tobytes()
        if norm:
            found += state[f"{norm}.weight"].astype("<f4").tobytes() + state[f"{norm}.bias"].astype("<f4").tobytes()
    return found


def test_an_ncnn_file_gives_the_network_back(net: Any, tmp_path: Path) -> None:
    (tmp_path / "net.bin").write_bytes(as_ncnn(net))
    found = checkpoints.load(tmp_path / "net.bin").state_dict()
    for name, value in net.state_dict().items():
        assert torch.equal(found[name], value), name


def test_a_pth_file_gives_the_network_back(net: Any, tmp_path: Path) -> None:
    old = {"in1.running_mean": torch.zeros(32), "in1.running_var": torch.ones(32)}
    torch.save({**net.state_dict(), **old}, tmp_path / "net.pth")
    painted = checkpoints.paint(checkpoints.load(tmp_path / "net.pth"), RGB)
    assert np.array_equal(painted, checkpoints.paint(net, RGB))
    assert (painted.shape, painted.dtype) == (RGB.shape, np.uint8)
    assert painted.std() > 1


def test_what_is_no_network_is_told(net: Any, tmp_path: Path) -> None:
    whole = as_ncnn(net)
    for name, data, why in (
        ("short.bin", whole[:-4], "cannot be read"),
        ("long.bin", whole + b"1234", "4 bytes too many"),
        ("other.bin", b"1234" + whole[4:], "no ncnn weights"),
        ("text.pth", b"text", "cannot be read"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ConfigError, match=why):
            checkpoints.load(tmp_path / name)
    with pytest.raises(ConfigError, match="cannot be read"):
        checkpoints.load(tmp_path / "nothing.bin")
    torch.save({"conv1.conv2d.weight": torch.zeros(1)}, tmp_path / "part.pth")
    with pytest.raises(ConfigError, match="cannot be read"):
        checkpoints.load(tmp_path / "part.pth")


class Trap:
    def __reduce__(self) -> Any:
        return os.mkdir, ("trap",)


def test_nothing_in_a_file_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"conv1.conv2d.weight": Trap()}, tmp_path / "trap.pth")
    with pytest.raises(ConfigError, match="cannot be read"):
        checkpoints.load(tmp_path / "trap.pth")
    assert not (tmp_path / "trap").exists()


def write_lengstrom(folder: Path) -> dict[str, Any]:
    """Random variables of the right shapes; kernels (h, w, in, out), the transposed ones (h, w, out, in)."""
    rng = np.random.default_rng(0)
    kernels = [(9, 9, 3, 32), (3, 3, 32, 64), (3, 3, 64, 128), *[(3, 3, 128, 128)] * 10]
    kernels += [(3, 3, 64, 128), (3, 3, 32, 64), (9, 9, 32, 3)]
    values, manifest = {}, {}
    for k, shape in enumerate(kernels):
        channels = shape[2] if k in (13, 14) else shape[3]
        for index, dims in ((3 * k, shape), (3 * k + 1, (channels,)), (3 * k + 2, (channels,))):
            name = f"Variable_{index}" if index else "Variable"
            values[name] = rng.random(dims, np.float32) - np.float32(0.5 * (len(dims) > 1))
            manifest[name] = {"filename": name, "shape": list(dims)}
            (folder / name).write_bytes(values[name].astype("<f4").tobytes())
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return values


def test_a_lengstrom_folder_gives_its_network(tmp_path: Path) -> None:
    values = write_lengstrom(tmp_path)
    net: Any = checkpoints.load(tmp_path)
    kernel, shift, scale = net._values[1]
    assert kernel[5, 7, 0, 2] == values["Variable_3"][0, 2, 7, 5]
    assert np.array_equal(shift, values["Variable_4"])
    assert np.array_equal(scale, values["Variable_5"])
    assert net._values[13][0][5, 7, 0, 2] == values["Variable_39"][0, 2, 7, 5]
    painted = net(torch.from_numpy(RGB.transpose(2, 0, 1))[None].float())
    assert painted.shape == (1, 3, 32, 40)
    assert (painted - 127.5).abs().max() <= 150
    assert painted.std() > 1


def test_a_folder_of_other_shapes_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"manifest\.json"):
        checkpoints.load(tmp_path)
    write_lengstrom(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    manifest["Variable"]["shape"] = [9, 9, 32, 3]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ConfigError, match="other shapes"):
        checkpoints.load(tmp_path)


def test_tensorflow_pads_behind_an_even_picture() -> None:
    assert checkpoints.same_padding(9, 1) == [4, 4]
    assert checkpoints.same_padding(3, 1) == [1, 1]
    assert checkpoints.same_padding(3, 2) == [0, 1]


def test_upsampling_is_the_transpose_of_halving(tmp_path: Path) -> None:
    """TensorFlow defines it so; the norms are taken out here, since they are not linear."""
    write_lengstrom(tmp_path)
    net: Any = checkpoints.load(tmp_path)
    net._norm = lambda x, layer: x
    net._values[1] = net._values[14]
    small, large = torch.randn(1, 64, 4, 6), torch.randn(1, 32, 8, 12)
    up, down = net._upsample(small, 14), net._conv(large, 1, stride=2)
    assert float((up * large).sum()) == pytest.approx(float((small * down).sum()), rel=1e-3)


@pytest.mark.needs_data
@pytest.mark.skipif(not MEASURING.is_dir(), reason="needs the measuring data beside the checkout")
def test_one_network_in_both_formats_paints_the_same() -> None:
    ncnn = checkpoints.load(MEASURING / "fast_neural_style_ncnn/candy.bin")
    pth = checkpoints.load(MEASURING / "fast_neural_style_pth_converted/candy.pth")
    assert np.array_equal(checkpoints.paint(ncnn, RGB), checkpoints.paint(pth, RGB))


@pytest.mark.needs_data
@pytest.mark.skipif(not MEASURING.is_dir(), reason="needs the measuring data beside the checkout")
def test_the_shared_styles_are_there() -> None:
    for _, place in checkpoints.SHARED.values():
        assert checkpoints.paint(checkpoints.load(MEASURING / place), RGB).std() > 10
