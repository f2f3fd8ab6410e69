"""What a training does: a TOML file, checked key by key."""

import re
import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from torch import nn

from allaprima.exporters.networks import DEEP, FINE
from allaprima.realtime.errors import ConfigError

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
"""What can be a style in a mix, in a cue, and in torch."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Stage(_Table):
    """A stretch of training; a value given here stands in for the config's own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    loss_network: Path
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
    strength: float = Field(1.0, ge=0, le=1)
    """What the style recommends; users may say otherwise."""
    steadiness: float | None = Field(None, ge=0, le=1)


class TrainConfig(_Table):
    photos: Path
    photo_prefixes: list[str] = []
    photo_side: int = 340
    artwork_side: int = 480
    crop: int = 288
    batch: int = 3
    dimmed: float = Field(0.2, ge=0, le=1)
    seed: int = 1
    learning_rate: float = 1.5e-3
    content: float = 1.0
    style: float = 6.0
    variation: float = 0.2
    steady: float = 0.4
    identity: float = 20.0
    every_third_identity: bool = True
    network: Literal["ours", "paper"] = "ours"
    deep: int = DEEP
    fine: int = FINE
    stages: list[Stage] = Field(min_length=1)
    styles: dict[str, Path] = Field(min_length=1)
    emphasis: dict[str, float] = {}
    """Factors of single styles' style loss; 1 where nothing is said."""
    cards: dict[str, Card] = {}

    @field_validator("styles")
    @classmethod
    def _names_can_be_used(cls, styles: dict[str, Path]) -> dict[str, Path]:
        for name in styles:
            if not NAME.fullmatch(name) or hasattr(nn.ModuleDict, name):
                raise ValueError(f"{name!r} cannot be the name of a style")
        return styles

    @field_validator("emphasis")
    @classmethod
    def _emphasis_is_of_styles(cls, emphasis: dict[str, float], info: ValidationInfo) -> dict[str, float]:
        styles = info.data.get("styles", emphasis)  # not there where they are a mistake themselves
        if unknown := emphasis.keys() - styles.keys():
            raise ValueError(f"there is no style {min(unknown)!r}")
        return emphasis

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
            why = first["msg"].removeprefix("Value error, ")
            raise ConfigError(f"{path}: {where}: {why}", "see exporters/studio.toml") from error

    def of(self, stage: Stage, key: str) -> float:
        value = getattr(stage, key)
        return float(getattr(self, key) if value is None else value)
