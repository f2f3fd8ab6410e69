"""What a painted picture is judged by during training.

Normalisation is stated once, here: every term is a ratio or a mean over pixels in 0..1, so that the
weights in a training config mean the same for any loss network and any picture size.
"""

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from allaprima.exporters.networks import pack, unpack
from allaprima.realtime.errors import ConfigError

Features = dict[str, Tensor]
Statistics = dict[str, tuple[Tensor, Tensor]]
MEAN = (123.68, 116.779, 103.939)
"""Mean RGB that the VGG nets subtract, of 255."""
LAYERS = ("1_1", "1_2", "pool", "2_1", "2_2", "pool", "3_1", "3_2", "3_3", "3_4", "pool", "4_1")
STYLE_LAYERS = ("1_2", "2_2", "3_2", "3_4")
COARSE_LAYERS = ("3_4", "4_1")
CONTENT_LAYER = "3_3"


class LossNetwork:
    """The first layers of VGG-19, or of a distilled net of its layout, from a safetensors file.

    Tensors are ``conv1_1.weight`` and so on, at least up to the layer ``deepest``.  A file with a ``pre``
    convolution takes pictures in 0..1 and pads by reflection; one without takes the mean off first, as
    the original does.
    """

    def __init__(self, path: Path, deepest: str = "3_4") -> None:
        try:
            tensors = load_file(path)
        except (OSError, SafetensorError) as error:
            raise ConfigError(f"loss network {path} cannot be read: {error}") from error
        needed = [f"conv{name}.weight" for name in LAYERS[: LAYERS.index(deepest) + 1] if name != "pool"]
        missing = [name for name in needed if name not in tensors]
        if missing:
            raise ConfigError(f"{path.name} is not a VGG-19: {missing[0]} is missing")
        self._weights = {k: v.to(torch.bfloat16) for k, v in tensors.items()}
        self._distilled = "pre.weight" in tensors

    def __call__(self, rgb: Tensor, last: str = "3_4") -> Features:
        """ReLU features of ``rgb`` ``(N, 3, H, W)`` in 0..1, by layer, up to ``last``."""
        if self._distilled:
            x = self._conv("pre", rgb.to(torch.bfloat16), 0)
        else:
            x = (rgb * 255 - rgb.new_tensor(MEAN).view(1, 3, 1, 1)).to(torch.bfloat16)
        x = x.contiguous(memory_format=torch.channels_last)
        found: Features = {}
        for layer in LAYERS:
            if layer == "pool":
                x = F.max_pool2d(x, 2)
                continue
            x = found[layer] = F.relu(self._conv(f"conv{layer}", x, 1))
            if layer == last:
                break
        return found

    def _conv(self, name: str, x: Tensor, padding: int) -> Tensor:
        if padding and self._distilled:
            x, padding = F.pad(x, (1, 1, 1, 1), mode="reflect"), 0
        return F.conv2d(x, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"], padding=padding)


def statistics(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean ``(N, C)`` and covariance ``(N, C, C)``, fp32, over the positions of ``(N, C, H, W)`` features."""
    mean, covariance = _Statistics.apply(features)
    return mean, covariance


class _Statistics(torch.autograd.Function):
    """Mean and covariance with a gradient that is one product in the features' own type.

    Left to autograd, the gradient of the largest layer makes six passes over fp32 copies of it and takes
    longer than all of VGG-19's convolutions: a step costs three times as much.
    """

    @staticmethod
    def forward(ctx: Any, features: Tensor) -> tuple[Tensor, Tensor]:
        n, c, h, w = features.shape
        flat = features.permute(0, 2, 3, 1).reshape(n, h * w, c)  # a view where the memory is channels-last
        mean = flat.mean(1)  # summed in fp32 whatever the type
        centred = flat - mean[:, None]
        ctx.save_for_backward(centred)
        ctx.size = (h, w)
        return mean.float(), torch.bmm(centred.transpose(1, 2), centred).float() / (h * w)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        to_mean, to_covariance = gradients
        (centred,) = ctx.saved_tensors
        n, positions, c = centred.shape
        both = (to_covariance + to_covariance.transpose(1, 2)) / positions
        mean = (to_mean / positions).to(centred.dtype)[:, None]
        gradient = torch.baddbmm(mean, centred, both.to(centred.dtype))
        return gradient.view(n, *ctx.size, c).permute(0, 3, 1, 2)


def stack(artworks: list[Statistics]) -> Statistics:
    """Statistics of several artworks as those of a batch, to judge one picture by each."""
    return {
        layer: (torch.cat([a[layer][0] for a in artworks]), torch.cat([a[layer][1] for a in artworks]))
        for layer in artworks[0]
    }


def style_loss(painted: Features, artwork: Statistics) -> Tensor:
    """How far the texture of ``N`` pictures is from that of their artworks, ``(N,)``: 0 is the artwork's own.

    Mean over layers of ``|m(o)-m(s)|^2 / |m(s)|^2 + |C(o)-C(s)|^2 / |C(s)|^2`` with mean and covariance
    of the features.  A plain Gram matrix is the sum of both, and its mean part outweighs the rest so
    much that a flat picture of the right average color already has a tenth of the loss.
    """
    terms = []
    for layer, (mean, covariance) in artwork.items():
        m, c = statistics(painted[layer])
        terms.append((m - mean).square().sum(1) / mean.square().sum(1))
        terms.append((c - covariance).square().sum((1, 2)) / covariance.square().sum((1, 2)))
    return torch.stack(terms).sum(0) / len(artwork)


def content_loss(painted: Tensor, photo: Tensor) -> Tensor:
    """``|F(o) - F(c)|^2 / |F(c)|^2`` of the content features, averaged over the batch."""
    difference, whole = (painted - photo).flatten(1), photo.flatten(1)
    norm = torch.linalg.vector_norm
    return (norm(difference, dim=1, dtype=torch.float32) / norm(whole, dim=1, dtype=torch.float32)).square().mean()


def total_variation(rgb: Tensor) -> Tensor:
    """Mean absolute difference of neighbours, horizontal plus vertical."""
    return (rgb[..., :, 1:] - rgb[..., :, :-1]).abs().mean() + (rgb[..., 1:, :] - rgb[..., :-1, :]).abs().mean()


def out_of_range(rgb: Tensor) -> Tensor:
    """Mean square of what lies outside 0..1: colors no screen can show."""
    return (rgb - rgb.clamp(0, 1)).square().mean()


def identity_loss(output: Tensor, packed: Tensor) -> Tensor:
    """Mean square error of the auto-encoder branch (StyleBank, eq. 1), on packed pictures."""
    return (output - packed).square().mean()


# ---- RGB and packed pictures ----

KR, KB = 0.2126, 0.0722


def pack_rgb(rgb: Tensor) -> Tensor:
    """RGB ``(N, 3, H, W)`` in 0..1 to a packed BT.709 picture; chroma is averaged over 2x2."""
    r, g, b = rgb.unbind(1)
    y = KR * r + (1 - KR - KB) * g + KB * b
    chroma = torch.stack([(b - y) / (1 - KB), (r - y) / (1 - KR)], 1)
    return pack((2 * y - 1).unsqueeze(1), F.avg_pool2d(chroma, 2))


def unpack_rgb(packed: Tensor) -> Tensor:
    """Inverse of `pack_rgb`, not clamped; chroma is interpolated."""
    luma, chroma = unpack(packed)
    u, v = F.interpolate(chroma, scale_factor=2, mode="bilinear", align_corners=False).unbind(1)
    y = (luma[:, 0] + 1) / 2
    b, r = y + (1 - KB) * u, y + (1 - KR) * v
    return torch.stack([r, (y - KR * r - KB * b) / (1 - KR - KB), b], 1)
