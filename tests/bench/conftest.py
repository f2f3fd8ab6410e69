"""A tiny stand-in for the folder of data that quality is measured on."""

import importlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest
from safetensors.numpy import save_file

WIDTHS = {"1": 4, "2": 6, "3": 8}
"""Channels of the loss network by its blocks."""
LAYERS = ("1_1", "1_2", "2_1", "2_2", "3_1", "3_2", "3_3", "3_4")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """On a busy machine threads of tiny operations wait for each other most of the time."""
    if importlib.util.find_spec("torch"):
        importlib.import_module("torch").set_num_threads(1)


@dataclass(frozen=True)
class Data:
    """Two photos; a bundle whose styles brighten them; artworks that are the first photo made as bright."""

    folder: Path
    config: Path
    bundle: Path


@pytest.fixture
def quality_data(tmp_path: Path, tiny: ModuleType) -> Data:
    data = tmp_path / "pictures"
    data.mkdir()
    for name in ("content", "styles", "loss", "clips"):
        (data / name).mkdir()
    photos = [picture(tiny, seed) for seed in (1, 2)]
    for index, photo in enumerate(photos):
        write(data / f"content/bsds_{index}.png", photo)
    write(data / "content/coco_0.png", photos[0])
    write(data / "styles/dim.png", np.clip(photos[0].astype(int) + 32, 0, 255))
    write(data / "styles/glare.png", np.clip(photos[0].astype(int) + 96, 0, 255))
    save_file(random_vgg(), data / "loss/vgg19_conv1_1-conv3_4.safetensors")
    config = data / "tiny.toml"
    config.write_text(
        'photos = "data/content"\nartwork_side = 48\ncontent = 2.0\nstyle = 3.0\n'
        '[[stages]]\nloss_network = "data/loss/none.safetensors"\nsteps = 1\nstyle = 4.0\n'
        '[styles]\nbright = "data/styles/dim.png"\nbrighter = "data/styles/glare.png"\n'
    )
    styles = {"bright": (0.25, 0.0), "brighter": (0.75, 0.0), "unknown": (0.3, 0.3)}
    return Data(data, config, tiny.write_bundle(data / "bundle", styles))


def picture(tiny: ModuleType, seed: int) -> Any:
    """RGB ``(53, 70, 3)``: sides that are no multiples of 8."""
    return np.stack([tiny.texture((70, 53), 10 * seed + channel, 10, 150) for channel in range(3)], 2)


def write(path: Path, rgb: Any) -> None:
    cv2.imwrite(str(path), rgb[..., ::-1].astype(np.uint8))


def random_vgg() -> dict[str, Any]:
    """A loss network of VGG-19's layout, a few channels wide."""
    rng, tensors, before = np.random.default_rng(0), {}, 3
    for layer in LAYERS:
        width = WIDTHS[layer[0]]
        kernel = rng.normal(0, (2 / (9 * before)) ** 0.5, (width, before, 3, 3))
        tensors[f"conv{layer}.weight"] = kernel.astype(np.float32)
        tensors[f"conv{layer}.bias"] = np.full(width, 3, np.float32)
        before = width
    return tensors
