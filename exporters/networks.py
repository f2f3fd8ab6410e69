"""The generator: encoder, bank and decoder, in torch.

It is a StyleBank (Chen et al., CVPR 2017) that never leaves YUV 4:2:0.  A *packed picture* is
``(N, 24, H/4, W/4)``: 16 channels of luma (space-to-depth 4) and 2 x 4 channels of chroma
(space-to-depth 2 of the half-size planes), BT.709, scaled so that black is -1, white is +1 and
chroma spans -1..+1.  So no full-size tensor exists anywhere, and a decoded video frame is repacked,
not converted.

The encoder gives two feature maps, and the bank has filters for both:

* ``deep``  ``(N, 64, H/8, W/8)``: what is in the picture; normalised, wide receptive field;
* ``fine``  ``(N, 32, H/4, W/4)``: edges and color, not normalised, so color survives.

Only layers that ONNX, OpenVINO and TensorRT share.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PACKED_CHANNELS = 24
STRIDE = 8  # height and width of the luma plane must be multiples of this

Filters = dict[str, Tensor]


def pack(y: Tensor, uv: Tensor) -> Tensor:
    """Luma ``(N, 1, H, W)`` and chroma ``(N, 2, H/2, W/2)`` to a packed picture ``(N, 24, H/4, W/4)``."""
    return torch.cat([F.pixel_unshuffle(y, 4), F.pixel_unshuffle(uv, 2)], 1)


def unpack(packed: Tensor) -> tuple[Tensor, Tensor]:
    """Inverse of `pack`."""
    return F.pixel_shuffle(packed[:, :16], 4), F.pixel_shuffle(packed[:, 16:], 2)


def instance_norm(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Instance normalisation with fp32 statistics; ``weight`` and ``bias`` are ``(C,)``.

    Written by hand because the stock backward is about ten times slower on a CPU; exported as the one
    operator that runtimes have a fused kernel for.
    """
    if torch.onnx.is_in_onnx_export():
        # Not F.instance_norm: its check of the size is a Python `if` that the tracer warns of.
        return torch.instance_norm(x, weight, bias, None, None, True, 0.0, 1e-5, False)
    var, mean = torch.var_mean(x.float(), dim=(2, 3), keepdim=True, correction=0)
    scale = weight.view(1, -1, 1, 1) * torch.rsqrt(var + 1e-5)
    return x * scale + (bias.view(1, -1, 1, 1) - mean * scale)


class InstanceNorm(nn.Module):
    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        return instance_norm(x, self.weight, self.bias)


class Block(nn.Module):
    """Residual block: depthwise 7x7 (56 pixels of the picture), norm, and two 1x1 convolutions.

    A quarter of the arithmetic of two dense 3x3 convolutions, with a larger receptive field.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.spread = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = InstanceNorm(channels)
        self.widen = nn.Conv2d(channels, 2 * channels, 1)
        self.narrow = nn.Conv2d(2 * channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):  # a CPU's bf16 depthwise backward is 3x slower
            spread = self.spread(x.float())
        return x + self.narrow(F.relu(self.widen(self.norm(spread))))


class Encoder(nn.Module):
    """Packed picture to ``(deep, fine)`` features."""

    def __init__(self, deep: int = 64, fine: int = 32) -> None:
        super().__init__()
        self.head = nn.Conv2d(PACKED_CHANNELS, fine, 3, padding=1)
        self.down = nn.Conv2d(fine, deep, 3, stride=2, padding=1)
        self.norm = InstanceNorm(deep)
        self.blocks = nn.Sequential(Block(deep), Block(deep))

    def forward(self, packed: Tensor) -> tuple[Tensor, Tensor]:
        fine = F.relu(self.head(packed))
        return self.blocks(F.relu(self.norm(self.down(fine)))), fine


def new_filters(deep: int = 64, fine: int = 32, generator: torch.Generator | None = None) -> Filters:
    """Random filters of one style.  Styles that start from the same filters mix well later."""

    def conv(out: int, into: int) -> Tensor:
        return torch.randn(out, into, 3, 3, generator=generator) * (2 / (9 * into)) ** 0.5

    return {
        "deep1": conv(deep, deep),
        "deep1_scale": torch.ones(deep),
        "deep1_shift": torch.zeros(deep),
        "deep2": conv(deep, deep) * 0.5,
        "deep2_bias": torch.zeros(deep),
        "fine1": conv(fine, fine) * 0.5,
        "fine1_bias": torch.zeros(fine),
    }


def apply_bank(deep: Tensor, fine: Tensor, filters: Filters, strength: Tensor | float) -> tuple[Tensor, Tensor]:
    """One style's filters on the features; ``strength`` 0 leaves them as they are (the auto-encoder).

    Deep features go through convolution, conditional instance norm, ReLU and convolution; the fine
    ones through one linear convolution.  ``strength`` in 0..1 mixes with the untouched features.
    """
    x = F.relu(
        instance_norm(F.conv2d(deep, filters["deep1"], padding=1), filters["deep1_scale"], filters["deep1_shift"])
    )
    x = F.conv2d(x, filters["deep2"], padding=1) + filters["deep2_bias"].view(1, -1, 1, 1)
    y = F.conv2d(fine, filters["fine1"], padding=1) + filters["fine1_bias"].view(1, -1, 1, 1)
    return deep + strength * (x - deep), fine + strength * (y - fine)


def even(kernel: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Kernels whose four luma channels (the 2x2 pixels of a cell) answer an even area alike.

    Without it every flat wall carries a faint grid of two pixels, which thousands of steps do not remove.
    """
    sums = kernel[:4].mean((2, 3), keepdim=True)
    luma = kernel[:4] + (sums.mean(0, keepdim=True) - sums)
    return torch.cat([luma, kernel[4:]]), torch.cat([bias[:4].mean().expand(4), bias[4:]])


def to_phase(kernel: Tensor, row: int, column: int) -> Tensor:
    """What a 5x5 kernel behind nearest x2 is for one of the 2x2 outputs of a pixel: a 3x3 kernel."""
    padded = F.pad(kernel, (column, 1 - column, row, 1 - row))  # 6x6, aligned to pairs
    return F.avg_pool2d(padded, 2) * 4


def unfold_head(weight: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """The kernel and bias of a `Decoder` from what its `head` gave."""
    fine = weight.shape[1]
    luma = weight[:16].view(2, 2, 2, 2, fine, 3, 3).permute(1, 3, 0, 2, 4, 5, 6).reshape(4, 4, fine, 3, 3)
    phases = torch.cat([luma, weight[16:].view(2, 4, fine, 3, 3)]).permute(1, 3, 4, 0, 2).reshape(36, 6 * fine)
    basis = torch.eye(25).view(25, 5, 5)
    folding = torch.stack([to_phase(basis, row, column) for row in range(2) for column in range(2)])  # (4, 25, 3, 3)
    kernel = torch.linalg.lstsq(folding.transpose(0, 1).reshape(25, 36).T.double(), phases.double()).solution
    halves = bias[:16].view(2, 2, 2, 2).permute(1, 3, 0, 2).reshape(4, 4).mean(1)
    return kernel.T.reshape(6, fine, 5, 5).to(weight.dtype), torch.cat([halves, bias[16:].view(2, 4).mean(1)])


class Decoder(nn.Module):
    """Features to a packed picture, unclamped."""

    def __init__(self, deep: int = 64, fine: int = 32) -> None:
        super().__init__()
        self.deep_block = Block(deep)
        self.up = nn.Conv2d(deep, fine, 1)
        self.fine_blocks = nn.Sequential(Block(fine), Block(fine))
        # Nearest x2 then a 5x5 convolution to 4 luma + 2 chroma channels at half size, written as the
        # one 3x3 convolution at quarter size that it equals: neighbouring output pixels share their
        # kernel, which is what keeps the sub-pixel "screen door" away.
        self.kernel = nn.Parameter(torch.randn(6, fine, 5, 5) * (1 / (25 * fine)) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(6))

    def head(self) -> tuple[Tensor, Tensor]:
        """Weight ``(24, fine, 3, 3)`` and bias ``(24,)`` of the convolution that ends the net."""
        kernel, bias = even(self.kernel, self.bias)
        phases = torch.stack([to_phase(kernel, row, column) for row in range(2) for column in range(2)], 1)
        luma = phases[:4].view(2, 2, 2, 2, *phases.shape[2:])  # sub-row, sub-column, row, column
        luma = luma.permute(2, 0, 3, 1, 4, 5, 6).reshape(16, *phases.shape[2:])
        chroma = phases[4:].reshape(8, *phases.shape[2:])
        bias = torch.cat([bias[:4].view(2, 2).repeat(2, 2).flatten(), bias[4:].repeat_interleave(4)])
        return torch.cat([luma, chroma]), bias

    def features(self, deep: Tensor, fine: Tensor) -> Tensor:
        up = F.interpolate(self.up(self.deep_block(deep)), scale_factor=2, mode="bilinear", align_corners=False)
        return F.relu(self.fine_blocks(F.relu(up + fine)))

    def forward(self, deep: Tensor, fine: Tensor) -> Tensor:
        weight, bias = self.head()
        return F.conv2d(self.features(deep, fine), weight, bias, padding=1)


class Generator(nn.Module):
    """Encoder, a bank of styles, and decoder."""

    def __init__(self, styles: list[str], deep: int = 64, fine: int = 32, seed: int = 0) -> None:
        super().__init__()
        self.encoder = Encoder(deep, fine)
        self.decoder = Decoder(deep, fine)
        first = new_filters(deep, fine, torch.Generator().manual_seed(seed))
        self.bank = nn.ModuleDict(
            {name: nn.ParameterDict({k: nn.Parameter(v.clone()) for k, v in first.items()}) for name in styles}
        )

    def forward(self, packed: Tensor, styles: list[str | None], strength: float = 1.0) -> Tensor:
        """Paint each picture of a batch in its own style; ``None`` is the auto-encoder."""
        deep, fine = self.encoder(packed)
        painted = [
            (d, f) if name is None else apply_bank(d, f, dict(self.bank[name].items()), strength)
            for d, f, name in zip(deep.split(1), fine.split(1), styles, strict=True)
        ]
        return self.decoder(torch.cat([d for d, _ in painted]), torch.cat([f for _, f in painted]))
