"""What a painted picture is judged by during training.

Normalisation is stated once, here: every term is a ratio or a mean over pixels in 0..1, so that the
weights in a training config mean the same for any loss network and any picture size.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from allaprima.exporters.networks import pack, unpack
from allaprima.exporters.vgg import Features

Statistics = dict[str, tuple[Tensor, Tensor]]
FLAT = 0.03
"""Least size of an artwork's covariance in `style_loss`, as a share of its squared mean."""


def statistics(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean ``(N, C)`` and covariance ``(N, C, C)`` over the positions of ``(N, C, H, W)`` features.

    In fp32, or fp64 where the features are.
    """
    mean, covariance = _Statistics.apply(features)  # type: ignore[no-untyped-call]
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
        wide = torch.promote_types(features.dtype, torch.float32)
        return mean.to(wide), torch.bmm(centred.transpose(1, 2), centred).to(wide) / (h * w)

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

    An artwork of one flat color has no covariance to measure by: ``|C(s)|`` counts as at least `FLAT` times
    ``|m(s)|^2``.  Of 18 paintings, in any layer of VGG-19 or the distilled net, the least has 0.054, so that
    for them nothing changes.  A layer that the artwork leaves at 0 is left out.
    """
    terms = []
    for layer, (mean, covariance) in artwork.items():
        m, c = statistics(painted[layer])
        level = mean.square().sum(1)
        texture = torch.maximum(covariance.square().sum((1, 2)), (FLAT * level).square())
        terms.append(_relative((m - mean).square().sum(1), level))
        terms.append(_relative((c - covariance).square().sum((1, 2)), texture))
    return torch.stack(terms).sum(0) / len(artwork)


def gram_loss(painted: Features, artwork: Statistics) -> Tensor:
    """Style as Gatys et al. (CVPR 2016) measure it, made relative: mean over layers of ``|G(o)-G(s)|^2 / |G(s)|^2``.

    ``(N,)``.  The Gram matrix per position is ``C + m m^T``, so the artworks' statistics serve for both losses.
    """
    terms = []
    for layer, theirs in artwork.items():
        gram, wanted = (c + m[:, :, None] * m[:, None] for m, c in (statistics(painted[layer]), theirs))
        terms.append(_relative((gram - wanted).square().sum((1, 2)), wanted.square().sum((1, 2))))
    return torch.stack(terms).mean(0)


def content_loss(painted: Tensor, photo: Tensor) -> Tensor:
    """``|F(o) - F(c)|^2 / |F(c)|^2`` of the content features, averaged over the batch.

    A photo without any feature, which has nothing to keep, counts as 0.
    """
    difference, whole = (painted - photo).flatten(1), photo.flatten(1)
    wide = torch.promote_types(painted.dtype, torch.float32)
    norm = torch.linalg.vector_norm
    return _relative(norm(difference, dim=1, dtype=wide), norm(whole, dim=1, dtype=wide)).square().mean()


def _relative(difference: Tensor, size: Tensor) -> Tensor:
    """``difference / size``, and 0 where the size is 0: there nothing can be compared."""
    return difference / size.masked_fill(size == 0, torch.inf)


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
