"""Style networks that others trained, for one style each: read from their files, to be measured beside ours.

Nothing in them is run but convolutions: a ``.pth`` is opened with ``weights_only``, the others are plain numbers.
"""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from allaprima.bench.rival import ConvLayer, TransformerNet
from allaprima.realtime.errors import ConfigError

Picture = NDArray[np.uint8]

SHARED = {
    "udnie": ("pytorch/examples, udnie", "fast_neural_style_ncnn/udnie.bin"),
    "great-wave": ("lengstrom, wave", "deeplearnjs_lengstrom/wave"),
}
"""Our styles that others learned from the same artwork: whose network it is, and its place among the checkpoints."""
HALF_FLOATS = 0x01306B47
"""ncnn's mark before weights of 16 bits."""
LENGSTROM_LAYERS, LENGSTROM_EPS = 16, 1e-3
WIDTHS = (32, 64, 128)
"""Channels after each of the first three convolutions; both networks have five residual blocks at the last."""


def load(path: Path) -> nn.Module:
    """The network in a file or folder: RGB ``(N, 3, H, W)`` 0..255 in and out, not clamped, sides multiples of 4.

    A ``.bin`` is pytorch/examples' `TransformerNet` in ncnn's format, a ``.pth`` the same as PyTorch saves it,
    a folder a `LengstromNet` as its TensorFlow variables.  Raises `ConfigError` for what is none of them.
    """
    try:
        if path.is_dir():
            return read_lengstrom(path)
        return read_pth(path) if path.suffix == ".pth" else read_ncnn(path)
    except (OSError, EOFError, RuntimeError, ValueError, LookupError, TypeError, pickle.UnpicklingError) as error:
        raise ConfigError(f"checkpoint {path} cannot be read: {_one_line(error)}") from error


def paint(net: nn.Module, rgb: Picture) -> Picture:
    """Paint ``(H, W, 3)`` uint8 RGB."""
    with torch.no_grad():
        painted = net(torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1)))[None].float())
    return np.asarray(painted[0].clamp(0, 255).round().to(torch.uint8).permute(1, 2, 0).numpy())


# ---- pytorch/examples ----


def read_pth(path: Path) -> TransformerNet:
    """`TransformerNet` from a file of ``torch.save``."""
    state = torch.load(path, weights_only=True, map_location="cpu")
    # Files from before PyTorch 0.4 also hold running averages, which this instance norm never had a use for.
    kept = {name: value for name, value in state.items() if not name.endswith(("running_mean", "running_var"))}
    net = TransformerNet().eval()
    net.load_state_dict(kept)
    return net


def read_ncnn(path: Path) -> TransformerNet:
    """`TransformerNet` from ncnn's weights without their description: the order is the network's own.

    For each convolution the mark, its kernel (fp16, OIHW, filled up to 4 bytes) and bias (fp32), then for all
    but the last the scale and shift of its instance norm (fp32).
    """
    net = TransformerNet().eval()
    reader = _Reader(path.read_bytes())
    with torch.no_grad():
        for conv, norm in _layers(net):
            if reader.take("<u4", 1)[0] != HALF_FLOATS:
                raise ValueError("no ncnn weights of 16 bits")
            count = conv.conv2d.weight.numel()
            kernel = reader.take("<f2", count + count % 2)[:count]
            conv.conv2d.weight.copy_(torch.from_numpy(kernel.astype(np.float32)).view_as(conv.conv2d.weight))
            for values in (conv.conv2d.bias, *(() if norm is None else (norm.weight, norm.bias))):
                assert values is not None
                values.copy_(torch.from_numpy(reader.take("<f4", values.numel()).astype(np.float32)))
    reader.end()
    return net


def _layers(net: TransformerNet) -> list[tuple[ConvLayer, nn.InstanceNorm2d | None]]:
    """Convolutions and the norms behind them, in the order in which a picture meets them."""
    found: list[tuple[ConvLayer, nn.InstanceNorm2d | None]]
    found = [(net.conv1, net.in1), (net.conv2, net.in2), (net.conv3, net.in3)]
    for block in (net.res1, net.res2, net.res3, net.res4, net.res5):
        found += [(block.conv1, block.in1), (block.conv2, block.in2)]
    return [*found, (net.deconv1, net.in4), (net.deconv2, net.in5), (net.deconv3, None)]


class _Reader:
    """Numbers from bytes, one after the other; `ValueError` where they end too early or too late."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, kind: str, count: int) -> NDArray[Any]:
        found = np.frombuffer(self._data, kind, count, self._at)
        self._at += found.nbytes
        return found

    def end(self) -> None:
        if self._at != len(self._data):
            raise ValueError(f"{len(self._data) - self._at} bytes too many")


# ---- lengstrom/fast-style-transfer ----


class LengstromNet(nn.Module):
    """Engstrom's fast-style-transfer (TensorFlow, 2016): as Johnson et al., with zeros around the picture.

    ``values[k]`` is ``(kernel, shift, scale)`` of layer ``k``, kernels as PyTorch wants them: ``(O, I, h, w)``,
    of the two transposed ones ``(I, O, h, w)``.
    """

    def __init__(self, values: list[tuple[Tensor, Tensor, Tensor]]) -> None:
        super().__init__()
        self._values = values

    def forward(self, x: Tensor) -> Tensor:
        x = self._conv(x, 0).relu()
        x = self._conv(x, 1, stride=2).relu()
        x = self._conv(x, 2, stride=2).relu()
        for first in range(3, 13, 2):
            x = x + self._conv(self._conv(x, first).relu(), first + 1)
        x = self._upsample(x, 13).relu()
        x = self._upsample(x, 14).relu()
        return 150 * self._conv(x, 15).tanh() + 127.5

    def _conv(self, x: Tensor, layer: int, stride: int = 1) -> Tensor:
        kernel = self._values[layer][0]
        x = F.pad(x, same_padding(kernel.shape[2], stride) * 2)
        return self._norm(F.conv2d(x, kernel, stride=stride), layer)

    def _upsample(self, x: Tensor, layer: int) -> Tensor:
        height, width = (2 * side for side in x.shape[2:])
        wide = F.conv_transpose2d(x, self._values[layer][0], stride=2)
        return self._norm(wide[..., :height, :width], layer)

    def _norm(self, x: Tensor, layer: int) -> Tensor:
        _, shift, scale = self._values[layer]
        return F.instance_norm(x, weight=scale, bias=shift, eps=LENGSTROM_EPS)


def same_padding(size: int, stride: int) -> list[int]:
    """Zeros before and behind a picture of even sides that TensorFlow's "SAME" asks for: the odd one is behind."""
    before = (size - stride) // 2
    return [before, size - stride - before]


def read_lengstrom(folder: Path) -> LengstromNet:
    """`LengstromNet` from a folder as deeplearn.js had it: a manifest with shapes, fp32 values, kernels HWIO."""
    shapes = {name: each["shape"] for name, each in json.loads((folder / "manifest.json").read_text()).items()}

    def variable(index: int) -> Tensor:
        name = f"Variable_{index}" if index else "Variable"
        values = np.frombuffer((folder / name).read_bytes(), "<f4").astype(np.float32)
        return torch.from_numpy(values.reshape(shapes[name]))

    layers = [
        # (h, w, in, out) to (out, in, h, w); the transposed ones are (h, w, out, in) and come out (in, out, h, w).
        (variable(3 * k).permute(3, 2, 0, 1).contiguous(), variable(3 * k + 1), variable(3 * k + 2))
        for k in range(LENGSTROM_LAYERS)
    ]
    found = [tuple(kernel.shape) for kernel, _, _ in layers]
    if found != _lengstrom_shapes():
        raise ValueError("its kernels have other shapes than this network's")
    return LengstromNet(layers)


def _lengstrom_shapes() -> list[tuple[int, ...]]:
    thin, middle, wide = WIDTHS
    down = [(thin, 3, 9, 9), (middle, thin, 3, 3), (wide, middle, 3, 3)]
    up = [(wide, middle, 3, 3), (middle, thin, 3, 3)]
    return [*down, *[(wide, wide, 3, 3)] * 10, *up, (3, thin, 9, 9)]


def _one_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
