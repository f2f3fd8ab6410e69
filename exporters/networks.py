"""The generators: encoder, bank and decoder, in torch.

Ours is a StyleBank (Chen et al., CVPR 2017) that never leaves YUV 4:2:0.  A *packed picture* is
``(N, 24, H/4, W/4)``: 16 channels of luma (space-to-depth 4) and 2 x 4 channels of chroma
(space-to-depth 2 of the half-size planes), BT.709, scaled so that black is -1, white is +1 and
chroma spans -1..+1.  So no full-size tensor exists anywhere, and a decoded video frame is repacked,
not converted.

The encoder gives two feature maps of a quarter of the picture's size, and the bank has filters for both:

* ``deep``  ``(N, 48, H/4, W/4)``: what is in the picture; normalised, sees about 100 pixels;
* ``fine``  ``(N, 16, H/4, W/4)``: not normalised, so color and brightness survive.

`PaperStyleBank` is the network of the paper, to compare with.  Only layers that ONNX, OpenVINO and
TensorRT share.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PACKED_CHANNELS = 24
STRIDE = 8  # height and width of the luma plane must be multiples of this
DEEP, FINE = 48, 16  # channels of the two feature maps

Filters = dict[str, Tensor]
Maps = tuple[Tensor, ...]


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
    """Residual block of two 3x3 convolutions; the one norm is inside, so the trunk keeps its level."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.norm = InstanceNorm(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.relu(self.norm(self.first(x))))


class Encoder(nn.Module):
    """Packed picture to ``(deep, fine)`` features."""

    def __init__(self, deep: int = DEEP, fine: int = FINE) -> None:
        super().__init__()
        self.head = nn.Conv2d(PACKED_CHANNELS, deep + fine, 3, padding=1)
        self.norm = InstanceNorm(deep)
        self.blocks = nn.Sequential(Block(deep), Block(deep))

    def forward(self, packed: Tensor) -> tuple[Tensor, Tensor]:
        deep = self.norm.weight.shape[0]
        both = self.head(packed)
        return self.blocks(F.relu(self.norm(both[:, :deep]))), F.relu(both[:, deep:])


def conv_filters(channels: int, generator: torch.Generator | None, gain: float = 1.0) -> Tensor:
    """Random weights of a 3x3 convolution that keeps the variance of what passes a ReLU."""
    spread = gain * (2 / (9 * channels)) ** 0.5
    return torch.randn(channels, channels, 3, 3, generator=generator) * spread


def even(kernel: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """Kernels whose four luma channels (the 2x2 pixels of a cell) answer an even area alike.

    Without it every flat wall carries a faint grid of two pixels, which thousands of steps do not remove.
    """
    sums = kernel[:4].mean((2, 3), keepdim=True)
    luma = kernel[:4] + (sums.mean(0, keepdim=True) - sums)
    return torch.cat([luma, kernel[4:]]), torch.cat([bias[:4].mean().expand(4), bias[4:]])


def repack(half: Tensor) -> Tensor:
    """``(N, 6, H/2, W/2)``, four luma pixels of a cell and two chroma, to a packed picture.

    Not one pixel-unshuffle and a reordering of channels: OpenVINO 2026.4 merges such a gather into a
    convolution behind it (the matrix of a BT.601 stream) with the order inverted.
    """
    return pack(F.pixel_shuffle(half[:, :4], 2), half[:, 4:])


class Decoder(nn.Module):
    """Features to a packed picture, unclamped.

    The last two convolutions work at half size: with a single linear one at a quarter, in its place, the
    strokes took twice as many steps and stayed blurred.
    """

    def __init__(self, deep: int = DEEP, fine: int = FINE) -> None:
        super().__init__()
        self.join = nn.Conv2d(fine, deep, 1)
        self.blocks = nn.Sequential(Block(deep), Block(deep))
        self.rise = nn.Conv2d(deep, deep // 2, 3, padding=1)
        self.kernel = nn.Parameter(torch.randn(6, deep // 2, 3, 3) * (2 / (9 * deep)) ** 0.5)
        self.bias = nn.Parameter(torch.zeros(6))

    def half(self, deep: Tensor, fine: Tensor) -> Tensor:
        """Features at half size, ``(N, deep / 2, H/2, W/2)``, for the last convolution."""
        x = F.relu(self.blocks(deep + self.join(fine)))
        return F.relu(self.rise(F.interpolate(x, scale_factor=2, mode="nearest")))

    def forward(self, deep: Tensor, fine: Tensor) -> Tensor:
        kernel, bias = even(self.kernel, self.bias)
        return repack(F.conv2d(self.half(deep, fine), kernel, bias, padding=1))


class StyleBankNet(nn.Module, ABC):
    """What every network here has: an encoder, a bank of styles, a decoder.

    ``maps`` names the feature maps that lie between them.  A subclass says what one style's filters are
    (`new_filters`) and what they do to features (`apply_filters`).
    """

    maps: tuple[str, ...]
    encoder: nn.Module
    """Packed picture to feature maps, or to the one there is."""
    decoder: nn.Module
    """Feature maps to a packed picture, unclamped."""

    def __init__(self) -> None:
        super().__init__()
        self.bank = nn.ModuleDict()

    def add_styles(self, names: Sequence[str], filters: Filters) -> None:
        """Styles that all start from the same filters mix well later."""
        for name in names:
            self.bank[name] = nn.ParameterDict({k: nn.Parameter(v.clone()) for k, v in filters.items()})

    @abstractmethod
    def new_filters(self, generator: torch.Generator | None = None) -> Filters:
        """Random filters of one style."""

    @abstractmethod
    def apply_filters(self, maps: Maps, filters: Filters, strength: Tensor | float) -> Maps:
        """Features through one style's filters; ``strength`` in 0..1 mixes with the untouched ones."""

    def features(self, packed: Tensor) -> Maps:
        found = self.encoder(packed)
        return (found,) if isinstance(found, Tensor) else found

    def styled(self, maps: Maps, styles: Sequence[str | None], strength: float = 1.0) -> Maps:
        """Features of a batch, each through the filters of its own style; ``None`` leaves them alone."""
        singles = list(zip(*(m.split(1) for m in maps), strict=True))
        painted = [
            single if name is None else self.apply_filters(single, dict(self.bank[name].items()), strength)
            for single, name in zip(singles, styles, strict=True)
        ]
        return tuple(torch.cat(m) for m in zip(*painted, strict=True))

    def forward(self, packed: Tensor, styles: Sequence[str | None], strength: float = 1.0) -> Tensor:
        """Paint each picture of a batch in its own style; ``None`` is the auto-encoder."""
        painted: Tensor = self.decoder(*self.styled(self.features(packed), styles, strength))
        return painted


class Generator(StyleBankNet):
    """The network of the shipped bundle."""

    maps = ("deep", "fine")

    def __init__(self, styles: Sequence[str], deep: int = DEEP, fine: int = FINE, seed: int = 0) -> None:
        super().__init__()
        self.widths = (deep, fine)
        self.encoder = Encoder(deep, fine)
        self.decoder = Decoder(deep, fine)
        self.add_styles(styles, self.new_filters(torch.Generator().manual_seed(seed)))

    def new_filters(self, generator: torch.Generator | None = None) -> Filters:
        deep, fine = self.widths
        return {
            "deep1": conv_filters(deep, generator),
            "deep1_scale": torch.ones(deep),
            "deep1_shift": torch.zeros(deep),
            "deep2": conv_filters(deep, generator, 0.5),
            "deep2_bias": torch.zeros(deep),
            "fine1": conv_filters(fine, generator, 0.5),
            "fine1_bias": torch.zeros(fine),
        }

    def apply_filters(self, maps: Maps, filters: Filters, strength: Tensor | float) -> Maps:
        """Deep features: convolution, conditional instance norm, ReLU, convolution; fine: one linear convolution."""
        deep, fine = maps
        x = F.conv2d(deep, filters["deep1"], padding=1)
        x = F.relu(instance_norm(x, filters["deep1_scale"], filters["deep1_shift"]))
        x = F.conv2d(x, filters["deep2"], padding=1) + filters["deep2_bias"].view(1, -1, 1, 1)
        y = F.conv2d(fine, filters["fine1"], padding=1) + filters["fine1_bias"].view(1, -1, 1, 1)
        return deep + strength * (x - deep), fine + strength * (y - fine)


class PaperEncoder(nn.Module):
    """Packed picture to ``(N, 4w, H/4, W/4)`` features by way of RGB: 9x9, then two convolutions of stride 2."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c1, self.n1 = nn.Conv2d(3, width, 9, padding=4), InstanceNorm(width)
        self.c2, self.n2 = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1), InstanceNorm(2 * width)
        self.c3, self.n3 = nn.Conv2d(2 * width, 4 * width, 3, stride=2, padding=1), InstanceNorm(4 * width)

    def forward(self, packed: Tensor) -> Tensor:
        luma, chroma = unpack(packed)
        x = torch.cat([luma, F.interpolate(chroma, scale_factor=2, mode="nearest")], 1)
        for conv, norm in ((self.c1, self.n1), (self.c2, self.n2), (self.c3, self.n3)):
            x = F.relu(norm(conv(x)))
        return x


class PaperDecoder(nn.Module):
    """The mirror of `PaperEncoder`; nearest x2 and a convolution instead of a strided one, which leaves dots."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c3, self.n3 = nn.Conv2d(4 * width, 2 * width, 3, padding=1), InstanceNorm(2 * width)
        self.c2, self.n2 = nn.Conv2d(2 * width, width, 3, padding=1), InstanceNorm(width)
        self.c1 = nn.Conv2d(width, 3, 9, padding=4)

    def forward(self, features: Tensor) -> Tensor:
        x = features
        for conv, norm in ((self.c3, self.n3), (self.c2, self.n2)):
            x = F.relu(norm(conv(F.interpolate(x, scale_factor=2, mode="nearest"))))
        x = self.c1(x)
        return pack(x[:, :1], F.avg_pool2d(x[:, 1:], 2))


class PaperStyleBank(StyleBankNet):
    """StyleBank as published (section 3.2), on YUV instead of RGB: one bare convolution is a style.

    Being linear, its mixtures are exact: the features of a mix are the mix of the features.
    """

    maps = ("deep",)

    def __init__(self, styles: Sequence[str], width: int = 32, seed: int = 0) -> None:
        super().__init__()
        self.width = width
        self.encoder = PaperEncoder(width)
        self.decoder = PaperDecoder(width)
        self.add_styles(styles, self.new_filters(torch.Generator().manual_seed(seed)))

    def new_filters(self, generator: torch.Generator | None = None) -> Filters:
        return {"deep1": conv_filters(4 * self.width, generator)}

    def apply_filters(self, maps: Maps, filters: Filters, strength: Tensor | float) -> Maps:
        (deep,) = maps
        return (deep + strength * (F.conv2d(deep, filters["deep1"], padding=1) - deep),)
