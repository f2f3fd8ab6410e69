"""Train a StyleBank: T+1 steps (Chen et al., CVPR 2017, section 3.3) on photos and artworks."""

import os
import pickle
import random
import tomllib
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from allaprima.exporters import losses
from allaprima.exporters.data import load_photos, load_picture, random_crops
from allaprima.exporters.networks import Generator, pack, unpack
from allaprima.realtime.errors import ConfigError

MARGIN = 16
"""Pixels of repeated edge around a picture, as the engine pads its frames."""
RIM, BAND = 32, 24
"""Pixels at the edge of a crop: style is judged inside of `RIM`, since a net that knows where the edge is
draws lines there to please its judges; the outer `BAND` counts more when crops are compared."""
WARM_UP = 50
"""Steps over which the learning rate rises."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Stage(_Table):
    """A stretch of training; a value given here stands in for the config's own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    loss_network: Path
    coarse_network: Path | None = None
    """A cheap second network whose deeper layers judge the large strokes."""
    steps: int
    learning_rate: float | None = None
    content: float | None = None
    style: float | None = None
    variation: float | None = None
    steady: float | None = None


class Card(_Table):
    title: str = ""
    artist: str = ""
    year: str = ""
    licence: str = "weights: Apache-2.0; artwork: public domain"


class TrainConfig(_Table):
    photos: Path
    photo_prefixes: list[str] = []
    photo_side: int = 340
    artwork_side: int = 480
    crop: int = 288
    batch: int = 3
    seed: int = 1
    learning_rate: float = 1.5e-3
    content: float = 1.0
    style: float = 6.0
    variation: float = 0.2
    steady: float = 0.4
    identity: float = 20.0
    every_third_identity: bool = True
    stages: list[Stage] = Field(min_length=1)
    styles: dict[str, Path] = Field(min_length=1)
    cards: dict[str, Card] = {}

    @classmethod
    def read(cls, path: Path) -> "TrainConfig":
        """Read a TOML file; relative paths in it start from the current folder."""
        try:
            return cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except OSError as error:
            raise ConfigError(f"{path} cannot be read: {error.strerror}") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f"{path} is not TOML: {error}") from error
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise ConfigError(f"{path}: {where}: {first['msg']}", "see exporters/studio.toml") from error

    def of(self, stage: Stage, key: str) -> float:
        value = getattr(stage, key)
        return float(getattr(self, key) if value is None else value)


class Trainer:
    """The state of a training run; `step` does one step, `save` and `load` keep it."""

    def __init__(self, config: TrainConfig) -> None:
        if config.crop % 8 or config.crop < 64 or config.crop > config.photo_side:
            raise ConfigError("crop must be a multiple of 8, at least 64, at most photo_side")
        self.config = config
        torch.manual_seed(config.seed)
        self.generator = Generator(list(config.styles), seed=config.seed).to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(self.generator.parameters(), lr=config.learning_rate)
        self.done = 0
        self.photos = load_photos(config.photos, config.photo_prefixes, config.photo_side)
        self._judges: dict[Stage, list[Judge]] = {}

    @property
    def total(self) -> int:
        return sum(stage.steps for stage in self.config.stages)

    def stage(self) -> tuple[Stage, int]:
        """The current stage and how many of its steps are done."""
        left = self.done
        for stage in self.config.stages:
            if left < stage.steps:
                return stage, left
            left -= stage.steps
        return self.config.stages[-1], self.config.stages[-1].steps

    def step(self) -> dict[str, float]:
        """One step of the schedule; gives its loss terms.

        Each step draws from its own seed, so a resumed run sees the pictures it would have seen.
        """
        stage, done = self.stage()
        self._set_rate(stage, done)
        chance = random.Random(f"{self.config.seed} {self.done}")
        torch.manual_seed(self.config.seed * 1_000_003 + self.done)
        photos = random_crops(self.photos, self.config.batch, self.config.crop, chance)
        identity = self.config.every_third_identity and self.done % 3 == 2
        terms = self._identity_terms(photos) if identity else self._style_terms(photos, stage, chance)
        loss = torch.stack(list(terms.values())).sum()
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.generator.parameters(), 1.0)
        self.optimizer.step()
        self.done += 1
        return {name: term.item() for name, term in terms.items()}

    def _set_rate(self, stage: Stage, done: int) -> None:
        rate = self.config.of(stage, "learning_rate") * max(0.02, 1 - done / stage.steps) * min(1, (done + 1) / WARM_UP)
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def _identity_terms(self, photos: Tensor) -> dict[str, Tensor]:
        packed = losses.pack_rgb(photos)
        output = paint(self.generator, packed, [None] * len(photos))
        return {"identity": self.config.identity * losses.identity_loss(output, packed)}

    def _style_terms(self, photos: Tensor, stage: Stage, chance: random.Random) -> dict[str, Tensor]:
        judges = self._judges_of(stage)
        styles = [chance.choice(list(self.config.styles)) for _ in photos]
        rgb = losses.unpack_rgb(paint(self.generator, losses.pack_rgb(photos), list(styles)))
        inside = rgb + (rgb.clamp(0, 1) - rgb).detach()  # clamped forward, straight through backward
        rim = self._rim
        inner = (..., slice(rim, -rim), slice(rim, -rim))
        painted = [judge.network(inside[inner], judge.layers[-1]) for judge in judges]
        with torch.no_grad():
            content = judges[0].network(photos[inner], losses.CONTENT_LAYER)[losses.CONTENT_LAYER]
        style = [
            losses.style_loss(features, losses.stack([judge.artworks[name] for name in styles])) * len(judge.layers)
            for judge, features in zip(judges, painted, strict=True)
        ]
        layers = sum(len(judge.layers) for judge in judges)
        weight = lambda key: self.config.of(stage, key)  # noqa: E731
        terms = {
            "content": weight("content") * losses.content_loss(painted[0][losses.CONTENT_LAYER], content),
            "style": weight("style") * torch.stack(style).sum() / (layers * len(photos)),
            "variation": weight("variation") * losses.total_variation(inside),
            "range": 10 * losses.out_of_range(rgb),
        }
        if weight("steady") > 0:
            terms["steady"] = weight("steady") * self._unsteadiness(photos, rgb, styles, chance)
        return terms

    def _unsteadiness(self, photos: Tensor, rgb: Tensor, styles: list[str], chance: random.Random) -> Tensor:
        """L1 between a painted crop and a smaller, noisy crop of the same photos painted by itself.

        It asks for three things at once: that strokes move with the picture, that sensor noise stays
        unseen, and that the border looks like the inside.
        """
        rim = self._rim
        side = (self.config.crop - 2 * rim) // 8 * 8
        top, left = (2 * chance.randint(rim // 4, rim // 2) for _ in range(2))
        part = (..., slice(top, top + side), slice(left, left + side))
        noisy = photos[part] + torch.randn_like(photos[part]) * chance.uniform(0.002, 0.015)
        again = losses.unpack_rgb(paint(self.generator, losses.pack_rgb(noisy), list(styles)))
        difference = (rgb[part] - again).abs()
        weight = torch.full((side, side), 3.0)
        band = min(BAND, side // 8)
        weight[band:-band, band:-band] = 1.0
        return (difference * weight).sum() / (weight.sum() * difference.shape[0] * difference.shape[1])

    @property
    def _rim(self) -> int:
        return min(RIM, self.config.crop // 8)

    def _judges_of(self, stage: Stage) -> "list[Judge]":
        if stage not in self._judges:
            judges = [Judge(stage.loss_network, losses.STYLE_LAYERS, self.config)]
            if stage.coarse_network is not None:
                judges.append(Judge(stage.coarse_network, losses.COARSE_LAYERS, self.config))
            self._judges = {stage: judges}
        return self._judges[stage]

    def save(self, path: Path) -> None:
        part = path.with_suffix(".part")
        state = {
            "generator": self.generator.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "done": self.done,
        }
        torch.save(state, part)
        os.replace(part, path)

    def load(self, path: Path) -> None:
        state = load_checkpoint(path)
        try:
            self.generator.load_state_dict(state["generator"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError) as error:
            raise ConfigError(f"{path} is of another network or other styles") from error
        self.done = state["done"]


def paint(generator: Generator, packed: Tensor, styles: "list[str | None]") -> Tensor:
    """The generator with the engine's margin around the picture, in bf16 where the CPU has it."""
    luma, chroma = unpack(packed)
    wide = pack(
        F.pad(luma, (MARGIN,) * 4, mode="replicate"),
        F.pad(chroma, (MARGIN // 2,) * 4, mode="replicate"),
    ).contiguous(memory_format=torch.channels_last)
    with torch.autocast(packed.device.type, dtype=torch.bfloat16):
        output = generator(wide, styles)
    cut = MARGIN // 4
    return output.float()[..., cut:-cut, cut:-cut]


class Judge:
    """A loss network, the layers it judges style by, and what the artworks look like there."""

    def __init__(self, path: Path, layers: tuple[str, ...], config: TrainConfig) -> None:
        self.network = losses.LossNetwork(path, layers[-1])
        self.layers = layers
        self.artworks = {name: self._statistics(art, config.artwork_side) for name, art in config.styles.items()}

    def _statistics(self, path: Path, side: int) -> losses.Statistics:
        picture = load_picture(path, side)[None].float() / 255
        height, width = (length // 8 * 8 for length in picture.shape[2:])
        with torch.no_grad():
            features = self.network(picture[..., :height, :width], self.layers[-1])
        return {layer: losses.statistics(features[layer]) for layer in self.layers}


def load_checkpoint(path: Path) -> "dict[str, dict[str, Tensor] | int]":  # type: ignore[type-arg]
    try:
        state = torch.load(path, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        why = getattr(error, "strerror", None) or "it is not one, or it is damaged"
        raise ConfigError(f"checkpoint {path} cannot be read: {why}") from error
    if not isinstance(state, dict) or not {"generator", "optimizer", "done"} <= state.keys():
        raise ConfigError(f"{path} is not a checkpoint of this program")
    return state


def train(trainer: Trainer, report: Callable[[int, dict[str, float]], None], keep: Path, every: int) -> None:
    """Run the schedule to its end, saving to ``keep`` every ``every`` steps and when interrupted."""
    try:
        while trainer.done < trainer.total:
            report(trainer.done, trainer.step())
            if trainer.done % every == 0:
                trainer.save(keep)
    finally:
        trainer.save(keep)
