"""Train a StyleBank: T+1 steps (Chen et al., CVPR 2017, section 3.3) on photos and artworks."""

import ctypes
import os
import pickle
import random
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from allaprima.exporters import losses
from allaprima.exporters.data import load_photos, random_crops, read_artwork
from allaprima.exporters.motion import MARGIN, random_motion, sample, widened
from allaprima.exporters.networks import Generator, PaperStyleBank, StyleBankNet
from allaprima.exporters.recipe import Stage, TrainConfig
from allaprima.exporters.vgg import Features, LossNetwork
from allaprima.realtime.errors import ConfigError

RIM, BAND = 32, 24
"""Pixels at the edge of a crop: style is judged inside of `RIM`, since a net that knows where the edge is
draws lines there to please its judges; the outer `BAND` counts more when crops are compared."""
SCALES = (1, 2)
"""Style is judged on the picture and on the picture halved, where the same layers see strokes twice as large."""
HALVED_LAYERS = 3
"""So many of the deepest style layers judge the halved picture; the others see the same there as before."""
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
"""Names of glibc's <malloc.h>."""
BANK_FACTOR, LAST_FACTOR = 1.5, 0.2
"""On the learning rate of the filters, since each style is drawn only now and then; and of the last convolution:
it sums over a thousand inputs, and a step that moves them all together would throw the colors about."""
WARM_UP = 50
"""Steps over which the learning rate rises."""


def rate_groups(network: StyleBankNet) -> list[dict[str, Any]]:
    """Parameters for Adam, by the factor on their learning rate."""
    last = ("decoder.kernel", "decoder.bias", "decoder.c1.weight", "decoder.c1.bias")
    groups: dict[float, list[nn.Parameter]] = {1.0: [], BANK_FACTOR: [], LAST_FACTOR: []}
    for name, parameter in network.named_parameters():
        factor = BANK_FACTOR if name.startswith("bank.") else LAST_FACTOR if name in last else 1.0
        groups[factor].append(parameter)
    return [{"params": parameters, "factor": factor} for factor, parameters in groups.items()]


def new_network(config: TrainConfig) -> StyleBankNet:
    """The network that a config asks for, with the weights that its seed gives."""
    torch.manual_seed(config.seed)
    if config.network == "paper":
        return PaperStyleBank(list(config.styles), config.deep // 4, config.seed)
    return Generator(list(config.styles), config.deep, config.fine, config.seed)


class Trainer:
    """The state of a training run; `step` does one step, `save` and `load` keep it."""

    def __init__(self, config: TrainConfig, device: str | None = None) -> None:
        if config.crop % 8 or config.crop < 64 or config.crop > config.photo_side:
            raise ConfigError("crop must be a multiple of 8, at least 64, at most photo_side")
        self.config = config
        self.device = pick_device(device)
        self.generator = new_network(config)
        self.generator.to(self.device).to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam(rate_groups(self.generator), lr=config.learning_rate)
        self.done = 0
        self.photos = load_photos(config.photos, config.photo_prefixes, config.photo_side)
        self._judge: tuple[Path, Judge] | None = None

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
        stage, _ = self.stage()
        self._set_rate(stage)
        chance = random.Random(f"{self.config.seed} {self.done}")
        torch.manual_seed(self.config.seed * 1_000_003 + self.done)
        photos = random_crops(self.photos, self.config.batch, self.config.crop, chance, self.config.dimmed)
        photos = photos.to(self.device)
        identity = self.config.every_third_identity and self.done % 3 == 2
        terms = self._identity_terms(photos) if identity else self._style_terms(photos, stage, chance)
        loss = torch.stack(list(terms.values())).sum()
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.generator.parameters(), 1.0)
        self.optimizer.step()
        self.done += 1
        return {name: term.item() for name, term in terms.items()}

    def _set_rate(self, stage: Stage) -> None:
        left = max(0.02, 1 - self.done / self.total)
        rate = self.config.of(stage, "learning_rate") * left * min(1, (self.done + 1) / WARM_UP)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["factor"]

    def _identity_terms(self, photos: Tensor) -> dict[str, Tensor]:
        packed = losses.pack_rgb(photos)
        output = paint(self.generator, packed, [None] * len(photos))
        return {"identity": self.config.identity * losses.identity_loss(output, packed)}

    def _style_terms(self, photos: Tensor, stage: Stage, chance: random.Random) -> dict[str, Tensor]:
        judge = self._judge_of(stage)
        names = list(self.config.styles)
        draw = chance.sample if len(photos) <= len(names) else chance.choices
        styles = draw(names, k=len(photos))
        rgb = losses.unpack_rgb(paint(self.generator, losses.pack_rgb(photos), list(styles)))
        rim = self._rim
        inner = (..., slice(rim, -rim), slice(rim, -rim))
        content, style = judge(rgb[inner], photos[inner], styles)
        weight = lambda key: self.config.of(stage, key)  # noqa: E731
        terms = {
            "content": weight("content") * content,
            "style": weight("style") * style,
            "variation": weight("variation") * losses.total_variation(rgb[inner]),
            "range": 10 * losses.out_of_range(rgb),
        }
        if weight("steady") > 0:
            terms["steady"] = weight("steady") * self._unsteadiness(photos, rgb, styles, chance)
        return terms

    def _unsteadiness(self, photos: Tensor, rgb: Tensor, styles: list[str], chance: random.Random) -> Tensor:
        """L1 between the painted photos, moved, and the moved photos painted (ReReVST, Wang et al. 2020).

        The next frame is made up: a smooth random motion, sensor noise, and a smaller view, so that the
        border of one picture is the inside of the other.  So strokes learn to move with the picture, noise
        to stay unseen, and the border to look like the inside.
        """
        rim = self._rim
        side = (self.config.crop - 2 * rim) // 8 * 8
        where = random_motion(len(photos), self.config.crop, side, chance, torch.Generator().manual_seed(self.done))
        moved = sample(photos, where.to(photos.device))
        noisy = moved + torch.randn_like(moved) * chance.uniform(0.002, 0.015)
        again = losses.unpack_rgb(paint(self.generator, losses.pack_rgb(noisy), list(styles)))
        difference = (sample(rgb, where.to(rgb.device)) - again).abs()
        weight = torch.full((side, side), 3.0, device=rgb.device)
        band = min(BAND, side // 8)
        weight[band:-band, band:-band] = 1.0
        return (difference * weight).sum() / (weight.sum() * difference.shape[0] * difference.shape[1])

    @property
    def _rim(self) -> int:
        return min(RIM, self.config.crop // 8)

    def _judge_of(self, stage: Stage) -> "Judge":
        if self._judge is None or self._judge[0] != stage.loss_network:
            artworks = {name: read_artwork(path, self.config.artwork_side) for name, path in self.config.styles.items()}
            judge = Judge(LossNetwork(stage.loss_network, device=self.device), artworks, self.config.emphasis)
            self._judge = (stage.loss_network, judge)
        return self._judge[1]

    def save(self, path: Path) -> None:
        part = path.with_suffix(".part")
        state = {
            "generator": self.generator.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "done": self.done,
        }
        torch.save(state, part)
        os.replace(part, path)

    def start_from(self, bundle: Path) -> None:
        """Take over the nets of a bundle, and the filters of the styles that it has too."""
        from allaprima.exporters.export import load_bundle

        given = load_bundle(bundle).state_dict()
        mine = self.generator.state_dict()
        shared = {name: value for name, value in given.items() if name in mine}
        try:
            self.generator.load_state_dict(mine | shared)
        except RuntimeError as error:
            raise ConfigError(f"{bundle} holds a network of other widths than the config's") from error

    def load(self, path: Path) -> None:
        state = load_checkpoint(path)
        try:
            self.generator.load_state_dict(state["generator"])
            self.optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError) as error:
            raise ConfigError(f"{path} is of another network or other styles") from error
        self.done = state["done"]


def paint(generator: StyleBankNet, packed: Tensor, styles: Sequence[str | None]) -> Tensor:
    """The generator as the engine runs it: with a margin around the picture, in bf16."""
    with torch.autocast(packed.device.type, dtype=torch.bfloat16):
        output = generator(widened(packed), styles)
    cut = MARGIN // 4
    return output.float()[..., cut:-cut, cut:-cut]


def pick_device(name: str | None) -> torch.device:
    """The device called ``name``, or the GPU if there is one.  Raises `ConfigError` for one that cannot be used."""
    try:
        device = torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"cannot train on {name}: {str(error).splitlines()[0]}", "use --device cpu or cuda"
        ) from error
    return device


def tune_allocator() -> None:
    """Keep freed memory in the process: giving each large tensor back costs a quarter of a step in page faults.

    glibc only; elsewhere nothing happens.
    """
    try:
        libc = ctypes.CDLL(None)
        for parameter, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 64 << 20)):
            libc.mallopt(parameter, value)
    except (OSError, AttributeError, TypeError):
        return


class Judge:
    """A loss network and what the artworks look like to it; ``emphasis`` is each one's factor, else 1."""

    def __init__(
        self, network: LossNetwork, artworks: dict[str, Tensor], emphasis: Mapping[str, float] | None = None
    ) -> None:
        self.network = network
        self.emphasis = dict(emphasis or {})
        self.artworks = {name: self._statistics(picture) for name, picture in artworks.items()}

    def __call__(self, rgb: Tensor, photos: Tensor, styles: list[str]) -> tuple[Tensor, Tensor]:
        """Content and style loss of painted ``rgb`` ``(N, 3, H, W)``, both averaged over the batch."""
        rgb = rgb + (rgb.clamp(0, 1) - rgb).detach()  # clamped forward, straight through backward
        features = self.features(rgb)
        layer = self.network.content_layer
        with torch.no_grad():
            wanted = self.network(photos, layer)[layer]
        content = losses.content_loss(features[f"1/{layer}"], wanted)
        style = losses.style_loss(features, losses.stack([self.artworks[name] for name in styles]))
        return content, (style * style.new_tensor([self.emphasis.get(name, 1.0) for name in styles])).mean()

    def features(self, rgb: Tensor) -> Features:
        """Features by ``"scale/layer"`` of the picture and of the picture halved."""
        last = self.network.style_layers[-1]
        return {
            f"{scale}/{layer}": value
            for scale in SCALES
            for layer, value in self.network(rgb if scale == 1 else F.avg_pool2d(rgb, scale), last).items()
        }

    def _statistics(self, picture: Tensor) -> losses.Statistics:
        height, width = (length // 16 * 16 for length in picture.shape[1:])
        layers = self.network.style_layers
        with torch.no_grad():
            features = self.features((picture[None, :, :height, :width].float() / 255).to(self.network.device))
        judged = [f"1/{n}" for n in layers] + [f"2/{n}" for n in layers[-HALVED_LAYERS:]]
        return {name: losses.statistics(features[name]) for name in judged}


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
