"""One more style for a trained bundle, from one picture, in minutes.

Encoder and decoder stay as they are and only a bank is trained (StyleBank, Chen et al., CVPR 2017,
section 3.4), so everything before the bank is computed once and kept: a step is the bank, the decoder
and the loss network, nothing else.
"""

import random
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from allaprima.exporters import losses
from allaprima.exporters.data import random_crops
from allaprima.exporters.motion import MARGIN, random_motion, sample, widened
from allaprima.exporters.networks import Filters, Maps, StyleBankNet
from allaprima.exporters.training import RIM, Judge
from allaprima.exporters.vgg import LossNetwork
from allaprima.realtime.errors import ConfigError

CROP = 256
VIEW = 192
"""Side of the moved view that a crop is compared with."""
BATCH = 4
HELD_OUT = 4
"""Crops that no step sees; they say which filters are the best."""
RATE, WARM_UP = 4e-3, 5
NAME = "new"


@dataclass(frozen=True)
class Weights:
    """Weights of the terms; those of `studio.toml`, where they are explained."""

    content: float = 2.2
    style: float = 5.0
    variation: float = 0.2
    steady: float = 0.4


@dataclass(frozen=True)
class Crop:
    """What the frozen part of the net makes of one crop, and of a moved, noisy view of it."""

    photo: Tensor
    """``(1, 3, CROP - 2 RIM, CROP - 2 RIM)`` in 0..1: the part that is judged."""
    maps: Maps
    where: Tensor
    """Position in the crop of each pixel of the view, as `random_motion` gives it."""
    view_maps: Maps


class Addition:
    """The training of one new bank.  The generator is never changed.

    ``artwork`` is ``(3, H, W)`` uint8 RGB, its short side the size at which strokes are learned;
    ``start`` names the style to start from, or is None: then the one that already comes nearest.
    Raises `ConfigError` for an unknown ``start``.
    """

    def __init__(
        self,
        generator: StyleBankNet,
        artwork: Tensor,
        photos: list[Tensor],
        network: LossNetwork,
        *,
        steps: int,
        crops: int = 64,
        start: str | None = None,
        weights: Weights | None = None,
        seed: int = 1,
    ) -> None:
        self.generator = generator.requires_grad_(False)
        self.steps, self.seed, self.done = steps, seed, 0
        self.weights = weights or Weights()
        self.device = torch.device(network.device)
        self._judge = Judge(network, {NAME: artwork})
        chance = random.Random(seed)
        torch.manual_seed(seed)
        with torch.no_grad():
            self._crops = [self._prepare(photos, chance) for _ in range(crops + HELD_OUT)]
        self.start = start or self._nearest()
        self.filters = self._filters_of(self.start)
        self._optimizer = torch.optim.Adam(self.filters.values(), lr=RATE, betas=(0.9, 0.99))
        self.best: Filters = {k: v.detach().clone() for k, v in self.filters.items()}
        self.best_score = float("inf")

    def step(self, progress: float = 0.0) -> dict[str, float]:
        """One step of Adam on a batch of the kept crops; gives its loss terms.

        ``progress`` in 0..1 says how much of the time there is has gone, where that is more than the
        share of the steps: the learning rate falls with both, so a slow machine ends as calmly.
        """
        chance = random.Random(f"{self.seed} {self.done}")
        batch = chance.sample(self._crops[HELD_OUT:], BATCH)
        left = 1 - max(progress, self.done / self.steps)
        for group in self._optimizer.param_groups:
            group["lr"] = RATE * max(0.05, left) * min(1, (self.done + 1) / WARM_UP)
        terms = self._terms(batch, self.filters)
        self._optimizer.zero_grad()
        torch.stack(list(terms.values())).sum().backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.filters.values(), 1.0)
        self._optimizer.step()
        self.done += 1
        return {name: term.item() for name, term in terms.items()}

    def check(self) -> float:
        """Loss on the crops that are held out; if it is the least so far, the filters become the `best`."""
        score = self._score({k: v.detach() for k, v in self.filters.items()})
        if score < self.best_score:
            self.best_score = score
            self.best = {k: v.detach().clone() for k, v in self.filters.items()}
        return score

    def preview(self, picture: Tensor) -> NDArray[np.uint8]:
        """A picture ``(3, H, W)`` uint8 painted with the best filters: ``(H, W, 3)`` uint8, sides multiples of 8."""
        height, width = (side // 8 * 8 for side in picture.shape[1:])
        rgb = picture[None, :, :height, :width].to(self.device).float() / 255
        with torch.no_grad():
            painted = self._paint([self._encode(rgb)], self.best)
        return (painted[0].clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()

    def _score(self, filters: Filters) -> float:
        with torch.no_grad():
            return float(torch.stack(list(self._terms(self._crops[:HELD_OUT], filters).values())).sum())

    def _prepare(self, photos: list[Tensor], chance: random.Random) -> Crop:
        photo = random_crops(photos, 1, CROP, chance).to(self.device)
        where = random_motion(1, CROP, VIEW, chance, torch.Generator().manual_seed(chance.getrandbits(32)))
        view = sample(photo, where.to(self.device))
        view = view + torch.randn_like(view) * chance.uniform(0.002, 0.015)
        inner = photo[..., RIM:-RIM, RIM:-RIM]
        return Crop(inner, self._encode(photo), where.to(self.device), self._encode(view))

    def _encode(self, rgb: Tensor) -> Maps:
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            return tuple(m.bfloat16() for m in self.generator.features(widened(losses.pack_rgb(rgb))))

    def _paint(self, batch: list[Maps], filters: Filters) -> Tensor:
        """Features through the filters and the decoder: RGB ``(N, 3, H, W)``, not clamped."""
        maps = tuple(torch.cat(m) for m in zip(*batch, strict=True))
        with torch.autocast(self.device.type, dtype=torch.bfloat16):
            packed = self.generator.decoder(*self.generator.apply_filters(maps, filters, 1.0))
        cut = MARGIN // 4
        return losses.unpack_rgb(packed.float()[..., cut:-cut, cut:-cut])

    def _terms(self, batch: list[Crop], filters: Filters) -> dict[str, Tensor]:
        rgb = self._paint([c.maps for c in batch], filters)
        inner = rgb[..., RIM:-RIM, RIM:-RIM]
        content, style = self._judge(inner, torch.cat([c.photo for c in batch]), [NAME] * len(batch))
        view = self._paint([c.view_maps for c in batch], filters)
        moved = sample(rgb, torch.cat([c.where for c in batch]))
        return {
            "content": self.weights.content * content,
            "style": self.weights.style * style,
            "variation": self.weights.variation * losses.total_variation(inner),
            "range": 10 * losses.out_of_range(rgb),
            "steady": self.weights.steady * (moved - view).abs().mean(),
        }

    def _filters_of(self, name: str) -> Filters:
        bank = self.generator.bank
        if name in bank:
            found = {k: v.detach() for k, v in bank[name].items()}
        elif name == "none":
            found = self.generator.new_filters(torch.Generator().manual_seed(self.seed))
        else:
            raise ConfigError(f"there is no style {name!r} to start from", f"there are: {', '.join(bank)}")
        return {k: nn.Parameter(v.clone().to(self.device)) for k, v in found.items()}

    def _nearest(self) -> str:
        """The style of the bundle that this artwork's judge likes best; ``none`` where there is no style."""
        scores = {name: self._score(self._filters_of(name)) for name in self.generator.bank}
        return min(scores, key=lambda name: scores[name], default="none")
