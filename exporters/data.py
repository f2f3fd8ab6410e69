"""Pictures for training: photos to paint, artworks to learn from."""

import random
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from allaprima.realtime.errors import ConfigError

PICTURES = {".jpg", ".jpeg", ".png", ".webp"}


def load_picture(path: Path, short_side: int) -> Tensor:
    """``(3, H, W)`` uint8 RGB, resized so that its short side is ``short_side``."""
    bgr = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if bgr is None:
        raise ConfigError(f"{path} is not a picture that can be read")
    scale = short_side / min(bgr.shape[:2])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    size = (max(short_side, round(bgr.shape[1] * scale)), max(short_side, round(bgr.shape[0] * scale)))
    rgb = cv2.cvtColor(cv2.resize(bgr, size, interpolation=how), cv2.COLOR_BGR2RGB)
    return torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1)))


def load_photos(folder: Path, prefixes: list[str], short_side: int) -> list[Tensor]:
    """All photos of a folder whose names start with one of ``prefixes`` (none given: all)."""
    if not folder.is_dir():
        raise ConfigError(f"no folder of photos at {folder}", "set photos in the training config")
    names = tuple(prefixes) or ("",)
    files = [p for p in sorted(folder.iterdir()) if p.suffix.lower() in PICTURES and p.name.startswith(names)]
    if not files:
        raise ConfigError(f"no photos in {folder}", "it wants .jpg, .png or .webp files")
    return [load_picture(p, short_side) for p in files]


def random_crops(photos: list[Tensor], count: int, side: int, chance: random.Random) -> Tensor:
    """``(count, 3, side, side)`` in 0..1: crops, mirrored half of the time, at varied exposure."""
    return torch.stack([_crop(chance.choice(photos), side, chance) for _ in range(count)])


def _crop(photo: Tensor, side: int, chance: random.Random) -> Tensor:
    top = chance.randint(0, photo.shape[1] - side)
    left = chance.randint(0, photo.shape[2] - side)
    x = photo[:, top : top + side, left : left + side].float() / 255
    if chance.random() < 0.5:
        x = x.flip(2)
    if chance.random() < 0.5:
        x = x.clamp_min(1e-3) ** chance.uniform(0.6, 1.6) * chance.uniform(0.75, 1.0)
    return x
