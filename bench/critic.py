"""VGG-19 as the judge of a painted picture: how near to its artwork and its photo, and whose artwork is nearest.

Every loss is 0 for a perfect picture.  The network, its layers and the size of the artworks are those that our
styles were trained with, which favors them over networks that were trained with others.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from allaprima.exporters import gatys, losses
from allaprima.exporters.data import load_picture
from allaprima.exporters.recipe import TrainConfig
from allaprima.exporters.vgg import LossNetwork

Picture = NDArray[np.uint8]
PREFIX = "data"
"""First folder of the paths in `exporters/studio.toml`, which stands for wherever the data lie."""


@dataclass(frozen=True, slots=True)
class Score:
    """What one painted picture scored."""

    style: float
    """`losses.style_loss`, what the nets are trained with: relative mean and covariance."""
    gram: float
    """`losses.gram_loss`, what papers report."""
    content: float
    """`losses.content_loss` at relu3_3."""
    nearest: str
    """The style whose artwork is nearest by `losses.gram_loss`."""


class Critic:
    """Knows the artworks of a training config; scores pictures ``(H, W, 3)`` uint8 RGB of any size."""

    def __init__(self, network: Path, config: TrainConfig) -> None:
        self.network = LossNetwork(network)
        self.artworks = {name: self._statistics(path, config.artwork_side) for name, path in config.styles.items()}
        self._all = losses.stack(list(self.artworks.values()))
        last = config.stages[-1]
        self.content_weight, self.style_weight = config.of(last, "content"), config.of(last, "style")

    def _statistics(self, artwork: Path, side: int) -> losses.Statistics:
        with torch.no_grad():
            features = self.network(_tensor(load_picture(artwork, side).permute(1, 2, 0).numpy()))
            return {layer: losses.statistics(features[layer]) for layer in self.network.style_layers}

    def look(self, photo: Picture) -> Tensor:
        """The content features of a photo, which `score` wants of it."""
        layer = self.network.content_layer
        with torch.no_grad():
            return self.network(_tensor(photo), layer)[layer]

    def score(self, painted: Picture, photo: Tensor, style: str) -> Score:
        """``painted`` in ``style`` from the photo that `look` saw."""
        with torch.no_grad():
            features = self.network(_tensor(painted))
            grams = dict(zip(self.artworks, losses.gram_loss(features, self._all).tolist(), strict=True))
            return Score(
                style=float(losses.style_loss(features, self.artworks[style])),
                gram=grams[style],
                content=float(losses.content_loss(features[self.network.content_layer], photo)),
                nearest=min(grams, key=grams.__getitem__),
            )

    def objective(self, score: Score) -> float:
        """The weighted sum of content and style loss of the last stage of training."""
        return self.content_weight * score.content + self.style_weight * score.style

    def optimise(self, photo: Picture, style: str, iterations: int) -> Picture:
        """What `gatys.paint` makes of a photo: about the least `objective` that a picture can have."""
        found = gatys.paint(
            _tensor(photo),
            self.network,
            self.artworks[style],
            content=self.content_weight,
            style=self.style_weight,
            iterations=iterations,
        )
        return np.asarray((found[0] * 255).round().to(torch.uint8).permute(1, 2, 0).numpy())


def read_config(path: Path, data: Path) -> TrainConfig:
    """A training config whose photos and artworks in ``data/`` are looked for in the folder ``data``."""
    config = TrainConfig.read(path)
    styles = {name: _placed(artwork, data) for name, artwork in config.styles.items()}
    return config.model_copy(update={"photos": _placed(config.photos, data), "styles": styles})


def _placed(path: Path, data: Path) -> Path:
    return data.joinpath(*path.parts[1:]) if path.parts[:1] == (PREFIX,) else path


def _tensor(rgb: Picture) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1)))[None].float() / 255
