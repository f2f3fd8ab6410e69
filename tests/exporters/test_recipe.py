"""The recipe of a training: what a config may say, and how a mistake in one is told."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="training needs torch: pip install 'allaprima[train]'")

from allaprima.exporters import recipe
from allaprima.exporters.recipe import TrainConfig
from allaprima.realtime.errors import ConfigError

STUDIO = Path(recipe.__file__).with_name("studio.toml")


def test_the_config_that_is_shipped_names_every_key() -> None:
    config = TrainConfig.read(STUDIO)
    assert TrainConfig.model_fields.keys() <= config.model_fields_set
    assert config.cards.keys() == config.styles.keys()


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("brushes = 3", "brushes: Extra inputs"),
        ('batch = "many"', "batch: Input should be a valid integer"),
        ("batch =", "is not TOML"),
        ("dimmed = 1.5", "dimmed: Input should be less than or equal to 1"),
    ],
)
def test_a_mistake_in_the_config_is_named_in_one_line(config: Any, head: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        TrainConfig.read(config(head, batch=""))
    assert "\n" not in str(caught.value)


def test_a_mistake_in_a_stage_says_where(config: Any) -> None:
    with pytest.raises(ConfigError, match=r"stages\.0\.steps: Field required") as caught:
        TrainConfig.read(config(stage=""))
    assert "studio.toml" in caught.value.hint


def test_emphasis_is_of_styles_that_there_are(config: Any) -> None:
    assert TrainConfig.read(config(tail="[emphasis]\nwax = 2.0")).emphasis == {"wax": 2}
    with pytest.raises(ConfigError, match=r"tiny\.toml: emphasis: there is no style 'oil'$") as caught:
        TrainConfig.read(config(tail="[emphasis]\nwax = 2.0\noil = 3.0"))
    assert "studio.toml" in caught.value.hint


def test_a_config_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        TrainConfig.read(tmp_path / "no.toml")


@pytest.mark.parametrize("name", ["a.b", "keys", "-x", "two words"])
def test_a_style_has_a_name_that_can_be_used_everywhere(config: Any, photos: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be the name of a style"):
        TrainConfig.read(config(styles={f'"{name}"': photos / "b_1.png"}))
