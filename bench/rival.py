"""What a user would take instead: the network of pytorch/examples, frame by frame, in PyTorch.

    python -m allaprima.bench.rival clip.mp4 out.mp4

prints one JSON object.  A process of its own, so that torch weighs on nobody else's memory.  Its weights are
random: good enough for a stopwatch, never for a picture.
"""

import json
import sys
import time
from typing import Any

import av
import torch
import torch.nn.functional as F
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


def paint_picture(net: nn.Module, picture: av.VideoFrame) -> av.VideoFrame:
    """As `neural_style.py eval` does it, but for the file of a picture."""
    rgb = torch.from_numpy(picture.to_ndarray(format="rgb24"))
    with torch.no_grad():
        painted = net(rgb.permute(2, 0, 1).float().unsqueeze(0))
    array = painted[0].clamp(0, 255).permute(1, 2, 0).byte().numpy()
    made = av.VideoFrame.from_ndarray(array, format="rgb24")
    made.pts, made.time_base = picture.pts, picture.time_base
    return made


def paint_file(source: str, output: str) -> dict[str, Any]:
    """Decode, paint and encode frame by frame.  ``steady_fps`` leaves out the first frame, the warm-up."""
    net = random_net()
    frames, first_done = 0, 0.0
    with av.open(source) as given, av.open(output, "w") as made:
        video: Any = given.streams.video[0]
        video.thread_type = "AUTO"
        stream: Any = made.add_stream("libx264", rate=video.average_rate)
        stream.width, stream.height, stream.pix_fmt = video.width, video.height, "yuv420p"
        stream.codec_context.time_base = video.time_base
        stream.options = {"preset": "superfast"}
        began = time.perf_counter()
        for picture in given.decode(video):
            made.mux(stream.encode(paint_picture(net, picture)))
            frames += 1
            first_done = first_done or time.perf_counter()
        made.mux(stream.encode(None))
    ended = time.perf_counter()
    return {
        "frames": frames,
        "seconds": ended - began,
        "first_frame_seconds": first_done - began,
        "steady_fps": (frames - 1) / (ended - first_done),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }


if __name__ == "__main__":
    print(json.dumps(paint_file(sys.argv[1], sys.argv[2])))
