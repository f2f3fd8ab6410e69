"""Pixels that are optimised get better, never worse, and the same every time."""

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install 'allaprima[train]'")

from allaprima.exporters import gatys, losses  # noqa: E402
from allaprima.exporters.data import load_photos  # noqa: E402
from allaprima.exporters.vgg import LossNetwork  # noqa: E402


@pytest.fixture(scope="module")
def network(loss_file: Any) -> Any:
    return LossNetwork(loss_file("gatys.safetensors"))


@pytest.fixture(scope="module")
def pictures(photos: Path) -> Any:
    """Two photos ``(2, 3, 32, 32)`` and an artwork ``(1, 3, 48, 48)``, all different."""
    found = [photo[None].float() / 255 for photo in load_photos(photos, [], 48)]
    return torch.cat([found[0][..., :32, :32], found[1][..., :32, :32]]), found[2][..., :48, :48]


@pytest.fixture(scope="module")
def artwork(network: Any, pictures: Any) -> Any:
    features = network(pictures[1])
    return {layer: losses.statistics(features[layer]) for layer in network.style_layers}


def objective(network: Any, artwork: Any, painted: Any, photos: Any, content: float, style: float) -> float:
    found, wanted = network(painted), network(photos)
    layer = network.content_layer
    alike = losses.content_loss(found[layer], wanted[layer])
    return float(content * alike + style * losses.style_loss(found, artwork).mean())


def test_more_iterations_come_nearer_to_the_floor(network: Any, artwork: Any, pictures: Any) -> None:
    photos, _ = pictures
    found = [photos, *(gatys.paint(photos, network, artwork, iterations=n) for n in (2, 12))]
    sums = [objective(network, artwork, painted, photos, 2.2, 3.5) for painted in found]
    assert sums[0] > sums[1] > sums[2]
    assert found[2].shape == photos.shape
    assert not found[2].requires_grad
    assert float(found[2].min()) >= 0
    assert float(found[2].max()) <= 1
    assert torch.equal(found[1], gatys.paint(photos, network, artwork, iterations=2)), "no chance is involved"


def test_with_nothing_but_content_the_photo_stays(network: Any, artwork: Any, pictures: Any) -> None:
    photos, _ = pictures
    assert torch.equal(gatys.paint(photos, network, artwork, style=0.0, iterations=3), photos)


def test_the_weights_trade_content_for_style(network: Any, artwork: Any, pictures: Any) -> None:
    photos, _ = pictures
    bold = gatys.paint(photos, network, artwork, content=0.1, style=10.0, iterations=8)
    shy = gatys.paint(photos, network, artwork, content=10.0, style=0.1, iterations=8)
    style = [objective(network, artwork, painted, photos, 0, 1) for painted in (bold, shy)]
    content = [objective(network, artwork, painted, photos, 1, 0) for painted in (bold, shy)]
    assert style[0] < style[1]
    assert content[0] > content[1]
