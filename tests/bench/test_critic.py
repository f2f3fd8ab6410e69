"""The judge finds artworks to be themselves, and photos to keep their content."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("torch", reason="the judge needs torch: pip install 'allaprima[train]'")

from allaprima.bench import critic, pictures
from allaprima.bench.critic import Critic, Score
from allaprima.bench.quality import LOSS_NETWORK
from allaprima.exporters import losses
from allaprima.exporters.vgg import LossNetwork
from allaprima.realtime.errors import ConfigError


@pytest.fixture
def judge(quality_data: Any) -> Critic:
    return Critic(quality_data.folder / LOSS_NETWORK, critic.read_config(quality_data.config, quality_data.folder))


def artwork(quality_data: Any, name: str) -> Any:
    """As the judge has it: with a short side of 48."""
    bgr = cv2.imread(str(quality_data.folder / f"styles/{name}.png"))
    return np.ascontiguousarray(cv2.resize(bgr, (63, 48), interpolation=cv2.INTER_AREA)[..., ::-1])


def test_an_artwork_is_nearest_to_itself_and_a_photo_has_its_own_content(judge: Critic, quality_data: Any) -> None:
    dim, glare = artwork(quality_data, "dim"), artwork(quality_data, "glare")
    right = judge.score(dim, judge.look(dim), "bright")
    wrong = judge.score(glare, judge.look(dim), "bright")
    assert right.content == 0 < wrong.content
    assert right.style < 0.1 * wrong.style
    assert right.gram < 0.1 * wrong.gram
    assert (right.nearest, wrong.nearest) == ("bright", "brighter")


def test_every_loss_is_the_projects_own(judge: Critic, quality_data: Any) -> None:
    (given,) = pictures.photos(quality_data.folder / "content", "bsds_", 1)
    art = artwork(quality_data, "dim")
    network = LossNetwork(quality_data.folder / LOSS_NETWORK)
    found, photo = (network(critic._tensor(rgb)) for rgb in (art, given.rgb[:, :63]))
    score = judge.score(art, judge.look(given.rgb[:, :63]), "brighter")
    assert score.content == pytest.approx(float(losses.content_loss(found["3_3"], photo["3_3"])))
    assert score.style == pytest.approx(float(losses.style_loss(found, judge.artworks["brighter"])))
    assert score.gram == pytest.approx(float(losses.gram_loss(found, judge.artworks["brighter"])))


def test_the_objective_has_the_weights_of_the_last_stage(judge: Critic) -> None:
    assert judge.objective(Score(style=0.5, gram=9, content=0.25, nearest="bright")) == 2.0 * 0.25 + 4.0 * 0.5


def test_optimised_pixels_score_better_than_the_photo(judge: Critic, quality_data: Any) -> None:
    (given,) = pictures.photos(quality_data.folder / "content", "bsds_", 1)
    photo = judge.look(given.rgb)
    best = judge.optimise(given.rgb, "brighter", 6)
    assert (best.shape, best.dtype) == (given.rgb.shape, np.uint8)
    unpainted = judge.objective(judge.score(given.rgb, photo, "brighter"))
    assert judge.objective(judge.score(best, photo, "brighter")) < 0.9 * unpainted


def test_paths_in_data_lead_into_the_folder(quality_data: Any) -> None:
    config = critic.read_config(quality_data.config, Path("elsewhere"))
    assert config.photos == Path("elsewhere/content")
    assert config.styles["bright"] == Path("elsewhere/styles/dim.png")
    text = quality_data.config.read_text().replace("data/styles/dim.png", "/art/dim.png")
    quality_data.config.write_text(text.replace("data/styles/glare.png", "other/glare.png"))
    config = critic.read_config(quality_data.config, Path("elsewhere"))
    assert list(config.styles.values()) == [Path("/art/dim.png"), Path("other/glare.png")]


def test_a_missing_artwork_is_told(quality_data: Any) -> None:
    (quality_data.folder / "styles/dim.png").unlink()
    config = critic.read_config(quality_data.config, quality_data.folder)
    with pytest.raises(ConfigError, match=r"dim\.png"):
        Critic(quality_data.folder / LOSS_NETWORK, config)
