"""What a user would take instead: the network of pytorch/examples, frame by frame, in PyTorch.

Its weights are random: good enough for a stopwatch, never for a picture.  `checkpoints` reads real ones.
"""

import warnings
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

SEED = 1


class ConvLayer(nn.Module):
    """A convolution padded by reflection, behind a nearest-neighbour upsampling where asked."""

    def __init__(self, come: int, go: int, kernel: int, stride: int = 1, upsample: int = 1) -> None:
        super().__init__()
        self.upsample = upsample
        self.padding = kernel // 2
        self.conv2d = nn.Conv2d(come, go, kernel, stride)

    def forward(self, x: Tensor) -> Tensor:
        if self.upsample > 1:
            x = F.interpolate(x, scale_factor=self.upsample, mode="nearest")
        padded = F.pad(x, [self.padding] * 4, mode="reflect")
        return self.conv2d(padded)  # type: ignore[no-any-return]


class ResidualBlock(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = ConvLayer(channels, channels, 3)
        self.in1 = nn.InstanceNorm2d(channels, affine=True)
        self.conv2 = ConvLayer(channels, channels, 3)
        self.in2 = nn.InstanceNorm2d(channels, affine=True)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.in2(self.conv2(F.relu(self.in1(self.conv1(x)))))  # type: ignore[no-any-return]


class TransformerNet(nn.Module):
    """Johnson et al., ECCV 2016, as pytorch/examples has it: RGB 0..255 in, RGB 0..255 out, not clamped."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.in1 = ConvLayer(3, 32, 9), nn.InstanceNorm2d(32, affine=True)
        self.conv2, self.in2 = ConvLayer(32, 64, 3, stride=2), nn.InstanceNorm2d(64, affine=True)
        self.conv3, self.in3 = ConvLayer(64, 128, 3, stride=2), nn.InstanceNorm2d(128, affine=True)
        self.res1, self.res2, self.res3, self.res4, self.res5 = (ResidualBlock(128) for _ in range(5))
        self.deconv1, self.in4 = ConvLayer(128, 64, 3, upsample=2), nn.InstanceNorm2d(64, affine=True)
        self.deconv2, self.in5 = ConvLayer(64, 32, 3, upsample=2), nn.InstanceNorm2d(32, affine=True)
        self.deconv3 = ConvLayer(32, 3, 9)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.in1(self.conv1(x)))
        x = F.relu(self.in2(self.conv2(x)))
        x = F.relu(self.in3(self.conv3(x)))
        for block in (self.res1, self.res2, self.res3, self.res4, self.res5):
            x = block(x)
        x = F.relu(self.in4(self.deconv1(x)))
        x = F.relu(self.in5(self.deconv2(x)))
        return self.deconv3(x)  # type: ignore[no-any-return]


def random_net() -> TransformerNet:
    """Random weights, scaled so that the encoder gets a picture of usual contrast around mid-gray."""
    torch.manual_seed(SEED)
    net = TransformerNet().eval()
    with torch.no_grad():
        net.deconv3.conv2d.weight.mul_(100)
        net.deconv3.conv2d.bias.fill_(127.5)
    return net


class Tuned(nn.Module):
    """The network in 16 bits where that is safe, and channels last."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net.to(memory_format=torch.channels_last)
        self.kind = torch.float16 if device() == "cuda" else torch.bfloat16

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, self.kind):
            painted = self.net(x.contiguous(memory_format=torch.channels_last))
        return painted.float()  # type: ignore[no-any-return]


def device() -> str:
    return "cuda" if torch.cuda.is_available() else "cpu"


def paint(net: nn.Module, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Paint ``(H, W, 3)`` uint8 RGB as ``neural_style.py eval`` does, where the network's weights lie."""
    there = next(net.parameters()).device
    with torch.inference_mode():
        painted = net(torch.from_numpy(rgb).to(there).permute(2, 0, 1).float().unsqueeze(0))
        return np.asarray(painted[0].clamp(0, 255).permute(1, 2, 0).byte().cpu().numpy())


def export(net: nn.Module, shape: tuple[int, int], file: Path) -> None:
    """Write it as ONNX for pictures of ``shape`` ``(height, width)``: ``rgb`` in, ``painted`` out."""
    given, names = torch.zeros(1, 3, *shape), {"input_names": ["rgb"], "output_names": ["painted"]}
    with warnings.catch_warnings():
        # The older of torch's two exporters, which it warns of: it needs no more packages.
        warnings.simplefilter("ignore")
        torch.onnx.export(net, (given,), f"{file}.part", opset_version=17, dynamo=False, **names)
    Path(f"{file}.part").rename(file)
