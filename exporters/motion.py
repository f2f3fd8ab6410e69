"""A made-up next frame: how a picture moves.

Steadiness is learned without videos (ReReVST, Wang et al. 2020, section 3.3): a smooth random motion of a
photo stands in for the camera's.
"""

import random

import torch
import torch.nn.functional as F
from torch import Tensor

from allaprima.exporters.networks import pack, unpack

MARGIN = 16
"""Pixels of repeated edge around a picture, as the engine pads its frames."""


def widened(packed: Tensor) -> Tensor:
    """A packed picture with the engine's margin of repeated edge around it."""
    luma, chroma = unpack(packed)
    return pack(
        F.pad(luma, (MARGIN,) * 4, mode="replicate"),
        F.pad(chroma, (MARGIN // 2,) * 4, mode="replicate"),
    ).contiguous(memory_format=torch.channels_last)


def pixel_grid(side: int) -> Tensor:
    """``(side, side, 2)``: each pixel's own ``(x, y)``."""
    return torch.stack(torch.meshgrid(*(torch.arange(side, dtype=torch.float32),) * 2, indexing="xy"), -1)


def random_motion(count: int, crop: int, side: int, chance: random.Random, seed: torch.Generator) -> Tensor:
    """Where each pixel of a view comes from: ``(count, side, side, 2)``, pixels ``(x, y)`` of the ``crop``.

    A view at a random place, moved by a smooth random field of up to a few pixels, or not at all: then by
    whole pixels, which leaves every one as sharp as it was.
    """
    room = crop - side
    origin = torch.tensor([chance.randint(room // 4, room - room // 4) for _ in range(2)], dtype=torch.float32)
    where = (pixel_grid(side) + origin).expand(count, side, side, 2)
    if chance.random() < 0.5:
        coarse = torch.randn(count, 2, 4, 4, generator=seed) * chance.uniform(0.5, 4.0)
        field = F.interpolate(coarse, size=(side, side), mode="bicubic", align_corners=True)
        where = where + field.permute(0, 2, 3, 1)
    return where


def sample(picture: Tensor, where: Tensor) -> Tensor:
    """``picture`` ``(N, C, H, W)`` at positions ``(N, h, w, 2)`` in its pixels, bicubic."""
    size = where.new_tensor([picture.shape[3], picture.shape[2]])
    grid = (where + 0.5) * 2 / size - 1
    return F.grid_sample(picture, grid, mode="bicubic", padding_mode="border", align_corners=False)
